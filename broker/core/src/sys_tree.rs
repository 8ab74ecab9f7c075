//! The `$SYS` tree: what the broker says about itself in retained messages.
//!
//! Names and averages are those of mosquitto. The shell says from time to time how it stands
//! around the core; whatever has changed since the last time is then published, as QoS 0. The
//! tree is kept beside the retained messages of clients, which the store mirrors: nothing of it
//! is ever written, and it is built again after each start.

use weir_mqtt::{QoS, TopicFilter};

use crate::clock::{Instant, Now};
use crate::message::{Message, MessageParts};
use crate::metrics::Metrics;
use crate::retained::Retained;
use crate::surroundings::{RuleFacts, Surroundings, UpstreamFacts};

/// What was published last.
#[derive(Debug, Default)]
pub(crate) struct SysTree {
    retained: Retained,
    load: Load,
}

impl SysTree {
    /// Takes in how it stands; answers the messages that have changed.
    pub(crate) fn update(
        &mut self,
        now: Now,
        metrics: &Metrics,
        surroundings: &Surroundings,
    ) -> Vec<Message> {
        let mut leaves = Leaves { now, retained: &mut self.retained, changed: Vec::new() };
        put_surroundings(&mut leaves, surroundings);
        put_upstreams(&mut leaves, &surroundings.upstreams);
        put_rules(&mut leaves, &surroundings.rules);
        put_figures(&mut leaves, FLEET, &surroundings.fleet);
        put_figures(&mut leaves, BRIDGE, &surroundings.bridge);
        put_clients(&mut leaves, metrics);
        put_messages(&mut leaves, metrics);
        put_drops(&mut leaves, metrics);
        self.load.update(now.monotonic, metrics);
        self.load.put(&mut leaves);
        leaves.changed
    }

    /// Takes over a message of the shard that publishes the tree.
    pub(crate) fn put(&mut self, message: Message) {
        match message.payload() {
            [] => _ = self.retained.remove(message.topic()),
            _ => self.retained.put(message),
        }
    }

    /// Calls `found` for each message that `filter` matches.
    pub(crate) fn matching(&self, filter: TopicFilter<'_>, found: impl FnMut(&Message)) {
        self.retained.matching(filter, found);
    }
}

/// The leaves of the tree while they are brought up to date.
struct Leaves<'a> {
    now: Now,
    retained: &'a mut Retained,
    changed: Vec<Message>,
}

impl Leaves<'_> {
    /// A leaf of the broker.
    fn put(&mut self, name: &str, value: impl ToString) {
        self.put_topic(&format!("{ROOT}/{name}"), &value.to_string());
    }

    fn put_topic(&mut self, topic: &str, value: &str) {
        let known = self.retained.get(topic);
        if known.is_some_and(|message| message.payload() == value.as_bytes()) {
            return;
        }
        let message = self.message(topic, value);
        self.retained.put(message.clone());
        self.changed.push(message);
    }

    /// Takes the leaves away whose topics have another name at this level than those that are there.
    fn remove_others(&mut self, filter: &str, level: usize, is_there: impl Fn(&str) -> bool) {
        let mut gone = Vec::new();
        let filter = TopicFilter::parse(filter).expect("a filter");
        self.retained.matching(filter, |message| {
            if !message.topic().split('/').nth(level).is_some_and(&is_there) {
                gone.push(message.topic().to_owned());
            }
        });
        gone.iter().for_each(|topic| self.remove(topic));
    }

    /// Takes a leaf away, which an empty message tells.
    fn remove(&mut self, topic: &str) {
        self.retained.remove(topic);
        self.changed.push(self.message(topic, ""));
    }

    fn message(&self, topic: &str, value: &str) -> Message {
        let parts = MessageParts {
            qos: QoS::AtMostOnce,
            retain: true,
            expires_at_ms: None,
            received_at_ms: self.now.unix_ms,
            publisher: "",
            topic,
            properties: &[],
            payload: value.as_bytes(),
        };
        Message::new(&parts, &mut Vec::new())
    }
}

