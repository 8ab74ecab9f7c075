//! Last-value joins against a plain map of what was published.

mod common;

use std::collections::BTreeMap;

use common::{START, body, plan};
use proptest::prelude::*;
use serde_json::{Value, json};
use weir_rules::{Emission, Engine, Event, Timestamp};

const RULE: &str = r#"
[rule.r]
from   = ["temp/{room}", "outside/{room}/+"]
decode = "number"
let    = { over = "value - set.value" }
select = { over = "over", set = "set.value", name = "config.name", low = "config.limits.low", all = "all.value" }
to     = "out/{room}"
[rule.r.join.set]
topic   = "set/{room}"
decode  = "number"
max_age = "5s"
[rule.r.join.config]
topic = "config/{room}/#"
[rule.r.join.all]
topic   = "temp/+"
decode  = "text"
max_age = "1h"
"#;

/// A rule that goes on uses the values that hold then, not those from before the pause; also when
/// the process has ended meanwhile.
#[test]
fn a_paused_rule_keeps_up_with_what_it_joins() {
    let (mut engine, mut out) = (Engine::new(plan(RULE)), Vec::new());
    let send = |engine: &mut Engine, out: &mut Vec<Emission>, second: i64, topic, payload: &str| {
        let arrived = Timestamp(START + second * 1000);
        let payload = payload.as_bytes();
        let (qos, retain, client) = (1, false, "");
        engine.handle(arrived, &Event { topic, payload, qos, retain, client, arrived }, out);
    };
    send(&mut engine, &mut out, 0, "set/a", "20");
    engine.set_paused("r", true);
    send(&mut engine, &mut out, 1, "set/a", "25");
    send(&mut engine, &mut out, 2, "temp/a", "26");
    // What cannot be read is no news, and a paused rule sends nothing of it.
    send(&mut engine, &mut out, 3, "set/a", "warm");
    let status = &engine.status()[0];
    assert_eq!((out.len(), status.matched, status.errors.len()), (0, 0, 0));
    assert_eq!(status.bytes_in, 2);
    let mut delta = Vec::new();
    engine.take_delta(&mut delta);
    let none = std::iter::empty::<Vec<u8>>();
    let mut engine = Engine::restore(plan(RULE), none, [delta].iter()).expect("what was taken");
    engine.set_paused("r", false);
    send(&mut engine, &mut out, 4, "temp/a", "26");
    assert_eq!((&body(&out[0])["set"], &body(&out[0])["over"]), (&json!(25), &json!(1)));
}

/// A message: what it is, its room, its number, and how long after the one before it came.
#[derive(Clone, Debug)]
struct Sent {
    kind: Kind,
    room: u8,
    number: i32,
    step: i64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Config,
    Outside,
    RemoveConfig,
    RemoveSet,
    Set,
    Temp,
}

fn sent() -> impl Strategy<Value = Vec<Sent>> {
    let kinds = [
        Kind::Config,
        Kind::Outside,
        Kind::RemoveConfig,
        Kind::RemoveSet,
        Kind::Set,
        Kind::Set,
        Kind::Temp,
        Kind::Temp,
        Kind::Temp,
    ];
    let one = (proptest::sample::select(kinds.to_vec()), 0u8..3, -50i32..50, 0i64..3000);
    let make = |(kind, room, number, step)| Sent { kind, room, number, step };
    proptest::collection::vec(one.prop_map(make), 1..80)
}

impl Sent {
    fn message(&self) -> (String, String) {
        let Sent { room, number, .. } = self;
        match self.kind {
            Kind::Config => {
                let config = json!({ "name": format!("n{number}"), "limits": { "low": number } });
                (format!("config/{room}/x"), config.to_string())
            }
            Kind::Outside => (format!("outside/{room}/x"), number.to_string()),
            Kind::RemoveConfig => (format!("config/{room}"), String::new()),
            Kind::RemoveSet => (format!("set/{room}"), String::new()),
            Kind::Set => (format!("set/{room}"), number.to_string()),
            Kind::Temp => (format!("temp/{room}"), number.to_string()),
        }
    }
}

fn handle(engine: &mut Engine, topic: &str, payload: &str, at: i64, out: &mut Vec<Emission>) {
    let arrived = Timestamp(START + at);
    let (payload, qos, retain, client) = (payload.as_bytes(), 1, false, "c");
    engine.handle(arrived, &Event { topic, payload, qos, retain, client, arrived }, out);
}

