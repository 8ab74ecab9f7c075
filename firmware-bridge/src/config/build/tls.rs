//! TLS to the broker.

use weir_config::{Tree, Values};
use weir_tls::{TlsClientConfig, TlsVersion};

use super::super::declared::TLS;
use super::Builder;
use crate::tls::TlsOptions;

impl Builder<'_> {
    /// `None` if the file has no `[tls]`.
    pub(super) fn tls(&mut self, tree: &Tree) -> Option<TlsOptions> {
        let values = tree.table(&TLS);
        values.header()?;
        let certificate = match (
            values.optional("certfile", Values::path),
            values.optional("keyfile", Values::path),
        ) {
            (Some(certfile), Some(keyfile)) => Some((certfile, keyfile)),
            (Some(_), None) if values.is_missing("keyfile") => {
                let at = values.place("certfile");
                self.conflict(at, "a certificate without its key", "alone", "add `keyfile`");
                None
            }
            (None, Some(_)) if values.is_missing("certfile") => {
                let at = values.place("keyfile");
                self.conflict(at, "a key without its certificate", "alone", "add `certfile`");
                None
            }
            _ => None,
        };
        let client = TlsClientConfig {
            cafile: values.optional("cafile", Values::path),
            certificate,
            insecure: values.flag("insecure"),
            alpn: None,
            tls_version: match values.choice("tls_version") {
                "1.3" => TlsVersion::V13,
                _ => TlsVersion::V12,
            },
        };
        Some(TlsOptions { client, server_name: values.optional("server_name", Values::text) })
    }
}
