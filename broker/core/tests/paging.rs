//! Queued messages that are on the disk only, and how they come back.

use crate::support::*;

/// Everything leaves memory as soon as it is durable.
fn limits() -> Limits {
    Limits { queued_memory_eased_at: 0, ..Limits::default() }
}

fn subscribed(world: &World, options: Options) -> Client {
    let client = world.connect(options);
    client.subscribe("t/#", QOS2);
    client
}

fn publish(world: &World, qos: QoS, count: usize) -> Vec<String> {
    let publisher = world.connect(v5("publisher"));
    let payloads: Vec<String> = (0..count).map(|n| n.to_string()).collect();
    payloads.iter().for_each(|payload| publisher.publish_acknowledged_at(qos, "t/x", payload));
    publisher.disconnect();
    payloads
}

#[test]
fn a_long_queue_takes_no_memory_for_its_messages_and_arrives_in_order() {
    for qos in [QOS1, QOS2] {
        let world = World::with_limits(limits());
        subscribed(&world, v5("away").kept()).hang_up();
        let sent = publish(&world, qos, 300);
        let metrics = world.metrics();
        assert_eq!((metrics.queued_messages, metrics.queued_bytes_in_memory), (300, 0));
        assert!(metrics.queued_bytes > 300 * 24);
        let back = world.connect(v5("away").kept());
        assert_eq!(back.payloads(), sent);
        assert_eq!((world.metrics().queued_messages, world.metrics().queued_bytes), (0, 0));
    }
}

/// What waits when the process starts again stays on the disk until its client comes.
#[test]
fn a_queue_that_was_found_on_the_disk_arrives_too() {
    let world = World::with_limits(limits());
    subscribed(&world, v311("away").kept()).hang_up();
    let sent = publish(&world, QOS1, 50);
    world.crash();
    assert_eq!(world.metrics().queued_bytes_in_memory, 0);
    assert_eq!(world.connect(v311("away").kept()).payloads(), sent);
}

/// [MQTT-4.4.0-1]
#[test]
fn what_was_under_way_is_read_again_and_sent_with_its_identifier() {
    let world = World::with_limits(limits());
    let client = subscribed(&world, v5("a").kept());
    publish(&world, QOS2, 3);
    let first: Vec<Received> = (0..3).map(|_| client.receive()).collect();
    assert_eq!(world.metrics().queued_bytes_in_memory, 0);
    for crashed in [false, true] {
        if crashed {
            world.crash();
        } else {
            client.hang_up();
        }
        let back = world.connect(v5("a").kept());
        let again: Vec<Received> = (0..3).map(|_| back.receive()).collect();
        back.expect_nothing();
        assert!(again.iter().all(|message| message.dup));
        let ids = |received: &[Received]| received.iter().map(|m| m.id).collect::<Vec<_>>();
        assert_eq!(ids(&again), ids(&first));
    }
}

#[test]
fn nothing_leaves_memory_before_it_is_durable_or_below_the_limit() {
    let world = World::with_limits(limits());
    subscribed(&world, v5("away").kept()).hang_up();
    let publisher = world.connect(v5("publisher"));
    world.hold_commits();
    publisher.publish(QOS1, "t/x", "1");
    assert!(world.metrics().queued_bytes_in_memory > 0);
    world.release_commits();
    assert_eq!(world.metrics().queued_bytes_in_memory, 0);

    let world = World::new();
    subscribed(&world, v5("away").kept()).hang_up();
    publish(&world, QOS1, 10);
    let metrics = world.metrics();
    assert_eq!(metrics.queued_bytes_in_memory, metrics.queued_bytes);
    world.connect(v5("away").kept()).payloads();
    assert_eq!(world.loads(), 0);
}

