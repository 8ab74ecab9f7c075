//! Readers of the log: rules and upstreams.

use crate::support::*;

const RULES: ReaderId = ReaderId(1);
const UPSTREAM: ReaderId = ReaderId(2);

fn world() -> World {
    world_with(Limits::default())
}

fn world_with(limits: Limits) -> World {
    let reader = |reader, filter: &str, kind| ReaderConfig {
        reader,
        filters: vec![filter.to_owned()],
        kind,
        names_publishers: false,
    };
    World::with_readers(
        limits,
        vec![
            reader(RULES, "sensor/#", ReaderKind::Rules),
            reader(UPSTREAM, "up/#", ReaderKind::Upstream),
        ],
    )
}

/// Each in order, with its position if it has one, and no position for what is not logged.
#[test]
fn a_reader_is_handed_what_its_filters_match() {
    let world = world();
    let client = world.connect(v311("a"));
    client.publish(QOS0, "sensor/1", "a");
    client.publish_acknowledged("sensor/2", "b");
    client.publish_acknowledged("other", "c");
    client.publish_exactly_once("sensor/3", "d");
    let seen = world.take_reader_messages();
    let payloads: Vec<&str> = seen.iter().map(|m| m.payload.as_str()).collect();
    assert_eq!(payloads, ["a", "b", "d"]);
    assert_eq!(seen[0].sequence, None);
    assert!(seen[1].sequence.is_some() && seen[1].sequence < seen[2].sequence);
    assert!(seen.iter().all(|m| m.reader == RULES));
    assert_eq!(world.net().store.log.len(), 2);
}

