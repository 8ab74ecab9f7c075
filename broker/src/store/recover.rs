//! What a shard and the rules get back when the broker starts.
//!
//! Everything is checked while it is read, and a bad record names its table and key. Rows of a
//! session that is gone are passed over: they are harmless, and nothing would be gained by
//! refusing to start.

use std::collections::BTreeSet;
use std::ops::{Bound, RangeInclusive};

use redb::{ReadTransaction, ReadableTable as _};
use weir_core::{
    Cursor, Destination, Message, QueuedRecord, ReaderId, Recovered, RecoveredSession, Sequence,
    SessionId, ShardId, Target,
};

use crate::store::error::{MalformedRecord, StoreError};
use crate::store::schema::{self, fixed, number};
use crate::store::{Store, record};

/// The committed state of the rules.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RuleState {
    /// The last whole state, in the parts and the order in which it was given.
    pub snapshot: Vec<Vec<u8>>,
    /// The changes since then, in order.
    pub deltas: Vec<Vec<u8>>,
}

impl Store {
    /// The state of a shard after the last committed group. Readers count as present once
    /// [`Store::register_readers`] has named them, so call that first. The retained messages
    /// are those of the whole broker. Queued messages come with it up to `queued_memory` bytes;
    /// the others are read when their turn comes ([`Store::read_messages`]). What is in the
    /// journal only goes to the database first.
    ///
    /// # Errors
    /// When the file cannot be read or holds a bad record.
    pub fn recover(&self, shard: ShardId, queued_memory: usize) -> Result<Recovered, StoreError> {
        self.settle()?;
        self.guarded(|| {
            let transaction = self.read()?;
            let readers = self.readers();
            let mut recovery = Recovery {
                store: self,
                transaction: &transaction,
                shard,
                readers: &readers,
                queued_memory,
                recovered: Recovered::default(),
            };
            recovery.sessions()?;
            recovery.cursors()?;
            recovery.subscriptions()?;
            recovery.inflight()?;
            recovery.received()?;
            recovery.log()?;
            recovery.retained()?;
            recovery.reader_cursors()?;
            let mut recovered = recovery.recovered;
            recovered.next_sequence = self.next_sequence(shard, &recovered);
            Ok(recovered)
        })
    }

    /// The client identifiers of all kept sessions, each with its shard. What is in the journal only
    /// goes to the database first.
    ///
    /// # Errors
    /// When the file cannot be read or holds a bad record.
    pub fn clients(&self) -> Result<Vec<(Box<str>, ShardId)>, StoreError> {
        self.settle()?;
        self.guarded(|| {
            let transaction = self.read()?;
            let table = transaction.open_table(schema::SESSION).map_err(|e| self.engine(e))?;
            let rows = table.iter().map_err(|e| self.engine(e))?;
            rows.map(|row| {
                let (key, value) = row.map_err(|e| self.engine(e))?;
                let malformed = |error: MalformedRecord| error.at("session", key.value());
                let (shard, _) = schema::session_key_parts(fixed(key.value()).map_err(malformed)?);
                let record = record::decode_session(value.value()).map_err(malformed)?;
                Ok((record.client_id, shard))
            })
            .collect()
        })
    }

    /// The state of the rules after the last committed group. What is in the journal only goes
    /// to the database first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn rules(&self) -> Result<RuleState, StoreError> {
        self.settle()?;
        self.guarded(|| {
            let transaction = self.read()?;
            let read = || -> Result<RuleState, redb::Error> {
                let mut rules = RuleState::default();
                for row in transaction.open_table(schema::RULE_SNAPSHOT)?.iter()? {
                    rules.snapshot.push(row?.1.value().to_vec());
                }
                for row in transaction.open_table(schema::RULE_DELTA)?.iter()? {
                    rules.deltas.push(row?.1.value().to_vec());
                }
                Ok(rules)
            };
            read().map_err(|error| self.engine(error))
        })
    }

    /// A store that has failed can still be read when nothing is in the journal only.
    pub(super) fn settle(&self) -> Result<(), StoreError> {
        if self.overlay().batches().is_empty() { Ok(()) } else { self.checkpoint() }
    }

    /// Messages that needed no write have positions too: a cursor can be ahead of the log.
    fn next_sequence(&self, shard: ShardId, recovered: &Recovered) -> Sequence {
        let written = self.log_stats(shard).next;
        let cursors = recovered.sessions.iter().map(|session| session.cursor.start);
        let readers = recovered.readers.iter().map(|(_, done)| done.next());
        cursors.chain(readers).fold(written.max(Sequence(1)), Sequence::max)
    }
}

