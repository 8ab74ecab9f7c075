//! The queue of a session: what waits, in the order of the log, and its bounds.
//!
//! Here a message is held and let go of; when it is sent is decided elsewhere.

use weir_mqtt::{QoS, ReasonCode};

use crate::bounds::QueueBounds;
use crate::clock::Now;
use crate::core::Core;
use crate::identity::Sequence;
use crate::inflight::{Delivered, SEVERAL};
use crate::key::SessionKey;
use crate::limits::QueueFull;
use crate::message::Message;
use crate::metrics::DropReason;
use crate::pressure::MemoryPressure;

impl Core {
    /// Lets a message wait in a session's queue and holds it in the log for that; false when it
    /// was dropped instead.
    pub(crate) fn enqueue_held(
        &mut self,
        now: Now,
        key: SessionKey,
        delivered: Delivered,
        message: &Message,
    ) -> bool {
        // A retained message on its way shares the bytes of the retained one.
        let bytes = if delivered.replay { 0 } else { message.len() };
        let queued = self.enqueue(now, key, delivered, message, bytes);
        if queued {
            self.log.hold(delivered.sequence, message, bytes);
        } else if delivered.identifier == SEVERAL {
            self.sessions[key as usize].identifiers.remove(delivered.sequence);
        }
        queued
    }

    /// What a waiting message keeps of its subscription identifiers.
    pub(crate) fn keep_identifiers(
        &mut self,
        key: SessionKey,
        sequence: Sequence,
        identifiers: &[u32],
    ) -> u32 {
        match identifiers {
            [] => 0,
            [one] => *one,
            several => {
                let session = &mut self.sessions[key as usize];
                session.identifiers.insert(sequence, several.into());
                SEVERAL
            }
        }
    }

    /// Whether QoS 0 messages wait for a session without a connection.
    pub(crate) fn queues_qos0(&self, key: SessionKey) -> bool {
        self.limits.queues_qos0 && self.sessions[key as usize].is_kept()
    }

    /// Drops what only waited for this connection.
    pub(crate) fn drop_unkept(&mut self, key: SessionKey) {
        let queues_qos0 = self.queues_qos0(key);
        let session = &mut self.sessions[key as usize];
        let log = &mut self.log;
        let mut held_back = 0;
        let Some(queue) = session.queue.existing_mut() else { return };
        queue.retain(|entry| {
            let waits_on = queues_qos0 && entry.is_held_back();
            held_back += u32::from(waits_on);
            let kept = entry.qos > QoS::AtMostOnce || waits_on;
            if !kept {
                session.queue_bytes -= log.bytes_of(entry.sequence);
                session.replays -= u32::from(entry.replay);
                log.release(entry.sequence);
                if entry.identifier == SEVERAL {
                    session.identifiers.remove(entry.sequence);
                }
            }
            kept
        });
        session.held_back = held_back;
    }

    /// Lets a message wait in a session's queue; false when it was dropped instead.
    fn enqueue(
        &mut self,
        now: Now,
        key: SessionKey,
        delivery: Delivered,
        message: &Message,
        bytes: usize,
    ) -> bool {
        while self.queue_is_full(key, &delivery, bytes) {
            let session = &self.sessions[key as usize];
            let bytes_max = self.queue_bounds(session).bytes_max;
            let fits = bytes_max == 0 || bytes <= bytes_max;
            let oldest = session.queue.iter().position(|entry| !entry.replay);
            match (self.limits.queue_full, oldest) {
                (QueueFull::DropOld, Some(oldest)) if fits => {
                    let oldest = self.dequeue(key, oldest);
                    self.lose_held(now, key, DropReason::QueueFull, oldest);
                    self.settle(key, oldest);
                }
                (queue_full, _) => {
                    if queue_full == QueueFull::Disconnect {
                        let connection = session.claimed_by;
                        self.doomed.extend(connection.map(|id| (id, ReasonCode::QuotaExceeded)));
                    }
                    self.lose_waiting(now, key, DropReason::QueueFull, delivery, message);
                    return false;
                }
            }
        }
        self.push_waiting(key, delivery, bytes);
        true
    }

    /// Appends to a queue whose bounds somebody else looks after.
    pub(crate) fn push_waiting(&mut self, key: SessionKey, delivery: Delivered, bytes: usize) {
        let session = &mut self.sessions[key as usize];
        session.queue.push_back(delivery);
        session.queue_bytes += bytes;
        session.replays += u32::from(delivery.replay);
        session.held_back += u32::from(delivery.is_held_back());
    }

    /// A session is done with a message.
    pub(crate) fn settle(&mut self, key: SessionKey, delivery: Delivered) {
        if delivery.identifier == SEVERAL {
            self.sessions[key as usize].identifiers.remove(delivery.sequence);
        }
        self.log.release(delivery.sequence);
        if delivery.logged {
            self.cursor_moved(key);
        }
    }

    /// Retained messages on their way do not count, so that a new subscription gets all of them,
    /// unless a client lets them be sent again and again without reading.
    fn queue_is_full(&self, key: SessionKey, delivery: &Delivered, bytes: usize) -> bool {
        let session = &self.sessions[key as usize];
        if delivery.replay {
            return !self.has_room_for_replays(session);
        }
        let replays = session.replays as usize;
        let bytes = bytes + session.identifiers.bytes();
        let QueueBounds { messages_max, bytes_max } = self.queue_bounds(session);
        (messages_max > 0 && session.queue.len() - replays >= messages_max)
            || (bytes_max > 0 && session.queue_bytes + bytes > bytes_max)
            || (self.must_stay_in_memory(key, delivery) && self.is_memory_full(bytes))
    }

    /// Whether a message takes memory for as long as it waits.
    fn must_stay_in_memory(&self, key: SessionKey, delivery: &Delivered) -> bool {
        !delivery.logged
            || self.sessions[key as usize].share_of(delivery).is_some()
            || self.limits.queued_memory_eased_at >= self.limits.queued_memory_max
    }

    fn is_memory_full(&self, more: usize) -> bool {
        let queued = self.log.bytes_in_memory() + self.schedule.bytes() + more;
        self.pressure >= MemoryPressure::RefusesClients || queued > self.limits.queued_memory_max
    }

    /// Takes a message out of a queue; it still holds its place in the log.
    pub(crate) fn dequeue(&mut self, key: SessionKey, index: usize) -> Delivered {
        let session = &mut self.sessions[key as usize];
        let delivery = session.queue.remove(index).expect("the queue is not empty");
        if session.queue.is_empty() && session.queue.capacity() > QUEUE_CAPACITY_KEPT {
            session.queue.forget();
        }
        session.queue_bytes -= self.log.bytes_of(delivery.sequence);
        session.replays -= u32::from(delivery.replay);
        session.held_back -= u32::from(delivery.is_held_back());
        delivery
    }
}

/// An empty queue keeps room for this many messages.
const QUEUE_CAPACITY_KEPT: usize = 64;
