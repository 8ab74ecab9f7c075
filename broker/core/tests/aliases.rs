//! Topic aliases that clients set.

use crate::support::*;

fn publish(client: &Client, topic: &str, alias: u16, payload: &str) {
    client.publish_with(QOS0, topic, payload, |publish| {
        publish.properties.topic_alias = std::num::NonZeroU16::new(alias);
    });
}

/// [MQTT-3.3.2-12] [MQTT-3.1.2-27] [MQTT-3.3.2-11]
#[test]
fn every_alias_up_to_the_maximum_stands_for_its_topic() {
    let world = World::new();
    let watcher = world.connect(v5("watcher"));
    watcher.subscribe("#", QOS0);
    let client = world.connect(v5("a"));
    for alias in 1..=10 {
        publish(&client, &format!("t/{alias}"), alias, "set");
    }
    for alias in (1..=10).rev() {
        publish(&client, "", alias, "used");
        publish(&client, "", alias, "again");
    }
    publish(&client, "t/new", 3, "set");
    publish(&client, "", 3, "changed");
    let received = watcher.receive_all();
    assert_eq!(received.len(), 32);
    for alias in 1..=10 {
        let at = 10 + 2 * (10 - alias);
        assert_eq!(received[at].topic, format!("t/{alias}"));
        assert_eq!(received[at + 1].topic, format!("t/{alias}"));
    }
    assert_eq!(received[31].topic, "t/new");
}

/// [MQTT-3.2.2-17] [MQTT-3.2.2-18] [MQTT-3.3.2-8] [MQTT-3.3.2-9]
#[test]
fn an_alias_that_is_not_allowed_or_not_known_ends_the_connection() {
    let world = World::new();
    let none = World::with_limits(Limits { topic_aliases_max: 0, ..Limits::default() });
    for (world, topic, alias) in [(&world, "t", 11), (&world, "", 1), (&none, "t", 1)] {
        let client = world.connect(v5("a"));
        publish(&client, topic, alias, "x");
        client.expect_disconnected(ReasonCode::TopicAliasInvalid);
    }
    let zero = world.connect(v5("a"));
    zero.send_bytes(b"\x30\x07\x00\x01t\x03\x23\x00\x00");
    zero.expect_disconnected(ReasonCode::TopicAliasInvalid);
}

/// [MQTT-3.3.2-7]
#[test]
fn aliases_end_with_their_connection() {
    let world = World::new();
    publish(&world.connect(v5("a").kept()), "t", 1, "x");
    let again = world.connect(v5("a").kept());
    assert!(again.session_present);
    publish(&again, "", 1, "x");
    again.expect_disconnected(ReasonCode::TopicAliasInvalid);
}
