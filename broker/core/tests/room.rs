//! A store without room: what would need some is refused, whatever makes some goes on.

use crate::support::*;

/// A publisher, and a kept session that is away and takes everything below `kept/`.
fn world_with(publisher: Options, limits: Limits) -> (World, Client) {
    let world = World::with_limits(limits);
    let away = world.connect(v5("away").kept());
    away.subscribe("kept/#", QOS2);
    away.hang_up();
    let publisher = world.connect(publisher);
    (world, publisher)
}

fn world(publisher: Options) -> (World, Client) {
    world_with(publisher, Limits::default())
}

/// The reason and the Reason String of the next packet.
fn refusal(client: &Client) -> (PacketKind, ReasonCode, Option<String>) {
    client.look(|packet| {
        let (reason, text) = match packet {
            Packet::Puback(a) | Packet::Pubrec(a) => (a.reason, a.reason_string),
            Packet::Connack(connack) => (connack.reason, connack.properties.reason_string),
            Packet::Suback(suback) => {
                (suback.reasons.iter().next().unwrap_or_default(), suback.reason_string)
            }
            other => panic!("{other:?}"),
        };
        (packet.kind(), reason, text.map(str::to_owned))
    })
}

#[track_caller]
fn expect_refusal(client: &Client, kind: PacketKind) {
    let (found, reason, text) = refusal(client);
    assert_eq!((found, reason), (kind, ReasonCode::QuotaExceeded));
    let text = text.expect("it is explained");
    assert!(text.contains("store of the broker is full") && text.contains("room"), "{text}");
}

fn logged(world: &World) -> usize {
    world.net().store.log.len()
}

#[test]
fn a_message_that_would_have_to_be_kept_is_refused_with_0x97() {
    let (world, publisher) = world(v5("publisher").kept());
    world.room(StoreRoom::Full);
    publisher.publish(QOS1, "kept/a", "1");
    expect_refusal(&publisher, PacketKind::Puback);
    publisher.publish(QOS2, "kept/a", "2");
    expect_refusal(&publisher, PacketKind::Pubrec);
    // Its identifier would have to be kept.
    publisher.publish(QOS2, "nobody", "3");
    expect_refusal(&publisher, PacketKind::Pubrec);
    publisher.publish_retained(QOS1, "retained", "4");
    expect_refusal(&publisher, PacketKind::Puback);
    publisher.publish(QOS1, "$delayed/5/nobody", "5");
    expect_refusal(&publisher, PacketKind::Puback);
    assert_eq!((logged(&world), world.metrics().retained, world.metrics().delayed), (0, 0, 0));
    assert_eq!(world.drops_of("publisher").disk_full, 5);
    assert_eq!(world.metrics().drops.disk_full, 5);
    let notice = ("publisher".to_owned(), DropReason::DiskFull);
    assert_eq!(world.take_drop_notices(), [notice], "one for the episode");

    world.room(StoreRoom::Ample);
    publisher.publish_acknowledged("kept/a", "6");
    publisher.publish_exactly_once("kept/a", "7");
    assert_eq!(world.connect(v5("away").kept()).payloads(), ["6", "7"]);
}

/// A refusal ends the exchange, so the client's quota is free again.
#[test]
fn a_refused_message_takes_no_place_of_the_quota() {
    let limits = Limits { inflight_messages_max: 2, ..Limits::default() };
    let (world, publisher) = world_with(v5("publisher"), limits);
    world.room(StoreRoom::Full);
    for _ in 0..5 {
        publisher.publish(QOS1, "kept/a", "x");
        expect_refusal(&publisher, PacketKind::Puback);
        publisher.publish(QOS2, "kept/a", "x");
        expect_refusal(&publisher, PacketKind::Pubrec);
    }
}

/// An earlier answer that waits for its commit goes first; otherwise a refusal waits for nothing.
#[test]
fn a_refusal_keeps_the_order_of_answers_and_waits_for_nobody_else() {
    let (world, publisher) = world(v5("publisher"));
    let other = world.connect(v5("other"));
    world.hold_commits();
    let first = publisher.publish(QOS1, "kept/a", "1");
    world.room(StoreRoom::Full);
    publisher.publish(QOS1, "kept/a", "2");
    publisher.expect_nothing();
    other.publish(QOS1, "kept/a", "3");
    expect_refusal(&other, PacketKind::Puback);
    world.commit();
    publisher.expect(PacketKind::Puback, first);
    expect_refusal(&publisher, PacketKind::Puback);
}

