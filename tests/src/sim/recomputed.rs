//! What rules should have sent, by a plain recomputation over all that a sensor has published.
//!
//! The sensor publishes exactly once and in order, so these follow from its messages alone. A
//! result is compared as a text: what was selected, and of a window by the time in the messages
//! its end and its revision.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{MessageId, Model, Publisher, fingerprint};

/// A message that the rules have read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) message: MessageId,
    /// The number in it.
    pub(crate) value: u64,
    /// The time in it.
    pub(crate) stamp_ms: u64,
    /// The number in the last message on the joined topic before it.
    set: Option<u64>,
}

/// What a sensor has published for the rules, in order.
pub(crate) fn readings(model: &Model, sensor: usize) -> Vec<Reading> {
    let (read, joined) = (format!("in/{sensor}"), format!("set/{sensor}"));
    let publisher = Publisher::Client(sensor);
    let mut readings = Vec::new();
    let mut set = None;
    for (message, published) in (0..).zip(&model.messages) {
        if published.publisher != publisher {
            continue;
        }
        let (value, stamp_ms) = (fingerprint(message), published.stamp_ms);
        if published.topic == joined {
            set = Some(value);
        } else if published.topic == read {
            readings.push(Reading { message, value, stamp_ms, set });
        }
    }
    readings
}

/// Where the results of a rule are not those that should have come, in that order.
pub(crate) fn difference(
    rule: &str,
    bodies: &[&str],
    (sensor, readings): (usize, &[Reading]),
) -> Option<String> {
    let expected = expected(rule, readings);
    let expected: Vec<String> = expected.into_iter().map(|facts| about(sensor, &facts)).collect();
    let found: Vec<String> = bodies.iter().map(|body| facts_of(rule, body)).collect();
    let length = found.len().max(expected.len());
    let at = (0..length).find(|at| found.get(*at) != expected.get(*at))?;
    let (found, expected) = (found.get(at), expected.get(at));
    Some(format!("result {at} of {rule} is {found:?}, not {expected:?}"))
}

/// Results that may come again, also under another identifier; none is missing, none is wrong.
pub(crate) fn difference_eager(
    rule: &str,
    bodies: &[&str],
    (sensor, readings): (usize, &[Reading]),
) -> Option<String> {
    let expected = after_one_another(rule, readings);
    let expected: Vec<String> = expected.into_iter().map(|facts| about(sensor, &facts)).collect();
    let found: BTreeSet<&str> = bodies.iter().copied().collect();
    if let Some(missing) = expected.iter().find(|one| !found.contains(&***one)) {
        return Some(format!("{rule} has not sent {missing}"));
    }
    let known: BTreeSet<&str> = expected.iter().map(|one| &**one).collect();
    let wrong = bodies.iter().find(|body| !known.contains(*body))?;
    Some(format!("{rule} has sent {wrong}, which is wrong"))
}

fn expected(rule: &str, readings: &[Reading]) -> Vec<String> {
    match rule {
        "chained" => counted(&changed(readings), 3, 3),
        "changed" => {
            let text = |value| format!("\"changed\":{value},\"level\":{}", value % 100);
            changed(readings).into_iter().map(text).collect()
        }
        "counted" => {
            let values: Vec<u64> = readings.iter().map(|reading| reading.value).collect();
            counted(&values, 10, 5)
        }
        "deduped" => after_one_another("deduped", &first_of_each(readings)),
        "joined" => readings.iter().map(joined).collect(),
        "sessions" => sessions(readings),
        "updated" => updated(readings),
        _ => unreachable!("{rule} has no results in order"),
    }
}

/// The values that are further from the one before than the deadband.
fn changed(readings: &[Reading]) -> Vec<u64> {
    let mut sent: Vec<u64> = Vec::new();
    for Reading { value, .. } in readings {
        if sent.last().is_none_or(|last| (last % 100).abs_diff(value % 100) > 30) {
            sent.push(*value);
        }
    }
    sent
}

/// The sums of the last `size` values, each `every` values.
fn counted(values: &[u64], size: usize, every: usize) -> Vec<String> {
    let ends = (size..=values.len()).filter(|end| end.is_multiple_of(every));
    ends.map(|end| total(&values[end - size..end])).collect()
}