fn put_surroundings(leaves: &mut Leaves<'_>, surroundings: &Surroundings) {
    leaves.put("version", format_args!("weir version {}", surroundings.version));
    leaves.put("uptime", format_args!("{} seconds", surroundings.uptime_s));
    if let Some(memory) = surroundings.memory {
        leaves.put("heap/current", memory.bytes);
        leaves.put("heap/maximum", memory.bytes_max);
    }
    if let Some(store) = surroundings.store {
        leaves.put("store/status", store.status);
        leaves.put("store/bytes", store.bytes);
        leaves.put("store/used", store.used_bytes);
        leaves.put("store/flash/bytes_written", store.bytes_written);
        leaves.put("store/flash/flushes", store.flushes);
        leaves.put("store/commit/p50", milliseconds(store.commit_p50_us));
        leaves.put("store/commit/p99", milliseconds(store.commit_p99_us));
    }
}

fn put_upstreams(leaves: &mut Leaves<'_>, upstreams: &[UpstreamFacts]) {
    leaves.remove_others(ALL_UPSTREAMS, 3, |name| upstreams.iter().any(|one| one.name == name));
    for UpstreamFacts { name, is_connected, status } in upstreams {
        leaves.put(&format!("connection/{name}/state"), u8::from(*is_connected));
        leaves.put(&format!("connection/{name}/status"), status);
    }
}

fn put_rules(leaves: &mut Leaves<'_>, rules: &[RuleFacts]) {
    leaves.remove_others(ALL_RULES, 2, |name| rules.iter().any(|rule| rule.name == name));
    for RuleFacts { name, figures } in rules {
        for (figure, value) in figures {
            leaves.put_topic(&format!("{RULES}/{name}/{figure}"), value);
        }
    }
}

/// Puts figures below a topic. Also removes what is not said any more, of a box that is gone for
/// instance.
fn put_figures(leaves: &mut Leaves<'_>, below: &str, figures: &[(String, String)]) {
    let mut gone = Vec::new();
    let all = format!("{below}/#");
    let filter = TopicFilter::parse(&all).expect("a filter");
    leaves.retained.matching(filter, |message| {
        let topic = message.topic();
        let name = topic.strip_prefix(below).and_then(|rest| rest.strip_prefix('/'));
        if !figures.iter().any(|(figure, _)| Some(figure.as_str()) == name) {
            gone.push(topic.to_owned());
        }
    });
    gone.iter().for_each(|topic| leaves.remove(topic));
    for (figure, value) in figures {
        leaves.put_topic(&format!("{below}/{figure}"), value);
    }
}

fn put_clients(leaves: &mut Leaves<'_>, metrics: &Metrics) {
    let away = metrics.sessions.saturating_sub(metrics.clients_connected);
    leaves.put("clients/total", metrics.sessions);
    leaves.put("clients/connected", metrics.clients_connected);
    leaves.put("clients/active", metrics.clients_connected);
    leaves.put("clients/disconnected", away);
    leaves.put("clients/inactive", away);
    leaves.put("clients/maximum", metrics.clients_connected_max);
    leaves.put("clients/expired", metrics.clients_expired);
    leaves.put("connections/socket/count", metrics.connections);
    leaves.put("subscriptions/count", metrics.subscriptions);
    leaves.put("shared_subscriptions/count", metrics.shared_subscriptions);
}

