//! QoS 2 in both directions, without crashes; those are in `recovery.rs`.

use crate::support::*;

/// Messages that waited at the gate did not count as under way, so a client that came back had
/// its whole queue put under way at once; with more than there are packet identifiers, the core
/// panicked. [MQTT-4.9.0-1]
#[test]
fn a_long_queue_of_qos2_messages_goes_through_the_window() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let away = world.connect(v311("away").kept());
    away.subscribe("t", QOS2);
    away.hang_up();
    for _ in 0..300 {
        publisher.publish_exactly_once("t", "x");
    }
    world.hold_commits();
    let back = world.dial(&v311("away").kept());
    world.commit();
    let put = |change: &Change| matches!(change, Change::InflightPut { .. });
    let under_way: usize = world
        .net()
        .pending
        .iter()
        .map(|batch| batch.changes.iter().filter(|c| put(c)).count())
        .sum();
    assert_eq!(under_way, 20);
    world.release_commits();
    assert!(back.expect_connack());
    assert_eq!(back.receive_all().len(), 300);
}
