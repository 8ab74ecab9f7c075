//! How durable a message is before it is acknowledged: the levels, and what is never written.

use crate::support::*;

mod upstream;

const RULES: ReaderId = ReaderId(1);
const UPSTREAM: ReaderId = ReaderId(2);

fn limits() -> Limits {
    let filters = [
        ("relaxed/#", Durability::Relaxed),
        ("none/#", Durability::None),
        ("up/#", Durability::Upstream),
    ];
    let filters = filters.map(|(filter, level)| (filter.to_owned(), level)).to_vec();
    let durability = DurabilityLevels { default: Durability::Commit, filters };
    Limits { durability, ..Limits::default() }
}

fn world() -> World {
    World::with_limits(limits())
}

/// Batches that are durable and have something that is written.
fn writes(world: &World) -> usize {
    world.net().writes
}

/// A kept session without a connection that wants everything.
fn away(world: &World, name: &str) {
    let client = world.connect(v311(name).kept());
    client.subscribe("#", QOS2);
    client.hang_up();
}

/// What a client that was away gets when it comes back.
fn back(world: &World, name: &str) -> Vec<Received> {
    world.release_commits();
    world.connect(v311(name).kept()).receive_all()
}

fn payloads(received: &[Received]) -> Vec<&str> {
    received.iter().map(|received| received.payload.as_str()).collect()
}

#[test]
fn relaxed_is_acknowledged_at_once_and_nobody_waits_for_its_commit() {
    let world = world();
    away(&world, "away");
    let publisher = world.connect(v311("publisher"));
    world.hold_commits();
    for qos in [QOS1, QOS2] {
        let id = publisher.publish(qos, "relaxed/t", "x");
        let answer = if qos == QOS1 { PacketKind::Puback } else { PacketKind::Pubrec };
        publisher.expect(answer, id);
    }
    assert!(!world.commit_awaited(), "nothing is to be committed at once");
    assert_eq!(world.net().pending.len(), 2);
    world.commit();
    world.crash();
    assert_eq!(payloads(&back(&world, "away")), ["x", "x"]);
    assert_eq!(world.metrics().publish_acknowledged_early, 0, "counted from the start on");
}

/// A power cut takes what was not committed, and nothing else.
#[test]
fn relaxed_loses_what_was_not_committed_and_nothing_else() {
    let world = world();
    away(&world, "away");
    let publisher = world.connect(v311("publisher"));
    world.hold_commits();
    publisher.publish_acknowledged("relaxed/t", "1");
    // Somebody waits for this one, and it takes the earlier one with it.
    let id = publisher.publish(QOS1, "t", "2");
    publisher.expect_nothing();
    assert!(world.commit_awaited());
    publisher.expect(PacketKind::Puback, id);
    publisher.publish_acknowledged("relaxed/t", "3");
    assert_eq!(world.metrics().publish_acknowledged_early, 2);
    world.crash();
    assert_eq!(payloads(&back(&world, "away")), ["1", "2"]);
}

/// [MQTT-4.6.0-2]: the order of the packets of one client, and not of all.
#[test]
fn an_early_acknowledgement_overtakes_those_of_other_clients_only() {
    for topic in ["relaxed/t", "none/t"] {
        let world = world();
        away(&world, "away");
        let one = world.connect(v311("one"));
        let other = world.connect(v5("other"));
        world.hold_commits();
        one.publish(QOS1, "t", "1");
        one.publish(QOS1, topic, "2");
        one.expect_nothing();
        other.publish_acknowledged(topic, "3");
        world.release_commits();
        one.expect(PacketKind::Puback, 1);
        one.expect(PacketKind::Puback, 2);
        one.publish_acknowledged(topic, "4");
        assert_eq!(payloads(&back(&world, "away")), ["1", "2", "3", "4"]);
    }
}

/// What must not be said before its commit is not, also in the turn of a relaxed message.
#[test]
fn sessions_and_subscriptions_are_waited_for_in_the_turn_of_a_relaxed_message() {
    let world = world();
    away(&world, "away");
    let publisher = world.connect(v311("publisher"));
    let client = world.connect(v5("client").kept());
    world.hold_commits();
    world.in_one_turn(|| {
        publisher.publish(QOS1, "relaxed/t", "x");
        client.send_subscribe("t", QOS1, None, |_| {});
    });
    publisher.expect(PacketKind::Puback, 1);
    client.expect_nothing();
    assert!(world.commit_awaited());
    assert_eq!(client.expect_suback(), [1]);
    publisher.publish(QOS1, "relaxed/t", "y");
    let fresh = world.dial(&v5("fresh").kept());
    assert!(!fresh.has_arrived());
    assert!(world.commit_awaited());
    assert!(!fresh.expect_connack());
}

