//! Messages to `$rules/RULE/GROUP` with a response topic.

use crate::support::*;

const RULES: ReaderId = ReaderId(1);

fn world() -> World {
    let rules = ReaderConfig {
        reader: RULES,
        filters: vec!["in/#".to_owned()],
        kind: ReaderKind::Rules,
        names_publishers: false,
    };
    World::with_readers(Limits::default(), vec![rules])
}

fn ask(client: &Client, topic: &str, answer: Option<&str>) -> ReasonCode {
    let id = client.next_id();
    client.publish_with(QOS1, topic, "?", |publish| {
        publish.packet_id = PacketId::new(id);
        publish.properties.response_topic = answer;
    });
    client.expect_reason(PacketKind::Puback, id)
}

#[test]
fn a_question_goes_to_the_rules_and_to_nobody_else() {
    let world = world();
    for id in ["a", "b", "c", "d"] {
        let client = world.connect(v5(id));
        client.subscribe("$rules/#", QOS1);
        assert_eq!(ask(&client, "$rules/room/1", Some("answers")), ReasonCode::Success);
        client.expect_nothing();
        let seen = world.take_reader_messages();
        let topics: Vec<_> = seen.iter().map(|seen| (seen.topic.as_str(), seen.sequence)).collect();
        assert_eq!(topics, [("$rules/room/1", None)]);
    }
    assert!(world.net().store.log.is_empty(), "nothing of it is written");
}

/// Clients of MQTT 3 have no response topic.
#[test]
fn a_client_of_any_version_asks_with_get() {
    let world = world();
    for options in [v311("old"), v5("new")] {
        let client = world.connect(options);
        client.subscribe("$rules/#", QOS1);
        client.publish_acknowledged("$rules/room/1/get", "");
        client.expect_nothing();
        let seen = world.take_reader_messages();
        let topics: Vec<_> = seen.iter().map(|seen| (seen.topic.as_str(), seen.sequence)).collect();
        assert_eq!(topics, [("$rules/room/1/get", None)]);
    }
    let client = world.connect(v5("a"));
    assert_eq!(ask(&client, "$SYS/room/1/get", None), ReasonCode::NotAuthorized);
    assert_eq!(ask(&client, "$rules/room/1/value", None), ReasonCode::NotAuthorized);
    assert!(world.take_reader_messages().is_empty());
}

#[test]
fn what_is_no_question_is_refused_as_ever() {
    let world = world();
    let client = world.connect(v5("a"));
    let refused = ReasonCode::NotAuthorized;
    assert_eq!(ask(&client, "$rules/room/1", None), refused);
    for answer in ["$SYS/broker", "$rules/room/errors", "$delayed/5/t"] {
        assert_eq!(ask(&client, "$rules/room/1", Some(answer)), refused, "{answer}");
    }
    assert_eq!(ask(&client, "$SYS/room/1", Some("answers")), refused);
    assert!(world.take_reader_messages().is_empty());
}
