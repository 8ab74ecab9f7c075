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
