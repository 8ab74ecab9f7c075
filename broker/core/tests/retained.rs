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
    for _ in 0..500 {
        slow.send_subscribe("t/#", QOS0, None, |_| {});
    }
    assert_eq!(world.metrics().queued_messages, 1024);
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

/// [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT-3.3.1-8], and of 3.1.1 [MQTT-3.3.1-5] to
/// [MQTT-3.3.1-12]
#[test]
fn the_last_retained_message_of_a_topic_is_kept() {
    let world = World::new();
    let live = world.connect(v311("live"));
    live.subscribe("t", QOS1);
    let publisher = world.connect(v311("publisher"));
    let found = |name: &str| {
        let client = world.connect(v311(name));
        client.subscribe("t", QOS2);
        let found: Vec<String> = client
            .receive_all()
            .into_iter()
            .map(|received| {
                assert!(received.retain && !received.dup);
                received.payload
            })
            .collect();
        client.disconnect();
        found
    };
    publisher.publish_retained(QOS1, "t", "1");
    assert_eq!(found("a"), ["1"]);
    publisher.publish_retained(QOS0, "t", "2");
    assert_eq!(found("b"), ["2"]);
    publisher.publish(QOS0, "t", "not retained");
    assert_eq!(found("c"), ["2"]);
    publisher.publish_retained(QOS0, "t", "");
    assert_eq!(found("d"), [""; 0]);
    assert_eq!(live.payloads(), ["1", "2", "not retained", ""]);
    assert_eq!(world.metrics().retained, 0);
}

/// [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] [MQTT-3.8.4-4]
#[test]
fn retain_handling_says_when_retained_messages_come() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    publisher.publish_retained(QOS0, "t", "x");
    let again = |client: &Client, handling| {
        client.subscribe_with("t", QOS0, |options| options.retain_handling = handling);
        client.payloads().len()
    };
    let client = world.connect(v5("a"));
    assert_eq!(again(&client, RetainHandling::DoNotSend), 0);
    assert_eq!(again(&client, RetainHandling::SendIfNew), 0);
    assert_eq!(again(&client, RetainHandling::Send), 1);
    assert_eq!(again(&client, RetainHandling::Send), 1);
    client.unsubscribe("t");
    assert_eq!(again(&client, RetainHandling::SendIfNew), 1);
    let old = world.connect(v311("b"));
    old.subscribe("t", QOS0);
    assert_eq!(old.payloads(), ["x"]);
    old.subscribe("t", QOS0);
    assert_eq!(old.payloads(), ["x"]);
}

/// [MQTT-3.8.4-8], and the identifier of the subscription comes with it.
#[test]
fn a_retained_message_comes_with_the_smaller_qos_and_the_identifier() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    publisher.publish_retained(QOS1, "t/1", "x");
    publisher.publish_retained(QOS0, "t/2", "x");
    let client = world.connect(v5("a"));
    client.subscribe_identified("t/+", QOS2, 5);
    let received = client.receive_all();
    assert_eq!(received.iter().map(|r| r.qos).collect::<Vec<_>>(), [QOS1, QOS0]);
    assert!(received.iter().all(|r| r.identifiers == [5] && r.retain));
}

/// [MQTT-3.1.2-7 of 3.1.1]: they outlive sessions, and the broker.
#[test]
fn retained_messages_survive_a_crash() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    for n in 0..5 {
        publisher.publish_retained(QOS1, &format!("t/{n}"), "x");
    }
    publisher.publish_retained(QOS1, "t/2", "");
    publisher.publish_retained(QOS1, "t/3", "y");
    world.crash();
    let client = world.connect(v311("a"));
    client.subscribe("#", QOS0);
    assert_eq!(client.payloads(), ["x", "x", "y", "x"]);
}

/// Paced to a slow client, complete, and nothing newer is overtaken.
#[test]
fn five_thousand_retained_topics_reach_a_slow_client_in_order() {
    let world = World::with_limits(Limits { send_buffer_bytes_max: 2000, ..Limits::default() });
    let publisher = world.connect(v311("publisher"));
    for n in 0..5000 {
        publisher.publish_retained(QOS0, &format!("t/{n:04}"), "old");
    }
    for qos in [QOS0, QOS1] {
        let slow = world.connect(v5("slow"));
        slow.stall();
        slow.send_subscribe("t/#", qos, None, |_| {});
        let (mut steps, mut received) = (0, Vec::new());
        while world.metrics().queued_messages > 0 {
            slow.read(2500);
            received.extend(slow.receive_all());
            steps += 1;
            if steps % 3 == 0 {
                let topic = format!("t/{:04}", (steps * 7) % 5000);
                publisher.publish(QOS0, &topic, &format!("new {steps}"));
                publisher.publish(QOS1, &topic, &format!("new {steps}"));
            }
        }
        slow.go_on_reading();
        received.extend(slow.receive_all());
        let is_new = |received: &&Received| received.payload.starts_with("new");
        assert_eq!(received.iter().filter(|r| !is_new(r)).count(), 5000);
        assert!(received.iter().filter(is_new).count() > 20);
        for newer in received.iter().enumerate().filter(|(_, r)| r.payload.starts_with("new")) {
            let mut after = received[newer.0..].iter();
            assert!(!after.any(|r| r.topic == newer.1.topic && r.payload == "old"));
        }
        slow.disconnect();
    }
    assert_eq!(world.metrics().drops.slow_qos0, 0);
}

#[test]
fn past_the_limit_a_new_topic_is_delivered_but_not_retained() {
    let world = World::with_limits(Limits { retained_messages_max: 2, ..Limits::default() });
    let client = world.connect(v311("a"));
    client.subscribe("#", QOS0);
    for (topic, payload) in [("a", "1"), ("b", "1"), ("c", "1"), ("a", "2")] {
        client.publish_retained(QOS0, topic, payload);
    }
    assert_eq!(client.payloads().len(), 4);
    assert_eq!(world.metrics().drops.retained_full, 1);
    client.subscribe("#", QOS0);
    assert_eq!(client.payloads(), ["2", "1"]);
}
