//! Messages that wait on the disk only, and their way back.
//!
//! Past a limit of memory a message leaves it once it is durable, unless it waits for a shared
//! subscription, whose members take from each other. When its turn comes, its session waits until
//! the shell has read it. One read is under way at a time and holds no more than the client can
//! be sent at once, so memory does not grow with the number of clients that come back.

use std::collections::VecDeque;

use crate::clock::Now;
use crate::core::Core;
use crate::effect::Effect;
use crate::identity::{Sequence, SessionId};
use crate::inflight::{Delivered, Progress};
use crate::key::SessionKey;
use crate::message::Message;
use crate::metrics::DropReason;
use crate::pressure::MemoryPressure;

/// Messages of one read.
const READ_MESSAGES_MAX: usize = 256;
/// Bytes of one read; one message may be larger.
const READ_BYTES_MAX: usize = 256 * 1024;

/// What is being read, and who waits for it.
#[derive(Debug, Default)]
pub(crate) struct Paging {
    /// Sessions whose next message is on the disk only, in the order in which they came to it.
    waiting: VecDeque<SessionId>,
    /// What is being read, for which session.
    reading: Option<(SessionId, Vec<Sequence>)>,
    /// Where the log stood at the end of batches that are not durable yet.
    batch_ends: VecDeque<(u64, Sequence)>,
}

impl Paging {
    /// A batch holds what is to be kept of the positions below `end`.
    pub(crate) fn batch_ended(&mut self, batch: u64, end: Sequence) {
        self.batch_ends.push_back((batch, end));
    }

    /// Where the log stood at the end of the last batch that is durable now.
    fn committed(&mut self, batch: u64) -> Option<Sequence> {
        let mut last = None;
        while let Some((_, end)) = self.batch_ends.pop_front_if(|(number, _)| *number <= batch) {
            last = Some(end);
        }
        last
    }
}

impl Core {
    /// Past the limit, what has become durable leaves memory. What is older and still there is
    /// below the limit, and is what sessions need first.
    pub(crate) fn ease_memory(&mut self, batch: u64) {
        let Some(end) = self.paging.committed(batch) else { return };
        for position in self.log.committed(end) {
            if !self.is_memory_tight() {
                return;
            }
            self.log.leave_memory(Sequence(position));
        }
    }

    /// The next message of a session is on the disk only.
    pub(crate) fn await_messages(&mut self, key: SessionKey) {
        let session = &mut self.sessions[key as usize];
        if !session.awaits_messages {
            session.awaits_messages = true;
            self.paging.waiting.push_back(session.id);
        }
    }

    /// Begins the next read, unless one is under way.
    pub(crate) fn read_next(&mut self, now: Now) {
        while self.paging.reading.is_none()
            && let Some(id) = self.paging.waiting.pop_front()
        {
            let Some(&key) = self.session_keys.get(&id) else { continue };
            let sequences = self.messages_to_read(key);
            if sequences.is_empty() {
                // They came back for somebody else, or the client is gone.
                self.sessions[key as usize].awaits_messages = false;
                self.pump(now, key);
                continue;
            }
            self.paging.reading = Some((id, sequences.clone()));
            self.turn.effects.push(Effect::Load { sequences });
        }
    }

    pub(crate) fn handle_loaded(&mut self, now: Now, messages: &[(Sequence, Message)]) {
        let Some((id, asked)) = self.paging.reading.take() else { return };
        for (sequence, message) in messages {
            self.log.put_back(*sequence, message.clone());
        }
        if let Some(&key) = self.session_keys.get(&id) {
            self.lose_unread(now, key, &asked);
            self.sessions[key as usize].awaits_messages = false;
            self.pump(now, key);
        }
        // What is under way is needed again only if the client comes back without it.
        for sequence in asked {
            if self.is_memory_tight() {
                self.log.leave_memory(sequence);
            }
        }
    }

    fn is_memory_tight(&self) -> bool {
        let eased_at = match self.pressure >= MemoryPressure::LeavesOnDisk {
            true if self.limits.queued_memory_eased_at < self.limits.queued_memory_max => 0,
            _ => self.limits.queued_memory_eased_at,
        };
        self.log.bytes_in_memory() > eased_at
    }

    /// What a connected session could be sent now if it were in memory.
    fn messages_to_read(&self, key: SessionKey) -> Vec<Sequence> {
        let session = &self.sessions[key as usize];
        if session.connection.is_none() {
            return Vec::new();
        }
        let again = session.inflight.iter().filter(|entry| entry.progress == Progress::Waiting);
        // QoS 0, which may wait behind retained messages, needs no place in the window.
        let room = usize::from(session.window.saturating_sub(session.inflight.len())).max(1);
        let first = session.queue.iter().take(room);
        let next = again.map(|entry| &entry.delivery).chain(first).take(READ_MESSAGES_MAX);
        let mut bytes = 0;
        next.map(|delivered| delivered.sequence)
            .filter(|sequence| self.log.message(*sequence).is_none())
            .take_while(|sequence| {
                let is_first = bytes == 0;
                bytes += self.log.bytes_of(*sequence);
                is_first || bytes <= READ_BYTES_MAX
            })
            .collect()
    }

    /// A message that was asked for and has not come is lost: the store has said so.
    fn lose_unread(&mut self, now: Now, key: SessionKey, asked: &[Sequence]) {
        let is_lost = |core: &Self, delivered: &Delivered| {
            asked.binary_search(&delivered.sequence).is_ok()
                && core.log.message(delivered.sequence).is_none()
        };
        let session = &self.sessions[key as usize];
        let under_way: Vec<_> = session
            .inflight
            .iter()
            .filter(|entry| entry.progress != Progress::Released)
            .filter(|entry| is_lost(self, &entry.delivery))
            .copied()
            .collect();
        for entry in under_way {
            self.count_drop(now, key, DropReason::Unreadable);
            self.sessions[key as usize].inflight.finish(entry.packet_id);
            self.forget_identifier(key, entry.packet_id, entry.delivery);
            self.settle(key, entry.delivery);
        }
        let mut index = 0;
        while let Some(delivered) = self.sessions[key as usize].queue.get(index).copied() {
            if asked.last().is_none_or(|last| delivered.sequence > *last) {
                break;
            }
            if is_lost(self, &delivered) {
                self.count_drop(now, key, DropReason::Unreadable);
                self.dequeue(key, index);
                self.settle(key, delivered);
            } else {
                index += 1;
            }
        }
    }
}
