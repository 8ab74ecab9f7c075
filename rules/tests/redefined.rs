//! Rules that are changed between two starts, against a plain recomputation: what is in the panes
//! goes on under other conditions and topics, and begins anew with another window.

mod common;

use std::collections::BTreeMap;

use common::{Input, body, finish, handle, inputs, plan};
use proptest::prelude::*;
use weir_rules::{Emission, Engine};

/// What may be written in the file of the rule.
#[derive(Clone, Debug)]
struct Definition {
    least: i32,
    count_min: u8,
    topic: u8,
    window_s: i64,
}

impl Definition {
    fn text(&self) -> String {
        let Self { least, count_min, topic, window_s } = self;
        format!(
            "[rule.r]\nfrom = \"in/{{key}}\"\nby = [\"key\"]\nwhere = \"v > {least}\"\n\
             window = \"tumbling {window_s}s\"\nselect = {{ n = \"count()\", max = \"max(v)\" }}\n\
             having = \"n >= {count_min}\"\nlimits = {{ expire = \"10h\" }}\n\
             to = \"out{topic}/{{key}}\"\n"
        )
    }
}

/// From one start to the next.
#[derive(Clone, Debug)]
struct Life {
    definition: Definition,
    /// Of so many messages.
    length: usize,
}

fn lives() -> impl Strategy<Value = Vec<Life>> {
    let window_s = prop_oneof![3 => Just(5i64), 1 => Just(7i64)];
    let life = (-100i32..100, 0u8..4, 0u8..2, window_s, 1usize..25);
    let life = life.prop_map(|(least, count_min, topic, window_s, length)| Life {
        definition: Definition { least, count_min, topic, window_s },
        length,
    });
    proptest::collection::vec(life, 1..6)
}

/// Topic, end of the window, number of messages and largest value of a result.
type Found = (String, i64, usize, f64);

/// The rule as it runs: a life after the other, with all that the one before has stored.
fn run(lives: &[Life], inputs: &[Input]) -> Vec<Emission> {
    let mut out = Vec::new();
    let (mut snapshot, mut delta): (Vec<Vec<u8>>, Vec<u8>) = (Vec::new(), Vec::new());
    for (definition, now) in by_life(lives, inputs) {
        let deltas = Some(&delta).filter(|delta| !delta.is_empty()).into_iter();
        let plan = plan(&definition.text());
        let mut engine = Engine::restore(plan, snapshot.iter(), deltas).expect("what was stored");
        snapshot.clear();
        engine.snapshot(usize::MAX, &mut |shard| snapshot.push(shard.to_vec()));
        now.iter().for_each(|input| handle(&mut engine, input, &mut out));
        delta.clear();
        engine.take_delta(&mut delta);
    }
    let definition = &lives.last().expect("there is a life").definition;
    let deltas = Some(&delta).filter(|delta| !delta.is_empty()).into_iter();
    let restored = Engine::restore(plan(&definition.text()), snapshot.iter(), deltas);
    finish(&mut restored.expect("what was stored"), &mut out);
    out
}

/// Each definition with the messages that come while it runs; the last one has the rest.
fn by_life<'a>(lives: &'a [Life], inputs: &'a [Input]) -> Vec<(&'a Definition, &'a [Input])> {
    let mut rest = inputs;
    let mut all: Vec<(&Definition, &[Input])> = Vec::new();
    for (number, life) in lives.iter().enumerate() {
        let is_last = number + 1 == lives.len();
        let length = if is_last { rest.len() } else { life.length.min(rest.len()) };
        let (now, later) = rest.split_at(length);
        all.push((&life.definition, now));
        rest = later;
    }
    all
}

fn found(emission: &Emission) -> Found {
    let body = body(emission);
    let end = body["window"]["end"].as_str().expect("a window");
    let end = end.parse::<jiff::Timestamp>().expect("a time stamp").as_millisecond();
    let count = body["n"].as_u64().expect("a number") as usize;
    (emission.topic.clone(), end, count, body["max"].as_f64().expect("a number"))
}

/// The same from the messages alone.
fn expected(lives: &[Life], inputs: &[Input]) -> Vec<Found> {
    let mut expected = Vec::new();
    let mut open: BTreeMap<(i64, u8), Vec<f64>> = BTreeMap::new();
    let mut window_s = None;
    for (definition, now) in by_life(lives, inputs) {
        if window_s.replace(definition.window_s) != Some(definition.window_s) {
            open.clear();
        }
        for input in now {
            close(&mut open, input.arrived, definition, &mut expected);
            let length = definition.window_s * 1000;
            let end = (input.arrived.div_euclid(length) + 1) * length;
            if let Some(value) = input.value.filter(|value| *value > f64::from(definition.least)) {
                open.entry((end, input.key)).or_default().push(value);
            }
        }
    }
    let last = &lives.last().expect("there is a life").definition;
    close(&mut open, i64::MAX, last, &mut expected);
    expected
}

fn close(
    open: &mut BTreeMap<(i64, u8), Vec<f64>>,
    now: i64,
    definition: &Definition,
    results: &mut Vec<Found>,
) {
    let later = open.split_off(&(now.saturating_add(1), 0));
    for ((end, key), values) in std::mem::replace(open, later) {
        if values.len() >= usize::from(definition.count_min) {
            let max = values.iter().copied().fold(f64::MIN, f64::max);
            results.push((format!("out{}/{key}", definition.topic), end, values.len(), max));
        }
    }
}

proptest! {
    #[test]
    fn state_goes_on_under_another_definition_as_far_as_that_keeps_the_same(
        lives in lives(),
        inputs in inputs(80),
    ) {
        let mut found: Vec<Found> = run(&lives, &inputs).iter().map(found).collect();
        let mut expected = expected(&lives, &inputs);
        // Which group comes first at one time is not said.
        let by_window = |a: &Found, b: &Found| (a.1, &a.0, a.2).cmp(&(b.1, &b.0, b.2));
        found.sort_by(by_window);
        expected.sort_by(by_window);
        prop_assert_eq!(found, expected);
    }
}
