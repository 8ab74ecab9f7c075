//! What is told of each message of a traced rule.

mod common;

use common::{Input, START, finish, handle, inputs, plan};
use proptest::prelude::*;
use serde_json::Value;
use weir_rules::{Emission, Engine, Event, Source, Step, Timestamp, trace_cases};

/// Plays messages (second, topic, payload) to a traced rule `r`; gives the steps as texts.
fn told(rule: &str, play: &[(i64, &str, &str)]) -> Vec<String> {
    steps(rule, play).iter().map(short).collect()
}

/// Without the stamp at the beginning, which is the same day for all.
fn short(step: &Step) -> String {
    step.to_string().split_once('T').map_or(String::new(), |(_, text)| text.replace(".000", ""))
}

fn steps(rule: &str, play: &[(i64, &str, &str)]) -> Vec<Step> {
    let (mut engine, mut out, mut steps) = (Engine::new(plan(rule)), Vec::new(), Vec::new());
    assert!(engine.set_traced("r", usize::MAX));
    assert!(!engine.set_traced("other", usize::MAX));
    for (second, topic, payload) in play {
        let arrived = Timestamp(START + second * 1000);
        let payload = payload.as_bytes();
        let (qos, retain, client) = (1, false, "");
        engine.handle(arrived, &Event { topic, payload, qos, retain, client, arrived }, &mut out);
        assert_eq!(engine.take_steps(&mut steps), 0);
    }
    finish(&mut engine, &mut out);
    engine.take_steps(&mut steps);
    steps
}

#[test]
fn each_message_has_a_line_that_says_what_became_of_it() {
    let rule = "[rule.r]\nfrom = \"in/{id}\"\nby = [\"id\"]\nwhere = \"v > 0\"\nto = \"out\"\n\
                window = \"tumbling 10s\"\nselect = { sum = \"sum(v)\" }\nhaving = \"sum > 5\"\n";
    let told = told(
        rule,
        &[
            (1, "in/a", "{\"v\":3}"),
            (2, "in/a", "{\"v\":-1}"),
            (3, "in/b", "no JSON"),
            (4, "in/b", ""),
            (5, "in/b", "{\"v\":\"x\"}"),
            (6, "in/b", "{\"v\":9}"),
        ],
    );
    let expected = [
        "00:00:01Z in/a [a]: into the window 00:00:00 to 00:00:10",
        "00:00:02Z in/a [a]: `where` is not true",
        "00:00:03Z in/b [b]: error R101: ",
        "00:00:04Z in/b: passed over: there is nothing in the payload",
        "00:00:05Z in/b [b]: error R102: ",
        "00:00:06Z in/b [b]: into the window 00:00:00 to 00:00:10",
        "00:00:10Z [a]: the clock\n  -- window 00:00:00 to 00:00:10: `having` is not true",
        "00:00:10Z [b]: the clock\n  -> out {\"id\":\"b\",\"sum\":9,\"window\":",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\ninstead of\n{expected}");
    }
    assert!(told[2].contains("\n  -> $rules/r/errors no JSON (R101: "), "{}", told[2]);
    assert!(told[7].ends_with("} (window 00:00:00 to 00:00:10)"), "{}", told[7]);
}

/// A window can be corrected or not; either way it is told by how much a message was late, and how
/// much the rule allows.
#[test]
fn late_messages_say_how_late_they_are() {
    let rule = |more: &str| {
        format!(
            "[rule.r]\nfrom = \"in\"\ntime = {{ field = \"ts\", unit = \"ms\", late = \"2s\" }}\n\
             window = \"tumbling 10s\"\nselect = {{ n = \"count()\" }}\nto = \"out\"\n{more}"
        )
    };
    let at = |second: i64| format!("{{\"ts\":{}}}", START + second * 1000);
    let (first, second, late) = (at(1), at(15), at(4));
    let play = [(1, "in", first.as_str()), (15, "in", second.as_str()), (16, "in", late.as_str())];
    let dropped = told(&rule(""), &play);
    assert_eq!(dropped[0], "00:00:01Z in: into the window 00:00:00 to 00:00:10");
    assert!(
        dropped[1].starts_with("00:00:15Z in: into the window 00:00:10 to 00:00:20\n  -> out ")
    );
    let words = "late: 00:00:04 is 9s before the watermark (`late` is 2s)";
    assert_eq!(dropped[2], format!("00:00:16Z in: {words}, its windows are closed"));
    let corrected = told(&rule("emit = { late = \"update\" }"), &play);
    let start = format!("00:00:16Z in: {words}; into the window 00:00:00 to 00:00:10\n  -> out ");
    assert!(corrected[2].starts_with(&start), "{}", corrected[2]);
    assert!(corrected[2].ends_with("(window 00:00:00 to 00:00:10, rev 1)"), "{}", corrected[2]);
}

