//! `change` against a plain look at the whole history, and what it does at its edges.

mod common;

use std::collections::BTreeMap;

use common::{Input, START, body, finish, inputs, plan, run};
use proptest::prelude::*;
use weir_rules::{Emission, Engine, Event, Timestamp};

/// What a receiver of one key sees: value and when it was sent.
type Sent = Vec<(Option<f64>, i64)>;

/// Decides message by message, with nothing but the last one that was sent.
fn expected(
    inputs: &[Input],
    by: f64,
    percent: f64,
    least: i64,
    most: i64,
) -> BTreeMap<u8, Vec<Option<f64>>> {
    let mut sent: BTreeMap<u8, Sent> = BTreeMap::new();
    let mut held: BTreeMap<u8, Option<f64>> = BTreeMap::new();
    for input in inputs {
        let list = sent.entry(input.key).or_default();
        let (now, value) = (input.arrived, input.value);
        let Some((before, at)) = list.last().copied() else {
            list.push((value, now));
            continue;
        };
        let (mut before, mut at) = (before, at);
        if let Some(waiting) = held.get(&input.key)
            && at + most <= now
        {
            (before, at) = (*waiting, at + most);
            list.push((before, at));
            held.remove(&input.key);
        }
        let moved = match (before, value) {
            (Some(before), Some(value)) => {
                let distance = (value - before).abs();
                distance > by || distance > before.abs() * percent / 100.0
            }
            (before, value) => before != value,
        };
        held.remove(&input.key);
        if !moved && now - at < least {
            continue;
        }
        if now - at < most {
            held.insert(input.key, value);
        } else {
            list.push((value, now));
        }
    }
    for (key, value) in held {
        let list = sent.entry(key).or_default();
        let at = list.last().map_or(0, |(_, at)| at + most);
        list.push((value, at));
    }
    let values = |list: Sent| list.into_iter().map(|(value, _)| value).collect();
    sent.into_iter().map(|(key, list)| (key, values(list))).collect()
}

fn values(emissions: &[Emission]) -> BTreeMap<u8, Vec<Option<f64>>> {
    let mut values: BTreeMap<u8, Vec<Option<f64>>> = BTreeMap::new();
    for emission in emissions {
        let key = emission.topic.trim_start_matches("out/").parse().expect("a key");
        values.entry(key).or_default().push(body(emission)["v"].as_f64());
    }
    values
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn what_is_sent_follows_from_what_was_sent_before(
        inputs in inputs(120), by in 0u32..80, percent in 0u32..50,
        least in 3000i64..40_000, most in 0i64..3000,
    ) {
        let (by, percent) = (f64::from(by), f64::from(percent));
        let pace = if most > 0 { format!(", at_most_every = \"{most}ms\"") } else { String::new() };
        let text = format!(
            "[rule.r]\nfrom = \"in/{{key}}\"\nto = \"out/{{key}}\"\nselect = {{ v = \"v\" }}\n\
             change = {{ field = \"v\", by = {by}, or_percent = {percent}, \
             at_least_every = \"{least}ms\"{pace} }}"
        );
        let expected = expected(&inputs, by, percent, least, most);
        prop_assert_eq!(values(&run(&text, &inputs)), expected);
    }
}

/// Plays payloads at times on one topic; gives what is sent and the state at the end.
fn play(rule: &str, messages: &[(i64, &str, &str)]) -> (Vec<(String, String)>, Engine) {
    let mut engine = Engine::new(plan(&format!("[rule.r]\nfrom = \"in/{{id}}\"\n{rule}")));
    let mut out = Vec::new();
    for (at, topic, payload) in messages {
        let arrived = Timestamp(START + at);
        let payload = payload.as_bytes();
        let (qos, retain, client) = (1, false, "c");
        let event = Event { topic, payload, qos, retain, client, arrived };
        engine.handle(arrived, &event, &mut out);
    }
    finish(&mut engine, &mut out);
    let text = |emission: Emission| {
        let payload = String::from_utf8_lossy(&emission.payload).into_owned();
        let code = emission.error.map_or(String::new(), |error| error.code.to_owned());
        (emission.topic, format!("{code}{payload}"))
    };
    (out.into_iter().map(text).collect(), engine)
}

fn payloads(rule: &str, messages: &[(i64, &str, &str)]) -> Vec<String> {
    play(rule, messages).0.into_iter().map(|(_, payload)| payload).collect()
}

const NUMBER: &str = "decode = \"number\"\nto = \"out/{id}\"\n";

