//! Subscribers that know what has to come next.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;

use weir_mqtt::{QoS, Version};

use super::load::{Ledger, window};
use crate::harness::publisher::Message;
use crate::harness::subscriber::{Arrival, Subscriber};
use crate::harness::wait::LIMIT;

/// A subscriber with a session that checks every message.
#[derive(Debug)]
pub struct Reader {
    name: &'static str,
    what: What,
    subscriber: Subscriber,
    /// How many messages of each topic have come, in their order.
    last: BTreeMap<String, u64>,
    /// Topic and payload of each `id` of an upstream.
    ids: HashMap<String, (String, Vec<u8>)>,
    repeated: u64,
    /// Only at an upstream.
    repeated_at_qos_2: u64,
}

/// What a reader has subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The numbered messages.
    Loads,
    /// Both, at the upstream that they are forwarded to. There every message has an `id`.
    Upstream,
    /// The results of the rule.
    Windows,
}

impl Reader {
    /// One that no broker knows yet.
    #[must_use]
    pub fn new(name: &'static str, version: Version, what: What) -> Self {
        let filter = match what {
            What::Loads => "load/#",
            What::Upstream => "far/#",
            What::Windows => "window/#",
        };
        Self {
            name,
            what,
            subscriber: Subscriber::new(name, version, filter),
            last: BTreeMap::new(),
            ids: HashMap::new(),
            repeated: 0,
            repeated_at_qos_2: 0,
        }
    }

    /// Goes on with its session.
    ///
    /// # Errors
    /// The connection ends before it is accepted.
    pub fn connect(&mut self, address: SocketAddr) -> io::Result<()> {
        self.subscriber.connect(address)
    }

    /// Breaks the connection.
    pub fn disconnect(&mut self) {
        self.subscriber.disconnect();
    }

    /// How many deliveries of QoS 1 were repetitions.
    #[must_use]
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// How many deliveries of QoS 2 to an upstream were repetitions.
    #[must_use]
    pub fn repeated_at_qos_2(&self) -> u64 {
        self.repeated_at_qos_2
    }

    /// How many messages have come, each counted once.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.last.values().sum()
    }

    /// How many windows of the rule have come.
    #[must_use]
    pub fn windows(&self) -> u64 {
        let windows = self.last.iter().filter(|(topic, _)| topic.starts_with("window/"));
        windows.map(|(_, count)| count).sum()
    }

    /// Receives until the broker is gone.
    ///
    /// # Panics
    /// Something comes that must not.
    pub fn run_until_closed(&mut self, address: SocketAddr) {
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
    ///
    /// # Panics
    /// It does not come.
    pub fn catch_up<'a>(&mut self, ledgers: impl Iterator<Item = &'a Ledger> + Clone) {
        while let Some(missing) = ledgers.clone().find_map(|ledger| self.missing(ledger)) {
            match self.subscriber.receive(LIMIT) {
                Arrival::Message(message) => self.take(&message),
                other => panic!("{} gets {other:?} and misses {missing}", self.name),
            }
        }
    }

    fn missing(&self, ledger: &Ledger) -> Option<String> {
        let mut all = match self.what {
            What::Loads => vec![ledger.loads()],
            What::Upstream => vec![ledger.loads(), ledger.windows()],
            What::Windows => vec![ledger.windows()],
        };
        all.retain(|(topic, all)| self.last(topic) < *all);
        all.first().map(|(topic, all)| format!("{topic} from {} to {all}", self.last(topic) + 1))
    }

    fn last(&self, topic: &str) -> u64 {
        self.last.get(topic).copied().unwrap_or(0)
    }

    fn take(&mut self, message: &Message) {
        if self.what == What::Upstream && self.has_come(message) {
            return;
        }
        let topic = message.topic.strip_prefix("far/").unwrap_or(&message.topic);
        let text = String::from_utf8_lossy(&message.payload);
        let (name, qos) = (self.name, message.qos);
        let next = self.last(topic) + 1;
        if topic.starts_with("window/") {
            assert!(text.contains(&window(next)), "{name}: window {next} of {topic} is {text}");
        } else {
            let number = text.split(' ').next().and_then(|number| number.parse::<u64>().ok());
            let number = number.unwrap_or_else(|| panic!("not a message of ours: {text}"));
            // A publisher of QoS 1 repeats what was not acknowledged, and so does the broker.
            if number < next && topic.starts_with("load/1/") {
                self.repeated += 1;
                return;
            }
            assert_eq!(number, next, "{name}: {topic} at {qos:?}");
        }
        self.last.insert(topic.to_owned(), next);
    }

    /// Whether a message with this `id` has come before. After a lost connection the forwarder sends
    /// again what was not acknowledged, and in a session of its own, at QoS 2 too.
    fn has_come(&mut self, message: &Message) -> bool {
        let id = message.user_properties.iter().find(|(name, _)| name == "id");
        let (_, id) = id.unwrap_or_else(|| panic!("no id in {message:?}"));
        let content = (message.topic.clone(), message.payload.clone());
        let Some(before) = self.ids.insert(id.clone(), content.clone()) else { return false };
        assert_eq!(before, content, "one id for two messages");
        self.repeated += u64::from(message.qos == QoS::AtLeastOnce);
        self.repeated_at_qos_2 += u64::from(message.qos == QoS::ExactlyOnce);
        true
    }
}
