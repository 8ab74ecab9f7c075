//! Rules that are paused, let go on, and reset.

mod common;

use common::{Input, START, body, finish, handle, inputs, plan};
use proptest::prelude::*;
use weir_rules::{Emission, Engine, PeekError, Timestamp};

const COUNT: &str = "[rule.r]\nfrom = \"in/{key}\"\nby = [\"key\"]\nto = \"out/{key}\"\n\
                     window = \"tumbling 10s\"\nselect = { n = \"count()\" }\n";
const STEP: &str = "[rule.r]\nfrom = \"in/{key}\"\nby = [\"key\"]\nto = \"out/{key}\"\n\
                    select = { step = \"v - prev.v\" }\n";

fn input(seconds: i64, value: f64) -> Input {
    let arrived = START + seconds * 1000;
    Input { arrived, time: arrived, key: 1, value: Some(value), word: 0, client: 0 }
}

fn counts(out: &[Emission]) -> Vec<u64> {
    out.iter().map(|one| body(one)["n"].as_u64().expect("a count")).collect()
}

fn restored(text: &str, deltas: &[Vec<u8>]) -> Engine {
    let none = std::iter::empty::<Vec<u8>>();
    Engine::restore(plan(text), none, deltas.iter()).expect("what was taken can be read")
}

/// Everything as a snapshot and back.
fn through_a_snapshot(text: &str, engine: &mut Engine) -> Engine {
    let mut snapshot = Vec::new();
    engine.snapshot(512, &mut |shard| snapshot.push(shard.to_vec()));
    let none = std::iter::empty::<Vec<u8>>();
    Engine::restore(plan(text), snapshot.iter(), none).expect("what was taken can be read")
}

#[test]
fn a_paused_rule_neither_counts_nor_sends() {
    let (mut engine, mut out) = (Engine::new(plan(COUNT)), Vec::new());
    handle(&mut engine, &input(0, 1.0), &mut out);
    assert_eq!(engine.set_paused("r", true), Some(true));
    assert_eq!(engine.set_paused("r", true), Some(false));
    for seconds in 1..40 {
        handle(&mut engine, &input(seconds, 1.0), &mut out);
    }
    assert_eq!((out.len(), engine.poll_timeout()), (0, None));
    let status = &engine.status()[0];
    assert_eq!((status.matched, status.keys, status.paused), (1, 1, true));
    assert_eq!(engine.set_paused("other", true), None);
}

#[test]
fn a_rule_that_goes_on_sends_what_was_open_and_counts_from_there() {
    let (mut engine, mut out) = (Engine::new(plan(COUNT)), Vec::new());
    handle(&mut engine, &input(0, 1.0), &mut out);
    handle(&mut engine, &input(1, 1.0), &mut out);
    engine.set_paused("r", true);
    handle(&mut engine, &input(2, 1.0), &mut out);
    engine.set_paused("r", false);
    handle(&mut engine, &input(35, 1.0), &mut out);
    finish(&mut engine, &mut out);
    assert_eq!(counts(&out), [2, 1]);
}

#[test]
fn a_pause_survives_restarts_and_changes_of_the_rule() {
    let (mut engine, mut out) = (Engine::new(plan(COUNT)), Vec::new());
    handle(&mut engine, &input(0, 1.0), &mut out);
    engine.set_paused("r", true);
    let mut deltas = vec![Vec::new()];
    assert!(engine.take_delta(&mut deltas[0]));
    let mut engine = restored(COUNT, &deltas);
    assert_eq!((engine.status()[0].paused, engine.poll_timeout()), (true, None));
    let changed = restored(STEP, &deltas).status()[0].clone();
    assert_eq!((changed.paused, changed.keys), (true, 0));
    assert!(through_a_snapshot(COUNT, &mut engine).status()[0].paused);

    engine.set_paused("r", false);
    deltas.push(Vec::new());
    assert!(engine.take_delta(&mut deltas[1]));
    let mut engine = restored(COUNT, &deltas);
    finish(&mut engine, &mut out);
    assert_eq!(counts(&out), [1]);
}

