//! `weir reload`: lets a running broker read its files again.

use std::io;

use super::{Answer, CliError, admin, say, store::Place};
use crate::{admin::RELOAD_PATH, config::HostPort};

#[derive(Debug, clap::Args)]
#[command(after_help = "Everything is checked first: if a file is wrong, nothing changes.\n\n\
                  Exit code: 0 = done, 1 = a file is wrong, 2 = no answer.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Address of the admin server; without it that of the configuration, or 127.0.0.1:8080
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<HostPort>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    let address = arguments.place.admin(arguments.admin.as_ref())?;
    let response = admin::post(&address, &arguments.place.data_dir()?, RELOAD_PATH, "")?;
    let (first, code) = (response.first.clone(), response.code());
    let wrong = |source| CliError::AdminAnswer { address: address.to_string(), source };
    let text = response.text().map_err(wrong)?;
    match code {
        Some(200) => say(&format!("{text}\n")).map(|()| Answer::Yes),
        Some(422) => {
            eprintln!("{text}");
            Ok(Answer::No)
        }
        _ => Err(wrong(io::Error::other(format!("the answer is `{first}`: {text}")))),
    }
}
