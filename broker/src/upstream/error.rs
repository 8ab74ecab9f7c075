//! What can go wrong on the way to an upstream, and what the operator can do about it.

use std::io;

use rustls::{AlertDescription, CertificateError, Error as TlsFault};

use crate::config::TlsError;

/// Why there is no connection any more, or never was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// It ended the connection with a reason.
    #[error("the upstream ended the connection: {0}")]
    Ended(String),
    /// What the fleet has there is not there any more.
    #[cfg(feature = "nats")]
    #[error("a stream of the fleet is gone: {0}")]
    Gone(String),
    /// A packet from there is larger than allowed.
    #[error("the upstream sent a packet of more than {limit} bytes")]
    IncomingTooLarge {
        /// The limit.
        limit: usize,
    },
    /// The program that runs the broker has dropped its sink.
    #[error("the program has let go of its sink")]
    LetGo,
    /// The files with which this side logs in cannot be used.
    #[cfg(feature = "nats")]
    #[error("no login for the upstream: {reason}")]
    Login {
        /// Why not.
        reason: String,
        /// What is to be done about it.
        help: &'static str,
    },
    /// The connection broke.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// It was only asked whether it answers, and does.
    #[error("the upstream answers in 3.1.1")]
    OnlyAsked,
    /// It says that it does not speak MQTT 5.
    #[error("the upstream does not speak MQTT 5: {0}")]
    OtherVersion(String),
    /// It answers, but not as an MQTT broker does.
    #[error("the upstream broke the protocol: {0}")]
    Protocol(String),
    /// It did not let the client in.
    #[error("the upstream refused the connection: {reason}")]
    Refused {
        /// Its reason.
        reason: String,
        /// What is to be done about it.
        help: &'static str,
    },
    /// It did not take a message, but may later.
    #[error("the upstream refused a message for now: {0}")]
    RefusedMessage(String),
    /// The two could not agree on TLS.
    #[error("no TLS with the upstream: {reason}")]
    Tls {
        /// Why not.
        reason: String,
        /// What is to be done about it.
        help: &'static str,
    },
    /// The files of this side cannot be used.
    #[error("no TLS with the upstream: {0}")]
    TlsFiles(#[from] TlsError),
    /// Nothing came back in time.
    #[error("the upstream did not answer in time")]
    Timeout,
    /// It ended the connection instead of saying whether it takes it.
    #[error("the connection was lost: closed by the upstream without an answer")]
    Unanswered,
    /// The host name has no address.
    #[error("unknown host `{host}`")]
    UnknownHost {
        /// The name.
        host: String,
    },
    /// The network or the host said no.
    #[error("cannot connect")]
    Unreachable(#[source] io::Error),
}

/// What came from outside, without what would end a line, and no more than is of use.
pub(crate) fn one_line(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect()
}

/// What is told of a text of the far end.
const REASON_CHARS_MAX: usize = 300;

impl LinkError {
    /// What to do next.
    pub(crate) fn help(&self) -> &'static str {
        match self {
            Self::Ended(_) => "look into the log of the upstream",
            #[cfg(feature = "nats")]
            Self::Gone(_) => {
                "nothing is lost, it is made again; see who removes streams at the server, and \
                 that none has other subjects than those of docs/fleet.md"
            }
            Self::IncomingTooLarge { .. } => "let the upstream send less at a time",
            Self::Lost(_) => {
                "nothing is lost; if it happens often, check the network, and that \
                              no other client uses the same `remote_clientid`"
            }
            Self::LetGo => "messages wait until the program takes them again",
            Self::OnlyAsked => "MQTT 5 is tried once more",
            Self::OtherVersion(_) => "3.1.1 is tried next",
            Self::Unanswered => {
                "look into the log of the upstream; 3.1.1 is tried if it happens again"
            }
            Self::Protocol(_) => "check that address and `bridge_protocol_version` fit",
            #[cfg(feature = "nats")]
            Self::Login { help, .. } => help,
            Self::Refused { help, .. } => help,
            Self::RefusedMessage(_) => "check quota and permissions at the upstream",
            Self::Tls { help, .. } => help,
            Self::TlsFiles(error) => error.help(),
            Self::Timeout => "check the address and any firewall on the way",
            Self::UnknownHost { .. } => "check `address` and the name server of this machine",
            Self::Unreachable(_) => "check `address`, and that the upstream is running",
        }
    }

    /// What an error of the operating system means here. Only the text tells that a name has no
    /// address: the kind of the error has no name yet.
    pub(crate) fn of_io(error: io::Error, host: &str) -> Self {
        if let Some(error) = Self::of_tls(&error) {
            return error;
        }
        let text = error.to_string();
        if text.contains("lookup address") {
            return Self::UnknownHost { host: host.to_owned() };
        }
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Timeout,
            io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::UnexpectedEof => Self::Lost(text),
            _ => Self::Unreachable(error),
        }
    }

    /// What an error in a handshake, or an answer to one, means here; none for an error of another
    /// kind.
    pub(crate) fn of_tls(error: &io::Error) -> Option<Self> {
        let fault = error.get_ref()?.downcast_ref::<TlsFault>()?;
        let help = match fault {
            TlsFault::InvalidCertificate(certificate) => match certificate {
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    "name the authority of the upstream's certificate in `cafile`"
                }
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } => {
                    "use the host name of the certificate in `address`; `insecure = true` does \
                     without"
                }
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => {
                    "renew the certificate of the upstream, or set the clock of this machine right"
                }
                _ => "look at the certificate of the upstream with `openssl s_client -connect`",
            },
            TlsFault::AlertReceived(
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRevoked
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied
                // What OpenSSL says to a client of TLS 1.2 without a certificate.
                | AlertDescription::HandshakeFailure,
            ) => "the upstream wants another certificate: check `certfile` and `keyfile`",
            _ => "check that the port of `address` speaks TLS, and `tls_version`",
        };
        Some(Self::Tls { reason: fault.to_string(), help })
    }

    /// The whole text with its cause.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Unreachable(cause) => format!("{self}: {cause}"),
            _ => self.to_string(),
        }
    }
}