/// There is neither a window that could be closed nor a watermark.
#[test]
fn a_message_that_an_alert_passes_over_for_its_age_says_so() {
    let rule = "[rule.r]\nfrom = \"in\"\nselect = { v = \"v\" }\nto = \"out\"\n\
                time = { field = \"ts\", unit = \"ms\", late = \"1m\" }\n\
                [rule.r.alert]\nwhen = \"v > 0\"\nfor = \"10s\"\n";
    let at = |second: i64| format!("{{\"v\":1,\"ts\":{}}}", START + second * 1000);
    let steps = steps(rule, &[(5, "in", at(5).as_str()), (6, "in", at(4).as_str())]);
    let words = "late: 00:00:04 is 1s older than the newest of its group";
    assert_eq!(short(&steps[1]), format!("00:00:06Z in: {words}"));
    let json: Value = serde_json::from_str(&steps[1].to_json()).expect("JSON");
    assert_eq!((&json["verdict"], &json["older"]["by_ms"]), (&"older".into(), &1000.into()));
}

#[test]
fn every_kind_of_window_is_told() {
    let told = |window: &str, more: &str| {
        let rule = format!(
            "[rule.r]\nfrom = \"in\"\ndecode = \"number\"\nwindow = \"{window}\"\n\
             select = {{ n = \"count()\" }}\nto = \"out\"\n{more}"
        );
        let told = told(&rule, &[(60, "in", "1"), (65, "in", "2")]);
        let first = |text: &String| text.lines().next().unwrap_or_default().to_owned();
        [first(&told[0]), first(&told[1])].map(|line| line[10..].to_owned())
    };
    for (window, first, second) in [
        (
            "sliding 1m every 30s",
            "in: into the windows 00:00:30 to 00:01:30 and on to 00:01:00 to 00:02:00",
            "in: into the windows 00:00:30 to 00:01:30 and on to 00:01:00 to 00:02:00",
        ),
        (
            "sliding 30s",
            "in: a window of its own, 00:00:30 to 00:01:00",
            "in: a window of its own, 00:00:35 to 00:01:05",
        ),
        (
            "count 3",
            "in: number 1 of its group, in windows of 3",
            "in: number 2 of its group, in windows of 3",
        ),
        (
            "session 20s",
            "in: into the session 00:01:00 to 00:01:20",
            "in: into the session 00:01:00 to 00:01:25",
        ),
        (
            "while value > 1",
            "in: the condition of `while` is not true",
            "in: the condition of `while` is true",
        ),
        (
            "tumbling 1d at 00:00 UTC",
            "in: into the window 00:00:00 to 2026-01-11T00:00:00Z",
            "in: into the window 00:00:00 to 2026-01-11T00:00:00Z",
        ),
    ] {
        assert_eq!(told(window, ""), [first, second], "{window}");
    }
}

#[test]
fn what_keeps_a_message_back_is_named() {
    let rule = |more: &str| {
        format!(
            "[rule.r]\nfrom = \"in\"\ndecode = \"number\"\nselect = {{ v = \"value\" }}\n\
             to = \"out\"\n{more}"
        )
    };
    let second = |more: &str| {
        let all = told(&rule(more), &[(1, "in", "1"), (2, "in", "1")]);
        all[1].clone()
    };
    let dedupe = "dedupe = { key = [\"value\"], within = \"10s\" }\n";
    assert_eq!(second(dedupe), "00:00:02Z in: came before, says `dedupe`");
    assert_eq!(second("having = \"v > 1\"\n"), "00:00:02Z in: `having` is not true");
    let change = "change = { field = \"v\" }\n";
    // Without `by` it groups by topic.
    assert_eq!(second(change), "00:00:02Z in [in]: nothing new for `change`");
    let alert = "[rule.r.alert]\nwhen = \"value > 0\"\nfor = \"10s\"\n";
    let seen = "00:00:02Z in: seen by `alert`: when is true, clear is false";
    assert!(second(alert).starts_with(seen), "{}", second(alert));
    let join = "[rule.r.join.set]\ntopic = \"set\"\ndecode = \"number\"\n";
    let all = told(&rule(&format!("let = {{ d = \"set.value\" }}\n{join}")), &[(1, "set", "7")]);
    assert_eq!(all, ["00:00:01Z set: kept as the last value of a joined topic"]);
}

