//! A real broker keeps a history with `[[history]]`: over kills nothing of QoS 1 and 2 is missing
//! and nothing of QoS 2 is twice, clients of both versions read it at their pace, and
//! `weir rules replay` sends from it what the rule has sent, and shows what a result was made of.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use weir_mqtt::{
    Acknowledge, Connect, Packet, PacketId, QoS, Subscribe, SubscribeFilter, SubscribeProperties,
    SubscriptionOptions, TopicFilter, Version,
};
use weir_tests::harness::client::{Client, Received};
use weir_tests::harness::folder::Folder;
use weir_tests::harness::publisher::{Ended, Message, Publisher};
use weir_tests::harness::subscriber::{Arrival, Subscriber};
use weir_tests::harness::wait::{LIMIT, until};
use weir_tests::harness::weir::{Weir, weir};

const CONFIG: &str = r##"
data_dir = "data"
rules = ["rules.toml"]
[[listener]]
address = "127.0.0.1:0"
[auth]
allow_anonymous = true
[log]
level = "warn"
[[history]]
filter = "t/+"
[[history]]
filter = "#"
"##;

const RULES: &str = r#"
[rule.sum]
from   = "t/{id}"
by     = ["id"]
decode = "number"
window = "count 10"
select = { sum = "sum(value)", last = "max(value)" }
to     = { topic = "sums/{id}", qos = 1 }

[rule.double]
from   = "rule:sum"
select = { twice = "2 * sum", id = "id" }
to     = { topic = "doubles/{id}", qos = 1 }
"#;

fn start(folder: &Folder) -> (PathBuf, Weir) {
    folder.write("rules.toml", RULES);
    let config = folder.write("weir.toml", CONFIG);
    let weir = Weir::start(&config);
    (config, weir)
}

fn message(number: u32, qos: QoS) -> Message {
    let topic = if number.is_multiple_of(3) { "t/a" } else { "t/b" };
    let payload = number.to_string().into_bytes();
    Message { topic: topic.to_owned(), payload, qos, ..Message::default() }
}

/// Topics and payloads of what the history has of a filter with one `+` at its end. A message is
/// published to see where that ends.
fn read(weir: &Weir, filter: &str) -> Vec<(String, String)> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let end = format!("end {}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut publisher = Publisher::new("marker", Version::V5, 1);
    publisher.connect(weir.address()).unwrap();
    let (topic, payload) = (filter.replace('+', "end"), end.clone().into_bytes());
    publisher.publish([Message { topic, payload, qos: QoS::AtLeastOnce, ..Message::default() }]);
    let mut reader = Subscriber::brief("reader", &[&format!("$history/3600/{filter}")]);
    reader.connect(weir.address()).unwrap();
    let mut found = Vec::new();
    loop {
        let Arrival::Message(message) = reader.receive(LIMIT) else { panic!("no end") };
        let payload = String::from_utf8(message.payload).unwrap();
        if payload == end {
            return found;
        }
        if !payload.starts_with("end ") {
            found.push((message.topic, payload));
        }
    }
}

/// Large messages of QoS 0 fill file after file between those that count, and the oldest files go.
#[test]
fn after_kills_nothing_is_missing_and_nothing_is_there_twice() {
    let folder = Folder::new("history-kills");
    let small = CONFIG.replace("filter = \"t/+\"", "filter = \"t/+\"\nmax_bytes = \"4MB\"");
    folder.write("rules.toml", RULES);
    let config = folder.write("weir.toml", small);
    let mut weir = Some(Weir::start(&config));
    let mut publisher = Publisher::new("publisher", Version::V5, WINDOW as usize);
    publisher.connect(weir.as_ref().unwrap().address()).unwrap();
    let (mut step, mut number, mut acknowledged) = (0, 0, BTreeSet::new());
    loop {
        let mut next = || {
            step += 1;
            if step % 11 > 7 {
                let payload = format!("fill {}", "x".repeat(70_000)).into_bytes();
                return Some(Message { payload, ..message(number, QoS::AtMostOnce) });
            }
            number += 1;
            (number <= 600).then(|| message(number, exactness(number)))
        };
        let ended = publisher.run(&mut next, |message| {
            acknowledged.insert(str::from_utf8(&message.payload).unwrap().parse().unwrap());
            if acknowledged.len() % 110 == 0 {
                weir.take().unwrap().kill();
            }
        });
        // One that was not sent is not asked for again.
        if ended == Ended::Done {
            break;
        }
        let started = weir.insert(Weir::start(&config));
        assert_kept(&read(started, "t/+"), &acknowledged);
        publisher.connect(started.address()).unwrap();
    }
    let weir = weir.unwrap();
    assert_eq!(acknowledged.iter().copied().collect::<Vec<_>>(), (1..=600).collect::<Vec<_>>());
    assert_kept(&read(&weir, "t/+"), &acknowledged);
    weir.stop();
}

