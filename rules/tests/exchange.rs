//! Rules that take the place of others while they run.

mod common;
#[path = "common/stateful.rs"]
mod stateful;

use std::collections::BTreeSet;

use common::{Input, START, finish, handle, inputs, plan};
use proptest::prelude::*;
use stateful::{RULES, rule};
use weir_rules::{Emission, Engine, RuleChange, RuleChangeKind, Timestamp};

/// What another file says, compared with a rule of the list: nothing, the conditions and the
/// destination, the whole rule, or one more rule before it.
fn other(which: usize, with: usize, how: u8) -> String {
    let text = rule(RULES[which]);
    match how {
        0 => text,
        1 => text.replace("to = \"out/{key}\"", "to = \"elsewhere/{key}\""),
        2 => rule(RULES[with]),
        _ => format!("{}\n{text}", rule(RULES[with]).replace("rule.r", "rule.a")),
    }
}

/// What an engine goes on to send.
fn go_on(mut engine: Engine, inputs: &[Input]) -> Vec<Emission> {
    let mut out = Vec::new();
    inputs.iter().for_each(|input| handle(&mut engine, input, &mut out));
    finish(&mut engine, &mut out);
    out
}

fn store(engine: &mut Engine) -> Vec<Vec<u8>> {
    let mut shards = Vec::new();
    engine.snapshot(512, &mut |shard| shards.push(shard.to_vec()));
    shards
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// A reload does to the state of rules what a restart does with the same files.
    #[test]
    fn an_exchange_is_a_restart(
        which in 0..RULES.len(), with in 0..RULES.len(), how in 0u8..4, paused: bool,
        inputs in inputs(80), at in 0usize..80,
    ) {
        let (before, after) = inputs.split_at(at.min(inputs.len()));
        let mut engine = Engine::new(plan(&rule(RULES[which])));
        let mut out = Vec::new();
        before.iter().for_each(|input| handle(&mut engine, input, &mut out));
        engine.set_paused("r", paused);
        let other = other(which, with, how);
        let shards = store(&mut engine);
        let none: [&[u8]; 0] = [];
        let restored = Engine::restore(plan(&other), shards.iter(), none.iter());
        let mut restored = restored.expect("what was stored can be read");
        engine.exchange(plan(&other));
        prop_assert_eq!(store(&mut engine), store(&mut restored));
        prop_assert_eq!(engine.poll_timeout(), restored.poll_timeout());
        prop_assert_eq!(go_on(engine, after), go_on(restored, after));
    }

    /// Away and back: nothing of the state that was dropped comes up again from what is stored.
    #[test]
    fn a_snapshot_after_an_exchange_is_all_there_is(
        which in 0..RULES.len(), inputs in inputs(60), at in 0usize..60,
    ) {
        let (before, after) = inputs.split_at(at.min(inputs.len()));
        let text = rule(RULES[which]);
        let mut engine = Engine::new(plan(&text));
        let mut out = Vec::new();
        before.iter().for_each(|input| handle(&mut engine, input, &mut out));
        engine.exchange(plan("[rule.x]\nfrom = \"x\"\nto = \"y\""));
        engine.exchange(plan(&text));
        let shards = store(&mut engine);
        let none: [&[u8]; 0] = [];
        let restored = Engine::restore(plan(&text), shards.iter(), none.iter());
        let restored = restored.expect("what was stored can be read");
        prop_assert_eq!(go_on(restored, after), go_on(Engine::new(plan(&text)), after));
    }
}

const FILE: &str = r#"
    [rule.copied]
    from = "in/{key}"
    to   = "copy/{key}"

    [rule.counted]
    from   = "in/{key}"
    by     = ["key"]
    window = "tumbling 1m"
    select = { n = "count()" }
    to     = "n/{key}"
"#;

fn input(arrived: i64) -> Input {
    Input { arrived, time: arrived, key: 1, value: Some(1.0), word: 0, client: 0 }
}