/// Rows of one payload are messages of their own, and a group is known as soon as the row is.
#[test]
fn rows_are_told_one_by_one() {
    let rule = "[rule.r]\nfrom = \"in\"\ndecode = { csv = [\"id\", \"v\"] }\nby = [\"id\"]\n\
                where = \"v > 1\"\nselect = { v = \"v\" }\nto = \"out\"\n";
    let told = told(rule, &[(1, "in", "a,1\nb\nc,3\n")]);
    assert_eq!(told[0], "00:00:01Z in row 1 [a]: `where` is not true");
    assert!(told[1].starts_with("00:00:01Z in row 2 [?]: error R101: "), "{}", told[1]);
    assert_eq!(told[2], "00:00:01Z in row 3 [c]: passed\n  -> out {\"id\":\"c\",\"v\":3}");
}

/// A step waits in memory until somebody reads it: it has the beginning of a large payload only.
#[test]
fn a_step_keeps_the_beginning_of_a_large_payload() {
    let rule = "[rule.r]\nfrom = \"in\"\ndecode = \"text\"\nto = \"out\"\n";
    // The bound is within a character.
    let payload = format!("a{}", "\u{20ac}".repeat(1 << 20));
    let steps = steps(rule, &[(1, "in", payload.as_str())]);
    let outcome = &steps[0].outcomes[0];
    let kept = outcome.sent.as_ref().expect("it was sent").payload.len();
    assert_eq!((outcome.payload_bytes, kept), (payload.len(), 4096));
    let told = short(&steps[0]);
    assert!(told.ends_with(&format!("\u{20ac}... {} more", payload.len() - 512)), "{told}");
    let json: Value = serde_json::from_str(&steps[0].to_json()).expect("JSON");
    let sent = &json["outcomes"][0];
    assert_eq!(sent["payload_bytes"], payload.len());
    let beginning = sent["payload"].as_str().expect("it is text");
    assert!(beginning.len() > 4092 && payload.starts_with(beginning), "{}", beginning.len());
}

/// Topics, keys, payloads and messages of faults come from publishers.
#[test]
fn a_publisher_cannot_write_lines_or_move_the_cursor() {
    let rule = "[rule.r]\nfrom = \"in/{id}\"\nby = [\"id\"]\nselect = { v = \"v + 1\" }\n\
                to = \"out/{id}/{k}\"\n";
    let wrong = r#"{"v":"\u001b[2J","k":"k"}"#;
    let right = r#"{"v":1,"k":"\n1\u001b[2J"}"#;
    let topic = "in/a\n2026-01-10T00:00:09.000Z in/b: passed\u{1b}[2J";
    let steps = steps(rule, &[(1, topic, wrong), (2, topic, right), (3, topic, "\u{1b}\n")]);
    for step in &steps {
        let text = step.to_string();
        assert_eq!(text.lines().count(), 1 + step.outcomes.len(), "{text:?}");
        assert!(text.contains("in/a\\n2026"), "{text:?}");
        assert!(!text.contains(|c: char| c != '\n' && c.is_control()), "{text:?}");
    }
}

#[test]
fn a_paused_rule_says_so_and_a_reset_one_is_traced_on() {
    let rule = "[rule.r]\nfrom = \"in\"\ndecode = \"number\"\nto = \"out\"\n";
    let (mut engine, mut out, mut steps) = (Engine::new(plan(rule)), Vec::new(), Vec::new());
    engine.set_traced("r", usize::MAX);
    let (arrived, payload) = (Timestamp(START), &b"1"[..]);
    let event = Event { topic: "in", payload, qos: 0, retain: false, client: "", arrived };
    engine.set_paused("r", true);
    engine.handle(arrived, &event, &mut out);
    engine.set_paused("r", false);
    engine.reset("r");
    engine.handle(arrived, &event, &mut out);
    engine.take_steps(&mut steps);
    engine.set_traced("r", 0);
    engine.handle(arrived, &event, &mut out);
    engine.take_steps(&mut steps);
    let told: Vec<String> = steps.iter().map(short).collect();
    assert_eq!(told, ["00:00:00Z in: the rule is paused", "00:00:00Z in: passed\n  -> out 1"]);
}