/// It cannot be told, so it gets no answer and keeps the message. Once there is room its
/// connection ends, because only on the next one it sends again, in order, before what is new.
#[test]
fn a_client_of_3_x_gets_no_answer_and_offers_its_message_again() {
    for options in [v311("publisher").kept(), v31("publisher").kept()] {
        let (world, publisher) = world(options.clone());
        world.room(StoreRoom::Full);
        let first = publisher.publish(QOS1, "kept/a", "1");
        let second = publisher.publish(QOS2, "kept/a", "2");
        publisher.expect_nothing();
        let fine = publisher.publish(QOS1, "nobody", "x");
        publisher.expect(PacketKind::Puback, fine);
        let other = world.connect(v311("other"));
        assert_eq!(world.drops_of("publisher").disk_full, 2);

        world.room(StoreRoom::Ample);
        publisher.expect_closed();
        other.expect_nothing();
        let again = world.connect(options);
        again.publish_with(QOS1, "kept/a", "1", |publish| {
            (publish.packet_id, publish.dup) = (PacketId::new(first), true);
        });
        again.expect(PacketKind::Puback, first);
        again.publish_with(QOS2, "kept/a", "2", |publish| {
            (publish.packet_id, publish.dup) = (PacketId::new(second), true);
        });
        again.expect(PacketKind::Pubrec, second);
        again.pubrel(second);
        again.expect(PacketKind::Pubcomp, second);
        assert_eq!(world.connect(v5("away").kept()).payloads(), ["1", "2"]);
    }
}

#[test]
fn what_needs_no_room_goes_on() {
    in_one_shard();
    for options in [v5("publisher"), v311("publisher")] {
        let (world, publisher) = world(options);
        let online = world.connect(v5("online"));
        online.subscribe("#", QOS2);
        let kept = world.connect(v311("kept").kept());
        kept.subscribe("quick/#", QOS1);
        kept.subscribe("slow/#", QOS0);
        let before = (logged(&world), world.net().store.sessions.len());
        world.room(StoreRoom::Full);
        publisher.publish(QOS0, "kept/a", "1");
        publisher.publish(QOS0, "quick/a", "2");
        publisher.publish_acknowledged("slow/a", "3");
        publisher.publish_exactly_once("other/a", "4");
        assert_eq!(online.payloads(), ["1", "2", "3", "4"]);
        assert_eq!(kept.payloads(), ["2", "3"]);
        assert_eq!(world.metrics().drops, Drops::default());
        assert_eq!((logged(&world), world.net().store.sessions.len()), before);
    }
}

/// A subscriber of its own that wants nothing back, and one that may not read it, keep nothing.
#[test]
fn a_message_that_its_kept_subscriber_does_not_get_needs_no_room() {
    let world = World::new();
    let publisher = world.connect(v5("publisher").kept());
    publisher.subscribe_with("t", QOS1, |options| options.no_local = true);
    world.room(StoreRoom::Full);
    publisher.publish_acknowledged("t", "x");
    publisher.subscribe_with("t", QOS1, |options| options.no_local = false);
    publisher.publish(QOS1, "t", "x");
    expect_refusal(&publisher, PacketKind::Puback);
}

#[test]
fn a_retained_message_is_delivered_and_kept_only_in_place_of_one_as_long() {
    for options in [v5("publisher"), v311("publisher")] {
        let (world, publisher) = world(options);
        let online = world.connect(v5("online"));
        online.subscribe("#", QOS1);
        publisher.publish_retained(QOS0, "known", "12.5");
        world.room(StoreRoom::Full);
        publisher.publish_retained(QOS0, "new", "x");
        publisher.publish_retained(QOS0, "known", "longer than before");
        assert_eq!(online.payloads(), ["12.5", "x", "longer than before"]);
        assert_eq!(world.drops_of("publisher").disk_full, 2);
        assert_eq!(world.net().store.retained.len(), 1);
        assert_eq!(world.net().store.retained["known"].payload(), b"12.5");

        publisher.publish_retained(QOS0, "known", "13.0");
        assert_eq!(world.net().store.retained["known"].payload(), b"13.0");
        world.crash();
        let late = world.connect(v5("late"));
        late.subscribe("#", QOS0);
        assert_eq!(late.payloads(), ["13.0"]);
    }
}

