//! Subscribers that know what has to come next.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use weir_mqtt::{QoS, Version};
use weir_tests::harness::publisher::Message;
use weir_tests::harness::subscriber::{Arrival, Subscriber};
use weir_tests::harness::wait::LIMIT;

use super::load::{Ledger, SAMPLES_PER_WINDOW, sample_value};

/// A subscriber with a session that checks every message.
pub(crate) struct Reader {
    name: &'static str,
    subscriber: Subscriber,
    /// How many messages of each topic have come, in their order.
    last: BTreeMap<String, u64>,
    repeated: u64,
}

impl Reader {
    pub(crate) fn new(name: &'static str, version: Version, filter: &str) -> Self {
        let subscriber = Subscriber::new(name, version, filter);
        Self { name, subscriber, last: BTreeMap::new(), repeated: 0 }
    }

    pub(crate) fn connect(&mut self, address: SocketAddr) -> std::io::Result<()> {
        self.subscriber.connect(address)
    }

    pub(crate) fn disconnect(&mut self) {
        self.subscriber.disconnect();
    }

    /// How many deliveries of QoS 1 were repetitions.
    pub(crate) fn repeated(&self) -> u64 {
        self.repeated
    }

    /// How many windows of rules have come.
    pub(crate) fn windows(&self) -> u64 {
        if self.name == "windows" { self.last.values().sum() } else { 0 }
    }

    /// Receives until the broker is gone.
    pub(crate) fn run_until_closed(&mut self, address: SocketAddr) {
        if !self.subscriber.is_connected() && self.connect(address).is_err() {
            return;
        }
        loop {
            match self.subscriber.receive(LIMIT) {
                Arrival::Closed => return,
                Arrival::Message(message) => self.take(&message),
                Arrival::Nothing => {}
            }
        }
    }

    /// Receives until everything that was acknowledged has come.
    pub(crate) fn catch_up(&mut self, ledgers: &[Arc<Ledger>]) {
        let end = Instant::now() + LIMIT;
        while let Some(missing) = ledgers.iter().find_map(|ledger| self.missing(ledger)) {
            match self.subscriber.receive(end.saturating_duration_since(Instant::now())) {
                Arrival::Message(message) => self.take(&message),
                other => panic!("{} gets {other:?} and misses {missing}", self.name),
            }
        }
    }

    fn missing(&self, ledger: &Ledger) -> Option<String> {
        let (topic, all) = match self.name {
            "windows" => {
                // The sample after a window closes it.
                let closed = ledger.samples.acknowledged().saturating_sub(1) / SAMPLES_PER_WINDOW;
                (format!("window/{}", ledger.name), closed)
            }
            _ => (format!("load/{}", ledger.name), ledger.loads.acknowledged()),
        };
        let last = self.last.get(&topic).copied().unwrap_or(0);
        (last < all).then(|| format!("{topic} from {} to {all}", last + 1))
    }

    fn take(&mut self, message: &Message) {
        let text = String::from_utf8_lossy(&message.payload);
        let last = self.last.entry(message.topic.clone()).or_insert(0);
        if message.topic.starts_with("window/") {
            *last += 1;
            let (name, topic) = (self.name, &message.topic);
            assert!(text.contains(&window(*last)), "{name}: window {last} of {topic} is {text}");
            return;
        }
        let number = text.split(' ').next().and_then(|number| number.parse::<u64>().ok());
        let number = number.unwrap_or_else(|| panic!("not a message of ours: {text}"));
        if number <= *last && message.qos == QoS::AtLeastOnce {
            self.repeated += 1;
            return;
        }
        let (name, topic, qos) = (self.name, &message.topic, message.qos);
        assert_eq!(number, *last + 1, "{name}: {topic} at {qos:?}, after {last}");
        *last = number;
    }
}

/// The window computed plainly, as it stands in the body.
fn window(number: u64) -> String {
    let first = (number - 1) * SAMPLES_PER_WINDOW + 1;
    let values: Vec<u64> = (first..first + SAMPLES_PER_WINDOW).map(sample_value).collect();
    let sum: u64 = values.iter().sum();
    let (min, max) = (values.iter().min().unwrap(), values.iter().max().unwrap());
    format!("\"n\":{SAMPLES_PER_WINDOW},\"sum\":{sum},\"min\":{min},\"max\":{max}")
}
