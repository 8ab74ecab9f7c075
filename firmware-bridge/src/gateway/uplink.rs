//! Messages of one client on their way to the broker.
//!
//! Which PUBLISH is a repetition is decided here. An exchange is known by its message identifier
//! and by what was published: a node that begins its numbers anew is not taken for one that
//! repeats itself.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use weir_node::mqtt_sn_1_2::{QoS, TopicId};

use crate::session::{PUBLISHES_MAX, Ticket};

/// Exchanges of QoS 1 and 2 that are not over, and of QoS 2 that are over since not long ago.
#[derive(Debug, Default)]
pub(super) struct Uplink {
    /// The broker has not acknowledged them.
    waiting: Vec<Waiting>,
    /// QoS 2 that the broker has and the node has not released.
    received: VecDeque<Exchange>,
    /// QoS 2 that the node has released, and when.
    completed: VecDeque<(Exchange, u64)>,
}

/// A message that the broker has not acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) ticket: Ticket,
    pub(super) exchange: Exchange,
    pub(super) qos: QoS,
    /// What PUBACK says about the topic.
    pub(super) topic_id: TopicId,
}

/// A message identifier and what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exchange {
    pub(super) message_id: u16,
    content: u64,
}

impl Exchange {
    pub(super) fn new(message_id: u16, topic: &str, payload: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        (topic, payload).hash(&mut hasher);
        Self { message_id, content: hasher.finish() }
    }
}

/// What a PUBLISH is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// A repetition of one of QoS 2 that the broker has: PUBREC was lost, or this is late.
    Acknowledged,
    /// A message that was not here before.
    New,
    /// A repetition of one that the broker has not acknowledged.
    Waiting,
}

impl Uplink {
    /// What this PUBLISH is. Duplicates of the network come within `memory_ms`.
    pub(super) fn standing(
        &mut self,
        exchange: Exchange,
        qos: QoS,
        memory_ms: u64,
        now: u64,
    ) -> Standing {
        if self.waiting.iter().any(|waiting| waiting.exchange == exchange && waiting.qos == qos) {
            return Standing::Waiting;
        }
        if qos != QoS::ExactlyOnce {
            return Standing::New;
        }
        while self.completed.front().is_some_and(|(_, at)| at + memory_ms <= now) {
            self.completed.pop_front();
        }
        let completed = self.completed.iter().any(|(completed, _)| *completed == exchange);
        if completed || self.received.contains(&exchange) {
            return Standing::Acknowledged;
        }
        // The node has given up what it last had under this number.
        self.received.retain(|received| received.message_id != exchange.message_id);
        Standing::New
    }

    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < PUBLISHES_MAX
    }

    pub(super) fn wait(&mut self, waiting: Waiting) {
        self.waiting.push(waiting);
    }

    /// The broker has answered; what it was about, and of QoS 2 it is from now on received.
    pub(super) fn answered(&mut self, ticket: Ticket, accepted: bool) -> Option<Waiting> {
        let place = self.waiting.iter().position(|waiting| waiting.ticket == ticket)?;
        let waiting = self.waiting.swap_remove(place);
        if accepted && waiting.qos == QoS::ExactlyOnce {
            if self.received.len() == REMEMBERED_MAX {
                self.received.pop_front();
            }
            self.received.push_back(waiting.exchange);
        }
        Some(waiting)
    }

    /// The node has released a message of QoS 2.
    pub(super) fn release(&mut self, message_id: u16, now: u64) {
        let place = self.received.iter().position(|received| received.message_id == message_id);
        let Some(exchange) = place.and_then(|place| self.received.remove(place)) else { return };
        if self.completed.len() == REMEMBERED_MAX {
            self.completed.pop_front();
        }
        self.completed.push_back((exchange, now));
    }
}

/// Exchanges of QoS 2 of one client that are remembered of each kind. A node has one at a time, by
/// the standard (6.12); the oldest ones are forgotten.
const REMEMBERED_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(message_id: u16) -> Exchange {
        Exchange::new(message_id, "t", b"x")
    }

    fn standing(uplink: &mut Uplink, message_id: u16, now: u64) -> Standing {
        uplink.standing(exchange(message_id), QoS::ExactlyOnce, 1_000, now)
    }

    fn wait(uplink: &mut Uplink, message_id: u16, qos: QoS) -> Ticket {
        let ticket = Ticket(message_id.into());
        let exchange = exchange(message_id);
        uplink.wait(Waiting { ticket, exchange, qos, topic_id: TopicId(1) });
        ticket
    }

    #[test]
    fn exchange_of_qos_2_is_known_until_its_duplicates_are_gone() {
        let mut uplink = Uplink::default();
        assert_eq!(standing(&mut uplink, 7, 0), Standing::New);
        let ticket = wait(&mut uplink, 7, QoS::ExactlyOnce);
        assert_eq!(standing(&mut uplink, 7, 0), Standing::Waiting);
        assert!(uplink.answered(ticket, true).is_some());
        assert_eq!(standing(&mut uplink, 7, 0), Standing::Acknowledged);
        uplink.release(7, 10);
        assert_eq!(standing(&mut uplink, 7, 1_009), Standing::Acknowledged);
        assert_eq!(standing(&mut uplink, 7, 1_010), Standing::New);
    }

    #[test]
    fn number_of_an_unreleased_message_may_be_used_for_another_one() {
        let mut uplink = Uplink::default();
        let ticket = wait(&mut uplink, 7, QoS::ExactlyOnce);
        uplink.answered(ticket, true);
        let other = Exchange::new(7, "t", b"other");
        assert_eq!(uplink.standing(other, QoS::ExactlyOnce, 1_000, 0), Standing::New);
    }

    #[test]
    fn failed_message_may_be_repeated() {
        let mut uplink = Uplink::default();
        let ticket = wait(&mut uplink, 7, QoS::ExactlyOnce);
        assert!(uplink.answered(ticket, false).is_some());
        assert_eq!(standing(&mut uplink, 7, 0), Standing::New);
    }

    #[test]
    fn what_is_remembered_has_a_limit() {
        let mut uplink = Uplink::default();
        for message_id in 1..=100 {
            let ticket = wait(&mut uplink, message_id, QoS::ExactlyOnce);
            uplink.answered(ticket, true);
            if message_id > 50 {
                uplink.release(message_id, 0);
            }
        }
        assert_eq!(uplink.received.len(), REMEMBERED_MAX - 1);
        assert_eq!(uplink.completed.len(), REMEMBERED_MAX);
    }
}
