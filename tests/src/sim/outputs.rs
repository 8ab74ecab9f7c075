//! What the rules have sent, against a plain recomputation over what was published.
//!
//! Sensors publish exactly once and never lose a session, so what the rules have read is known to
//! the last message. Each message carries a number of its own; the sum over a window tells which
//! messages are in it. Results are told apart by their identifier: one that comes again must be
//! the same to the last byte, also when it was computed again after a crash.

use std::collections::BTreeMap;

use super::model::{Model, Publisher, fingerprint};

/// The rules of every run. Sensors are silent for longer than a group usually lives, and a group
/// that begins anew may send a window again.
pub(crate) const RULES: &str = r#"
[rule.arrival]
from   = "in/{sensor}"
by     = ["sensor"]
window = "tumbling 1s"
select = { n = "count()", sum = "sum(v)" }
limits = { expire = "1h" }
to     = "out/arrival/{sensor}"

[rule.sliding]
from   = "in/{sensor}"
by     = ["sensor"]
window = "sliding 3s every 1s"
select = { n = "count()", sum = "sum(v)" }
limits = { expire = "1h" }
to     = { topic = "out/sliding/{sensor}", qos = 2 }

[rule.stamped]
from   = "in/{sensor}"
time   = { field = "ts", unit = "ms", late = "60s", idle = "1s" }
by     = ["sensor"]
window = "tumbling 1s"
select = { n = "count()", sum = "sum(v)" }
limits = { expire = "1h" }
to     = "out/stamped/{sensor}"

[rule.direct]
from   = "in/{sensor}"
time   = { field = "ts", unit = "ms", late = "60s", idle = "1s" }
by     = ["sensor"]
window = "tumbling 1s"
select = { n = "count()", sum = "sum(v)" }
limits = { expire = "1h" }
to     = { upstream = "cloud", topic = "out/direct/{sensor}" }
"#;

/// By then every window of the rules has closed.
pub(crate) const CLOSED_AFTER_MS: u64 = 75_000;

/// Everything that the rules have sent.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    by_id: BTreeMap<String, Output>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Output {
    rule: String,
    sensor: usize,
    /// Seconds since the beginning of a day.
    end_s: u64,
    total: Total,
    body: String,
}

/// The messages of a window: how many, and the sum of their numbers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Total {
    count: u64,
    sum: u64,
}

impl Outputs {
    /// A result has come; the answer says what is wrong with it.
    pub(crate) fn receive(
        &mut self,
        id: Option<&str>,
        topic: &str,
        payload: &[u8],
    ) -> Option<String> {
        let Some(id) = id else { return Some("it has no identifier".to_owned()) };
        let Some(output) = Output::read(topic, payload) else {
            return Some(format!("{} cannot be read", String::from_utf8_lossy(payload)));
        };
        let body = output.body.clone();
        let known = self.by_id.entry(id.to_owned()).or_insert(output);
        (known.body != body)
            .then(|| format!("result {id} was {} and came again as {body}", known.body))
    }

    /// What the upstream has and subscribers have not, or the other way round, or what `direct`,
    /// which only the upstream gets, has computed wrongly.
    pub(crate) fn difference_upstream(
        &self,
        upstream: &Self,
        model: &Model,
        sensors: &[usize],
    ) -> Option<String> {
        let shared = |(_, output): &(&String, &Output)| output.rule != "direct";
        let here: BTreeMap<_, _> = self.by_id.iter().filter(shared).collect();
        let there: BTreeMap<_, _> = upstream.by_id.iter().filter(shared).collect();
        let ids = here.keys().chain(there.keys());
        let differs = ids.filter(|id| here.get(*id) != there.get(*id)).min();
        let text = differs.map(|id| {
            let (here, there) = (here.get(id), there.get(id));
            format!("result {id} is {here:?} for subscribers and {there:?} upstream")
        });
        text.or_else(|| {
            sensors.iter().find_map(|sensor| {
                let read = read_by_rules(model, *sensor);
                let text = compare_stamped(&upstream.windows("direct", *sensor), &read)?;
                Some(format!("upstream, sensor {sensor}: {text}"))
            })
        })
    }

    /// Number of results.
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// What does not agree with the messages of the sensors.
    /// `is_steady` says that the calendar was never set.
    pub(crate) fn difference(
        &self,
        model: &Model,
        sensors: &[usize],
        is_steady: bool,
    ) -> Option<String> {
        sensors.iter().find_map(|sensor| self.difference_of(model, *sensor, is_steady))
    }

    fn difference_of(&self, model: &Model, sensor: usize, is_steady: bool) -> Option<String> {
        let read = read_by_rules(model, sensor);
        let arrival = self.windows("arrival", sensor);
        let sliding = self.windows("sliding", sensor);
        let by_clock = if is_steady {
            compare_in_order(&arrival, &read).or_else(|| compare_sliding(&sliding, &arrival))
        } else {
            compare_sums(&arrival, &read, 1).or_else(|| compare_sums(&sliding, &read, SLIDING_S))
        };
        let text = by_clock.or_else(|| compare_stamped(&self.windows("stamped", sensor), &read))?;
        Some(format!("sensor {sensor}: {text}"))
    }