#[test]
fn retained_messages_can_be_removed() {
    in_one_shard();
    let (world, publisher) = world(v5("publisher"));
    publisher.publish_retained(QOS0, "kept/a", "x");
    publisher.publish_retained(QOS0, "b", "x");
    world.room(StoreRoom::Full);
    publisher.publish_retained(QOS0, "b", "");
    publisher.publish_retained(QOS1, "kept/a", "");
    let id = publisher.next_id() - 1;
    publisher.expect(PacketKind::Puback, id);
    assert!(world.net().store.retained.is_empty());
    assert_eq!(logged(&world), 1, "for the one that is away");
    // There is nothing to remove any more, and somebody is away.
    publisher.publish_retained(QOS1, "kept/a", "");
    expect_refusal(&publisher, PacketKind::Puback);
}

/// Each acknowledgement, and the end of whatever was begun, is a commit as ever.
#[test]
fn what_makes_room_goes_on() {
    in_one_shard();
    for options in [v5("away").kept(), v311("away").kept()] {
        let world = World::new();
        let publisher = world.connect(v5("publisher").kept());
        let away = world.connect(options.clone());
        away.subscribe("a/#", QOS2);
        away.subscribe("b/#", QOS1);
        away.hang_up();
        for n in 0..60 {
            publisher.publish_exactly_once("a/x", &n.to_string());
            publisher.publish_acknowledged("b/x", &n.to_string());
        }
        let id = publisher.publish(QOS2, "a/x", "last");
        publisher.expect(PacketKind::Pubrec, id);
        world.room(StoreRoom::Full);
        assert_eq!(logged(&world), 121);
        publisher.pubrel(id);
        publisher.expect(PacketKind::Pubcomp, id);
        let back = world.connect(options);
        assert_eq!(back.receive_all().len(), 121);
        assert_eq!(logged(&world), 0, "all of it was acknowledged");
        back.unsubscribe("a/#");
        let session = world
            .net()
            .store
            .sessions
            .values()
            .find(|stored| &*stored.record.client_id == "away")
            .cloned()
            .expect("it is kept");
        assert_eq!(session.subscriptions.keys().map(|f| &**f).collect::<Vec<_>>(), ["b/#"]);
        assert!(session.inflight.is_empty());
        back.hang_up();
        world.connect(v5("away").clean());
        assert_eq!(world.net().store.sessions.len(), 1, "the other one is the publisher's");
        publisher.expect_nothing();
    }
}

#[test]
fn a_kept_session_gets_no_new_subscription() {
    let (world, publisher) = world(v5("publisher"));
    let (kept, old) = (world.connect(v5("kept").kept()), world.connect(v311("old").kept()));
    kept.subscribe("t", QOS0);
    world.room(StoreRoom::Full);
    kept.send_subscribe("u", QOS1, None, |_| {});
    expect_refusal(&kept, PacketKind::Suback);
    old.send_subscribe("u", QOS1, None, |_| {});
    assert_eq!(old.expect_suback(), [0x80]);
    // That needs no room.
    kept.subscribe("t", QOS1);
    publisher.subscribe("u", QOS1);
    world.room(StoreRoom::Ample);
    kept.subscribe("u", QOS1);
    old.subscribe("u", QOS1);
}

/// A client that subscribes at each start, as most do, gets its retained messages without a row.
#[test]
fn a_subscription_that_is_renewed_brings_retained_messages_that_wait_in_memory() {
    in_one_shard();
    let (world, publisher) = world(v5("publisher"));
    publisher.publish_retained(QOS2, "state/a", "a");
    publisher.publish_retained(QOS1, "state/b", "b");
    let kept = world.connect(v311("kept").kept());
    kept.subscribe("state/#", QOS2);
    assert_eq!(kept.receive_all().len(), 2);
    world.room(StoreRoom::Full);
    kept.hang_up();
    let kept = world.connect(v311("kept").kept());
    kept.send_subscribe("state/#", QOS2, None, |_| {});
    let first = kept.receive();
    assert_eq!((first.payload.as_str(), first.qos), ("a", QOS1));
    assert_eq!(logged(&world), 0);
    // What it has not acknowledged comes again, as always.
    kept.hang_up();
    let kept = world.connect(v311("kept").kept());
    assert_eq!(kept.payloads(), ["a", "b"]);
    world.crash();
    let kept = world.connect(v311("kept").kept());
    kept.expect_nothing();
}

