//! A publisher that always has something to say, and the ledger of what it said.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_mqtt::{QoS, Version};

use crate::harness::publisher::{Ended, Message, Publisher};
use crate::sim::random::Random;

/// Retained topics of each publisher.
const RETAINED_TOPICS: usize = 4;
/// Longer than what is copied into a queue; with some of them a group goes past the journal.
const LONG_BYTES: u64 = 16_000;
const LONG_PER_CENT: u64 = 2;
const MANY_LONG_PER_CENT: u64 = 40;
/// As many as the broker takes at a time.
const WINDOW: usize = 20;

/// A publisher with a session.
#[derive(Debug)]
pub struct Load {
    publisher: Publisher,
    ledger: Arc<Ledger>,
    random: Random,
    turn: u64,
    long_per_cent: u64,
}

/// What a publisher has sent and what of it was acknowledged.
#[derive(Debug)]
pub struct Ledger {
    name: String,
    qos: QoS,
    /// Messages to `load/<QoS>/<name>`, numbered from 1.
    loads: Count,
    /// Messages to `sensor/<name>`, numbered from 1; only QoS 2, so that none counts twice.
    samples: Count,
    /// What was published to each of the retained topics.
    retained: Mutex<[History; RETAINED_TOPICS]>,
}

#[derive(Debug, Default)]
struct Count {
    sent: AtomicU64,
    acknowledged: AtomicU64,
}

/// The values of a retained topic, numbered from 1 without gaps; 0 is the time before the first.
#[derive(Clone, Copy, Debug, Default)]
pub struct History {
    /// The last value that was sent.
    pub sent: u64,
    /// The last value that was acknowledged.
    pub acknowledged: u64,
}

impl Load {
    /// One that no broker knows yet. `number` makes its name.
    #[must_use]
    pub fn new(number: u64, version: Version, qos: QoS, seed: u64) -> Self {
        let name = format!("p{number}");
        let ledger = Ledger {
            qos,
            loads: Count::default(),
            samples: Count::default(),
            retained: Mutex::default(),
            name,
        };
        Self {
            publisher: Publisher::new(&format!("load-{}", ledger.name), version, WINDOW),
            ledger: Arc::new(ledger),
            random: Random::new(seed ^ number),
            turn: 0,
            long_per_cent: LONG_PER_CENT,
        }
    }

    /// Lets many of its messages be long from now on, or few. With many of them the groups of the
    /// store are large, so that they are checkpoints.
    pub fn set_long(&mut self, many: bool) {
        self.long_per_cent = if many { MANY_LONG_PER_CENT } else { LONG_PER_CENT };
    }

    /// What it has sent. It may be read while it works.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Brings what is under way to its end.
    ///
    /// # Panics
    /// The broker does not take it.
    pub fn settle(&mut self, address: SocketAddr) {
        self.publisher.connect(address).expect("the broker runs");
        let ledger = self.ledger.clone();
        let ended = self.publisher.run(|| None, |message| ledger.acknowledge(message));
        assert_eq!(ended, Ended::Done, "{}", ledger.name);
    }

    /// Publishes as fast as it can until the broker is gone.
    pub fn run_until_closed(&mut self, address: SocketAddr) {
        // The broker may be gone already.
        let Ok(()) = self.publisher.connect(address) else { return };
        let Self { publisher, ledger, random, turn, long_per_cent } = self;
        let next = || {
            *turn += 1;
            Some(ledger.next_message(*turn, *long_per_cent, random))
        };
        publisher.run(next, |message| ledger.acknowledge(message));
    }

    /// Breaks the connection.
    pub fn disconnect(&mut self) {
        self.publisher.disconnect();
    }
}

