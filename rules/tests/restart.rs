//! An engine that is restored goes on byte for byte like one that never stopped.

mod common;

use std::collections::BTreeMap;

use common::{Input, finish, handle, inputs, plan, run};
use proptest::prelude::*;
use weir_rules::{Emission, Engine, Timestamp};

/// Rules that keep every kind of state.
const RULES: &[&str] = &[
    r#"window = "tumbling 5s"
       select = { n = "count()", avg = "avg(v)", sd = "stddev(v)", last = "last(w)" }"#,
    r#"window = "sliding 20s every 2s"
       select = { p90 = "p90(v)", words = "distinct(w)", first = "first(v)", range = "range(v)" }"#,
    r#"window = "sliding 10s every 5s"
       time   = { field = "ts", unit = "ms", late = "1s", idle = "3s" }
       emit   = { late = "update" }
       select = { n = "count()", median = "median(v)", w = "first(w)" }"#,
    r#"window = "sliding 8s"
       select = { max = "max(v)", n = "count()" }"#,
    r#"window = "sliding 8s"
       time   = { field = "ts", unit = "ms", late = "2s", idle = "5s" }
       select = { sum = "sum(v)" }
       having = "sum > 0""#,
    r#"let    = { step = "v - (prev.v ?? v)", before = "prev.w" }
       where  = "step != 0"
       select = { step = "step", before = "before" }"#,
    r#"window = "tumbling 4s"
       emit   = { empty = true }
       limits = { expire = "30s" }
       select = { n = "count()", v = "last(v)" }"#,
    r#"window = "tumbling 10s"
       time   = { field = "ts", unit = "ms", late = "500ms", per = "source" }
       select = { n = "count()" }"#,
    // The limits are reached: what is refused must not depend on restarts.
    r#"window = "sliding 30s every 1s"
       limits = { memory = "4 KiB" }
       select = { p50 = "p50(v)", w = "last(w)" }"#,
    r#"window = "tumbling 3s"
       limits = { keys = 2 }
       select = { mixed = "sum(v > 0 ? v : w)" }"#,
    r#"window = "count 6 every 4"
       emit   = { early = "3s" }
       select = { sum = "sum(v)", p50 = "p50(v)", w = "last(w)" }"#,
    r#"window = "session 2s max 20s"
       select = { n = "count()", p50 = "p50(v)", w = "first(w)" }"#,
    r#"window = "session 2s"
       time   = { field = "ts", unit = "ms", late = "3s", idle = "5s" }
       emit   = { late = "topic", early = "2s" }
       select = { n = "count()", p50 = "p50(v)", words = "distinct(w)", w = "first(w)",
           area = "integral(v)", latest = "collect(v, 2)", often = "mode(w)", tw = "twavg(v)" }"#,
    r#"window = "while v > 0"
       emit   = { early = "2s" }
       select = { n = "count()", p50 = "p50(v)", w = "last(w)" }"#,
    r#"window = "while v > -500"
       time   = { field = "ts", unit = "ms", late = "3s", per = "source" }
       select = { n = "count()", p50 = "p50(v)", w = "last(w)", rate = "rate(v)",
           latest = "collect(w, 3)", ew = "ewma(v, '2s')" }"#,
    r#"window = "tumbling 1h at 00:00 Australia/Lord_Howe"
       emit   = { early = "10s", empty = true }
       limits = { expire = "3h" }
       select = { n = "count()", sum = "sum(v)" }"#,
    r#"window = "sliding 12s every 3s"
       time   = { field = "ts", unit = "ms", late = "1s" }
       emit   = { late = "update" }
       select = { area = "integral(v)", tw = "twavg(v)", rate = "rate(v)", delta = "delta(v)",
           slope = "slope(v)", latest = "collect(w, 3)", some = "collect(v, 2)" }"#,
    r#"window = "sliding 9s every 3s"
       select = { area = "integral(v, 'h')", ew = "ewma(v, '2s')", sd = "ewsd(v, '2s')",
           often = "mode(w)", mode = "mode(v)", top = "argmax(v, w)", low = "argmin(v, v)" }"#,
    r#"window = "sliding 8s"
       time   = { field = "ts", unit = "ms", late = "2s", idle = "5s" }
       select = { tw = "twavg(v)", rate = "rate(v)", latest = "collect(v, 2)", w = "argmin(v, w)" }"#,
    r#"let    = { base = "ewma(v, '10s')", sd = "ewsd(v, '10s')" }
       where  = "v > 0 || changed(w)"
       select = { base = "base", sd = "sd", high = "since(v > 0)", was = "prev.base" }"#,
    r#"time   = { field = "ts", unit = "ms" }
       select = { base = "ewma(v, '2s')", sd = "ewsd(v, '2s')", new = "changed(w)" }"#,
    r#"let    = { off = "v - ewma(v, '3s')" }
       window = "tumbling 4s"
       select = { off = "max(off)", high = "max(since(v > 0))" }"#,
    // The payload as bytes: the last digit of its time.
    r#"decode = { bytes = { digit = "u8@17", odd = "bool@17.0" } }
       where  = "odd || digit > prev.digit"
       window = "sliding 10s every 5s"
       select = { n = "count()", sum = "sum(digit)", odd = "last(odd)" }"#,
    r#"select = { w = "w" }
       limits = { memory = "4 KiB" }
       [rule.r.alert]
       when      = "v > 0"
       for       = "4s"
       clear_for = "3s"
       silent    = "20s"
       message   = "{key} at {v:.1}, {w}""#,
    r#"time   = { field = "ts", unit = "ms" }
       [rule.r.alert]
       when   = "v > prev.v"
       for    = "1s"
       clear  = "v < 0"
       repeat = "2d""#,
    r#"window = "sliding 10s every 2s"
       time   = { field = "ts", unit = "ms", late = "1s", per = "source" }
       emit   = { empty = true }
       select = { n = "count()" }
       [rule.r.alert]
       when   = "n > 2"
       for    = "6s"
       silent = "90s"
       value  = "last(w)""#,
    r#"let    = { other = "first.v - v" }
       select = { other = "other", w = "first.w", own = "same.w ?? prev.w" }
       join.first = { topic = "in/0", max_age = "20s" }
       join.same  = { topic = "in/{w}" }"#,
    r#"window = "tumbling 5s"
       limits = { keys = 1 }
       select = { n = "sum(v < own.v ? 1 : 0)", w = "last(own.w)" }
       join.own = { topic = "in/{key}" }"#,
    r#"window = "while v > 0"
       limits = { expire = "30s" }
       [rule.r.alert]
       when = "sum(v) > 100"
       for  = "4s""#,
    r#"window = "count 3 every 2"
       limits = { expire = "20s" }
       [rule.r.alert]
       when   = "avg(v) > 10"
       silent = "15s""#,
    r#"window = "session 2s max 20s"
       time   = { field = "ts", unit = "ms", late = "3s" }
       limits = { expire = "20s" }
       [rule.r.alert]
       when      = "count() > 2"
       clear_for = "2s"
       message   = "{last(w)}""#,
    r#"dedupe = { key = ["w", "v"], within = "5s" }
       limits = { keys = 6 }
       [rule.r.alert]
       when      = "v > 0"
       for       = "4s"
       clear_for = "3s""#,
    r#"let    = { over = "v - other.v" }
       change = { field = "over", by = 10, at_most_every = "5s" }
       select = { over = "over", w = "other.w" }
       limits = { expire = "30s" }
       join.other = { topic = "in/0", max_age = "20s" }"#,
    r#"change = { field = ["v", "w"], by = 20, or_percent = 5, at_least_every = "20s", at_most_every = "3s" }
       select = { v = "v", w = "w", before = "prev.v" }
       limits = { expire = "30s" }"#,
    r#"change = { field = "v", by = 50, at_most_every = "30s" }
       limits = { expire = "10s", memory = "4 KiB" }"#,
    r#"window = "tumbling 4s"
       change = { field = "w" }
       select = { n = "count()", w = "last(w)" }"#,
    r#"window = "sliding 8s"
       time   = { field = "ts", unit = "ms", late = "2s", idle = "5s" }
       change = { by = 10, at_least_every = "9s" }
       select = { sum = "sum(v)" }"#,
    r#"dedupe = { key = ["w", "key"], within = "5s" }
       limits = { keys = 6 }"#,
    r#"dedupe = { key = "w", within = "7s", keep = "last" }
       select = { v = "v", before = "prev.v" }
       limits = { keys = 4, expire = "30s" }"#,
    r#"dedupe = { key = ["v"], within = "20s", keep = "last" }
       limits = { memory = "4 KiB" }"#,
    r#"dedupe = { key = ["w"], within = "3s" }
       window = "sliding 10s every 5s"
       limits = { memory = "4 KiB" }
       select = { n = "count()", w = "last(w)" }"#,
];

fn rule(text: &str) -> String {
    let head = "[rule.r]\nfrom = \"in/{key}\"\nby = [\"key\"]\nto = \"out/{key}\"";
    format!("{head}\n{text}")
}

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