/// The first message of a minute finds the windows of all groups at their ends. Steps that were
/// dropped for want of room were lost for `weir rules replay --made`.
#[test]
fn steps_are_dropped_only_beyond_the_given_number() {
    let rule = "[rule.r]\nfrom = \"in/{id}\"\nby = [\"id\"]\nwindow = \"tumbling 1m\"\nto = \"out\"\n\
                select = { n = \"count()\" }\n";
    let taken = |steps_max: usize| {
        let (mut engine, mut out, mut steps) = (Engine::new(plan(rule)), Vec::new(), Vec::new());
        engine.set_traced("r", steps_max);
        let mut give = |group: i64, arrived: i64, steps: &mut Vec<Step>| {
            let (topic, arrived) = (format!("in/{group}"), Timestamp(arrived));
            let (topic, payload, client) = (topic.as_str(), &b"{}"[..], "");
            let event = Event { topic, payload, qos: 1, retain: false, client, arrived };
            engine.handle(arrived, &event, &mut out);
            engine.take_steps(steps)
        };
        (0..5000).for_each(|group| assert_eq!(give(group, START + group, &mut steps), 0));
        steps.clear();
        let missed = give(0, START + 60_000, &mut steps);
        (steps.len(), missed)
    };
    assert_eq!(taken(usize::MAX), (5001, 0));
    assert_eq!(taken(5000), (5000, 1));
}