#[test]
fn a_reset_rule_knows_nothing_and_sends_nothing_twice_under_one_identifier() {
    let (mut engine, mut out) = (Engine::new(plan(STEP)), Vec::new());
    for value in [1.0, 3.0] {
        handle(&mut engine, &input(0, value), &mut out);
    }
    assert_eq!(engine.reset("r"), Some(1));
    assert_eq!(engine.reset("other"), None);
    let status = &engine.status()[0];
    assert_eq!((status.keys, status.state_bytes, engine.poll_timeout()), (0, 0, None));
    for value in [1.0, 3.0] {
        handle(&mut engine, &input(0, value), &mut out);
    }
    let steps: Vec<_> = out.iter().map(|one| body(one)["step"].clone()).collect();
    assert_eq!(steps[..2], steps[2..]);
    let mut ids: Vec<u128> = out.iter().map(|one| one.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[test]
fn a_reset_is_durable_with_the_next_delta() {
    let (mut engine, mut out) = (Engine::new(plan(COUNT)), Vec::new());
    let mut deltas = vec![Vec::new(), Vec::new()];
    handle(&mut engine, &input(0, 1.0), &mut out);
    assert!(engine.take_delta(&mut deltas[0]));
    engine.reset("r");
    assert!(engine.take_delta(&mut deltas[1]));
    assert_eq!(restored(COUNT, &deltas[..1]).status()[0].keys, 1);
    let status = restored(COUNT, &deltas).status()[0].clone();
    assert_eq!((status.keys, status.state_bytes), (0, 0));
}

#[test]
fn bytes_and_times_of_results_are_counted() {
    let text = "[rule.r]\nfrom = \"in/{key}\"\nby = [\"key\"]\nto = \"out/{key}\"\n\
                window = \"tumbling 10s\"\ntime = { field = \"ts\", unit = \"ms\", late = \"2s\" }\n\
                select = { n = \"count()\" }\n";
    let (mut engine, mut out) = (Engine::new(plan(text)), Vec::new());
    let first = input(0, 1.0);
    handle(&mut engine, &first, &mut out);
    let status = &engine.status()[0];
    assert_eq!((status.bytes_in, status.bytes_out), (first.payload().len() as u64, 0));
    assert_eq!((status.last_sent, status.lag_ms), (None, Some(2000)));
    handle(&mut engine, &Input { time: START + 14_500, ..input(15, 1.0) }, &mut out);
    let status = &engine.status()[0];
    assert_eq!(status.bytes_out, out[0].payload.len() as u64);
    let arrived = Timestamp(START + 15_000);
    assert_eq!((status.last_sent, status.lag_ms), (Some(arrived), Some(2500)));
}

#[test]
fn the_current_value_of_a_window_is_told_and_nothing_changes() {
    let text = "[rule.r]\nfrom = \"in/{key}\"\nby = { key = \"key\", word = \"w\", big = \"v > 5\" }\n\
                to = \"out\"\nwindow = \"tumbling 10s\"\nhaving = \"n > 100\"\n\
                select = { n = \"count()\", sum = \"sum(v)\" }\n";
    let mut engine = Engine::new(plan(text));
    for value in [1.0, 2.0, 7.0] {
        handle(&mut engine, &input(1, value), &mut Vec::new());
    }
    let now = Timestamp(START + 3000);
    let status = engine.status();
    let mut delta = Vec::new();
    engine.take_delta(&mut delta);
    let peek = |group: &str| {
        let body = engine.peek(now, "r", group)?;
        let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        Ok::<_, PeekError>((body["n"].as_u64(), body["sum"].as_f64()))
    };
    assert_eq!(peek("1/w0/false"), Ok((Some(2), Some(3.0))));
    assert_eq!(peek("1/w0/true"), Ok((Some(1), Some(7.0))));
    assert_eq!(peek("1/w0"), Err(PeekError::UnknownGroup));
    assert_eq!(peek("2/w0/true"), Err(PeekError::UnknownGroup));
    assert_eq!(engine.peek(now, "x", ""), Err(PeekError::UnknownRule));
    assert_eq!(engine.status(), status);
    assert!(!engine.take_delta(&mut delta));
    let number =
        COUNT.replace("to = \"out/{key}\"", "to = { topic = \"out\", format = \"number\" }");
    let mut engine = Engine::new(plan(&number));
    handle(&mut engine, &input(1, 1.0), &mut Vec::new());
    let body = engine.peek(now, "r", "1").expect("a value");
    assert!(body.starts_with(b"{\"key\":\"1\",\"n\":1,\"window\":"), "a body, in any form");
    let step = Engine::new(plan(STEP));
    assert_eq!(step.peek(now, "r", "1"), Err(PeekError::NoWindow));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    /// What is told is what the window has in it, and asking changes nothing of what is sent.
    #[test]
    fn a_value_that_was_asked_for_is_a_plain_count_and_changes_nothing(inputs in inputs(60)) {
        let windows = ["tumbling 10s", "sliding 20s every 5s", "sliding 8s", "session 3s"];
        for window in windows {
            let text = COUNT.replace("tumbling 10s", window);
            let (mut asked, mut silent) = (Engine::new(plan(&text)), Engine::new(plan(&text)));
            let (mut out, mut expected) = (Vec::new(), Vec::new());
            for (position, input) in inputs.iter().enumerate() {
                handle(&mut silent, input, &mut expected);
                handle(&mut asked, input, &mut out);
                let now = Timestamp(input.arrived);
                let body = asked.peek(now, "r", &input.key.to_string());
                let body: serde_json::Value =
                    serde_json::from_slice(&body.expect("it has this message")).expect("JSON");
                if window != "session 3s" {
                    let time = |name: &str| {
                        let text = body["window"][name].as_str().expect("a time");
                        text.to_owned()
                    };
                    prop_assert!(time("start") < time("end"));
                }
                prop_assert!(body["n"].as_u64() >= Some(1));
                prop_assert!(body["n"].as_u64() <= Some(position as u64 + 1));
            }
            finish(&mut silent, &mut expected);
            finish(&mut asked, &mut out);
            prop_assert_eq!(&out, &expected);
        }
    }
}

/// What is done to the rule between two messages.
fn act(engine: &mut Engine, action: u8) {
    match action {
        0 => _ = engine.set_paused("r", true),
        1 | 2 => _ = engine.set_paused("r", false),
        3 => _ = engine.reset("r"),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn pauses_and_resets_are_restored_exactly(
        which in 0usize..4, inputs in inputs(80),
        actions in proptest::collection::vec(0u8..16, 1..30),
        cuts in proptest::collection::vec(0u8..6, 1..20),
    ) {
        let text = match which {
            0 => COUNT.to_owned(),
            1 => STEP.to_owned(),
            2 => format!("{COUNT}time = {{ field = \"ts\", unit = \"ms\", per = \"source\" }}\n"),
            _ => COUNT.replace("tumbling 10s", "sliding 20s every 2s").replace("count()", "p90(v)"),
        };
        let (mut straight, mut cut) = (Engine::new(plan(&text)), Engine::new(plan(&text)));
        let (mut expected, mut out) = (Vec::new(), Vec::new());
        let (mut snapshot, mut deltas) = (Vec::new(), Vec::<Vec<u8>>::new());
        for (position, input) in inputs.iter().enumerate() {
            handle(&mut straight, input, &mut expected);
            handle(&mut cut, input, &mut out);
            let action = actions[position % actions.len()];
            act(&mut straight, action);
            act(&mut cut, action);
            let kind = cuts[position % cuts.len()];
            if kind < 4 {
                let mut delta = Vec::new();
                if cut.take_delta(&mut delta) {
                    deltas.push(delta);
                }
            }
            if kind == 1 {
                snapshot.clear();
                cut.snapshot(512, &mut |shard| snapshot.push(shard.to_vec()));
                deltas.clear();
            }
            if kind < 3 {
                let bytes = cut.status()[0].state_bytes;
                cut = Engine::restore(plan(&text), snapshot.iter(), deltas.iter())
                    .expect("what was stored can be read");
                prop_assert_eq!(cut.status()[0].state_bytes, bytes);
            }
        }
        for (engine, out) in [(&mut straight, &mut expected), (&mut cut, &mut out)] {
            engine.set_paused("r", false);
            finish(engine, out);
        }
        prop_assert_eq!(out, expected);
    }
}

const CHAIN: &str = "[rule.r]\nfrom = \"in/{key}\"\nby = [\"key\"]\nselect = { v = \"v\" }\n\
                     [rule.second]\nfrom = \"rule:r\"\nselect = { v = \"v\" }\nto = \"out\"\n";

#[test]
fn rules_that_read_a_paused_rule_get_nothing_and_a_paused_one_reads_nothing() {
    for paused in ["r", "second"] {
        let (mut engine, mut out) = (Engine::new(plan(CHAIN)), Vec::new());
        handle(&mut engine, &input(0, 1.0), &mut out);
        engine.set_paused(paused, true);
        handle(&mut engine, &input(1, 2.0), &mut out);
        engine.set_paused(paused, false);
        handle(&mut engine, &input(2, 3.0), &mut out);
        let sent: Vec<_> = out.iter().map(|one| body(one)["v"].as_f64()).collect();
        assert_eq!(sent, [Some(1.0), Some(3.0)], "{paused}");
    }
}

#[test]
fn a_reset_rule_forgets_its_alerts_and_what_it_has_joined() {
    let text = "[rule.r]\nfrom = \"in/{key}\"\nby = [\"key\"]\nto = \"out/{key}\"\n\
                select = { set = \"set.v\" }\n[rule.r.join.set]\ntopic = \"in/0\"\n\
                [rule.r.alert]\nwhen = \"v > 10\"\nclear = \"v < 5\"\nrepeat = \"1h\"\n";
    let (mut engine, mut out) = (Engine::new(plan(text)), Vec::new());
    handle(&mut engine, &Input { key: 0, ..input(0, 7.0) }, &mut out);
    handle(&mut engine, &input(1, 20.0), &mut out);
    assert_eq!(out.len(), 1);
    let first = body(&out[0]);
    assert_eq!((&first["state"], first["set"].as_f64()), (&"firing".into(), Some(7.0)));
    let mut deltas = vec![Vec::new()];
    engine.take_delta(&mut deltas[0]);
    assert_eq!(engine.reset("r"), Some(1));
    let status = &engine.status()[0];
    assert_eq!((status.keys, status.state_bytes, engine.poll_timeout()), (0, 0, None));
    deltas.push(Vec::new());
    assert!(engine.take_delta(&mut deltas[1]));
    for mut engine in [restored(text, &deltas), engine] {
        out.clear();
        handle(&mut engine, &input(2, 3.0), &mut out);
        assert_eq!(out.len(), 0, "no alert is there to end");
        handle(&mut engine, &input(3, 30.0), &mut out);
        let body = body(&out[0]);
        assert_eq!((&body["state"], body["set"].is_null()), (&"firing".into(), true));
    }
}

#[test]
fn an_alert_with_a_window_can_be_asked_for_its_results() {
    let text = "[rule.r]\nfrom = \"in/{key}\"\nby = [\"key\"]\nto = \"out/{key}\"\n\
                window = \"tumbling 10s\"\nselect = { n = \"count()\" }\n\
                [rule.r.alert]\nwhen = \"n > 5\"\n";
    let (mut engine, mut out) = (Engine::new(plan(text)), Vec::new());
    handle(&mut engine, &input(0, 1.0), &mut out);
    let found = engine.peek(Timestamp(START + 1000), "r", "1").expect("the window is open");
    assert!(found.starts_with(br#"{"key":"1","n":1,"window":"#), "{found:?}");
}
