//! QoS 0 fan-out costs no allocation per delivery: encode once, append many, reuse every buffer.

use std::sync::Arc;

use allocation_counter::measure;
use weir_core::{
    Access, Acl, ConnectionId, Core, Effect, Input, Instant, Limits, ListenerId, Now, Recovered,
    Rule, ShardId,
};
use weir_mqtt::{
    Connect, Packet, PacketId, Publish, Subscribe, SubscribeFilter, SubscribeProperties,
    SubscriptionOptions, TopicFilter, Version,
};

const SUBSCRIBERS: u32 = 100;
const NOW: Now = Now { monotonic: Instant(0), unix_ms: 1_700_000_000_000 };

/// A core with one publisher, in slot 0, and many subscribers.
struct Fan {
    core: Core,
    dirty: Vec<ConnectionId>,
}

impl Fan {
    fn new(version: Version, filters: &[&str], identifier: Option<u32>) -> Self {
        let recovered = Recovered::default();
        let core = Core::new(ShardId(0), Limits::default(), Vec::new(), recovered, 1, NOW);
        let mut fan = Self { core, dirty: Vec::with_capacity(SUBSCRIBERS as usize + 1) };
        fan.connect(0, version);
        for slot in 1..=SUBSCRIBERS {
            fan.connect(slot, version);
            fan.subscribe(slot, version, filters, identifier);
        }
        fan
    }

    fn connect(&mut self, slot: u32, version: Version) {
        let connection = ConnectionId { slot, generation: 0 };
        self.core.handle(NOW, Input::Opened { connection, listener: ListenerId(0) });
        let name = format!("client-{slot}");
        self.receive(slot, &encode(version, Packet::Connect(Connect::new(version, &name))));
    }

    fn subscribe(
        &mut self,
        slot: u32,
        version: Version,
        filters: &[&str],
        identifier: Option<u32>,
    ) {
        let filters: Vec<SubscribeFilter<'_>> = filters
            .iter()
            .map(|filter| SubscribeFilter {
                filter: TopicFilter::parse(filter).expect("a valid filter"),
                options: SubscriptionOptions::default(),
            })
            .collect();
        let subscribe = Subscribe {
            packet_id: PacketId::new(1).expect("not zero"),
            properties: SubscribeProperties {
                subscription_identifier: identifier,
                ..SubscribeProperties::default()
            },
            filters: filters.as_slice().into(),
        };
        self.receive(slot, &encode(version, Packet::Subscribe(subscribe)));
    }

    fn receive(&mut self, slot: u32, bytes: &[u8]) {
        let connection = ConnectionId { slot, generation: 0 };
        self.core.handle(NOW, Input::Received { connection, bytes });
        self.end_turn();
    }

    /// What a shell does at the end of a turn: write each dirty connection once.
    fn end_turn(&mut self) {
        let dirty = &mut self.dirty;
        self.core.drain(|effect| match effect {
            Effect::Admitted { .. } => {}
            Effect::Flush { connection } => dirty.push(connection),
            other => panic!("{other:?} costs a write or ends a connection"),
        });
        for connection in self.dirty.drain(..) {
            let bytes = self.core.outbound(connection).expect("it is open").len();
            self.core.handle(NOW, Input::Sent { connection, bytes });
        }
    }
}

fn encode(version: Version, packet: Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes).expect("a valid packet");
    bytes
}

fn allocations(fan: &mut Fan, turn: &[u8]) -> u64 {
    // Each subscriber's buffer grows to what it gets at most, also if its turn comes late.
    for _ in 0..2 * SUBSCRIBERS {
        fan.receive(0, turn);
    }
    let sent_before = fan.core.metrics().publish_sent;
    let allocated = measure(|| {
        for _ in 0..100 {
            fan.receive(0, turn);
        }
    });
    assert!(fan.core.metrics().publish_sent - sent_before >= 100 * u64::from(SUBSCRIBERS));
    allocated.count_total
}

