//! What the file with the certificate of a server holds, for whoever looks after it. Whether clients
//! believe it they say themselves.

use std::path::Path;

use rustls::pki_types::CertificateDer;
use weir_tls::{TlsFile, read_all};

use super::x509::Certificate;

/// The certificate of a server and what comes with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServerChain {
    /// Until when it holds: seconds since the Unix epoch, and the date.
    pub(crate) not_after_s: u64,
    pub(crate) not_after: String,
    /// The hosts that it is for.
    pub(crate) names: Vec<String>,
    /// Whether it has signed itself.
    pub(crate) is_self_signed: bool,
    /// How many come with it that are not the signer of the one before.
    pub(crate) out_of_order: usize,
}

/// Reads such a file; none when it holds no certificate.
pub(crate) fn server_chain(certfile: &Path) -> Option<ServerChain> {
    let all = read_all::<CertificateDer<'static>>(TlsFile::Certificate, certfile).ok()?;
    let all: Vec<_> = all.iter().map(|one| Certificate::parse(one)).collect::<Option<_>>()?;
    let first = all.first()?;
    Some(ServerChain {
        not_after_s: first.not_after.unix_s,
        not_after: first.not_after.to_string(),
        names: first.alternative_names(),
        is_self_signed: first.issuer == first.subject,
        out_of_order: all.windows(2).filter(|pair| pair[0].issuer != pair[1].subject).count(),
    })
}
