//! What becomes of messages in a rule, step by step, for people who wonder why it sends what it
//! sends.
//!
//! A rule that is traced writes down a [`Step`] for each message and for each timer that sends
//! something. What it computes is the same as without: steps are beside the state.

mod json;
mod line;
mod part;
mod text;

use std::sync::Arc;

pub(crate) use line::Line;
pub(crate) use part::{Mark, Members};

use crate::limits::OUTCOME_BYTES_MAX;
use crate::message::{Emission, Timestamp};

/// What a rule has done with one message, or what the clock has brought.
#[derive(Clone, Debug)]
pub struct Step {
    /// The rule.
    pub rule: Arc<str>,
    /// Arrival of the message, or when the timer was due.
    pub at: Timestamp,
    /// Topic of the message; `None` if it was the clock.
    pub topic: Option<String>,
    /// If the message is one of several in a payload: `row`, `line` or `metric`, and its number
    /// from 1.
    pub part: Option<(&'static str, u32)>,
    /// The values of `by` joined with slashes, as [`Engine::peek`](crate::Engine::peek) takes them;
    /// empty if the rule has no groups, `None` if the message could not be read so far.
    pub key: Option<String>,
    /// When it happened, if the rule goes by a time in the message and could read it.
    pub time: Option<Timestamp>,
    /// What became of it.
    pub fate: Fate,
    /// What was sent because of it, and results of windows that were not.
    pub outcomes: Vec<Outcome>,
    /// How the message lies in windows, if it is in some.
    pub(crate) mark: Option<Mark>,
}

impl Step {
    /// What of it has to do with a group, written as [`Step::key`]: all but results of windows of
    /// other groups. `None` if nothing has; a message whose group is not known may be one of it.
    #[must_use]
    pub fn of_group(&self, group: &str) -> Option<Step> {
        let is_known = self.key.as_deref().is_none_or(|key| key == group);
        let is_of = |outcome: &Outcome| match &outcome.window {
            Some(window) => window.key == group,
            None => is_known,
        };
        if !is_known && !self.outcomes.iter().any(is_of) {
            return None;
        }
        let outcomes = self.outcomes.iter().filter(|outcome| is_of(outcome)).cloned().collect();
        let (rule, fate) = (self.rule.clone(), self.fate.clone());
        let (topic, key) = (self.topic.clone(), self.key.clone());
        let Self { at, part, time, mark, .. } = *self;
        Some(Step { rule, at, topic, part, key, time, fate, outcomes, mark })
    }
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// `alert` has looked at it, and its conditions gave this; `None` is null.
    Alert {
        /// Of `when`.
        when: Option<bool>,
        /// Of `clear`.
        clear: Option<bool>,
    },
    /// No message: windows, alerts or what was held back have come to their time.
    Clock,
    /// It could not be used and is a dead letter.
    Error {
        /// Such as `R102`.
        code: &'static str,
        /// What was wrong, for a person.
        message: String,
    },
    /// It was passed over.
    Filtered(Filtered),
    /// It is held back: something newer may take its place before it is sent.
    Held,
    /// Its values are the last ones of a topic that the rule joins.
    Joined,
    /// All its windows are closed.
    Late(Late),
    /// `alert` goes by the times in messages, and this one is older than the newest of its group.
    Older {
        /// By how much.
        by_ms: i64,
    },
    /// The rule is paused.
    Paused,
    /// A rule without window has made a result of it.
    Passed,
    /// No message: the power of a test has failed, and what was not stored is played again.
    PowerCut,
    /// It is in windows.
    Taken {
        /// Which ones.
        place: Place,
        /// Set if it is older than the watermark.
        late: Option<Late>,
    },
}

/// Why a message was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Filtered {
    /// `change`: the result is like the one before.
    Change,
    /// `dedupe`: it has come before.
    Dedupe,
    /// Its payload is empty, or holds no message.
    Empty,
    /// `having` is not true.
    Having,
    /// `lookup` with `miss = "drop"`: there is no row for it.
    Lookup,
    /// `where` is not true.
    Where,
    /// The condition of a `while` window is not true, and no run is open.
    While,
}

