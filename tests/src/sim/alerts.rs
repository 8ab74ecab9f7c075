//! What the rule with an alert should have sent: a plain state machine over what a sensor has
//! published, with the times at which the broker received it.
//!
//! Only one thing is in doubt: a timer that was due after a message had arrived, and before the
//! rules had it in their hands, may have fired before or after. Both are tried.

use super::arrivals::Arrivals;
use super::recomputed::{Reading, field, time_of_day};

/// Where the alerts that came are not those of the readings.
pub(super) fn difference(
    bodies: &[&str],
    readings: &[Reading],
    arrivals: &Arrivals,
    unix_ms: u64,
) -> Option<String> {
    let found: Vec<String> = bodies.iter().map(|body| signal_of(body)).collect();
    let mut messages = Vec::new();
    for reading in readings {
        let Some(arrival) = arrivals.of(reading.message) else {
            return Some(format!("message {} never came to the rules", reading.message));
        };
        messages.push(Message {
            at: arrival.at_ms,
            clock: arrival.clock_ms,
            value: reading.value,
            when: reading.stamp_ms % 2000 < 1000,
            clear: reading.stamp_ms % 2000 >= 1200,
        });
    }
    let search = Search { messages, found, unix_ms };
    search.difference()
}

struct Message {
    at: u64,
    /// Timers up to then may have fired before it.
    clock: u64,
    value: u64,
    when: bool,
    clear: bool,
}

/// Looks for a way in which all that came may have come.
struct Search {
    messages: Vec<Message>,
    found: Vec<String>,
    unix_ms: u64,
}

/// A state of the alert, and how many messages and signals are behind it.
#[derive(Clone)]
struct Place {
    watch: Watch,
    message: usize,
    signal: usize,
}

impl Search {
    fn difference(&self) -> Option<String> {
        let mut ways = vec![Place { watch: Watch::default(), message: 0, signal: 0 }];
        let mut problem: Option<(usize, String)> = None;
        while let Some(way) = ways.pop() {
            match self.follow(way, &mut ways) {
                Ok(()) => return None,
                Err((signal, text)) => {
                    if problem.as_ref().is_none_or(|(known, _)| *known < signal) {
                        problem = Some((signal, text));
                    }
                }
            }
        }
        problem.map(|(_, text)| text)
    }

    /// Goes on to the end, or to a signal that cannot be; what else is possible goes to `ways`.
    fn follow(&self, mut place: Place, ways: &mut Vec<Place>) -> Result<(), (usize, String)> {
        loop {
            let due = place.watch.due();
            let Some(message) = self.messages.get(place.message) else {
                let sure = self.unix_ms.saturating_sub(ON_THE_WAY_MS);
                let is_more = place.signal < self.found.len();
                match due {
                    Some((at, _)) if at <= sure || is_more && at <= self.unix_ms => {
                        let signals = place.watch.fire();
                        self.expect(&mut place, signals)?;
                    }
                    _ if is_more => self.expect(&mut place, None)?,
                    _ => return Ok(()),
                }
                continue;
            };
            if let Some((at, _)) = due.filter(|(at, _)| *at <= message.clock.max(message.at)) {
                if at <= message.at {
                    let signals = place.watch.fire();
                    self.expect(&mut place, signals)?;
                    continue;
                }
                let mut earlier = place.clone();
                let signals = earlier.watch.fire();
                if self.expect(&mut earlier, signals).is_ok() {
                    ways.push(earlier);
                }
            }
            let signals = place.watch.hear(message);
            place.message += 1;
            if let Some(signal) = signals {
                self.expect(&mut place, Some(signal))?;
            }
        }
    }

    /// The next signal must be this one; none may come if there is none.
    fn expect(&self, place: &mut Place, signal: Option<String>) -> Result<(), (usize, String)> {
        let found = self.found.get(place.signal);
        if found == signal.as_ref() {
            place.signal += 1;
            return Ok(());
        }
        let last = self.messages.get(place.message.wrapping_sub(1)).map(|message| message.value);
        let text = format!(
            "alert {} is {found:?}, not {signal:?}, behind the reading of {last:?}",
            place.signal
        );
        Err((place.signal, text))
    }
}

