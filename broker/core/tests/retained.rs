//! Retained messages: what is kept, and what a new subscription gets of it.

use crate::support::*;

fn small_buffers() -> World {
    World::with_limits(Limits { send_buffer_bytes_max: 100, ..Limits::default() })
}

/// The count of replays that wait was not reduced when the connection ended, so that QoS 0
/// waited for ever behind nothing.
#[test]
fn qos0_flows_again_after_a_replay_was_cut_off() {
    let world = small_buffers();
    let publisher = world.connect(v311("publisher"));
    for n in 0..20 {
        publisher.publish_retained(QOS0, &format!("t/{n}"), "0123456789");
    }
    let slow = world.connect(v311("slow").kept());
    slow.stall();
    slow.send_subscribe("t/#", QOS0, None, |_| {});
    slow.hang_up();
    let back = world.connect(v311("slow").kept());
    publisher.publish(QOS0, "t/0", "live");
    assert_eq!(back.payloads(), ["live"]);
}

/// When the last replay had left the queue, a new QoS 0 message went out before those that had
/// been held back behind it.
#[test]
fn what_was_held_back_behind_a_replay_is_not_overtaken_afterwards() {
    let world = small_buffers();
    let publisher = world.connect(v311("publisher"));
    publisher.publish_retained(QOS0, "t/a", &"r".repeat(90));
    publisher.publish_retained(QOS0, "t/b", &"r".repeat(90));
    let slow = world.connect(v311("slow"));
    slow.stall();
    slow.send_subscribe("t/#", QOS0, None, |_| {});
    for n in 0..4 {
        publisher.publish(QOS0, "t/a", &format!("{n}{}", "x".repeat(90)));
    }
    // Each time a part of the buffer is written, and there is room again.
    for n in 4..40 {
        slow.read(60);
        publisher.publish(QOS0, "t/a", &format!("{n}{}", "x".repeat(90)));
    }
    slow.go_on_reading();
    assert_eq!(slow.expect_suback(), [0]);
    let live: Vec<u32> = slow
        .receive_all()
        .iter()
        .filter(|received| !received.retain)
        .map(|received| received.payload.trim_end_matches('x').parse().unwrap())
        .collect();
    assert!(live.len() > 4 && live.is_sorted(), "{live:?}");
}
