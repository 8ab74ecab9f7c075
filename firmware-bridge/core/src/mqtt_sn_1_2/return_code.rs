//! What became of a request (5.3.10).

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ReturnCode {
    /// Done.
    Accepted,
    /// The gateway has too much to do; the client waits before it tries again.
    Congestion,
    /// The topic id is not known; the client registers the topic anew.
    InvalidTopicId,
    /// The gateway cannot do this.
    NotSupported,
}

impl ReturnCode {
    /// The byte of the standard.
    pub const fn code(self) -> u8 {
        match self {
            Self::Accepted => 0x00,
            Self::Congestion => 0x01,
            Self::InvalidTopicId => 0x02,
            Self::NotSupported => 0x03,
        }
    }

    /// `None` is reserved.
    pub(super) const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0x00 => Self::Accepted,
            0x01 => Self::Congestion,
            0x02 => Self::InvalidTopicId,
            0x03 => Self::NotSupported,
            _ => return None,
        })
    }
}
