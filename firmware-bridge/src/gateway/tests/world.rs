//! Gateway, broker, nodes and the clock of a test.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use weir_node::mqtt_sn_1_2::{
    Connect, Delivery, Encapsulated, MessageId, Packet, Puback, Publish, QoS, Regack, Register,
    ReturnCode, Suback, Subscribe, SubscribeTopic, TopicId, TopicRef, WillTopic,
};

use super::super::{
    Address, Counter, Effect, Gateway, Input, LinkId, LinkOptions, Options, Peer, Refusal, Saved,
};
use super::model::Model;

pub(super) struct World {
    pub(super) gateway: Gateway,
    pub(super) broker: Model,
    pub(super) now: u64,
    options: Options,
    /// The state file.
    pub(super) file: BTreeMap<String, Vec<u8>>,
    /// What the gateway has sent and no node has looked at.
    pub(super) sent: Vec<(Address, Vec<u8>)>,
    pub(super) broadcast: Vec<(LinkId, Vec<u8>)>,
    pub(super) refused: Vec<Refusal>,
}

/// Where a node is.
pub(super) type Node = Address;

impl World {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(configure: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options::new("gw");
        options.links = vec![LinkOptions::udp("udp0"), LinkOptions::serial("serial0")];
        configure(&mut options);
        let mut world = Self {
            gateway: Gateway::new(options.clone(), 0),
            broker: Model::default(),
            now: 0,
            options,
            file: BTreeMap::new(),
            sent: Vec::new(),
            broadcast: Vec::new(),
            refused: Vec::new(),
        };
        world.run();
        world
    }

    /// A node at an address of its own.
    pub(super) fn node(&self, number: u8) -> Node {
        let socket = SocketAddr::from(([127, 0, 0, number], 10_000));
        Address::direct(LinkId(0), Peer::Udp(socket))
    }

    /// A node that is connected with a clean session.
    pub(super) fn connected(&mut self, client_id: &str) -> Node {
        self.connected_with(client_id, true)
    }

    pub(super) fn connected_with(&mut self, client_id: &str, clean_session: bool) -> Node {
        let taken = self.gateway.clients.iter().count() as u8;
        let node = self.node(taken + 1);
        self.send(&node, connect(client_id, clean_session));
        self.expect(&node, &[Packet::Connack(ReturnCode::Accepted)]);
        node
    }

    /// A node sends a packet, and everything that follows from it happens.
    pub(super) fn send(&mut self, from: &Node, packet: Packet<'_>) {
        let bytes = encoded(packet);
        let bytes = match &from.node {
            Some(node) => encoded(Packet::Encapsulated(Encapsulated {
                radius: 1,
                wireless_node_id: node,
                packet: &bytes,
            })),
            None => bytes,
        };
        self.send_bytes(from, &bytes);
    }

    pub(super) fn send_bytes(&mut self, from: &Node, bytes: &[u8]) {
        let (link, peer) = (from.link, from.peer);
        self.gateway.handle(self.now, Input::Datagram { link, peer, bytes });
        self.run();
    }

    /// Does what the gateway wants and tells it what happens, until nothing happens any more.
    pub(super) fn run(&mut self) {
        loop {
            let file = &mut self.file;
            self.gateway.drain_saves(|id, record| {
                match record {
                    Some(record) => file.insert(id.to_owned(), record),
                    None => file.remove(id),
                };
            });
            let mut effects = Vec::new();
            self.gateway.drain_effects(|effect| effects.push(effect));
            effects.into_iter().for_each(|effect| self.perform(effect));
            let Some((session, event)) = self.broker.events.pop_front() else { break };
            self.gateway.handle(self.now, Input::Session(session, event));
        }
    }