/// The state of the alert, as the documentation tells it.
#[derive(Clone, Default)]
struct Watch {
    phase: Phase,
    is_silent: bool,
    /// When the last message arrived.
    heard: Option<u64>,
    /// When something was sent.
    told: u64,
    repeats: u32,
    value: u64,
}

#[derive(Clone, Copy, Default)]
enum Phase {
    #[default]
    Normal,
    Pending {
        since: u64,
    },
    Firing {
        since: u64,
        clearing: Option<u64>,
    },
}

#[derive(Clone, Copy)]
enum Due {
    Condition,
    Silence,
    Reminder,
}

impl Watch {
    /// What the clock brings next; of several at one time the first one here.
    fn due(&self) -> Option<(u64, Due)> {
        let condition = match self.phase {
            Phase::Pending { since } => Some(since + FOR_MS),
            Phase::Firing { clearing, .. } => clearing.map(|since| since + CLEAR_FOR_MS),
            Phase::Normal => None,
        };
        let silence = self.heard.filter(|_| !self.is_silent).map(|heard| heard + SILENT_MS);
        let is_told = self.is_silent || matches!(self.phase, Phase::Firing { .. });
        let reminder = is_told.then_some(self.told + REPEAT_MS);
        let all = [
            condition.map(|at| (at, Due::Condition)),
            silence.map(|at| (at, Due::Silence)),
            reminder.map(|at| (at, Due::Reminder)),
        ];
        all.into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// Lets the clock bring what is due next.
    fn fire(&mut self) -> Option<String> {
        let (at, due) = self.due()?;
        let heard = self.heard.unwrap_or_default();
        if matches!(due, Due::Reminder) {
            self.repeats += 1;
            self.told = at;
            let (state, since) = match self.phase {
                Phase::Firing { since, .. } if !self.is_silent => ("firing", since),
                _ => ("silent", heard),
            };
            return Some(self.signal(state, since));
        }
        self.repeats = 0;
        self.told = at;
        let (state, since) = match (due, self.phase) {
            (Due::Silence, phase) => {
                self.is_silent = true;
                self.phase = match phase {
                    Phase::Firing { since, .. } => Phase::Firing { since, clearing: None },
                    _ => Phase::Normal,
                };
                ("silent", heard)
            }
            (_, Phase::Pending { since }) => {
                self.phase = Phase::Firing { since, clearing: None };
                ("firing", since)
            }
            (_, Phase::Firing { clearing: Some(since), .. }) => {
                self.phase = Phase::Normal;
                ("resolved", since)
            }
            _ => unreachable!("a condition is due in these phases only"),
        };
        Some(self.signal(state, since))
    }

    /// A message comes, with everything before it done.
    fn hear(&mut self, message: &Message) -> Option<String> {
        let at = message.at;
        self.heard = Some(at);
        self.value = message.value;
        self.phase = match self.phase {
            Phase::Normal if message.when => Phase::Pending { since: at },
            Phase::Pending { .. } if !message.when => Phase::Normal,
            Phase::Firing { since, clearing } => {
                Phase::Firing { since, clearing: message.clear.then_some(clearing.unwrap_or(at)) }
            }
            phase => phase,
        };
        if !std::mem::take(&mut self.is_silent) {
            return None;
        }
        (self.repeats, self.told) = (0, at);
        Some(match self.phase {
            Phase::Firing { since, .. } => self.signal("firing", since),
            _ => self.signal("resolved", at),
        })
    }

    fn signal(&self, state: &str, since: u64) -> String {
        text(state, &time_of_day(since), &self.value.to_string(), self.repeats)
    }
}

fn text(state: &str, since: &str, value: &str, repeats: u32) -> String {
    format!("{state} since {since} with {value}, repetition {repeats}")
}

/// As [`text`] writes it.
fn signal_of(body: &str) -> String {
    let get = |name| field(body, name).unwrap_or_default();
    let since = get("since").get(12..24).unwrap_or_default();
    let repeats = field(body, "repeat").and_then(|number| number.parse().ok());
    text(get("state").trim_matches('"'), since, get("v"), repeats.unwrap_or_default())
}

const FOR_MS: u64 = 300;
const CLEAR_FOR_MS: u64 = 300;
const SILENT_MS: u64 = 2_000;
const REPEAT_MS: u64 = 4_000;
/// By then a signal has come to its subscriber.
const ON_THE_WAY_MS: u64 = 2_000;