    /// The results of a rule by the ends of their windows.
    fn windows(&self, rule: &str, sensor: usize) -> Vec<(u64, Total)> {
        let results = self.by_id.values();
        let results = results.filter(|output| output.rule == rule && output.sensor == sensor);
        let mut windows: Vec<(u64, Total)> = results.map(|o| (o.end_s, o.total)).collect();
        windows.sort_unstable_by_key(|(end, _)| *end);
        windows
    }
}

/// The messages of a sensor and the times in them.
fn read_by_rules(model: &Model, sensor: usize) -> Vec<(u32, u64)> {
    let topic = format!("in/{sensor}");
    let publisher = Publisher::Client(sensor);
    let messages = (0..).zip(&model.messages);
    let read = messages.filter(|(_, m)| m.publisher == publisher && m.topic == topic);
    read.map(|(id, message)| (id, message.stamp_ms)).collect()
}

/// Windows by arrival divide the messages in the order in which they were published: the clock of
/// the broker decides where.
fn compare_in_order(windows: &[(u64, Total)], read: &[(u32, u64)]) -> Option<String> {
    let mut rest = read;
    for (end, found) in windows {
        let (now, after) = rest.split_at(rest.len().min(found.count as usize));
        let expected = Total::of(now.iter().map(|(id, _)| *id));
        if expected != *found {
            let next = now.first().map(|(id, _)| *id);
            return Some(format!(
                "the window by arrival that ends at {end} s is {found:?}, but the messages from \
                 {next:?} on make {expected:?}"
            ));
        }
        rest = after;
    }
    let missing = rest.first()?.0;
    Some(format!("message {missing} and all behind it are in no window by arrival"))
}

/// When the calendar is set, a message may lie in another window, but in no fewer and no more.
fn compare_sums(windows: &[(u64, Total)], read: &[(u32, u64)], times: u64) -> Option<String> {
    let mut found = Total::default();
    windows.iter().for_each(|(_, total)| found.add(*total));
    let once = Total::of(read.iter().map(|(id, _)| *id));
    let expected = Total { count: once.count * times, sum: once.sum * times };
    (found != expected).then(|| {
        format!("all windows by arrival make {found:?}, {times} times all messages {expected:?}")
    })
}

/// A sliding window is the sum of the tumbling ones that it covers.
fn compare_sliding(windows: &[(u64, Total)], tumbling: &[(u64, Total)]) -> Option<String> {
    let mut expected: BTreeMap<u64, Total> = BTreeMap::new();
    for (end, total) in tumbling {
        for later in 0..SLIDING_S {
            expected.entry(end + later).or_default().add(*total);
        }
    }
    compare(windows, &expected, "sliding")
}

/// Windows by the time in the message follow from the messages alone.
fn compare_stamped(windows: &[(u64, Total)], read: &[(u32, u64)]) -> Option<String> {
    let mut expected: BTreeMap<u64, Total> = BTreeMap::new();
    for (id, stamp_ms) in read {
        let end = (stamp_ms / 1000 + 1) % DAY_S;
        expected.entry(end).or_default().add(Total::of([*id].into_iter()));
    }
    compare(windows, &expected, "stamped")
}

fn compare(
    windows: &[(u64, Total)],
    expected: &BTreeMap<u64, Total>,
    name: &str,
) -> Option<String> {
    let found: BTreeMap<u64, Total> = windows.iter().copied().collect();
    if let Some([(end, one), (_, other)]) =
        windows.windows(2).find(|pair| pair[0].0 == pair[1].0).and_then(|pair| pair.first_chunk())
    {
        let expected = expected.get(end);
        return Some(format!(
            "the {name} window that ends at {end} s has two results, {one:?} and {other:?}, where \
             one should be {expected:?}"
        ));
    }
    let ends = found.keys().chain(expected.keys());
    ends.filter(|end| found.get(end) != expected.get(end)).min().map(|end| {
        let (found, expected) = (found.get(end), expected.get(end));
        format!("the {name} window that ends at {end} s is {found:?}, not {expected:?}")
    })
}

impl Total {
    fn of(messages: impl Iterator<Item = u32>) -> Self {
        let mut total = Self::default();
        for message in messages {
            total.add(Self { count: 1, sum: fingerprint(message) });
        }
        total
    }

    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.sum += other.sum;
    }
}

impl Output {
    fn read(topic: &str, payload: &[u8]) -> Option<Self> {
        let mut levels = topic.strip_prefix("out/")?.split('/');
        let rule = levels.next()?.to_owned();
        let sensor = levels.next()?.parse().ok()?;
        let body = std::str::from_utf8(payload).ok()?.to_owned();
        let total = Total { count: number(&body, "n")?, sum: number(&body, "sum")? };
        let end = field(&body, "end")?;
        let part = |range: std::ops::Range<usize>| end.get(range)?.parse::<u64>().ok();
        // "2023-11-14T22:13:20.000Z
        let end_s = part(12..14)? * 3600 + part(15..17)? * 60 + part(18..20)?;
        Some(Self { rule, sensor, end_s, total, body })
    }
}

fn number(body: &str, name: &str) -> Option<u64> {
    let number: f64 = field(body, name)?.parse().ok()?;
    Some(number as u64)
}

/// The text behind a name, up to what ends a number or a text.
fn field<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = body.split_once(&format!("\"{name}\":"))?;
    let end = rest.find([',', '}'])?;
    rest.get(..end)
}

const SLIDING_S: u64 = 3;
const DAY_S: u64 = 24 * 3600;
