//! The link, the far end and the broker fail again and again while messages are forwarded: nothing
//! that was acknowledged is missing at the far end, each message is there once for its `id`, and new
//! ones come in their order.
//!
//! `WEIR_UPSTREAM_FAULTS` says how many faults for each kind, `WEIR_UPSTREAM_SEED` which; a report is
//! appended to the file that `WEIR_UPSTREAM_REPORT_MQTT` names, and so on for the other kinds.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process;
use std::time::Duration;

use weir_mqtt::{QoS, Version};
use weir_tests::campaign::report::{Report, outcome};
use weir_tests::harness::folder::Folder;
use weir_tests::harness::foreign::program;
use weir_tests::harness::http_service::HttpService;
use weir_tests::harness::mosquitto::Mosquitto;
use weir_tests::harness::proxy::{Passage, Proxy};
use weir_tests::harness::publisher::Message;
use weir_tests::harness::restarted::Restarted;
use weir_tests::harness::subscriber::{Arrival, Subscriber};
use weir_tests::harness::wait::until;
use weir_tests::sim::disk::Random;

const FAULTS: u64 = 20;
/// After so many faults everything must have come.
const ROUND: u64 = 5;

#[test]
fn mqtt_misses_nothing_whatever_fails() {
    let Some(program) = program("upstream, faults", "mosquitto") else { return };
    let folder = Folder::new("upstream-faults-mqtt");
    let far = Mosquitto::start(program, &folder, "");
    let mut subscriber = Subscriber::new("far", Version::V5, "far/#");
    subscriber.connect(far.address()).unwrap();
    let address = far.address();
    campaign("mqtt", "", &folder, address, Broker { far, subscriber });
}

#[test]
fn http_misses_nothing_whatever_fails() {
    let folder = Folder::new("upstream-faults-http");
    let service = HttpService::start();
    let address = service.address();
    campaign("http", "http = { batch = 20 }\n", &folder, address, service);
}

/// Where messages are forwarded to.
trait FarEnd {
    /// The `id` and the number of what has come since the last call.
    fn arrived(&mut self) -> Vec<(String, u64)>;
    /// It fails in a way of its own; says how.
    fn fail(&mut self, random: &mut Random) -> &'static str;
}

struct Broker {
    far: Mosquitto,
    subscriber: Subscriber,
}

impl FarEnd for Broker {
    fn arrived(&mut self) -> Vec<(String, u64)> {
        let mut found = Vec::new();
        loop {
            match self.subscriber.receive(Duration::from_millis(1)) {
                Arrival::Message(message) => found.push(read(&message)),
                Arrival::Nothing => return found,
                Arrival::Closed => panic!("mosquitto is gone"),
            }
        }
    }

    fn fail(&mut self, _: &mut Random) -> &'static str {
        self.subscriber.disconnect();
        self.far.stop();
        self.far.start_again();
        self.subscriber.connect(self.far.address()).unwrap();
        "far_end_restarted"
    }
}

fn read(message: &Message) -> (String, u64) {
    let id = message.user_properties.iter().find(|(name, _)| name == "id");
    let number = String::from_utf8_lossy(&message.payload).parse().unwrap();
    (id.unwrap_or_else(|| panic!("no id in {message:?}")).1.clone(), number)
}

impl FarEnd for HttpService {
    fn arrived(&mut self) -> Vec<(String, u64)> {
        let read = |object: &serde_json::Value| {
            (object["id"].as_str().unwrap().to_owned(), object["payload"].as_u64().unwrap())
        };
        self.taken().iter().map(read).collect()
    }

    fn fail(&mut self, random: &mut Random) -> &'static str {
        let requests = 1 + random.below(3) as u32;
        if random.chance(50) {
            self.refuse(requests);
            return "refused";
        }
        self.leave(requests);
        "left_without_an_answer"
    }
}

