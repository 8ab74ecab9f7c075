//! A store makes sense again after rows of it are gone.
//!
//! Rows that speak of what is not there would be harmless today and wrong tomorrow: a session
//! gets its number from the ones that are there, so what a lost one has left behind would become
//! that of a stranger. Positions go on behind all that could have been given, because a far end
//! knows messages by them. What cannot be known is decided so that rather something comes twice
//! than not at all, but for the windows of rules, which do not count twice.

use std::collections::{BTreeMap, BTreeSet};

use redb::ReadTransaction;
use weir_core::{Cursor, Destination, InflightState, ReaderId, Sequence, ShardId};

use super::fill::{Change, rows, write};
use super::row::{Row, Table, owner_of, session_of};
use crate::store::error::StoreError;
use crate::store::schema::{self, LogKey, SessionKey};
use crate::store::{Store, record};

/// What is known to be gone.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gaps {
    /// Part of the state of the rules.
    pub(crate) rules: bool,
    /// How far some reader was.
    pub(crate) reader_cursors: bool,
    /// All that could say which positions were given.
    pub(crate) positions: bool,
}

/// What was taken away or changed, in rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mended {
    /// Rows without the session, reader or message that they speak of, by table.
    pub(crate) removed: BTreeMap<Table, u64>,
    /// Deliveries under way whose message is gone: only the identifier is given back.
    pub(crate) released: u64,
    /// The state of the rules was incomplete, and is gone as a whole.
    pub(crate) rules_begin_anew: bool,
}

/// The name under which the rules read the log.
pub(crate) const RULES_READER: &str = "rules";

/// Positions between the last one that was seen and the next one that is given: more than a
/// store loses with any damage. The core keeps 8 bytes for 256 of them while older messages wait.
const GAP: u64 = 1 << 24;
/// More positions than a shard gives in a second.
const POSITIONS_A_SECOND_BITS: u32 = 20;

/// Mends a store that has nothing under way.
pub(crate) fn mend(store: &Store, gaps: Gaps, unix_s: u64) -> Result<Mended, StoreError> {
    store.guarded(|| {
        let transaction = store.read()?;
        let mut mending = Mending::read(store, &transaction)?;
        mending.log(&transaction)?;
        mending.sessions(&transaction)?;
        mending.readers(&transaction, gaps)?;
        mending.positions(gaps, unix_s);
        if gaps.rules {
            mending.rules(&transaction)?;
        }
        mending.finish()
    })
}

struct Mending<'s> {
    store: &'s Store,
    sessions: BTreeSet<SessionKey>,
    readers: BTreeMap<u16, String>,
    /// The messages that stay, in order.
    logged: Vec<LogKey>,
    next: BTreeMap<ShardId, Sequence>,
    /// Rows to be written, or removed, in the next transaction.
    changes: Vec<Change>,
    mended: Mended,
}

impl<'s> Mending<'s> {
    fn read(store: &'s Store, transaction: &ReadTransaction) -> Result<Self, StoreError> {
        let mut mending = Self {
            store,
            sessions: BTreeSet::new(),
            readers: BTreeMap::new(),
            logged: Vec::new(),
            next: BTreeMap::from([(ShardId(0), Sequence(1))]),
            changes: Vec::new(),
            mended: Mended::default(),
        };
        mending.each(transaction, Table::Session, |mending, row, _| {
            if let Row::Session(key, _) = row {
                mending.sessions.insert(key);
                mending.seen(key[0], Sequence(1));
            }
            Ok(())
        })?;
        mending.each(transaction, Table::Reader, |mending, row, _| {
            if let Row::Reader(name, reader) = row {
                mending.readers.insert(reader.0, name.to_owned());
            }
            Ok(())
        })?;
        Ok(mending)
    }

    fn log(&mut self, transaction: &ReadTransaction) -> Result<(), StoreError> {
        self.each(transaction, Table::Log, |mending, row, key| {
            let Row::Log { shard, sequence, mut targets, message } = row else { return Ok(()) };
            mending.seen(shard.0, sequence.next());
            let before = targets.len();
            targets.retain(|target| match target.destination {
                Destination::Reader(reader) => mending.readers.contains_key(&reader.0),
                Destination::Session(session) => {
                    mending.sessions.contains(&schema::session_key(shard, session))
                }
            });
            if targets.is_empty() {
                return mending.remove(Table::Log, key);
            }
            mending.logged.push(schema::log_key(shard, sequence));
            if targets.len() < before {
                let mut value = Vec::new();
                record::encode_logged(&message, &targets, &mut value);
                return mending.put(Table::Log, key, value);
            }
            Ok(())
        })
    }