impl Ledger {
    /// How many messages were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        let retained = self.retained();
        let retained: u64 = retained.iter().map(|(_, history)| history.acknowledged).sum();
        self.loads.acknowledged() + self.samples.acknowledged() + retained
    }

    /// The topic of its numbered messages, and how many of them were acknowledged.
    #[must_use]
    pub fn loads(&self) -> (String, u64) {
        (self.load_topic(), self.loads.acknowledged())
    }

    /// The topic of the windows of its samples, and how many of them must be there.
    #[must_use]
    pub fn windows(&self) -> (String, u64) {
        // The sample after a window closes it.
        let closed = self.samples.acknowledged().saturating_sub(1) / SAMPLES_PER_WINDOW;
        (format!("window/{}", self.name), closed)
    }

    /// The retained topics.
    #[must_use]
    pub fn retained(&self) -> Vec<(String, History)> {
        let histories = self.histories().to_vec();
        histories
            .into_iter()
            .enumerate()
            .map(|(n, history)| (self.state_topic(n), history))
            .collect()
    }

    fn next_message(&self, turn: u64, long_per_cent: u64, random: &mut Random) -> Message {
        let name = &self.name;
        let (topic, payload, retain) = match turn % 8 {
            1 | 3 | 5 if self.qos == QoS::ExactlyOnce => {
                let number = self.samples.send();
                (format!("sensor/{name}"), sample(number), false)
            }
            7 => {
                let place = random.below(RETAINED_TOPICS as u64) as usize;
                let number = self.send_retained(place);
                (self.state_topic(place), retained_payload(number), true)
            }
            _ => {
                let mut payload = format!("{} ", self.loads.send()).into_bytes();
                let is_long = random.chance(long_per_cent);
                let length = if is_long { LONG_BYTES } else { random.below(200) };
                payload.resize(payload.len() + length as usize, b'x');
                (self.load_topic(), payload, false)
            }
        };
        Message { topic, payload, qos: self.qos, retain, ..Message::default() }
    }

    fn send_retained(&self, place: usize) -> u64 {
        let history = &mut self.histories()[place];
        history.sent += 1;
        history.sent
    }

    fn load_topic(&self) -> String {
        format!("load/{}/{}", u8::from(self.qos), self.name)
    }

    fn state_topic(&self, place: usize) -> String {
        format!("state/{}/{place}", self.name)
    }

    fn histories(&self) -> MutexGuard<'_, [History; RETAINED_TOPICS]> {
        self.retained.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn acknowledge(&self, message: &Message) {
        let mut levels = message.topic.split('/');
        match levels.next() {
            Some("load") => self.loads.acknowledge(),
            Some("sensor") => self.samples.acknowledge(),
            _ => {
                let place = levels.next_back().and_then(|place| place.parse::<usize>().ok());
                let place = place.expect("the last level is a number");
                let history = &mut self.histories()[place];
                history.acknowledged += 1;
                assert!(history.acknowledged <= history.sent);
            }
        }
    }
}

impl Count {
    fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    fn send(&self) -> u64 {
        self.sent.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn acknowledge(&self) {
        let acknowledged = self.acknowledged.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(acknowledged <= self.sent());
    }
}

/// Ten samples a second, in the time of the sensor.
const SAMPLES_PER_WINDOW: u64 = 10;

fn sample(number: u64) -> Vec<u8> {
    let ts = 1_700_000_000_000 + (number - 1) * 1000 / SAMPLES_PER_WINDOW;
    format!("{{\"ts\":{ts},\"value\":{}}}", sample_value(number)).into_bytes()
}

/// Whole numbers, so that every order of adding gives the same sum.
fn sample_value(number: u64) -> u64 {
    number * 7919 % 1000
}

/// The payload of a value of a retained topic. Every seventh value takes the message away.
#[must_use]
pub fn retained_payload(number: u64) -> Vec<u8> {
    if number.is_multiple_of(7) { Vec::new() } else { number.to_string().into_bytes() }
}

/// A window of the rule computed plainly, as it stands in the body.
#[must_use]
pub fn window(number: u64) -> String {
    let first = (number - 1) * SAMPLES_PER_WINDOW + 1;
    let values: Vec<u64> = (first..first + SAMPLES_PER_WINDOW).map(sample_value).collect();
    let sum: u64 = values.iter().sum();
    let (min, max) = (values.iter().min(), values.iter().max());
    let (min, max) = (min.expect("it is not empty"), max.expect("it is not empty"));
    format!("\"n\":{SAMPLES_PER_WINDOW},\"sum\":{sum},\"min\":{min},\"max\":{max}")
}

/// The configuration of a broker that takes the load: nothing that waits is dropped.
pub const CONFIG: &str = r#"
data_dir = "data"
rules = ["rules.toml"]
[[listener]]
address = "127.0.0.1:0"
[auth]
allow_anonymous = true
[limits]
max_queued_messages = 0
max_queued_bytes = "0B"
[log]
level = "warn"
"#;

/// The rule whose windows those are.
pub const RULES: &str = r#"
[rule.second]
from = "sensor/{publisher}"
time = { field = "ts", unit = "ms" }
by = ["publisher"]
window = "tumbling 1s"
select = { n = "count()", sum = "sum(value)", min = "min(value)", max = "max(value)" }
to = { topic = "window/{publisher}", qos = 2 }
limits = { expire = "1d" }
"#;
