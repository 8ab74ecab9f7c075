//! When the broker received what the rules read, and how far their clock had gone before.
//!
//! A message that is lost with the power is published again and arrives again; the last time
//! counts, since only then it was used for good.

use std::collections::BTreeMap;

use super::model::MessageId;

/// Arrivals of messages, by the calendar of the broker.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    of: BTreeMap<MessageId, Arrival>,
    clock_ms: u64,
}

/// How a message came to the rules.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Arrival {
    /// When the broker received it.
    pub(crate) at_ms: u64,
    /// Timers up to then may have fired before it was handled; those up to `at_ms` have.
    pub(crate) clock_ms: u64,
}

impl Arrivals {
    /// The rules handle something that arrived at `at_ms`; which message, if it is one of a client.
    pub(crate) fn handled(&mut self, message: Option<MessageId>, at_ms: u64) {
        if let Some(message) = message {
            self.of.insert(message, Arrival { at_ms, clock_ms: self.clock_ms });
        }
        self.clock_went_to(at_ms);
    }

    /// Timers of the rules have fired up to then.
    pub(crate) fn clock_went_to(&mut self, unix_ms: u64) {
        self.clock_ms = self.clock_ms.max(unix_ms);
    }

    pub(crate) fn of(&self, message: MessageId) -> Option<Arrival> {
        self.of.get(&message).copied()
    }
}