struct Recovery<'a> {
    store: &'a Store,
    transaction: &'a ReadTransaction,
    shard: ShardId,
    readers: &'a BTreeSet<ReaderId>,
    /// Bytes that queued messages may still take.
    queued_memory: usize,
    recovered: Recovered,
}

impl Recovery<'_> {
    fn sessions(&mut self) -> Result<(), StoreError> {
        let table = self.table(schema::SESSION)?;
        let keys = self.session_keys();
        for row in table.range::<&[u8]>(bounds(&keys)).map_err(|e| self.store.engine(e))? {
            let (key, value) = row.map_err(|e| self.store.engine(e))?;
            let malformed = |error: MalformedRecord| error.at("session", key.value());
            let (_, session) = schema::session_key_parts(fixed(key.value()).map_err(malformed)?);
            let record = record::decode_session(value.value()).map_err(malformed)?;
            self.recovered.sessions.push(RecoveredSession {
                session,
                record,
                cursor: Cursor::default(),
                subscriptions: Vec::new(),
                inflight: Vec::new(),
                received: Vec::new(),
            });
        }
        Ok(())
    }

    fn cursors(&mut self) -> Result<(), StoreError> {
        let table = self.table(schema::CURSOR)?;
        let keys = self.session_keys();
        for row in table.range::<&[u8]>(bounds(&keys)).map_err(|e| self.store.engine(e))? {
            let (key, value) = row.map_err(|e| self.store.engine(e))?;
            let malformed = |error: MalformedRecord| error.at("cursor", key.value());
            let (_, session) = schema::session_key_parts(fixed(key.value()).map_err(malformed)?);
            let cursor = record::decode_cursor(value.value()).map_err(malformed)?;
            if let Some(session) = self.session(session) {
                session.cursor = cursor;
            }
        }
        Ok(())
    }

    fn subscriptions(&mut self) -> Result<(), StoreError> {
        let table = self.table(schema::SUBSCRIPTION)?;
        let first = schema::session_key(self.shard, SessionId(0));
        let after = schema::session_key_after(&schema::session_key(self.shard, SessionId(!0)));
        let end = after.as_ref().map_or(Bound::Unbounded, |key| Bound::Excluded(&key[..]));
        let range: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Included(&first[..]), end);
        for row in table.range::<&[u8]>(range).map_err(|e| self.store.engine(e))? {
            let (key, value) = row.map_err(|e| self.store.engine(e))?;
            let malformed = |error: MalformedRecord| error.at("subscription", key.value());
            let (session, filter) =
                schema::subscription_key_parts(key.value()).map_err(malformed)?;
            let value = fixed(value.value()).map_err(malformed)?;
            let subscription = record::decode_subscription(value).map_err(malformed)?;
            if let Some(session) = self.session(session) {
                session.subscriptions.push((filter.into(), subscription));
            }
        }
        Ok(())
    }

    fn inflight(&mut self) -> Result<(), StoreError> {
        let table = self.table(schema::INFLIGHT_OUT)?;
        let keys = self.packet_keys();
        for row in table.range::<&[u8]>(bounds(&keys)).map_err(|e| self.store.engine(e))? {
            let (key, value) = row.map_err(|e| self.store.engine(e))?;
            let malformed = |error: MalformedRecord| error.at("inflight_out", key.value());
            let (session, packet_id) =
                fixed(key.value()).and_then(schema::packet_key_parts).map_err(malformed)?;
            let state = number(value.value()).map_err(malformed)?;
            let state = record::decode_inflight(state);
            if let Some(session) = self.session(session) {
                session.inflight.push((packet_id, state));
            }
        }
        Ok(())
    }

    fn received(&mut self) -> Result<(), StoreError> {
        let table = self.table(schema::RECEIVED_QOS2)?;
        let keys = self.packet_keys();
        for row in table.range::<&[u8]>(bounds(&keys)).map_err(|e| self.store.engine(e))? {
            let (key, _) = row.map_err(|e| self.store.engine(e))?;
            let (session, packet_id) = fixed(key.value())
                .and_then(schema::packet_key_parts)
                .map_err(|error| error.at("received_qos2", key.value()))?;
            if let Some(session) = self.session(session) {
                session.received.push(packet_id);
            }
        }
        Ok(())
    }

    fn log(&mut self) -> Result<(), StoreError> {
        let table = self.table(schema::LOG)?;
        let first = schema::log_key(self.shard, Sequence(0));
        let last = schema::log_key(self.shard, Sequence(u64::MAX));
        for row in table.range::<&[u8]>(&first[..]..=&last).map_err(|e| self.store.engine(e))? {
            let (key, value) = row.map_err(|e| self.store.engine(e))?;
            let malformed = |error: MalformedRecord| error.at("log", key.value());
            let (_, sequence) = schema::log_key_parts(fixed(key.value()).map_err(malformed)?);
            let (mut targets, message) = record::decode_logged(value.value()).map_err(malformed)?;
            targets.retain(|target| match target.destination {
                Destination::Reader(reader) => self.readers.contains(&reader),
                Destination::Session(session) => self.session_place(session).is_ok(),
            });
            if !targets.is_empty() {
                let (bytes, expires_at_ms) = (message.len(), message.parts().expires_at_ms);
                let message = self.takes_memory(bytes, &targets).then_some(message);
                self.recovered.log.push(QueuedRecord {
                    sequence,
                    bytes,
                    expires_at_ms,
                    message,
                    targets,
                });
            }
        }
        Ok(())
    }

    /// Whether a message is handed over now. What waits for no session is handed to nobody, and
    /// members of a share cannot wait for a read.
    fn takes_memory(&mut self, bytes: usize, targets: &[Target]) -> bool {
        let is_queued = targets.iter().any(|t| matches!(t.destination, Destination::Session(_)));
        let has_room = bytes <= self.queued_memory || targets.iter().any(Target::is_shared);
        if is_queued && has_room {
            self.queued_memory = self.queued_memory.saturating_sub(bytes);
        }
        is_queued && has_room
    }

    fn retained(&mut self) -> Result<(), StoreError> {
        let table = self.table(schema::RETAINED)?;
        for row in table.iter().map_err(|e| self.store.engine(e))? {
            let (key, value) = row.map_err(|e| self.store.engine(e))?;
            let malformed = |error: MalformedRecord| error.at("retained", key.value());
            let message = Message::from_record(value.value())
                .map_err(|error| malformed(MalformedRecord::Message(error)))?;
            if message.topic().as_bytes() != key.value() {
                return Err(malformed(MalformedRecord::OutOfRange));
            }
            self.recovered.retained.push(message);
        }
        Ok(())
    }

    fn reader_cursors(&mut self) -> Result<(), StoreError> {
        let table = self.table(schema::READER_CURSOR)?;
        let first = schema::reader_key(self.shard, ReaderId(0));
        let last = schema::reader_key(self.shard, ReaderId(u16::MAX));
        for row in table.range::<&[u8]>(&first[..]..=&last).map_err(|e| self.store.engine(e))? {
            let (key, done) = row.map_err(|e| self.store.engine(e))?;
            let malformed = |error: MalformedRecord| error.at("reader_cursor", key.value());
            let (_, reader) = schema::reader_key_parts(fixed(key.value()).map_err(malformed)?);
            let done = number(done.value()).map_err(malformed)?;
            if self.readers.contains(&reader) {
                self.recovered.readers.push((reader, Sequence(done)));
            }
        }
        Ok(())
    }

    fn table(
        &self,
        definition: schema::Rows,
    ) -> Result<redb::ReadOnlyTable<&'static [u8], &'static [u8]>, StoreError> {
        self.transaction.open_table(definition).map_err(|error| self.store.engine(error))
    }

    fn session_keys(&self) -> RangeInclusive<schema::SessionKey> {
        schema::session_key(self.shard, SessionId(0))
            ..=schema::session_key(self.shard, SessionId(u32::MAX))
    }

    fn packet_keys(&self) -> RangeInclusive<schema::PacketKey> {
        let sessions = self.session_keys();
        let (first, _) = schema::packet_key_bounds(sessions.start());
        let (_, last) = schema::packet_key_bounds(sessions.end());
        first..=last
    }

    fn session_place(&self, session: SessionId) -> Result<usize, usize> {
        self.recovered.sessions.binary_search_by_key(&session, |recovered| recovered.session)
    }

    fn session(&mut self, session: SessionId) -> Option<&mut RecoveredSession> {
        let place = self.session_place(session).ok()?;
        self.recovered.sessions.get_mut(place)
    }
}

/// Keys of one length as the engine takes them.
fn bounds<const N: usize>(keys: &RangeInclusive<[u8; N]>) -> RangeInclusive<&[u8]> {
    &keys.start()[..]..=&keys.end()[..]
}
