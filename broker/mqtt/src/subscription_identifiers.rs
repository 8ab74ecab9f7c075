//! Subscription identifiers of a PUBLISH.
//!
//! Responsible for the property that may occur many times in what a server sends. The numbers
//! are never collected: they stay where they are and are walked over when somebody asks.

use alloc::vec::Vec;
use core::fmt;

use crate::error::EncodeError;
use crate::property::{Property, Walk};

/// The identifiers of the subscriptions because of which a message arrives, from 1 to
/// 268,435,455 each.
#[derive(Clone, Copy)]
pub struct SubscriptionIdentifiers<'a>(Numbers<'a>);

#[derive(Clone, Copy)]
enum Numbers<'a> {
    /// A checked block of properties; others among them are passed over.
    Wire(&'a [u8]),
    List(&'a [u32]),
}

impl<'a> SubscriptionIdentifiers<'a> {
    /// Takes a block whose properties have all been decoded without error.
    #[inline]
    pub(crate) const fn from_checked(block: &'a [u8]) -> Self {
        Self(Numbers::Wire(block))
    }

    /// The identifiers in their order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + use<'a> {
        let (block, list): (&[u8], &[u32]) = match self.0 {
            Numbers::Wire(block) => (block, &[]),
            Numbers::List(list) => (&[], list),
        };
        let wire = Walk::new(block).filter_map(|property| match property {
            Property::SubscriptionIdentifier(identifier) => Some(identifier),
            _ => None,
        });
        wire.chain(list.iter().copied())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        match self.0 {
            Numbers::Wire(block) => block.is_empty(),
            Numbers::List(list) => list.is_empty(),
        }
    }

    /// Appends all identifiers as properties.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let mut identifiers = self.iter();
        identifiers
            .try_for_each(|identifier| Property::SubscriptionIdentifier(identifier).encode(out))
    }
}

impl Default for SubscriptionIdentifiers<'_> {
    #[inline]
    fn default() -> Self {
        Self(Numbers::Wire(&[]))
    }
}

impl<'a> From<&'a [u32]> for SubscriptionIdentifiers<'a> {
    fn from(list: &'a [u32]) -> Self {
        Self(Numbers::List(list))
    }
}

impl PartialEq for SubscriptionIdentifiers<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for SubscriptionIdentifiers<'_> {}

impl fmt::Debug for SubscriptionIdentifiers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
