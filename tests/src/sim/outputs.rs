//! What the rules have sent, against a plain recomputation over what was published.
//!
//! Sensors publish exactly once and never lose a session, so what the rules have read is known to
//! the last message. Each message carries a number of its own; the sum over a window tells which
//! messages are in it; what follows from the messages one by one is in `recomputed`, and alerts are
//! in `alerts`. Results are told apart by their identifier: one that comes again must be
//! the same to the last byte, also when it was computed again after a crash.

use std::collections::BTreeMap;

use super::alerts;
use super::arrivals::Arrivals;
use super::model::{MessageId, Model, fingerprint};
use super::recomputed::{self, Reading, field};
use super::reduction::Reduction;
use super::rule_set::{EAGER, IN_ORDER};

/// Everything that the rules have sent.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    by_id: BTreeMap<String, Output>,
    /// Identifiers in the order in which they came first.
    order: Vec<String>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Output {
    rule: String,
    sensor: usize,
    body: String,
}

/// With what results are compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Truth<'a> {
    pub(crate) model: &'a Model,
    pub(crate) sensors: &'a [usize],
    /// Which rules are not there.
    pub(crate) reduction: &'a Reduction,
    pub(crate) arrivals: &'a Arrivals,
    /// Nobody has set the calendar.
    pub(crate) is_steady: bool,
    /// The end of the run by the calendar.
    pub(crate) unix_ms: u64,
}

/// The messages of a window: how many, and the sum of their numbers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Total {
    count: u64,
    sum: u64,
}

impl Truth<'_> {
    fn runs(&self, rule: &str) -> bool {
        !self.reduction.has_no_rule(rule)
    }
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
        let known = self.by_id.entry(id.to_owned()).or_insert_with(|| {
            self.order.push(id.to_owned());
            output
        });
        (known.body != body)
            .then(|| format!("result {id} was {} and came again as {body}", known.body))
    }

    /// What the upstream has and subscribers have not, or the other way round, or what is wrong in
    /// what was computed for the upstream alone, or sent before it was sure to stay.
    pub(crate) fn difference_upstream(&self, upstream: &Self, truth: &Truth<'_>) -> Option<String> {
        let is_own = |output: &Output| output.rule == "direct" || EAGER.contains(&&*output.rule);
        let shared = |(_, output): &(&String, &Output)| !is_own(output);
        let here: BTreeMap<_, _> = self.by_id.iter().filter(shared).collect();
        let there: BTreeMap<_, _> = upstream.by_id.iter().filter(shared).collect();
        let ids = here.keys().chain(there.keys());
        let differs = ids.filter(|id| here.get(*id) != there.get(*id)).min();
        let text = differs.map(|id| {
            let (here, there) = (here.get(id), there.get(id));
            format!("result {id} is {here:?} for subscribers and {there:?} upstream")
        });
        text.or_else(|| {
            truth.sensors.iter().find_map(|sensor| {
                let readings = recomputed::readings(truth.model, *sensor);
                let direct = || compare_stamped(&upstream.windows("direct", *sensor), &readings);
                let direct = truth.runs("direct").then(direct).flatten();
                let eager = || upstream.difference_eager(truth, *sensor, &readings);
                let text = direct.or_else(eager)?;
                Some(format!("upstream, sensor {sensor}: {text}"))
            })
        })
    }

    /// Number of results.
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// What does not agree with the messages of the sensors.
    pub(crate) fn difference(&self, truth: &Truth<'_>) -> Option<String> {
        truth.sensors.iter().find_map(|sensor| self.difference_of(truth, *sensor))
    }

    fn difference_of(&self, truth: &Truth<'_>, sensor: usize) -> Option<String> {
        let readings = recomputed::readings(truth.model, sensor);
        let arrival = self.windows("arrival", sensor);
        let sliding = self.windows("sliding", sensor);
        let runs = |rule: &str| truth.runs(rule);
        let by_clock = if truth.is_steady {
            let of_arrival = || {
                compare_in_order(&arrival, &readings)
                    .or_else(|| runs("sliding").then(|| compare_sliding(&sliding, &arrival))?)
            };
            runs("arrival").then(of_arrival).flatten()
        } else {
            let sums = |windows: &[(u64, Total)], times| compare_sums(windows, &readings, times);
            let of_arrival = || runs("arrival").then(|| sums(&arrival, 1))?;
            of_arrival().or_else(|| runs("sliding").then(|| sums(&sliding, SLIDING_S))?)
        };
        let stamped = || compare_stamped(&self.windows("stamped", sensor), &readings);
        let text = by_clock
            .or_else(|| runs("stamped").then(stamped)?)
            .or_else(|| {
                IN_ORDER.into_iter().filter(|rule| runs(rule)).find_map(|rule| {
                    let bodies = self.bodies(rule, sensor);
                    recomputed::difference(rule, &bodies, (sensor, &readings))
                })
            })
            .or_else(|| self.difference_eager(truth, sensor, &readings))
            .or_else(|| {
                // By a calendar that was set nobody can say when something was due.
                let is_known = truth.is_steady && runs("alerted");
                let found = Some(self.bodies("alerted", sensor)).filter(|_| is_known)?;
                alerts::difference(&found, &readings, truth.arrivals, truth.unix_ms)
            })?;
        Some(format!("sensor {sensor}: {text}"))
    }

    /// Results that do not wait for their state: none is missing, and none is wrong.
    fn difference_eager(
        &self,
        truth: &Truth<'_>,
        sensor: usize,
        readings: &[Reading],
    ) -> Option<String> {
        let rules = ["best", "least"].into_iter().filter(|rule| truth.runs(rule));
        let one_by_one = { rules }.find_map(|rule| {
            let bodies = self.bodies(rule, sensor);
            recomputed::difference_eager(rule, &bodies, (sensor, readings))
        });
        one_by_one.or_else(|| {
            if !truth.runs("lazy") {
                return None;
            }
            let mut windows = self.windows("lazy", sensor);
            windows.dedup();
            compare_stamped(&windows, readings)
        })
    }

    /// The results of a rule in the order in which they came.
    fn bodies(&self, rule: &str, sensor: usize) -> Vec<&str> {
        let results = self.order.iter().filter_map(|id| self.by_id.get(id));
        let results = results.filter(|output| output.rule == rule && output.sensor == sensor);
        results.map(|output| &*output.body).collect()
    }

    /// The results of a rule by the ends of their windows.
    fn windows(&self, rule: &str, sensor: usize) -> Vec<(u64, Total)> {
        let bodies = self.bodies(rule, sensor);
        let windows = bodies.into_iter().map(|body| window(body).unwrap_or_default());
        let mut windows: Vec<(u64, Total)> = windows.collect();
        windows.sort_unstable_by_key(|(end, _)| *end);
        windows
    }
}

