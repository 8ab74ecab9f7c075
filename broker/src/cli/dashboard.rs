//! `weir dashboard`: where the page of a running broker is, with what opens all of it.

use super::store::Place;
use super::{Answer, CliError, say};
use crate::{
    admin::{AdminKey, PAGE_PATH},
    config::HostPort,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Whoever has the link can see every message and change what the broker does. It holds as long as \
admin.key in the data directory is the same. From another machine: `ssh -L 8080:127.0.0.1:8080 \
HOST`, and then the link.
Exit code: 0 = done, 2 = it could not be done.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Address of the admin server; without it that of the configuration, or 127.0.0.1:8080
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<HostPort>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    let address = arguments.place.admin(arguments.admin.as_ref())?;
    let data_dir = arguments.place.data_dir()?;
    let is_secure = arguments.place.admin_speaks_tls()?;
    let key = AdminKey::read(&data_dir).map_err(|source| CliError::AdminKey { source })?;
    say(&format!("{}\n", link(&address, is_secure, Some(&key)))).map(|()| Answer::Yes)
}

/// The page, and behind `#`, which a browser sends to nobody, the token that the page is to use.
pub(crate) fn link(address: &HostPort, is_secure: bool, key: Option<&AdminKey>) -> String {
    let scheme = if is_secure { "https" } else { "http" };
    let page = format!("{scheme}://{}{PAGE_PATH}", reachable(address));
    match key {
        Some(key) => format!("{page}#token={}", key.token()),
        None => page,
    }
}

/// An address that a browser on this machine can open, also if the server listens on all.
fn reachable(address: &HostPort) -> HostPort {
    match address.host() {
        "0.0.0.0" => HostPort::new("127.0.0.1", address.port()),
        "::" => HostPort::new("::1", address.port()),
        _ => address.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_can_be_opened_here_wherever_the_server_listens() {
        for (host, page) in [
            ("127.0.0.1", "http://127.0.0.1:8080/"),
            ("0.0.0.0", "http://127.0.0.1:8080/"),
            ("::", "http://[::1]:8080/"),
            ("gateway", "http://gateway:8080/"),
        ] {
            assert_eq!(link(&HostPort::new(host, 8080), false, None), page, "{host}");
        }
        let secure = link(&HostPort::new("gateway", 8443), true, None);
        assert_eq!(secure, "https://gateway:8443/");
    }
}
