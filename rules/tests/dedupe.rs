//! `dedupe` against a plain look at the whole history, and what it does at its edges.

mod common;

use std::collections::BTreeMap;

use common::{Input, START, body, finish, inputs, plan, run};
use proptest::prelude::*;
use weir_rules::{Emission, Engine, Event, Timestamp};

fn rule(keep: &str, within: i64, more: &str) -> String {
    format!(
        "[rule.r]\nfrom = \"in/{{key}}\"\nto = \"out/{{key}}\"\nselect = {{ w = \"w\", ts = \"ts\" }}\n\
         dedupe = {{ key = [\"key\", \"w\"], within = \"{within}ms\", keep = \"{keep}\" }}\n{more}"
    )
}

/// What is sent of each key: word and stamp, sorted.
fn sent(emissions: &[Emission]) -> Vec<(String, String, i64)> {
    let one = |emission: &Emission| {
        let body = body(emission);
        let word = body["w"].as_str().expect("a word").to_owned();
        (emission.topic.clone(), word, body["ts"].as_i64().expect("a stamp"))
    };
    let mut sent: Vec<_> = emissions.iter().map(one).collect();
    sent.sort();
    sent
}

fn expected(inputs: &[Input], keep_last: bool, within: i64) -> Vec<(String, String, i64)> {
    // When the first one came, and which one stands for all.
    let mut groups: BTreeMap<(u8, u8), (i64, i64)> = BTreeMap::new();
    let mut sent = Vec::new();
    let line = |(key, word): (u8, u8), time: i64| (format!("out/{key}"), format!("w{word}"), time);
    for input in inputs {
        let place = (input.key, input.word);
        match groups.get_mut(&place) {
            Some((first, last)) if input.arrived < *first + within => *last = input.time,
            known => {
                if let (Some((_, last)), true) = (known, keep_last) {
                    sent.push(line(place, *last));
                }
                if !keep_last {
                    sent.push(line(place, input.time));
                }
                groups.insert(place, (input.arrived, input.time));
            }
        }
    }
    if keep_last {
        sent.extend(groups.into_iter().map(|(place, (_, last))| line(place, last)));
    }
    sent.sort();
    sent
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn one_message_of_those_that_are_the_same_is_used(
        inputs in inputs(150), keep_last: bool, within in 1i64..20_000,
    ) {
        let text = rule(if keep_last { "last" } else { "first" }, within, "");
        prop_assert_eq!(sent(&run(&text, &inputs)), expected(&inputs, keep_last, within));
    }

    #[test]
    fn limits_lose_no_message(inputs in inputs(100), keep_last: bool, keys in 1usize..4) {
        let keep = if keep_last { "last" } else { "first" };
        let text = rule(keep, 600_000, &format!("limits = {{ keys = {keys} }}"));
        let out = sent(&run(&text, &inputs));
        // Every message that came is there, or another one of the same kind.
        for input in &inputs {
            let (topic, word) = (format!("out/{}", input.key), format!("w{}", input.word));
            prop_assert!(out.iter().any(|(known, found, _)| *known == topic && *found == word));
        }
    }
}

/// Plays payloads at times; gives what is sent and the engine at the end.
fn play(rule: &str, messages: &[(i64, &str)]) -> (Vec<String>, Engine) {
    let mut engine = Engine::new(plan(&format!("[rule.r]\nfrom = \"in\"\n{rule}")));
    let mut out = Vec::new();
    for (at, payload) in messages {
        let arrived = Timestamp(START + at);
        let (topic, payload, qos) = ("in", payload.as_bytes(), 1);
        let event = Event { topic, payload, qos, retain: false, client: "c", arrived };
        engine.handle(arrived, &event, &mut out);
    }
    finish(&mut engine, &mut out);
    let text = |emission: &Emission| {
        let payload = String::from_utf8_lossy(&emission.payload);
        let code = emission.error.as_ref().map_or("", |error| error.code);
        format!("{code}{payload}")
    };
    (out.iter().map(text).collect(), engine)
}

const TEXT: &str = "decode = \"text\"\nto = \"out\"\n";

#[test]
fn message_without_its_key_is_not_compared() {
    let rule = "to = \"out\"\ndedupe = { key = [\"id\", \"n\"], within = \"1m\" }";
    let messages = [(0, r#"{"id":1}"#), (1, r#"{"id":1}"#), (2, r#"{"id":1,"n":1}"#)];
    let (sent, _) = play(rule, &messages);
    assert_eq!(sent, [r#"{"id":1}"#, r#"{"id":1}"#, r#"{"id":1,"n":1}"#]);
    let (sent, _) = play(rule, &[(0, r#"{"id":1,"n":[1]}"#)]);
    assert_eq!(sent, [r#"R102{"id":1,"n":[1]}"#]);
}

#[test]
fn rows_that_make_room_are_counted_and_sent() {
    let rule = format!(
        "{TEXT}dedupe = {{ key = \"value\", within = \"1m\", keep = \"last\" }}\n\
         limits = {{ keys = 2 }}"
    );
    let (sent, engine) = play(&rule, &[(0, "a"), (1, "b"), (2, "c"), (3, "c"), (4, "a")]);
    assert_eq!(sent, ["a", "b", "c", "a"]);
    let status = &engine.status()[0];
    assert_eq!(status.errors, [("R121", 2)]);
    assert_eq!((status.emitted, status.filtered, status.dropped), (4, 1, 0));
    assert_eq!(status.state_bytes, 0);
}

#[test]
fn what_is_larger_than_all_of_the_memory_is_a_dead_letter() {
    let rule = format!(
        "{TEXT}dedupe = {{ key = \"len(value)\", within = \"1m\", keep = \"last\" }}\n\
         limits = {{ memory = \"4 KiB\" }}"
    );
    let large = "x".repeat(5000);
    let (sent, engine) = play(&rule, &[(0, "a"), (1, &large)]);
    assert_eq!(sent[0], "a");
    assert!(sent[1].starts_with("R106xxx"));
    assert_eq!(engine.status()[0].errors, [("R106", 1), ("R121", 1)]);
}

#[test]
fn repeat_does_not_reach_where_or_the_window() {
    let rule = "decode = \"number\"\nto = \"out\"\nwindow = \"tumbling 1m\"\n\
                select = { sum = \"sum(value)\" }\n\
                dedupe = { key = \"value\", within = \"10s\" }";
    let (sent, engine) = play(rule, &[(0, "1"), (1, "1"), (2, "2"), (15_000, "1")]);
    let body: serde_json::Value = serde_json::from_str(&sent[0]).expect("JSON");
    assert_eq!(body["sum"], 4.0);
    assert_eq!(engine.status()[0].filtered, 1);
}

#[test]
fn clock_that_was_set_back_does_not_make_old_messages_new() {
    let rule = format!("{TEXT}dedupe = {{ key = \"value\", within = \"1m\" }}");
    let (sent, _) = play(&rule, &[(600_000, "a"), (590_000, "a"), (0, "a"), (10, "a")]);
    assert_eq!(sent, ["a", "a"]);
}
