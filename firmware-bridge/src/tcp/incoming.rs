//! Messages that the broker sends within one session, until they are acknowledged.
//!
//! A broker that was away sends again what it has no acknowledgement for, under the same packet
//! identifier (3.1.1, 4.4). The owner of the session has those messages already and is not given
//! them again; what it acknowledged meanwhile is acknowledged as soon as it comes.

use std::collections::{BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use rumqttc::Publish;

use super::packets::qos_from_wire;
use crate::session::{DELIVERIES_MAX, Delivery, DeliveryId, QoS};

/// Messages of one session on their way to its owner.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    next_id: u64,
    given: Vec<Given>,
    /// Beyond what the owner takes at a time.
    waiting: VecDeque<(Option<u16>, Delivery)>,
    waiting_qos_0: usize,
    /// Packet identifiers of QoS 2 for which PUBREC was sent and PUBREL has not come.
    received: BTreeSet<u16>,
}

/// A message that its owner has and has not acknowledged, or that the broker does not know to be.
#[derive(Debug)]
struct Given {
    id: DeliveryId,
    /// `None` is QoS 0.
    packet_id: Option<u16>,
    qos: QoS,
    content: u64,
    state: GivenState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GivenState {
    /// Acknowledged while the broker was away.
    Acknowledged,
    /// The broker was lost since; it will send it again.
    Repeats,
    /// On this connection.
    Unacknowledged,
}

/// What is to be done about a PUBLISH.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is acknowledged to the broker: the owner has it already.
    Acknowledge(u16, QoS),
    /// It was dropped: of QoS 0, and too many wait.
    Dropped,
    /// It waits for its turn, or was given; see [`Incoming::next`].
    Kept,
}

impl Incoming {
    pub(super) fn take(&mut self, publish: Publish) -> Taken {
        let qos = qos_from_wire(publish.qos);
        let packet_id = (qos != QoS::AtMostOnce).then_some(publish.pkid);
        if let Some(packet_id) = packet_id {
            if qos == QoS::ExactlyOnce && self.received.contains(&packet_id) {
                return Taken::Acknowledge(packet_id, qos);
            }
            if let Some(taken) = self.recognize(packet_id, qos, content(&publish)) {
                return taken;
            }
        } else if self.waiting_qos_0 >= WAITING_QOS_0_MAX {
            return Taken::Dropped;
        } else {
            self.waiting_qos_0 += 1;
        }
        self.next_id += 1;
        let delivery = Delivery {
            id: DeliveryId(self.next_id),
            topic: publish.topic.into(),
            // A part of the input would keep all of it, for as long as a sleeper sleeps.
            payload: Bytes::copy_from_slice(&publish.payload),
            qos,
            retain: publish.retain,
            dup: publish.dup,
        };
        self.waiting.push_back((packet_id, delivery));
        Taken::Kept
    }

    /// The next message for the owner, if it takes another one.
    pub(super) fn next(&mut self) -> Option<Delivery> {
        let taken =
            self.given.iter().filter(|given| given.state != GivenState::Acknowledged).count();
        if taken >= DELIVERIES_MAX {
            return None;
        }
        let (packet_id, delivery) = self.waiting.pop_front()?;
        self.waiting_qos_0 -= usize::from(packet_id.is_none());
        let content = content_of(&delivery.topic, &delivery.payload);
        let (id, qos, state) = (delivery.id, delivery.qos, GivenState::Unacknowledged);
        self.given.push(Given { id, packet_id, qos, content, state });
        Some(delivery)
    }

    /// The owner is done with a message; what the broker is told now.
    pub(super) fn acknowledge(&mut self, id: DeliveryId) -> Option<(u16, QoS)> {
        let place = self.given.iter().position(|given| given.id == id)?;
        let given = &mut self.given[place];
        if given.state == GivenState::Repeats && given.packet_id.is_some() {
            given.state = GivenState::Acknowledged;
            return None;
        }
        let given = self.given.remove(place);
        let packet_id = given.packet_id?;
        if given.qos == QoS::ExactlyOnce {
            self.received.insert(packet_id);
        }
        Some((packet_id, given.qos))
    }

    /// PUBREL came.
    pub(super) fn released(&mut self, packet_id: u16) {
        self.received.remove(&packet_id);
    }

    /// The connection is gone; the session may be kept.
    pub(super) fn lost(&mut self) {
        // What the owner has not seen comes again, but for QoS 0, which may be lost.
        self.waiting.clear();
        self.waiting_qos_0 = 0;
        for given in &mut self.given {
            if given.state == GivenState::Unacknowledged {
                given.state = GivenState::Repeats;
            }
        }
    }

    /// The broker has forgotten the session.
    pub(super) fn forget(&mut self) {
        self.waiting.clear();
        self.waiting_qos_0 = 0;
        self.given.clear();
        self.received.clear();
    }

    /// Whether so much waits that the connection is not read any more.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() - self.waiting_qos_0 >= WAITING_MAX
    }

    /// Whether this is a repetition of what the owner has.
    fn recognize(&mut self, packet_id: u16, qos: QoS, content: u64) -> Option<Taken> {
        let place = self.given.iter().position(|given| {
            given.packet_id == Some(packet_id) && given.state != GivenState::Unacknowledged
        })?;
        let given = &mut self.given[place];
        if given.content != content || given.qos != qos {
            // The broker uses the number for something else, and so has forgotten what it was.
            self.given.remove(place);
            return None;
        }
        if given.state == GivenState::Repeats {
            given.state = GivenState::Unacknowledged;
            return Some(Taken::Kept);
        }
        self.given.remove(place);
        if qos == QoS::ExactlyOnce {
            self.received.insert(packet_id);
        }
        Some(Taken::Acknowledge(packet_id, qos))
    }
}

fn content(publish: &Publish) -> u64 {
    content_of(&publish.topic, &publish.payload)
}

fn content_of(topic: &str, payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (topic, payload).hash(&mut hasher);
    hasher.finish()
}

/// Messages of QoS 1 and 2 that wait until the connection is not read any more. Brokers have fewer
/// on their way to one session.
const WAITING_MAX: usize = 256;
/// Messages of QoS 0 that wait; those that come then are dropped.
const WAITING_QOS_0_MAX: usize = 1_024;