/// An identifier that its client may remember longer than the broker lives is durable before it is
/// used, whatever the level: another message would be taken for this one.
#[test]
fn a_relaxed_message_at_qos2_waits_for_its_identifier_and_not_for_the_interval() {
    let world = world();
    let subscriber = world.connect(v5("subscriber").kept());
    subscriber.subscribe("relaxed/#", QOS2);
    let publisher = world.connect(v311("publisher"));
    world.hold_commits();
    publisher.publish(QOS2, "relaxed/t", "x");
    publisher.expect(PacketKind::Pubrec, 1);
    subscriber.expect_nothing();
    assert!(world.commit_awaited(), "the subscriber waits");
    assert_eq!(subscriber.receive().payload, "x");
}

/// After a power cut a relaxed QoS 2 message may be lost; it never comes twice, and its identifier
/// takes no other message with it.
#[test]
fn a_relaxed_qos2_message_is_lost_at_most_and_never_doubled() {
    let world = world();
    away(&world, "away");
    let publisher = world.connect(v311("publisher").kept());
    world.hold_commits();
    let say = |publisher: &Client, payload: &str, dup| {
        publisher.publish_with(QOS2, "relaxed/t", payload, |publish| {
            publish.packet_id = PacketId::new(7);
            publish.dup = dup;
        });
        publisher.expect(PacketKind::Pubrec, 7);
    };
    say(&publisher, "1", false);
    world.commit();
    world.crash();
    world.release_commits();
    // PUBREC was lost on the way.
    let publisher = world.connect(v311("publisher").kept());
    say(&publisher, "1", true);
    world.hold_commits();
    publisher.pubrel(7);
    publisher.expect_nothing();
    assert!(world.commit_awaited(), "PUBCOMP frees the identifier");
    publisher.expect(PacketKind::Pubcomp, 7);
    say(&publisher, "2", false);
    world.crash();
    world.release_commits();
    let publisher = world.connect(v311("publisher").kept());
    publisher.pubrel(7);
    publisher.expect(PacketKind::Pubcomp, 7);
    assert_eq!(payloads(&back(&world, "away")), ["1"], "2 was lost with the power");
}

#[test]
fn none_is_acknowledged_at_once_waits_in_memory_and_writes_nothing() {
    let world = world();
    away(&world, "away");
    let publisher = world.connect(v311("publisher").kept());
    let commits = world.commits();
    world.hold_commits();
    publisher.publish_acknowledged("none/t", "1");
    publisher.publish_exactly_once("none/t", "2");
    publisher.publish(QOS0, "none/t", "3");
    publisher.publish_retained(QOS1, "none/kept", "4");
    publisher.expect(PacketKind::Puback, 3);
    assert!(world.net().pending.is_empty());
    world.release_commits();
    let received = {
        let client = world.connect(v311("away").kept());
        let after_connect = world.commits();
        let received = client.receive_all();
        assert_eq!(world.commits(), after_connect, "nor do the acknowledgements");
        assert_eq!(after_connect, commits + 1, "the session is connected");
        received
    };
    assert_eq!(payloads(&received), ["1", "2", "4"]);
    assert!(world.net().store.log.is_empty() && world.net().store.retained.is_empty());
}

#[test]
fn none_is_lost_with_the_process() {
    let world = world();
    away(&world, "away");
    let publisher = world.connect(v311("publisher"));
    publisher.publish_acknowledged("none/t", "1");
    publisher.publish_retained(QOS1, "none/kept", "2");
    publisher.expect(PacketKind::Puback, 2);
    publisher.publish_acknowledged("t", "3");
    world.crash();
    assert_eq!(payloads(&back(&world, "away")), ["3"]);
    let fresh = world.connect(v311("fresh"));
    fresh.subscribe("none/#", QOS1);
    fresh.expect_nothing();
}