fn put_messages(leaves: &mut Leaves<'_>, metrics: &Metrics) {
    let stored = metrics.queued_messages + metrics.retained + metrics.delayed;
    let stored_bytes = metrics.queued_bytes + metrics.retained_bytes + metrics.delayed_bytes;
    leaves.put("messages/received", metrics.packets_received);
    leaves.put("messages/sent", metrics.packets_sent);
    leaves.put("messages/stored", stored);
    leaves.put("messages/inflight", metrics.inflight);
    leaves.put("store/messages/count", stored);
    leaves.put("store/messages/bytes", stored_bytes);
    leaves.put("retained messages/count", metrics.retained);
    leaves.put("delayed messages/count", metrics.delayed);
    leaves.put("held messages/count", metrics.held);
    leaves.put("held messages/bytes", metrics.held_bytes);
    leaves.put("held messages/full", metrics.held_full);
    leaves.put("bytes/received", metrics.bytes_received);
    leaves.put("bytes/sent", metrics.bytes_sent);
    leaves.put("publish/messages/acknowledged early", metrics.publish_acknowledged_early);
    leaves.put("publish/messages/received", metrics.publish_received);
    leaves.put("publish/messages/sent", metrics.publish_sent);
    leaves.put("publish/bytes/received", metrics.publish_bytes_received);
    leaves.put("publish/bytes/sent", metrics.publish_bytes_sent);
    leaves.put("packet/out/count", metrics.outbound_packets);
    leaves.put("packet/out/bytes", metrics.outbound_bytes);
    leaves.put("memory/bytes", metrics.memory_bytes);
}

fn put_drops(leaves: &mut Leaves<'_>, metrics: &Metrics) {
    leaves.put("publish/messages/dropped", metrics.drops.total());
    for (reason, count) in metrics.drops.by_reason() {
        leaves.put(&format!("publish/dropped/{reason}"), count);
    }
    for (limit, count) in metrics.throttled.by_limit() {
        leaves.put(&format!("throttled/{limit}"), count);
    }
    leaves.put("dead letters/published", metrics.dead_letters);
    leaves.put("dead letters/missed", metrics.dead_letters_missed);
}

fn milliseconds(microseconds: u64) -> String {
    format!("{}.{:03}", microseconds / 1000, microseconds % 1000)
}

/// Averages per minute that forget: over one minute, five and fifteen.
#[derive(Debug, Default)]
struct Load {
    /// When the counters were last read; none before the first time.
    at: Option<Instant>,
    counters: [u64; LOADS.len()],
    averages: [[f64; SPANS.len()]; LOADS.len()],
}

impl Load {
    fn update(&mut self, now: Instant, metrics: &Metrics) {
        let counters = LOADS.map(|(_, count)| count(metrics));
        let before = std::mem::replace(&mut self.counters, counters);
        let elapsed_ms = self.at.replace(now).map_or(0, |at| now.0.saturating_sub(at.0));
        if elapsed_ms == 0 {
            return;
        }
        let minutes = elapsed_ms as f64 / 60_000.0;
        let rates = counters.iter().zip(before).map(|(now, before)| (now - before) as f64);
        for (averages, rate) in self.averages.iter_mut().zip(rates) {
            let rate = rate / minutes;
            for (average, (_, span_minutes)) in averages.iter_mut().zip(SPANS) {
                *average = rate + (-minutes / span_minutes).exp() * (*average - rate);
            }
        }
    }

    fn put(&self, leaves: &mut Leaves<'_>) {
        for ((name, _), averages) in LOADS.iter().zip(&self.averages) {
            for ((span, _), average) in SPANS.iter().zip(averages) {
                leaves.put(&format!("load/{name}/{span}"), format_args!("{average:.2}"));
            }
        }
    }
}

/// Where what the broker says of itself begins.
const ROOT: &str = "$SYS/broker";

/// Where the rules begin.
const RULES: &str = "$SYS/rules";
const ALL_RULES: &str = "$SYS/rules/#";
const ALL_UPSTREAMS: &str = "$SYS/broker/connection/#";

/// Where the fleet begins.
const FLEET: &str = "$SYS/fleet";
/// Where the bridge begins.
const BRIDGE: &str = "$SYS/bridge";

/// Reads one counter.
type Counter = fn(&Metrics) -> u64;