/// It reads them from the store, at its own pace; QoS 0 exists nowhere else.
#[test]
fn a_reader_of_the_store_is_handed_qos0_only() {
    let world = world();
    let client = world.connect(v311("a"));
    client.publish(QOS0, "up/1", "a");
    client.publish_acknowledged("up/2", "b");
    let seen = world.take_reader_messages();
    assert_eq!(seen.iter().map(|m| m.payload.as_str()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(world.net().store.log.len(), 1);
}

/// The publisher's acknowledgement waits for the commit, and the log for the reader.
#[test]
fn a_reader_pins_the_log_until_it_is_done() {
    let world = world();
    let client = world.connect(v311("a"));
    world.hold_commits();
    client.publish(QOS1, "up/1", "1");
    client.expect_nothing();
    world.release_commits();
    client.expect(PacketKind::Puback, 1);
    client.publish_acknowledged("up/1", "2");
    let positions: Vec<Sequence> = world.net().store.log.keys().copied().collect();
    assert_eq!(positions.len(), 2);
    world.reader_done(UPSTREAM, positions[0]);
    assert_eq!(world.net().store.log.len(), 1);
    world.crash();
    world.connect(v311("b").kept());
    assert_eq!(world.net().store.log.len(), 1, "also after a restart");
    world.reader_done(UPSTREAM, positions[1]);
    assert!(world.net().store.log.is_empty());
    world.crash();
    world.connect(v311("c").kept());
    assert!(world.net().store.log.is_empty());
}

/// An upstream that subscribes to what it publishes would go round for ever.
#[test]
fn a_reader_does_not_get_back_what_it_brought() {
    let world = world();
    let client = world.connect(v311("a"));
    client.subscribe("#", QOS0);
    let publish = |origin| {
        let route = Route::Subscribers { origin };
        world.publish(Publication { message: message(QOS0, "sensor/1", "x"), route });
        assert_eq!(client.payloads(), ["x"]);
        world.take_reader_messages().len()
    };
    assert_eq!(publish(Some(RULES)), 0);
    assert_eq!(publish(Some(UPSTREAM)), 1);
    assert_eq!(publish(None), 1);
}

/// What a rule sends upstream is nobody else's.
#[test]
fn a_message_for_one_reader_goes_to_no_subscriber() {
    let world = world();
    let client = world.connect(v311("a"));
    client.subscribe("#", QOS0);
    let route = Route::Reader(UPSTREAM);
    world.publish(Publication { message: message(QOS1, "emitted", "x"), route });
    client.expect_nothing();
    let net = world.net();
    let (_, targets) = net.store.log.values().next().expect("it is in the log");
    let destinations: Vec<Destination> = targets.iter().map(|t| t.destination).collect();
    assert_eq!(destinations, [Destination::Reader(UPSTREAM)]);
}

/// A rule that was computed again after a crash could come to something else: what it has sent
/// before its state was durable would then be a result that never was.
#[test]
fn what_a_rule_sends_waits_for_the_state_it_came_from() {
    for options in [v5("b"), v5("b").kept()] {
        let world = world();
        let subscriber = world.connect(options);
        subscriber.subscribe("out", QOS1);
        world.hold_commits();
        world.in_one_turn(|| send_result(&world, "r"));
        subscriber.expect_nothing();
        world.commit();
        assert_eq!(subscriber.receive_and_acknowledge().payload, "r");
    }
}

/// A retained result was sent to whoever subscribed before the commit.
#[test]
fn a_retained_result_waits_for_its_state_with_a_new_subscriber_too() {
    in_one_shard();
    let world = world();
    let subscriber = world.connect(v5("b"));
    world.hold_commits();
    world.in_one_turn(|| {
        world.net().handle(Input::Record(Change::RuleDelta { delta: vec![1] }));
        world.publish(Publication {
            message: MessageParts { retain: true, ..message(QOS1, "out", "r") },
            route: Route::Subscribers { origin: None },
        });
    });
    subscriber.subscribe("out", QOS1);
    subscriber.expect_nothing();
    world.commit();
    assert_eq!(subscriber.receive_and_acknowledge().payload, "r");
}

/// The queue moves on when the client acknowledges, which may be before the commit.
#[test]
fn a_result_that_leaves_the_queue_waits_for_its_state_too() {
    for options in [v5("b"), v5("b").kept()] {
        let world = world();
        let subscriber = world.connect(options.receive_max(1));
        subscriber.subscribe("out", QOS1);
        world.connect(v5("a")).publish(QOS1, "out", "first");
        let first = subscriber.receive();
        world.hold_commits();
        world.in_one_turn(|| send_result(&world, "r"));
        subscriber.puback(first.id);
        subscriber.expect_nothing();
        world.commit();
        assert_eq!(subscriber.receive_and_acknowledge().payload, "r");
    }
}

/// A result that goes from one member of a group to another was sent at once, because it moves to
/// another position.
#[test]
fn a_result_that_goes_to_another_member_waits_for_its_state_too() {
    in_one_shard();
    let world = world();
    let first_member = world.connect(v5("a").receive_max(1));
    first_member.subscribe("$share/group/out", QOS1);
    world.connect(v5("publisher")).publish(QOS1, "out", "first");
    assert_eq!(first_member.receive().payload, "first");
    let other_member = world.connect(v5("b"));
    world.hold_commits();
    world.in_one_turn(|| send_result(&world, "r"));
    other_member.subscribe("$share/group/out", QOS1);
    first_member.hang_up();
    assert_eq!(other_member.payloads(), ["first"]);
    world.commit();
    assert_eq!(other_member.payloads(), ["r"]);
}

/// One that leaves the queue waits at the gate behind later batches. Once its own was durable, the
/// next one of the queue had nothing to wait for and went out before it.
#[test]
fn results_keep_their_order_when_one_waits_longer_than_the_next() {
    let world = world();
    let keeper = world.connect(v5("keeper").kept());
    keeper.subscribe("other", QOS1);
    keeper.hang_up();
    let subscriber = world.connect(v5("b").receive_max(2));
    subscriber.subscribe("out", QOS1);
    let publisher = world.connect(v5("a"));
    publisher.publish(QOS1, "out", "first");
    let first = subscriber.receive();
    world.hold_commits();
    world.in_one_turn(|| ["r0", "r1", "r2"].iter().for_each(|result| send_result(&world, result)));
    publisher.publish(QOS1, "other", "x");
    subscriber.puback(first.id);
    world.commit_one();
    let results = subscriber.receive_all();
    world.release_commits();
    let payloads = results.into_iter().chain(subscriber.receive_all()).map(|r| r.payload);
    assert_eq!(payloads.collect::<Vec<_>>(), ["r0", "r1", "r2"]);
}

/// A result that somebody loses is told in a dead letter. The letter went out at once, with a
/// result that a crash could still undo.
#[test]
fn a_dead_letter_of_a_result_waits_for_its_state_too() {
    let limits =
        Limits { dead_letter: Some("dead".into()), queued_messages_max: 1, ..Limits::default() };
    let world = world_with(limits);
    let away = world.connect(v5("away").kept());
    away.subscribe("out", QOS1);
    away.hang_up();
    let keeper = world.connect(v5("keeper"));
    keeper.subscribe("dead/#", QOS1);
    world.hold_commits();
    world.in_one_turn(|| ["r0", "r1"].iter().for_each(|result| send_result(&world, result)));
    keeper.expect_nothing();
    world.commit();
    assert_eq!(keeper.receive_and_acknowledge().payload, "r1");
}

fn send_result(world: &World, payload: &str) {
    world.net().handle(Input::Record(Change::RuleDelta { delta: vec![1] }));
    world.publish(Publication {
        message: message(QOS1, "out", payload),
        route: Route::Subscribers { origin: None },
    });
}

/// What was routed before stays as it is; what comes goes by the new filters in every shard.
#[test]
fn a_reader_changes_what_it_reads() {
    let world = world();
    let clients = [world.connect(v311("a")), world.connect(v311("b")), world.connect(v311("c"))];
    for client in &clients {
        client.publish_acknowledged("sensor/1", "before");
        client.publish_acknowledged("other/1", "not yet");
    }
    let filters = ["other/+", "other/#"].map(str::to_owned).to_vec();
    let wish = |filters, names_publishers| ReaderConfig {
        reader: RULES,
        filters,
        kind: ReaderKind::Rules,
        names_publishers,
    };
    world.reader_wants(wish(filters, true));
    for client in &clients {
        client.publish_acknowledged("sensor/1", "no more");
        client.publish_acknowledged("other/1", "after");
    }
    let seen = world.take_reader_messages();
    let payloads: Vec<&str> = seen.iter().map(|m| m.payload.as_str()).collect();
    assert_eq!(payloads, ["before", "before", "before", "after", "after", "after"]);
    assert!(seen.iter().all(|m| m.reader == RULES && m.sequence.is_some()));
    world.reader_wants(wish(Vec::new(), false));
    clients[0].publish_acknowledged("other/1", "nobody");
    assert!(world.take_reader_messages().is_empty());
}

#[test]
fn a_reader_can_ask_for_what_is_retained() {
    let world = world();
    for (id, topic) in [("a", "set/1"), ("b", "set/2"), ("c", "set/2/x"), ("d", "other")] {
        world.connect(v311(id)).publish_retained(QOS1, topic, id);
    }
    let found = world.retained_for(&["set/+", "nothing/#", "not/#/one"]);
    assert_eq!(found, ["set/1 a", "set/2 b"]);
}

const LATER: ReaderId = ReaderId(9);

fn later(filter: &str) -> ReaderConfig {
    let filters = vec![filter.to_owned()];
    let kind = ReaderKind::Upstream;
    ReaderConfig { reader: LATER, filters, kind, names_publishers: false }
}

/// How many the messages of the log are for.
fn targets(world: &World) -> Vec<usize> {
    world.net().store.log.values().map(|(_, targets)| targets.len()).collect()
}

/// What came before is not for it, also if the store has a cursor of long ago, and also after a
/// restart.
#[test]
fn a_reader_that_comes_later_begins_at_the_end_of_the_log() {
    let world = world();
    let client = world.connect(v311("a"));
    for payload in ["1", "2"] {
        client.publish_acknowledged("up/1", payload);
    }
    let end = *world.net().store.log.keys().next_back().expect("they wait");
    world.reader_wants(later("up/#"));
    assert_eq!(world.reader_position(LATER), Some(end));
    client.publish_acknowledged("up/1", "3");
    assert_eq!(world.net().store.readers.get(&LATER), Some(&end));
    assert_eq!(targets(&world), [1, 1, 2]);
}

/// Nobody could make room otherwise.
#[test]
fn a_reader_that_leaves_holds_nothing_up() {
    let world = world();
    world.reader_wants(later("up/#"));
    let client = world.connect(v311("a"));
    client.publish_acknowledged("up/1", "1");
    let first = *world.net().store.log.keys().next().expect("it waits");
    world.reader_done(UPSTREAM, first);
    assert_eq!(world.net().store.log.len(), 1);
    world.reader_leaves(LATER);
    client.publish_acknowledged("other", "for nobody");
    assert!(world.net().store.log.is_empty());
    client.publish_acknowledged("up/1", "2");
    // A rule that does not know yet.
    let route = Route::Reader(LATER);
    world.publish(Publication { message: message(QOS1, "emitted", "x"), route });
    assert_eq!(targets(&world), [1], "only the other upstream");
    // It comes back.
    world.reader_wants(later("up/#"));
    client.publish_acknowledged("up/1", "3");
    assert_eq!(targets(&world), [1, 2]);
}

/// What it does not take is in nobody's way: it is not in the log.
#[test]
fn a_reader_takes_as_much_as_it_says() {
    let world = world();
    let client = world.connect(v311("a"));
    let logged = |payloads: std::ops::Range<u32>| {
        let before = world.net().store.log.len();
        payloads.for_each(|payload| client.publish_acknowledged("up/1", &payload.to_string()));
        world.net().store.log.len() - before
    };
    assert_eq!(logged(0..4), 4);
    for (one_of, expected) in [(4, 2), (2, 4), (0, 0), (1, 8)] {
        world.reader_takes(UPSTREAM, one_of);
        assert_eq!(logged(0..8), expected, "one of {one_of}");
    }
    assert_eq!(world.take_missed(UPSTREAM), 6 + 4 + 8);
    client.publish(QOS0, "up/1", "live");
    assert_eq!(world.take_reader_messages().len(), 1, "only what would wait is less");
    world.reader_takes(UPSTREAM, 0);
    let route = Route::Reader(UPSTREAM);
    world.publish(Publication { message: message(QOS1, "emitted", "x"), route });
    assert_eq!(world.take_missed(UPSTREAM), 1);
}