fn message(version: Version) -> Vec<u8> {
    let mut publish = Publish::new("site/line/4/temperature", b"{\"value\":21.5}");
    publish.properties.content_type = Some("application/json");
    encode(version, Packet::Publish(publish))
}

#[test]
fn fan_out_to_a_hundred_subscribers_allocates_nothing() {
    for version in [Version::V311, Version::V5] {
        let mut fan = Fan::new(version, &["site/+/4/#"], None);
        assert_eq!(allocations(&mut fan, &message(version)), 0, "{version:?}");
    }
}

#[test]
fn a_turn_of_many_messages_allocates_nothing() {
    for version in [Version::V311, Version::V5] {
        let mut fan = Fan::new(version, &["site/line/4/temperature"], None);
        assert_eq!(allocations(&mut fan, &message(version).repeat(20)), 0, "{version:?}");
    }
}

#[test]
fn overlapping_subscriptions_and_their_identifiers_allocate_nothing() {
    let mut fan = Fan::new(Version::V5, &["site/#", "site/line/4/temperature"], Some(7));
    assert_eq!(allocations(&mut fan, &message(Version::V5)), 0);
}

/// A hundred subscriptions, and many groups of which one member each gets the message.
#[test]
fn shared_subscriptions_allocate_nothing() {
    for version in [Version::V311, Version::V5] {
        let filters = ["$share/a/site/#", "$share/b/site/line/4/temperature", "site/#"];
        let mut fan = Fan::new(version, &filters, None);
        assert_eq!(allocations(&mut fan, &message(version)), 0, "{version:?}");
    }
}

/// Once for the message that names its topic by an alias is not once per delivery, but it need
/// not be there either.
#[test]
fn a_topic_alias_allocates_nothing() {
    let version = Version::V5;
    let mut fan = Fan::new(version, &["site/#"], None);
    let alias = std::num::NonZeroU16::new(1);
    let mut publish = Publish::new("site/line/4/temperature", b"21.5");
    publish.properties.topic_alias = alias;
    fan.receive(0, &encode(version, Packet::Publish(publish)));
    publish.topic = "";
    assert_eq!(allocations(&mut fan, &encode(version, Packet::Publish(publish))), 0);
}

#[test]
fn checking_each_delivery_against_an_acl_allocates_nothing() {
    let mut fan = Fan::new(Version::V5, &["site/#"], None);
    let rule = |access, filter| {
        (None, Rule::topic(access, TopicFilter::parse(filter).expect("a valid filter")))
    };
    let topics = [rule(Access::Deny, "site/secret"), rule(Access::ReadWrite, "site/+/4/#")];
    let pattern = TopicFilter::parse("of/%c/#").expect("a valid filter");
    let acl = Acl::new(topics, [Rule::pattern(Access::Read, pattern)]);
    fan.core.handle(NOW, Input::Permissions(Some(Arc::new(acl))));
    assert_eq!(allocations(&mut fan, &message(Version::V5)), 0);
}

/// What a connection that says nothing costs: no buffer of its own.
#[test]
fn an_idle_connection_holds_little_memory() {
    let recovered = Recovered::default();
    let mut core = Core::new(ShardId(0), Limits::default(), Vec::new(), recovered, 1, NOW);
    let names: Vec<Vec<u8>> = (0..1000)
        .map(|slot| {
            let name = format!("client-{slot}");
            encode(Version::V311, Packet::Connect(Connect::new(Version::V311, &name)))
        })
        .collect();
    let held = measure(|| {
        for (slot, connect) in (0..).zip(&names) {
            let connection = ConnectionId { slot, generation: 0 };
            core.handle(NOW, Input::Opened { connection, listener: ListenerId(0) });
            core.handle(NOW, Input::Received { connection, bytes: connect });
            core.drain(drop);
            let bytes = core.outbound(connection).expect("it is open").len();
            core.handle(NOW, Input::Sent { connection, bytes });
        }
    });
    let per_connection = held.bytes_current / 1000;
    assert!(per_connection < 1500, "{per_connection} bytes");
}
