//! A client connects while its earlier connection is still open.

use crate::support::*;

/// The CONNACK that waited for the commit was sent together with the DISCONNECT of the takeover:
/// a client was told of a session that a crash would have undone. [MQTT-3.14.0-1]
#[test]
fn a_connection_that_is_taken_over_before_its_connack_hears_nothing() {
    let world = World::new();
    world.hold_commits();
    let first = world.dial(&v5("a").kept());
    let second = world.dial(&v5("a").kept());
    first.expect_closed();
    second.expect_nothing();
    world.release_commits();
    assert!(second.expect_connack());
    second.publish_acknowledged("t", "x");
}

/// [MQTT-3.1.4-3], and of 3.1.1 [MQTT-3.1.4-2]
#[test]
fn the_older_connection_is_told_and_closed() {
    let world = World::new();
    for options in [v31("a"), v311("b"), v5("c"), v5("d").kept()] {
        let old = world.connect(options.clone());
        let new = world.connect(options);
        old.expect_disconnected(ReasonCode::SessionTakenOver);
        new.ping();
        new.look(|packet| assert_eq!(*packet, Packet::Pingresp));
    }
}

/// [MQTT-3.1.2-5] [MQTT-4.4.0-1]
#[test]
fn a_kept_session_goes_on_where_the_old_connection_was() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let old = world.connect(v5("a").kept());
    old.subscribe("t", QOS2);
    publisher.publish_exactly_once("t", "1");
    assert_eq!(old.receive().payload, "1");
    let new = world.connect(v5("a").kept());
    assert!(new.session_present);
    let again = new.receive_and_acknowledge();
    assert_eq!((again.payload.as_str(), again.dup), ("1", true));
}

/// [MQTT-3.1.2-4] [MQTT-3.2.2-2]
#[test]
fn a_session_that_is_not_kept_ends_with_the_takeover() {
    let world = World::new();
    let old = world.connect(v5("a"));
    old.subscribe("t", QOS1);
    let new = world.connect(Options { clean: false, ..v5("a") });
    assert!(!new.session_present);
    new.publish_acknowledged("t", "x");
    new.expect_nothing();
}

/// [MQTT-3.1.2-8] [MQTT-3.1.3-9]
#[test]
fn the_will_of_the_older_connection_is_published_unless_it_has_a_delay() {
    let world = World::new();
    let watcher = world.connect(v5("watcher"));
    watcher.subscribe("w", QOS0);
    world.connect(v5("a").kept().will("w", "at once"));
    world.connect(v5("a").kept().will("w", "late").will_delay(10));
    assert_eq!(watcher.payloads(), ["at once"]);
    let last = world.connect(v5("a").kept());
    world.advance_s(60);
    watcher.expect_nothing();
    last.disconnect();
    world.connect(v5("b").kept().will("w", "cleared").will_delay(10));
    world.connect(v5("b").kept().clean());
    assert_eq!(watcher.payloads(), ["cleared"]);
}

/// Bytes that the loser had sent, and answers for it, reach nobody.
#[test]
fn a_late_answer_does_not_reach_the_connection_that_took_the_slot() {
    let world = World::new();
    let keeper = world.connect(v311("keeper").kept());
    keeper.subscribe("t", QOS1);
    let publisher = world.connect(v311("publisher"));
    world.hold_commits();
    publisher.publish(QOS1, "t", "x");
    let slot = publisher.connection.slot;
    publisher.hang_up();
    let other = world.connect(v5("other"));
    assert_eq!(other.connection.slot, slot, "the slot is used again");
    world.release_commits();
    other.expect_nothing();
}

/// A client that began anew twice was let in before its kept session was gone from the store: after
/// a crash it had that again. Only the first of the two CONNECTs waited for the removal.
#[test]
fn nobody_is_let_in_before_the_kept_session_of_that_name_is_gone() {
    let endings: [fn(&World, Client); 2] = [
        |world, _| drop(world.dial(&v5("a"))),
        |_, old| old.send_bytes(b"\xe0\x07\x00\x05\x11\0\0\0\0"),
    ];
    for end in endings {
        let world = World::new();
        let old = world.connect(v5("a").kept());
        world.hold_commits();
        end(&world, old);
        let client = world.dial(&v5("a"));
        client.expect_nothing();
        world.release_commits();
        assert!(!client.expect_connack());
        world.crash();
        assert_eq!(world.metrics().sessions, 0);
    }
}
