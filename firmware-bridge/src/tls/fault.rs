//! What went wrong between two ends of TLS, for whoever can put it right.

use std::io;

use rustls::{AlertDescription, CertificateError, Error};

use super::TlsError;

/// What an error of a connection says about TLS; `None` if it is not about that.
pub(crate) fn words(error: &io::Error) -> Option<String> {
    let inner = error.get_ref()?;
    if let Some(error) = inner.downcast_ref::<TlsError>() {
        // Files may be replaced, and be wrong, while the bridge runs.
        return Some(format!("{error}; {}", error.help()));
    }
    let error = inner.downcast_ref::<Error>()?;
    Some(match error {
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::InvalidCertificate(reason) => of_certificate(reason),
        Error::InvalidMessage(_) => {
            "what the broker sends there is not TLS: is it the right port?".to_owned()
        }
        Error::PeerIncompatible(reason) => {
            format!("the broker and the bridge have no version or cipher in common: {reason:?}")
        }
        other => other.to_string(),
    })
}

fn of_certificate(reason: &CertificateError) -> String {
    let (what, help) = match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            ("has expired", "renew it, or set the clock of this machine")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ("is not valid yet", "set the clock of this machine")
        }
        CertificateError::UnknownIssuer => (
            "is of an authority that is not believed",
            "set `cafile` in [tls] to the certificate of its authority",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            "is for another name",
            "write the name that it is for in `broker`, or as `server_name` in [tls]",
        ),
        CertificateError::Revoked => ("has been revoked", "it needs a new one"),
        _ => ("cannot be used", "it needs another one"),
    };
    format!("the certificate of the broker {what} ({reason}): {help}")
}

fn of_alert(alert: AlertDescription) -> String {
    let what = match alert {
        AlertDescription::CertificateRequired => {
            "the broker wants a certificate: set `certfile` and `keyfile` in [tls]"
        }
        AlertDescription::CertificateExpired => {
            "the broker says that the certificate in `certfile` has expired"
        }
        AlertDescription::CertificateRevoked => {
            "the broker says that the certificate in `certfile` has been revoked"
        }
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::DecryptError
        | AlertDescription::UnknownCA
        | AlertDescription::UnsupportedCertificate => {
            "the broker does not believe the certificate in `certfile`"
        }
        AlertDescription::HandshakeFailure => {
            "the broker refuses the handshake: it may want a certificate (`certfile` in [tls])"
        }
        AlertDescription::ProtocolVersion => "the broker does not speak this version of TLS",
        _ => "the broker has ended the connection",
    };
    format!("{what} ({alert:?})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_say_what_to_do() {
        let of = |error: Error| words(&io::Error::new(io::ErrorKind::InvalidData, error)).unwrap();
        let unknown = of(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        assert!(unknown.contains("`cafile`"), "{unknown}");
        let wanted = of(Error::AlertReceived(AlertDescription::CertificateRequired));
        assert!(wanted.contains("`certfile`"), "{wanted}");
        assert_eq!(words(&io::Error::from(io::ErrorKind::ConnectionRefused)), None);
    }
}
