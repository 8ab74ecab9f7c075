//! An engine that is restored goes on byte for byte like one that never stopped.

mod common;
#[path = "common/stateful.rs"]
mod stateful;

use std::collections::BTreeMap;

use common::{Input, finish, handle, inputs, plan, run};
use proptest::prelude::*;
use stateful::{RULES, rule};
use weir_rules::{Emission, Engine, Timestamp};

/// What a broker keeps: the newest snapshot and the deltas after it.
#[derive(Default)]
struct Store {
    snapshot: Vec<Vec<u8>>,
    deltas: Vec<Vec<u8>>,
}

impl Store {
    fn commit(&mut self, engine: &mut Engine, whole: bool) {
        let mut delta = Vec::new();
        if engine.take_delta(&mut delta) {
            self.deltas.push(delta);
        }
        if whole {
            self.snapshot.clear();
            engine.snapshot(512, &mut |shard| self.snapshot.push(shard.to_vec()));
            self.deltas.clear();
        }
    }

    fn restore(&self, text: &str) -> Engine {
        Engine::restore(plan(text), self.snapshot.iter(), self.deltas.iter())
            .expect("what was stored can be read")
    }
}

/// Restarts wherever `cuts` says so, right after a commit.
fn run_with_restarts(text: &str, inputs: &[Input], cuts: &[u8]) -> Vec<Emission> {
    let mut engine = Engine::new(plan(text));
    let (mut store, mut out) = (Store::default(), Vec::new());
    for (position, input) in inputs.iter().enumerate() {
        handle(&mut engine, input, &mut out);
        match cuts[position % cuts.len()] {
            0 => {
                store.commit(&mut engine, false);
                engine = store.restore(text);
            }
            1 => {
                store.commit(&mut engine, true);
                engine = store.restore(text);
            }
            2 => store.commit(&mut engine, false),
            3 => store.commit(&mut engine, true),
            _ => {}
        }
    }
    finish(&mut engine, &mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn restored_engine_goes_on_byte_for_byte(
        which in 0..RULES.len(), inputs in inputs(100),
        cuts in proptest::collection::vec(0u8..8, 1..20),
    ) {
        let text = rule(RULES[which]);
        let expected = run(&text, &inputs);
        prop_assert_eq!(run_with_restarts(&text, &inputs, &cuts), expected);
    }

    #[test]
    fn what_was_not_stored_is_computed_again_with_the_same_identifiers(
        which in 0..RULES.len(), inputs in inputs(80), lost in 1usize..10, every in 1usize..12,
    ) {
        let text = rule(RULES[which]);
        let expected = run(&text, &inputs);
        let mut engine = Engine::new(plan(&text));
        let mut store = Store::default();
        // The outbox: one row for each identifier.
        let mut sent: BTreeMap<u128, Emission> = BTreeMap::new();
        let mut stored = 0;
        let mut out = Vec::new();
        for position in 0..inputs.len() {
            handle(&mut engine, &inputs[position], &mut out);
            if position % every == 0 {
                store.commit(&mut engine, position % 3 == 0);
                stored = position + 1;
            } else if position % lost == 0 {
                engine = store.restore(&text);
                for input in &inputs[stored..=position] {
                    handle(&mut engine, input, &mut out);
                }
            }
        }
        finish(&mut engine, &mut out);
        for emission in out {
            if let Some(known) = sent.insert(emission.id, emission.clone()) {
                prop_assert_eq!(&known, &emission);
            }
        }
        let expected: BTreeMap<u128, Emission> =
            expected.into_iter().map(|emission| (emission.id, emission)).collect();
        prop_assert_eq!(sent, expected);
    }

    #[test]
    fn how_often_the_clock_is_looked_at_does_not_matter(
        which in 0..RULES.len(), inputs in inputs(80), steps in proptest::collection::vec(0i64..3000, 1..9),
    ) {
        let text = rule(RULES[which]);
        let mut engine = Engine::new(plan(&text));
        let mut out = Vec::new();
        let mut clock = 0;
        for (position, input) in inputs.iter().enumerate() {
            while clock < input.arrived {
                clock = clock.max(input.arrived - 10_000) + steps[position % steps.len()] + 1;
                engine.advance(Timestamp(clock.min(input.arrived)), &mut out);
            }
            handle(&mut engine, input, &mut out);
        }
        finish(&mut engine, &mut out);
        prop_assert_eq!(out, run(&text, &inputs));
    }

    #[test]
    fn size_of_the_state_is_the_same_after_a_restart(
        which in 0..RULES.len(), inputs in inputs(80),
    ) {
        let text = rule(RULES[which]);
        let mut engine = Engine::new(plan(&text));
        let (mut store, mut out) = (Store::default(), Vec::new());
        for input in &inputs {
            handle(&mut engine, input, &mut out);
            store.commit(&mut engine, false);
        }
        let (known, restored) = (engine.status(), store.restore(&text).status());
        prop_assert_eq!(known[0].state_bytes, restored[0].state_bytes);
        prop_assert_eq!(known[0].keys, restored[0].keys);
        finish(&mut engine, &mut out);
        // What is alerting is not forgotten, nor are last values.
        if text.contains(".alert]") || text.contains("join.") {
            return Ok(());
        }
        prop_assert_eq!(engine.status()[0].state_bytes, 0);
        prop_assert_eq!(engine.status()[0].keys, 0);
    }

    #[test]
    fn damaged_blobs_are_refused_and_never_panic(
        which in 0..RULES.len(), inputs in inputs(40), at: prop::sample::Index, bit in 0u8..8,
        cut in 0usize..40,
    ) {
        let text = rule(RULES[which]);
        let mut engine = Engine::new(plan(&text));
        for input in &inputs {
            handle(&mut engine, input, &mut Vec::new());
        }
        let mut delta = Vec::new();
        prop_assume!(engine.take_delta(&mut delta));
        let mut damaged = delta.clone();
        *at.get_mut(&mut damaged) ^= 1 << bit;
        let none = std::iter::empty::<Vec<u8>>;
        prop_assert!(Engine::restore(plan(&text), none(), [damaged].iter()).is_err());
        let short = delta[..delta.len().saturating_sub(cut + 1)].to_vec();
        prop_assert!(Engine::restore(plan(&text), none(), [short].iter()).is_err());
        prop_assert!(Engine::restore(plan(&text), [delta].iter(), none()).is_err());
    }
}

#[test]
fn many_values_of_quantiles_come_back_in_parts_and_as_counts() {
    let text = rule(
        r#"window = "sliding 20s every 10s"
           select = { p90 = "p90(v)", stamps = "distinct(ts)" }"#,
    );
    let input = |number: i64| Input {
        arrived: common::START + number * 2,
        time: common::START + number,
        key: 0,
        value: Some(((number * 7919) % 1000) as f64),
        word: 0,
        client: 0,
    };
    let inputs: Vec<Input> = (0..18_000).map(input).collect();
    // Commits, restarts, and long stretches without either.
    let mut cuts = vec![9; 700];
    for (position, cut) in [(50, 2), (90, 2), (300, 0), (420, 2), (500, 1), (650, 0)] {
        cuts[position] = cut;
    }
    let expected = run(&text, &inputs);
    assert!(expected.len() > 4);
    assert_eq!(run_with_restarts(&text, &inputs, &cuts), expected);
}

#[test]
fn many_points_out_of_order_come_back_in_parts() {
    let text = rule(
        r#"window = "tumbling 1h"
           time   = { field = "ts", unit = "ms", late = "10s" }
           select = { area = "integral(v)", latest = "collect(v, 5)" }"#,
    );
    let input = |number: i64| Input {
        arrived: common::START + number * 500,
        time: common::START + (number - (number * 7) % 11) * 500,
        key: 0,
        value: Some(((number * 7919) % 1000) as f64),
        word: 0,
        client: 0,
    };
    let inputs: Vec<Input> = (0..7500).map(input).collect();
    let mut cuts = vec![9; 700];
    for (position, cut) in [(50, 2), (90, 2), (300, 0), (420, 2), (500, 1), (650, 0)] {
        cuts[position] = cut;
    }
    let expected = run(&text, &inputs);
    assert!(expected.len() > 1);
    assert_eq!(run_with_restarts(&text, &inputs, &cuts), expected);
}

#[test]
fn state_is_kept_when_only_outputs_change_and_dropped_when_panes_do() {
    let text = |window: &str, select: &str| {
        rule(&format!("window = \"{window}\"\nselect = {{ {select} }}"))
    };
    let old = text("tumbling 10s", r#"mean = "avg(v)""#);
    let input = Input { arrived: 1000, time: 0, key: 1, value: Some(2.0), word: 0, client: 0 };
    let mut engine = Engine::new(plan(&old));
    handle(&mut engine, &input, &mut Vec::new());
    let mut store = Store::default();
    store.commit(&mut engine, true);
    let keys = |text: &str| store.restore(text).status()[0].keys;
    assert_eq!(keys(&text("tumbling 10s", r#"middle = "avg(v) + 1""#)), 1);
    assert_eq!(keys(&text("tumbling 20s", r#"mean = "avg(v)""#)), 0);
    assert_eq!(keys(&text("tumbling 10s", r#"mean = "avg(2 * v)""#)), 0);
}
