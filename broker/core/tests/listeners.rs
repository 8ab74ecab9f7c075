//! What holds for the clients of one listener and not for those of another.

use crate::support::*;

/// Clients enter by listener 0, which has no limits of its own, or by listener 1.
fn world(listener: ListenerLimits) -> World {
    let listeners = vec![ListenerLimits::default(), listener];
    World::with_limits(Limits { listeners, ..Limits::default() })
}

#[test]
fn a_version_that_the_listener_does_not_speak_is_refused() {
    let versions = vec![Version::V311];
    let world = world(ListenerLimits { versions, ..ListenerLimits::default() });
    world.enter_by(1);
    world.connect(v311("a"));
    world.dial(&v31("a")).expect_refused(ReasonCode::UnsupportedProtocolVersion);
    world.dial(&v5("a")).expect_refused(ReasonCode::UnsupportedProtocolVersion);
    world.enter_by(0).connect(v5("a"));
}

/// [MQTT-3.1.3-8] for a client that sent no identifier.
#[test]
fn a_client_without_an_identifier_is_refused_where_it_needs_one() {
    let listener = ListenerLimits { allow_empty_client_id: false, ..ListenerLimits::default() };
    let world = world(listener);
    world.enter_by(1);
    for options in [v5(""), v311("")] {
        world.dial(&options).expect_refused(ReasonCode::ClientIdentifierNotValid);
    }
    world.connect(v5("named"));
    world.enter_by(0).dial(&v311("")).expect_connack();
}

#[test]
fn a_listener_may_let_in_clients_without_a_name_where_others_do_not() {
    let open = ListenerLimits { allow_anonymous: Some(true), ..ListenerLimits::default() };
    let listeners = vec![ListenerLimits::default(), open];
    let limits =
        Limits { listeners, allow_anonymous: false, authentication: true, ..Limits::default() };
    let world = World::with_limits(limits);
    world.dial(&v5("a")).expect_refused(ReasonCode::NotAuthorized);
    world.enter_by(1).connect(v5("a"));
}

#[test]
fn a_listener_may_keep_out_clients_without_a_name() {
    let closed = ListenerLimits { allow_anonymous: Some(false), ..ListenerLimits::default() };
    let world = world(closed);
    world.enter_by(1).dial(&v311("a")).expect_refused(ReasonCode::NotAuthorized);
    world.enter_by(0).connect(v311("a"));
}

/// Whoever comes by a certificate is somebody, whatever CONNECT says.
#[test]
fn the_shell_is_always_asked_who_a_client_is_when_it_knows() {
    let knowing = ListenerLimits { knows_clients: true, ..ListenerLimits::default() };
    let limits = Limits {
        listeners: vec![ListenerLimits::default(), knowing],
        allow_anonymous: false,
        ..Limits::default()
    };
    let world = World::with_limits(limits);
    world.enter_by(1);
    let client = world.dial(&v311("c"));
    client.expect_nothing();
    assert_eq!(world.asked().expect("the shell is asked").username, None);
    let username = Some("by certificate".into());
    world.judge(Outcome::granted(Identity { username, ..Identity::default() }));
    client.expect_connack();
    let unknown = world.dial(&v5("c").username("a"));
    world.judge(Outcome::Refused(ReasonCode::BadUserNameOrPassword));
    unknown.expect_refused(ReasonCode::BadUserNameOrPassword);
    let other = world.dial(&v5("c").method("METHOD", b""));
    other.expect_refused(ReasonCode::BadAuthenticationMethod);
}

/// [MQTT-3.2.2-9] [MQTT-3.2.2-11] [MQTT-3.2.2-12]
#[test]
fn the_maximum_qos_is_announced_and_held_to_on_its_listener() {
    let world = world(ListenerLimits { qos_max: QOS1, ..ListenerLimits::default() });
    let free = world.connect(v5("free"));
    world.enter_by(1);
    let client = world.dial(&v5("bound").kept());
    client.look(|packet| {
        let Packet::Connack(connack) = packet else { panic!("{packet:?}") };
        assert_eq!(connack.properties.maximum_qos, Some(QOS1));
    });
    client.send_subscribe("t", QOS2, None, |_| {});
    assert_eq!(client.expect_suback(), [1]);
    free.publish_exactly_once("t", "x");
    assert_eq!(client.receive_and_acknowledge().qos, QOS1);
    let will = v5("w").will("t", "gone").with_will(|will| will.qos = QOS2);
    world.dial(&will).expect_refused(ReasonCode::QoSNotSupported);
    client.publish(QOS2, "t", "x");
    client.expect_disconnected(ReasonCode::QoSNotSupported);
}

