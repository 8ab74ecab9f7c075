//! A network that loses, doubles and reorders, and a long run: behaviours 13 and 14.

use std::collections::{BTreeMap, VecDeque};

use weir_node::mqtt_sn_1_2::{Delivery, MessageId, Packet, QoS, ReturnCode};

use super::world::{
    Node, World, again, encoded, normal, puback, publish, qos_1, qos_2, regack, register, subscribe,
};

/// A node that publishes one message after the other and takes what it is given.
struct Peer {
    node: Node,
    to_publish: VecDeque<(QoS, String)>,
    current: Option<Exchange>,
    last_message_id: u16,
    /// QoS 2 that came and was not released, or was released not long ago.
    seen: VecDeque<u16>,
    received: Vec<String>,
}

struct Exchange {
    message_id: u16,
    qos: QoS,
    text: String,
    released: bool,
    due_at: u64,
}

impl Peer {
    fn new(node: Node, to_publish: impl IntoIterator<Item = (QoS, String)>) -> Self {
        Self {
            node,
            to_publish: to_publish.into_iter().collect(),
            current: None,
            last_message_id: 100,
            seen: VecDeque::new(),
            received: Vec::new(),
        }
    }

    fn is_done(&self) -> bool {
        self.current.is_none() && self.to_publish.is_empty()
    }

    /// What it sends now, if something is due.
    fn poll(&mut self, now: u64) -> Option<Vec<u8>> {
        if self.current.is_none() {
            let (qos, text) = self.to_publish.pop_front()?;
            self.last_message_id += 1;
            let message_id = self.last_message_id;
            self.current = Some(Exchange { message_id, qos, text, released: false, due_at: now });
        }
        let repeats = self.current.as_ref().is_some_and(|current| current.due_at < now);
        let current = self.current.as_mut().filter(|current| current.due_at <= now)?;
        current.due_at = now + RETRY_MS;
        Some(current.packet(repeats))
    }

    /// Its answer to a packet.
    fn handle(&mut self, now: u64, bytes: &[u8]) -> Option<Vec<u8>> {
        match Packet::decode(bytes).unwrap() {
            Packet::Puback(puback) if puback.return_code == ReturnCode::Accepted => {
                let ends = |c: &Exchange| c.qos == QoS::AtLeastOnce;
                self.end(puback.message_id.0, ends);
                None
            }
            Packet::Pubrec(id) => {
                let current = self.current.as_mut().filter(|c| c.message_id == id.0);
                if let Some(current) = current {
                    current.released = true;
                    current.due_at = now + RETRY_MS;
                }
                Some(encoded(Packet::Pubrel(id)))
            }
            Packet::Pubcomp(id) => {
                self.end(id.0, |c| c.released);
                None
            }
            Packet::Publish(publish) => {
                let text = String::from_utf8(publish.payload.to_vec()).unwrap();
                match publish.delivery {
                    Delivery::AtLeastOnce { message_id, .. } => {
                        self.received.push(text);
                        Some(encoded(puback(1, message_id.0, ReturnCode::Accepted)))
                    }
                    Delivery::ExactlyOnce { message_id, .. } => {
                        if !self.seen.contains(&message_id.0) {
                            self.seen.push_back(message_id.0);
                            self.received.push(text);
                        }
                        if self.seen.len() > 50 {
                            self.seen.pop_front();
                        }
                        Some(encoded(Packet::Pubrec(message_id)))
                    }
                    other => panic!("{other:?}"),
                }
            }
            Packet::Pubrel(id) => Some(encoded(Packet::Pubcomp(id))),
            other => panic!("{other:?}"),
        }
    }

    fn end(&mut self, message_id: u16, ends: impl Fn(&Exchange) -> bool) {
        if self.current.as_ref().is_some_and(|c| c.message_id == message_id && ends(c)) {
            self.current = None;
        }
    }
}

impl Exchange {
    fn packet(&self, repeats: bool) -> Vec<u8> {
        let delivery = match self.qos {
            _ if self.released => return encoded(Packet::Pubrel(MessageId(self.message_id))),
            QoS::ExactlyOnce => qos_2(self.message_id),
            _ => qos_1(self.message_id),
        };
        let delivery = if repeats { again(delivery) } else { delivery };
        encoded(publish(delivery, normal(1), &self.text))
    }
}

/// Datagrams on their way: when they arrive, and whether at the gateway.
pub(super) struct Network {
    random: u64,
    on_the_way: BTreeMap<(u64, u64), (bool, Vec<u8>)>,
    sent: u64,
}