/// Without a write nothing can keep a kept session from taking a later message, with the same
/// identifier, for this one. A session that ends with its connection needs no such care.
#[test]
fn none_reaches_a_kept_session_at_qos1_at_most() {
    in_one_shard();
    let world = world();
    let kept = world.connect(v5("kept").kept());
    let clean = world.connect(v5("clean"));
    let publisher = world.connect(v5("publisher"));
    publisher.publish_retained(QOS2, "none/kept", "0");
    publisher.expect(PacketKind::Pubrec, 1);
    kept.send_subscribe("none/#", QOS2, None, |_| {});
    assert_eq!(kept.receive_and_acknowledge().qos, QOS1, "it waits for nothing, unlike SUBACK");
    assert_eq!(kept.expect_suback(), [2]);
    clean.subscribe("none/#", QOS2);
    publisher.publish(QOS2, "none/t", "1");
    let qos = |client: &Client| client.receive_all().iter().map(|r| r.qos).collect::<Vec<_>>();
    assert_eq!(qos(&kept), [QOS1]);
    assert_eq!(qos(&clean), [QOS2, QOS2]);
}

/// The same PUBLISH again is the same message for as long as the process lives.
#[test]
fn a_repeated_publish_is_one_message_at_each_level() {
    for topic in ["t", "relaxed/t", "none/t"] {
        let world = world();
        let subscriber = world.connect(v311("subscriber"));
        subscriber.subscribe("#", QOS0);
        let publisher = world.connect(v311("publisher").kept());
        for payload in ["1", "again"] {
            publisher.publish_with(QOS2, topic, payload, |publish| {
                publish.packet_id = PacketId::new(5);
            });
            publisher.expect(PacketKind::Pubrec, 5);
        }
        publisher.pubrel(5);
        publisher.expect(PacketKind::Pubcomp, 5);
        assert_eq!(subscriber.payloads(), ["1"]);
    }
}

/// The store has forgotten what it knew of a topic that is not written any more: it would come
/// back in the place of what was retained after it.
#[test]
fn a_retained_message_leaves_the_store_when_its_topic_is_not_written_any_more() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    publisher.publish_retained(QOS1, "none/t", "old");
    publisher.expect(PacketKind::Puback, 1);
    world.restart_with(limits());
    let retained = || {
        let client = world.connect(v311("reader"));
        client.subscribe("none/t", QOS0);
        client.payloads()
    };
    assert_eq!(retained(), ["old"], "it goes on to be retained");
    assert!(world.net().store.retained.is_empty());
    let publisher = world.connect(v311("publisher"));
    publisher.publish_retained(QOS1, "none/t", "new");
    assert_eq!(retained(), ["new"]);
    world.crash();
    assert!(retained().is_empty());
}

/// Rules and upstreams get it as it comes, as they get QoS 0.
#[test]
fn none_has_no_place_in_the_log_of_readers() {
    let reader = |reader, kind| ReaderConfig {
        reader,
        filters: vec!["none/#".to_owned()],
        kind,
        names_publishers: false,
    };
    let readers = vec![reader(RULES, ReaderKind::Rules), reader(UPSTREAM, ReaderKind::Upstream)];
    let world = World::with_readers(limits(), readers);
    let publisher = world.connect(v311("publisher"));
    publisher.publish_acknowledged("none/t", "x");
    let seen = world.take_reader_messages();
    let seen: Vec<_> = seen.iter().map(|m| (m.reader, m.sequence, m.payload.as_str())).collect();
    assert_eq!(seen, [(RULES, None, "x"), (UPSTREAM, None, "x")]);
    assert!(world.net().store.log.is_empty());
}

/// Whoever takes over what waits for a group takes it as it is.
#[test]
fn none_is_not_written_either_when_it_goes_to_another_member_of_a_group() {
    let world = world();
    let first = world.connect(v311("first"));
    first.subscribe("$share/g/#", QOS1);
    let second = world.connect(v311("second").kept());
    second.subscribe("$share/g/#", QOS1);
    let publisher = world.connect(v311("publisher"));
    for n in 0..4 {
        publisher.publish_acknowledged("none/t", &n.to_string());
    }
    first.hang_up();
    assert!(world.net().store.log.is_empty());
    let mut all = second.payloads();
    all.sort_unstable();
    assert_eq!(all, ["0", "1", "2", "3"]);
}

/// While it waits for its time it is kept, whatever its topic says.
#[test]
fn a_delayed_message_is_durable_until_its_time() {
    for topic in ["$delayed/5/relaxed/t", "$delayed/5/none/t"] {
        let world = world();
        let publisher = world.connect(v311("publisher"));
        world.hold_commits();
        publisher.publish(QOS1, topic, "x");
        publisher.expect_nothing();
        world.release_commits();
        publisher.expect(PacketKind::Puback, 1);
        world.crash();
        let subscriber = world.connect(v311("subscriber"));
        subscriber.subscribe("#", QOS1);
        world.advance_s(6);
        assert_eq!(subscriber.payloads(), ["x"]);
    }
}

