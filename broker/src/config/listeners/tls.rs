//! `tls` of a listener: which keys need each other, and whether the files can be used.

use weir_config::{Origin, Problems, Refusal, Values};

use crate::stream::{CertificateUsername, TlsConfig, TlsError, TlsVersion, unix_s};

use super::super::code;

/// The names of the versions in the file.
pub(crate) const TLS_VERSIONS: [&str; 2] = ["1.2", "1.3"];

/// Reads the table and the files that it names.
pub(crate) fn check(values: &Values, problems: &mut Problems) -> Option<TlsConfig> {
    let username = username(values, problems);
    let config = TlsConfig {
        certfile: values.optional("certfile", Values::path)?,
        keyfile: values.optional("keyfile", Values::path)?,
        cafile: values.optional("cafile", Values::path),
        crlfile: values.optional("crlfile", Values::path),
        require_certificate: values.flag("require_certificate"),
        username,
        tls_version: version(values),
    };
    if config.cafile.is_none() {
        refuse_without_authorities(values, problems);
    }
    match config.load(unix_s()) {
        Ok(loaded) => warn(values, loaded.warning, problems),
        Err(error) => refuse(values, &error, problems),
    }
    Some(config)
}

/// The oldest version that is spoken.
pub(crate) fn version(values: &Values) -> TlsVersion {
    match values.choice("tls_version") {
        "1.2" => TlsVersion::V12,
        _ => TlsVersion::V13,
    }
}

fn username(values: &Values, problems: &mut Problems) -> CertificateUsername {
    match (is_set(values, "use_identity_as_username"), is_set(values, "use_subject_as_username")) {
        (false, false) => CertificateUsername::None,
        (false, true) => CertificateUsername::Subject,
        (true, false) => CertificateUsername::CommonName,
        (true, true) => {
            let message = "the user name cannot be both the common name and the subject";
            conflict(values, "use_subject_as_username", message, "remove one of them", problems);
            CertificateUsername::None
        }
    }
}

/// Whether a flag that only some of these tables have is true.
fn is_set(values: &Values, name: &str) -> bool {
    values.section().keys.iter().any(|key| key.name == name) && values.flag(name)
}

/// What is about the certificates of clients means nothing when they are not asked for one.
fn refuse_without_authorities(values: &Values, problems: &mut Problems) {
    let flags = ["require_certificate", "use_identity_as_username", "use_subject_as_username"];
    let mut needing: Vec<&str> = flags.into_iter().filter(|name| is_set(values, name)).collect();
    needing.extend(values.optional("crlfile", Values::path).map(|_| "crlfile"));
    for name in needing {
        let message = format!("`{name}` needs `cafile`: who signs the certificates of clients");
        let help = "add cafile = \"…\" with the certificate of that authority";
        conflict(values, name, &message, help, problems);
    }
}

pub(crate) fn conflict(
    values: &Values,
    name: &str,
    message: &str,
    help: &str,
    problems: &mut Problems,
) {
    let Some(Origin { source, span }) = values.origin(name).cloned() else { return };
    let refusal = Refusal::new(code::CONFLICT, span, message, "cannot be so");
    problems.refuse(source, refusal.help(help));
}

pub(crate) fn refuse(values: &Values, error: &TlsError, problems: &mut Problems) {
    let Some(Origin { source, span }) = values.origin(error.file().key()).cloned() else { return };
    let refusal = Refusal::new(code::FILE, span, error.to_string(), "this file");
    problems.refuse(source, refusal.help(error.help()));
}

fn warn(values: &Values, warning: Option<String>, problems: &mut Problems) {
    let Some(warning) = warning else { return };
    let Some(Origin { source, span }) = values.origin("certfile").cloned() else { return };
    let refusal = Refusal::new(code::FILE, span, warning, "this certificate");
    let help = "clients will refuse it: renew it, or set the clock of this machine right";
    problems.warn(source, refusal.help(help));
}