/// What was acknowledged is there from the first on that did not have to go, QoS 2 once and in its
/// order.
fn assert_kept(found: &[(String, String)], acknowledged: &BTreeSet<u32>) {
    let numbers: Vec<u32> = found.iter().filter_map(|(_, payload)| payload.parse().ok()).collect();
    let is_exact = |number: &u32| exactness(*number) == QoS::ExactlyOnce;
    let exact: Vec<u32> = numbers.iter().copied().filter(is_exact).collect();
    assert!(exact.is_sorted_by(|one, next| one < next), "QoS 2 is there once, in order: {exact:?}");
    let kept: BTreeSet<u32> = numbers.into_iter().collect();
    let first = kept.first().expect("the youngest are there");
    // What was sent again stands behind what was sent after it.
    let sure = acknowledged.range(first + 2 * WINDOW..);
    let missing: Vec<&u32> = sure.filter(|number| !kept.contains(number)).collect();
    assert!(missing.is_empty(), "{missing:?} are missing of those from {first} on");
    assert!(kept.len() > 50, "the history holds more than {kept:?}");
}

fn exactness(number: u32) -> QoS {
    if number.is_multiple_of(2) { QoS::ExactlyOnce } else { QoS::AtLeastOnce }
}

/// Messages that are under way.
const WINDOW: u32 = 20;

/// The socket takes little, so nearly all of it waits for the reader to go on, page by page.
#[test]
fn a_slow_reader_of_either_version_gets_everything_in_order() {
    let folder = Folder::new("history-slow");
    let (_, weir) = start(&folder);
    let mut publisher = Publisher::new("publisher", Version::V5, 50);
    publisher.connect(weir.address()).unwrap();
    let large = |number: u32| Message {
        payload: format!("{number} {}", "x".repeat(1000)).into_bytes(),
        ..message(number, if number.is_multiple_of(2) { QoS::AtLeastOnce } else { QoS::AtMostOnce })
    };
    publisher.publish((1..=5000).map(large));
    for version in [Version::V311, Version::V5] {
        let mut client = Client::open(weir.address(), version).unwrap();
        client.limit_receive_buffer(64 * 1024).unwrap();
        client.send(&Packet::Connect(Connect::new(version, "slow"))).unwrap();
        assert!(matches!(client.receive(LIMIT), Received::Packet(Packet::Connack(_))));
        subscribe(&mut client, "$history/3600/#");
        for number in 1..=5000_u32 {
            let (packet_id, received) = match client.receive(LIMIT) {
                Received::Packet(Packet::Publish(publish)) => {
                    let text = str::from_utf8(publish.payload).unwrap();
                    assert_eq!(text.split(' ').next(), Some(number.to_string().as_str()));
                    let user = publish.properties.user_properties;
                    (publish.packet_id, user.iter().any(|(name, _)| name == "received"))
                }
                other => panic!("{other:?} instead of message {number}"),
            };
            assert_eq!(received, version == Version::V5);
            if let Some(id) = packet_id {
                client.send(&Packet::Puback(Acknowledge::success(id))).unwrap();
            }
        }
    }
    weir.stop();
}

