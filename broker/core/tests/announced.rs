//! What CONNACK announces, and that the broker holds clients and itself to it.

use crate::support::*;

fn with_qos_max(qos_max: QoS) -> World {
    World::with_limits(Limits { qos_max, ..Limits::default() })
}

fn without_retain() -> World {
    World::with_limits(Limits { retain_available: false, ..Limits::default() })
}

/// [MQTT-3.2.2-9]: announced when it is below 2, and only then.
#[test]
fn connack_announces_the_maximum_qos() {
    for (qos_max, announced) in [(QOS0, Some(QOS0)), (QOS1, Some(QOS1)), (QOS2, None)] {
        with_qos_max(qos_max).dial(&v5("a")).look(|packet| {
            let Packet::Connack(connack) = packet else { panic!("{packet:?}") };
            assert_eq!(connack.properties.maximum_qos, announced);
            assert_eq!(connack.properties.retain_available, None);
        });
    }
}

/// [MQTT-3.2.2-10]: whoever asks for more gets the maximum.
#[test]
fn a_subscription_is_granted_no_more_than_the_maximum_qos() {
    for options in [v5("a").kept(), v311("b").kept()] {
        let world = with_qos_max(QOS1);
        let client = world.connect(options);
        for (wanted, granted) in [(QOS0, QOS0), (QOS1, QOS1), (QOS2, QOS1)] {
            client.send_subscribe("t", wanted, None, |_| {});
            assert_eq!(client.expect_suback(), [granted as u8]);
        }
        let message = MessageParts {
            qos: QOS2,
            retain: false,
            expires_at_ms: None,
            received_at_ms: 0,
            publisher: "",
            topic: "t",
            properties: &[],
            payload: b"from a rule",
        };
        world.publish(Publication { message, route: Route::Subscribers { origin: None } });
        assert_eq!(client.receive().qos, QOS1);
    }
}

/// A message above the maximum ends the connection; one at it does not.
#[test]
fn a_message_above_the_maximum_qos_is_refused() {
    let world = with_qos_max(QOS1);
    for options in [v5("a"), v311("b")] {
        let client = world.connect(options);
        client.publish_acknowledged("t", "x");
        client.publish(QOS2, "t", "x");
        client.expect_disconnected(ReasonCode::QoSNotSupported);
    }
}

/// [MQTT-3.2.2-12]
#[test]
fn a_will_above_the_maximum_qos_is_refused() {
    let world = with_qos_max(QOS0);
    world.dial(&v5("a").will("t", "x")).expect_refused(ReasonCode::QoSNotSupported);
    world.dial(&v311("b").will("t", "x")).expect_closed();
    world.connect(v5("a").will("t", "x").with_will(|will| will.qos = QOS0));
}

/// [MQTT-3.2.2-13]
#[test]
fn a_retained_will_is_refused_where_nothing_is_retained() {
    let world = without_retain();
    let options = || v5("a").will("t", "x").with_will(|will| will.retain = true);
    world.dial(&options()).expect_refused(ReasonCode::RetainNotSupported);
    world.connect(v5("a").will("t", "x"));
}

/// [MQTT-3.2.2-14]
#[test]
fn a_retained_message_ends_the_connection_where_nothing_is_retained() {
    let world = without_retain();
    world.dial(&v5("a")).look(|packet| {
        let Packet::Connack(connack) = packet else { panic!("{packet:?}") };
        assert_eq!(connack.properties.retain_available, Some(false));
    });
    for qos in [QOS0, QOS1, QOS2] {
        let client = world.connect(v5("a"));
        client.publish_retained(qos, "t", "x");
        client.expect_disconnected(ReasonCode::RetainNotSupported);
    }
    assert_eq!(world.metrics().retained, 0);
    let client = world.connect(v5("b"));
    client.subscribe("t", QOS0);
    client.expect_nothing();
}

/// [MQTT-3.1.2-21] [MQTT-3.2.2-22]: without Server Keep Alive the client's own value counts.
#[test]
fn the_server_keep_alive_counts_where_it_was_announced() {
    let world = World::with_limits(Limits { keep_alive_s_max: 10, ..Limits::default() });
    for (wanted, announced, silence_s) in [(0, Some(10), 15), (60, Some(10), 15), (4, None, 6)] {
        let client = world.dial(&v5("a").keep_alive(wanted));
        client.look(|packet| {
            let Packet::Connack(connack) = packet else { panic!("{packet:?}") };
            assert_eq!(connack.properties.server_keep_alive_s, announced);
        });
        world.advance_ms(silence_s * 1000 - 1);
        assert!(!client.is_closed());
        world.advance_ms(1);
        assert!(client.is_closed());
    }
}