#[test]
fn each_topic_is_compared_with_itself_when_there_is_no_by() {
    let rule = format!("{NUMBER}change = {{ by = 1 }}");
    let messages = [(0, "in/a", "1"), (1, "in/b", "1"), (2, "in/a", "2"), (3, "in/b", "2.5")];
    assert_eq!(payloads(&rule, &messages), ["1", "1", "2.5"]);
}

#[test]
fn slow_drift_is_seen_because_it_is_compared_with_what_was_sent() {
    let rule = format!("{NUMBER}change = {{ by = 1 }}");
    let texts: Vec<String> = (0..12).map(|step| format!("{:.1}", f64::from(step) * 0.3)).collect();
    let messages: Vec<(i64, &str, &str)> =
        texts.iter().enumerate().map(|(at, text)| (at as i64, "in/a", text.as_str())).collect();
    assert_eq!(payloads(&rule, &messages), ["0.0", "1.2", "2.4"]);
}

#[test]
fn value_that_came_back_is_no_news() {
    let rule = format!("{NUMBER}change = {{ by = 1, at_most_every = \"1s\" }}");
    let messages =
        [(0, "in/a", "1"), (100, "in/a", "9"), (200, "in/a", "1"), (5000, "in/a", "1.5")];
    let (sent, engine) = play(&rule, &messages);
    assert_eq!(sent.len(), 1);
    assert_eq!(engine.status()[0].filtered, 3);
    let messages =
        [(0, "in/a", "1"), (100, "in/a", "9"), (200, "in/a", "8"), (1500, "in/a", "6.5")];
    let (sent, engine) = play(&rule, &messages);
    let payloads: Vec<&str> = sent.iter().map(|(_, payload)| payload.as_str()).collect();
    // 8 was held until one second after the first; 6.5 came half a second after that.
    assert_eq!(payloads, ["1", "8", "6.5"]);
    let status = &engine.status()[0];
    assert_eq!((status.emitted, status.filtered, status.state_bytes), (3, 1, 0));
}

#[test]
fn every_destination_of_a_held_result_is_sent_once() {
    let rule = "to = [\"one/{id}\", { topic = \"two/{word}\", retain = true, qos = 2 }]\n\
                select = { word = \"w\" }\nchange = { at_most_every = \"1s\" }";
    let messages = [(0, "in/a", r#"{"w":"x"}"#), (10, "in/a", r#"{"w":"y"}"#)];
    let topics: Vec<String> = play(rule, &messages).0.into_iter().map(|(topic, _)| topic).collect();
    assert_eq!(topics, ["one/a", "two/x", "one/a", "two/y"]);
}

#[test]
fn results_of_windows_are_compared() {
    let rule = "by = [\"id\"]\nto = \"out/{id}\"\nwindow = \"tumbling 10s\"\n\
                select = { max = \"max(v)\", n = \"count()\" }\n\
                change = { field = \"max\", by = 1, at_least_every = \"30s\" }";
    let payload = |v: i64| format!("{{\"v\":{v}}}");
    let texts: Vec<String> = [5, 5, 6, 7, 7, 7, 7].iter().map(|v| payload(*v)).collect();
    let messages: Vec<(i64, &str, &str)> = texts
        .iter()
        .enumerate()
        .map(|(number, text)| (number as i64 * 10_000, "in/a", text.as_str()))
        .collect();
    let maxima: Vec<f64> = payloads(rule, &messages)
        .iter()
        .map(|payload| {
            let body: serde_json::Value = serde_json::from_str(payload).expect("JSON");
            body["max"].as_f64().expect("a number")
        })
        .collect();
    assert_eq!(maxima, [5.0, 7.0, 7.0]);
}

#[test]
fn a_value_that_cannot_be_compared_is_a_dead_letter() {
    let rule = "to = \"out\"\nchange = { field = \"v\" }";
    assert_eq!(payloads(rule, &[(0, "in/a", r#"{"v":[1]}"#)]), [r#"R102{"v":[1]}"#]);
    let rule = "to = \"out\"\nchange = { field = \"v\" }\nlimits = { keys = 1 }";
    let messages = [(0, "in/a", r#"{"v":1}"#), (1, "in/b", r#"{"v":1}"#)];
    assert_eq!(payloads(rule, &messages), [r#"{"v":1}"#, r#"R105{"v":1}"#]);
}

#[test]
fn clock_that_was_set_back_does_not_hold_a_value_for_long() {
    let rule = format!("{NUMBER}change = {{ at_most_every = \"1s\" }}");
    let messages = [(3_600_000, "in/a", "1"), (0, "in/a", "2"), (10, "in/a", "3")];
    assert_eq!(payloads(&rule, &messages), ["1", "2", "3"]);
}
