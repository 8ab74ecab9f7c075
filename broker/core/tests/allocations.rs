//! QoS 0 fan-out costs no allocation per delivery: encode once, append many, reuse every buffer.

use std::sync::Arc;

use allocation_counter::measure;
use weir_core::{
    Access, Acl, ConnectionId, Core, Effect, Input, Instant, Limits, ListenerId, Now, Recovered,
    Rule,
};
use weir_mqtt::{
    Connect, Packet, PacketId, Publish, QoS, Subscribe, SubscribeFilter, SubscribeProperties,
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
        Self::at(QoS::AtMostOnce, version, filters, identifier)
    }

    fn at(qos: QoS, version: Version, filters: &[&str], identifier: Option<u32>) -> Self {
        let recovered = Recovered::default();
        let core = Core::new(Limits::default(), Vec::new(), recovered, 1, NOW);
        let mut fan = Self { core, dirty: Vec::with_capacity(SUBSCRIBERS as usize + 1) };
        fan.connect(0, version);
        for slot in 1..=SUBSCRIBERS {
            fan.connect(slot, version);
            fan.subscribe(slot, version, qos, filters, identifier);
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
        qos: QoS,
        filters: &[&str],
        identifier: Option<u32>,
    ) {
        let filters: Vec<SubscribeFilter<'_>> = filters
            .iter()
            .map(|filter| SubscribeFilter {
                filter: TopicFilter::parse(filter).expect("a valid filter"),
                options: SubscriptionOptions { qos, ..SubscriptionOptions::default() },
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

/// One for the message, which its deliveries share; those take none, nor do their acknowledgements.
#[test]
fn a_qos1_message_allocates_once_whatever_the_number_of_its_subscribers() {
    for version in [Version::V311, Version::V5] {
        let mut fan = Fan::at(QoS::AtLeastOnce, version, &["site/#"], None);
        let mut publish = Publish::new("site/line/4/temperature", b"{\"value\":21.5}");
        (publish.qos, publish.packet_id) = (QoS::AtLeastOnce, PacketId::new(1));
        let publish = encode(version, Packet::Publish(publish));
        let round = |fan: &mut Fan, number: u16| {
            let [high, low] = number.to_be_bytes();
            fan.receive(0, &publish);
            for slot in 1..=SUBSCRIBERS {
                fan.receive(slot, &[0x40, 2, high, low]);
            }
        };
        (1..=300).for_each(|number| round(&mut fan, number));
        let allocated = measure(|| (301..=400).for_each(|number| round(&mut fan, number)));
        let metrics = fan.core.metrics();
        assert_eq!((metrics.publish_sent, metrics.inflight), (400 * u64::from(SUBSCRIBERS), 0));
        assert!(allocated.count_total <= 101, "{} in 100 messages", allocated.count_total);
    }
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
    let mut core = Core::new(Limits::default(), Vec::new(), recovered, 1, NOW);
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

/// Fills a core with one kind of thing at a time. What the core counts of it and what the
/// allocator gave for it, bytes each.
#[allow(clippy::print_stdout, reason = "the figures are quoted in a decision record")]
fn growth(name: &str, limits: Limits, fill: impl Fn(&mut Core, u32)) -> (f64, f64) {
    const THINGS: u32 = 20_000;
    let recovered = Recovered::default();
    let mut core = Core::new(limits, Vec::new(), recovered, 1, NOW);
    for (slot, client_id) in [(0, "publisher"), (1, "subscriber"), (2, "away")] {
        open(&mut core, slot, client_id, 1000);
    }
    subscribe(&mut core, 2, "queue/#");
    let connection = ConnectionId { slot: 2, generation: 0 };
    core.handle(NOW, Input::Closed { connection });
    settle(&mut core);
    let before = core.metrics().memory_bytes;
    let allocated = measure(|| {
        for number in 10..10 + THINGS {
            fill(&mut core, number);
            settle(&mut core);
        }
    });
    let each = |bytes: u64| bytes as f64 / f64::from(THINGS);
    let counted = each(core.metrics().memory_bytes - before);
    let allocated = each(u64::try_from(allocated.bytes_current).expect("it grew"));
    println!("{name}: {counted:.0} bytes counted, {allocated:.0} allocated");
    (counted, allocated)
}

fn receive(core: &mut Core, slot: u32, packet: Packet<'_>) {
    let bytes = encode(Version::V5, packet);
    let connection = ConnectionId { slot, generation: 0 };
    core.handle(NOW, Input::Received { connection, bytes: &bytes });
    settle(core);
}

fn open(core: &mut Core, slot: u32, client_id: &str, expiry_s: u32) {
    let connection = ConnectionId { slot, generation: 0 };
    core.handle(NOW, Input::Opened { connection, listener: ListenerId(0) });
    let mut connect = Connect::new(Version::V5, client_id);
    connect.properties.session_expiry_interval_s = Some(expiry_s);
    receive(core, slot, Packet::Connect(connect));
}

fn subscribe(core: &mut Core, slot: u32, filter: &str) {
    let options = SubscriptionOptions { qos: QoS::AtLeastOnce, ..SubscriptionOptions::default() };
    let filter = TopicFilter::parse(filter).expect("a valid filter");
    let packet_id = PacketId::new(1).expect("not zero");
    let properties = SubscribeProperties::default();
    let filters = [SubscribeFilter { filter, options }];
    let filters = (&filters[..]).into();
    receive(core, slot, Packet::Subscribe(Subscribe { packet_id, properties, filters }));
}

fn publish(core: &mut Core, topic: &str, retain: bool) {
    publish_with(core, topic, retain, None);
}

fn publish_with(core: &mut Core, topic: &str, retain: bool, expiry_s: Option<u32>) {
    let mut publish = Publish::new(topic, b"{\"value\":21.5,\"unit\":\"celsius\"}");
    publish.qos = QoS::AtLeastOnce;
    publish.packet_id = PacketId::new(1);
    publish.retain = retain;
    publish.properties.message_expiry_interval_s = expiry_s;
    receive(core, 0, Packet::Publish(publish));
}

/// What a shell does, with a disk that keeps everything at once.
fn settle(core: &mut Core) {
    loop {
        let mut effects = Vec::new();
        core.drain(|effect| effects.push(effect));
        if effects.is_empty() {
            return;
        }
        for effect in effects {
            match effect {
                Effect::Commit(batch) => core.handle(NOW, Input::Committed { batch: batch.number }),
                Effect::Flush { connection } => {
                    let bytes = core.outbound(connection).expect("it is open").len();
                    core.handle(NOW, Input::Sent { connection, bytes });
                }
                Effect::Admitted { .. } => {}
                other => panic!("{other:?} is not expected"),
            }
        }
    }
}

/// The limit of memory is held by what is counted, so that has to be about right.
#[test]
fn the_memory_that_is_counted_is_about_what_the_allocator_gives() {
    let limits = || Limits { queued_messages_max: 0, ..Limits::default() };
    let eased = || Limits { queued_memory_eased_at: 0, ..limits() };
    let name = |number: u32| format!("client-{number:08}");
    let measured = [
        growth("connection", limits(), |core, n| open(core, n, &name(n), 0)),
        growth("session that is away", limits(), |core, n| {
            open(core, n, &name(n), 1000);
            let connection = ConnectionId { slot: n, generation: 0 };
            core.handle(NOW, Input::Closed { connection });
        }),
        growth("subscription", limits(), |core, n| {
            // As many of each level as a site has, not one of each.
            let client = 10 + (n - 10) % 5_000;
            if n < 10 + 5_000 {
                open(core, n, &name(n), 1000);
            }
            subscribe(core, client, &format!("site/line-{client}/device-{n}/+"));
        }),
        growth("retained message", limits(), |core, n| {
            publish(core, &format!("site/line/device-{n:08}/temperature"), true);
        }),
        growth("retained message that expires", limits(), |core, n| {
            let topic = format!("site/line/device-{n:08}/temperature");
            publish_with(core, &topic, true, Some(100 + n % 1_000));
        }),
        growth("queued message", limits(), |core, n| {
            publish(core, &format!("queue/{n:08}"), false)
        }),
        growth("queued message on the disk", eased(), |core, n| {
            publish(core, &format!("queue/{n:08}"), false);
        }),
        growth(
            "delayed message",
            Limits { delayed_messages_max: 100_000, ..limits() },
            |core, n| {
                publish(core, &format!("$delayed/60/later/{n:08}"), false);
            },
        ),
    ];
    for (counted, allocated) in measured {
        let ratio = counted / allocated;
        assert!((0.7..1.5).contains(&ratio), "{ratio:.2}");
    }
}
