//! The ends of sessions and messages whose time is over.

use crate::support::*;

/// A client that came back in the same turn in which its session expired, or right after a start,
/// found a session whose time was over. [MQTT-4.1.0-2]
#[test]
fn an_expired_session_is_not_found_although_its_timer_has_not_fired() {
    let world = World::new();
    world.connect(v5("a").expiry(10)).hang_up();
    world.sleep_without_timers_ms(10_000);
    assert!(!world.connect(v5("a").expiry(10)).session_present);
    world.crash_for_s(5);
    world.sleep_without_timers_ms(10_000);
    assert!(!world.connect(v5("a").expiry(10)).session_present);
}

/// The will of a client that came back after the delay, but before its timer, was never
/// published. [MQTT-3.1.2-8]
#[test]
fn a_will_whose_delay_is_over_is_published_although_its_timer_has_not_fired() {
    let world = World::new();
    let watcher = world.connect(v5("watcher"));
    watcher.subscribe("w", QOS0);
    world.connect(v5("a").expiry(60).will("w", "gone").will_delay(10)).hang_up();
    world.sleep_without_timers_ms(10_000);
    assert!(world.connect(v5("a").expiry(60)).session_present);
    assert_eq!(watcher.payloads(), ["gone"]);
}
