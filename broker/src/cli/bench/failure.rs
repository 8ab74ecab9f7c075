//! Why a run cannot be made, or cannot go on.

use std::io;

use thiserror::Error;
use weir_mqtt::{EncodeError, QoS};

/// Why a run cannot be made. What a broker does wrong with a message is not here: that is counted.
#[derive(Debug, Error)]
pub(crate) enum BenchError {
    /// It was closed while an answer was waited for.
    #[error("the broker closed a connection instead of sending {what}")]
    Closed { what: &'static str },
    /// No connection to a broker.
    #[error("cannot connect to {address}")]
    Connect { address: String, source: io::Error },
    /// More connections than the system gives to a process.
    #[error("{needed} connections need {needed} file descriptors, and the limit is {limit}")]
    Descriptors { needed: u64, limit: u64 },
    /// A topic or payload that no packet can carry.
    #[error("a message cannot be written")]
    Encode(#[from] EncodeError),
    /// A subscription that is refused or granted less.
    #[error("the broker does not grant a subscription with QoS {}", u8::from(*qos))]
    Granted { qos: QoS },
    /// Network of this machine.
    #[error("the system does not give what is needed")]
    Network(#[source] io::Error),
    /// There is no such process, or no `/proc`.
    #[error("the process {pid} cannot be looked at")]
    Process { pid: u32, source: io::Error },
    /// Bytes that are no MQTT.
    #[error("the broker sent what is not MQTT: {0}")]
    Protocol(String),
    /// A connection that is refused.
    #[error("the broker refused a connection: {reason}")]
    Refused { reason: String },
    /// Something that has to come and does not.
    #[error("no {what} from the broker within {seconds} seconds")]
    Silent { what: &'static str, seconds: u64 },
    /// A number of things that cannot be.
    #[error("{reason}")]
    TooMany { reason: String, help: &'static str },
}

impl BenchError {
    /// What to do next.
    pub(crate) fn help(&self) -> Option<String> {
        Some(match self {
            Self::Closed { .. }
            | Self::Granted { .. }
            | Self::Protocol(_)
            | Self::Silent { .. } => "the log of the broker may say why".to_owned(),
            Self::Connect { .. } => {
                "is a broker running there? `weir run` starts one on this machine; -h and -p \
                 name another"
                    .to_owned()
            }
            Self::Descriptors { needed, .. } => format!(
                "`ulimit -n {needed}` raises it in this shell as far as the hard limit allows \
                 (`ulimit -Hn`), and --clients asks for fewer; the broker needs as many"
            ),
            Self::Process { .. } => {
                "--pid takes the number of the broker's process on this machine, for example \
                 from `pidof weir`"
                    .to_owned()
            }
            Self::Refused { .. } => {
                "it must allow these clients: -u and -P give a name and a password; topics begin \
                 with bench/"
                    .to_owned()
            }
            Self::TooMany { help, .. } => (*help).to_owned(),
            Self::Encode(_) | Self::Network(_) => return None,
        })
    }
}
