//! What is kept per key over all messages, against a plain recomputation.

mod common;

use common::{Input, body, inputs, run};
use proptest::prelude::*;
use serde_json::Value;

const RULE: &str = r#"
[rule.r]
from   = "in/{key}"
by     = ["key"]
let    = { base = "ewma(v, '10s')", sd = "ewsd(v, '10s')", high = "since(v > 0)" }
where  = "v ?? 1 > -100"
select = { base = "base", sd = "sd", high = "high", new = "changed(w)", off = "v - base" }
to     = "out/{key}"
limits = { expire = "30d" }
"#;

/// Mean and deviation of what came before, by weights of half for each ten seconds.
fn decayed(before: &[&Input], time: fn(&Input) -> i64) -> (Option<f64>, Option<f64>) {
    let points: Vec<(i64, f64)> =
        before.iter().filter_map(|input| Some((time(input), input.value?))).collect();
    let Some(newest) = points.iter().map(|point| point.0).max() else { return (None, None) };
    let weight = |time: i64| 0.5f64.powf((newest - time) as f64 / 10_000.0);
    let total: f64 = points.iter().map(|point| weight(point.0)).sum();
    let squares: f64 = points.iter().map(|point| weight(point.0).powi(2)).sum();
    let mean = points.iter().map(|(time, x)| weight(*time) * x).sum::<f64>() / total;
    let spread: f64 = points.iter().map(|(time, x)| weight(*time) * (x - mean).powi(2)).sum();
    let degrees = total - squares / total;
    (Some(mean), (degrees > 1e-12 * total).then(|| (spread / degrees).sqrt()))
}

/// Milliseconds since the value is above zero, with this message.
fn high(seen: &[&Input]) -> Option<i64> {
    let above = |input: &&&Input| input.value.is_some_and(|value| value > 0.0);
    let run: Vec<&&Input> = seen.iter().rev().take_while(above).collect();
    Some(run.first()?.arrived - run.last()?.arrived)
}

fn near(found: &Value, expected: Option<f64>, scale: f64) -> bool {
    match (found.as_f64(), expected) {
        (Some(found), Some(expected)) => (found - expected).abs() <= 1e-9 * scale.max(1.0),
        (None, None) => found.is_null(),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn history_is_what_came_before_the_message(inputs in inputs(80), by_event_time: bool) {
        let (more, time): (&str, fn(&Input) -> i64) = match by_event_time {
            true => ("time = { field = \"ts\", unit = \"ms\" }", |input| input.time),
            false => ("", |input| input.arrived),
        };
        let sent = run(&format!("{RULE}{more}"), &inputs);
        let mut sent = sent.iter();
        for (position, input) in inputs.iter().enumerate() {
            let seen: Vec<&Input> =
                inputs[..=position].iter().filter(|other| other.key == input.key).collect();
            if input.value.unwrap_or(1.0) <= -100.0 {
                continue;
            }
            let (before, body) = (&seen[..seen.len() - 1], body(sent.next().unwrap()));
            let scale: f64 = seen.iter().filter_map(|one| one.value).map(f64::abs).sum();
            let (mean, deviation) = decayed(before, time);
            prop_assert!(near(&body["base"], mean, scale), "{body} {mean:?}");
            prop_assert!(near(&body["sd"], deviation, scale), "{body} {deviation:?}");
            let off = input.value.zip(mean).map(|(value, mean)| value - mean);
            prop_assert!(near(&body["off"], off, scale), "{body} {off:?}");
            prop_assert_eq!(&body["high"], &Value::from(high(&seen)));
            let changed = before.last().is_none_or(|last| last.word != input.word);
            prop_assert_eq!(&body["new"], &Value::from(changed));
        }
        prop_assert!(sent.next().is_none());
    }
}

#[test]
fn a_message_without_its_time_belongs_nowhere_in_the_history() {
    let text = r#"[rule.r]
from   = "in/{key}"
time   = { field = "v < 5 ? ts : null", unit = "ms" }
select = { base = "ewma(v, '1m')" }
to     = "out"
"#;
    let input = |time, value| Input { arrived: 9000, time, key: 1, value, word: 0, client: 0 };
    let sent = run(text, &[input(1, Some(2.0)), input(2, Some(9.0)), input(3, Some(4.0))]);
    let errors: Vec<_> =
        sent.iter().map(|one| one.error.as_ref().map(|error| error.code)).collect();
    assert_eq!(errors, [None, Some("R103"), None]);
    assert_eq!(body(&sent[2])["base"], 2);
}

#[test]
fn a_fault_in_the_value_leaves_the_history_as_it_was() {
    let text = r#"[rule.r]
from   = "in/{key}"
select = { base = "ewma(v < 5 ? v : w, '1m')", n = "since(v > 0) == null ? 0 : 1" }
to     = "out"
"#;
    let input = |arrived, value| Input { arrived, time: 0, key: 1, value, word: 0, client: 0 };
    let list = [input(1000, Some(2.0)), input(2000, Some(9.0)), input(3000, Some(4.0))];
    let sent = run(text, &list);
    let errors: Vec<_> =
        sent.iter().map(|one| one.error.as_ref().map(|error| error.code)).collect();
    assert_eq!(errors, [None, None, Some("R102"), None]);
    assert_eq!(body(&sent[3])["base"], 2);
}