impl Network {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: seed | 1, on_the_way: BTreeMap::new(), sent: 0 }
    }

    /// What arrives until now: whether at the gateway, and what.
    pub(super) fn arrived(&mut self, now: u64) -> Option<(bool, Vec<u8>)> {
        let first = self.on_the_way.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    fn chance(&mut self, of: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % of
    }

    /// Loses a tenth, doubles a tenth of the rest, and takes from 1 to 60 ms for each.
    pub(super) fn send(&mut self, now: u64, to_gateway: bool, bytes: &[u8]) {
        if self.chance(10) == 0 {
            return;
        }
        let copies = if self.chance(10) == 0 { 2 } else { 1 };
        for _ in 0..copies {
            let at = now + 1 + self.chance(60);
            self.sent += 1;
            self.on_the_way.insert((at, self.sent), (to_gateway, bytes.to_vec()));
        }
    }
}

const RETRY_MS: u64 = 200;

/// Lets a node and the gateway talk over the network until both have nothing to do.
fn talk(world: &mut World, peer: &mut Peer, seed: u64) {
    let mut network = Network::new(seed);
    let end = world.now + 10_000_000;
    while !(peer.is_done() && world.broker.held("n") == 0 && network.on_the_way.is_empty()) {
        assert!(world.now < end, "seed {seed}: it never ends");
        if let Some(bytes) = peer.poll(world.now) {
            network.send(world.now, true, &bytes);
        }
        while let Some((to_gateway, bytes)) = network.arrived(world.now) {
            if to_gateway {
                world.send_bytes(&peer.node, &bytes);
            } else if let Some(answer) = peer.handle(world.now, &bytes) {
                network.send(world.now, true, &answer);
            }
        }
        for bytes in world.received(&peer.node) {
            network.send(world.now, false, &bytes);
        }
        world.advance(1);
    }
}

fn lossy_world() -> (World, Node) {
    let mut world = World::with(|options| {
        options.retry_ms = RETRY_MS;
        options.retries = 50;
    });
    let node = world.connected("n");
    world.send(&node, register(1, "up"));
    world.send(&node, subscribe(2, "down", QoS::ExactlyOnce));
    world.send(&node, register(3, "down"));
    world.received(&node);
    (world, node)
}

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

/// 13.
#[test]
fn qos_2_is_exactly_once_in_both_directions_on_a_bad_network() {
    for seed in 1..=20 {
        let (mut world, node) = lossy_world();
        let expected = texts(100);
        let mut peer = Peer::new(node, expected.iter().cloned().map(|t| (QoS::ExactlyOnce, t)));
        for text in &expected {
            world.broker.publish_text("down", text, QoS::ExactlyOnce);
            world.run();
        }
        talk(&mut world, &mut peer, seed * 0x9e37_79b9);
        assert_eq!(world.broker.texts("up"), expected, "seed {seed}");
        assert_eq!(peer.received, expected, "seed {seed}");
    }
}

#[test]
fn qos_1_is_at_least_once_in_both_directions_on_a_bad_network() {
    for seed in 1..=20 {
        let (mut world, node) = lossy_world();
        let expected = texts(100);
        let mut peer = Peer::new(node, expected.iter().cloned().map(|t| (QoS::AtLeastOnce, t)));
        for text in &expected {
            world.broker.publish_text("down", text, QoS::AtLeastOnce);
            world.run();
        }
        talk(&mut world, &mut peer, seed * 0x9e37_79b9);
        for text in &expected {
            assert!(world.broker.texts("up").contains(&&**text), "seed {seed}: {text}");
            assert!(peer.received.contains(text), "seed {seed}: {text}");
        }
    }
}

/// 14. More messages than there are message identifiers.
#[test]
fn alternating_qos_1_and_2_never_stalls() {
    let mut world = World::new();
    let node = world.connected("n");
    world.send(&node, register(1, "t"));
    world.expect(&node, &[regack(1, 1, ReturnCode::Accepted)]);
    let mut message_id = 0_u16;
    for number in 0..100_000 {
        message_id = message_id.checked_add(1).unwrap_or(1);
        let id = MessageId(message_id);
        if number % 2 == 0 {
            world.send(&node, publish(qos_1(message_id), normal(1), "x"));
            world.expect(&node, &[puback(1, message_id, ReturnCode::Accepted)]);
        } else {
            world.send(&node, publish(qos_2(message_id), normal(1), "x"));
            world.send(&node, Packet::Pubrel(id));
            world.expect(&node, &[Packet::Pubrec(id), Packet::Pubcomp(id)]);
        }
        world.broker.published.clear();
    }
    assert_eq!(world.count(super::super::Counter::Published), 100_000);
}
