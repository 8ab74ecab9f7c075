//! Rules that read rules, against engines that are connected by hand, and across restarts.

mod common;

use common::{Input, body, finish, handle, inputs, plan, run};
use proptest::prelude::*;
use serde_json::Value;
use weir_rules::{Emission, Engine, Event, Timestamp};

/// The first rules of chains; what they send goes to `mid/...` as well.
const FIRST: [&str; 5] = [
    r#"window = "tumbling 4s"
       select = { v = "avg(v)", w = "last(w)", ts = "last(ts)" }"#,
    r#"where  = "v > prev.v"
       select = { v = "v", w = "w", ts = "ts" }"#,
    r#"select = { w = "w", ts = "ts" }
       [rule.first.alert]
       when   = "v > 0"
       for    = "3s"
       silent = "9s""#,
    r#"select = { v = "v", w = "w", ts = "ts" }
       change = { field = "v", by = 20, at_least_every = "30s", at_most_every = "3s" }"#,
    r#"select = { w = "w", ts = "ts" }
       dedupe = { key = ["w"], within = "5s", keep = "last" }
       limits = { keys = 3 }"#,
];

/// What reads them.
const SECOND: [&str; 4] = [
    r#"where  = "w != 'w0'"
       select = { key = "key", w = "w", at = "now" }"#,
    r#"by     = ["key"]
       window = "tumbling 8s"
       select = { n = "count()", w = "last(w)" }"#,
    r#"by     = ["w"]
       window = "sliding 9s"
       time   = { field = "ts", unit = "ms", late = "2s" }
       select = { n = "count()" }"#,
    r#"by     = ["key"]
       [rule.second.alert]
       when   = "w == 'w1'"
       for    = "8s"
       silent = "12s""#,
];

fn first(text: &str, to: &str) -> String {
    format!("[rule.first]\nfrom = \"in/{{key}}\"\nby = [\"key\"]\n{to}\n{text}\n")
}

fn second(text: &str, from: &str) -> String {
    format!("[rule.second]\nfrom = \"{from}\"\nto = \"out\"\n{text}\n")
}

fn bodies(out: &[Emission]) -> Vec<Value> {
    out.iter().filter(|emission| &*emission.rule == "second").map(body).collect()
}

/// Gives an engine what another one has sent.
fn give(two: &mut Engine, sent: &mut Vec<Emission>, now: i64, out: &mut Vec<Emission>) {
    for emission in sent.drain(..) {
        let event = Event {
            topic: &emission.topic,
            payload: &emission.payload,
            qos: 1,
            retain: false,
            client: "",
            arrived: Timestamp(now),
        };
        two.handle(Timestamp(now), &event, out);
    }
}

/// Two engines, the second of which is given what the first one sends.
fn by_hand(first_rule: &str, second_rule: &str, inputs: &[Input]) -> Vec<Value> {
    let mut one = Engine::new(plan(&first(first_rule, "to = \"mid/{key}\"")));
    let mut two = Engine::new(plan(&second(second_rule, "mid/+")));
    let (mut sent, mut out) = (Vec::new(), Vec::new());
    for input in inputs.iter().map(Some).chain([None]) {
        let until = input.map_or(i64::MAX, |input| input.arrived);
        while let Some(now) = one.poll_timeout().into_iter().chain(two.poll_timeout()).min()
            && now.0 <= until
        {
            // What is due comes before what arrives.
            two.advance(now, &mut out);
            one.advance(now, &mut sent);
            give(&mut two, &mut sent, now.0, &mut out);
        }
        if let Some(input) = input {
            handle(&mut one, input, &mut sent);
            give(&mut two, &mut sent, input.arrived, &mut out);
        }
    }
    bodies(&out)
}

