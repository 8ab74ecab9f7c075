//! Every window kind and aggregate against a plain recomputation over the whole input.

mod common;

use std::collections::BTreeMap;

use common::{Input, START, body, inputs, run};
use proptest::prelude::*;
use serde_json::Value;

/// Key, end of the window, revision.
type Place = (u8, i64, u64);

/// What went into each result, in order of arrival.
type Expected = BTreeMap<Place, Vec<Input>>;

const SELECT: &str = r#"
select = { n = "count()", c = "count(v)", sum = "sum(v)", avg = "avg(v)", min = "min(v)",
    max = "max(v)", first = "first(v)", last = "last(v)", range = "range(v)", sd = "stddev(v)",
    var = "var(v)", median = "median(v)", p90 = "p90(v)", words = "distinct(w)",
    word = "last(w)", mode = "mode(v)", often = "mode(w)", rate = "rate(v)",
    delta = "delta(v)", area = "integral(v)", hours = "integral(v, 'h')", tw = "twavg(v)",
    ew = "ewma(v, '5s')", es = "ewsd(v, '5s')", top = "argmax(v, w)", low = "argmin(v, w)",
    latest = "collect(v, 3)", said = "collect(w, 100)", slope = "slope(v)",
    steep = "slope(v, 'h')", twice = "sum(2 * v) + 1" }
limits = { memory = "64 MiB", expire = "30d" }
"#;

fn rule(window: &str, more: &str) -> String {
    let head = "[rule.r]\nfrom = \"in/{key}\"\nby = [\"key\"]\nto = \"out/{key}\"";
    format!("{head}\nwindow = \"{window}\"\n{more}\n{SELECT}")
}

/// The windows that hold a time: their ends.
fn ends(time: i64, size: i64, slide: i64) -> impl Iterator<Item = i64> {
    let first = (time.div_euclid(slide) + 1) * slide;
    (0..).map(move |number| first + number * slide).take_while(move |end| end - size <= time)
}

/// By arrival: every message is in all of its windows.
fn expect_arrival(inputs: &[Input], size: i64, slide: i64) -> Expected {
    let mut expected = Expected::new();
    for input in inputs {
        for end in ends(input.arrived, size, slide) {
            let timed = Input { time: input.arrived, ..input.clone() };
            expected.entry((input.key, end, 0)).or_default().push(timed);
        }
    }
    expected
}

/// By event time: the first result holds what came before the watermark reached the end, each
/// correction one message more.
fn expect_event_time(
    inputs: &[Input],
    (size, slide): (i64, i64),
    late: i64,
    update: bool,
) -> Expected {
    let mut expected = Expected::new();
    let mut watermarks: BTreeMap<u8, i64> = BTreeMap::new();
    let mut revisions: BTreeMap<(u8, i64), u64> = BTreeMap::new();
    let mut all: BTreeMap<(u8, i64), Vec<Input>> = BTreeMap::new();
    for input in inputs {
        let watermark = watermarks.get(&input.key).copied().unwrap_or(i64::MIN);
        let windows: Vec<i64> = ends(input.time, size, slide).collect();
        let correctable = |end: i64| update && end.saturating_add(size) > watermark;
        if !windows.iter().any(|end| *end > watermark || correctable(*end)) {
            continue;
        }
        for end in windows {
            let place = (input.key, end);
            let list = all.entry(place).or_default();
            list.push(input.clone());
            if end > watermark {
                expected.insert((input.key, end, 0), list.clone());
            } else if correctable(end) {
                let revision = revisions.entry(place).or_default();
                *revision += 1;
                expected.insert((input.key, end, *revision), list.clone());
            }
        }
        watermarks.insert(input.key, watermark.max(input.time - late));
    }
    expected
}

/// Per message, by arrival: one result for each message over what came before it.
fn expect_each_arrival(inputs: &[Input], size: i64) -> Expected {
    let mut expected = Expected::new();
    for (position, input) in inputs.iter().enumerate() {
        let before = inputs[..=position].iter().filter(|other| other.key == input.key);
        let held = before.filter(|other| other.arrived > input.arrived - size);
        let list: Vec<Input> =
            held.map(|other| Input { time: other.arrived, ..other.clone() }).collect();
        let same = inputs[..position]
            .iter()
            .filter(|other| other.key == input.key && other.arrived == input.arrived);
        expected.insert((input.key, input.arrived, same.count() as u64), list);
    }
    expected
}

