//! A fleet of brokers, as one core sees it: what it is told, and what it brings.

use crate::support::*;

const RULES: ReaderId = ReaderId(1);
const FLEET: ReaderId = ReaderId(2);

/// The others want what `filter` matches.
fn world(filter: &str) -> World {
    world_with(Limits::default(), filter)
}

fn world_with(limits: Limits, filter: &str) -> World {
    let reader = |reader, filter: &str, kind| ReaderConfig {
        reader,
        filters: vec![filter.to_owned()],
        kind,
        names_publishers: false,
    };
    let readers = vec![
        reader(RULES, "sensor/#", ReaderKind::Rules),
        reader(FLEET, filter, ReaderKind::Fleet),
    ];
    World::with_readers(limits, readers)
}

/// What the log holds for the fleet: topic, payload and when it counts as received.
fn for_fleet(world: &World) -> Vec<(String, String, u64)> {
    let net = world.net();
    let is_for_fleet = |targets: &[Target]| {
        targets.iter().any(|target| target.destination == Destination::Reader(FLEET))
    };
    let records = net.store.log.values().filter(|(_, targets)| is_for_fleet(targets));
    let text = |(message, _): &(Message, Vec<Target>)| {
        let parts = message.parts();
        let payload = String::from_utf8_lossy(parts.payload).into_owned();
        (parts.topic.to_owned(), payload, parts.received_at_ms)
    };
    records.map(text).collect()
}

fn of_others(topic: &str, payload: &str, received_at_ms: u64) -> Message {
    let parts = MessageParts { retain: true, received_at_ms, ..message(QOS1, topic, payload) };
    Message::new(&parts, &mut Vec::new())
}

fn now_ms(world: &World) -> u64 {
    world.net().now.unix_ms
}

#[test]
fn what_is_wanted_here_is_told_as_it_changes() {
    let world = world("nothing");
    assert_eq!(world.wanted(), ["sensor/#"], "what the rules want, not what the fleet does");
    let a = world.connect(v311("a"));
    let b = world.connect(v5("b").kept());
    a.subscribe("t/+", QOS0);
    b.subscribe("t/+", QOS1);
    b.subscribe("t/+", QOS0);
    b.subscribe("$share/g/s/#", QOS1);
    b.subscribe("$share/g/s/#", QOS0);
    assert_eq!(world.wanted(), ["s/#", "sensor/#", "t/+"]);
    a.unsubscribe("t/+");
    assert_eq!(world.wanted(), ["s/#", "sensor/#", "t/+"]);
    b.unsubscribe("t/+");
    assert_eq!(world.wanted(), ["s/#", "sensor/#"]);
    a.subscribe("gone/with/me", QOS0);
    a.disconnect();
    b.hang_up();
    assert_eq!(world.wanted(), ["s/#", "sensor/#"], "its session is kept");
    world.crash();
    assert_eq!(world.wanted(), ["s/#", "sensor/#"]);
    let (filters, kind) = (Vec::new(), ReaderKind::Rules);
    let wish = ReaderConfig { reader: RULES, filters, kind, names_publishers: false };
    world.reader_wants(wish);
    let b = world.connect(v5("b").kept());
    b.unsubscribe("$share/g/s/#");
    assert!(world.wanted().is_empty());
}

#[test]
fn nobody_is_told_without_a_fleet() {
    let world = World::new();
    world.connect(v311("a")).subscribe("t/+", QOS0);
    assert!(world.wanted().is_empty());
}

/// Also what others do not want as a message, also at QoS 0, and that something is removed.
#[test]
fn every_change_of_what_is_retained_waits_for_the_fleet_once() {
    for filter in ["nothing", "#"] {
        let world = world(filter);
        let client = world.connect(v311("a"));
        client.publish_retained(QOS0, "t", "1");
        client.publish_retained(QOS1, "t", "2");
        client.publish_retained(QOS0, "t", "");
        let told: Vec<_> = for_fleet(&world).into_iter().map(|(_, payload, _)| payload).collect();
        assert_eq!(told, ["1", "2", ""]);
        assert!(world.take_reader_messages().is_empty(), "they come from the log");
        client.publish(QOS1, "not-retained", "3");
        assert_eq!(for_fleet(&world).len(), if filter == "#" { 4 } else { 3 });
    }
}

