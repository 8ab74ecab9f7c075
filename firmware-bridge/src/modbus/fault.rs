//! Why a request has no answer that can be used.

use thiserror::Error;

/// Why a request has no answer that can be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The device refused, with an exception code of the standard.
    #[error("the device refuses: {} (exception {code})", exception_name(*code))]
    Exception {
        /// The code.
        code: u8,
    },
    /// What came is not an answer to the request.
    #[error("the answer does not fit the request: {reason}")]
    Mismatch {
        /// In which way.
        reason: String,
    },
    /// Nothing came in time.
    #[error("no answer within {timeout_ms} ms")]
    Timeout {
        /// How long was waited.
        timeout_ms: u64,
    },
    /// The line or connection cannot be opened, or broke.
    #[error("{reason}")]
    Transport {
        /// What the system says.
        reason: String,
    },
}

impl Fault {
    /// The kind of event.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Exception { .. } => "exception",
            Self::Mismatch { .. } => "mismatch",
            Self::Timeout { .. } => "timeout",
            Self::Transport { .. } => "bus",
        }
    }

    /// Whether the device is there all the same.
    pub fn is_answer(&self) -> bool {
        matches!(self, Self::Exception { .. })
    }
}

/// The names of the standard (MODBUS Application Protocol 1.1b3, section 7).
fn exception_name(code: u8) -> &'static str {
    match code {
        1 => "illegal function",
        2 => "illegal data address",
        3 => "illegal data value",
        4 => "server device failure",
        5 => "acknowledge",
        6 => "server device busy",
        8 => "memory parity error",
        10 => "gateway path unavailable",
        11 => "gateway target device failed to respond",
        _ => "unknown code",
    }
}
