//! Nothing is acknowledged before it is durable.

use crate::support::*;

fn narrow() -> World {
    World::with_limits(Limits { unacknowledged_inbound_max: 4, ..Limits::default() })
}

/// QoS 2 messages that their sender had not released counted as unacknowledged, so a client with
/// many of them was not read any more, and its PUBRELs neither: both waited for ever.
#[test]
fn a_client_with_many_unreleased_qos2_messages_is_still_read() {
    let world = narrow();
    let client = world.connect(v311("a").kept());
    for id in 1..=10 {
        assert_eq!(client.publish(QOS2, "t", "x"), id);
        client.expect(PacketKind::Pubrec, id);
    }
    for id in 1..=10 {
        client.pubrel(id);
        client.expect(PacketKind::Pubcomp, id);
    }
}

/// Back-pressure for clients without a receive maximum: they are not read while too many answers
/// wait for a commit, and nothing is lost by that.
#[test]
fn a_client_with_many_answers_at_the_gate_is_read_again_after_the_commit() {
    for options in [v311("a").kept(), v31("a").kept(), v5("a").kept()] {
        let world = narrow();
        let reader = world.connect(v311("reader").kept());
        reader.subscribe("t", QOS1);
        let client = world.connect(options);
        world.hold_commits();
        for n in 0..10 {
            client.publish(QOS1, "t", &n.to_string());
        }
        assert!(client.is_paused());
        assert_eq!(world.gated(), 4);
        client.expect_nothing();
        world.release_commits();
        assert!(!client.is_paused());
        for id in 1..=10 {
            client.expect(PacketKind::Puback, id);
        }
        let expected: Vec<String> = (0..10).map(|n| n.to_string()).collect();
        assert_eq!(reader.payloads(), expected);
    }
}

/// Only PUBLISH had a brake; a client could queue any number of SUBACKs before a slow commit.
#[test]
fn subscribing_without_end_meets_the_brake_too() {
    in_one_shard();
    let world = narrow();
    let client = world.connect(v5("a").kept());
    world.hold_commits();
    for n in 0..10 {
        client.send_subscribe(&format!("t/{n}"), QOS0, None, |_| {});
    }
    assert!(client.is_paused());
    assert_eq!(world.gated(), 4);
    world.release_commits();
    for _ in 0..10 {
        assert_eq!(client.expect_suback(), [0]);
    }
}

/// Whatever a client sent behind a CONNECT that waited for the store was kept without a bound.
#[test]
fn bytes_behind_connect_wait_and_are_not_read_on() {
    let world = World::new();
    world.hold_commits();
    let client = world.dial(&v311("a").kept());
    assert!(!client.is_paused());
    client.publish(QOS1, "t", "1");
    assert!(client.is_paused());
    client.publish(QOS1, "t", "2");
    client.expect_nothing();
    world.release_commits();
    assert!(!client.expect_connack());
    client.expect(PacketKind::Puback, 1);
    client.expect(PacketKind::Puback, 2);
    assert!(!client.is_paused());
}

/// UNSUBACK for a filter that had just been given up came at once, before that was durable: after
/// a crash the subscription that "did not exist" was there. [MQTT-3.10.4-5]
#[test]
fn unsubscribing_again_is_answered_after_the_first_time() {
    let world = World::new();
    let client = world.connect(v5("a").kept());
    client.subscribe("t", QOS1);
    world.hold_commits();
    let first = client.send_unsubscribe("t");
    let second = client.send_unsubscribe("t");
    client.expect_nothing();
    world.commit();
    assert_eq!(client.expect_reason(PacketKind::Unsuback, first), ReasonCode::Success);
    let none = ReasonCode::NoSubscriptionExisted;
    assert_eq!(client.expect_reason(PacketKind::Unsuback, second), none);
}

/// Clearing a retained message a second time was acknowledged although the first time was not
/// durable: after a crash the message was there again.
#[test]
fn clearing_a_retained_message_again_waits_for_the_first_time() {
    in_one_shard();
    let world = World::new();
    let client = world.connect(v5("a"));
    client.publish_retained(QOS1, "t", "x");
    client.expect(PacketKind::Puback, 1);
    world.hold_commits();
    client.publish_retained(QOS0, "t", "");
    client.publish_retained(QOS1, "t", "");
    client.expect_nothing();
    world.commit();
    client.expect(PacketKind::Puback, 2);
    world.crash();
    let fresh = world.connect(v5("b"));
    fresh.subscribe("t", QOS0);
    fresh.expect_nothing();
}