/// A clock that is ahead must not make the values of others lose for ever.
#[test]
fn a_change_counts_as_later_than_what_it_takes_the_place_of() {
    let world = world("nothing");
    let ahead = now_ms(&world) + 3_600_000;
    world.retained_elsewhere(&[of_others("t", "ahead", ahead)]);
    let client = world.connect(v311("a"));
    client.publish_retained(QOS1, "t", "mine");
    client.publish_retained(QOS1, "t", "");
    client.publish_retained(QOS1, "t", "again");
    let times: Vec<u64> = for_fleet(&world).iter().map(|(_, _, time)| *time).collect();
    assert_eq!(times, [ahead + 1, ahead + 2, ahead + 3]);
    assert_eq!(world.retained_for(&["#"]), ["t again"]);
    client.publish_retained(QOS1, "u", "x");
    assert_eq!(for_fleet(&world)[3].2, now_ms(&world), "other topics are not concerned");
}

#[test]
fn what_others_have_retained_is_here_and_nobody_is_sent_it() {
    let world = world("#");
    let subscriber = world.connect(v311("a").kept());
    subscriber.subscribe("#", QOS1);
    let now = now_ms(&world);
    world.retained_elsewhere(&[of_others("t", "x", now), of_others("u", "y", now)]);
    subscriber.expect_nothing();
    assert!(for_fleet(&world).is_empty(), "it does not go back");
    world.retained_elsewhere(&[of_others("u", "", now + 1)]);
    for after_crash in [false, true] {
        if after_crash {
            world.crash();
        }
        for id in ["b", "c", "d"] {
            let late = world.connect(v311(id));
            late.subscribe("#", QOS0);
            let received = late.receive();
            assert_eq!((received.topic.as_str(), received.payload.as_str()), ("t", "x"));
            assert!(received.retain);
            late.expect_nothing();
        }
    }
}

/// Whatever order the values come in, and whoever has published them.
#[test]
fn of_two_values_every_broker_keeps_the_same() {
    let now = 1_700_000_000_000;
    let values = [("old", now - 5), ("b", now), ("a", now), ("", now - 1), ("", now - 3)];
    let mut orders = vec![Vec::new()];
    for _ in values {
        let longer = orders.iter().flat_map(|order: &Vec<usize>| {
            let left = (0..values.len()).filter(|index| !order.contains(index));
            left.map(|index| order.iter().copied().chain([index]).collect()).collect::<Vec<_>>()
        });
        orders = longer.collect();
    }
    let mut kept = Vec::new();
    for order in orders {
        let world = world("#");
        for index in order {
            let (payload, time) = values[index];
            world.retained_elsewhere(&[of_others("t", payload, time)]);
        }
        kept.push(world.retained_for(&["#"]));
    }
    kept.dedup();
    assert!(kept == [["t a"]] || kept == [["t b"]], "{kept:?}");
}

/// Until the fleet knows of it.
#[test]
fn what_was_removed_here_does_not_come_back() {
    let world = world("nothing");
    let now = now_ms(&world);
    world.retained_elsewhere(&[of_others("t", "old", now - 10)]);
    let client = world.connect(v311("a"));
    client.publish_retained(QOS1, "t", "");
    world.retained_elsewhere(&[of_others("t", "old", now - 10)]);
    assert!(world.retained_for(&["#"]).is_empty());
    world.retained_elsewhere(&[of_others("t", "", now)]);
    world.retained_elsewhere(&[of_others("t", "new", now + 1)]);
    assert_eq!(world.retained_for(&["#"]), ["t new"]);
}

/// The message brings the value with it, so that whoever subscribes between the two has one of
/// them; and a newer value stays.
#[test]
fn a_message_of_another_broker_is_retained_unless_it_is_old() {
    let world = world("#");
    let subscriber = world.connect(v5("a"));
    subscriber.subscribe_with("#", QOS1, |options| options.retain_as_published = true);
    let now = now_ms(&world);
    let publish = |payload, received_at_ms| {
        let parts = MessageParts { retain: true, received_at_ms, ..message(QOS0, "t", payload) };
        let route = Route::Subscribers { origin: Some(FLEET) };
        world.publish(Publication { message: parts, route });
        let received = subscriber.receive();
        assert_eq!((received.payload.as_str(), received.retain), (payload, true));
        world.retained_for(&["#"])
    };
    assert_eq!(publish("new", now), ["t new"]);
    assert_eq!(publish("old", now - 1), ["t new"]);
    assert_eq!(publish("newest", now + 1), ["t newest"]);
    assert!(for_fleet(&world).is_empty() && world.take_reader_messages().is_empty());
}

