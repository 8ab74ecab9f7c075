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
