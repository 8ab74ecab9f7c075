//! Crashes: what was acknowledged survives, and nothing arrives twice that may not.

use crate::support::*;

/// After a restart a new session got the number of one that had ended. Messages of the log that
/// still waited for others named that number, and after another restart the new client got them.
#[test]
fn a_new_session_does_not_inherit_the_messages_of_one_that_ended() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let away = world.connect(v311("away").kept());
    away.subscribe("secret", QOS1);
    away.hang_up();
    let gone = world.connect(v311("gone").kept());
    gone.subscribe("secret", QOS1);
    gone.hang_up();
    publisher.publish_acknowledged("secret", "not for strangers");
    world.connect(v311("gone").clean()).disconnect();
    world.crash();
    world.connect(v311("stranger").kept());
    world.crash();
    let stranger = world.connect(v311("stranger").kept());
    assert!(stranger.session_present);
    stranger.expect_nothing();
    assert_eq!(world.connect(v311("away").kept()).payloads(), ["not for strangers"]);
}

/// One publisher and one subscriber, both by the book, and a crash after `crash_at` steps.
/// Answers the payloads of the subscriber, and whether the crash came before the end.
fn exchange(qos: QoS, version: Version, crash_at: usize, seed: u64) -> (Vec<String>, bool) {
    let world = World::new();
    let mut chance = Chance(seed);
    let options = |name| Options { version, ..v311(name) }.kept();
    let mut subscriber = Device::new(&world, options("subscriber"), &[("t", qos)]);
    while !subscriber.is_subscribed() {
        subscriber.step();
    }
    let mut publisher = Device::new(&world, options("publisher"), &[]);
    for n in 0..3 {
        publisher.to_publish.push_back((qos, "t".to_owned(), n.to_string()));
    }
    subscriber.reads_on_after_loss = seed.is_multiple_of(2);
    publisher.reads_on_after_loss = seed % 4 < 2;
    world.hold_commits();
    let (mut steps, mut idle, mut crashed) = (0, 0, false);
    while idle < 30 {
        if steps == crash_at {
            world.crash();
            crashed = true;
        }
        let acted = match chance.below(3) {
            0 => publisher.step(),
            1 => subscriber.step(),
            _ => world.commit_one(),
        };
        steps += usize::from(acted);
        idle = if acted { 0 } else { idle + 1 };
    }
    assert_eq!(publisher.acknowledged.len(), 3, "crash at {crash_at}, seed {seed}");
    assert_eq!(world.metrics().queued_messages, 0);
    let payloads = subscriber.payloads().iter().map(|payload| (*payload).to_owned()).collect();
    (payloads, crashed)
}

/// [MQTT-4.3.3-10] [MQTT-4.4.0-1], with the broker killed at every point of the exchange, in both
/// directions, and everything lost that was not committed.
#[test]
fn qos2_arrives_exactly_once_whenever_the_broker_is_killed() {
    for seed in 0..40 {
        let version = if seed % 3 == 0 { Version::V5 } else { Version::V311 };
        let mut crash_at = 0;
        loop {
            let (payloads, crashed) = exchange(QOS2, version, crash_at, seed);
            assert_eq!(payloads, ["0", "1", "2"], "crash at {crash_at}, seed {seed}");
            if !crashed {
                break;
            }
            crash_at += 1;
        }
        assert!(crash_at > 20, "the exchange has more steps than {crash_at}");
    }
}

/// [MQTT-4.3.2-4], with the broker killed at every point.
#[test]
fn qos1_arrives_at_least_once_and_in_order_whenever_the_broker_is_killed() {
    for seed in 0..40 {
        let mut crash_at = 0;
        loop {
            let (payloads, crashed) = exchange(QOS1, Version::V5, crash_at, seed);
            let mut first: Vec<&str> = Vec::new();
            payloads.iter().for_each(|p| {
                if !first.contains(&p.as_str()) {
                    first.push(p)
                }
            });
            assert_eq!(first, ["0", "1", "2"], "crash at {crash_at}, seed {seed}");
            if !crashed {
                assert_eq!(payloads.len(), 3);
                break;
            }
            crash_at += 1;
        }
    }
}

