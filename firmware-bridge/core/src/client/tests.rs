//! The client against bytes of the standard, and against a gateway on a bad network.

mod connection;
mod gateway;
mod messages;
mod network;
mod properties;
mod sleep;
mod world;

use std::vec;
use std::vec::Vec;

use super::*;
use crate::mqtt_sn_1_2::{Puback, Publish, Regack, ReturnCode, Suback, TopicRef, WillTopic};

const MTU: usize = 128;
const RING: usize = 256;

/// A client and the topics of these tests.
type Node = Client<'static, MTU, 6>;

const STATE: TopicIndex = TopicIndex(0);
const AGED: TopicIndex = TopicIndex(1);
const FILTER: TopicIndex = TopicIndex(2);
const PREDEFINED: TopicIndex = TopicIndex(3);
const PREDEFINED_AGED: TopicIndex = TopicIndex(4);
const SHORT: TopicIndex = TopicIndex(5);

const TOPICS: [Topic<'static>; 6] = [
    Topic::Name("mill/state"),
    Topic::Name("$age/mill/reading"),
    Topic::Name("mill/+/set"),
    Topic::Predefined(TopicId(7)),
    Topic::PredefinedAged(TopicId(8)),
    Topic::Short(*b"ab"),
];

const TIMING: Timing = Timing { retry_ms: 1_000, retries: 3, wait_s: 20, reconnect_max_s: 8 };
const CONFIG: Config<'static> = Config { timing: TIMING, ..Config::new("mill-1") };
const WILL: Will<'static> = Will {
    topic: WillTopic { qos: QoS::AtLeastOnce, retain: true, topic: "mill/gone" },
    message: b"gone",
};

fn node(config: Config<'static>) -> Node {
    let config = std::boxed::Box::leak(config.into());
    Node::new(config, &TOPICS, vec![0; RING].leak()).unwrap()
}

/// A client whose connection was accepted at 0.
fn connected(config: Config<'static>) -> Node {
    let mut node = node(config);
    node.connect(0);
    assert!(matches!(sent(&mut node, 0).as_slice(), [_, 0x04, ..]));
    assert_eq!(take(&mut node, &Packet::Connack(ReturnCode::Accepted), 0), Some(Event::Connected));
    node
}

/// What the client sends next; nothing is an empty datagram.
fn sent(node: &mut Node, now_ms: u32) -> Vec<u8> {
    match node.poll(now_ms) {
        Output::Send(datagram) | Output::Broadcast(datagram) => datagram.to_vec(),
        Output::Event(event) => panic!("{event:?} in place of a datagram"),
        Output::Idle | Output::WaitUntil(_) => Vec::new(),
    }
}

#[track_caller]
fn assert_sends(node: &mut Node, now_ms: u32, packet: &Packet<'_>) {
    let datagram = sent(node, now_ms);
    assert_eq!(Packet::decode(&datagram).as_ref(), Ok(packet));
}

#[track_caller]
fn assert_waits(node: &mut Node, now_ms: u32) {
    assert_eq!(sent(node, now_ms), [] as [u8; 0]);
}

fn bytes(packet: &Packet<'_>) -> Vec<u8> {
    let mut out = vec![0; packet.encoded_len().unwrap()];
    packet.encode(&mut out).unwrap();
    out
}

/// Gives the client a packet; the event must not borrow from it.
fn take(node: &mut Node, packet: &Packet<'_>, now_ms: u32) -> Option<Event<'static>> {
    node.handle_datagram(bytes(packet).leak(), now_ms)
}

fn message(topic: TopicIndex, qos: QoS, payload: &[u8]) -> Message<'_> {
    Message { topic, qos, retain: false, payload }
}

fn register(id: u16, message_id: u16, topic: &str) -> Packet<'_> {
    let (topic_id, message_id) = (TopicId(id), MessageId(message_id));
    Packet::Register(Register { topic_id, message_id, topic })
}

fn regack(id: u16, message_id: u16, return_code: ReturnCode) -> Packet<'static> {
    let (topic_id, message_id) = (TopicId(id), MessageId(message_id));
    Packet::Regack(Regack { topic_id, message_id, return_code })
}

fn puback(id: u16, message_id: u16, return_code: ReturnCode) -> Packet<'static> {
    let (topic_id, message_id) = (TopicId(id), MessageId(message_id));
    Packet::Puback(Puback { topic_id, message_id, return_code })
}

fn suback(id: u16, message_id: u16, return_code: ReturnCode) -> Packet<'static> {
    let (topic_id, message_id) = (TopicId(id), MessageId(message_id));
    Packet::Suback(Suback { qos: QoS::AtLeastOnce, topic_id, message_id, return_code })
}

fn publish(topic: TopicRef, delivery: Delivery, payload: &[u8]) -> Packet<'_> {
    Packet::Publish(Publish { delivery, retain: false, topic, payload })
}

fn at_least_once(message_id: u16, dup: bool) -> Delivery {
    Delivery::AtLeastOnce { message_id: MessageId(message_id), dup }
}

fn exactly_once(message_id: u16, dup: bool) -> Delivery {
    Delivery::ExactlyOnce { message_id: MessageId(message_id), dup }
}
