//! Windows that messages open and close, and those of the calendar, against a plain recomputation
//! over the whole input.

mod common;

use std::collections::BTreeMap;

use common::{Input, START, body, inputs, run};
use proptest::prelude::*;
use serde_json::Value;

/// Key, start and end of a result; several can be alike.
type Place = (u8, i64, i64);
/// What went into the results of a place, in order of arrival.
type Expected = Vec<(Place, Vec<Input>)>;

fn rule(window: &str, more: &str) -> String {
    format!(
        r#"
        [rule.r]
        from   = "in/{{key}}"
        by     = ["key"]
        window = "{window}"
        {more}
        select = {{ n = "count()", sum = "sum(v)", p50 = "p50(v)", first = "first(w)", last = "last(w)",
            area = "integral(v)", held = "twavg(v)", said = "collect(w, 3)" }}
        limits = {{ memory = "64 MiB", expire = "40d" }}
        to     = "out/{{key}}"
        "#
    )
}

fn by_event_time(late: i64) -> String {
    format!("time = {{ field = \"ts\", unit = \"ms\", late = \"{late}ms\" }}")
}

/// The messages of each key, by arrival.
fn by_arrival(inputs: &[Input]) -> BTreeMap<u8, Vec<Input>> {
    let mut keys: BTreeMap<u8, Vec<Input>> = BTreeMap::new();
    for input in inputs {
        let timed = Input { time: input.arrived, ..input.clone() };
        keys.entry(input.key).or_default().push(timed);
    }
    keys
}

fn times(list: &[Input]) -> (i64, i64) {
    let times = list.iter().map(|input| input.time);
    (times.clone().min().unwrap_or(0), times.max().unwrap_or(0))
}

/// The outputs of `rule` over some messages.
fn batch(list: &[Input], end: i64) -> Value {
    let mut values: Vec<f64> = list.iter().filter_map(|input| input.value).collect();
    let sum: f64 = values.iter().sum();
    values.sort_by(f64::total_cmp);
    let middle = |at: f64| values.get(at as usize).copied().unwrap_or(f64::NAN);
    let position = 0.5 * (values.len() as f64 - 1.0).max(0.0);
    let (low, high) = (middle(position.floor()), middle(position.ceil()));
    let number = |x: f64| if x.is_finite() { Value::from(x) } else { Value::Null };
    let word = |input: Option<&Input>| input.map(|input| format!("w{}", input.word));
    let mut ordered = list.to_vec();
    ordered.sort_by_key(|input| input.time);
    let said: Vec<String> =
        ordered.iter().rev().take(3).rev().map(|input| format!("w{}", input.word)).collect();
    let (area, held) = areas(&ordered, end);
    serde_json::json!({
        "n": list.len(),
        "sum": if values.is_empty() { Value::Null } else { number(sum) },
        "p50": number(low + (high - low) * position.fract()),
        "first": word(list.iter().min_by_key(|input| input.time)),
        "area": number(area / 1000.0),
        "held": number(held),
        "said": said,
        "last": word(list.iter().max_by_key(|input| input.time)),
    })
}

/// Area under straight lines, and the mean of steps until `end`.
fn areas(ordered: &[Input], end: i64) -> (f64, f64) {
    let points: Vec<(i64, f64)> =
        ordered.iter().filter_map(|input| Some((input.time, input.value?))).collect();
    let Some((last, value)) = points.last().copied() else { return (f64::NAN, f64::NAN) };
    let (mut area, mut held) = (0.0, (end - last) as f64 * value);
    for pair in points.windows(2) {
        let width = (pair[1].0 - pair[0].0) as f64;
        area += width * (pair[0].1 + pair[1].1) / 2.0;
        held += width * pair[0].1;
    }
    let length = (end - points[0].0) as f64;
    (area, if length > 0.0 { held / length } else { value })
}

fn stamp(value: &Value) -> i64 {
    let text = value.as_str().expect("a time stamp");
    text.parse::<jiff::Timestamp>().expect("a time stamp").as_millisecond()
}