/// Windows by arrival divide the messages in the order in which they were published: the clock of
/// the broker decides where.
fn compare_in_order(windows: &[(u64, Total)], read: &[Reading]) -> Option<String> {
    let mut rest = read;
    for (end, found) in windows {
        let (now, after) = rest.split_at(rest.len().min(found.count as usize));
        let expected = Total::of(now.iter().map(|reading| reading.message));
        if expected != *found {
            let next = now.first().map(|reading| reading.message);
            return Some(format!(
                "the window by arrival that ends at {end} s is {found:?}, but the messages from \
                 {next:?} on make {expected:?}"
            ));
        }
        rest = after;
    }
    let missing = rest.first()?.message;
    Some(format!("message {missing} and all behind it are in no window by arrival"))
}

/// When the calendar is set, a message may lie in another window, but in no fewer and no more.
fn compare_sums(windows: &[(u64, Total)], read: &[Reading], times: u64) -> Option<String> {
    let mut found = Total::default();
    windows.iter().for_each(|(_, total)| found.add(*total));
    let once = Total::of(read.iter().map(|reading| reading.message));
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
fn compare_stamped(windows: &[(u64, Total)], read: &[Reading]) -> Option<String> {
    let mut expected: BTreeMap<u64, Total> = BTreeMap::new();
    for reading in read {
        let end = (reading.stamp_ms / 1000 + 1) % DAY_S;
        expected.entry(end).or_default().add(Total::of([reading.message].into_iter()));
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
    fn of(messages: impl Iterator<Item = MessageId>) -> Self {
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
        Some(Self { rule, sensor, body })
    }
}

/// The end of a window, in seconds since the beginning of the day, and what is in it.
fn window(body: &str) -> Option<(u64, Total)> {
    let total = Total { count: number(body, "n")?, sum: number(body, "sum")? };
    let end = field(body, "end")?;
    let part = |range: std::ops::Range<usize>| end.get(range)?.parse::<u64>().ok();
    // "2023-11-14T22:13:20.000Z
    let end_s = part(12..14)? * 3600 + part(15..17)? * 60 + part(18..20)?;
    Some((end_s, total))
}

fn number(body: &str, name: &str) -> Option<u64> {
    let number: f64 = field(body, name)?.parse().ok()?;
    Some(number as u64)
}

const SLIDING_S: u64 = 3;
const DAY_S: u64 = 24 * 3600;
