//! A client that behaves by the book: it keeps its exchanges over connections and over crashes of
//! the broker, and does one thing at a time.

use std::collections::{BTreeSet, VecDeque};

use weir_mqtt::{Packet, PacketId, Publish, QoS};

use super::client::{Client, Received};
use super::options::Options;
use super::world::World;

/// A device with a memory of its own.
pub(crate) struct Device {
    world: World,
    options: Options,
    link: Option<Client>,
    /// CONNACK has come.
    is_connected: bool,
    had_session: bool,
    wanted: Vec<(String, QoS)>,
    granted: usize,
    /// What it has still to publish.
    pub(crate) to_publish: VecDeque<(QoS, String, String)>,
    under_way: Vec<UnderWay>,
    window: usize,
    last_id: u16,
    /// QoS 2 identifiers that it received and that were not released.
    received: BTreeSet<u16>,
    /// What it handed to its application.
    pub(crate) delivered: Vec<Received>,
    /// Payloads that the broker acknowledged (QoS 1: PUBACK, QoS 2: PUBCOMP).
    pub(crate) acknowledged: Vec<String>,
    /// A frame that was looked at last may be answered when the connection is gone already.
    pub(crate) reads_on_after_loss: bool,
}

#[derive(Clone)]
struct UnderWay {
    id: u16,
    qos: QoS,
    topic: String,
    payload: String,
    is_released: bool,
}

impl Device {
    pub(crate) fn new(world: &World, options: Options, wanted: &[(&str, QoS)]) -> Self {
        Self {
            world: world.clone(),
            options,
            link: None,
            is_connected: false,
            had_session: false,
            wanted: wanted.iter().map(|(filter, qos)| ((*filter).to_owned(), *qos)).collect(),
            granted: 0,
            to_publish: VecDeque::new(),
            under_way: Vec::new(),
            window: 5,
            last_id: 0,
            received: BTreeSet::new(),
            delivered: Vec::new(),
            acknowledged: Vec::new(),
            reads_on_after_loss: false,
        }
    }

    /// Does one thing; false when there is nothing to do.
    pub(crate) fn step(&mut self) -> bool {
        let Some(link) = self.link.take() else {
            self.is_connected = false;
            self.link = Some(self.world.dial(&self.options));
            return true;
        };
        if link.is_closed() && !self.reads_on_after_loss {
            return true;
        }
        let acted = match link.next_frame() {
            Some(frame) => {
                let packet = Packet::decode(&frame, self.options.version);
                self.handle(&link, &packet.expect("the core sends valid packets"));
                true
            }
            None if link.is_closed() => return true,
            None => self.is_connected && self.say(&link),
        };
        self.link = Some(link);
        acted
    }

    /// Loses its connection.
    pub(crate) fn hang_up(&mut self) {
        if let Some(link) = self.link.take() {
            link.hang_up();
        }
    }

    pub(crate) fn is_subscribed(&self) -> bool {
        self.granted == self.wanted.len()
    }

    /// The payloads that it handed to its application.
    pub(crate) fn payloads(&self) -> Vec<&str> {
        self.delivered.iter().map(|received| received.payload.as_str()).collect()
    }

    /// The payloads that the broker has taken (QoS 1: PUBACK, QoS 2: PUBREC), also if it has not
    /// looked at the answer yet.
    pub(crate) fn taken(&self) -> Vec<String> {
        let mut answered = BTreeSet::new();
        if let Some(link) = &self.link {
            for frame in &self.world.net().link(link.connection).frames {
                let packet = Packet::decode(frame, self.options.version);
                if let Ok(Packet::Puback(answer) | Packet::Pubrec(answer)) = packet {
                    answered.insert(answer.packet_id.get());
                }
            }
        }
        let is_taken = |own: &&UnderWay| own.is_released || answered.contains(&own.id);
        let taken = self.under_way.iter().filter(is_taken).map(|own| own.payload.clone());
        self.acknowledged.iter().cloned().chain(taken).collect()
    }

    fn handle(&mut self, link: &Client, packet: &Packet<'_>) {
        match packet {
            Packet::Connack(connack) => {
                assert!(!connack.reason.is_error(), "{connack:?}");
                assert!(connack.session_present || !self.had_session, "the session is lost");
                self.had_session = true;
                self.is_connected = true;
                self.resend(link);
            }
            Packet::Suback(suback) => {
                assert!(suback.reasons.iter().all(|reason| !reason.is_error()));
                self.granted += 1;
                link.asked.set(false);
            }
            Packet::Publish(publish) => self.receive(link, publish),
            Packet::Puback(puback) => self.finish(puback.packet_id.get()),
            Packet::Pubrec(pubrec) => {
                assert!(!pubrec.reason.is_error());
                let id = pubrec.packet_id.get();
                if let Some(own) = self.under_way.iter_mut().find(|own| own.id == id) {
                    own.is_released = true;
                }
                link.pubrel(id);
            }
            Packet::Pubrel(pubrel) => {
                self.received.remove(&pubrel.packet_id.get());
                link.pubcomp(pubrel.packet_id.get());
            }
            Packet::Pubcomp(pubcomp) => self.finish(pubcomp.packet_id.get()),
            other => panic!("unexpected {other:?}"),
        }
    }

    fn receive(&mut self, link: &Client, publish: &Publish<'_>) {
        let received = Received::new(publish);
        match received.qos {
            QoS::AtMostOnce => self.delivered.push(received),
            QoS::AtLeastOnce => {
                link.puback(received.id);
                self.delivered.push(received);
            }
            QoS::ExactlyOnce => {
                link.pubrec(received.id);
                if self.received.insert(received.id) {
                    self.delivered.push(received);
                }
            }
        }
    }

    fn finish(&mut self, id: u16) {
        if let Some(index) = self.under_way.iter().position(|own| own.id == id) {
            self.acknowledged.push(self.under_way.remove(index).payload);
        }
    }

    /// Everything under way again, in order and with its identifier.
    fn resend(&self, link: &Client) {
        for own in &self.under_way {
            if own.is_released {
                link.pubrel(own.id);
            } else {
                publish(link, own, true);
            }
        }
    }

    /// Subscribes, or publishes the next message.
    fn say(&mut self, link: &Client) -> bool {
        if let Some((filter, qos)) = self.wanted.get(self.granted) {
            // A second request for the same does no harm while the answer is under way.
            if link.asked.replace(true) {
                return false;
            }
            link.send_subscribe(filter, *qos, None, |_| {});
            return true;
        }
        if self.under_way.len() >= self.window {
            return false;
        }
        let Some((qos, topic, payload)) = self.to_publish.pop_front() else { return false };
        let mut own = UnderWay { id: 0, qos, topic, payload, is_released: false };
        if qos == QoS::AtMostOnce {
            publish(link, &own, false);
            return true;
        }
        loop {
            self.last_id = self.last_id % 50 + 1;
            if self.under_way.iter().all(|other| other.id != self.last_id) {
                break;
            }
        }
        own.id = self.last_id;
        publish(link, &own, false);
        self.under_way.push(own);
        true
    }
}

fn publish(link: &Client, own: &UnderWay, dup: bool) {
    link.send(Packet::Publish(Publish {
        dup,
        qos: own.qos,
        packet_id: PacketId::new(own.id),
        ..Publish::new(&own.topic, own.payload.as_bytes())
    }));
}
