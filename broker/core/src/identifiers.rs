//! The subscription identifiers of waiting messages that have more than one.
//!
//! A message has those of all subscriptions that it matches [MQTT-3.3.4-3], and a client may have
//! thousands that match the same topic: the lists can be far longer than the messages, so they
//! count among the bytes that wait.

use std::collections::BTreeMap;

use crate::identity::Sequence;
use crate::rare::Empty;

/// The lists of one session.
#[derive(Debug, Default)]
pub(crate) struct IdentifierLists {
    lists: BTreeMap<Sequence, Box<[u32]>>,
    /// Identifiers in all lists.
    count: usize,
}

impl Empty for IdentifierLists {
    const EMPTY: &'static Self = &Self { lists: BTreeMap::new(), count: 0 };
}

impl IdentifierLists {
    pub(crate) fn insert(&mut self, sequence: Sequence, list: Box<[u32]>) {
        self.count += list.len();
        let before = self.lists.insert(sequence, list);
        self.count -= before.map_or(0, |before| before.len());
    }

    pub(crate) fn remove(&mut self, sequence: Sequence) {
        self.count -= self.lists.remove(&sequence).map_or(0, |list| list.len());
    }

    pub(crate) fn get(&self, sequence: Sequence) -> Option<&[u32]> {
        self.lists.get(&sequence).map(|list| &**list)
    }

    /// Number of messages with a list.
    pub(crate) fn len(&self) -> usize {
        self.lists.len()
    }

    /// Bytes that the lists take.
    pub(crate) fn bytes(&self) -> usize {
        self.count * size_of::<u32>()
    }

    /// Counts again what is counted; for checks.
    pub(crate) fn check_count(&self) {
        assert_eq!(self.count, self.lists.values().map(|list| list.len()).sum::<usize>());
    }
}
