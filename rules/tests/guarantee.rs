//! Identifiers of rules whose messages do not wait for the state they came from.

mod common;

use common::{START, plan};
use weir_rules::{Emission, Engine, Event, Timestamp};

/// What a rule of this guarantee sends for payloads of keys.
fn sent(guarantee: &str, more: &str, messages: &[(&str, &str)]) -> Vec<Emission> {
    let text = format!(
        "[rule.r]\nfrom = \"in/{{key}}\"\nby = [\"key\"]\ndecode = \"number\"\n{more}\n\
         guarantee = \"{guarantee}\"\nto = \"out/{{key}}\"\n"
    );
    let mut engine = Engine::new(plan(&text));
    let mut out = Vec::new();
    for (key, payload) in messages {
        handle(&mut engine, (key, payload), START, &mut out);
    }
    engine.advance(Timestamp(START + 60_000), &mut out);
    out
}

fn handle(
    engine: &mut Engine,
    (key, payload): (&str, &str),
    arrived: i64,
    out: &mut Vec<Emission>,
) {
    let topic = format!("in/{key}");
    let (payload, arrived) = (payload.as_bytes(), Timestamp(arrived));
    let event = Event { topic: &topic, payload, qos: 1, retain: false, client: "", arrived };
    engine.handle(arrived, &event, out);
}

fn id_of(sent: &[Emission], topic: &str, text: &str) -> u128 {
    let is_it = |one: &&Emission| {
        one.topic == topic && String::from_utf8_lossy(&one.payload).contains(text)
    };
    sent.iter().find(is_it).expect("it is sent").id
}

/// The power took messages that were not stored yet, and results of them were out. Published again
/// they came in another order, and the second result of a group had the identifier of the first:
/// whoever drops what it has would have lost it.
#[test]
fn an_identifier_stands_for_one_result_although_messages_came_in_another_order() {
    for guarantee in ["at-least-once", "best-effort"] {
        let before = sent(guarantee, "select = { v = \"value\" }", &[("b", "1"), ("a", "1")]);
        let after = sent(guarantee, "select = { v = \"value\" }", &[("a", "1"), ("a", "2")]);
        assert_ne!(id_of(&before, "out/a", "\"v\":1"), id_of(&after, "out/a", "\"v\":2"));
        let letter =
            |payload| id_of(&sent(guarantee, "", &[("a", payload)]), "$rules/r/errors", payload);
        assert_ne!(letter("x"), letter("y"));
    }
}

#[test]
fn a_window_with_other_messages_has_another_identifier_unless_it_is_exactly_once() {
    let window = "window = \"tumbling 1s\"\nselect = { sum = \"sum(value)\" }";
    let id = |guarantee, messages: &[(&str, &str)]| {
        id_of(&sent(guarantee, window, messages), "out/a", "sum")
    };
    for guarantee in ["at-least-once", "best-effort"] {
        assert_ne!(id(guarantee, &[("a", "1"), ("a", "2")]), id(guarantee, &[("a", "1")]));
        assert_eq!(
            id(guarantee, &[("a", "1"), ("a", "2")]),
            id(guarantee, &[("a", "1"), ("a", "2")])
        );
    }
    assert_eq!(id("exactly-once", &[("a", "1"), ("a", "2")]), id("exactly-once", &[("a", "1")]));
}

/// The power took what came after the state was written. The publisher was not answered and sends
/// it again, later: whoever drops what it has must know the results and the dead letters.
#[test]
fn what_is_published_again_later_has_the_same_identifiers() {
    let text = "[rule.r]\nfrom = \"in/{key}\"\ndecode = \"number\"\n\
                select = { v = \"value\" }\nguarantee = \"at-least-once\"\nto = \"out/{key}\"";
    let mut engine = Engine::new(plan(text));
    handle(&mut engine, ("a", "1"), START, &mut Vec::new());
    let mut stored = Vec::new();
    engine.snapshot(1 << 20, &mut |shard| stored.push(shard.to_vec()));
    let ids = |mut engine: Engine, later: i64| {
        let mut out = Vec::new();
        for (payload, at) in [("2", 5), ("letter", 7), ("2", 8)] {
            handle(&mut engine, ("a", payload), START + at + later, &mut out);
        }
        out.iter().map(|one| one.id).collect::<Vec<_>>()
    };
    let none: [&[u8]; 0] = [];
    let restored = Engine::restore(plan(text), stored.iter(), none.iter());
    let again = ids(restored.expect("it can be read"), 90_000);
    assert_eq!(again.len(), 3);
    assert_eq!(ids(engine, 0), again);
}