fn response_information(client: &Client) -> Option<String> {
    client.look(|packet| {
        let Packet::Connack(connack) = packet else { panic!("{packet:?}") };
        connack.properties.response_information.map(str::to_owned)
    })
}

/// [MQTT-3.1.2-28]
#[test]
fn response_information_is_for_those_who_ask() {
    let world = World::with_limits(Limits {
        response_information: Some("response/{client}".to_owned()),
        ..Limits::default()
    });
    let asked = v5("a").response_information(true);
    assert_eq!(response_information(&world.dial(&asked)).as_deref(), Some("response/a"));
    for options in [v5("b"), v5("c").response_information(false)] {
        assert_eq!(response_information(&world.dial(&options)), None);
    }
    let nameless = response_information(&world.dial(&v5("").response_information(true)));
    assert!(nameless.is_some_and(|text| text.starts_with("response/auto-")));
    let without = World::new();
    assert_eq!(response_information(&without.dial(&asked)), None);
}

/// [MQTT-3.1.2-24]: the client connects all the same.
#[test]
fn response_information_that_is_too_long_for_the_client_is_left_out() {
    let world = World::with_limits(Limits {
        response_information: Some("r".repeat(40)),
        ..Limits::default()
    });
    let options = v5("a").response_information(true).packet_max(50);
    assert_eq!(response_information(&world.dial(&options)), None);
    world.connect(v5("b").response_information(true).packet_max(80));
}

/// No CONNACK is longer than its client takes; a refusal has five bytes.
#[test]
fn the_longest_connack_fits_the_smallest_client() {
    let world = World::with_limits(Limits {
        qos_max: QOS1,
        retain_available: false,
        keep_alive_s_max: 10,
        session_expiry_s_max: 10,
        ..Limits::default()
    });
    for name in ["", "a"] {
        let mut accepted = false;
        for max in 1..60 {
            let client = world.dial(&v5(name).expiry(20).keep_alive(60).packet_max(max));
            let Some(frame) = client.next_frame() else {
                assert!(max < 5, "no answer for {max}");
                continue;
            };
            assert!(frame.len() <= max as usize, "{} for {max}", frame.len());
            let packet = Packet::decode(&frame, Version::V5).expect("a valid packet");
            let Packet::Connack(connack) = packet else { panic!("{packet:?}") };
            accepted |= connack.reason == ReasonCode::Success;
        }
        assert!(accepted, "{name:?}");
    }
}

/// Wildcards, identifiers and shares are available, which is what their absence says.
#[test]
fn connack_says_nothing_of_what_is_available() {
    World::new().dial(&v5("a")).look(|packet| {
        let Packet::Connack(connack) = packet else { panic!("{packet:?}") };
        let properties = &connack.properties;
        assert_eq!(properties.wildcard_subscription_available, None);
        assert_eq!(properties.subscription_identifiers_available, None);
        assert_eq!(properties.shared_subscription_available, None);
    });
}

/// What the broker says of itself reaches those who ask for it by name, also retained.
#[test]
fn topics_of_the_broker_reach_their_subscribers() {
    let world = World::new();
    let early = world.connect(v311("early"));
    early.subscribe("$SYS/#", QOS0);
    early.subscribe("#", QOS0);
    let message = MessageParts {
        qos: QOS0,
        retain: true,
        expires_at_ms: None,
        received_at_ms: 0,
        publisher: "",
        topic: "$SYS/broker/uptime",
        properties: &[],
        payload: b"1 seconds",
    };
    world.publish(Publication { message, route: Route::Subscribers { origin: None } });
    assert_eq!(early.payloads(), ["1 seconds"]);
    let late = world.connect(v5("late"));
    late.subscribe("$SYS/broker/+", QOS1);
    assert!(late.receive().retain);
    late.subscribe("#", QOS0);
    late.expect_nothing();
    late.publish(QOS0, "$SYS/broker/uptime", "forged");
    late.publish_retained(QOS0, "$SYS/broker/uptime", "");
    early.expect_nothing();
    assert_eq!(world.metrics().retained, 1);
}
