//! Keep alive, and the timers of connections in general.

use crate::support::*;

/// Each connection left its timers behind until they were due: for one that came and went with a
/// long keep alive, a long session expiry and a will delay, they piled up for days.
#[test]
fn a_client_that_comes_and_goes_leaves_no_timer_behind() {
    let world = World::new();
    let options = || v5("a").expiry(86_400).keep_alive(60_000).will("w", "x").will_delay(3600);
    for _ in 0..5 {
        world.connect(options()).hang_up();
        world.open().hang_up();
        world.advance_ms(10);
    }
    let last = world.connect(options().keep_alive(0));
    assert_eq!(world.poll_timeout(), None);
    last.disconnect();
    assert!(world.poll_timeout().is_some());
    assert!(!world.connect(v5("a")).session_present);
    assert_eq!(world.poll_timeout(), None);
}

/// [MQTT-3.1.2-22], and of 3.1.1 [MQTT-3.1.2-24]
#[test]
fn a_silent_client_is_dropped_after_one_and_a_half_times_its_keep_alive() {
    let world = World::new();
    let watcher = world.connect(v5("watcher"));
    watcher.subscribe("w", QOS0);
    for options in [v31("a"), v311("b"), v5("c")] {
        let client = world.connect(options.keep_alive(10).will("w", "lost"));
        world.advance_ms(14_999);
        client.expect_nothing();
        world.advance_ms(1);
        client.expect_disconnected(ReasonCode::KeepAliveTimeout);
        assert_eq!(watcher.payloads(), ["lost"]);
    }
}

/// [MQTT-3.12.4-1]
#[test]
fn any_packet_keeps_a_connection_alive() {
    let world = World::new();
    let client = world.connect(v311("a").keep_alive(10));
    for _ in 0..5 {
        world.advance_s(14);
        client.ping();
        client.look(|packet| assert_eq!(*packet, Packet::Pingresp));
        world.advance_s(14);
        client.publish_acknowledged("t", "x");
    }
}

/// [MQTT-3.2.2-22]
#[test]
fn without_keep_alive_a_client_may_be_silent_for_ever() {
    let world = World::new();
    let client = world.connect(v311("a"));
    world.advance_s(1_000_000);
    client.expect_nothing();
    assert_eq!(world.poll_timeout(), None);
}

#[test]
fn a_cap_on_the_keep_alive_holds_for_all() {
    let world = World::with_limits(Limits { keep_alive_s_max: 10, ..Limits::default() });
    for options in [v311("a"), v5("b"), v5("c").keep_alive(60)] {
        let client = world.connect(options);
        world.advance_s(15);
        client.expect_disconnected(ReasonCode::KeepAliveTimeout);
    }
}

/// The broker does not read it: then its silence is not its own.
#[test]
fn a_client_that_is_not_read_is_not_dropped_for_silence() {
    let limits = Limits { unacknowledged_inbound_max: 2, ..Limits::default() };
    let world = World::with_limits(limits);
    let client = world.connect(v311("a").kept().keep_alive(1));
    client.subscribe("t", QOS1);
    world.hold_commits();
    for _ in 0..4 {
        client.publish(QOS1, "t", "x");
    }
    world.advance_s(60);
    assert!(!client.is_closed());
    world.release_commits();
    world.advance_s(60);
    assert!(client.is_closed());
}
