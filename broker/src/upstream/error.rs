//! What can go wrong on the way to an upstream, and what the operator can do about it.

use std::io;

/// Why there is no connection any more, or never was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// It ended the connection with a reason.
    #[error("the upstream ended the connection: {0}")]
    Ended(String),
    /// A packet from there is larger than allowed.
    #[error("the upstream sent a packet of more than {limit} bytes")]
    IncomingTooLarge {
        /// The limit.
        limit: usize,
    },
    /// The connection broke.
    #[error("the connection was lost: {0}")]
    Lost(String),
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
    /// Nothing came back in time.
    #[error("the upstream did not answer in time")]
    Timeout,
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

impl LinkError {
    /// What to do next.
    pub(crate) fn help(&self) -> &'static str {
        match self {
            Self::Ended(_) => "look into the log of the upstream",
            Self::IncomingTooLarge { .. } => "let the upstream send less at a time",
            Self::Lost(_) => {
                "nothing is lost; if it happens often, check the network, and that \
                              no other client uses the same `remote_clientid`"
            }
            Self::Protocol(_) => "check that address and `bridge_protocol_version` fit",
            Self::Refused { help, .. } => help,
            Self::RefusedMessage(_) => "check quota and permissions at the upstream",
            Self::Timeout => "check the address and any firewall on the way",
            Self::UnknownHost { .. } => "check `address` and the name server of this machine",
            Self::Unreachable(_) => "check `address`, and that the upstream is running",
        }
    }

    /// The whole text with its cause.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Unreachable(cause) => format!("{self}: {cause}"),
            _ => self.to_string(),
        }
    }
}