#[test]
fn a_session_that_would_be_kept_anew_is_refused() {
    let (world, _publisher) = world(v5("publisher"));
    world.connect(v311("old").kept()).disconnect();
    world.room(StoreRoom::Full);
    let refused = world.dial(&v5("new").kept());
    expect_refusal(&refused, PacketKind::Connack);
    refused.expect_closed();
    world.dial(&v311("new").kept()).expect_refused(ReasonCode::ServerUnavailable);
    // Those that are known, and those that are not kept, come and go.
    assert!(world.connect(v311("old").kept()).session_present);
    assert!(world.connect(v5("away").kept()).session_present);
    world.connect(v5("new"));
    world.connect(v311("clean"));
    world.room(StoreRoom::Ample);
    world.connect(v5("new").kept());
}

/// The will of a kept session has its room in the store already. Another one waits in memory.
#[test]
fn a_will_that_is_in_the_store_is_published_as_ever_and_another_is_not_written() {
    let world = World::new();
    let away = world.connect(v5("away").kept());
    away.subscribe("will/#", QOS1);
    away.hang_up();
    let here = world.connect(v5("here").kept());
    here.subscribe("will/#", QOS1);
    let kept = world.connect(v5("kept").kept().will("will/kept", "kept"));
    let clean = world.connect(v5("clean").will("will/clean", "clean"));
    let retained = v5("retained").will("will/retained", "retained");
    let retained = world.connect(retained.with_will(|will| will.retain = true));
    world.room(StoreRoom::Full);
    kept.hang_up();
    clean.hang_up();
    retained.hang_up();
    let received = here.receive_all();
    let received: Vec<_> = received.iter().map(|m| m.payload.as_str()).collect();
    assert_eq!(received, ["kept", "clean", "retained"]);
    assert_eq!((world.metrics().retained, world.metrics().drops.disk_full), (0, 1));
    world.crash();
    assert_eq!(world.connect(v5("away").kept()).payloads(), ["kept"]);
}

#[test]
fn a_delayed_message_is_published_when_its_time_has_come() {
    let (world, publisher) = world(v5("publisher"));
    publisher.publish_acknowledged("$delayed/10/kept/a", "later");
    world.room(StoreRoom::Full);
    publisher.publish(QOS0, "$delayed/10/kept/a", "dropped");
    assert_eq!(world.drops_of("publisher").disk_full, 1);
    world.advance_s(10);
    assert_eq!(world.connect(v5("away").kept()).payloads(), ["later"]);
}

#[test]
fn a_share_with_a_kept_member_needs_room() {
    let world = World::new();
    let publisher = world.connect(v5("publisher"));
    let clean = world.connect(v5("clean"));
    clean.subscribe("$share/g/t", QOS1);
    let kept = world.connect(v5("kept").kept());
    kept.subscribe("$share/h/u", QOS1);
    world.room(StoreRoom::Full);
    publisher.publish_acknowledged("t", "x");
    assert_eq!(clean.payloads(), ["x"]);
    publisher.publish(QOS1, "u", "x");
    expect_refusal(&publisher, PacketKind::Puback);
}

/// Messages that are sent at the QoS of the subscription although they were published with QoS 0.
#[test]
fn what_is_upgraded_is_not_written() {
    let limits = Limits { upgrades_qos: true, ..Limits::default() };
    let (world, publisher) = world_with(v5("publisher"), limits);
    let kept = world.connect(v5("kept").kept());
    kept.subscribe("t", QOS1);
    publisher.publish(QOS0, "t", "1");
    assert_eq!(kept.receive_and_acknowledge().qos, QOS1);
    world.room(StoreRoom::Full);
    publisher.publish(QOS0, "t", "2");
    assert_eq!(logged(&world), 0);
    assert_eq!(kept.receive_and_acknowledge().qos, QOS1);
}

/// A letter would be one more message to keep.
#[test]
fn no_dead_letters_are_made() {
    let limits =
        Limits { dead_letter: Some("$dead".into()), queued_messages_max: 1, ..Limits::default() };
    let (world, publisher) = world_with(v5("publisher"), limits);
    let slow = world.connect(v5("slow").packet_max(30));
    slow.subscribe("t", QOS0);
    world.room(StoreRoom::Full);
    publisher.publish(QOS0, "t", &"x".repeat(50));
    let metrics = world.metrics();
    assert_eq!((metrics.drops.too_large, metrics.dead_letters), (1, 0));
    assert_eq!(metrics.dead_letters_missed, 1);
}

const RULES: ReaderId = ReaderId(1);
const UPSTREAM: ReaderId = ReaderId(2);

fn world_with_readers() -> World {
    let reader = |reader, filter: &str, kind| ReaderConfig {
        reader,
        filters: vec![filter.to_owned()],
        kind,
        names_publishers: false,
    };
    let readers = vec![
        reader(RULES, "sensor/#", ReaderKind::Rules),
        reader(UPSTREAM, "up/#", ReaderKind::Upstream),
    ];
    World::with_readers(Limits::default(), readers)
}