/// A session that was begun where more is granted.
#[test]
fn a_session_from_another_listener_gets_no_more_than_the_maximum_qos() {
    let world = world(ListenerLimits { qos_max: QOS0, ..ListenerLimits::default() });
    let client = world.connect(v5("moving").kept());
    client.subscribe("t", QOS2);
    client.disconnect();
    let client = world.enter_by(1).connect(v5("moving").kept());
    assert!(client.session_present);
    world.enter_by(0).connect(v5("free")).publish_exactly_once("t", "x");
    assert_eq!(client.receive().qos, QOS0);
}

/// [MQTT-3.2.2-13] [MQTT-3.2.2-14]
#[test]
fn nothing_is_retained_by_a_listener_without_retained_messages() {
    let world = world(ListenerLimits { retain_available: false, ..ListenerLimits::default() });
    world.connect(v5("free")).publish_retained(QOS0, "t", "kept");
    world.enter_by(1);
    let client = world.dial(&v5("bound"));
    client.look(|packet| {
        let Packet::Connack(connack) = packet else { panic!("{packet:?}") };
        assert_eq!(connack.properties.retain_available, Some(false));
    });
    client.subscribe("t", QOS0);
    client.expect_nothing();
    let will = v5("w").will("t", "gone").with_will(|will| will.retain = true);
    world.dial(&will).expect_refused(ReasonCode::RetainNotSupported);
    client.publish_retained(QOS0, "t", "x");
    client.expect_disconnected(ReasonCode::RetainNotSupported);
    assert_eq!(world.metrics().retained, 1);
}

#[test]
fn a_payload_past_the_limit_is_dropped_and_the_connection_goes_on() {
    let world = world(ListenerLimits { payload_bytes_max: 4, ..ListenerLimits::default() });
    let watcher = world.connect(v5("watcher"));
    watcher.subscribe("t", QOS2);
    world.enter_by(1);
    let client = world.connect(v5("a"));
    client.publish(QOS0, "t", "12345");
    for (qos, kind) in [(QOS1, PacketKind::Puback), (QOS2, PacketKind::Pubrec)] {
        let id = client.publish(qos, "t", "12345");
        assert_eq!(client.expect_reason(kind, id), ReasonCode::QuotaExceeded);
    }
    let older = world.connect(v311("b"));
    older.publish_acknowledged("t", "12345");
    watcher.expect_nothing();
    assert_eq!(world.metrics().drops.too_large, 4);
    older.publish_acknowledged("t", "1234");
    assert_eq!(watcher.receive_and_acknowledge().payload, "1234");
    let will = v5("w").will("t", "12345");
    world.dial(&will).expect_refused(ReasonCode::PacketTooLarge);
}

#[test]
fn the_queue_of_a_session_has_the_bounds_of_its_listener() {
    let listener = ListenerLimits { queued_messages_max: Some(2), ..ListenerLimits::default() };
    let by_bytes = ListenerLimits { queued_bytes_max: Some(300), ..ListenerLimits::default() };
    let listeners = vec![ListenerLimits::default(), listener, by_bytes];
    let world =
        World::with_limits(Limits { listeners, queued_messages_max: 4, ..Limits::default() });
    for (listener, name) in ["all", "few", "short"].into_iter().enumerate() {
        let client = world.enter_by(listener as u16).connect(v5(name).kept());
        client.subscribe("t", QOS1);
        client.hang_up();
    }
    let publisher = world.enter_by(0).connect(v5("publisher"));
    for number in 0..6 {
        publisher.publish_acknowledged("t", &format!("{number}{}", "x".repeat(150)));
    }
    for (name, count) in [("all", 4), ("few", 2), ("short", 1)] {
        assert_eq!(world.connect(v5(name).kept()).payloads().len(), count, "{name}");
        assert_eq!(world.drops_of(name).queue_full, 6 - count as u64, "{name}");
    }
}

/// A message that is longer than all that may be under way goes by itself.
#[test]
fn bytes_under_way_to_a_client_are_bounded() {
    let bound = ListenerLimits { inflight_bytes_max: Some(250), ..ListenerLimits::default() };
    for qos in [QOS1, QOS2] {
        let world = world(bound.clone());
        let publisher = world.connect(v311("publisher"));
        let free = world.connect(v5("free"));
        free.subscribe("t", qos);
        let client = world.enter_by(1).connect(v5("bound").kept());
        client.subscribe("t", qos);
        for length in [70, 70, 70, 400, 60, 60] {
            publisher.publish_acknowledged_at(qos, "t", &"x".repeat(length));
        }
        let arrived = |client: &Client| {
            let mut ids = Vec::new();
            while client.has_arrived() {
                let received = client.receive();
                ids.push((received.id, received.payload.len()));
            }
            ids
        };
        let end = |id| {
            if qos == QOS1 {
                return client.puback(id);
            }
            client.pubrec(id);
            client.expect(PacketKind::Pubrel, id);
            client.expect_nothing();
            client.pubcomp(id);
        };
        assert_eq!(arrived(&free).len(), 6);
        assert_eq!(arrived(&client), [(1, 70), (2, 70)]);
        end(1);
        assert_eq!(arrived(&client), [(3, 70)]);
        end(2);
        end(3);
        assert_eq!(arrived(&client), [(4, 400)]);
        client.ping();
        client.look(|packet| assert_eq!(*packet, Packet::Pingresp));
        end(4);
        assert_eq!(arrived(&client), [(5, 60), (6, 60)]);
        end(5);
        end(6);
        assert_eq!((world.metrics().inflight, world.metrics().drops.total()), (6, 0));
    }
}