    /// Lets time pass; the gateway is woken when it wants to be.
    pub(super) fn advance(&mut self, ms: u64) {
        let end = self.now + ms;
        while let Some(at) = self.gateway.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.gateway.handle(self.now, Input::Timeout);
            self.run();
        }
        self.now = end;
    }

    /// The gateway's process is killed and started again.
    pub(super) fn restart(&mut self) {
        self.broker.lose_connections();
        self.gateway = Gateway::new(self.options.clone(), self.now);
        let saved = self.file.iter().map(|(id, record)| Saved::decode(id, record).unwrap());
        self.gateway.restore(self.now, saved);
        self.sent.clear();
        self.run();
    }

    /// What has come to a node since it last looked.
    pub(super) fn received(&mut self, node: &Node) -> Vec<Vec<u8>> {
        let (own, others) =
            std::mem::take(&mut self.sent).into_iter().partition(|(to, _)| to == node);
        self.sent = others;
        let own: Vec<(Address, Vec<u8>)> = own;
        own.into_iter().map(|(_, bytes)| bytes).collect()
    }

    /// Exactly these have come to a node since it last looked.
    #[track_caller]
    pub(super) fn expect(&mut self, node: &Node, packets: &[Packet<'_>]) {
        let received = self.received(node);
        let decoded: Vec<_> = received.iter().map(|bytes| Packet::decode(bytes)).collect();
        let expected: Vec<_> = packets.iter().copied().map(Ok).collect();
        assert_eq!(decoded, expected);
    }

    pub(super) fn count(&self, counter: Counter) -> u64 {
        self.gateway.counters().of(counter)
    }

    /// What is retained about a device.
    pub(super) fn availability(&self, device: &str) -> &str {
        let topic = format!("edge/gw/{device}/availability");
        let payload = self.broker.retained.get(&*topic).expect("it was announced");
        str::from_utf8(payload).unwrap()
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Broadcast { link, bytes } => self.broadcast.push((link, bytes.into())),
            Effect::Command { session, command } => self.broker.command(session, command),
            Effect::Open { session, options } => self.broker.open(session, options),
            Effect::Refused(refusal) => self.refused.push(refusal),
            Effect::Send { to, bytes } => self.sent.push((to, bytes.into())),
        }
    }
}

pub(super) fn encoded(packet: Packet<'_>) -> Vec<u8> {
    let mut bytes = vec![0; packet.encoded_len().unwrap()];
    packet.encode(&mut bytes).unwrap();
    bytes
}

pub(super) fn connect(client_id: &str, clean_session: bool) -> Packet<'_> {
    Packet::Connect(Connect { clean_session, will: false, duration_s: 30, client_id })
}

pub(super) fn connect_with_will(client_id: &str, clean_session: bool) -> Packet<'_> {
    Packet::Connect(Connect { clean_session, will: true, duration_s: 30, client_id })
}

pub(super) fn will_topic(topic: &str) -> WillTopic<'_> {
    WillTopic { qos: QoS::AtLeastOnce, retain: true, topic }
}

pub(super) fn register(message_id: u16, topic: &str) -> Packet<'_> {
    let (topic_id, message_id) = (TopicId(0), MessageId(message_id));
    Packet::Register(Register { topic_id, message_id, topic })
}

pub(super) fn regack(topic_id: u16, message_id: u16, return_code: ReturnCode) -> Packet<'static> {
    let (topic_id, message_id) = (TopicId(topic_id), MessageId(message_id));
    Packet::Regack(Regack { topic_id, message_id, return_code })
}

pub(super) fn publish(delivery: Delivery, topic: TopicRef, payload: &str) -> Packet<'_> {
    let payload = payload.as_bytes();
    Packet::Publish(Publish { delivery, retain: false, topic, payload })
}

pub(super) fn qos_1(message_id: u16) -> Delivery {
    Delivery::AtLeastOnce { message_id: MessageId(message_id), dup: false }
}

pub(super) fn qos_2(message_id: u16) -> Delivery {
    Delivery::ExactlyOnce { message_id: MessageId(message_id), dup: false }
}

pub(super) fn again(delivery: Delivery) -> Delivery {
    match delivery {
        Delivery::AtLeastOnce { message_id, .. } => Delivery::AtLeastOnce { message_id, dup: true },
        Delivery::ExactlyOnce { message_id, .. } => Delivery::ExactlyOnce { message_id, dup: true },
        other => other,
    }
}

pub(super) fn puback(topic_id: u16, message_id: u16, return_code: ReturnCode) -> Packet<'static> {
    let (topic_id, message_id) = (TopicId(topic_id), MessageId(message_id));
    Packet::Puback(Puback { topic_id, message_id, return_code })
}

pub(super) fn subscribe(message_id: u16, filter: &str, qos: QoS) -> Packet<'_> {
    let (message_id, topic) = (MessageId(message_id), SubscribeTopic::Name(filter));
    Packet::Subscribe(Subscribe { dup: false, qos, message_id, topic })
}

pub(super) fn suback(topic_id: u16, message_id: u16, qos: QoS) -> Packet<'static> {
    let (topic_id, message_id) = (TopicId(topic_id), MessageId(message_id));
    Packet::Suback(Suback { qos, topic_id, message_id, return_code: ReturnCode::Accepted })
}

pub(super) fn normal(id: u16) -> TopicRef {
    TopicRef::Normal(TopicId(id))
}
