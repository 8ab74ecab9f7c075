//! Topic aliases that clients set, and those that the broker sets.

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

/// Topic and alias of each PUBLISH that has arrived.
fn aliases(client: &Client) -> Vec<(String, u16)> {
    let mut seen = Vec::new();
    while let Some(frame) = client.next_frame() {
        let packet = Packet::decode(&frame, client.version).expect("a valid packet");
        let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
        let alias = publish.properties.topic_alias.map_or(0, std::num::NonZeroU16::get);
        seen.push((publish.topic.to_owned(), alias));
        if let Some(id) = publish.packet_id {
            client.puback(id.get());
        }
    }
    seen
}

fn named(topic: &str, alias: u16) -> (String, u16) {
    (topic.to_owned(), alias)
}

/// [MQTT-3.1.2-26] [MQTT-3.3.2-11]: within the maximum of the client and of the broker, at every
/// QoS, for live and for retained messages.
#[test]
fn the_broker_sets_aliases_within_the_maximum_of_the_client() {
    for (taken, limit) in [(2, 10), (10, 2)] {
        let limits = Limits { outbound_topic_aliases_max: limit, ..Limits::default() };
        let world = World::with_limits(limits);
        let publisher = world.connect(v5("publisher"));
        publisher.publish_retained(QOS0, "topic/1", "x");
        let client = world.connect(v5("a").topic_alias_max(taken));
        client.subscribe("#", QOS1);
        assert_eq!(aliases(&client), [named("topic/1", 1)]);
        publisher.publish(QOS0, "topic/2", "x");
        publisher.publish_acknowledged("topic/2", "x");
        publisher.publish(QOS0, "topic/1", "x");
        assert_eq!(aliases(&client), [named("topic/2", 2), named("", 2), named("", 1)]);
        publisher.publish(QOS0, "topic/3", "x");
        publisher.publish(QOS0, "topic/1", "x");
        publisher.publish(QOS0, "topic/2", "x");
        assert_eq!(aliases(&client), [named("topic/3", 2), named("", 1), named("topic/2", 2)]);
    }
}

/// [MQTT-3.1.2-27]
#[test]
fn no_alias_for_a_client_that_takes_none() {
    let world = World::new();
    let publisher = world.connect(v5("publisher"));
    for options in [v5("a"), v5("b").topic_alias_max(0), v311("c")] {
        let client = world.connect(options);
        client.subscribe("topic", QOS0);
        publisher.publish(QOS0, "topic", "x");
        publisher.publish(QOS0, "topic", "x");
        assert_eq!(aliases(&client), [named("topic", 0), named("topic", 0)]);
    }
}

/// [MQTT-3.3.2-7]: what is sent again on another connection names its topic.
#[test]
fn a_new_connection_knows_no_alias() {
    let world = World::new();
    let publisher = world.connect(v5("publisher"));
    let options = || v5("a").kept().topic_alias_max(5);
    let client = world.connect(options());
    client.subscribe("topic", QOS1);
    for _ in 0..3 {
        publisher.publish_acknowledged("topic", "x");
    }
    client.hang_up();
    let client = world.connect(options());
    assert_eq!(aliases(&client), [named("topic", 1), named("", 1), named("", 1)]);
}

/// [MQTT-3.1.2-24]: the first use of an alias makes a packet longer.
#[test]
fn an_alias_does_not_make_a_packet_too_long_for_its_client() {
    let world = World::new();
    let publisher = world.connect(v5("publisher"));
    let client = world.connect(v5("a").topic_alias_max(5).packet_max(60));
    client.subscribe("topic", QOS0);
    let payload = "x".repeat(60 - 10);
    publisher.publish(QOS0, "topic", &payload);
    assert_eq!(aliases(&client), [named("topic", 0)]);
    publisher.publish(QOS0, "topic", "short");
    publisher.publish(QOS0, "topic", &payload);
    assert_eq!(aliases(&client), [named("topic", 1), named("", 1)]);
}
