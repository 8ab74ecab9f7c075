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

fn publish_expiring(client: &Client, topic: &str, seconds: u32) {
    let id = client.next_id();
    client.publish_with(QOS1, topic, "x", |publish| {
        publish.packet_id = PacketId::new(id);
        publish.properties.message_expiry_interval_s = Some(seconds);
    });
    client.expect(PacketKind::Puback, id);
}

/// [MQTT-3.3.2-5] [MQTT-3.3.2-6]
#[test]
fn a_message_that_waits_keeps_its_age() {
    let world = World::new();
    let publisher = world.connect(v5("publisher"));
    let options = || v5("a").expiry(u32::MAX);
    world.connect(options()).subscribe("t", QOS1);
    world.connect(options()).hang_up();
    publish_expiring(&publisher, "t", 10);
    publish_expiring(&publisher, "t", 100);
    world.advance_s(4);
    world.crash_for_s(6);
    let client = world.connect(options());
    assert_eq!(client.receive_and_acknowledge().expiry_s, Some(90));
    client.expect_nothing();
    assert_eq!(world.metrics().drops.expired, 1);
    assert_eq!(world.metrics().queued_messages, 0);
}

/// [MQTT-3.3.2-6]
#[test]
fn a_retained_message_keeps_its_age() {
    let world = World::new();
    let publisher = world.connect(v5("publisher"));
    publisher.publish_with(QOS0, "t", "x", |publish| {
        publish.retain = true;
        publish.properties.message_expiry_interval_s = Some(10);
    });
    world.advance_s(3);
    world.crash_for_s(3);
    let client = world.connect(v5("a"));
    client.subscribe("t", QOS0);
    assert_eq!(client.receive().expiry_s, Some(4));
    world.advance_s(4);
    client.subscribe("t", QOS0);
    client.expect_nothing();
}

/// One that nobody asks for kept its place until the next start.
#[test]
fn a_retained_message_leaves_when_its_time_is_over() {
    let world = World::new();
    let publisher = world.connect(v5("publisher"));
    let publish = |topic: &str, seconds| {
        publisher.publish_with(QOS0, topic, "x", |publish| {
            publish.retain = true;
            publish.properties.message_expiry_interval_s = seconds;
        });
    };
    (0..300).for_each(|number| publish(&format!("many/{number}"), Some(10)));
    publish("later", Some(60));
    publish("replaced", Some(10));
    publish("replaced", None);
    let left = || (world.metrics().retained, world.net().store.retained.len());
    assert_eq!(left(), (302, 302));
    world.advance_s(9);
    assert_eq!(left(), (302, 302));
    world.advance_s(1);
    assert_eq!(left(), (2, 2));
    world.crash_for_s(1);
    world.advance_s(60);
    assert_eq!(left(), (1, 1));
}

#[test]
fn a_message_that_goes_out_at_once_keeps_its_whole_expiry() {
    let world = World::new();
    let publisher = world.connect(v5("publisher"));
    let client = world.connect(v5("a"));
    client.subscribe("t", QOS1);
    publish_expiring(&publisher, "t", 10);
    assert_eq!(client.receive().expiry_s, Some(10));
}

/// [MQTT-3.1.2-23] [MQTT-4.1.0-2]
#[test]
fn a_session_ends_when_its_time_is_over_and_not_before() {
    let world = World::new();
    world.connect(v5("a").expiry(10)).hang_up();
    world.advance_ms(9_999);
    let back = world.connect(v5("a").expiry(10));
    assert!(back.session_present);
    world.advance_s(100);
    back.disconnect();
    world.advance_ms(10_000);
    assert_eq!(world.metrics().sessions, 0);
    assert!(world.net().store.sessions.is_empty());
    assert!(!world.connect(v5("a").expiry(10)).session_present);
}