    /// The rows of sessions that are gone, and what the others say about messages that are.
    fn sessions(&mut self, transaction: &ReadTransaction) -> Result<(), StoreError> {
        self.each(transaction, Table::Cursor, |mending, row, key| {
            let Row::Cursor(session, cursor) = row else { return Ok(()) };
            if !mending.sessions.contains(&session) {
                return mending.remove(Table::Cursor, key);
            }
            let (shard, _) = owner_of(&session);
            mending.seen(shard.0, cursor.start);
            let before = cursor.inflight.len();
            let inflight = cursor.inflight.into_iter();
            let inflight = inflight.filter(|sequence| mending.has(shard, *sequence));
            let cursor = Cursor { start: cursor.start, inflight: inflight.collect() };
            if cursor.inflight.len() == before {
                return Ok(());
            }
            let mut value = Vec::new();
            record::encode_cursor(&cursor, &mut value);
            mending.put(Table::Cursor, key, value)
        })?;
        self.each(transaction, Table::Subscription, |mending, row, key| {
            let Row::Subscription { session, .. } = row else { return Ok(()) };
            mending.remove_unless_known(Table::Subscription, session, key)
        })?;
        self.each(transaction, Table::ReceivedQos2, |mending, row, key| {
            let Row::ReceivedQos2(packet) = row else { return Ok(()) };
            mending.remove_unless_known(Table::ReceivedQos2, session_of(&packet), key)
        })?;
        self.each(transaction, Table::InflightOut, |mending, row, key| {
            let Row::InflightOut(packet, state) = row else { return Ok(()) };
            let (shard, _) = owner_of(&session_of(&packet));
            let InflightState::Sent { sequence } = state else {
                return mending.remove_unless_known(Table::InflightOut, session_of(&packet), key);
            };
            mending.seen(shard.0, sequence.next());
            if mending.sessions.contains(&session_of(&packet)) && !mending.has(shard, sequence) {
                // The receiver may know the identifier, and would take the next message with it
                // for this one. PUBREL makes it forget.
                mending.mended.released += 1;
                let released = record::encode_inflight(InflightState::Released);
                let value = released.to_le_bytes().to_vec();
                return mending.put(Table::InflightOut, key, value);
            }
            mending.remove_unless_known(Table::InflightOut, session_of(&packet), key)
        })
    }

    fn readers(&mut self, transaction: &ReadTransaction, gaps: Gaps) -> Result<(), StoreError> {
        let mut known = BTreeSet::new();
        self.each(transaction, Table::ReaderCursor, |mending, row, key| {
            let Row::ReaderCursor(cursor, done) = row else { return Ok(()) };
            let (shard, reader) = schema::reader_key_parts(&cursor);
            mending.seen(shard.0, done.next());
            if !mending.readers.contains_key(&reader.0) {
                return mending.remove(Table::ReaderCursor, key);
            }
            known.insert((shard, reader.0));
            Ok(())
        })?;
        self.each(transaction, Table::Position, |mending, row, _| {
            let Row::Position(shard, next) = row else { return Ok(()) };
            mending.seen(shard.0, next);
            Ok(())
        })?;
        let rules = self.readers.iter().find(|(_, name)| *name == RULES_READER);
        let Some(reader) = rules.map(|(reader, _)| *reader) else { return Ok(()) };
        // Where their state says what they have counted, but not how far they were, and where
        // they begin anew: they go on behind everything.
        for (shard, next) in self.next.clone() {
            let is_lost = gaps.reader_cursors && !known.contains(&(shard, reader));
            if is_lost || gaps.rules {
                let key = schema::reader_key(shard, ReaderId(reader));
                let done = next.0.saturating_sub(1).to_le_bytes().to_vec();
                self.put(Table::ReaderCursor, &key, done)?;
            }
        }
        Ok(())
    }

    fn positions(&mut self, gaps: Gaps, unix_s: u64) {
        // Nothing is left that waits, so a jump costs nothing. Time only grows, and no shard gives
        // as many positions in a second.
        let least = if gaps.positions { unix_s << POSITIONS_A_SECOND_BITS } else { 0 };
        if gaps.positions {
            (0..=u8::MAX).for_each(|shard| self.seen(shard, Sequence(1)));
        }
        for (shard, next) in &self.next {
            let next = next.0.saturating_add(GAP).max(least).to_le_bytes().to_vec();
            self.changes.push((Table::Position, vec![shard.0], Some(next)));
        }
    }

    fn rules(&mut self, transaction: &ReadTransaction) -> Result<(), StoreError> {
        self.mended.rules_begin_anew = true;
        self.each(transaction, Table::RuleSnapshot, |mending, _, key| {
            mending.remove(Table::RuleSnapshot, key)
        })?;
        self.each(transaction, Table::RuleDelta, |mending, _, key| {
            mending.remove(Table::RuleDelta, key)
        })
    }

    fn finish(mut self) -> Result<Mended, StoreError> {
        self.write()?;
        Ok(self.mended)
    }

    /// Every row of a table as it was before the mending.
    fn each(
        &mut self,
        transaction: &ReadTransaction,
        table: Table,
        mut visit: impl FnMut(&mut Self, Row<'_>, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let store = self.store;
        rows(store, transaction, table, |key, value| match table.decode(key, value) {
            Ok(row) => visit(self, row, key),
            Err(_) => self.remove(table, key),
        })
    }

    fn remove_unless_known(
        &mut self,
        table: Table,
        session: SessionKey,
        key: &[u8],
    ) -> Result<(), StoreError> {
        if self.sessions.contains(&session) { Ok(()) } else { self.remove(table, key) }
    }

    fn remove(&mut self, table: Table, key: &[u8]) -> Result<(), StoreError> {
        *self.mended.removed.entry(table).or_default() += 1;
        self.change(table, key, None)
    }

    fn put(&mut self, table: Table, key: &[u8], value: Vec<u8>) -> Result<(), StoreError> {
        self.change(table, key, Some(value))
    }

    fn change(
        &mut self,
        table: Table,
        key: &[u8],
        value: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        self.changes.push((table, key.to_vec(), value));
        if self.changes.len() < CHANGES_MAX { Ok(()) } else { self.write() }
    }

    fn write(&mut self) -> Result<(), StoreError> {
        write(self.store, &std::mem::take(&mut self.changes))
    }

    fn has(&self, shard: ShardId, sequence: Sequence) -> bool {
        self.logged.binary_search(&schema::log_key(shard, sequence)).is_ok()
    }

    fn seen(&mut self, shard: u8, next: Sequence) {
        let known = self.next.entry(ShardId(shard)).or_default();
        *known = next.max(*known);
    }
}

/// So many rows are changed in one transaction at most.
const CHANGES_MAX: usize = 4096;
