//! The will: when it is published, when it is not, and what it is then.

use crate::support::*;

/// A client that said goodbye because of an error lost its will, as if it had left in peace.
/// [MQTT-3.1.2-8] [MQTT-3.14.4-3]
#[test]
fn only_the_normal_goodbye_deletes_the_will() {
    let world = World::new();
    let watcher = world.connect(v5("watcher"));
    watcher.subscribe("w", QOS0);
    let leave = |code: u8| {
        let client = world.connect(v5("leaver").will("w", "gone"));
        client.send_bytes(&[0xe0, 1, code]);
        client.expect_closed();
    };
    leave(0x00);
    watcher.expect_nothing();
    for code in [0x04, 0x80, 0x81, 0x83, 0x97, 0x98] {
        leave(code);
        assert_eq!(watcher.payloads(), ["gone"], "{code:#x}");
    }
}

/// A will was published to a topic that its client could not publish to itself.
#[test]
fn a_will_for_a_topic_of_the_broker_is_refused() {
    let world = World::new();
    let v5_refused = world.dial(&v5("a").will("$SYS/broker/version", "mine"));
    v5_refused.expect_refused(ReasonCode::NotAuthorized);
    let v311_refused = world.dial(&v311("a").will("$SYS/broker/version", "mine"));
    v311_refused.expect_refused(ReasonCode::NotAuthorized);
    assert_eq!(world.metrics().sessions, 0);
}

/// [MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT-3.1.2-14], and of 3.1.1 [MQTT-3.1.2-16]
#[test]
fn the_will_of_a_lost_client_is_published() {
    let world = World::new();
    let watcher = world.connect(v5("watcher"));
    watcher.subscribe_with("w", QOS1, |options| options.retain_as_published = true);
    for options in [v31("a"), v311("b"), v5("c"), v5("d").kept()] {
        world.connect(options.clone().will("w", "gone")).hang_up();
        let will = watcher.receive_and_acknowledge();
        assert_eq!((will.payload.as_str(), will.qos, will.retain), ("gone", QOS1, false));
        let broken = world.connect(options.will("w", "broken"));
        broken.send_bytes(&[0x00]);
        assert_eq!(watcher.payloads(), ["broken"]);
    }
}

/// [MQTT-3.1.2-15], and of 3.1.1 [MQTT-3.1.2-17]
#[test]
fn a_retained_will_is_retained() {
    let world = World::new();
    world.connect(v311("a").will("w", "gone").with_will(|will| will.retain = true)).hang_up();
    let late = world.connect(v311("late"));
    late.subscribe("w", QOS1);
    let will = late.receive();
    assert_eq!((will.payload.as_str(), will.retain, will.qos), ("gone", true, QOS1));
}

/// [MQTT-3.1.2-10]
#[test]
fn a_will_is_published_once() {
    let world = World::new();
    let watcher = world.connect(v5("watcher"));
    watcher.subscribe("w", QOS0);
    world.connect(v5("a").kept().will("w", "gone")).hang_up();
    assert_eq!(watcher.payloads(), ["gone"]);
    world.connect(v5("a").kept()).hang_up();
    world.advance_s(7200);
    watcher.expect_nothing();
}

/// [MQTT-3.1.2-8] [MQTT-3.1.3-9]
#[test]
fn a_delayed_will_waits_for_its_delay_or_the_end_of_the_session() {
    let world = World::new();
    let watcher = world.connect(v5("watcher"));
    watcher.subscribe("w", QOS0);
    world.connect(v5("a").expiry(60).will("w", "delay").will_delay(20)).hang_up();
    world.connect(v5("b").expiry(10).will("w", "session").will_delay(20)).hang_up();
    world.connect(v5("c").will("w", "none kept").will_delay(20)).hang_up();
    assert_eq!(watcher.payloads(), ["none kept"]);
    world.advance_ms(9_999);
    watcher.expect_nothing();
    world.advance_ms(1);
    assert_eq!(watcher.payloads(), ["session"]);
    world.advance_ms(9_999);
    watcher.expect_nothing();
    world.advance_ms(1);
    assert_eq!(watcher.payloads(), ["delay"]);
}

/// [MQTT-3.1.3-9]
#[test]
fn a_client_that_comes_back_in_time_suppresses_its_will() {
    let world = World::new();
    let watcher = world.connect(v5("watcher"));
    watcher.subscribe("w", QOS0);
    let options = || v5("a").expiry(60).will("w", "gone").will_delay(20);
    world.connect(options()).hang_up();
    world.advance_s(19);
    let back = world.connect(options());
    world.advance_s(59);
    watcher.expect_nothing();
    back.hang_up();
    world.advance_s(20);
    assert_eq!(watcher.payloads(), ["gone"]);
}

/// The expiry of a will is counted from its publication. [MQTT-3.3.2-6]
#[test]
fn a_will_expires_after_it_was_published() {
    let world = World::new();
    let watcher = world.connect(v5("watcher").kept());
    watcher.subscribe("w", QOS1);
    let options = v5("a").expiry(600).will("w", "gone").will_delay(100);
    world.connect(options.with_will(|will| will.expiry_s = Some(10))).hang_up();
    world.advance_s(100);
    assert_eq!(watcher.receive_and_acknowledge().expiry_s, Some(10));
}

/// The broker was killed: the wills of the clients that it had lost with it, after their delay.
#[test]
fn wills_survive_a_crash_of_the_broker() {
    let world = World::new();
    let watch = || v5("watcher").kept();
    world.connect(watch()).subscribe("w", QOS1);
    world.connect(v5("a").kept().will("w", "at once"));
    world.connect(v5("b").kept().will("w", "delayed").will_delay(30));
    world.connect(v5("c").kept().will("w", "half over").will_delay(30)).hang_up();
    world.advance_s(10);
    world.crash_for_s(5);
    let watcher = world.connect(watch());
    assert_eq!(watcher.payloads(), ["at once"]);
    world.advance_s(14);
    watcher.expect_nothing();
    world.advance_s(1);
    assert_eq!(watcher.payloads(), ["half over"]);
    world.advance_s(15);
    assert_eq!(watcher.payloads(), ["delayed"]);
    world.crash();
    assert!(world.connect(watch()).payloads().is_empty());
}

/// Published while the message that caused it is routed: by a takeover, and to itself.
#[test]
fn a_will_may_go_to_the_session_that_leaves_it() {
    let world = World::new();
    let options = || v311("a").kept().will("w", "gone");
    world.connect(options()).subscribe("w", QOS1);
    let again = world.connect(options());
    assert_eq!(again.payloads(), ["gone"]);
    world.connect(v311("b").will("w", "x")).subscribe("w", QOS1);
    world.connect(v311("b"));
    assert_eq!(again.payloads(), ["x"]);
}