/// The limit of memory holds for what has to stay there.
#[test]
fn only_what_must_stay_in_memory_is_dropped_when_memory_is_full() {
    let world = World::with_limits(Limits { queued_memory_max: 1000, ..limits() });
    subscribed(&world, v5("kept").kept()).hang_up();
    let slow = world.connect(v5("slow").receive_max(1));
    slow.subscribe("u", QOS1);
    let publisher = world.connect(v5("other"));
    (0..200).for_each(|_| publisher.publish_acknowledged("u", "x"));
    assert!(world.metrics().queued_bytes_in_memory <= 1000);
    assert!(world.drops_of("slow").queue_full > 100);
    let sent = publish(&world, QOS1, 200);
    assert_eq!(world.drops_of("kept").total(), 0);
    assert_eq!(world.connect(v5("kept").kept()).payloads(), sent);
}

/// Members take from each other, and cannot wait for a read.
#[test]
fn what_waits_for_a_shared_subscription_stays_in_memory() {
    let world = World::with_limits(Limits { queued_memory_max: 1000, ..limits() });
    let away = world.connect(v5("away").kept());
    away.subscribe("$share/g/t/#", QOS1);
    away.hang_up();
    let sent = publish(&world, QOS1, 200);
    let kept = world.metrics().queued_messages as usize;
    assert!((1..100).contains(&kept));
    assert_eq!(world.drops_of("away").queue_full as usize, 200 - kept);
    world.crash();
    let other = world.connect(v5("other").kept());
    other.send_subscribe("$share/g/t/#", QOS1, None, |_| {});
    assert_eq!(other.payloads(), sent[..kept]);
}

/// A message that waited for a kept session too left memory although a member of a share had it
/// whose session was not kept; when that member went away, the broker panicked.
#[test]
fn what_a_member_without_a_kept_session_has_stays_in_memory_too() {
    let world = World::with_limits(limits());
    subscribed(&world, v5("away").kept()).hang_up();
    let members = [world.connect(v5("one")), world.connect(v5("two"))];
    members.iter().for_each(|member| member.subscribe("$share/g/t/#", QOS1));
    let sent = publish(&world, QOS1, 2);
    let [one, two] = members;
    assert_eq!(one.receive().payload, sent[0]);
    one.hang_up();
    assert_eq!(two.payloads(), [&*sent[1], &*sent[0]]);
    assert_eq!(world.connect(v5("away").kept()).payloads(), sent);
}

/// Not more is read than the client can be sent, and one client after the other.
#[test]
fn clients_that_come_back_together_do_not_fill_the_memory() {
    let world = World::with_limits(limits());
    let names: Vec<String> = (0..20).map(|n| format!("away-{n}")).collect();
    names.iter().for_each(|name| subscribed(&world, v5(name).kept()).hang_up());
    let sent = publish(&world, QOS1, 100);
    world.hold_loads();
    let options = |name: &String| v5(name).kept().receive_max(5);
    let clients: Vec<Client> = names.iter().map(|name| world.connect(options(name))).collect();
    clients.iter().for_each(Client::stall);
    while world.load() {
        assert!(world.metrics().queued_bytes_in_memory < 6 * 60);
    }
    assert_eq!(world.metrics().queued_bytes_in_memory, 0);
    world.release_loads();
    for client in &clients {
        client.go_on_reading();
        assert_eq!(client.payloads(), sent);
    }
}

/// Both wait for the same message. Once it was there for the first one, nobody thought of the
/// second one any more.
#[test]
fn a_message_that_came_back_for_one_client_goes_to_the_next_one_too() {
    let world = World::with_limits(Limits { queued_memory_eased_at: 300, ..Limits::default() });
    let names = ["a", "b"];
    names.iter().for_each(|name| subscribed(&world, v5(name).kept()).hang_up());
    let sent = publish(&world, QOS1, 20);
    world.hold_loads();
    let clients = names.map(|name| world.connect(v5(name).kept()));
    let in_memory = clients.each_ref().map(|client| client.payloads().len());
    let first = in_memory[0];
    assert!((1..20).contains(&first) && in_memory[1] == first, "{in_memory:?}");
    world.release_loads();
    clients.iter().for_each(|client| assert_eq!(client.payloads(), sent[first..]));
}

