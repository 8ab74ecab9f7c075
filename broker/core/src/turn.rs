//! What a turn gathers, and its end.
//!
//! Everything handled between two drains is one turn. Its durable changes form one batch, and each
//! connection is flushed once.

use std::collections::VecDeque;

use smallvec::SmallVec;

use crate::change::{Batch, Change, Links, Target};
use crate::core::Core;
use crate::durability::Durability;
use crate::effect::Effect;
use crate::gate::Gated;
use crate::identity::{ConnectionId, Sequence, ShardId};
use crate::interest::InterestChange;
use crate::key::SessionKey;
use crate::message::Message;

/// What a turn has gathered so far.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// Number of the batch that its changes will form.
    pub(crate) batch: u64,
    pub(crate) changes: Vec<Change>,
    /// Somebody waits for the batch.
    pub(crate) is_awaited: bool,
    /// The last batch before it that somebody waits for, or has waited for.
    pub(crate) last_awaited: u64,
    pub(crate) cursors: Vec<SessionKey>,
    /// Connections that go to another shard, each with its CONNECT.
    pub(crate) moves: Vec<(ConnectionId, ShardId, Vec<u8>)>,
    pub(crate) flush: Vec<ConnectionId>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) interest: Vec<InterestChange>,
    /// The position of the message that was held last.
    pub(crate) held: Option<Sequence>,
    /// Dead letters that are still to be published.
    pub(crate) dead_letters: VecDeque<Message>,
}

impl Core {
    /// Ends the turn and hands over what is to be done, in order: what other shards get, the
    /// commit, messages for readers, what is wanted here, buffers to flush, then connections to pause, resume, close or
    /// move.
    pub fn drain(&mut self, mut effect: impl FnMut(Effect)) {
        self.record_cursors();
        if self.peers.any() {
            self.move_connections();
            let links = self.drain_forwards(&mut effect);
            let is_waited_for = self.gate.last_batch() == Some(self.turn.batch);
            if !self.turn.changes.is_empty() || !links.is_empty() || is_waited_for {
                self.turn.is_awaited |= !links.is_empty();
                effect(Effect::Commit(self.end_batch(links)));
            }
        } else if !self.turn.changes.is_empty() {
            effect(Effect::Commit(self.end_batch(Links::default())));
        }
        for reader in &mut self.readers {
            let (id, messages) = (reader.config.reader, std::mem::take(&mut reader.missed));
            if messages > 0 {
                effect(Effect::ReaderMissed { reader: id, messages });
            }
            if !reader.records.is_empty() {
                let records = std::mem::take(&mut reader.records);
                effect(Effect::ToReader { reader: id, records });
            }
        }
        self.drain_interest(&mut effect);
        for index in 0..self.turn.flush.len() {
            let connection = self.turn.flush[index];
            if let Some(open) = self.connections.get_mut(connection) {
                open.to_flush = false;
                effect(Effect::Flush { connection });
            }
            self.count_buffers(connection);
        }
        self.turn.flush.clear();
        self.check_memory();
        self.turn.effects.drain(..).for_each(effect);
    }

    /// The batch of this turn; the next changes are of another one.
    fn end_batch(&mut self, links: Links) -> Batch {
        let log_start = self.log_start();
        let ranges = self.log.take_released(log_start);
        if !ranges.is_empty() {
            self.record_unawaited(Change::LogReleased { ranges });
        }
        let batch = Batch {
            shard: self.shard,
            number: self.turn.batch,
            changes: std::mem::take(&mut self.turn.changes),
            log_start,
            is_awaited: std::mem::take(&mut self.turn.is_awaited),
            links,
        };
        if batch.is_awaited {
            self.turn.last_awaited = batch.number;
        }
        self.paging.batch_ended(batch.number, self.log.next());
        self.turn.batch += 1;
        batch
    }

    /// The number of the batch that this turn will form, once it has changed anything durable.
    #[must_use]
    pub fn pending_batch(&self) -> Option<u64> {
        (self.durable_changes() > 0).then_some(self.turn.batch)
    }

    /// The same for somebody who waits until that batch is durable.
    #[must_use]
    pub fn await_pending_batch(&mut self) -> Option<u64> {
        self.turn.is_awaited |= self.durable_changes() > 0;
        self.pending_batch()
    }

    /// How much of this turn is to be durable, here and in other shards.
    pub(crate) fn durable_changes(&self) -> usize {
        self.turn.changes.len() + self.peers.linked()
    }

    /// Remembers a durable change for the batch of this turn, which is to be committed at once.
    pub(crate) fn record(&mut self, change: Change) {
        self.turn.is_awaited = true;
        self.turn.changes.push(change);
    }

    /// Remembers a message that waits for somebody, if its level says that it is written.
    pub(crate) fn record_logged(
        &mut self,
        level: Durability,
        sequence: Sequence,
        message: Message,
        targets: SmallVec<[Target; 2]>,
    ) {
        self.log.logged(message.len());
        self.record_at(level, Change::LogAppended { sequence, message, targets });
    }

    /// Remembers a change that can be put off: what a client has acknowledged, for instance. When
    /// it is lost a message comes twice that may come twice.
    pub(crate) fn record_unawaited(&mut self, change: Change) {
        self.turn.changes.push(change);
    }

    /// Remembers a change that a message of a topic with this level has made.
    pub(crate) fn record_at(&mut self, level: Durability, change: Change) {
        match level {
            Durability::Commit => self.record(change),
            Durability::None | Durability::Upstream => {}
            Durability::Relaxed => self.record_unawaited(change),
        }
    }

    /// Lets something wait for a batch: the one of this turn, or an earlier one that is awaited.
    pub(crate) fn wait_for(&mut self, batch: u64, item: Gated) {
        self.turn.is_awaited |= batch == self.turn.batch;
        debug_assert!(batch <= self.turn.last_awaited.max(self.turn.batch), "a batch to come");
        self.gate.wait(batch, item);
    }

    /// A session's place in the log has changed.
    pub(crate) fn cursor_moved(&mut self, key: SessionKey) {
        let session = &mut self.sessions[key as usize];
        if !session.cursor_dirty {
            session.cursor_dirty = true;
            self.turn.cursors.push(key);
        }
    }

    fn record_cursors(&mut self) {
        let next = self.log.next();
        for index in 0..self.turn.cursors.len() {
            let key = self.turn.cursors[index] as usize;
            if let Some(session) = self.sessions.get_mut(key).filter(|s| s.cursor_dirty) {
                session.cursor_dirty = false;
                let change =
                    Change::CursorMoved { session: session.id, cursor: session.cursor(next) };
                self.turn.changes.push(change);
            }
        }
        self.turn.cursors.clear();
    }
}