/// They had subscribed before the broker that has it knew of that, so it does not come as a
/// message.
#[test]
fn a_value_that_did_not_come_as_a_message_is_handed_to_subscribers_once() {
    let world = world("#");
    let subscribers = ["a", "b", "c", "d"].map(|id| {
        let subscriber = world.connect(v5(id).kept());
        subscriber.subscribe("t", QOS1);
        subscriber
    });
    let now = now_ms(&world);
    let hand = |payload, received_at_ms| {
        let parts = MessageParts { retain: true, received_at_ms, ..message(QOS1, "t", payload) };
        let route = Route::RetainedNews { origin: FLEET };
        world.publish(Publication { message: parts, route });
    };
    let receive = || {
        let received = subscribers.each_ref().map(|one| one.receive());
        assert!(received.iter().all(|one| !one.retain), "they have been there before it");
        received.map(|one| one.payload)
    };
    hand("", now - 2);
    hand("new", now);
    assert_eq!(receive(), ["new"; 4]);
    hand("new", now);
    hand("old", now - 1);
    let come = |payload, received_at_ms| {
        let parts = MessageParts { retain: true, received_at_ms, ..message(QOS1, "t", payload) };
        let route = Route::Subscribers { origin: Some(FLEET) };
        world.publish(Publication { message: parts, route });
    };
    come("new", now);
    subscribers.iter().for_each(|one| one.expect_nothing());
    // It was not handed, since something newer is here.
    come("old", now - 1);
    assert_eq!(receive(), ["old"; 4]);
    let late = world.connect(v5("late"));
    late.subscribe("t", QOS0);
    let received = late.receive();
    assert_eq!((received.payload.as_str(), received.retain), ("new", true));
    hand("", now + 1);
    assert_eq!(receive(), [""; 4], "it is removed");
    assert_eq!(late.receive().payload, "");
    assert!(world.retained_for(&["#"]).is_empty());
    subscribers.iter().for_each(|one| one.expect_nothing());
    assert!(for_fleet(&world).is_empty(), "it does not go back");
}

/// It would be handed again each time that the values of the others are read.
#[test]
fn a_value_that_cannot_be_kept_is_handed_to_nobody() {
    let full = Limits { retained_messages_max: 0, ..Limits::default() };
    let none = Limits { retain_available: false, ..Limits::default() };
    for limits in [full, none] {
        let world = world_with(limits, "#");
        let subscriber = world.connect(v5("a"));
        subscriber.subscribe("t", QOS1);
        let parts = MessageParts { retain: true, ..message(QOS1, "t", "x") };
        let route = Route::RetainedNews { origin: FLEET };
        world.publish(Publication { message: parts, route });
        subscriber.expect_nothing();
    }
}

/// A client that has gone from one broker to another and does not want its own messages.
#[test]
fn no_local_holds_for_what_was_published_to_another_broker() {
    let world = world("#");
    let clients = ["a", "b", "c", "d"].map(|id| {
        let client = world.connect(v5(id));
        client.subscribe_with("t", QOS0, |options| options.no_local = true);
        client
    });
    let parts = MessageParts { publisher: "b", ..message(QOS0, "t", "x") };
    let route = Route::Subscribers { origin: Some(FLEET) };
    world.publish(Publication { message: parts, route });
    let received = clients.map(|client| client.payloads().len());
    assert_eq!(received, [1, 0, 1, 1]);
}

/// Everything local goes on without the fleet.
#[test]
fn no_publisher_waits_for_the_fleet() {
    let durability = DurabilityLevels {
        default: Durability::Upstream,
        filters: vec![("none".to_owned(), Durability::None)],
    };
    let world = world_with(Limits { durability, ..Limits::default() }, "#");
    let client = world.connect(v311("a"));
    client.publish_acknowledged("t", "written");
    assert_eq!(for_fleet(&world).len(), 1);
    client.publish_acknowledged("none", "live");
    client.publish_retained(QOS1, "none", "live too");
    let live: Vec<String> = world.take_reader_messages().into_iter().map(|m| m.payload).collect();
    assert_eq!(live, ["live", "live too"]);
    assert_eq!(for_fleet(&world).len(), 1);
}
