//! A real broker keeps a history with `[[history]]`: over kills nothing of QoS 1 and 2 is missing
//! and nothing of QoS 2 is twice, clients of both versions read it at their pace, and
//! `weir rules replay` sends from it what the rule has sent, and shows what a result was made of.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
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

#[test]
fn after_kills_nothing_is_missing_and_nothing_is_there_twice() {
    let folder = Folder::new("history-kills");
    let (config, weir) = start(&folder);
    let mut weir = Some(weir);
    let mut publisher = Publisher::new("publisher", Version::V5, 20);
    publisher.connect(weir.as_ref().unwrap().address()).unwrap();
    let (mut number, mut acknowledged) = (0, 0);
    let qos =
        |number: u32| if number.is_multiple_of(2) { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
    loop {
        let mut next = || {
            number += 1;
            (number <= 1000).then(|| message(number, qos(number)))
        };
        let ended = publisher.run(&mut next, |_| {
            acknowledged += 1;
            if acknowledged % 180 == 0 {
                weir.take().unwrap().kill();
            }
        });
        // One that was not sent is not asked for again.
        if ended == Ended::Done {
            break;
        }
        weir = Some(Weir::start(&config));
        publisher.connect(weir.as_ref().unwrap().address()).unwrap();
    }
    let weir = weir.unwrap();
    let found = read(&weir, "t/+");
    let mut counts = BTreeMap::<u32, u32>::new();
    found.iter().for_each(|(_, payload)| *counts.entry(payload.parse().unwrap()).or_default() += 1);
    assert_eq!(counts.keys().copied().collect::<Vec<_>>(), (1..=1000).collect::<Vec<_>>());
    let twice: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.iter().all(|(number, _)| qos(**number) == QoS::AtLeastOnce), "{twice:?}");
    // What was sent again comes later than it would have, the others keep their order.
    let exact: Vec<u32> = found.iter().map(|(_, payload)| payload.parse().unwrap()).collect();
    let exact: Vec<u32> =
        exact.into_iter().filter(|number| qos(*number) == QoS::ExactlyOnce).collect();
    assert!(exact.is_sorted(), "QoS 2 is in the order in which it was sent");
    weir.stop();
}

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
