//! The link, the far end and the broker fail again and again while messages are forwarded: nothing
//! that was acknowledged is missing at the far end, each message is there once for its `id`, and new
//! ones come in their order. A far end that recognises what comes twice has it once.
//!
//! `WEIR_UPSTREAM_FAULTS` says how many faults for each kind, `WEIR_UPSTREAM_SEED` which; a report is
//! appended to the file that `WEIR_UPSTREAM_REPORT_MQTT` names, and so on for the other kinds.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process;

use weir_mqtt::QoS;
use weir_tests::campaign::report::{Report, outcome};
use weir_tests::harness::folder::Folder;
use weir_tests::harness::proxy::{Passage, Proxy};
use weir_tests::harness::publisher::Message;
use weir_tests::harness::restarted::Restarted;
use weir_tests::harness::wait::until;
use weir_tests::sim::random::Random;

mod upstream_faults {
    //! One file for each kind of upstream.

    mod amqp;
    mod http;
    mod kafka;
    mod mqtt;
    mod nats;
}

const FAULTS: u64 = 20;
/// After so many faults everything must have come.
const ROUND: u64 = 5;

/// Where messages are forwarded to.
trait FarEnd {
    /// The `id` and the number of what has come since the last call.
    fn arrived(&mut self) -> Vec<(String, u64)>;
    /// It is reached over a proxy at this address.
    fn behind(&mut self, _proxy: SocketAddr) {}
    /// It fails in a way of its own; says how.
    fn fail(&mut self, random: &mut Random) -> &'static str;
    /// Works again, if it still does not.
    fn recover(&mut self) {}
    /// Whether this failure may let in a message that was under way before one that is refused.
    fn exchanges(&self, _failure: &str) -> bool {
        false
    }
    /// Whether it drops what comes a second time.
    fn takes_once(&self) -> bool {
        false
    }
}

#[expect(clippy::print_stdout, reason = "a campaign says what it did")]
fn campaign(kind: &str, more: &str, folder: &Folder, far: SocketAddr, mut far_end: impl FarEnd) {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let faults = number("WEIR_UPSTREAM_FAULTS").unwrap_or(FAULTS);
    let seed = number("WEIR_UPSTREAM_SEED").unwrap_or_else(|| u64::from(process::id()));
    println!("{faults} faults, WEIR_UPSTREAM_SEED={seed}");
    let seeded = [("seed", seed.to_string())];
    let variable = format!("WEIR_UPSTREAM_REPORT_{}", kind.to_uppercase());
    let report = Report::begin(&variable, &format!("faults of an upstream, {kind}"), &seeded);
    let proxy = Proxy::start(far);
    far_end.behind(proxy.address());
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
                let is_one_way = self.random.chance(50);
                self.proxy.set(if is_one_way { Passage::Unanswered } else { Passage::Stalled });
                self.publish(20);
                if self.random.chance(50) {
                    self.proxy.cut();
                }
                self.proxy.set(Passage::Open);
                if is_one_way { "answers_stalled" } else { "link_stalled" }
            }
            3 => {
                self.gateway.kill_and_start();
                "weir_killed"
            }
            _ => {
                let name = self.far_end.fail(&mut self.random);
                self.ledger.may_exchange |= self.far_end.exchanges(name);
                self.publish(20);
                self.far_end.recover();
                name
            }
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
        self.ledger.may_exchange = false;
        assert!(!self.far_end.takes_once() || self.ledger.repeated == 0, "taken more than once");
    }
}

/// What has come to the far end.
#[derive(Default)]
struct Ledger {
    /// The number of the message of each `id`.
    ids: BTreeMap<String, u64>,
    /// The last new number of each topic.
    last: BTreeMap<&'static str, u64>,
    /// Whether new ones may come in another order until everything has come.
    may_exchange: bool,
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
        let last = self.last.entry(topic).or_default();
        let next = if *last == 0 { 2 - number % 2 } else { *last + 2 };
        assert!(self.may_exchange || number == next, "{number} came, not {next}, of {topic}");
        *last = number.max(*last);
        self.ids.insert(id, number);
    }
}

/// Even ones go to the forward of QoS 1, odd ones to that of QoS 2.
fn topic(number: u64) -> &'static str {
    if number.is_multiple_of(2) { "least/1" } else { "once/1" }
}
