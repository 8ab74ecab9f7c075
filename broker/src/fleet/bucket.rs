//! The bucket of retained messages, as this box knows it, and what it writes there.
//!
//! Pure. An entry is only ever replaced by a message with a higher version: a write names the
//! revision that it takes the place of, and when the server has another one meanwhile it waits
//! until that has come, and compares again. So no box overwrites a newer value with an older one,
//! however long it was away. Of each topic one write is under way at a time, and one waits.

use std::collections::BTreeMap;

use weir_core::{Message, RetainedVersion};

use super::copied_to::CopiedTo;

/// What is known of the bucket.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    entries: BTreeMap<Box<str>, Entry>,
    /// Writes that are under way or wait, by topic.
    writes: BTreeMap<Box<str>, Write>,
    /// The bucket is read: what is not known is not there.
    is_read: bool,
    /// Entries that hold a message.
    messages: u64,
}

/// An entry of the bucket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Entry {
    revision: u64,
    version: RetainedVersion,
    expires_at_ms: u64,
}

#[derive(Debug)]
struct Write {
    message: Message,
    copied_to: CopiedTo,
    state: WriteState,
    /// Records of the log that are done with once it is written.
    records: Vec<u16>,
    next: Option<Next>,
}

#[derive(Debug)]
struct Next {
    message: Message,
    copied_to: CopiedTo,
    records: Vec<u16>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum WriteState {
    /// It is to be sent.
    Ready,
    /// It was sent, in the place of this revision.
    Sent(u64),
    /// The server has another entry than this one, which is to come.
    Stale(u64),
}

/// A message for the bucket, in the place of a revision; 0 = there is none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Put {
    pub(super) message: Message,
    pub(super) copied_to: CopiedTo,
    pub(super) revision: u64,
}

/// What came of a write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// It is there, as this revision.
    Stored(u64),
    /// The server has no room for it.
    NoRoom,
    /// Another revision is there; none if the server did not say which.
    Other(Option<u64>),
    /// The server will never take it.
    Refused,
}

/// What a write has led to.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Done {
    /// Records of the log that are done with.
    pub(super) records: Vec<u16>,
    /// They are so because the server refuses them.
    pub(super) is_refused: bool,
    /// A removal that is written. This box may have taken an older value meanwhile: a process that
    /// has begun after the removal does not know of it.
    pub(super) removal: Option<Message>,
}

impl Bucket {
    /// A connection is open: everything is read anew. What is not written is given again from the
    /// log.
    pub(super) fn connected(&mut self) {
        *self = Self::default();
    }

    /// Everything that is in the bucket has come.
    pub(super) fn read(&mut self) {
        self.is_read = true;
    }

    pub(super) fn is_read(&self) -> bool {
        self.is_read
    }

    /// Retained messages in the bucket.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// An entry has come. Answers whether this box is to know of it; it knows what it has written.
    pub(super) fn handle_entry(&mut self, revision: u64, message: &Message) -> bool {
        let topic = message.topic();
        let version = message.version();
        let known = self.entries.get(topic);
        if known.is_some_and(|known| known.revision > revision) {
            return false;
        }
        let is_news = known.is_none_or(|known| known.version != version);
        self.note(message, revision);
        if let Some(write) = self.writes.get_mut(topic)
            && matches!(write.state, WriteState::Stale(before) if before < revision)
        {
            write.state = WriteState::Ready;
        }
        is_news
    }

    /// What was removed after this message, if it is retained nowhere any more. It may still come
    /// from a box that was away, to this one which remembers nothing that is not retained.
    pub(super) fn removal_after(&self, message: &Message) -> Option<Message> {
        let entry = self.entries.get(message.topic())?;
        let is_removed = entry.version.is_removal && entry.version > message.version();
        is_removed.then(|| removal_at(message, entry.version.time_ms))
    }

    /// A message is to be in the bucket, unless what is there has a higher version. `record` is
    /// done with once that is so.
    pub(super) fn put(&mut self, message: Message, copied_to: CopiedTo, record: Option<u16>) {
        let topic: Box<str> = message.topic().into();
        let Some(write) = self.writes.get_mut(&topic) else {
            let records = record.into_iter().collect();
            self.writes.insert(topic, Write::of(Next { message, copied_to, records }));
            return;
        };
        let Some(next) = &mut write.next else {
            let records = record.into_iter().collect();
            write.next = Some(Next { message, copied_to, records });
            return;
        };
        next.records.extend(record);
        // The later one may count as earlier: after a restart it is not known what was removed.
        if next.message.version() <= message.version() {
            (next.message, next.copied_to) = (message, copied_to);
        }
    }

    /// The next message to write, if there is one, and the records that need no write because
    /// something newer is there.
    pub(super) fn take_put(&mut self, done: &mut Done) -> Option<Put> {
        if !self.is_read {
            return None;
        }
        let ready = |write: &Write| write.state == WriteState::Ready;
        loop {
            let (topic, write) = self.writes.iter_mut().find(|(_, write)| ready(write))?;
            let entry = self.entries.get(topic);
            if entry.is_some_and(|entry| entry.version >= write.message.version()) {
                done.records.append(&mut write.records);
                let topic = topic.clone();
                self.end(&topic);
                continue;
            }
            let revision = entry.map_or(0, |entry| entry.revision);
            write.state = WriteState::Sent(revision);
            let (message, copied_to) = (write.message.clone(), write.copied_to.clone());
            return Some(Put { message, copied_to, revision });
        }
    }