/// An engine that is made anew from its deltas wherever `cuts` says so.
fn run_with_restarts(text: &str, inputs: &[Input], cuts: &[u8]) -> Vec<Emission> {
    let mut engine = Engine::new(plan(text));
    let (mut deltas, mut out) = (Vec::new(), Vec::new());
    for (position, input) in inputs.iter().enumerate() {
        handle(&mut engine, input, &mut out);
        if cuts[position % cuts.len()] == 0 {
            let mut delta = Vec::new();
            if engine.take_delta(&mut delta) {
                deltas.push(delta);
            }
            let none = std::iter::empty::<Vec<u8>>();
            engine = Engine::restore(plan(text), none, deltas.iter())
                .expect("what was stored can be read");
        }
    }
    finish(&mut engine, &mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn a_chain_is_two_engines_connected_by_hand(
        one in 0..FIRST.len(), two in 0..SECOND.len(), inputs in inputs(80), turned: bool,
    ) {
        let mut rules = [first(FIRST[one], ""), second(SECOND[two], "rule:first")];
        if turned {
            // The order of the files does not matter.
            rules.reverse();
        }
        let found = bodies(&run(&rules.concat(), &inputs));
        prop_assert_eq!(found, by_hand(FIRST[one], SECOND[two], &inputs));
    }

    #[test]
    fn a_chain_goes_on_after_restarts(
        one in 0..FIRST.len(), two in 0..SECOND.len(), inputs in inputs(80),
        cuts in proptest::collection::vec(0u8..3, 1..9),
    ) {
        let text = first(FIRST[one], "to = \"mid/{key}\"") + &second(SECOND[two], "rule:first");
        prop_assert_eq!(run_with_restarts(&text, &inputs, &cuts), run(&text, &inputs));
    }
}

#[test]
fn what_a_chained_rule_cannot_use_is_a_letter_that_names_the_other_rule() {
    let text = "[rule.copy]\nfrom = \"in/+\"\n[rule.second]\nfrom = \"rule:copy\"\n\
        select = { half = \"w / 2\" }\nto = \"out\"\n";
    let input = Input { arrived: 0, time: 0, key: 1, value: None, word: 2, client: 0 };
    let out = run(text, &[input]);
    let letter = out[0].error.as_ref().expect("a text cannot be divided");
    assert_eq!((out.len(), letter.code, letter.topic.as_str()), (1, "R102", "rule:copy"));
}

#[test]
fn a_rule_reads_the_json_body_of_another_whatever_that_one_sends() {
    let text = "[rule.copy]\nfrom = \"in/{key}\"\nselect = { w = \"w\", at = \"now\" }\n\
        to = [{ topic = \"a\", format = \"csv\" }, { topic = \"b\", format = \"text\", value = \"w\" }]\n\
        [rule.second]\nfrom = \"rule:copy\"\nselect = { w = \"w\" }\nto = \"out\"\n";
    let input = Input { arrived: 0, time: 0, key: 1, value: None, word: 2, client: 0 };
    let out = run(text, &[input]);
    let sent: Vec<_> =
        out.iter().map(|one| (&*one.topic, String::from_utf8_lossy(&one.payload))).collect();
    let expected = [("a", "w2,0"), ("b", "w2"), ("out", "{\"w\":\"w2\"}")];
    assert_eq!(sent, expected.map(|(topic, payload)| (topic, payload.into())));
}

#[test]
fn several_destinations_are_one_result_for_the_rules_that_read_it() {
    let text = "[rule.copy]\nfrom = \"in/+\"\nto = [\"a\", \"b\"]\n[rule.second]\n\
        from = \"rule:copy\"\nselect = { w = \"w\" }\nto = { topic = \"out/{w}\", meta = true }\n\
        [rule.third]\nfrom = [\"rule:second\", \"rule:copy\"]\nselect = { w = \"w\" }\n\
        to = \"third\"\n";
    let input = Input { arrived: 0, time: 0, key: 1, value: None, word: 2, client: 0 };
    let topics: Vec<String> = run(text, &[input]).into_iter().map(|one| one.topic).collect();
    assert_eq!(topics, ["a", "b", "out/w2", "third", "third"]);
}
