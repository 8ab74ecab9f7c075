//! Subscriptions to `$history/<seconds>/<filter>`. The test is what reads the files.

use weir_mqtt::{PublishProperties, UserProperties};

use crate::support::*;

const NOW_MS: u64 = 1_700_000_000_000;
const NOT_KEPT: &str = "no [[history]] of the broker keeps messages that match the filter";

fn limits() -> Limits {
    Limits { history: vec!["t/#".into(), "u".into()], ..Limits::default() }
}

fn world() -> World {
    in_one_shard();
    World::with_limits(limits())
}

/// Client identifiers, which an option has for as long as the test runs.
const NAMES: [&str; 33] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16",
    "17", "18", "19", "20", "21", "22", "23", "24", "25", "26", "27", "28", "29", "30", "31", "32",
];

fn message(qos: QoS, topic: &str, payload: &str) -> Message {
    let mut properties = Vec::new();
    let given = [("unit", "C")];
    let own = PublishProperties {
        user_properties: UserProperties::from(&given[..]),
        ..PublishProperties::default()
    };
    own.encode_end_to_end(&mut properties).expect("short properties");
    let parts = MessageParts {
        qos,
        retain: true,
        // Over long ago.
        expires_at_ms: Some(NOW_MS - 59_000),
        received_at_ms: NOW_MS - 60_000,
        publisher: "sensor",
        topic,
        properties: &properties,
        payload: payload.as_bytes(),
    };
    Message::new(&parts, &mut Vec::new())
}

/// Pages of messages with QoS 1, each with `count` of them.
fn page(number: usize, count: usize) -> Vec<Message> {
    let payload = |index| format!("{number}.{index}");
    (0..count).map(|index| message(QOS1, "t/x", &payload(index))).collect()
}

/// Reason codes of the answer, and its Reason String.
fn refused(client: &Client, filter: &str) -> (Vec<u8>, Option<String>) {
    client.send_subscribe(filter, QOS1, None, |_| {});
    client.look(|packet| match packet {
        Packet::Suback(suback) => {
            let reasons = suback.reasons.iter().map(|reason| reason as u8).collect();
            (reasons, suback.reason_string.map(str::to_owned))
        }
        other => panic!("{other:?} instead of SUBACK"),
    })
}

