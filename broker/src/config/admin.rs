//! `[admin]`.

use std::path::PathBuf;

use weir_config::{Problems, Refusal, Tree, Values};

use super::{
    HostPort, TlsConfig, code,
    declared::ADMIN,
    listeners::{self, Listeners, tls},
};

/// `[admin]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdminConfig {
    /// Where the admin server listens; `None` = there is none.
    pub address: Option<HostPort>,
    /// Tokens of those who may use it, besides the key in the data directory.
    pub tokens_file: Option<PathBuf>,
    /// Names under which it is reached.
    pub host_names: Vec<String>,
    /// The certificate that it shows; `None` = it does not speak TLS.
    pub tls: Option<TlsConfig>,
}

impl AdminConfig {
    fn read(values: &Values) -> Self {
        Self {
            address: values.optional("address", Values::parsed),
            tokens_file: values.optional("tokens_file", Values::path),
            host_names: values.texts("host_names"),
            tls: None,
        }
    }
}

/// Reads the table, and the certificate that it names.
pub(crate) fn check(tree: &Tree, listeners: &Listeners, problems: &mut Problems) -> AdminConfig {
    let values = tree.table(&ADMIN);
    let mut admin = AdminConfig::read(values);
    admin.tls = values.table("tls").and_then(|values| tls::check(values, problems));
    let (Some(address), Some(at)) = (&admin.address, values.origin("address")) else {
        return admin;
    };
    let place = address.clone().into();
    if listeners::is_taken(&place, listeners) {
        problems.refuse(at.source, listeners::taken(&place, at, "a listener"));
    }
    if !address.is_loopback() && values.table("tls").is_none() {
        let message = format!("whoever is on the way to {address} can read tokens and answers");
        let refusal = Refusal::new(code::EXPOSED, at.span.clone(), message, "no `tls`");
        let help = "set tls = { certfile, keyfile } in [admin], or use 127.0.0.1 to keep it on \
                    this machine";
        problems.warn(at.source, refusal.help(help));
    }
    admin
}
