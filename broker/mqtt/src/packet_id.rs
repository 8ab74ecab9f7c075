//! Packet identifiers.
//!
//! Responsible for one invariant: a [`PacketId`] is never zero. Which identifiers are in use is
//! the business of a session.

use core::fmt;
use core::num::NonZeroU16;

/// The number that ties an acknowledgement to what it acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(NonZeroU16);

impl PacketId {
    /// Answers `None` for zero, which the standard forbids.
    pub const fn new(value: u16) -> Option<Self> {
        match NonZeroU16::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The number as it is on the wire.
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