#[test]
fn the_messages_of_the_last_seconds_come_with_their_time_and_the_subscription_ends() {
    let world = world();
    let client = world.connect(v5("a"));
    client.send_subscribe("$history/90/t/+", QOS1, Some(7), |_| {});
    assert_eq!(client.expect_suback(), [1]);
    let request = world.history_read().expect("the core wants to read");
    assert_eq!((&*request.filter, request.since_ms), ("t/+", NOW_MS - 90_000));
    assert!(request.position.is_empty());
    world.answer_history(&[message(QOS2, "t/x", "one"), message(QOS0, "t/y", "two")], None);
    let first = client.receive_and_acknowledge();
    assert_eq!((first.topic.as_str(), first.payload.as_str(), first.qos), ("t/x", "one", QOS1));
    assert_eq!((first.retain, first.expiry_s, first.identifiers), (false, None, vec![7]));
    let received = "2023-11-14T22:12:20.000Z";
    let expected = [("unit", "C"), ("received", received)];
    assert_eq!(first.user_properties, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    let second = client.receive();
    assert_eq!((second.payload.as_str(), second.qos), ("two", QOS0));

    let publisher = world.connect(v5("publisher"));
    publisher.publish_acknowledged("t/x", "new");
    client.expect_nothing();
    assert_eq!(world.history_read(), None);
    assert_eq!(world.metrics().subscriptions, 0);
}

#[test]
fn a_client_of_3_1_1_gets_them_without_properties() {
    let world = world();
    let client = world.connect(v311("a"));
    client.subscribe("$history/5/u", QOS0);
    assert!(world.history_read().is_some());
    world.answer_history(&[message(QOS1, "u", "x")], None);
    let got = client.receive();
    assert_eq!((got.topic.as_str(), got.payload.as_str(), got.qos), ("u", "x", QOS0));
    assert!(!got.retain && got.user_properties.is_empty());
}

/// The second page is read only when the first one has left, however long the client waits.
#[test]
fn a_slow_client_gets_page_after_page() {
    let world = world();
    let client = world.connect(v5("a").receive_max(3));
    client.subscribe("$history/5/t/#", QOS1);
    assert!(world.history_read().is_some());
    world.answer_history(&page(0, 5), Some(vec![9, 1]));
    let mut seen = Vec::new();
    for _ in 0..2 {
        assert_eq!(world.history_read(), None, "five are not taken yet");
        seen.push(client.receive_and_acknowledge().payload);
    }
    seen.push(client.receive_and_acknowledge().payload);
    let request = world.history_read().expect("all of the first page is under way");
    assert_eq!(request.position, [9, 1]);
    world.answer_history(&[], Some(vec![9, 2]));
    assert_eq!(world.history_read().expect("nothing was on that page").position, [9, 2]);
    world.answer_history(&page(1, 2), None);
    seen.extend((0..4).map(|_| client.receive_and_acknowledge().payload));
    assert_eq!(seen, ["0.0", "0.1", "0.2", "0.3", "0.4", "1.0", "1.1"]);
    client.expect_nothing();
    assert_eq!(world.history_read(), None);
    client.subscribe("$history/5/t/#", QOS1);
    assert!(world.history_read().is_some(), "and it can be read again");
}

#[test]
fn a_client_that_does_not_read_is_not_read_for() {
    let world = world();
    let client = world.connect(v5("a"));
    client.subscribe("$history/5/t/#", QOS0);
    client.stall();
    assert!(world.history_read().is_some());
    let large = "x".repeat(200_000);
    let page: Vec<Message> = (0..4).map(|_| message(QOS0, "t/x", &large)).collect();
    world.answer_history(&page, Some(vec![1]));
    assert_eq!(world.history_read(), None);
    client.go_on_reading();
    assert!(world.history_read().is_some());
    assert_eq!(client.receive_all().len(), 4);
}

#[test]
fn what_cannot_be_read_is_refused_with_the_reason() {
    let world = world();
    let client = world.connect(v5("a"));
    let form = Some("the history is subscribed to as $history/<seconds>/<filter>".to_owned());
    for filter in ["$history/t/#", "$history/5", "$history/0/t/x", "$history/5/$share/g/t/x"] {
        assert_eq!(refused(&client, filter), (vec![0x8f], form.clone()), "{filter}");
    }
    let not_kept = (vec![0x8f], Some(NOT_KEPT.to_owned()));
    for filter in ["$history/5/x", "$history/5/u/+", "$history/5/$SYS/#"] {
        assert_eq!(refused(&client, filter), not_kept, "{filter}");
    }
    // It can match `t/y/z/x`.
    client.subscribe("$history/5/+/y/+/x", QOS1);
    let busy = Some("the client still reads a history: one at a time".to_owned());
    assert_eq!(refused(&client, "$history/5/u"), (vec![0x97], busy));
    let old = world.connect(v311("b"));
    old.send_subscribe("$history/5/x", QOS1, None, |_| {});
    assert_eq!(old.expect_suback(), [0x80]);
    let elsewhere = World::new().connect(v5("c"));
    assert_eq!(refused(&elsewhere, "$history/5/t/x"), not_kept);
}

#[test]
fn no_more_clients_read_at_a_time_than_there_is_memory_for() {
    let world = world();
    let clients = NAMES.map(|name| world.connect(v5(name)));
    for client in &clients[..32] {
        client.subscribe("$history/5/t/#", QOS1);
    }
    let many = Some("too many clients read the history: try again later".to_owned());
    assert_eq!(refused(&clients[32], "$history/5/u"), (vec![0x97], many));
    clients[3].hang_up();
    clients[32].subscribe("$history/5/t/#", QOS1);
    // Each gets a page in its turn; the one that has gone is passed over.
    let mut pages = 0;
    while world.history_read().is_some() {
        world.answer_history(&[message(QOS0, "t/x", "x")], None);
        pages += 1;
    }
    assert_eq!(pages, 32);
    for (number, client) in clients.iter().enumerate().filter(|(number, _)| *number != 3) {
        assert_eq!(client.payloads(), ["x"], "client {number}");
    }
}

#[test]
fn only_what_a_client_may_read_comes() {
    in_one_shard();
    let world = World::with_limits(Limits { authentication: true, ..limits() });
    let rule = |filter: &str| {
        Rule::topic(Access::Read, TopicFilter::parse(filter).expect("a valid filter"))
    };
    let rules = ["t/a", "t/b/#"].map(|filter| (Some("lisa"), rule(filter)));
    world.permit(Some(Acl::new(rules, [])));
    let client = world.connect_as("lisa", v5("a"));
    assert_eq!(refused(&client, "$history/5/u").0, [0x87]);
    assert_eq!(world.take_denials().len(), 1);
    client.subscribe("$history/5/t/#", QOS1);
    assert!(world.history_read().is_some());
    let topics = ["t/a", "t/c", "t/b/x", "t"];
    world.answer_history(&topics.map(|topic| message(QOS1, topic, topic)), None);
    assert_eq!(client.payloads(), ["t/a", "t/b/x"]);
}

#[test]
fn it_ends_with_the_connection_and_by_unsubscribe() {
    let world = world();
    let client = world.connect(v5("a").kept());
    client.subscribe("$history/5/t/#", QOS1);
    assert!(world.history_read().is_some());
    client.hang_up();
    let client = world.connect(v5("a").kept());
    world.answer_history(&page(0, 1), Some(vec![1]));
    client.expect_nothing();
    assert_eq!(world.history_read(), None, "it was the one before that wanted it");

    client.subscribe("$history/5/t/#", QOS1);
    assert!(world.history_read().is_some());
    client.unsubscribe("$history/5/t/#");
    world.answer_history(&page(0, 1), Some(vec![1]));
    client.expect_nothing();
    assert_eq!(world.history_read(), None);
}