/// What averages are taken of.
const LOADS: [(&str, Counter); 9] = [
    ("bytes/received", |metrics| metrics.bytes_received),
    ("bytes/sent", |metrics| metrics.bytes_sent),
    ("connections", |metrics| metrics.connects_received),
    ("messages/received", |metrics| metrics.packets_received),
    ("messages/sent", |metrics| metrics.packets_sent),
    ("publish/dropped", |metrics| metrics.drops.total()),
    ("publish/received", |metrics| metrics.publish_received),
    ("publish/sent", |metrics| metrics.publish_sent),
    ("sockets", |metrics| metrics.connections_opened),
];

/// The spans of the averages, minutes.
const SPANS: [(&str, f64); 3] = [("1min", 1.0), ("5min", 5.0), ("15min", 15.0)];

#[cfg(test)]
mod tests {
    use super::*;

    fn at_s(seconds: u64) -> Now {
        Now { monotonic: Instant(seconds * 1000), unix_ms: seconds * 1000 }
    }

    fn value(tree: &SysTree, name: &str) -> String {
        let message = tree.retained.get(&format!("{ROOT}/{name}")).expect("a known leaf");
        String::from_utf8(message.payload().to_vec()).expect("text")
    }

    #[test]
    fn what_has_not_changed_is_not_published_again() {
        let mut tree = SysTree::default();
        let (metrics, surroundings) = (Metrics::default(), Surroundings::default());
        assert!(tree.update(at_s(0), &metrics, &surroundings).len() > 50);
        assert_eq!(tree.update(at_s(10), &metrics, &surroundings), []);
        let later = Surroundings { uptime_s: 20, ..surroundings };
        let changed = tree.update(at_s(20), &metrics, &later);
        let topics: Vec<&str> = changed.iter().map(Message::topic).collect();
        assert_eq!(topics, ["$SYS/broker/uptime"]);
    }

    /// The formula of mosquitto: a constant rate is approached, and forgotten again.
    #[test]
    fn averages_follow_the_rate_and_forget_it() {
        let mut tree = SysTree::default();
        let mut metrics = Metrics::default();
        let surroundings = Surroundings::default();
        tree.update(at_s(0), &metrics, &surroundings);
        for tens in 1..=6 {
            metrics.publish_received += 100;
            tree.update(at_s(tens * 10), &metrics, &surroundings);
        }
        // 600 a minute for one minute: 600 * (1 - 1/e).
        assert_eq!(value(&tree, "load/publish/received/1min"), "379.27");
        assert_eq!(value(&tree, "load/publish/received/5min"), "108.76");
        assert_eq!(value(&tree, "load/publish/received/15min"), "38.70");
        assert_eq!(value(&tree, "load/publish/sent/1min"), "0.00");
        for tens in 7..=12 {
            tree.update(at_s(tens * 10), &metrics, &surroundings);
        }
        assert_eq!(value(&tree, "load/publish/received/1min"), "139.53");
    }

    #[test]
    fn a_box_that_is_gone_leaves_the_tree() {
        let mut tree = SysTree::default();
        let boxes = |names: &[&str]| Surroundings {
            fleet: names
                .iter()
                .map(|name| (format!("boxes/{name}/state"), "here".into()))
                .collect(),
            ..Surroundings::default()
        };
        tree.update(at_s(0), &Metrics::default(), &boxes(&["b", "c"]));
        let changed = tree.update(at_s(10), &Metrics::default(), &boxes(&["c"]));
        let changed: Vec<(&str, &[u8])> =
            changed.iter().map(|message| (message.topic(), message.payload())).collect();
        assert_eq!(changed, [("$SYS/fleet/boxes/b/state", &b""[..])]);
    }

    #[test]
    fn what_the_system_does_not_tell_is_left_out() {
        let mut tree = SysTree::default();
        tree.update(at_s(0), &Metrics::default(), &Surroundings::default());
        assert!(tree.retained.get("$SYS/broker/heap/current").is_none());
        assert!(tree.retained.get("$SYS/broker/store/bytes").is_none());
        assert_eq!(value(&tree, "messages/stored"), "0");
    }
}
