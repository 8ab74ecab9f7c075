//! What a message costs with many subscriptions, and what a subscription takes: the core alone,
//! without sockets and disk.
//!
//! `cargo bench --package weir-core`. It fails when a message with 1,000,000 subscriptions takes
//! longer than the caches of a processor explain, when filters that are made to be slow are slower
//! than what they are, or when clients that come and go slow down the others.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark speaks, or stops")]

use std::time::{Duration, Instant as Clock};

use allocation_counter::measure;
use weir_core::{ConnectionId, Core, Effect, Input, Instant, Limits, ListenerId, Now, Recovered};
use weir_mqtt::{
    Connect, Packet, PacketId, Publish, Subscribe, SubscribeFilter, SubscribeProperties,
    SubscriptionOptions, TopicFilter, Unsubscribe, UserProperties, Version,
};

fn main() {
    let mut failures = Vec::new();
    scale(&mut failures);
    deep(&mut failures);
    crowd(&mut failures);
    churn(&mut failures);
    for failure in &failures {
        println!("FAILED: {failure}");
    }
    if !failures.is_empty() {
        std::process::exit(1);
    }
}

/// One message, whose topic matches one filter of a growing number.
fn scale(failures: &mut Vec<String>) {
    println!("{:>10}  {:8} {:>12} {:>12} {:>12}", "", "", "one matches", "none does", "bytes each");
    for (name, filter) in [("exact", exact as fn(usize) -> (String, String)), ("mixed", mixed)] {
        let mut of_least = None;
        for count in [1_000, 50_000, 1_000_000] {
            let mut shard = Shard::new();
            shard.connect(SESSIONS);
            let before = shard.core.metrics().subscriptions;
            let allocated = measure(|| {
                shard.subscribe_all((0..count).map(|number| filter(number).0));
            });
            assert_eq!(shard.core.metrics().subscriptions - before, count as u64);
            let bytes = allocated.bytes_current / count as i64;
            let numbers = || (0..MESSAGES).map(|number| scatter(number) % count);
            let found = messages(numbers().map(|number| filter(number).1));
            let missed = messages(numbers().map(|number| filter(number + 2_000_000).1));
            let one = shard.fastest(&found, MESSAGES);
            let none = shard.fastest(&missed, 0);
            println!("{count:>10}  {name:8} {one:>9.0} ns {none:>9.0} ns {bytes:>12}");
            let least: &mut (f64, f64) = of_least.get_or_insert((one, none));
            for (case, ratio) in [("matches", one / least.0), ("does not", none / least.1)] {
                if ratio > SCALE_MAX {
                    failures.push(format!("{count} {name}, {case}: {ratio:.1} times as long"));
                }
            }
        }
    }
}

/// Filters of which a topic visits as many nodes as it can.
fn deep(failures: &mut Vec<String>) {
    println!("\n{:40} {:>10} {:>12} {:>12}", "", "filters", "a message", "each");
    let mut of_least = None;
    for depth in [4, 8, 12] {
        let filters = || (0..1 << depth).map(|bits| all_of(depth, bits));
        let topic = vec!["a"; depth].join("/");
        for (name, ending) in [("all match", ""), ("none matches", "/x")] {
            let mut shard = Shard::new();
            shard.connect(1);
            shard.subscribe_all(filters().map(|filter| format!("{filter}{ending}")));
            let others = (0..MESSAGES_DEEP).map(|number| match ending {
                "" => topic.clone(),
                // Another topic each time, or it would be remembered.
                _ => format!("{topic}/{number}"),
            });
            let delivered = if ending.is_empty() { MESSAGES_DEEP } else { 0 };
            let ns = shard.fastest(&messages(others), delivered);
            let each = ns / f64::from(1 << depth);
            println!(
                "{:40} {:>10} {ns:>9.0} ns {each:>9.1} ns",
                format!("a or + at each of {depth} levels, {name}"),
                1 << depth
            );
            if !ending.is_empty() {
                let least = *of_least.get_or_insert(each);
                if each > least * LINEAR_MAX {
                    failures.push(format!("{depth} levels: {:.1} times as long", each / least));
                }
            }
        }
    }
    let levels = Limits::default().topic_levels_max;
    let topic = |number: usize| format!("{}/{number}", vec!["a"; levels - 1].join("/"));
    let cases: [(&str, Vec<String>); 3] = [
        (
            "# below each of 128 levels",
            (0..levels).map(|at| format!("{}#", "a/".repeat(at))).collect(),
        ),
        (
            "# below each of 128 times +",
            (0..levels).map(|at| format!("{}#", "+/".repeat(at))).collect(),
        ),
        ("+ at one of 128 levels", (0..levels).map(|at| one_plus(levels, at)).collect()),
    ];
    for (name, filters) in cases {
        let mut shard = Shard::new();
        shard.connect(1);
        let count = filters.len();
        shard.subscribe_all(filters.into_iter());
        let ns = shard.fastest(&messages((0..MESSAGES_DEEP).map(topic)), MESSAGES_DEEP);
        println!("{name:40} {count:>10} {ns:>9.0} ns {:>9.1} ns", ns / count as f64);
    }
}