/// The readings whose key was not there before.
fn first_of_each(readings: &[Reading]) -> Vec<Reading> {
    let mut seen = BTreeSet::new();
    readings.iter().filter(|reading| seen.insert(reading.value % 40)).copied().collect()
}

fn joined(reading: &Reading) -> String {
    format!("\"joined\":{},\"set\":{}", reading.value, or_null(reading.set))
}

/// Each value with the one before, under the name of the rule.
fn after_one_another(rule: &str, readings: &[Reading]) -> Vec<String> {
    let before = std::iter::once(None).chain(readings.iter().map(|reading| Some(reading.value)));
    let pairs = readings.iter().zip(before);
    pairs.map(|(now, was)| format!("\"{rule}\":{},\"was\":{}", now.value, or_null(was))).collect()
}

/// Readings less than 200 ms apart, for at most 2 s.
fn sessions(readings: &[Reading]) -> Vec<String> {
    let mut results = Vec::new();
    let mut rest = readings;
    while let Some(first) = rest.first() {
        let ends_at = first.stamp_ms + 2_000;
        let follows = |pair: &[Reading]| {
            pair[1].stamp_ms < pair[0].stamp_ms + 200 && pair[1].stamp_ms < ends_at
        };
        let length = 1 + rest.windows(2).take_while(|pair| follows(pair)).count();
        let (session, after) = rest.split_at(length);
        let last = session.last().map_or(0, |reading| reading.stamp_ms);
        let values: Vec<u64> = session.iter().map(|reading| reading.value).collect();
        results.push(closed(&total(&values), ends_at.min(last + 200), 0));
        rest = after;
    }
    results
}

/// Windows of a second; what comes later than the newest corrects them for another second.
fn updated(readings: &[Reading]) -> Vec<String> {
    let mut results = Vec::new();
    let mut open: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut corrections: BTreeMap<u64, u32> = BTreeMap::new();
    let mut newest = 0;
    for reading in readings {
        let time = reading.stamp_ms - reading.value % 3 * 700;
        let end = time / 1000 * 1000 + 1000;
        let ends = open.keys().copied().filter(|end| (newest + 1..=time).contains(end));
        results.extend(ends.map(|end| closed(&total(&open[&end]), end, 0)));
        newest = newest.max(time);
        if end + 1000 <= newest {
            continue;
        }
        open.entry(end).or_default().push(reading.value);
        if end <= newest {
            let revision = corrections.entry(end).or_default();
            *revision += 1;
            results.push(closed(&total(&open[&end]), end, *revision));
        }
    }
    results
}

fn total(values: &[u64]) -> String {
    format!("\"n\":{},\"sum\":{}", values.len(), values.iter().sum::<u64>())
}

fn or_null(value: Option<u64>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}

fn about(sensor: usize, facts: &str) -> String {
    format!("{{\"sensor\":\"{sensor}\",{facts}}}")
}

/// The result of a window.
fn closed(total: &str, end_ms: u64, revision: u32) -> String {
    format!("{total},{} revision {revision}", time_of_day(end_ms))
}

/// As [`closed`] writes it, if the time of the window follows from the messages.
fn facts_of(rule: &str, body: &str) -> String {
    let Some((facts, _)) = body.split_once(",\"window\":") else { return body.to_owned() };
    if !["sessions", "updated"].contains(&rule) {
        return format!("{facts}}}");
    }
    let end = field(body, "end").and_then(|end| end.get(12..24)).unwrap_or_default();
    let revision = field(body, "rev").unwrap_or_default();
    format!("{facts},{end} revision {revision}}}")
}

/// Hours, minutes, seconds and thousandths of a time in milliseconds since 1970.
pub(super) fn time_of_day(unix_ms: u64) -> String {
    let (s, ms) = (unix_ms / 1000, unix_ms % 1000);
    format!("{:02}:{:02}:{:02}.{ms:03}", s / 3600 % 24, s / 60 % 60, s % 60)
}

/// The text behind a name, up to what ends a number or a text.
pub(super) fn field<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = body.split_once(&format!("\"{name}\":"))?;
    let end = rest.find([',', '}'])?;
    rest.get(..end)
}