/// Groups of one client share its watermark: a message of one closes windows of the others, whose
/// results belong to those all the same.
#[test]
fn a_result_is_told_with_its_own_group() {
    let rule = "[rule.r]\nfrom = \"in/{id}\"\nby = [\"id\"]\nwindow = \"tumbling 10s\"\nto = \"out\"\n\
                select = { n = \"count()\" }\n\
                time = { field = \"ts\", unit = \"ms\", per = \"source\" }\n";
    let at = |second: i64| format!("{{\"ts\":{}}}", START + second * 1000);
    let (first, second, third) = (at(1), at(2), at(12));
    let steps =
        steps(rule, &[(1, "in/a", first.as_str()), (2, "in/b", &second), (12, "in/a", &third)]);
    let made = &steps[2];
    let told = short(made);
    let (window, other) = ("(window 00:00:00 to 00:00:10)", "(window 00:00:00 to 00:00:10 of [b])");
    assert!(told.starts_with("00:00:12Z in/a [a]: into the window 00:00:10 to "), "{told}");
    assert!(told.contains(window) && told.contains(other), "{told}");
    let json: Value = serde_json::from_str(&made.to_json()).expect("JSON");
    assert_eq!(json["outcomes"][1]["window"]["key"], "b");
    let of = |group: &str| made.of_group(group).map(|step| short(&step)).expect("a result of it");
    assert!(of("a").contains(window) && !of("a").contains(other), "{}", of("a"));
    assert!(!of("b").contains(window) && of("b").contains(other), "{}", of("b"));
    assert!(made.of_group("c").is_none());
    let window = made.outcomes[1].window.as_ref().expect("the result of a window");
    let parts = steps.iter().map(|step| step.is_part_of(made, window));
    assert_eq!(parts.take(3).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn a_step_as_json_has_the_same_in_fields() {
    let rule = "[rule.r]\nfrom = \"in/{id}\"\nby = [\"id\"]\nto = \"out\"\n\
                window = \"tumbling 10s\"\nselect = { n = \"count()\" }\n";
    let steps = steps(rule, &[(1, "in/a\u{20ac}", "{}"), (2, "in/b", "x")]);
    let json: Vec<Value> =
        steps.iter().map(|step| serde_json::from_str(&step.to_json()).expect("JSON")).collect();
    assert_eq!(json[0]["at"], "2026-01-10T00:00:01.000Z");
    assert_eq!((&json[0]["rule"], &json[0]["key"]), (&"r".into(), &"a\u{20ac}".into()));
    assert_eq!(json[0]["verdict"], "taken");
    assert_eq!(json[0]["window"]["end"], "2026-01-10T00:00:10.000Z");
    assert_eq!((&json[1]["verdict"], &json[1]["code"]), (&"error".into(), &"R101".into()));
    assert_eq!(json[1]["outcomes"][0]["payload"], "x");
    assert_eq!(json[1]["outcomes"][0]["error"]["code"], "R101");
    let (clock, sent) = (&json[2], &json[2]["outcomes"][0]);
    assert_eq!((&clock["verdict"], &clock["topic"]), (&"clock".into(), &Value::Null));
    assert_eq!((&sent["topic"], &sent["window"]["rev"]), (&"out".into(), &0.into()));
}

#[test]
fn a_traced_test_tells_what_became_of_its_play() {
    let file = "[rule.first]\nfrom = \"in\"\ndecode = \"number\"\nselect = { v = \"2 * value\" }\n\
                [rule.r]\nfrom = \"rule:first\"\nwhere = \"v > 5\"\nto = \"out\"\n\
                [[rule.r.test]]\nname = \"doubled\"\nplay = [\n\
                { at = \"0s\", topic = \"in\", payload = \"1\" },\n\
                { at = \"1s\", action = \"power-cut\" },\n\
                { at = \"2s\", topic = \"in\", payload = \"3\" },\n]\n\
                expect = [{ topic = \"out\", times = 1 }]\n";
    let report = trace_cases(&[Source::new("r.toml", file)]).expect("a correct file");
    assert!(report.passed());
    let expected = "\
r: doubled ... ok
  rule first 2026-01-01T00:00:00.000Z in: passed
    -> rule:first {\"v\":2}
  2026-01-01T00:00:00.000Z rule:first: `where` is not true
  2026-01-01T00:00:01.000Z: power cut; what was not stored is played again
  rule first 2026-01-01T00:00:00.000Z in: passed
    -> rule:first {\"v\":2}
  2026-01-01T00:00:00.000Z rule:first: `where` is not true
  rule first 2026-01-01T00:00:02.000Z in: passed
    -> rule:first {\"v\":6}
  2026-01-01T00:00:02.000Z rule:first: passed
    -> out {\"v\":6}
";
    assert_eq!(report.to_string(), expected, "{report}");
}

/// What a rule does with random messages, whether it is traced or not.
fn run(rule: &str, inputs: &[Input], traced: bool) -> (Vec<Emission>, Vec<Vec<u8>>, Vec<Step>) {
    let (mut engine, mut out, mut steps) = (Engine::new(plan(rule)), Vec::new(), Vec::new());
    engine.set_traced("r", if traced { usize::MAX } else { 0 });
    let mut deltas = Vec::new();
    for input in inputs {
        handle(&mut engine, input, &mut out);
        engine.take_steps(&mut steps);
        let mut delta = Vec::new();
        engine.take_delta(&mut delta);
        deltas.push(delta);
    }
    finish(&mut engine, &mut out);
    engine.take_steps(&mut steps);
    (out, deltas, steps)
}

/// Windows of every kind that can be told from outside which messages they hold.
const COUNTED: &[&str] = &[
    "window = \"tumbling 5s\"",
    "window = \"sliding 20s every 2s\"",
    "window = \"sliding 8s\"",
    "window = \"count 6 every 4\"",
    "window = \"session 2s max 20s\"",
    "window = \"tumbling 1h at 00:00 Australia/Lord_Howe\"",
    "window = \"tumbling 5s\"\nemit = { early = \"1s\" }",
    "window = \"sliding 10s every 5s\"\nemit = { late = \"update\" }\n\
     time = { field = \"ts\", unit = \"ms\", late = \"1s\", idle = \"3s\" }",
    "window = \"sliding 8s\"\ntime = { field = \"ts\", unit = \"ms\", late = \"2s\", idle = \"5s\" }",
    "window = \"session 2s\"\ntime = { field = \"ts\", unit = \"ms\", late = \"3s\", idle = \"5s\" }",
    "window = \"session 2s max 6s\"\n\
     time = { field = \"ts\", unit = \"ms\", late = \"9s\", idle = \"5s\" }",
    "window = \"while v > 0\"",
    "window = \"while v > 0\"\nemit = { early = \"1s\" }\n\
     time = { field = \"ts\", unit = \"ms\", late = \"2s\", idle = \"5s\" }",
    "window = \"while v > -50\"\nlimits = { expire = \"10s\" }\n\
     time = { field = \"ts\", unit = \"ms\", late = \"4s\" }",
    "window = \"count 3 every 2\"\nlimits = { expire = \"3s\" }\nemit = { early = \"1s\" }",
    "window = \"tumbling 5s\"\nlimits = { expire = \"6s\" }\n\
     time = { field = \"ts\", unit = \"ms\", late = \"1s\" }",
    "window = \"tumbling 5s\"\n\
     time = { field = \"ts\", unit = \"ms\", late = \"1s\", idle = \"3s\", per = \"source\" }",
    "window = \"session 2s\"\n\
     time = { field = \"ts\", unit = \"ms\", late = \"2s\", idle = \"5s\", per = \"source\" }",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// A result that counts its messages was made of so many. Times in whole seconds fall on the
    /// ends of windows, and on each other.
    #[test]
    fn a_result_was_made_of_the_messages_that_it_counts(
        which in 0..COUNTED.len(), mut inputs in inputs(60), whole in any::<bool>(),
    ) {
        for input in inputs.iter_mut().filter(|_| whole) {
            input.arrived = input.arrived.div_euclid(1000) * 1000;
            input.time = input.time.div_euclid(1000) * 1000;
        }
        let rule = format!(
            "[rule.r]\nfrom = \"in/{{id}}\"\nby = [\"id\"]\nto = \"out\"\n\
             select = {{ n = \"count()\" }}\n{}\n",
            COUNTED[which]
        );
        let (mut engine, mut out, mut steps) = (Engine::new(plan(&rule)), Vec::new(), Vec::new());
        engine.set_traced("r", usize::MAX);
        for input in &inputs {
            handle(&mut engine, input, &mut out);
            engine.take_steps(&mut steps);
        }
        finish(&mut engine, &mut out);
        engine.take_steps(&mut steps);
        for emission in out.iter().filter(|emission| emission.error.is_none()) {
            let at = steps.iter().position(|step| step.outcome_of(emission.id).is_some());
            let at = at.expect("each emission is in a step");
            let window = steps[at].outcome_of(emission.id).and_then(|outcome| outcome.window.clone());
            let window = window.expect("it is the result of a window");
            let parts = steps[..=at].iter().filter(|step| step.is_part_of(&steps[at], &window));
            let n = serde_json::from_slice::<Value>(&emission.payload).expect("JSON")["n"].as_u64();
            prop_assert_eq!(Some(parts.count() as u64), n, "{:?} {}", emission, steps[at]);
        }
    }
}

proptest! {
    /// Results and state are the same byte for byte; each message has one step, and each result is
    /// in one.
    #[test]
    fn tracing_changes_nothing_and_misses_nothing(inputs in inputs(60), kind in 0usize..6) {
        let more = [
            "window = \"tumbling 5s\"\nselect = { n = \"count()\" }\nemit = { late = \"update\" }",
            "window = \"sliding 10s every 2s\"\nselect = { m = \"avg(v)\" }\nhaving = \"m > 0\"",
            "window = \"session 3s\"\nselect = { n = \"count()\" }\nchange = { field = \"n\" }",
            "where = \"v > prev.v\"\nselect = { v = \"v\" }",
            "window = \"count 3\"\nselect = { n = \"count()\" }",
            "select = { v = \"v\" }\nchange = { field = \"v\", at_most_every = \"2s\" }",
        ][kind];
        let time = if more.contains("window") && !more.contains("count 3") {
            "time = { field = \"ts\", unit = \"ms\", late = \"1s\", idle = \"20s\" }\n"
        } else {
            ""
        };
        let rule = format!(
            "[rule.r]\nfrom = \"in/{{key}}\"\nby = [\"key\"]\nto = \"out/{{key}}\"\n{time}{more}\n"
        );
        let (plain, traced) = (run(&rule, &inputs, false), run(&rule, &inputs, true));
        prop_assert!(plain.2.is_empty());
        prop_assert_eq!(&plain.0, &traced.0);
        prop_assert_eq!(&plain.1, &traced.1);
        let messages = traced.2.iter().filter(|step| step.topic.is_some()).count();
        prop_assert_eq!(messages, inputs.len());
        let mut told: Vec<u128> = traced.2.iter().flat_map(|step| &step.outcomes)
            .filter_map(|outcome| outcome.sent.as_ref().ok())
            .map(|emission| emission.id).collect();
        let mut sent: Vec<u128> = plain.0.iter().map(|emission| emission.id).collect();
        told.sort_unstable();
        sent.sort_unstable();
        prop_assert_eq!(told, sent);
    }
}