/// Very many subscribers of one filter.
fn crowd(failures: &mut Vec<String>) {
    println!("\n{:>10}  {:>12} {:>12} {:>12}", "of one", "subscribe", "a delivery", "unsubscribe");
    let mut of_least = None;
    for count in [100_u32, 1_000, 20_000] {
        let mut shard = Shard::new();
        shard.connect(count);
        let start = Clock::now();
        (1..=count).for_each(|slot| shard.subscribe(slot, &["crowd/+/x"]));
        let subscribe = each(start.elapsed(), count as usize);
        let turn = messages((0..1).map(|_| "crowd/1/x".to_owned()));
        let deliver = shard.fastest(&turn, count as usize) / f64::from(count);
        let start = Clock::now();
        (1..=count).for_each(|slot| shard.unsubscribe(slot, "crowd/+/x"));
        let unsubscribe = each(start.elapsed(), count as usize);
        println!("{count:>10}  {subscribe:>9.0} ns {deliver:>9.0} ns {unsubscribe:>9.0} ns");
        let least: f64 = *of_least.get_or_insert(subscribe.max(unsubscribe));
        if subscribe.max(unsubscribe) > least * CROWD_MAX {
            failures.push(format!("{count} subscribers of one filter: slow to come and go"));
        }
    }
}

/// Clients that come and go while others publish to topics of their own.
fn churn(failures: &mut Vec<String>) {
    println!("\n{:40} {:>12}", "100 topics in turn, 1,000,000 others", "a message");
    let mut shard = Shard::new();
    shard.connect(SESSIONS);
    shard.subscribe_all((0..1_000_000).map(|number| mixed(number).0));
    let topics = || (0..100).map(|number| exact(number * 7919).1);
    let turns = messages(topics());
    let mut steady = None;
    let cases: [(&str, Option<&str>); 5] = [
        ("nobody comes or goes", None),
        ("a filter without wildcards in between", Some("reply/to/me")),
        ("a filter of another beginning", Some("reply/+/me")),
        ("a filter that begins like one of them", Some("plant/0/+/none")),
        ("a filter that begins with a wildcard", Some("+/none")),
    ];
    for (name, filter) in cases {
        let mut fastest = Duration::MAX;
        for _ in 0..ROUNDS * 10 {
            if let Some(filter) = filter {
                shard.subscribe(1, &[filter]);
                shard.unsubscribe(1, filter);
            }
            let start = Clock::now();
            turns.turns.iter().for_each(|turn| shard.receive(0, turn));
            fastest = fastest.min(start.elapsed());
        }
        let ns = each(fastest, 100);
        println!("{name:40} {ns:>9.0} ns");
        let steady = *steady.get_or_insert(ns);
        let is_apart = filter.is_some_and(|filter| filter.starts_with("reply"));
        if is_apart && ns > steady * CHURN_MAX {
            failures.push(format!("{name}: {:.1} times as long", ns / steady));
        }
    }
}

/// A core with a publisher in slot 0.
struct Shard {
    core: Core,
    dirty: Vec<ConnectionId>,
}

impl Shard {
    fn new() -> Self {
        let limits = Limits { subscriptions_max: 1_000_000, ..Limits::default() };
        let core = Core::new(limits, Vec::new(), Recovered::default(), 1, NOW);
        let mut shard = Self { core, dirty: Vec::new() };
        shard.open(0);
        shard
    }

    fn connect(&mut self, count: u32) {
        (1..=count).for_each(|slot| self.open(slot));
    }

    fn open(&mut self, slot: u32) {
        let connection = ConnectionId { slot, generation: 0 };
        self.core.handle(NOW, Input::Opened { connection, listener: ListenerId(0) });
        let name = format!("client-{slot}");
        self.receive(slot, &encode(Packet::Connect(Connect::new(Version::V311, &name))));
    }

    /// Gives the filters to the sessions in turn, many in a packet.
    fn subscribe_all(&mut self, filters: impl Iterator<Item = String>) {
        let filters: Vec<String> = filters.collect();
        let sessions = u32::try_from(self.core.metrics().sessions).unwrap() - 1;
        for (slot, filters) in (1..=sessions).cycle().zip(filters.chunks(FILTERS_PER_PACKET)) {
            let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
            self.subscribe(slot, &filters);
        }
    }

    fn subscribe(&mut self, slot: u32, filters: &[&str]) {
        let filters: Vec<SubscribeFilter<'_>> = filters
            .iter()
            .map(|filter| SubscribeFilter {
                filter: TopicFilter::parse(filter).unwrap(),
                options: SubscriptionOptions::default(),
            })
            .collect();
        let properties = SubscribeProperties::default();
        let filters = filters.as_slice().into();
        let packet_id = PacketId::new(1).unwrap();
        let subscribe = Subscribe { packet_id, properties, filters };
        self.receive(slot, &encode(Packet::Subscribe(subscribe)));
    }