    /// What came of the write of a topic.
    pub(super) fn handle_outcome(&mut self, topic: &str, outcome: Outcome, done: &mut Done) {
        let Some(write) = self.writes.get_mut(topic) else { return };
        let WriteState::Sent(before) = write.state else { return };
        match outcome {
            Outcome::Stored(revision) => {
                done.records.append(&mut write.records);
                let message = write.message.clone();
                done.removal = message.payload().is_empty().then(|| message.clone());
                let known = self.entries.get(topic).map_or(0, |entry| entry.revision);
                if known < revision {
                    self.note(&message, revision);
                }
                self.end(topic);
            }
            Outcome::NoRoom => write.state = WriteState::Ready,
            Outcome::Other(Some(0)) => {
                // It was cleaned up, and nothing will come.
                write.state = WriteState::Ready;
                self.forget(topic);
            }
            Outcome::Other(_) => {
                let known = self.entries.get(topic).map_or(0, |entry| entry.revision);
                let has_come = known > before;
                write.state = if has_come { WriteState::Ready } else { WriteState::Stale(before) };
            }
            Outcome::Refused => {
                done.records.append(&mut write.records);
                done.is_refused = true;
                self.end(topic);
            }
        }
    }

    /// What was sent may not have been stored, and is sent again.
    pub(super) fn give_up(&mut self) {
        // Writes for records of the log are given again with them.
        self.writes.retain(|_, write| write.records.is_empty() || write.next.is_some());
        for write in self.writes.values_mut() {
            if let Some(next) = write.next.take()
                && next.message.version() >= write.message.version()
            {
                write.message = next.message;
                write.copied_to = next.copied_to;
            }
            write.records.clear();
            write.state = WriteState::Ready;
        }
    }

    /// Compares what is retained here with the bucket, which is read. What this box has published
    /// since it was in step is written; what was in step and is there no more was removed
    /// meanwhile, and is answered as removals. `in_step_until_ms` is a time of this box.
    pub(super) fn reconcile<'m>(
        &mut self,
        here: impl Iterator<Item = &'m Message>,
        copied_to: &CopiedTo,
        in_step_until_ms: u64,
    ) -> Vec<Message> {
        debug_assert!(self.is_read, "what is there is known");
        let mut removals = Vec::new();
        for message in here {
            let version = message.version();
            match self.entries.get(message.topic()) {
                Some(entry) if entry.version >= version => {}
                None if version.time_ms < in_step_until_ms => removals.push(removal_of(message)),
                Some(_) | None => self.put(message.clone(), copied_to.clone(), None),
            }
        }
        removals
    }

    /// The revisions that say that something was removed or that has expired, so long ago that
    /// every box knows by now; each topic with its revision.
    pub(super) fn outlived(&self, unix_ms: u64, kept_ms: u64) -> Vec<(Box<str>, u64)> {
        let is_outlived = |entry: &Entry| {
            let ended_ms = match entry.version.is_removal {
                true => entry.version.time_ms,
                false if entry.expires_at_ms > 0 => entry.expires_at_ms,
                false => return false,
            };
            ended_ms.saturating_add(kept_ms) < unix_ms
        };
        let entries = self.entries.iter().filter(|(_, entry)| is_outlived(entry));
        entries.take(OUTLIVED_MAX).map(|(topic, entry)| (topic.clone(), entry.revision)).collect()
    }

    /// The entry of a topic was taken away at the server, at this revision.
    pub(super) fn cleaned(&mut self, topic: &str, revision: u64) {
        if self.entries.get(topic).is_some_and(|entry| entry.revision <= revision) {
            self.forget(topic);
        }
    }

    /// Writes that are under way or wait.
    pub(super) fn depth(&self) -> usize {
        self.writes.len()
    }

    fn note(&mut self, message: &Message, revision: u64) {
        let version = message.version();
        let expires_at_ms = message.expires_at_ms().unwrap_or(0);
        let entry = Entry { revision, version, expires_at_ms };
        let before = self.entries.insert(message.topic().into(), entry);
        let held = before.is_some_and(|before| !before.version.is_removal);
        self.messages -= u64::from(held);
        self.messages += u64::from(!version.is_removal);
    }

    fn forget(&mut self, topic: &str) {
        let before = self.entries.remove(topic);
        self.messages -= u64::from(before.is_some_and(|before| !before.version.is_removal));
    }

    /// The write of a topic is over; the one behind it is next.
    fn end(&mut self, topic: &str) {
        let Some(write) = self.writes.remove(topic) else { return };
        if let Some(next) = write.next {
            self.writes.insert(topic.into(), Write::of(next));
        }
    }
}

impl Write {
    fn of(Next { message, copied_to, records }: Next) -> Self {
        Self { message, copied_to, state: WriteState::Ready, records, next: None }
    }
}

/// That a message is not retained any more.
fn removal_of(message: &Message) -> Message {
    removal_at(message, message.received_at_ms().saturating_add(1))
}

/// The same, since then.
fn removal_at(message: &Message, received_at_ms: u64) -> Message {
    let parts = message.parts();
    let removal = weir_core::MessageParts {
        payload: &[],
        properties: &[],
        expires_at_ms: None,
        received_at_ms,
        ..parts
    };
    Message::new(&removal, &mut Vec::new())
}

/// Entries that are cleaned up at a time.
const OUTLIVED_MAX: usize = 256;

#[cfg(test)]
mod tests;