/// With the time that remains, not with all of it again.
#[test]
fn a_session_expires_over_a_restart() {
    let world = World::new();
    world.connect(v5("left").expiry(20)).hang_up();
    world.connect(v5("over").expiry(10)).hang_up();
    world.connect(v5("connected").expiry(20));
    world.connect(v5("unkept"));
    world.connect(v311("for ever").kept()).hang_up();
    world.advance_s(5);
    world.crash_for_s(6);
    world.advance_ms(0);
    assert_eq!(world.metrics().sessions, 3);
    world.advance_ms(8_999);
    assert_eq!(world.metrics().sessions, 3);
    world.advance_ms(1);
    assert_eq!(world.metrics().sessions, 2);
    world.advance_s(11);
    assert_eq!(world.metrics().sessions, 1, "what was connected is gone since the crash");
    world.advance_s(13 * 24 * 3600);
    assert_eq!(world.metrics().sessions, 1);
    world.advance_s(24 * 3600);
    assert_eq!(world.metrics().sessions, 0, "the cap of the configuration");
    assert_eq!(world.poll_timeout(), None);
    assert!(world.net().store.sessions.is_empty());
}

/// Nobody has to come for that: the room is free again when the time is over.
#[test]
fn messages_that_expire_while_their_session_is_away_free_their_room() {
    in_one_shard();
    for is_on_disk in [false, true] {
        let eased_at = if is_on_disk { 0 } else { 32_000_000 };
        let limits = Limits { queued_memory_eased_at: eased_at, ..Limits::default() };
        let world = World::with_limits(limits);
        let publisher = world.connect(v5("publisher"));
        let options = || v5("a").expiry(u32::MAX);
        world.connect(options()).subscribe("t/#", QOS1);
        world.connect(options()).hang_up();
        for (topic, seconds) in [("t/1", 10), ("t/2", 3600), ("t/3", 10), ("t/4", 200)] {
            publish_expiring(&publisher, topic, seconds);
        }
        publisher.publish_acknowledged("t/5", "x");
        let left = || (world.metrics().queued_messages, world.metrics().drops.expired);
        world.advance_s(9);
        assert_eq!(left(), (5, 0));
        world.advance_s(31);
        assert_eq!(left(), (3, 2));
        assert_eq!(world.net().store.log.len(), 3, "those that wait");
        world.crash_for_s(300);
        world.advance_s(0);
        assert_eq!(left(), (2, 1), "what expired while the process was not there");
        let client = world.connect(options());
        let topics: Vec<String> = client.receive_all().into_iter().map(|m| m.topic).collect();
        assert_eq!(topics, ["t/2", "t/5"]);
        assert_eq!((world.metrics().queued_messages, world.poll_timeout()), (0, None));
    }
}

/// Once it was sent it does not expire any more. [MQTT-4.3.3-7]
#[test]
fn a_message_under_way_does_not_expire_while_its_client_is_away() {
    let world = World::new();
    let publisher = world.connect(v5("publisher"));
    let options = || v5("a").expiry(u32::MAX).receive_max(1);
    let client = world.connect(options());
    client.subscribe("t", QOS1);
    publish_expiring(&publisher, "t", 10);
    publish_expiring(&publisher, "t", 10);
    client.receive();
    client.hang_up();
    world.advance_s(60);
    assert_eq!(world.metrics().queued_messages, 1);
    let client = world.connect(options());
    assert!(client.receive_and_acknowledge().dup);
    client.expect_nothing();
}

/// Each gets a letter of its own, also when nobody comes.
#[test]
fn a_message_that_expires_while_it_waits_becomes_a_dead_letter() {
    let world =
        World::with_limits(Limits { dead_letter: Some("$dead".into()), ..Limits::default() });
    let publisher = world.connect(v5("publisher"));
    let watcher = world.connect(v5("watcher"));
    watcher.subscribe("$dead/#", QOS0);
    for name in ["a", "b"] {
        let client = world.connect(v5(name).expiry(u32::MAX));
        client.subscribe("t", QOS1);
        client.hang_up();
    }
    publish_expiring(&publisher, "t", 10);
    world.advance_s(60);
    let topics: Vec<String> = watcher.receive_all().into_iter().map(|m| m.topic).collect();
    assert_eq!(topics, ["$dead/a/t", "$dead/b/t"]);
    assert!(world.net().store.log.is_empty());
}
