//! Sessions: what outlives a connection, and what does not.

use crate::support::*;

/// Those who have a session may come back to it.
#[test]
fn the_number_of_sessions_is_bounded() {
    let world = World::with_limits(Limits { sessions_max: 2, ..Limits::default() });
    world.connect(v5("a").kept()).hang_up();
    let b = world.connect(v5("b"));
    world.dial(&v5("c")).expect_refused(ReasonCode::QuotaExceeded);
    world.dial(&v311("d")).expect_refused(ReasonCode::ServerUnavailable);
    world.connect(v5("a").kept());
    b.disconnect();
    world.connect(v5("c"));
}

/// [MQTT-3.1.2-5] [MQTT-3.1.2-6] [MQTT-3.2.2-3] [MQTT-4.1.0-1], and of 3.1.1 [MQTT-3.1.2-4]
/// [MQTT-3.2.2-2] [MQTT-3.2.2-3]
#[test]
fn a_kept_session_is_found_again_with_all_its_messages() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    for options in [v31("old").kept(), v311("middle").kept(), v5("new").kept()] {
        let version = options.version;
        let first = world.connect(options.clone());
        assert!(!first.session_present);
        first.subscribe("t", QOS2);
        first.disconnect();
        publisher.publish(QOS0, "t", "lost");
        publisher.publish_acknowledged("t", "1");
        publisher.publish_exactly_once("t", "2");
        let again = world.connect(options);
        assert_eq!(again.session_present, version != Version::V31);
        assert_eq!(again.payloads(), ["1", "2"]);
        again.unsubscribe("t");
    }
}

/// [MQTT-3.1.2-4] [MQTT-3.2.2-2] [MQTT-3.1.4-4], and of 3.1.1 [MQTT-3.1.2-6] [MQTT-3.2.2-1]
#[test]
fn a_clean_start_leaves_nothing_of_the_old_session() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    for options in [v311("a"), v5("b")] {
        world.connect(options.clone().kept()).subscribe("t", QOS1);
        world.connect(options.clone().kept()).hang_up();
        publisher.publish_acknowledged("t", "old");
        let clean = world.connect(options);
        assert!(!clean.session_present);
        publisher.publish_acknowledged("t", "new");
        clean.expect_nothing();
    }
    assert_eq!(world.metrics().queued_messages, 0);
}

/// [MQTT-3.1.3-2]
#[test]
fn sessions_belong_to_names() {
    let world = World::new();
    world.connect(v5("a").kept()).disconnect();
    assert!(!world.connect(v5("b").kept()).session_present);
    assert!(world.connect(v5("a").kept()).session_present);
}

/// A client may speak another version the next time.
#[test]
fn a_session_survives_a_change_of_the_version() {
    let world = World::new();
    let publisher = world.connect(v5("publisher"));
    world.connect(v5("a").kept()).subscribe_identified("t", QOS1, 9);
    world.connect(v5("a").kept()).hang_up();
    publisher.publish_acknowledged("t", "x");
    let old = world.connect(v311("a").kept());
    assert!(old.session_present);
    assert_eq!(old.receive().payload, "x");
    let new = world.connect(v5("a").kept());
    let again = new.receive_and_acknowledge();
    assert_eq!((again.dup, again.identifiers), (true, vec![9]));
}

/// A session whose client no longer wants it kept ends with that connection; before, it is still
/// durable. [MQTT-3.1.2-23]
#[test]
fn a_session_can_stop_being_kept() {
    let world = World::new();
    let publisher = world.connect(v5("publisher"));
    world.connect(v5("a").kept()).subscribe("t", QOS1);
    let last = world.connect(Options { clean: false, expiry_s: None, ..v5("a") });
    assert!(last.session_present);
    publisher.publish_acknowledged("t", "x");
    assert_eq!(last.receive().payload, "x");
    last.hang_up();
    assert!(world.net().store.sessions.is_empty());
    assert!(!world.connect(v5("a").kept()).session_present);
    assert_eq!(world.metrics().queued_messages, 0);
}

/// [MQTT-3.14.2-2]
#[test]
fn disconnect_can_change_the_expiry_but_not_from_zero() {
    let world = World::new();
    let keeper = world.connect(v5("a").expiry(100));
    keeper.send_bytes(b"\xe0\x07\x00\x05\x11\x00\x00\x00\x0a");
    keeper.expect_closed();
    world.advance_s(9);
    assert_eq!(world.metrics().sessions, 1);
    world.advance_s(1);
    assert_eq!(world.metrics().sessions, 0);
    let leaver = world.connect(v5("b").expiry(100));
    leaver.send_bytes(b"\xe0\x07\x00\x05\x11\x00\x00\x00\x00");
    leaver.expect_closed();
    assert_eq!(world.metrics().sessions, 0);
    let never = world.connect(v5("c"));
    never.send_bytes(b"\xe0\x07\x00\x05\x11\x00\x00\x00\x0a");
    never.expect_disconnected(ReasonCode::ProtocolError);
}
