//! A virtual network around one core: clients, a clock, and a store that remembers in memory.

mod client;
mod device;
mod net;
mod options;
pub(crate) mod store;
mod world;

pub(crate) use client::{Client, Received};
pub(crate) use device::Device;
pub(crate) use options::{Options, v5, v31, v311};
pub(crate) use weir_core::*;
pub(crate) use weir_mqtt::{
    Acknowledge, Auth, Packet, PacketId, PacketKind, Publish, QoS, ReasonCode, RetainHandling,
    Subscribe, SubscribeFilter, SubscriptionOptions, TopicFilter, Unsubscribe, Version,
};
pub(crate) use world::{World, granted, in_one_shard};

pub(crate) const QOS0: QoS = QoS::AtMostOnce;
pub(crate) const QOS1: QoS = QoS::AtLeastOnce;
pub(crate) const QOS2: QoS = QoS::ExactlyOnce;

pub(crate) fn packet_id(number: u16) -> PacketId {
    PacketId::new(number).expect("not zero")
}

/// A message as rules and upstreams publish it.
pub(crate) fn message<'a>(qos: QoS, topic: &'a str, payload: &'a str) -> MessageParts<'a> {
    let payload = payload.as_bytes();
    MessageParts {
        qos,
        retain: false,
        expires_at_ms: None,
        received_at_ms: 0,
        publisher: "",
        topic,
        properties: &[],
        payload,
    }
}

/// Chooses what happens next, the same way for the same seed.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        const FACTOR: u64 = 6_364_136_223_846_793_005;
        self.0 = self.0.wrapping_mul(FACTOR).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}
