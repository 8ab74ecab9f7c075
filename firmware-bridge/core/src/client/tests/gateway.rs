//! A gateway that follows the specification and remembers what it has had.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::string::{String, ToString};
use std::vec::Vec;

use super::{
    Delivery, MessageId, Packet, Publish, QoS, Register, ReturnCode, TopicId, TopicRef, bytes,
    puback, regack,
};
use crate::mqtt_sn_1_2::{Suback, SubscribeTopic};

/// One gateway with room for one client.
#[derive(Default)]
pub(super) struct Gateway {
    /// Whether it answers at all.
    pub(super) is_down: bool,
    /// Publications that reach the broker, with their topics.
    pub(super) published: Vec<(String, Vec<u8>)>,
    /// Number of sessions that were begun, and of connections.
    pub(super) connections: u32,
    is_connected: bool,
    is_asleep: bool,
    is_awake: bool,
    ids: BTreeMap<u16, String>,
    subscriptions: BTreeSet<String>,
    /// Ids that the client has confirmed or given by subscribing.
    confirmed: BTreeSet<u16>,
    /// Identifiers of messages of QoS 2 from the client; those with PUBREL are remembered a while.
    unreleased: BTreeSet<u16>,
    released: VecDeque<u16>,
    to_client: VecDeque<(String, Vec<u8>, QoS)>,
    in_flight: Option<InFlight>,
    last_message_id: u16,
    out: Vec<Vec<u8>>,
}

struct InFlight {
    id: MessageId,
    due_ms: u64,
    stage: Stage,
    dup: bool,
}

#[derive(PartialEq)]
enum Stage {
    Published,
    Registered,
    Released,
}

impl Gateway {
    /// A message of a subscription of the client.
    pub(super) fn queue(&mut self, topic: &str, payload: &[u8], qos: QoS) {
        self.to_client.push_back((topic.to_string(), payload.to_vec(), qos));
    }

    pub(super) fn has_queued(&self) -> bool {
        !self.to_client.is_empty()
    }

    pub(super) fn subscribes_to(&self, filter: &str) -> bool {
        self.subscriptions.contains(filter)
    }

    /// What a restart without a memory of topics does.
    pub(super) fn forget_topics(&mut self) {
        self.ids.clear();
        self.confirmed.clear();
    }

