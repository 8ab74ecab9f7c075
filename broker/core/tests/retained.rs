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

/// The bounds of the queue cut a replay short, and a replay took the room of live messages.
#[test]
fn a_replay_is_complete_whatever_the_bounds_of_the_queue() {
    for queue_full in [QueueFull::DropNew, QueueFull::DropOld, QueueFull::Disconnect] {
        let limits = Limits {
            send_buffer_bytes_max: 1000,
            queued_messages_max: 5,
            queued_bytes_max: 500,
            queued_memory_max: 2000,
            queue_full,
            ..Limits::default()
        };
        let world = World::with_limits(limits);
        let publisher = world.connect(v311("publisher"));
        for n in 0..200 {
            publisher.publish_retained(QOS1, &format!("t/{n:03}"), "0123456789");
            publisher.expect(PacketKind::Puback, n + 1);
        }
        for qos in [QOS0, QOS1, QOS2] {
            let slow = world.connect(v311("slow").kept());
            slow.stall();
            slow.send_subscribe("t/#", qos, None, |_| {});
            publisher.publish(QOS1, "t/000", "live");
            slow.go_on_reading();
            let received = slow.receive_all();
            assert_eq!(received.len(), 201, "{queue_full:?} {qos:?}");
            assert!(received[..200].iter().all(|one| one.retain));
            assert_eq!(received[200].payload, "live");
            slow.disconnect();
            world.connect(v311("slow")).disconnect();
        }
        assert_eq!(world.metrics().queued_messages, 0);
    }
}

/// Asking for the same again and again without reading fills no memory.
#[test]
fn replays_to_a_client_that_does_not_read_are_bounded() {
    let world = small_buffers();
    let publisher = world.connect(v311("publisher"));
    for n in 0..10 {
        publisher.publish_retained(QOS0, &format!("t/{n}"), "0123456789");
    }
    let slow = world.connect(v311("slow"));
    slow.stall();
    for _ in 0..50 {
        slow.send_subscribe("t/#", QOS0, None, |_| {});
    }
    assert!(world.metrics().queued_messages <= 40);
}

/// Its row stayed in the store for ever.
#[test]
fn an_expired_retained_message_is_removed_from_the_store_at_the_next_start() {
    let world = World::new();
    let publisher = world.connect(v5("publisher"));
    publisher.publish_with(QOS0, "t", "x", |publish| {
        publish.retain = true;
        publish.properties.message_expiry_interval_s = Some(10);
    });
    assert_eq!(world.net().store.retained.len(), 1);
    world.crash_for_s(11);
    assert_eq!(world.net().store.retained.len(), 0);
}