#[test]
fn a_client_that_goes_and_comes_while_its_messages_are_read_gets_them_once() {
    let world = World::with_limits(limits());
    subscribed(&world, v5("a").kept()).hang_up();
    let sent = publish(&world, QOS2, 3);
    world.hold_loads();
    world.connect(v5("a").kept()).hang_up();
    let back = world.connect(v5("a").kept());
    back.expect_nothing();
    world.release_loads();
    assert_eq!(back.payloads(), sent);
}

#[test]
fn a_session_that_ends_while_its_messages_are_read_leaves_nothing() {
    let world = World::with_limits(limits());
    subscribed(&world, v5("a").kept()).hang_up();
    publish(&world, QOS1, 3);
    world.hold_loads();
    world.connect(v5("a").kept());
    world.connect(v5("a").clean());
    world.release_loads();
    let metrics = world.metrics();
    assert_eq!((metrics.queued_messages, metrics.queued_bytes_in_memory), (0, 0));
}

/// They are gone, whatever we do: the rest goes on.
#[test]
fn messages_that_cannot_be_read_are_counted_and_passed_over() {
    let world = World::with_limits(limits());
    subscribed(&world, v5("a").kept()).hang_up();
    publish(&world, QOS2, 3);
    world.hold_loads();
    let back = world.connect(v5("a").kept());
    world.load_nothing();
    assert_eq!(world.drops_of("a").unreadable, 3);
    assert_eq!(world.take_drop_notices(), [("a".to_owned(), DropReason::Unreadable)]);
    world.release_loads();
    let sent = publish(&world, QOS1, 2);
    assert_eq!(back.payloads(), sent);
    world.crash();
    world.connect(v5("a").kept()).expect_nothing();
}

/// QoS 0 waits behind retained messages, and its message is one with what waits for others. With a
/// full window it was asked for for ever.
#[test]
fn a_qos0_message_that_waits_comes_back_with_a_full_window_too() {
    let world = World::with_limits(Limits { send_buffer_bytes_max: 40, ..limits() });
    let publisher = world.connect(v5("publisher"));
    (0..3).for_each(|n| publisher.publish_retained(QOS0, &format!("r/{n}"), &"x".repeat(40)));
    subscribed(&world, v5("away").kept()).hang_up();
    let slow = world.connect(v5("slow").receive_max(1));
    slow.subscribe("t/x", QOS0);
    slow.subscribe("u", QOS1);
    publisher.publish_acknowledged("u", "u");
    slow.receive();
    slow.stall();
    slow.send_subscribe("r/#", QOS0, None, |_| {});
    publisher.publish_acknowledged("t/x", "t");
    let metrics = world.metrics();
    assert!(metrics.queued_bytes_in_memory < metrics.queued_bytes);
    slow.go_on_reading();
    assert_eq!(slow.payloads().last().map(String::as_str), Some("t"));
}

#[test]
fn the_time_of_a_message_runs_on_the_disk_too() {
    let world = World::with_limits(limits());
    subscribed(&world, v5("a").kept()).hang_up();
    let publisher = world.connect(v5("publisher"));
    for (topic, seconds) in [("t/1", Some(5)), ("t/2", None)] {
        let id = publisher.next_id();
        publisher.publish_with(QOS1, topic, topic, |publish| {
            publish.packet_id = PacketId::new(id);
            publish.properties.message_expiry_interval_s = seconds;
        });
        publisher.expect(PacketKind::Puback, id);
    }
    world.advance_s(10);
    assert_eq!(world.connect(v5("a").kept()).payloads(), ["t/2"]);
    assert_eq!(world.drops_of("a").expired, 1);
}

/// The message itself would have to be read first.
#[test]
fn a_message_dropped_while_on_the_disk_is_counted_as_a_missed_letter() {
    let world = World::with_limits(Limits {
        dead_letter: Some("$dead".into()),
        queue_full: QueueFull::DropOld,
        queued_messages_max: 2,
        ..limits()
    });
    subscribed(&world, v5("a").kept()).hang_up();
    let sent = publish(&world, QOS1, 5);
    assert_eq!((world.metrics().dead_letters, world.metrics().dead_letters_missed), (0, 3));
    assert_eq!(world.connect(v5("a").kept()).payloads(), sent[3..]);
}