    pub(super) fn take_sent(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.out)
    }

    pub(super) fn handle(&mut self, datagram: &[u8], now_ms: u64) {
        if self.is_down {
            return;
        }
        let packet = Packet::decode(datagram).expect("a client sends packets");
        match packet {
            Packet::Connect(connect) => {
                if connect.clean_session {
                    let published = std::mem::take(&mut self.published);
                    *self = Self { published, connections: self.connections, ..Self::default() };
                }
                (self.is_connected, self.is_asleep) = (true, false);
                self.connections += 1;
                self.send(&Packet::Connack(ReturnCode::Accepted));
            }
            _ if !self.is_connected => self.send(&Packet::Disconnect(None)),
            Packet::Register(register) => {
                let id = self.id_of(register.topic);
                self.confirmed.insert(id);
                self.send(&regack(id, register.message_id.0, ReturnCode::Accepted));
            }
            Packet::Subscribe(subscribe) => {
                let SubscribeTopic::Name(name) = subscribe.topic else { panic!("{subscribe:?}") };
                self.subscriptions.insert(name.to_string());
                let id = if name.contains(['+', '#']) { 0 } else { self.id_of(name) };
                self.confirmed.insert(id);
                self.send(&Packet::Suback(Suback {
                    qos: subscribe.qos,
                    topic_id: TopicId(id),
                    message_id: subscribe.message_id,
                    return_code: ReturnCode::Accepted,
                }));
            }
            Packet::Publish(publish) => self.handle_publish(publish),
            Packet::Pubrel(id) => {
                if self.unreleased.remove(&id.0) {
                    self.released.push_back(id.0);
                    if self.released.len() > RELEASED_MAX {
                        self.released.pop_front();
                    }
                }
                self.send(&Packet::Pubcomp(id));
            }
            Packet::Pingreq(client_id) => {
                self.is_awake = self.is_asleep && client_id.is_some();
                if !self.is_awake {
                    self.send(&Packet::Pingresp);
                }
            }
            Packet::Disconnect(duration) => {
                self.is_asleep = duration.is_some();
                self.is_connected = self.is_asleep;
                self.send(&Packet::Disconnect(None));
            }
            answer => self.handle_answer(answer, now_ms),
        }
    }

    /// Sends and repeats its own messages, one after the other.
    pub(super) fn poll(&mut self, now_ms: u64) {
        if self.is_down || !self.is_connected || (self.is_asleep && !self.is_awake) {
            return;
        }
        if self.in_flight.as_ref().is_some_and(|in_flight| in_flight.due_ms > now_ms) {
            return;
        }
        if self.in_flight.is_none() && self.to_client.is_empty() && self.is_awake {
            self.is_awake = false;
            self.send(&Packet::Pingresp);
        }
        self.send_first(now_ms);
    }

    pub(super) fn next_ms(&self) -> Option<u64> {
        self.in_flight.as_ref().map(|in_flight| in_flight.due_ms)
    }

    fn send_first(&mut self, now_ms: u64) {
        let Some((name, payload, qos)) = self.to_client.front().cloned() else { return };
        let due_ms = now_ms + RETRY_MS;
        let before = self.in_flight.take();
        let id = self.id_of(&name);
        if let Some(InFlight { id, stage: Stage::Released, .. }) = before {
            self.in_flight = Some(InFlight { id, due_ms, stage: Stage::Released, dup: true });
            return self.send(&Packet::Pubrel(id));
        }
        let is_confirmed = self.confirmed.contains(&id);
        let stage = if is_confirmed { Stage::Published } else { Stage::Registered };
        // A repetition has the identifier of the first; a publication after its REGISTER has not.
        let again = before.filter(|before| before.stage == stage);
        let dup = again.as_ref().is_some_and(|again| again.dup);
        let message_id = again.map_or_else(|| self.next_message_id(), |again| again.id);
        self.in_flight = Some(InFlight { id: message_id, due_ms, stage, dup: true });
        if !is_confirmed {
            let topic_id = TopicId(id);
            return self.send(&Packet::Register(Register { topic_id, message_id, topic: &name }));
        }
        let delivery = match qos {
            QoS::AtMostOnce => Delivery::AtMostOnce,
            QoS::AtLeastOnce => Delivery::AtLeastOnce { message_id, dup },
            QoS::ExactlyOnce => Delivery::ExactlyOnce { message_id, dup },
        };
        let topic = TopicRef::Normal(TopicId(id));
        self.send(&Packet::Publish(Publish { delivery, retain: false, topic, payload: &payload }));
        if qos == QoS::AtMostOnce {
            self.done();
        }
    }

    fn handle_answer(&mut self, packet: Packet<'_>, now_ms: u64) {
        let Some(in_flight) = &mut self.in_flight else { return };
        match packet {
            Packet::Regack(regack) if regack.message_id == in_flight.id => {
                assert_eq!(regack.return_code, ReturnCode::Accepted);
                self.confirmed.insert(regack.topic_id.0);
                in_flight.due_ms = now_ms;
            }
            Packet::Puback(puback) if puback.message_id == in_flight.id => {
                if puback.return_code == ReturnCode::Accepted {
                    self.done();
                } else {
                    self.confirmed.remove(&puback.topic_id.0);
                    in_flight.due_ms = now_ms;
                }
            }
            Packet::Pubrec(id) if id == in_flight.id => {
                (in_flight.stage, in_flight.due_ms) = (Stage::Released, now_ms);
            }
            Packet::Pubcomp(id) if id == in_flight.id && in_flight.stage == Stage::Released => {
                self.done();
            }
            _ => {}
        }
    }

    fn handle_publish(&mut self, publish: Publish<'_>) {
        let TopicRef::Normal(id) = publish.topic else { panic!("{publish:?}") };
        let name = self.ids.get(&id.0).filter(|_| self.confirmed.contains(&id.0)).cloned();
        let (Delivery::AtLeastOnce { message_id, .. } | Delivery::ExactlyOnce { message_id, .. }) =
            publish.delivery
        else {
            self.published.extend(name.map(|name| (name, publish.payload.to_vec())));
            return;
        };
        let Some(name) = name else {
            return self.send(&puback(id.0, message_id.0, ReturnCode::InvalidTopicId));
        };
        if let Delivery::AtLeastOnce { .. } = publish.delivery {
            self.published.push((name, publish.payload.to_vec()));
            return self.send(&puback(id.0, message_id.0, ReturnCode::Accepted));
        }
        if !self.released.contains(&message_id.0) && self.unreleased.insert(message_id.0) {
            self.published.push((name, publish.payload.to_vec()));
        }
        self.send(&Packet::Pubrec(message_id));
    }

    fn done(&mut self) {
        self.in_flight = None;
        self.to_client.pop_front();
    }

    fn id_of(&mut self, name: &str) -> u16 {
        if let Some((id, _)) = self.ids.iter().find(|(_, known)| *known == name) {
            return *id;
        }
        let id = self.ids.len() as u16 + 1;
        self.ids.insert(id, name.to_string());
        id
    }

    fn next_message_id(&mut self) -> MessageId {
        self.last_message_id = self.last_message_id.checked_add(1).unwrap_or(1);
        MessageId(self.last_message_id)
    }

    fn send(&mut self, packet: &Packet<'_>) {
        self.out.push(bytes(packet));
    }
}

/// Of the last messages of QoS 2 from the client.
const RELEASED_MAX: usize = 16;
const RETRY_MS: u64 = 1_000;