/// Per message, by event time: one result for each time that the watermark passes.
fn expect_each_event_time(inputs: &[Input], size: i64, late: i64) -> Expected {
    let mut expected = Expected::new();
    let mut accepted: BTreeMap<u8, Vec<Input>> = BTreeMap::new();
    let mut watermarks: BTreeMap<u8, i64> = BTreeMap::new();
    let mut revisions: BTreeMap<(u8, i64), u64> = BTreeMap::new();
    let held = |list: &[Input], end: i64| -> Vec<Input> {
        list.iter().filter(|one| one.time <= end && one.time > end - size).cloned().collect()
    };
    for input in inputs {
        let watermark = watermarks.get(&input.key).copied().unwrap_or(i64::MIN);
        if input.time < watermark {
            continue;
        }
        let list = accepted.entry(input.key).or_default();
        list.push(input.clone());
        if input.time == watermark {
            let revision = revisions.entry((input.key, watermark)).or_default();
            *revision += 1;
            expected.insert((input.key, watermark, *revision), held(list, watermark));
        }
        let next = watermark.max(input.time - late);
        for one in list.iter().filter(|one| one.time > watermark && one.time <= next) {
            expected.insert((input.key, one.time, 0), held(list, one.time));
        }
        watermarks.insert(input.key, next);
    }
    // The rest leaves when the keys expire.
    for (key, list) in &accepted {
        let watermark = watermarks[key];
        for one in list.iter().filter(|one| one.time > watermark) {
            expected.insert((*key, one.time, 0), held(list, one.time));
        }
    }
    expected
}

/// The aggregates of `SELECT`, computed the plain way.
fn batch(list: &[Input], end: i64) -> Vec<(&'static str, Value)> {
    let values: Vec<f64> = list.iter().filter_map(|input| input.value).collect();
    let n = values.len() as f64;
    let number = |number: f64| if number.is_finite() { Value::from(number) } else { Value::Null };
    let mut sorted = values.clone();
    sorted.sort_by(f64::total_cmp);
    let quantile = |rank: f64| {
        let position = rank * (n - 1.0).max(0.0);
        let at = |index: f64| sorted.get(index as usize).copied().unwrap_or(f64::NAN);
        let (low, high) = (at(position.floor()), at(position.ceil()));
        number(low + (high - low) * position.fract())
    };
    let sum: f64 = values.iter().sum();
    let mean = sum / n;
    let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
    let variance = if n < 2.0 { f64::NAN } else { squares / (n - 1.0) };
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let with_value = || list.iter().filter(|input| input.value.is_some());
    let first = with_value().min_by_key(|input| input.time);
    let last = with_value().max_by_key(|input| input.time);
    let mut words: Vec<u8> = list.iter().map(|input| input.word).collect();
    words.sort_unstable();
    words.dedup();
    let word = list.iter().max_by_key(|input| input.time).map(|input| format!("w{}", input.word));
    let in_order = ordered(list);
    let points: Vec<(i64, f64)> =
        in_order.iter().filter_map(|input| Some((input.time, input.value?))).collect();
    let farthest = |better: fn(f64, f64) -> bool| {
        let mut found: Option<&Input> = None;
        for input in &in_order {
            let Some(value) = input.value else { continue };
            let known = found.and_then(|known| known.value);
            if known.is_none_or(|known| better(value, known)) {
                found = Some(input);
            }
        }
        found
    };
    let top = farthest(|new, known| new > known).map(|input| format!("w{}", input.word));
    let low = farthest(|new, known| new < known).map(|input| format!("w{}", input.word));
    let words_said: Vec<String> = in_order.iter().map(|input| format!("w{}", input.word)).collect();
    let latest: Vec<f64> = points.iter().rev().take(3).rev().map(|(_, x)| *x).collect();
    let (area, held, length, rate, delta) = walk(&points, end);
    let (ewma, ewsd) = decayed(&points);
    let slope = slope(&points);
    let summed = if values.is_empty() { f64::NAN } else { sum };
    vec![
        ("n", Value::from(list.len())),
        ("c", Value::from(values.len())),
        ("sum", number(summed)),
        ("avg", number(mean)),
        ("min", number(least)),
        ("max", number(most)),
        ("first", first.map_or(Value::Null, |input| Value::from(input.value))),
        ("last", last.map_or(Value::Null, |input| Value::from(input.value))),
        ("range", number(most - least)),
        ("sd", number(variance.sqrt())),
        ("var", number(variance)),
        ("median", quantile(0.5)),
        ("p90", quantile(0.9)),
        ("words", Value::from(words.len())),
        ("word", Value::from(word)),
        ("mode", most_frequent(&sorted).map_or(Value::Null, Value::from)),
        ("often", most_frequent(&sorted_words(&words_said)).map_or(Value::Null, Value::from)),
        ("rate", number(rate)),
        ("delta", number(delta)),
        ("area", number(area / 1000.0)),
        ("hours", number(area / 3_600_000.0)),
        (
            "tw",
            number(if length > 0.0 {
                held / length
            } else {
                points.last().map_or(f64::NAN, |last| last.1)
            }),
        ),
        ("ew", number(ewma)),
        ("es", number(ewsd)),
        ("top", Value::from(top)),
        ("low", Value::from(low)),
        ("latest", Value::from(latest)),
        ("said", Value::from(words_said)),
        ("slope", number(slope * 1000.0)),
        ("steep", number(slope * 3_600_000.0)),
        ("twice", number(2.0 * summed + 1.0)),
    ]
}