#[test]
fn what_rules_and_upstreams_would_have_to_read_from_the_log_is_refused() {
    let world = world_with_readers();
    let publisher = world.connect(v5("publisher"));
    world.room(StoreRoom::Full);
    for topic in ["sensor/1", "up/1"] {
        publisher.publish(QOS1, topic, "x");
        expect_refusal(&publisher, PacketKind::Puback);
        publisher.publish(QOS0, topic, "y");
    }
    let handed_over = world.take_reader_messages();
    assert!(handed_over.iter().all(|m| m.payload == "y" && m.sequence.is_none()));
    assert_eq!(handed_over.len(), 2, "QoS 0 goes on");
}

/// Results wait if they would have to be kept, unless their reader makes room by going on.
#[test]
fn results_wait_for_room_unless_their_reader_is_behind() {
    let world = world_with_readers();
    let kept = world.connect(v5("kept").kept());
    kept.subscribe("out/#", QOS1);
    let from = |origin| Route::Subscribers { origin };
    let waits = |world: &World, qos, topic, route| {
        world.must_wait(&Publication { message: message(qos, topic, "x"), route })
    };
    let needy = [
        (QOS1, "out/1", from(None)),
        (QOS1, "up/1", from(None)),
        (QOS0, "emitted", Route::Reader(UPSTREAM)),
        (QOS1, "out/1", from(Some(UPSTREAM))),
    ];
    for (qos, topic, route) in needy {
        assert!(!waits(&world, qos, topic, route), "there is room");
    }
    world.room(StoreRoom::Full);
    for (qos, topic, route) in needy {
        assert!(waits(&world, qos, topic, route), "{topic}");
    }
    for (qos, topic, route) in [
        (QOS0, "out/1", from(None)),
        (QOS1, "nobody", from(None)),
        // It does not get back what it brought.
        (QOS1, "up/1", from(Some(UPSTREAM))),
    ] {
        assert!(!waits(&world, qos, topic, route), "{topic}");
    }

    world.room(StoreRoom::Ample);
    let publisher = world.connect(v5("publisher"));
    publisher.publish_acknowledged("sensor/1", "x");
    let position = *world.net().store.log.keys().next().expect("it waits for the rules");
    world.room(StoreRoom::Full);
    assert!(!waits(&world, QOS1, "out/1", from(None)), "the rules are behind");
    assert!(waits(&world, QOS1, "out/1", from(Some(UPSTREAM))), "the upstream is not");
    world.reader_done(RULES, position);
    assert!(waits(&world, QOS1, "out/1", from(None)));
    world.net().handle(Input::ReaderMissed { messages: 3 });
    assert_eq!(world.metrics().drops.disk_full, 3);
}

/// Nothing of such a topic is written, so it needs no room.
#[test]
fn a_topic_of_level_none_goes_on() {
    let filters = vec![("kept/raw/#".to_owned(), Durability::None)];
    let durability = DurabilityLevels { default: Durability::Commit, filters };
    let limits = Limits { durability, ..Limits::default() };
    let (world, publisher) = world_with(v5("publisher").kept(), limits);
    world.room(StoreRoom::Full);
    publisher.publish_acknowledged("kept/raw/a", "1");
    publisher.publish_exactly_once("kept/raw/a", "2");
    publisher.publish(QOS1, "kept/a", "3");
    expect_refusal(&publisher, PacketKind::Puback);
    assert_eq!(logged(&world), 0);
    assert_eq!(world.connect(v5("away").kept()).payloads(), ["1", "2"]);
}

/// Otherwise as much could be lost as a disk takes to come back.
#[test]
fn while_the_store_fails_a_relaxed_topic_waits_for_its_commit_too() {
    let durability = DurabilityLevels { default: Durability::Relaxed, filters: Vec::new() };
    let (world, publisher) =
        world_with(v5("publisher"), Limits { durability, ..Limits::default() });
    world.hold_commits();
    publisher.publish_acknowledged("kept/a", "1");
    world.room(StoreRoom::Failing);
    let id = publisher.publish(QOS1, "kept/a", "2");
    publisher.expect_nothing();
    world.release_commits();
    publisher.expect(PacketKind::Puback, id);
    world.room(StoreRoom::Ample);
    world.hold_commits();
    publisher.publish_acknowledged("kept/a", "3");
}
