//! A real mosquitto as the upstream is away for a while, and the broker is killed meanwhile and
//! once more while the backlog drains: every message arrives there in its order and once for each
//! `id`. What the upstream had not acknowledged at a kill is sent again with its `id`, at QoS 2 too.
//!
//! `WEIR_OUTAGE_SECONDS` says how long it is away.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::net::SocketAddr;
use std::time::Instant;

use weir_mqtt::{QoS, Version};
use weir_tests::harness::folder::Folder;
use weir_tests::harness::foreign::program;
use weir_tests::harness::mosquitto::Mosquitto;
use weir_tests::harness::publisher::Message;
use weir_tests::harness::restarted::Restarted;
use weir_tests::harness::subscriber::{Arrival, Subscriber};
use weir_tests::harness::wait::{LIMIT, until, until_turn};
use weir_tests::harness::weir::weir;

const OUTAGE_S: u32 = 10;
/// Messages a second, half of them for each forward.
const RATE_PER_S: u32 = 200;
/// How long messages flow before and after.
const AROUND_S: u32 = 2;

#[test]
fn every_message_arrives_after_an_outage_and_two_kills() {
    let Some(program) = program("upstream, outage", "mosquitto") else { return };
    let outage_s = env::var("WEIR_OUTAGE_SECONDS");
    let outage_s = outage_s.map_or(OUTAGE_S, |text| text.parse().expect("a number of seconds"));
    let folder = Folder::new("upstream");
    let mut far = Mosquitto::start(program, &folder, "");
    let mut records = Records::new();
    records.subscriber.connect(far.address()).unwrap();

    let config = folder.write("weir.toml", config(far.address()));
    let mut gateway = Restarted::start(config);
    let mut turns = Turns::new();
    turns.publish_for(AROUND_S, &mut gateway);
    records.receive_some();
    far.stop();
    records.subscriber.disconnect();

    turns.publish_for(outage_s / 2, &mut gateway);
    gateway.kill_and_start();
    turns.publish_for(outage_s - outage_s / 2, &mut gateway);
    let waiting = status(&gateway, "depth");
    far.start_again();
    let back = Instant::now();
    records.subscriber.connect(far.address()).unwrap();
    // The backlog has begun to drain, or is empty already.
    records.receive_some();
    gateway.kill_and_start();
    turns.publish_for(AROUND_S, &mut gateway);
    records.receive_until(turns.published);
    until("an empty backlog", || (status(&gateway, "depth") == 0).then_some(()));
    println!(
        "{} messages, {outage_s} s of outage, {waiting} waited, all there {:.1} s after it, \
         {} repeated",
        turns.published,
        back.elapsed().as_secs_f64(),
        records.repeated,
    );
    gateway.stop();
    far.stop();
}

fn config(far: SocketAddr) -> String {
    format!(
        "data_dir = \"data\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
         [auth]\nallow_anonymous = true\n[admin]\naddress = \"127.0.0.1:0\"\n\
         [log]\nlevel = \"warn\"\n\
         [upstream.cloud]\naddress = \"{far}\"\nremote_clientid = \"gateway\"\n\
         restart_timeout = \"50ms 200ms\"\n\
         forward = [\n  {{ from = \"least/#\", to = \"far/{{topic}}\", qos = 1 }},\n  \
         {{ from = \"once/#\", to = \"far/{{topic}}\", qos = 2 }},\n]\n"
    )
}

/// A number of the upstream in the status.
fn status(gateway: &Restarted, name: &str) -> u64 {
    let admin = gateway.weir().admin_address().to_string();
    let status = weir(&["status", "--json", "--admin", &admin]).stdout;
    let upstreams = status.split("\"upstreams\"").nth(1).unwrap();
    let value =
        upstreams.split(&format!("\"{name}\":")).nth(1).unwrap_or_else(|| panic!("{status}"));
    let digits: String = value.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

/// Messages are numbered; even ones go to the forward of QoS 1, odd ones to that of QoS 2.
struct Turns {
    published: u64,
}

impl Turns {
    fn new() -> Self {
        Self { published: 0 }
    }

    fn publish_for(&mut self, seconds: u32, gateway: &mut Restarted) {
        let start = Instant::now();
        for turn in 0..seconds * RATE_PER_S {
            until_turn(start, turn, RATE_PER_S);
            self.published += 1;
            gateway.publisher.publish([Message {
                topic: topic(self.published),
                payload: self.published.to_string().into_bytes(),
                qos: QoS::ExactlyOnce,
                ..Message::default()
            }]);
        }
    }
}

fn topic(number: u64) -> String {
    if number.is_multiple_of(2) { "least/1".to_owned() } else { "once/1".to_owned() }
}

/// What has come to the far end.
struct Records {
    subscriber: Subscriber,
    /// The number of the message of each `id`.
    ids: HashMap<String, u64>,
    /// The last new number of each topic.
    last: BTreeMap<String, u64>,
    repeated: u64,
}

impl Records {
    fn new() -> Self {
        let subscriber = Subscriber::new("far", Version::V5, "far/#");
        Self { subscriber, ids: HashMap::new(), last: BTreeMap::new(), repeated: 0 }
    }

    /// Receives until something has come.
    fn receive_some(&mut self) {
        let message = self.subscriber.receive(LIMIT);
        self.take(message);
    }

    fn receive_until(&mut self, all: u64) {
        while (self.ids.len() as u64) < all {
            let message = self.subscriber.receive(LIMIT);
            self.take(message);
        }
        assert_eq!(self.ids.len() as u64, all, "an id for each message");
    }

    fn take(&mut self, arrival: Arrival) {
        let Arrival::Message(message) = arrival else {
            panic!("{arrival:?} after {} messages, the last {:?}", self.ids.len(), self.last);
        };
        let number: u64 = String::from_utf8(message.payload.clone()).unwrap().parse().unwrap();
        assert_eq!(message.topic, format!("far/{}", topic(number)));
        let id = message.user_properties.iter().find(|(name, _)| name == "id");
        let (_, id) = id.unwrap_or_else(|| panic!("no id in {message:?}"));
        if let Some(before) = self.ids.insert(id.clone(), number) {
            assert_eq!(before, number, "one id for two messages");
            self.repeated += 1;
            return;
        }
        let next = self.last.get(&message.topic).map_or(2 - number % 2, |last| last + 2);
        assert_eq!(number, next, "the next new one of {}", message.topic);
        self.last.insert(message.topic, number);
    }
}
