//! The number that ties an acknowledgement to its packet.

/// A message identifier. Zero stands in packets that need none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub u16);