/// [MQTT-3.3.4-7] [MQTT-3.2.2-7]
#[test]
fn the_receive_maximum_is_that_of_the_listener_both_ways() {
    let world =
        world(ListenerLimits { inflight_messages_max: Some(2), ..ListenerLimits::default() });
    let publisher = world.connect(v311("publisher"));
    let client = world.enter_by(1).dial(&v5("a"));
    client.look(|packet| {
        let Packet::Connack(connack) = packet else { panic!("{packet:?}") };
        assert_eq!(connack.properties.receive_maximum.map(u16::from), Some(2));
    });
    client.subscribe("t", QOS1);
    (0..3).for_each(|_| publisher.publish_acknowledged("t", "x"));
    assert_eq!((client.receive().id, client.receive().id), (1, 2));
    client.expect_nothing();
    for id in 11..13 {
        client.publish_with(QOS2, "u", "x", |publish| publish.packet_id = PacketId::new(id));
        client.expect(PacketKind::Pubrec, id);
    }
    client.publish_with(QOS2, "u", "x", |publish| publish.packet_id = PacketId::new(13));
    client.expect_disconnected(ReasonCode::ReceiveMaximumExceeded);
}

fn upgrading() -> World {
    let listener = ListenerLimits { upgrades_qos: Some(true), ..ListenerLimits::default() };
    world(listener)
}

/// What mosquitto calls upgrade_outgoing_qos; the standard has no such thing.
#[test]
fn a_listener_may_raise_messages_to_the_qos_of_the_subscription() {
    let world = upgrading();
    world.connect(v5("r")).publish_retained(QOS0, "t/retained", "r");
    let publisher = world.connect(v311("publisher"));
    let plain = world.connect(v5("plain"));
    plain.subscribe("t/#", QOS2);
    assert_eq!(plain.receive().qos, QOS0);
    world.enter_by(1);
    for (name, qos) in [("a", QOS1), ("b", QOS2), ("c", QOS0)] {
        let client = world.connect(v5(name).kept());
        client.send_subscribe("t/#", qos, None, |_| {});
        let retained: Vec<QoS> = client.receive_all().iter().map(|message| message.qos).collect();
        assert_eq!(retained, [qos]);
        publisher.publish(QOS0, "t/x", "x");
        assert_eq!(client.receive_and_acknowledge().qos, qos);
        assert_eq!(plain.receive().qos, QOS0);
        client.disconnect();
    }
    let group = world.connect(v5("member"));
    group.subscribe("$share/g/t/#", QOS1);
    publisher.publish(QOS0, "t/x", "x");
    assert_eq!(group.receive_and_acknowledge().qos, QOS1);
}

/// They wait as if they had been published so, also over a restart, after which the session is of
/// no listener until its client comes back.
#[test]
fn raised_messages_wait_for_a_client_that_is_away() {
    let world = upgrading();
    let client = world.enter_by(1).connect(v5("away").kept());
    client.subscribe("t", QOS1);
    client.hang_up();
    let publisher = world.enter_by(0).connect(v311("publisher"));
    publisher.publish(QOS0, "t", "1");
    publisher.publish(QOS0, "t", "2");
    world.crash();
    let publisher = world.connect(v311("publisher"));
    publisher.publish(QOS0, "t", "as all others");
    let client = world.enter_by(1).connect(v5("away").kept());
    let arrived: Vec<(QoS, String)> =
        client.receive_all().into_iter().map(|message| (message.qos, message.payload)).collect();
    assert_eq!(arrived, [(QOS1, "1".to_owned()), (QOS1, "2".to_owned())]);
    assert_eq!(world.metrics().queued_messages, 0);
}

#[test]
fn no_message_is_raised_above_the_maximum_qos() {
    let listener =
        ListenerLimits { upgrades_qos: Some(true), qos_max: QOS1, ..ListenerLimits::default() };
    let world = world(listener);
    let client = world.connect(v5("moving").kept());
    client.subscribe("t", QOS2);
    client.hang_up();
    let client = world.enter_by(1).connect(v5("moving").kept());
    world.enter_by(0).connect(v5("publisher")).publish(QOS0, "t", "x");
    assert_eq!(client.receive().qos, QOS1);
}