fn expected(list: &[Sent]) -> Vec<Value> {
    let (mut at, mut found) = (0, Vec::new());
    let mut sets: BTreeMap<u8, (i64, i32)> = BTreeMap::new();
    let mut configs: BTreeMap<u8, i32> = BTreeMap::new();
    let mut last = Value::Null;
    for one in list {
        at += one.step;
        match one.kind {
            Kind::Config => drop(configs.insert(one.room, one.number)),
            Kind::RemoveConfig => drop(configs.remove(&one.room)),
            Kind::RemoveSet => drop(sets.remove(&one.room)),
            Kind::Set => drop(sets.insert(one.room, (at, one.number))),
            Kind::Outside | Kind::Temp => {
                if one.kind == Kind::Temp {
                    last = json!(one.number.to_string());
                }
                let set = sets.get(&one.room).filter(|(then, _)| at - then <= 5000);
                let set = set.map(|(_, number)| *number);
                let config = configs.get(&one.room);
                found.push(json!({
                    "over": set.map(|set| one.number - set),
                    "set": set,
                    "name": config.map(|number| format!("n{number}")),
                    "low": config,
                    "all": last,
                }));
            }
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn joined_values_are_those_that_were_published_last(
        list in sent(), cuts in proptest::collection::vec(0u8..4, 1..9),
    ) {
        let mut engine = Engine::new(plan(RULE));
        let (mut out, mut deltas, mut at) = (Vec::new(), Vec::new(), 0);
        for (position, one) in list.iter().enumerate() {
            at += one.step;
            let (topic, payload) = one.message();
            handle(&mut engine, &topic, &payload, at, &mut out);
            if cuts[position % cuts.len()] == 0 {
                let mut delta = Vec::new();
                if engine.take_delta(&mut delta) {
                    deltas.push(delta);
                }
                let before = engine.status();
                let none = std::iter::empty::<Vec<u8>>();
                engine = Engine::restore(plan(RULE), none, deltas.iter())
                    .expect("what was stored can be read");
                prop_assert_eq!(before[0].state_bytes, engine.status()[0].state_bytes);
            }
        }
        let found: Vec<Value> = out.iter().map(body).collect();
        prop_assert_eq!(found, expected(&list));
    }
}

const SMALL: &str = "[rule.r]\nfrom = \"t/{k}\"\ndecode = \"number\"\nselect = { s = \"s.value\" }\n\
    to = \"o\"\nlimits = { keys = 2 }\n[rule.r.join.s]\ntopic = \"s/{k}\"\ndecode = \"number\"\n\
    max_age = \"10s\"\n";

fn texts(out: &mut Vec<Emission>) -> Vec<String> {
    let text = |one: Emission| String::from_utf8_lossy(&one.payload).into_owned();
    out.drain(..).map(text).collect()
}

#[test]
fn values_are_bounded_and_old_ones_make_room() {
    let (mut engine, mut out) = (Engine::new(plan(SMALL)), Vec::new());
    for (at, key) in [(0, "a"), (1000, "b"), (2000, "c")] {
        handle(&mut engine, &format!("s/{key}"), "5", at, &mut out);
    }
    let codes: Vec<_> = out.drain(..).filter_map(|one| one.error).map(|error| error.code).collect();
    assert_eq!(codes, ["R105"]);
    handle(&mut engine, "s/c", "7", 10_500, &mut out);
    handle(&mut engine, "t/c", "1", 10_500, &mut out);
    handle(&mut engine, "t/a", "1", 10_500, &mut out);
    assert_eq!(texts(&mut out), ["{\"s\":7}", "{\"s\":null}"]);
}

/// A value that was published after the calendar was set back counted as older than the one before,
/// until the calendar had caught up.
#[test]
fn values_are_replaced_also_when_the_clock_was_set_back() {
    let (mut engine, mut out) = (Engine::new(plan(SMALL)), Vec::new());
    handle(&mut engine, "s/a", "5", 9000, &mut out);
    handle(&mut engine, "s/a", "6", 8000, &mut out);
    handle(&mut engine, "t/a", "1", 8001, &mut out);
    handle(&mut engine, "s/a", "", 7000, &mut out);
    handle(&mut engine, "t/a", "1", 7001, &mut out);
    assert_eq!(texts(&mut out), ["{\"s\":6}", "{\"s\":null}"]);
}

#[test]
fn what_cannot_be_read_leaves_the_value_and_is_a_letter() {
    let (mut engine, mut out) = (Engine::new(plan(SMALL)), Vec::new());
    handle(&mut engine, "s/a", "5", 0, &mut out);
    handle(&mut engine, "s/a", "five", 1, &mut out);
    let letter = out.remove(0).error.expect("it is no number");
    assert_eq!((letter.code, letter.topic.as_str()), ("R101", "s/a"));
    handle(&mut engine, "t/a", "1", 2, &mut out);
    assert_eq!(texts(&mut out), ["{\"s\":5}"]);
    assert_eq!(engine.status()[0].matched, 1);
}

#[test]
fn retained_messages_at_the_start_fill_what_is_not_known_better() {
    let (mut engine, mut out) = (Engine::new(plan(SMALL)), Vec::new());
    assert_eq!(plan(SMALL).joined_filters().collect::<Vec<_>>(), ["s/+"]);
    handle(&mut engine, "s/a", "5", 2000, &mut out);
    let mut seed = |topic, payload: &str, at, only_missing, out: &mut Vec<Emission>| {
        let arrived = Timestamp(START + at);
        let (payload, qos, retain, client) = (payload.as_bytes(), 1, true, "");
        let event = Event { topic, payload, qos, retain, client, arrived };
        engine.seed(&event, only_missing, out);
    };
    seed("s/a", "6", 3000, true, &mut out);
    seed("s/b", "8", 1000, true, &mut out);
    seed("s/a", "4", 1000, false, &mut out);
    // A retained message that the rule reads itself was not published now.
    seed("t/a", "1", 3000, false, &mut out);
    // What cannot be read is no letter at every start. It counts if nothing else is known.
    seed("s/c", "warm", 3000, true, &mut out);
    seed("s/b", "warm", 4000, true, &mut out);
    seed("s/c", "warm", 3000, false, &mut out);
    assert!(out.is_empty());
    assert_eq!(engine.status()[0].errors, [("R101", 1)]);
    for key in ["a", "b"] {
        handle(&mut engine, &format!("t/{key}"), "1", 3000, &mut out);
    }
    assert_eq!(texts(&mut out), ["{\"s\":5}", "{\"s\":8}"]);
}
