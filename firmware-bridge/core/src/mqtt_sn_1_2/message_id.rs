//! The number that ties an acknowledgement to its packet.

/// A message identifier. Zero stands in packets that need none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MessageId(pub u16);