#[expect(clippy::print_stdout, reason = "a campaign says what it did")]
fn campaign(kind: &str, more: &str, folder: &Folder, far: SocketAddr, far_end: impl FarEnd) {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let faults = number("WEIR_UPSTREAM_FAULTS").unwrap_or(FAULTS);
    let seed = number("WEIR_UPSTREAM_SEED").unwrap_or_else(|| u64::from(process::id()));
    println!("{faults} faults, WEIR_UPSTREAM_SEED={seed}");
    let seeded = [("seed", seed.to_string())];
    let variable = format!("WEIR_UPSTREAM_REPORT_{}", kind.to_uppercase());
    let report = Report::begin(&variable, &format!("faults of an upstream, {kind}"), &seeded);
    let proxy = Proxy::start(far);
    let config = format!(
        "data_dir = \"data\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
         [auth]\nallow_anonymous = true\n[log]\nlevel = \"error\"\n\
         [upstream.far]\nkind = \"{kind}\"\naddress = \"{}\"\nremote_clientid = \"gateway\"\n\
         restart_timeout = \"10ms 50ms\"\n{more}\
         forward = [\n  {{ from = \"least/#\", to = \"far/{{topic}}\", qos = 1 }},\n  \
         {{ from = \"once/#\", to = \"far/{{topic}}\", qos = 2 }},\n]\n",
        proxy.address(),
    );
    let mut run = Run {
        random: Random::new(seed),
        proxy,
        gateway: Restarted::start(folder.write("weir.toml", config)),
        far_end,
        ledger: Ledger::default(),
        published: 0,
        faults: BTreeMap::new(),
    };
    for fault in 0..faults {
        run.publish(30);
        run.fail();
        if fault % ROUND == ROUND - 1 {
            run.receive_all();
        }
    }
    run.publish(30);
    run.receive_all();
    let mut figures = vec![
        ("faults", faults.to_string()),
        ("messages", run.published.to_string()),
        ("repeated", run.ledger.repeated.to_string()),
    ];
    let mut text = format!("{kind}: {} messages, none missing, ", run.published);
    write!(text, "{} repeated with their id;", run.ledger.repeated).unwrap();
    for (name, count) in &run.faults {
        write!(text, " {count} {name}").unwrap();
        figures.push((name, count.to_string()));
    }
    figures.extend(outcome(&[]));
    report.write(&figures);
    println!("{text}");
    assert_eq!(run.faults.values().sum::<u64>(), faults);
}

struct Run<F> {
    random: Random,
    proxy: Proxy,
    gateway: Restarted,
    far_end: F,
    ledger: Ledger,
    published: u64,
    faults: BTreeMap<&'static str, u64>,
}

impl<F: FarEnd> Run<F> {
    /// Publishes up to so many messages, and waits until they are acknowledged.
    fn publish(&mut self, max: u64) {
        let first = self.published + 1;
        self.published += 1 + self.random.below(max);
        let message = |number: u64| Message {
            topic: topic(number).to_owned(),
            payload: number.to_string().into_bytes(),
            qos: QoS::ExactlyOnce,
            ..Message::default()
        };
        self.gateway.publisher.publish((first..=self.published).map(message));
    }

    fn fail(&mut self) {
        let name = match self.random.below(5) {
            0 => {
                self.proxy.cut();
                "link_cut"
            }
            1 => {
                self.proxy.set(Passage::Closed);
                self.publish(20);
                self.proxy.set(Passage::Open);
                "link_away"
            }
            2 => {
                self.proxy.set(Passage::Stalled);
                self.publish(20);
                if self.random.chance(50) {
                    self.proxy.cut();
                }
                self.proxy.set(Passage::Open);
                "link_stalled"
            }
            3 => {
                self.gateway.kill_and_start();
                "weir_killed"
            }
            _ => self.far_end.fail(&mut self.random),
        };
        *self.faults.entry(name).or_default() += 1;
    }

    fn receive_all(&mut self) {
        until("every message at the far end", || {
            let arrived = self.far_end.arrived();
            arrived.into_iter().for_each(|(id, number)| self.ledger.take(id, number));
            (self.ledger.ids.len() as u64 >= self.published).then_some(())
        });
        assert_eq!(self.ledger.ids.len() as u64, self.published, "an id for each message");
    }
}

/// What has come to the far end.
#[derive(Default)]
struct Ledger {
    /// The number of the message of each `id`.
    ids: BTreeMap<String, u64>,
    /// The last new number of each topic.
    last: BTreeMap<&'static str, u64>,
    repeated: u64,
}

impl Ledger {
    fn take(&mut self, id: String, number: u64) {
        if let Some(before) = self.ids.get(&id) {
            assert_eq!(*before, number, "one id for two messages");
            self.repeated += 1;
            return;
        }
        let topic = topic(number);
        let next = self.last.get(topic).map_or(2 - number % 2, |last| last + 2);
        assert_eq!(number, next, "the next new one of {topic}");
        self.last.insert(topic, number);
        self.ids.insert(id, number);
    }
}

/// Even ones go to the forward of QoS 1, odd ones to that of QoS 2.
fn topic(number: u64) -> &'static str {
    if number.is_multiple_of(2) { "least/1" } else { "once/1" }
}
