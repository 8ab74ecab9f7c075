//! Steps as lines for people.

use std::fmt;

use super::{Fate, Filtered, Late, Outcome, Place, ResultWindow, Step, Withheld};
use crate::limits::SHOWN_BYTES_MAX;
use crate::message::Timestamp;
use crate::quantity::format_duration;
use crate::shown::{escaped, sent_line};

/// One line, and one more behind it for each thing that was sent or was not.
impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.at)?;
        if let Some(topic) = &self.topic {
            write!(formatter, " {}", escaped(topic))?;
        }
        if let Some((word, number)) = self.part {
            write!(formatter, " {word} {number}")?;
        }
        match self.key.as_deref() {
            Some("") => {}
            Some(key) => write!(formatter, " [{}]", escaped(key))?,
            None if self.topic.is_some() && !self.has_no_key() => formatter.write_str(" [?]")?,
            None => {}
        }
        write!(formatter, ": {}", self.words())?;
        for outcome in &self.outcomes {
            write!(formatter, "\n  {}", self.outcome(outcome))?;
        }
        Ok(())
    }
}

impl Step {
    /// What became of it, in words.
    pub(super) fn words(&self) -> String {
        match &self.fate {
            Fate::Alert { when, clear } => {
                let value = |given: &Option<bool>| given.map_or("null", truth);
                format!("seen by `alert`: when is {}, clear is {}", value(when), value(clear))
            }
            Fate::Clock => "the clock".to_owned(),
            Fate::Error { code, message } => format!("error {code}: {}", escaped(message)),
            Fate::Filtered(why) => why.words().to_owned(),
            Fate::Held => "held back: something newer may take its place".to_owned(),
            Fate::Joined => "kept as the last value of a joined topic".to_owned(),
            Fate::Late(late) => format!("{}, its windows are closed", self.late(*late)),
            Fate::Older { by_ms } => {
                let by = format_duration(*by_ms);
                format!("late: {}{by} older than the newest of its group", self.time_is())
            }
            Fate::Passed => "passed".to_owned(),
            Fate::PowerCut => "power cut; what was not stored is played again".to_owned(),
            Fate::Paused => "the rule is paused".to_owned(),
            Fate::Taken { place, late } => {
                let late = late.map(|late| self.late(late) + "; ").unwrap_or_default();
                late + &self.place(*place)
            }
        }
    }

    /// Whether what became of it has nothing to do with groups.
    fn has_no_key(&self) -> bool {
        matches!(
            self.fate,
            Fate::Joined | Fate::Paused | Fate::Filtered(Filtered::Empty | Filtered::Lookup)
        )
    }

    fn late(&self, late: Late) -> String {
        format!(
            "late: {}{} before the watermark (`late` is {})",
            self.time_is(),
            format_duration(late.by_ms),
            format_duration(late.allowed_ms)
        )
    }

    fn time_is(&self) -> String {
        self.time.map(|time| format!("{} is ", self.clock(time.0))).unwrap_or_default()
    }

    fn place(&self, place: Place) -> String {
        let span = |start, end| format!("{} to {}", self.clock(start), self.clock(end));
        match place {
            Place::Clock { first, last } if first == last => {
                format!("into the window {}", span(first.0, first.1))
            }
            Place::Clock { first, last } => {
                let (first, last) = (span(first.0, first.1), span(last.0, last.1));
                format!("into the windows {first} and on to {last}")
            }
            Place::Count { number, size } => {
                format!("number {number} of its group, in windows of {size}")
            }
            Place::Each(start, end) => format!("a window of its own, {}", span(start, end)),
            Place::Session(start, end) => format!("into the session {}", span(start, end)),
            Place::While { holds } => format!("the condition of `while` is {}", truth(holds)),
        }
    }

    fn outcome(&self, outcome: &Outcome) -> String {
        let window = outcome.window.as_ref().map(|window| self.window(window));
        match &outcome.sent {
            Ok(emission) => {
                let window = window.map(|window| format!(" ({window})")).unwrap_or_default();
                let sent = sent_line(emission, outcome.payload_bytes, SHOWN_BYTES_MAX);
                format!("-> {sent}{window}")
            }
            Err(why) => {
                format!("-- {}: {}", window.as_deref().unwrap_or("result"), why.words())
            }
        }
    }

    fn window(&self, window: &ResultWindow) -> String {
        let ResultWindow { key, start, end, revision, early, .. } = window;
        let revision = if *revision > 0 { format!(", rev {revision}") } else { String::new() };
        let early = if *early { ", early" } else { "" };
        let is_other = self.key.as_ref() != Some(key);
        let key = if is_other { format!(" of [{}]", escaped(key)) } else { String::new() };
        format!("window {} to {}{key}{revision}{early}", self.clock(*start), self.clock(*end))
    }

    /// A time, without the date if that is the one of the step.
    fn clock(&self, time: i64) -> String {
        let text = Timestamp(time).to_string();
        let same_day = self.at.0.div_euclid(DAY_MS) == time.div_euclid(DAY_MS);
        match text.split_once('T') {
            Some((_, clock)) if same_day => clock.trim_end_matches('Z').replace(".000", ""),
            _ => text,
        }
    }
}

impl Filtered {
    fn words(self) -> &'static str {
        match self {
            Filtered::Change => "nothing new for `change`",
            Filtered::Dedupe => "came before, says `dedupe`",
            Filtered::Empty => "passed over: there is nothing in the payload",
            Filtered::Having => "`having` is not true",
            Filtered::Lookup => "no row in a table of `lookup`",
            Filtered::Where => "`where` is not true",
            Filtered::While => "the condition of `while` is not true",
        }
    }

    /// In JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Filtered::Change => "change",
            Filtered::Dedupe => "dedupe",
            Filtered::Empty => "empty",
            Filtered::Having => "having",
            Filtered::Lookup => "lookup",
            Filtered::Where => "where",
            Filtered::While => "while",
        }
    }
}

impl Withheld {
    fn words(self) -> &'static str {
        match self {
            Withheld::Alert => "seen by `alert`",
            Withheld::Change => "nothing new for `change`",
            Withheld::Having => "`having` is not true",
            Withheld::Held => "held back by `change`",
        }
    }

    /// In JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Withheld::Alert => "alert",
            Withheld::Change => "change",
            Withheld::Having => "having",
            Withheld::Held => "held",
        }
    }
}

fn truth(yes: bool) -> &'static str {
    if yes { "true" } else { "false" }
}

const DAY_MS: i64 = 86_400_000;
