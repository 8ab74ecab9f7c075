//! A publisher that always has something to say, and the ledger of what it said.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use weir_mqtt::{QoS, Version};
use weir_tests::harness::publisher::{Ended, Message, Publisher};
use weir_tests::sim::disk::Random;

/// Retained topics of each publisher.
const RETAINED_TOPICS: usize = 4;
/// As many as the broker takes at a time.
const WINDOW: usize = 20;

/// A publisher with a session.
pub(crate) struct Load {
    publisher: Publisher,
    ledger: Arc<Ledger>,
    random: Random,
    turn: u64,
}

/// What a publisher has sent and what of it was acknowledged.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// The last level of its topics.
    pub(crate) name: String,
    pub(crate) qos: QoS,
    /// Messages to `load/<name>`, numbered from 1.
    pub(crate) loads: Count,
    /// Messages to `sensor/<name>`, numbered from 1; only QoS 2, so that none counts twice.
    pub(crate) samples: Count,
    /// What was published to each of the retained topics.
    pub(crate) retained: Mutex<[History; RETAINED_TOPICS]>,
}

#[derive(Debug, Default)]
pub(crate) struct Count {
    sent: AtomicU64,
    acknowledged: AtomicU64,
}

/// The values of a retained topic, numbered from 1 without gaps; 0 is the time before the first.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct History {
    pub(crate) sent: u64,
    pub(crate) acknowledged: u64,
}

impl Load {
    pub(crate) fn new(number: u64, version: Version, qos: u8, seed: u64) -> Self {
        let name = format!("p{number}");
        let ledger = Ledger {
            qos: QoS::try_from(qos).unwrap(),
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
        }
    }

    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Brings what is under way to its end.
    pub(crate) fn settle(&mut self, address: SocketAddr) {
        self.publisher.connect(address).expect("the broker runs");
        let ledger = self.ledger.clone();
        let ended = self.publisher.run(|| None, |message| ledger.acknowledge(message));
        assert_eq!(ended, Ended::Done, "{}", ledger.name);
    }

    /// Publishes as fast as it can until the broker is gone.
    pub(crate) fn run_until_closed(&mut self, address: SocketAddr) {
        // The broker may be gone already.
        let Ok(()) = self.publisher.connect(address) else { return };
        let Self { publisher, ledger, random, turn } = self;
        let next = || {
            *turn += 1;
            Some(ledger.next_message(*turn, random))
        };
        publisher.run(next, |message| ledger.acknowledge(message));
    }

    pub(crate) fn disconnect(&mut self) {
        self.publisher.disconnect();
    }
}

impl Ledger {
    /// How many messages were acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        let retained: u64 =
            self.retained.lock().unwrap().iter().map(|history| history.acknowledged).sum();
        self.loads.acknowledged() + self.samples.acknowledged() + retained
    }

    fn next_message(&self, turn: u64, random: &mut Random) -> Message {
        let name = &self.name;
        let (topic, payload, retain) = match turn % 8 {
            3 if self.qos == QoS::ExactlyOnce => {
                let number = self.samples.send();
                (format!("sensor/{name}"), sample(number), false)
            }
            7 => {
                let place = random.below(RETAINED_TOPICS as u64) as usize;
                let number = self.send_retained(place);
                (format!("state/{name}/{place}"), retained_payload(number), true)
            }
            _ => {
                let mut payload = format!("{} ", self.loads.send()).into_bytes();
                // Some are longer than what is copied into a queue.
                let length = if random.chance(2) { 5000 } else { random.below(200) };
                payload.resize(payload.len() + length as usize, b'x');
                (format!("load/{name}"), payload, false)
            }
        };
        Message { topic, payload, qos: self.qos, retain, ..Message::default() }
    }

    fn send_retained(&self, place: usize) -> u64 {
        let history = &mut self.retained.lock().unwrap()[place];
        history.sent += 1;
        history.sent
    }

    fn acknowledge(&self, message: &Message) {
        let mut levels = message.topic.split('/');
        match levels.next() {
            Some("load") => self.loads.acknowledge(),
            Some("sensor") => self.samples.acknowledge(),
            _ => {
                let place = levels.next_back().and_then(|place| place.parse::<usize>().ok());
                let history = &mut self.retained.lock().unwrap()[place.unwrap()];
                history.acknowledged += 1;
                assert!(history.acknowledged <= history.sent);
            }
        }
    }
}

impl Count {
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    pub(crate) fn acknowledged(&self) -> u64 {
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
pub(crate) const SAMPLES_PER_WINDOW: u64 = 10;

fn sample(number: u64) -> Vec<u8> {
    let ts = 1_700_000_000_000 + (number - 1) * 1000 / SAMPLES_PER_WINDOW;
    format!("{{\"ts\":{ts},\"value\":{}}}", sample_value(number)).into_bytes()
}

/// Whole numbers, so that every order of adding gives the same sum.
pub(crate) fn sample_value(number: u64) -> u64 {
    number * 7919 % 1000
}

/// Every seventh value takes the retained message away.
pub(crate) fn retained_payload(number: u64) -> Vec<u8> {
    if number.is_multiple_of(7) { Vec::new() } else { number.to_string().into_bytes() }
}
