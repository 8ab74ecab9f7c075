//! User properties.
//!
//! Responsible for the one property that may occur many times in every packet. The pairs are
//! never collected: they stay where they are and are walked over when somebody asks.

use alloc::vec::Vec;
use core::fmt;

use crate::error::EncodeError;
use crate::property::{Property, Walk};

/// Name and value pairs that mean something to the application, in their order.
///
/// Borrowed from a packet, or made from a slice to be encoded:
///
/// ```
/// use weir_mqtt::UserProperties;
///
/// let properties = UserProperties::from(&[("unit", "celsius"), ("site", "north")][..]);
/// assert_eq!(properties.iter().last(), Some(("site", "north")));
/// ```
#[derive(Clone, Copy)]
pub struct UserProperties<'a>(Pairs<'a>);

#[derive(Clone, Copy)]
enum Pairs<'a> {
    /// A checked block of properties; others among them are passed over.
    Wire(&'a [u8]),
    List(&'a [(&'a str, &'a str)]),
}

impl<'a> UserProperties<'a> {
    /// Takes a block whose properties have all been decoded without error.
    #[inline]
    pub(crate) const fn from_checked(block: &'a [u8]) -> Self {
        Self(Pairs::Wire(block))
    }

    /// The pairs in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let (block, list): (&[u8], &[_]) = match self.0 {
            Pairs::Wire(block) => (block, &[]),
            Pairs::List(list) => (&[], list),
        };
        let wire = Walk::new(block).filter_map(|property| match property {
            Property::User(name, value) => Some((name, value)),
            _ => None,
        });
        wire.chain(list.iter().copied())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        match self.0 {
            Pairs::Wire(block) => block.is_empty(),
            Pairs::List(list) => list.is_empty(),
        }
    }

    /// Appends all pairs as properties.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.iter().try_for_each(|(name, value)| Property::User(name, value).encode(out))
    }
}

impl Default for UserProperties<'_> {
    #[inline]
    fn default() -> Self {
        Self(Pairs::Wire(&[]))
    }
}

impl<'a> From<&'a [(&'a str, &'a str)]> for UserProperties<'a> {
    fn from(list: &'a [(&'a str, &'a str)]) -> Self {
        Self(Pairs::List(list))
    }
}

impl PartialEq for UserProperties<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for UserProperties<'_> {}

impl fmt::Debug for UserProperties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