/// [MQTT-3.2.0-1]
#[test]
fn connack_of_a_kept_session_waits_for_its_commit() {
    for options in [v31("a"), v311("a"), v5("a")] {
        let world = World::new();
        world.hold_commits();
        world.connect(options.clone());
        let kept = world.dial(&options.kept());
        kept.expect_nothing();
        world.commit();
        assert!(!kept.expect_connack());
    }
}

#[test]
fn suback_and_unsuback_of_a_kept_session_wait_for_their_commit() {
    in_one_shard();
    let world = World::new();
    let kept = world.connect(v311("kept").kept());
    let unkept = world.connect(v311("unkept"));
    world.hold_commits();
    unkept.subscribe("t", QOS1);
    unkept.unsubscribe("t");
    kept.send_subscribe("t", QOS1, None, |_| {});
    kept.expect_nothing();
    world.commit();
    assert_eq!(kept.expect_suback(), [1]);
    let id = kept.send_unsubscribe("t");
    kept.expect_nothing();
    world.commit();
    kept.expect(PacketKind::Unsuback, id);
}

#[test]
fn every_step_of_a_qos2_exchange_waits_for_its_commit() {
    let world = World::new();
    let publisher = world.connect(v311("publisher").kept());
    let subscriber = world.connect(v311("subscriber").kept());
    subscriber.subscribe("t", QOS2);
    world.hold_commits();
    publisher.publish(QOS2, "t", "x");
    publisher.expect_nothing();
    subscriber.expect_nothing();
    world.commit();
    publisher.expect(PacketKind::Pubrec, 1);
    let id = subscriber.receive().id;
    publisher.pubrel(1);
    subscriber.pubrec(id);
    publisher.expect_nothing();
    subscriber.expect_nothing();
    world.commit();
    publisher.expect(PacketKind::Pubcomp, 1);
    subscriber.expect(PacketKind::Pubrel, id);
}

/// QoS 1 is not held up by the disk, but its acknowledgement is.
#[test]
fn qos1_reaches_subscribers_before_the_commit_and_puback_comes_after() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let subscriber = world.connect(v311("subscriber").kept());
    subscriber.subscribe("t", QOS1);
    world.hold_commits();
    publisher.publish(QOS1, "t", "x");
    assert_eq!(subscriber.payloads(), ["x"]);
    publisher.expect_nothing();
    world.commit_one();
    publisher.expect(PacketKind::Puback, 1);
}

#[test]
fn a_retained_message_is_acknowledged_when_it_is_durable() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    world.hold_commits();
    publisher.publish_retained(QOS1, "t", "x");
    publisher.expect_nothing();
    world.commit();
    publisher.expect(PacketKind::Puback, 1);
}

/// All packets of a turn form one batch, and its commit releases them together.
#[test]
fn a_turn_is_one_batch() {
    in_one_shard();
    let world = World::new();
    let publishers: Vec<Client> = (0..5).map(|n| world.connect(v311(&format!("p{n}")))).collect();
    let away = world.connect(v311("away").kept());
    away.subscribe("t", QOS1);
    world.hold_commits();
    world.in_one_turn(|| {
        for publisher in &publishers {
            publisher.publish(QOS1, "t", "x");
        }
    });
    assert_eq!(world.net().pending.len(), 1);
    world.commit_one();
    for publisher in &publishers {
        publisher.expect(PacketKind::Puback, 1);
    }
}

/// A delivery or an answer whose client is gone by then goes nowhere.
#[test]
fn what_waits_for_a_session_that_ended_is_forgotten() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let subscriber = world.connect(v5("subscriber").kept());
    subscriber.subscribe("t", QOS2);
    world.hold_commits();
    publisher.publish(QOS2, "t", "x");
    let clean = world.dial(&v5("subscriber").kept().clean());
    world.release_commits();
    assert!(!clean.expect_connack());
    clean.expect_nothing();
    assert_eq!(world.metrics().queued_messages, 0);
    assert_eq!(world.gated(), 0);
}

/// The delivery waits at the gate while its client reconnects.
#[test]
fn a_gated_delivery_goes_to_the_new_connection() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let first = world.connect(v5("a").kept());
    first.subscribe("t", QOS2);
    world.hold_commits();
    publisher.publish(QOS2, "t", "x");
    first.hang_up();
    let second = world.dial(&v5("a").kept());
    world.release_commits();
    assert!(second.expect_connack());
    let received = second.receive_and_acknowledge();
    assert_eq!((received.payload.as_str(), received.dup), ("x", false));
    second.expect_nothing();
}