/// Nobody waits until what a subscriber has acknowledged is durable: it may come twice.
#[test]
fn the_acknowledgements_of_subscribers_can_be_put_off() {
    let world = World::new();
    let subscriber = world.connect(v5("subscriber").kept());
    subscriber.subscribe("t", QOS1);
    let publisher = world.connect(v311("publisher"));
    publisher.publish_acknowledged("t", "x");
    world.hold_commits();
    let received = subscriber.receive_and_acknowledge();
    assert!(!world.commit_awaited());
    assert_eq!(world.net().pending.len(), 1);
    world.crash();
    world.release_commits();
    let again = world.connect(v5("subscriber").kept()).receive();
    assert_eq!(again, Received { dup: true, ..received });
}

/// What would be sent again under another identifier, or twice, is waited for.
#[test]
fn the_pubrec_of_a_subscriber_is_not_put_off() {
    let world = World::new();
    let subscriber = world.connect(v5("subscriber").kept());
    subscriber.subscribe("t", QOS2);
    let publisher = world.connect(v311("publisher"));
    publisher.publish_exactly_once("t", "x");
    let id = subscriber.receive().id;
    world.hold_commits();
    subscriber.pubrec(id);
    subscriber.expect_nothing();
    assert!(world.commit_awaited());
    subscriber.expect(PacketKind::Pubrel, id);
    subscriber.pubcomp(id);
    assert!(!world.commit_awaited(), "PUBCOMP ends it");
}

/// One commit releases all of its acknowledgements, and a lone message waits for
/// one.
#[test]
fn the_acknowledgements_of_a_commit_are_released_together() {
    let world = World::new();
    away(&world, "away");
    let clients = ["a", "b", "c"].map(|name| world.connect(v311(name)));
    world.hold_commits();
    world.in_one_turn(|| {
        for client in &clients {
            client.publish(QOS1, "t", "x");
            client.publish(QOS1, "t", "y");
        }
    });
    clients.iter().for_each(Client::expect_nothing);
    assert!(world.commit_one());
    for client in &clients {
        client.expect(PacketKind::Puback, 1);
        client.expect(PacketKind::Puback, 2);
    }
    clients[0].publish(QOS1, "t", "z");
    assert!(world.commit_one());
    clients[0].expect(PacketKind::Puback, 3);
    assert!(!world.commit_one());
}

#[test]
fn what_waits_for_no_kept_session_is_not_written() {
    in_one_shard();
    let world = World::new();
    let publisher = world.connect(v5("publisher"));
    let clean = world.connect(v5("clean"));
    clean.subscribe("#", QOS2);
    let commits = world.commits();
    publisher.publish(QOS0, "t", "0");
    publisher.publish_acknowledged("t", "1");
    publisher.publish_exactly_once("t", "2");
    publisher.publish_acknowledged("nobody/wants/it", "3");
    assert_eq!(clean.payloads(), ["0", "1", "2", "3"]);
    let kept = world.connect(v5("kept").kept());
    kept.subscribe("#", QOS2);
    let with_session = world.commits();
    publisher.publish(QOS0, "t", "4");
    assert_eq!(kept.payloads(), ["4"]);
    assert_eq!(world.commits(), with_session);
    assert_eq!(with_session, commits + 2, "the session and its subscription");
}

/// One record, whatever the number of those that wait for it.
#[test]
fn a_payload_is_stored_once_for_all_that_are_away() {
    in_one_shard();
    let world = World::new();
    for n in 0..20 {
        away(&world, &format!("away-{n}"));
    }
    world.connect(v311("publisher")).publish_acknowledged("t", "x");
    let net = world.net();
    let (_, targets) = net.store.log.values().next().expect("it is in the log");
    assert_eq!((net.store.log.len(), targets.len()), (1, 20));
}

/// A topic got another level while messages of it waited for a group on the disk: when they went
/// to another member they were written no more.
#[test]
fn what_was_written_stays_written_when_it_goes_to_another_member() {
    let world = World::new();
    let first = world.connect(v311("first").kept());
    first.subscribe("$share/g/#", QOS1);
    first.hang_up();
    world.connect(v311("publisher")).publish_acknowledged("none/t", "x");
    world.restart_with(limits());
    let second = world.connect(v311("second").kept());
    second.send_subscribe("$share/g/#", QOS1, None, |_| {});
    assert_eq!(second.receive().payload, "x");
    world.crash();
    let second = world.connect(v311("second").kept());
    assert_eq!(second.receive().payload, "x");
}
