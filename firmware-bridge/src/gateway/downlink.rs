//! Messages on their way to one node: those that wait, and the one it has not acknowledged.
//!
//! A node is given one message of QoS 1 or 2 at a time, and those behind it wait, so that the
//! order holds. What waits is bounded: of QoS 1 and 2 by what a session delivers without being
//! acknowledged, of QoS 0 by the limit for sleepers.

use std::collections::VecDeque;

use bytes::Bytes;
use weir_node::mqtt_sn_1_2::{QoS, TopicId, TopicRef};

use super::options::SleepPolicy;
use crate::session::{Delivery, DeliveryId};

/// Messages to one node.
#[derive(Debug, Default)]
pub(super) struct Downlink {
    queue: VecDeque<Message>,
    current: Option<Box<Current>>,
    last_message_id: u16,
}

/// A message to a node.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) topic: Box<str>,
    pub(super) payload: Bytes,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// It was sent before.
    pub(super) dup: bool,
    /// What the broker is still to be acknowledged.
    pub(super) unacknowledged: Option<DeliveryId>,
    /// How often the node said that it does not know the topic id.
    pub(super) misunderstood: u8,
}

/// What the node is to acknowledge.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) message: Message,
    pub(super) message_id: u16,
    pub(super) step: DownlinkStep,
    pub(super) tries_left: u8,
    pub(super) due_at: u64,
}

/// Which packet it is to acknowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DownlinkStep {
    /// PUBLISH.
    Publish(TopicRef),
    /// REGISTER.
    Register(TopicId),
    /// PUBREL: the node has the message.
    Release,
}

impl Message {
    pub(super) fn new(delivery: Delivery) -> Self {
        let Delivery { id, topic, payload, qos, retain, .. } = delivery;
        let unacknowledged = Some(id);
        // Whether the broker repeats itself says nothing about the link (3.1.1, 3.3.1.1).
        Self { topic, payload, qos, retain, dup: false, unacknowledged, misunderstood: 0 }
    }
}

impl Downlink {
    pub(super) fn push(&mut self, message: Message) {
        self.queue.push_back(message);
    }

    /// Puts a message back that was taken.
    pub(super) fn push_front(&mut self, message: Message) {
        self.queue.push_front(message);
    }

    /// The next message, unless one is not acknowledged yet.
    pub(super) fn pop(&mut self) -> Option<Message> {
        if self.current.is_some() { None } else { self.queue.pop_front() }
    }

    /// Adds a message of QoS 0 that waits for a sleeper; gives the one that is dropped for it.
    pub(super) fn push_bounded(
        &mut self,
        message: Message,
        max: usize,
        policy: SleepPolicy,
    ) -> Option<Message> {
        let waiting = self.queue.iter().filter(|queued| queued.qos == QoS::AtMostOnce).count();
        if waiting < max {
            self.queue.push_back(message);
            return None;
        }
        let oldest = match policy {
            SleepPolicy::DropOldest => {
                self.queue.iter().position(|queued| queued.qos == QoS::AtMostOnce)
            }
            SleepPolicy::KeepOldest => None,
        };
        let Some(oldest) = oldest else { return Some(message) };
        let dropped = self.queue.remove(oldest);
        self.queue.push_back(message);
        dropped
    }

    pub(super) fn begin(&mut self, current: Current) {
        debug_assert!(self.current.is_none(), "one at a time");
        self.current = Some(Box::new(current));
    }

    pub(super) fn current(&self) -> Option<&Current> {
        self.current.as_deref()
    }

    pub(super) fn current_mut(&mut self) -> Option<&mut Current> {
        self.current.as_deref_mut()
    }

    /// What is current, if it has this message identifier and is at a step that fits.
    pub(super) fn take_if(
        &mut self,
        message_id: u16,
        fits: impl FnOnce(&Current) -> bool,
    ) -> Option<Current> {
        let matches = self.current().is_some_and(|c| c.message_id == message_id && fits(c));
        if matches { self.take_current() } else { None }
    }

    pub(super) fn take_current(&mut self) -> Option<Current> {
        self.current.take().map(|current| *current)
    }

    /// Never 0, which means none.
    pub(super) fn message_id(&mut self) -> u16 {
        self.last_message_id = self.last_message_id.checked_add(1).unwrap_or(1);
        self.last_message_id
    }

    /// The session is over. What is not acknowledged comes again in the next one; what the node
    /// has is still to be released.
    pub(super) fn end_session(&mut self) {
        self.queue.clear();
        if self.current().is_some_and(|current| current.step != DownlinkStep::Release) {
            self.current = None;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.current.is_none()
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len() + usize::from(self.current.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload: &'static [u8], qos: QoS) -> Message {
        let id = DeliveryId(0);
        let payload = Bytes::from_static(payload);
        Message::new(Delivery { id, topic: "t".into(), payload, qos, retain: false, dup: false })
    }

    fn waiting(policy: SleepPolicy) -> Vec<Bytes> {
        let mut downlink = Downlink::default();
        downlink.push(message(b"kept", QoS::AtLeastOnce));
        let mut dropped = 0;
        for payload in [b"1", b"2", b"3", b"4"] {
            let message = message(payload, QoS::AtMostOnce);
            dropped += usize::from(downlink.push_bounded(message, 2, policy).is_some());
        }
        assert_eq!(dropped, 2);
        std::iter::from_fn(|| downlink.pop()).map(|message| message.payload).collect()
    }

    #[test]
    fn queue_of_a_sleeper_drops_by_its_policy_and_never_what_is_to_be_acknowledged() {
        assert_eq!(waiting(SleepPolicy::DropOldest), ["kept", "3", "4"]);
        assert_eq!(waiting(SleepPolicy::KeepOldest), ["kept", "1", "2"]);
    }

    #[test]
    fn message_id_is_never_zero() {
        let mut downlink = Downlink { last_message_id: u16::MAX - 1, ..Downlink::default() };
        assert_eq!(downlink.message_id(), u16::MAX);
        assert_eq!(downlink.message_id(), 1);
    }
}