/// How late a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Late {
    /// How far its time is before the watermark.
    pub by_ms: i64,
    /// `late` of the rule: how far the watermark is behind the newest message.
    pub allowed_ms: i64,
}

/// The windows of a message. Times are milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// Windows of the clock.
    Clock {
        /// Start and end of the first one that is open, or is corrected.
        first: (i64, i64),
        /// Start and end of the last one.
        last: (i64, i64),
    },
    /// A count window.
    Count {
        /// The number of the message in its group.
        number: u64,
        /// Messages of a window.
        size: u64,
    },
    /// A window that ends with this message: its start and end.
    Each(i64, i64),
    /// A session: its first message, and when it ends if no other comes.
    Session(i64, i64),
    /// A `while` window: it waits for the watermark.
    While {
        /// Whether the condition is true.
        holds: bool,
    },
}

/// Something that was sent, or was not.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The window that it is the result of, if it is one.
    pub window: Option<ResultWindow>,
    /// What came of it. Of a payload above 4 KiB, only the beginning is here.
    pub sent: Result<Emission, Withheld>,
    /// Length of the payload that was sent.
    pub payload_bytes: usize,
}

/// The window of a result. Times are milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultWindow {
    /// Its group, written as [`Step::key`]. A message can close windows of other groups, if they
    /// have the watermark of a client in common.
    pub key: String,
    /// Its start; of windows without fixed ends the time of the first message.
    pub start: i64,
    /// Its end.
    pub end: i64,
    /// Above 0 for corrections.
    pub revision: u32,
    /// Whether it is sent before the end.
    pub early: bool,
    pub(crate) members: Members,
}

/// Why the result of a window was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Withheld {
    /// `alert` has looked at it and had nothing to tell.
    Alert,
    /// `change`: it is like the one before.
    Change,
    /// `having` is not true.
    Having,
    /// `change`: it is held back for now.
    Held,
}

/// What a traced rule writes down.
#[derive(Debug, Default)]
pub(crate) struct Tracer {
    pub(crate) draft: Draft,
    pub(crate) line: Line,
    pub(crate) steps_max: usize,
    steps: Vec<Step>,
    missed: u64,
}

/// A step that is not done.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) key: Option<String>,
    pub(crate) time: Option<i64>,
    pub(crate) fate: Option<Fate>,
    pub(crate) mark: Option<Mark>,
    /// Results of windows, and the emissions that they are: from, up to, in what the engine gives.
    pub(crate) windows: Vec<(ResultWindow, std::ops::Range<usize>, Withheld)>,
    /// Why the result at hand is not sent.
    pub(crate) withheld: Option<Withheld>,
}

impl Tracer {
    pub(crate) fn push(&mut self, step: Step) {
        if self.steps.len() < self.steps_max {
            self.steps.push(step);
        } else {
            self.missed += 1;
        }
    }

    /// Gives what was written down, and how many steps there was no room for.
    pub(crate) fn take(&mut self) -> (Vec<Step>, u64) {
        (std::mem::take(&mut self.steps), std::mem::take(&mut self.missed))
    }
}

impl Draft {
    /// What was sent from `start` on, with the windows that it belongs to.
    pub(crate) fn outcomes(&mut self, out: &[Emission], mut start: usize) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let mut send = |range: std::ops::Range<usize>, window: Option<&ResultWindow>| {
            let before = outcomes.len();
            outcomes.extend(out.get(range).unwrap_or_default().iter().map(|emission| Outcome {
                window: window.cloned(),
                sent: Ok(emission.beginning(OUTCOME_BYTES_MAX)),
                payload_bytes: emission.payload.len(),
            }));
            outcomes.len() > before
        };
        let mut nothing = Vec::new();
        for (window, range, withheld) in self.windows.drain(..) {
            send(start..range.start, None);
            start = range.end.max(start);
            if !send(range, Some(&window)) {
                let window = Some(window);
                nothing.push(Outcome { window, sent: Err(withheld), payload_bytes: 0 });
            }
        }
        send(start..out.len(), None);
        outcomes.extend(nothing);
        outcomes
    }
}