/// Also of a rule that reads another one, while the broker runs.
#[test]
fn a_replay_sends_what_the_rule_has_sent_and_shows_what_another_one_would() {
    let folder = Folder::new("history-replay");
    let (config, broker) = start(&folder);
    let mut publisher = Publisher::new("publisher", Version::V5, 20);
    publisher.connect(broker.address()).unwrap();
    publisher.publish((1..=101).map(|number| message(number, QoS::AtLeastOnce)));
    let config = config.to_str().unwrap();
    let replay = |rule: &str, more: &[&str]| {
        let mut arguments = vec!["rules", "replay", rule, "--config", config];
        arguments.extend_from_slice(more);
        let ended = weir(&arguments);
        (ended.status.code(), ended.stdout, ended.stderr)
    };
    for (rule, filter, count) in [("sum", "sums/+", 9), ("double", "doubles/+", 9)] {
        let live = until("the results of the rule", || {
            let found = read(&broker, filter);
            (found.len() == count).then_some(found)
        });
        let (code, out, errors) = replay(rule, &[]);
        assert_eq!(code, Some(0), "{errors}");
        let lines: Vec<String> =
            live.iter().map(|(topic, payload)| format!("{topic} {payload}")).collect();
        assert_eq!(out.lines().collect::<Vec<_>>(), lines, "{errors}");
        assert!(errors.ends_with("101 messages read, 9 results, 0 errors\n"), "{errors}");
    }

    let other = folder.write("new.toml", RULES.replace("2 * sum", "sum > 500 ? 3 * sum : 2 * sum"));
    let (code, out, errors) = replay("double", &["--with", other.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{errors}");
    let lines: Vec<&str> = out.lines().collect();
    let marks = |mark: &str| lines.iter().filter(|line| line.starts_with(mark)).count();
    assert_eq!((marks("- doubles/"), marks("+ doubles/")), (lines.len() / 2, lines.len() / 2));
    let differ = lines.len() / 2;
    assert!((1..9).contains(&differ), "{out}");
    let same = 9 - differ;
    let sum =
        format!("101 messages read, {same} the same, {differ} only before, {differ} only after\n");
    assert!(errors.ends_with(&sum), "{errors}");

    let (code, out, errors) = replay("double", &["--with", "rules.toml", "--json"]);
    assert_eq!((code, out.as_str()), (Some(2), ""), "there is no such file here: {errors}");
    let same = folder.path().join("rules.toml");
    let (code, out, errors) = replay("double", &["--with", same.to_str().unwrap(), "--json"]);
    assert_eq!((code, out.as_str()), (Some(0), ""), "{errors}");
    let (_, out, _) = replay("sum", &["--json"]);
    assert!(out.starts_with("{\"at_ms\":1") && out.contains("\"topic\":\"sums/b\""), "{out}");

    assert_made_of(&replay("sum", &["--json"]).1, |id| replay("sum", &["--made", id]));

    let (code, _, errors) = replay("suum", &[]);
    assert_eq!(code, Some(1));
    assert_eq!(errors, "no rule `suum` that runs in the configuration; did you mean `sum`?\n");
    let (code, out, _) = replay("sum", &["--since", "2h", "--until", "1h"]);
    assert_eq!((code, out.as_str()), (Some(0), ""), "nothing was there an hour ago");
    broker.stop();

    let bare = CONFIG.split("[[history]]").next().unwrap();
    folder.write("weir.toml", bare);
    let (code, _, errors) = replay("sum", &[]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("\n[[history]]\nfilter = \"t/+\"\n"), "{errors}");
}

/// The last result was made of the messages that add up to it.
fn assert_made_of(results: &str, made: impl Fn(&str) -> (Option<i32>, String, String)) {
    let last: Value = serde_json::from_str(results.lines().last().unwrap()).unwrap();
    let (code, out, errors) = made(last["id"].as_str().unwrap());
    assert_eq!(code, Some(0), "{errors}");
    let mut lines = out.lines();
    let payload = last["payload"].as_str().unwrap();
    assert_eq!(
        lines.next(),
        Some(format!("{} {payload}", last["topic"].as_str().unwrap()).as_str())
    );
    let numbers: Vec<u64> = lines
        .map(|line| {
            let [at, topic, number]: [&str; 3] =
                line.trim_start().split(' ').take(3).collect::<Vec<_>>().try_into().unwrap();
            assert!(at.ends_with('Z') && topic.starts_with("t/"), "{line}");
            number.parse().unwrap()
        })
        .collect();
    let result: Value = serde_json::from_str(payload).unwrap();
    assert_eq!(Some(numbers.iter().sum()), result["sum"].as_u64(), "{out}");
    assert_eq!(errors, format!("made of {} messages\n", numbers.len()));
    let (code, out, errors) = made(&"0".repeat(32));
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(errors.contains("begin earlier with --since"), "{errors}");
}

fn subscribe(client: &mut Client, filter: &str) {
    let filter = TopicFilter::parse(filter).unwrap();
    let options = SubscriptionOptions { qos: QoS::AtLeastOnce, ..SubscriptionOptions::default() };
    let filters = [SubscribeFilter { filter, options }];
    let packet = Packet::Subscribe(Subscribe {
        packet_id: PacketId::new(1).unwrap(),
        properties: SubscribeProperties::default(),
        filters: filters.as_slice().into(),
    });
    client.send(&packet).unwrap();
    match client.receive(LIMIT) {
        Received::Packet(Packet::Suback(suback)) => {
            assert!(suback.reasons.iter().all(|reason| !reason.is_error()), "{suback:?}");
        }
        other => panic!("{other:?} instead of SUBACK"),
    }
}