/// A message for nobody that is kept takes a position that is never written. The cursor of a
/// session stood behind it; after a crash the position was given again, and the next crash lost
/// that message, which had been acknowledged.
#[test]
fn a_position_that_a_cursor_has_passed_is_not_given_again() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let kept = world.connect(v311("kept").kept());
    kept.subscribe("t", QOS1);
    let unkept = world.connect(v311("unkept"));
    unkept.subscribe("u", QOS1);
    publisher.publish_acknowledged("t", "1");
    assert_eq!(kept.receive().payload, "1");
    for _ in 0..3 {
        publisher.publish_acknowledged("u", "takes a position");
    }
    kept.puback(1);
    world.crash();
    let publisher = world.connect(v311("publisher"));
    publisher.publish_acknowledged("t", "2");
    world.crash();
    assert_eq!(world.connect(v311("kept").kept()).payloads(), ["2"]);
}

/// What was acknowledged survives: session, subscription, queue, exchange, retained message.
#[test]
fn everything_that_was_acknowledged_survives_a_crash() {
    let world = World::new();
    let publisher = world.connect(v5("publisher").kept());
    let away = world.connect(v311("away").kept());
    away.subscribe("t", QOS2);
    away.hang_up();
    for n in 0..30 {
        publisher.publish_acknowledged_at(
            if n % 2 == 0 { QOS1 } else { QOS2 },
            "t",
            &n.to_string(),
        );
    }
    let open = publisher.publish(QOS2, "t", "open");
    publisher.expect(PacketKind::Pubrec, open);
    world.crash();
    let publisher = world.connect(v5("publisher").kept());
    assert!(publisher.session_present);
    publisher.publish_with(QOS2, "t", "open", |publish| {
        publish.dup = true;
        publish.packet_id = PacketId::new(open);
    });
    publisher.expect(PacketKind::Pubrec, open);
    publisher.pubrel(open);
    publisher.expect(PacketKind::Pubcomp, open);
    let away = world.connect(v311("away").kept());
    // QoS 2 waits for its identifier to be durable, so the order holds for each QoS alone.
    let mut payloads = away.payloads();
    payloads.sort_by_key(|payload| payload.parse::<u32>().unwrap_or(u32::MAX));
    let mut expected: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    expected.push("open".to_owned());
    assert_eq!(payloads, expected);
    world.crash();
    world.connect(v311("away").kept()).expect_nothing();
}

/// [MQTT-4.4.0-1]: also when the broker is another process by then.
#[test]
fn deliveries_go_on_with_their_identifiers_after_a_crash() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let options = || v5("a").kept().receive_max(4);
    let client = world.connect(options());
    client.subscribe("t", QOS2);
    for n in 0..6 {
        publisher.publish_acknowledged_at(
            if n % 2 == 0 { QOS1 } else { QOS2 },
            "t",
            &n.to_string(),
        );
    }
    let sent: Vec<Received> = (0..4).map(|_| client.receive()).collect();
    client.puback(sent[2].id);
    assert_eq!(client.receive().payload, "4");
    world.crash();
    let client = world.connect(options());
    for expected in [&sent[0], &sent[1], &sent[3]] {
        assert_eq!(client.receive(), Received { dup: true, ..expected.clone() });
    }
    assert_eq!(client.receive().payload, "4");
    client.puback(sent[0].id);
    assert_eq!(client.receive().payload, "5");
}

/// A crash in the middle of a replay: QoS 1 and 2 go on, and a cursor behind unlogged entries of
/// the queue is right.
#[test]
fn a_cursor_is_right_with_a_qos0_replay_in_front() {
    let world = World::with_limits(Limits { send_buffer_bytes_max: 50, ..Limits::default() });
    let publisher = world.connect(v311("publisher"));
    for n in 0..10 {
        publisher.publish_retained(QOS0, &format!("r/{n}"), "0123456789");
    }
    let slow = world.connect(v5("slow").kept());
    slow.subscribe("live", QOS1);
    slow.stall();
    slow.send_subscribe("r/#", QOS0, None, |_| {});
    publisher.publish_acknowledged("live", "1");
    publisher.publish_acknowledged("live", "2");
    world.crash();
    assert_eq!(world.connect(v5("slow").kept()).payloads(), ["1", "2"]);
    assert_eq!(world.metrics().queued_messages, 0);
}

/// The log keeps what one session still needs, and lets go of the rest.
#[test]
fn the_log_is_trimmed_when_nobody_needs_it() {
    in_one_shard();
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let online = world.connect(v311("online").kept());
    let away = world.connect(v311("away").kept());
    online.subscribe("t", QOS1);
    away.subscribe("t", QOS1);
    away.hang_up();
    for n in 0..5 {
        publisher.publish_acknowledged("t", &n.to_string());
    }
    assert_eq!(online.payloads().len(), 5);
    assert_eq!(world.net().store.log.len(), 5);
    assert_eq!(world.connect(v311("away").kept()).payloads().len(), 5);
    assert!(world.net().store.log.is_empty());
}