/// By time, and of one time by arrival.
fn ordered(list: &[Input]) -> Vec<Input> {
    let mut sorted = list.to_vec();
    sorted.sort_by_key(|input| input.time);
    sorted
}

/// Area under straight lines, area under steps until `end`, the time of those, increase of a
/// counter per second, difference of last and first.
fn walk(points: &[(i64, f64)], end: i64) -> (f64, f64, f64, f64, f64) {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return (f64::NAN, f64::NAN, 1.0, f64::NAN, f64::NAN);
    };
    let (mut area, mut held, mut increase) = (0.0, 0.0, 0.0);
    for pair in points.windows(2) {
        let ((from, a), (to, b)) = (pair[0], pair[1]);
        let width = (to - from) as f64;
        area += width * (a + b) / 2.0;
        held += width * a;
        increase += if b < a { b } else { b - a };
    }
    held += (end - last.0) as f64 * last.1;
    let rate = increase / (last.0 - first.0) as f64 * 1000.0;
    (area, held, (end - first.0) as f64, rate, last.1 - first.1)
}

/// Mean and standard deviation with weights of half for each five seconds.
fn decayed(points: &[(i64, f64)]) -> (f64, f64) {
    let newest = points.last().map_or(0, |point| point.0);
    let weights: Vec<f64> =
        points.iter().map(|(time, _)| 0.5f64.powf((newest - time) as f64 / 5000.0)).collect();
    let total: f64 = weights.iter().sum();
    let squares: f64 = weights.iter().map(|weight| weight * weight).sum();
    let mean = weights.iter().zip(points).map(|(w, (_, x))| w * x).sum::<f64>() / total;
    let spread: f64 = weights.iter().zip(points).map(|(w, (_, x))| w * (x - mean).powi(2)).sum();
    let degrees = total - squares / total;
    let deviation = if degrees > 1e-12 * total { (spread / degrees).sqrt() } else { f64::NAN };
    (mean, deviation)
}

/// Least squares, per millisecond.
fn slope(points: &[(i64, f64)]) -> f64 {
    let n = points.len() as f64;
    let time = |time: i64| (time - points[0].0) as f64;
    let mean_time = points.iter().map(|point| time(point.0)).sum::<f64>() / n;
    let mean = points.iter().map(|point| point.1).sum::<f64>() / n;
    let products: f64 = points.iter().map(|(at, x)| (time(*at) - mean_time) * (x - mean)).sum();
    let squares: f64 = points.iter().map(|point| (time(point.0) - mean_time).powi(2)).sum();
    if squares > 0.0 { products / squares } else { f64::NAN }
}

fn sorted_words(words: &[String]) -> Vec<String> {
    let mut words = words.to_vec();
    words.sort();
    words
}

/// Of sorted values; of several, the first.
fn most_frequent<T: PartialEq + Clone>(sorted: &[T]) -> Option<T> {
    let mut found: Option<(T, usize)> = None;
    for run in sorted.chunk_by(|left, right| left == right) {
        if found.as_ref().is_none_or(|(_, count)| run.len() > *count) {
            found = Some((run[0].clone(), run.len()));
        }
    }
    found.map(|(value, _)| value)
}