    fn unsubscribe(&mut self, slot: u32, filter: &str) {
        let filters = [TopicFilter::parse(filter).unwrap()];
        let user_properties = UserProperties::default();
        let filters = filters.as_slice().into();
        let packet_id = PacketId::new(1).unwrap();
        let unsubscribe = Unsubscribe { packet_id, user_properties, filters };
        self.receive(slot, &encode(Packet::Unsubscribe(unsubscribe)));
    }

    /// Nanoseconds for a message, in the fastest of some rounds. At least `delivered` come of one.
    fn fastest(&mut self, messages: &Messages, delivered: usize) -> f64 {
        let mut fastest = Duration::MAX;
        for _ in 0..ROUNDS {
            let before = self.core.metrics().publish_sent;
            let start = Clock::now();
            messages.turns.iter().for_each(|turn| self.receive(0, turn));
            fastest = fastest.min(start.elapsed());
            let sent = self.core.metrics().publish_sent - before;
            assert!(sent >= delivered as u64, "{sent} of {delivered}");
            assert_eq!(delivered == 0, sent == 0);
        }
        each(fastest, messages.count)
    }

    fn receive(&mut self, slot: u32, bytes: &[u8]) {
        let connection = ConnectionId { slot, generation: 0 };
        self.core.handle(NOW, Input::Received { connection, bytes });
        let dirty = &mut self.dirty;
        self.core.drain(|effect| match effect {
            Effect::Admitted { .. } => {}
            Effect::Flush { connection } => dirty.push(connection),
            other => panic!("{other:?} is not expected"),
        });
        for connection in self.dirty.drain(..) {
            let bytes = self.core.outbound(connection).unwrap().len();
            self.core.handle(NOW, Input::Sent { connection, bytes });
        }
    }
}

/// A filter and a topic that it matches, as fleets of devices have them.
fn exact(number: usize) -> (String, String) {
    let topic = format!("plant/{}/device/{number}/state", number / 1000);
    (topic.clone(), topic)
}

/// Eight of ten without wildcards, one with each kind.
fn mixed(number: usize) -> (String, String) {
    let plant = number / 1000;
    match number % 10 {
        8 => (
            format!("plant/+/device/{number}/alarm"),
            format!("plant/{plant}/device/{number}/alarm"),
        ),
        9 => (
            format!("plant/{plant}/device/{number}/#"),
            format!("plant/{plant}/device/{number}/log/7"),
        ),
        _ => exact(number),
    }
}

/// The filter with a `+` at each level whose bit is set, else `a`.
fn all_of(depth: usize, bits: usize) -> String {
    let level = |at: usize| if bits >> at & 1 == 1 { "+" } else { "a" };
    (0..depth).map(level).collect::<Vec<_>>().join("/")
}

fn one_plus(levels: usize, at: usize) -> String {
    let level = |level: usize| if level == at || level == levels - 1 { "+" } else { "a" };
    (0..levels).map(level).collect::<Vec<_>>().join("/")
}

/// Packets, many to a read.
struct Messages {
    turns: Vec<Vec<u8>>,
    count: usize,
}

fn messages(topics: impl Iterator<Item = String>) -> Messages {
    let topics: Vec<String> = topics.collect();
    let publish = |topic: &String| encode(Packet::Publish(Publish::new(topic, b"21.5")));
    let turns = topics.chunks(MESSAGES_PER_TURN);
    let turns = turns.map(|turn| turn.iter().flat_map(publish).collect()).collect();
    Messages { turns, count: topics.len() }
}

fn encode(packet: Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(Version::V311, &mut bytes).unwrap();
    bytes
}

/// Numbers without an order that a processor could foresee.
fn scatter(number: usize) -> usize {
    (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}

fn each(time: Duration, count: usize) -> f64 {
    time.as_nanos() as f64 / count as f64
}

const NOW: Now = Now { monotonic: Instant(0), unix_ms: 1_700_000_000_000 };
const SESSIONS: u32 = 1_000;
const FILTERS_PER_PACKET: usize = 100;
const MESSAGES: usize = 100_000;
const MESSAGES_DEEP: usize = 200;
const MESSAGES_PER_TURN: usize = 100;
const ROUNDS: usize = 5;

/// What 1,000 subscriptions take stands in the caches of a processor, what 1,000,000 take does
/// not: a message then waits for main memory some six times, 0.1 us each, where it took 0.15 us
/// before. A search that looks at filters one by one takes hundreds of times as long.
const SCALE_MAX: f64 = 8.0;
/// The same for a node that is visited.
const LINEAR_MAX: f64 = 3.0;
/// To find one of 20,000 in order and to move those behind it.
const CROWD_MAX: f64 = 10.0;
/// Of filters that have nothing to do with the topics.
const CHURN_MAX: f64 = 1.5;
