//! What comes from inside the broker and becomes durable as a whole: messages, the state they
//! came from, and how far their reader is.

use weir_core::{Change, Publication, ReaderId, Route, Sequence};

/// Messages and changes of one turn.
#[derive(Default)]
pub struct InnerTurn {
    /// Messages to publish, in order.
    pub publications: Vec<OwnedPublication>,
    /// Changes that go with them.
    pub changes: Vec<Change>,
    /// A reader is done with the log up to a position.
    pub done: Option<(ReaderId, Sequence)>,
    /// Called on the shard's thread once all of it is durable; must not wait.
    pub committed: Option<Box<dyn FnOnce() + Send>>,
}

/// A message from inside the broker on its way to a shard.
#[derive(Clone, Debug)]
pub struct OwnedPublication {
    /// The message as a record, see `weir_core::Message`.
    pub record: Vec<u8>,
    /// Where it goes.
    pub route: Route,
}

impl OwnedPublication {
    /// The message and its route, borrowed.
    ///
    /// # Panics
    /// When `record` was not made from the parts of a message.
    #[must_use]
    pub fn borrow(&self) -> Publication<'_> {
        let message = weir_core::parse_message(&self.record)
            .expect("a record that was made from parts is whole");
        Publication { message, route: self.route }
    }
}