fn compare(rule: &str, inputs: &[Input], mut expected: Expected) -> Result<(), TestCaseError> {
    let mut sent = Vec::new();
    for emission in run(rule, inputs) {
        prop_assert!(emission.error.is_none(), "{:?}", emission.error);
        let body = body(&emission);
        let key = body["key"].as_str().and_then(|key| key.parse().ok()).expect("a key");
        let window = &body["window"];
        sent.push(((key, stamp(&window["start"]), stamp(&window["end"])), body));
    }
    // Results of a key come in order; those of one place keep theirs.
    sent.sort_by_key(|(place, _)| *place);
    expected.sort_by_key(|(place, _)| *place);
    let places = |list: &[(Place, Value)]| list.iter().map(|(place, _)| *place).collect::<Vec<_>>();
    let wanted: Vec<Place> = expected.iter().map(|(place, _)| *place).collect();
    prop_assert_eq!(places(&sent), wanted);
    for ((place, found), (_, list)) in sent.iter().zip(&expected) {
        let wanted = batch(list, place.2);
        let scale: f64 = list.iter().filter_map(|input| input.value).map(f64::abs).sum();
        for name in ["n", "first", "last", "said"] {
            prop_assert_eq!(&found[name], &wanted[name], "{:?} {}", place, name);
        }
        for name in ["sum", "p50", "area", "held"] {
            let scale = if name == "area" { scale * 1000.0 } else { scale };
            let near = match (found[name].as_f64(), wanted[name].as_f64()) {
                (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * scale.max(1.0),
                _ => found[name] == wanted[name],
            };
            prop_assert!(near, "{place:?} {name}: {} is not {}", found[name], wanted[name]);
        }
    }
    Ok(())
}

/// Every `every` messages, the last `size`, once there are so many.
fn expect_count(inputs: &[Input], size: usize, every: usize) -> Expected {
    let mut expected = Expected::new();
    for (key, list) in by_arrival(inputs) {
        for end in (every..=list.len()).step_by(every).filter(|end| *end >= size) {
            let held = list[end - size..end].to_vec();
            let (start, end) = times(&held);
            expected.push(((key, start, end), held));
        }
    }
    expected
}

/// In order of time: a message begins a session if it is too far from the one before, or from the
/// first.
fn expect_session(inputs: &[Input], gap: i64, max: i64) -> Expected {
    let mut expected = Expected::new();
    for (key, list) in by_arrival(inputs) {
        let mut sessions: Vec<Vec<Input>> = Vec::new();
        for input in list {
            match sessions.last_mut() {
                Some(session)
                    if input.time < times(session).1 + gap
                        && input.time < times(session).0 + max =>
                {
                    session.push(input);
                }
                _ => sessions.push(vec![input]),
            }
        }
        for session in sessions {
            let (first, last) = times(&session);
            expected.push(((key, first, (last + gap).min(first + max)), session));
        }
    }
    expected
}

/// By event time: sessions are the messages that hang together, of those that came before their
/// session was closed.
fn expect_session_by_event_time(inputs: &[Input], gap: i64, late: i64) -> Expected {
    let mut expected = Expected::new();
    let mut open: BTreeMap<u8, (i64, Vec<Vec<Input>>)> = BTreeMap::new();
    for input in inputs {
        let (watermark, sessions) = open.entry(input.key).or_insert((i64::MIN, Vec::new()));
        let near = |session: &Vec<Input>| {
            let (first, last) = times(session);
            input.time > first - gap && input.time < last + gap
        };
        let (joined, apart): (Vec<_>, Vec<_>) = sessions.drain(..).partition(near);
        *sessions = apart;
        let last = joined.iter().map(|session| times(session).1).max();
        if last.unwrap_or(input.time).max(input.time) + gap <= *watermark {
            sessions.extend(joined);
            continue;
        }
        // In order of arrival, as in the other sessions; which decides between equal times.
        let mut session = joined.concat();
        session.push(input.clone());
        sessions.push(session);
        *watermark = (*watermark).max(input.time - late);
        let (closed, still): (Vec<_>, Vec<_>) =
            sessions.drain(..).partition(|session| times(session).1 + gap <= *watermark);
        *sessions = still;
        expected.extend(closed.into_iter().map(|session| (input.key, session)).map(place(gap)));
    }
    for (key, (_, sessions)) in open {
        expected.extend(sessions.into_iter().map(|session| (key, session)).map(place(gap)));
    }
    expected
}

fn place(gap: i64) -> impl Fn((u8, Vec<Input>)) -> (Place, Vec<Input>) {
    move |(key, session)| {
        let (first, last) = times(&session);
        ((key, first, last + gap), session)
    }
}

/// Messages in order; a run is what is true, and ends with the first that is not.
fn expect_while(key: u8, list: &[Input], least: f64, expected: &mut Expected) {
    let mut run: Vec<Input> = Vec::new();
    for input in list {
        if input.value.is_some_and(|value| value > least) {
            run.push(input.clone());
        } else if !run.is_empty() {
            expected.push(((key, times(&run).0, input.time), std::mem::take(&mut run)));
        }
    }
    if !run.is_empty() {
        let (first, last) = times(&run);
        expected.push(((key, first, last), run));
    }
}

fn expect_while_by_event_time(inputs: &[Input], late: i64, least: f64) -> Expected {
    let mut accepted: BTreeMap<u8, (i64, Vec<Input>)> = BTreeMap::new();
    for input in inputs {
        let (watermark, list) = accepted.entry(input.key).or_insert((i64::MIN, Vec::new()));
        if input.time >= *watermark {
            list.push(input.clone());
            *watermark = (*watermark).max(input.time - late);
        }
    }
    let mut expected = Expected::new();
    for (key, (_, mut list)) in accepted {
        list.sort_by_key(|input| input.time);
        expect_while(key, &list, least, &mut expected);
    }
    expected
}

/// The same messages with times that are multiples of `step`, so that they meet the ends of
/// windows.
fn coarse(inputs: &[Input], step: i64) -> Vec<Input> {
    let round = |time: i64| time.div_euclid(step) * step;
    let coarse = |input: &Input| Input {
        arrived: round(input.arrived),
        time: round(input.time),
        ..input.clone()
    };
    inputs.iter().map(coarse).collect()
}

fn up(time: i64, step: i64) -> i64 {
    (time + step - 1) / step * step
}

/// The step of all times and durations, in milliseconds.
fn step() -> impl Strategy<Value = i64> {
    prop_oneof![Just(1i64), Just(500)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn count_windows(size in 1usize..20, every in 1usize..20, inputs in inputs(80)) {
        let every = every.min(size);
        let rule = rule(&format!("count {size} every {every}"), "");
        compare(&rule, &inputs, expect_count(&inputs, size, every))?;
    }

    #[test]
    fn sessions_by_arrival(
        step in step(), gap in 1i64..6000, max in 6000i64..20_000, inputs in inputs(80),
    ) {
        let (gap, max) = (up(gap, step), up(max, step));
        let inputs = coarse(&inputs, step);
        let rule = rule(&format!("session {gap}ms max {max}ms"), "");
        compare(&rule, &inputs, expect_session(&inputs, gap, max))?;
    }

    #[test]
    fn sessions_by_event_time(
        step in step(), gap in 1i64..6000, late in 0i64..8000, inputs in inputs(80),
    ) {
        let (gap, late) = (up(gap, step), up(late, step));
        let inputs = coarse(&inputs, step);
        let rule = rule(&format!("session {gap}ms"), &by_event_time(late));
        compare(&rule, &inputs, expect_session_by_event_time(&inputs, gap, late))?;
    }

    #[test]
    fn runs_by_arrival(inputs in inputs(80)) {
        let mut expected = Expected::new();
        for (key, list) in by_arrival(&inputs) {
            expect_while(key, &list, 0.0, &mut expected);
        }
        compare(&rule("while v > 0", ""), &inputs, expected)?;
    }

    #[test]
    fn runs_by_event_time(step in step(), late in 0i64..8000, inputs in inputs(80)) {
        let late = up(late, step);
        let inputs = coarse(&inputs, step);
        let rule = rule("while v > -60", &by_event_time(late));
        compare(&rule, &inputs, expect_while_by_event_time(&inputs, late, -60.0))?;
    }

    #[test]
    fn days_of_a_time_zone(inputs in inputs(80)) {
        // Stretched to days, around the night of 29 March in which Berlin goes from one hour ahead
        // of UTC to two.
        let change = 1_774_746_000_000;
        let ahead = |time: i64| if time < change { 3_600_000 } else { 7_200_000 };
        let stretch = |input: &Input| {
            let arrived = change - 4 * 86_400_000 + (input.arrived - START) * 500;
            Input { arrived, time: arrived, ..input.clone() }
        };
        let inputs: Vec<Input> = inputs.iter().map(stretch).collect();
        let mut days: BTreeMap<(u8, i64), Vec<Input>> = BTreeMap::new();
        for input in &inputs {
            let day = (input.time + ahead(input.time) - 6 * 3_600_000).div_euclid(86_400_000);
            days.entry((input.key, day)).or_default().push(input.clone());
        }
        let start = |day: i64| {
            let local = day * 86_400_000 + 6 * 3_600_000;
            local - ahead(local - 7_200_000)
        };
        let expected = days.into_iter().map(|((key, day), list)| {
            ((key, start(day), start(day + 1)), list)
        });
        let rule = rule("tumbling 1d at 06:00 Europe/Berlin", "");
        compare(&rule, &inputs, expected.collect())?;
    }
}

/// The tests that stand in a text of rules.
fn check_cases(text: &str) {
    match weir_rules::run_cases(&[weir_rules::Source::new("test.toml", text)]) {
        Ok(report) => assert!(report.passed() && !report.cases.is_empty(), "{report}"),
        Err(problems) => panic!("{}", problems[0]),
    }
}

#[test]
fn what_came_too_late_is_sent_as_it_came() {
    check_cases(
        r#"
        [rule.r]
        from   = "in/{key}"
        by     = ["key"]
        time   = { field = "ts", unit = "ms" }
        window = "tumbling 10s"
        emit   = { late = "topic" }
        select = { n = "count()" }
        to     = "out"

        [[rule.r.test]]
        name   = "the message of a closed window"
        play   = [
            { at = "12s", topic = "in/a", payload = '{"ts":1767225612000}' },
            { at = "13s", topic = "in/a", payload = '{"ts": 1767225601000, "v": 1}' },
            { at = "14s", topic = "in/a", payload = '{"ts":1767225611000}' },
        ]
        expect = [
            { topic = "$rules/r/late", payload = '{"ts": 1767225601000, "v": 1}', times = 1 },
            { topic = "out", where = "n == 2 && window.late == 1", times = 1 },
            { times = 2 },
        ]
        "#,
    );
}

#[test]
fn early_results_are_sent_only_if_something_came() {
    check_cases(
        r#"
        [rule.r]
        from   = "in"
        decode = "number"
        window = "count 3"
        emit   = { early = "10s" }
        select = { sum = "sum(value)" }
        to     = "out"

        [[rule.r.test]]
        name   = "three messages, twenty minutes"
        until  = "20m"
        play   = [
            { at = "1s", topic = "in", payload = "1" },
            { at = "2s", topic = "in", payload = "2" },
            { at = "60s", topic = "in", payload = "4" },
            { at = "61s", action = "power-cut" },
            { at = "605s", topic = "in", payload = "8" },
        ]
        expect = [
            { where = "sum == 3 && window.early", times = 1 },
            { where = "sum == 7 && window.early == null", times = 1 },
            { where = "sum == 8 && window.early", times = 1 },
            { times = 3 },
        ]
        "#,
    );
}

#[test]
fn sessions_that_a_late_message_joins_are_one() {
    check_cases(
        r#"
        [rule.r]
        from   = "in/{key}"
        by     = ["key"]
        time   = { field = "ts", unit = "ms", late = "30s", idle = "1m" }
        window = "session 10s"
        select = { n = "count()", p50 = "p50(ts)" }
        to     = "out"

        [[rule.r.test]]
        name   = "and it survives a power cut between"
        play   = [
            { at = "20s", topic = "in/a", payload = { ts = 1767225600000 } },
            { at = "21s", topic = "in/a", payload = { ts = 1767225616000 } },
            { at = "22s", topic = "in/a", payload = { ts = 1767225640000 } },
            { at = "23s", action = "power-cut" },
            { at = "24s", topic = "in/a", payload = { ts = 1767225608000 } },
            { at = "25s", action = "power-cut" },
        ]
        expect = [
            { where = "n == 1 && window.end == '2026-01-01T00:00:10.000Z'", times = 1 },
            { where = "n == 2 && window.late == 1 && window.start == '2026-01-01T00:00:08.000Z'", times = 1 },
            { where = "n == 1 && window.start == '2026-01-01T00:00:40.000Z'", times = 1 },
            { times = 3 },
        ]
        "#,
    );
}