/// An engine with a message, and what it says to another file.
fn exchanged(file: &str) -> (Engine, Vec<RuleChange>) {
    let mut engine = Engine::new(plan(FILE));
    let mut out = Vec::new();
    handle(&mut engine, &input(START), &mut out);
    let compared = engine.compare(&plan(file));
    let changes = engine.exchange(plan(file));
    assert_eq!(compared, changes, "a look beforehand says what comes");
    (engine, changes)
}

fn change(rule: &str, kind: RuleChangeKind) -> RuleChange {
    RuleChange { rule: rule.into(), kind }
}

#[test]
fn the_same_rules_are_no_change() {
    let (engine, changes) = exchanged(&FILE.replace("  select", "  about = \"x\"\n  select"));
    assert_eq!(changes, []);
    let out = go_on(engine, &[]);
    assert!(out.len() == 1 && out[0].payload.starts_with(b"{\"key\":\"1\",\"n\":1,"), "{out:?}");
}

#[test]
fn what_is_written_differently_goes_on_with_its_state() {
    let file = FILE.replace("\"n/{key}", "\"m/{key}");
    let (mut engine, changes) = exchanged(&file);
    assert_eq!(changes, [change("counted", RuleChangeKind::Changed)]);
    let limited = file.replace("\"count()\" }", "\"count()\" }\n    limits = { keys = 1 }");
    assert_eq!(engine.exchange(plan(&limited)), [change("counted", RuleChangeKind::Changed)]);
    let out = go_on(engine, &[input(START + 1)]);
    let result = out.iter().find(|one| one.topic == "m/1").expect("a result");
    assert!(result.payload.starts_with(b"{\"key\":\"1\",\"n\":2,"), "{result:?}");
}

#[test]
fn what_computes_something_else_begins_anew() {
    let (engine, changes) = exchanged(&FILE.replace("tumbling 1m", "tumbling 2m"));
    assert_eq!(changes, [change("counted", RuleChangeKind::Restarted { groups: 1 })]);
    assert_eq!(engine.poll_timeout(), None, "nothing is left of the window");
    assert_eq!(engine.status()[1].matched, 1, "counters go on");
}

#[test]
fn rules_come_and_go() {
    let (mut engine, changes) = exchanged("[rule.new]\nfrom = \"in/1\"\nto = \"new\"");
    let expected = [
        change("new", RuleChangeKind::Added),
        change("copied", RuleChangeKind::Removed { groups: 0 }),
        change("counted", RuleChangeKind::Removed { groups: 1 }),
    ];
    assert_eq!(changes, expected);
    engine.advance(Timestamp(START + 100_000), &mut Vec::new());
    let out = go_on(engine, &[input(START + 100_000)]);
    assert!(out.len() == 1 && out[0].topic == "new", "{out:?}");
}

/// A consumer that knows messages by their identifiers must not take new ones for old ones.
#[test]
fn a_rule_that_comes_back_gives_other_identifiers() {
    for how in [
        "select = { v = \"v\" }",
        "window = \"count 2\"\nselect = { n = \"count()\" }",
        "window = \"while v > 0\"\nselect = { n = \"count()\" }",
        "time = { field = \"ts\" }\nwindow = \"tumbling 1s\"\nselect = { n = \"count()\" }",
    ] {
        let head = "[rule.r]\nfrom = \"in/{key}\"\nby = [\"key\"]\ndecode = \"json\"\n";
        let file = format!("{head}to = \"out/{{key}}\"\n{how}\n");
        let mut engine = Engine::new(plan(&file));
        let mut out = Vec::new();
        for life in 0..2 {
            for at in 0..8 {
                let value = Some(if at % 4 == 3 { -1.0 } else { 1.0 });
                let time = START + at * 500;
                // The same messages later: nothing in them tells the results apart.
                let input = Input { value, time, ..input(time + life * 60_000) };
                handle(&mut engine, &input, &mut out);
            }
            engine.exchange(plan("[rule.x]\nfrom = \"x\"\nto = \"y\""));
            engine.exchange(plan(&file));
        }
        let ids: BTreeSet<u128> = out.iter().map(|one| one.id).collect();
        assert!(out.len() >= 4, "{how}: {out:?}");
        assert_eq!(ids.len(), out.len(), "{how}: {out:?}");
    }
}