/// Numbers that were added up in another order.
fn near(left: &Value, right: &Value, scale: f64) -> bool {
    if let (Value::Array(left), Value::Array(right)) = (left, right) {
        let same = left.iter().zip(right).all(|(left, right)| near(left, right, scale));
        return left.len() == right.len() && same;
    }
    match (left.as_f64(), right.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * scale.max(a.abs()).max(1.0),
        _ => left == right,
    }
}

fn compare(rule: &str, inputs: &[Input], expected: &Expected) -> Result<(), TestCaseError> {
    let mut sent = BTreeMap::new();
    for emission in run(rule, inputs) {
        prop_assert!(emission.error.is_none(), "{:?}", emission.error);
        let body = body(&emission);
        let end = body["window"]["end"].as_str().unwrap_or_default();
        let place = (
            body["key"].as_str().and_then(|key| key.parse().ok()).unwrap_or(u8::MAX),
            stamp(end),
            body["window"]["rev"].as_u64().unwrap_or(u64::MAX),
        );
        prop_assert!(sent.insert(place, body).is_none(), "{place:?} was sent twice");
    }
    let places: Vec<&Place> = sent.keys().collect();
    prop_assert_eq!(places, expected.keys().collect::<Vec<_>>());
    for (place, list) in expected {
        let size: f64 = list.iter().filter_map(|input| input.value).map(f64::abs).sum();
        for (name, value) in batch(list, place.1) {
            let found = &sent[place][name];
            let scale = match name {
                "var" => size * size,
                "slope" | "area" => size * 1000.0,
                "rate" => size * 1000.0,
                "steep" => size * 3_600_000.0,
                _ => size,
            };
            prop_assert!(near(found, &value, scale), "{place:?} {name}: {found} is not {value}");
        }
    }
    Ok(())
}

/// Milliseconds of `2026-01-01T00:00:00.000Z`; the tests stay within January to May of one year.
fn stamp(text: &str) -> i64 {
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().unwrap_or(0);
    let month_days = [0, 31, 59, 90, 120][number(5, 7) as usize - 1];
    let year_days = (number(0, 4) - 2026) * 365;
    let days = year_days + month_days + number(8, 10) - 1;
    let seconds = number(11, 13) * 3600 + number(14, 16) * 60 + number(17, 19);
    START + (days - 9) * 86_400_000 + seconds * 1000 + number(20, 23)
}

fn shape() -> impl Strategy<Value = (i64, i64)> {
    let sizes = prop_oneof![Just(1200i64), Just(6000), Just(12_000), Just(60_000)];
    (sizes, 1i64..=6).prop_map(|(size, parts)| (size, size / parts))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn windows_by_arrival((size, slide) in shape(), inputs in inputs(80)) {
        let rule = rule(&format!("sliding {size}ms every {slide}ms"), "");
        compare(&rule, &inputs, &expect_arrival(&inputs, size, slide))?;
    }

    #[test]
    fn tumbling_windows_by_arrival(inputs in inputs(80)) {
        compare(&rule("tumbling 7s", ""), &inputs, &expect_arrival(&inputs, 7000, 7000))?;
    }

    #[test]
    fn windows_by_event_time(
        (size, slide) in shape(), late in 0i64..5000, update: bool, inputs in inputs(80),
    ) {
        let emit = if update { "emit = { late = \"update\" }" } else { "" };
        let time = format!("time = {{ field = \"ts\", unit = \"ms\", late = \"{late}ms\" }}");
        let window = format!("hopping {size}ms every {slide}ms");
        let rule = rule(&window, &format!("{time}\n{emit}"));
        compare(&rule, &inputs, &expect_event_time(&inputs, (size, slide), late, update))?;
    }

    #[test]
    fn windows_per_message_by_arrival(size in 1i64..20_000, inputs in inputs(60)) {
        let rule = rule(&format!("sliding {size}ms"), "");
        compare(&rule, &inputs, &expect_each_arrival(&inputs, size))?;
    }

    #[test]
    fn windows_per_message_by_event_time(
        size in 1i64..20_000, late in 0i64..5000, inputs in inputs(60),
    ) {
        let time = format!("time = {{ field = \"ts\", unit = \"ms\", late = \"{late}ms\" }}");
        let rule = rule(&format!("sliding {size}ms"), &time);
        compare(&rule, &inputs, &expect_each_event_time(&inputs, size, late))?;
    }
}
