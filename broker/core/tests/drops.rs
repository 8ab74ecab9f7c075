//! Messages that do not reach somebody: counted by reason, in all and for each client, and told
//! once for each episode.

use crate::support::*;

fn only(reason: DropReason, count: u64) -> Drops {
    let mut drops = Drops::default();
    *match reason {
        DropReason::Acl => &mut drops.acl,
        DropReason::DiskFull => &mut drops.disk_full,
        DropReason::Expired => &mut drops.expired,
        DropReason::QueueFull => &mut drops.queue_full,
        DropReason::Refused => &mut drops.refused,
        DropReason::RetainedFull => &mut drops.retained_full,
        DropReason::SlowQos0 => &mut drops.slow_qos0,
        DropReason::TooLarge => &mut drops.too_large,
        DropReason::Unreadable => &mut drops.unreadable,
    } = count;
    drops
}

/// Three messages are dropped for one client; nobody else has lost anything.
#[track_caller]
fn expect(world: &World, client_id: &str, reason: DropReason) {
    assert_eq!(world.metrics().drops, only(reason, 3));
    assert_eq!(world.drops_of(client_id), only(reason, 3));
    assert_eq!(world.take_drop_notices(), [(client_id.to_owned(), reason)]);
    assert_eq!(world.drops_of("other"), Drops::default());
}

fn world(limits: Limits) -> (World, Client) {
    let world = World::with_limits(limits);
    let other = world.connect(v5("other"));
    (world, other)
}

#[test]
fn a_full_queue_is_counted_for_its_client_and_told_once() {
    let limits = || Limits { queued_messages_max: 2, ..Limits::default() };
    for queue_full in [QueueFull::DropNew, QueueFull::DropOld] {
        let (world, other) = world(Limits { queue_full, ..limits() });
        let away = world.connect(v5("away").kept());
        away.subscribe("t", QOS1);
        away.hang_up();
        for _ in 0..5 {
            other.publish_acknowledged("t", "x");
        }
        expect(&world, "away", DropReason::QueueFull);
    }
}

#[test]
fn a_client_that_reads_too_slowly_is_counted_and_told_once() {
    let (world, other) = world(Limits { send_buffer_bytes_max: 20, ..Limits::default() });
    let slow = world.connect(v5("slow"));
    slow.subscribe("t", QOS0);
    slow.stall();
    for _ in 0..5 {
        other.publish(QOS0, "t", "0123456789");
    }
    expect(&world, "slow", DropReason::SlowQos0);
}

#[test]
fn messages_that_expire_in_a_queue_are_counted_and_told_once() {
    let (world, other) = world(Limits::default());
    let away = world.connect(v5("away").kept());
    away.subscribe("t", QOS1);
    away.hang_up();
    for _ in 0..3 {
        let id = other.next_id();
        other.publish_with(QOS1, "t", "x", |publish| {
            publish.packet_id = PacketId::new(id);
            publish.properties.message_expiry_interval_s = Some(5);
        });
        other.expect(PacketKind::Puback, id);
    }
    world.advance_s(6);
    let _back = world.connect(v5("away").kept());
    expect(&world, "away", DropReason::Expired);
}

#[test]
fn messages_too_large_for_a_client_are_counted_at_every_qos_and_told_once() {
    let (world, other) = world(Limits::default());
    let small = world.connect(v5("small").packet_max(60));
    small.subscribe("t", QOS2);
    for qos in [QOS0, QOS1, QOS2] {
        other.publish_acknowledged_at(qos, "t", &"x".repeat(80));
    }
    small.expect_nothing();
    expect(&world, "small", DropReason::TooLarge);
}

#[test]
fn what_the_acl_forbids_is_counted_for_the_one_it_forbids_it_to() {
    let limits = Limits { authentication: true, ..Limits::default() };
    let world = World::with_limits(limits);
    let rule = |filter| Rule::topic(Access::ReadWrite, TopicFilter::parse(filter).expect("valid"));
    let rules = [(Some("a"), rule("t/1")), (Some("b"), rule("#"))];
    world.permit(Some(Acl::new(rules, [])));
    let reader = world.connect_as("a", v5("reader"));
    reader.subscribe("t/+", QOS0);
    let other = world.connect_as("b", v5("other"));
    for n in 0..4 {
        other.publish(QOS0, &format!("t/{n}"), "x");
    }
    assert_eq!(reader.receive_all().len(), 1);
    expect(&world, "reader", DropReason::Acl);
    reader.publish(QOS0, "t/2", "x");
    assert_eq!(world.drops_of("reader"), only(DropReason::Acl, 4));
}

/// [MQTT-4.3.3-4] for QoS 2; the exchange ends in both cases.
#[test]
fn a_message_that_its_receiver_refuses_is_counted_and_told_once() {
    let (world, other) = world(Limits::default());
    let choosy = world.connect(v5("choosy"));
    choosy.subscribe("t", QOS2);
    for qos in [QOS1, QOS2, QOS1] {
        other.publish_acknowledged_at(qos, "t", "x");
        let id = choosy.receive().id;
        choosy.refuse(qos, id);
    }
    choosy.expect_nothing();
    expect(&world, "choosy", DropReason::Refused);
}

#[test]
fn a_retained_message_too_many_is_counted_for_its_publisher() {
    let world = World::with_limits(Limits { retained_messages_max: 1, ..Limits::default() });
    let _other = world.connect(v5("other"));
    let publisher = world.connect(v5("publisher"));
    for n in 0..4 {
        publisher.publish_retained(QOS0, &format!("t/{n}"), "x");
    }
    expect(&world, "publisher", DropReason::RetainedFull);
}

/// A flood is one line of the log, and so is one that begins after a quiet minute; another reason
/// is another episode.
#[test]
fn an_episode_ends_after_a_minute_without_drops() {
    let (world, other) = world(Limits { queued_messages_max: 1, ..Limits::default() });
    let away = world.connect(v5("away").expiry(10_000));
    away.subscribe("t", QOS1);
    away.hang_up();
    let told = |count: usize| {
        let expected = vec![("away".to_owned(), DropReason::QueueFull); count];
        assert_eq!(world.take_drop_notices(), expected);
    };
    other.publish_acknowledged("t", "fits");
    told(0);
    for _ in 0..10 {
        other.publish_acknowledged("t", "x");
        world.advance_s(59);
    }
    told(1);
    world.advance_s(1);
    other.publish_acknowledged("t", "x");
    told(1);
    assert_eq!(world.drops_of("away"), only(DropReason::QueueFull, 11));
}

/// The totals stand in the tree.
#[test]
fn the_tree_says_how_many_were_dropped_and_why() {
    let (world, other) = world(Limits { queued_messages_max: 1, ..Limits::default() });
    let away = world.connect(v5("away").kept());
    away.subscribe("t", QOS1);
    away.hang_up();
    for _ in 0..4 {
        other.publish_acknowledged("t", "x");
    }
    world.surroundings(&Surroundings::default());
    other.subscribe("$SYS/broker/publish/messages/dropped", QOS0);
    assert_eq!(other.receive().payload, "3");
    other.subscribe("$SYS/broker/publish/dropped/queue_full", QOS0);
    assert_eq!(other.receive().payload, "3");
    other.subscribe("$SYS/broker/publish/dropped/expired", QOS0);
    assert_eq!(other.receive().payload, "0");
}
