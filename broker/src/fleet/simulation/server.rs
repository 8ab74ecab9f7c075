//! The server of the simulation: a stream, two buckets, and what it owes each connection.

use std::collections::{BTreeMap, BTreeSet};

use weir_core::Message;

use super::one_box::OneBox;
use crate::fleet::boxes::Wants;
use crate::fleet::bucket::{Outcome, Put};
use crate::fleet::copied_to::CopiedTo;
use crate::fleet::envelope;

/// Something on its way to the server.
pub(super) enum Request {
    Acknowledge(u64),
    Copy { record: u16, to: String, id: String, bytes: Vec<u8> },
    Put(Put),
    Wants(Wants),
}

/// Something on its way to a box.
pub(super) enum Said {
    CopyStored(u16),
    Entry {
        revision: u64,
        message: Message,
        copied_to: CopiedTo,
        is_last: bool,
    },
    Message {
        sequence: u64,
        id: String,
        bytes: Vec<u8>,
    },
    /// For a copy.
    NoRoom,
    PutOutcome {
        topic: String,
        outcome: Outcome,
    },
    Wants {
        name: String,
        at: u64,
        wants: Wants,
    },
}

#[derive(Default)]
pub(super) struct Server {
    /// Messages that there is room for.
    room: usize,
    /// How often there was none.
    pub(super) without_room: u32,
    last: u64,
    /// Messages by their position: for whom, identifier and bytes.
    messages: BTreeMap<u64, (String, String, Vec<u8>)>,
    known: BTreeSet<String>,
    /// Values by their revision, and where each topic is.
    entries: BTreeMap<u64, (Message, CopiedTo)>,
    places: BTreeMap<String, u64>,
    wants: BTreeMap<u64, (String, Wants)>,
}

impl Said {
    pub(super) fn is_answer(&self) -> bool {
        matches!(self, Self::CopyStored(_) | Self::NoRoom | Self::PutOutcome { .. })
    }
}

impl Server {
    pub(super) fn new(room: usize) -> Self {
        Self { room, ..Self::default() }
    }

    /// What all boxes want, as far as they have said.
    pub(super) fn said(&self) -> impl Iterator<Item = (u64, &str, &Wants)> {
        self.wants.iter().map(|(at, (name, wants))| (*at, name.as_str(), wants))
    }

    pub(super) fn is_without_values(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes the next request of a box.
    pub(super) fn take(&mut self, one: &mut OneBox) -> bool {
        let Some(link) = &mut one.link else { return false };
        let Some(request) = link.up.pop_front() else { return false };
        match request {
            Request::Acknowledge(sequence) => drop(self.messages.remove(&sequence)),
            Request::Copy { record, to, id, bytes } => {
                let is_stored = self.store(to, id, bytes);
                link.down.push_back(if is_stored {
                    Said::CopyStored(record)
                } else {
                    Said::NoRoom
                });
            }
            Request::Put(put) => {
                let topic = put.message.topic().to_owned();
                let outcome = self.put(&topic, put);
                link.down.push_back(Said::PutOutcome { topic, outcome });
            }
            Request::Wants(wants) => {
                self.wants.retain(|_, (name, _)| *name != one.name);
                self.last += 1;
                self.wants.insert(self.last, (one.name.clone(), wants));
            }
        }
        true
    }

    /// Gives a box the next thing that it has asked for.
    pub(super) fn give(&self, one: &mut OneBox) -> bool {
        let Some(link) = &mut one.link else { return false };
        if let Some((at, (name, wants))) = self.wants.range(link.wants + 1..).next() {
            link.wants = *at;
            let (name, at, wants) = (name.clone(), *at, wants.clone());
            link.down.push_back(Said::Wants { name, at, wants });
            return true;
        }
        let mut messages = self.messages.range(link.messages + 1..);
        // Whether the value or the message comes first is left to chance.
        let message = messages.find(|(_, (to, ..))| *to == one.name);
        let entry = self.entries.range(link.entries + 1..).next();
        link.turn = !link.turn;
        match (message, entry) {
            (Some((sequence, (_, id, bytes))), entry) if link.turn || entry.is_none() => {
                link.messages = *sequence;
                let (sequence, id, bytes) = (*sequence, id.clone(), bytes.clone());
                link.down.push_back(Said::Message { sequence, id, bytes });
            }
            (_, Some((revision, (message, copied_to)))) => {
                link.entries = *revision;
                let is_last = self.entries.range(revision + 1..).next().is_none();
                let (message, copied_to) = (message.clone(), copied_to.clone());
                let revision = *revision;
                link.down.push_back(Said::Entry { revision, message, copied_to, is_last });
            }
            (_, None) => return false,
        }
        true
    }

    /// Answers whether it is there.
    fn store(&mut self, to: String, id: String, bytes: Vec<u8>) -> bool {
        let topic = envelope::open(&bytes).expect("it is well").topic().to_owned();
        let is_wanted = |(name, wants): &(String, Wants)| {
            *name == to && wants.filters.iter().any(|filter| super::matches(filter, &topic))
        };
        // Filters are only added in this simulation.
        assert!(self.wants.values().any(is_wanted), "{to} never wanted {topic}");
        if self.known.contains(&id) {
            return true;
        }
        if self.messages.len() >= self.room {
            self.without_room += 1;
            return false;
        }
        self.known.insert(id.clone());
        self.last += 1;
        self.messages.insert(self.last, (to, id, bytes));
        true
    }

    fn put(&mut self, topic: &str, put: Put) -> Outcome {
        let before = self.places.get(topic).copied().unwrap_or(0);
        if before != put.revision {
            return Outcome::Other(Some(before));
        }
        if let Some((old, _)) = self.entries.remove(&before) {
            assert!(old.version() < put.message.version(), "a newer value was overwritten");
        }
        self.last += 1;
        self.places.insert(topic.to_owned(), self.last);
        self.entries.insert(self.last, (put.message, put.copied_to));
        Outcome::Stored(self.last)
    }
}
