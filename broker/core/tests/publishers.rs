//! Readers that want to know who has published a message.

use crate::support::*;

const RULES: ReaderId = ReaderId(1);
const UPSTREAM: ReaderId = ReaderId(2);

fn world() -> World {
    let reader = |reader, filter: &str, names_publishers| ReaderConfig {
        reader,
        filters: vec![filter.to_owned()],
        kind: ReaderKind::Rules,
        names_publishers,
    };
    let readers = vec![reader(RULES, "in/#", true), reader(UPSTREAM, "up/#", false)];
    World::with_readers(Limits::default(), readers)
}

/// The publishers of what the rules were handed, in order.
fn publishers(world: &World) -> Vec<String> {
    let seen = world.take_reader_messages();
    seen.into_iter().filter(|seen| seen.reader == RULES).map(|seen| seen.publisher).collect()
}

/// The publishers of what the log holds.
fn logged(world: &World) -> Vec<String> {
    let net = world.net();
    net.store.log.values().map(|(message, _)| message.parts().publisher.to_owned()).collect()
}

#[test]
fn a_reader_that_wants_to_know_is_told_who_has_published() {
    let world = world();
    for id in ["a", "b", "c", "d"] {
        let client = world.connect(v5(id));
        client.publish(QOS0, "in/1", "x");
        client.publish_acknowledged("in/1", "x");
        client.publish_exactly_once("in/1", "x");
        client.publish_retained(QOS1, "in/1", "x");
        assert_eq!(publishers(&world), vec![id; 4]);
    }
    // What was acknowledged is in the log, and says it there too.
    assert_eq!(logged(&world), ["a", "a", "a", "b", "b", "b", "c", "c", "c", "d", "d", "d"]);
}

#[test]
fn nobody_else_keeps_the_publisher() {
    let world = world();
    let queue = world.connect(v5("queue").kept());
    queue.subscribe("#", QOS1);
    queue.hang_up();
    let client = world.connect(v5("a"));
    client.publish_acknowledged("up/1", "x");
    client.publish_acknowledged("other", "x");
    client.publish_retained(QOS1, "in/retained", "x");
    assert_eq!(world.take_reader_messages().len(), 2);
    let net = world.net();
    let others = net.store.log.values().filter(|(message, _)| !message.topic().starts_with("in/"));
    assert!(others.clone().count() >= 2);
    assert!(others.map(|(message, _)| message.parts().publisher).all(str::is_empty));
    let retained = net.store.retained.values().map(|message| message.parts().publisher);
    assert_eq!(retained.collect::<Vec<_>>(), [""]);
}

#[test]
fn a_will_and_a_delayed_message_come_from_their_clients() {
    let world = world();
    let client = world.connect(v5("a").will("in/will", "gone"));
    client.publish_acknowledged("$delayed/10/in/later", "x");
    client.hang_up();
    world.advance_s(11);
    assert_eq!(publishers(&world), ["a", "a"]);
}

/// A rule, and what an upstream has sent.
#[test]
fn what_comes_from_inside_has_no_publisher() {
    let world = world();
    let route = Route::Subscribers { origin: None };
    world.publish(Publication { message: message(QOS1, "in/1", "x"), route });
    assert_eq!(publishers(&world), [""]);
}
