//! What happened in a run: a number that stands for all of it, and the text of it when wanted.
//!
//! The text is only kept in the second run of a seed that failed, so that the first one is fast.
//! Two runs of a seed are the same run exactly when their numbers are equal.

use std::fmt::{self, Write};

use super::model::MessageId;

/// What happened so far.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    events: u64,
    is_recording: bool,
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    at_ms: u64,
    about: About,
    text: String,
}

/// Whom a line is about.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct About {
    pub(crate) client: Option<usize>,
    pub(crate) message: Option<MessageId>,
}

impl About {
    /// Everything: shown with every problem.
    pub(crate) const ALL: Self = Self { client: None, message: None };

    pub(crate) fn client(client: usize) -> Self {
        Self { client: Some(client), message: None }
    }

    pub(crate) fn message(client: usize, message: MessageId) -> Self {
        Self { client: Some(client), message: Some(message) }
    }
}

impl Trace {
    pub(crate) fn new(is_recording: bool) -> Self {
        Self { hash: FNV_OFFSET, events: 0, is_recording, lines: Vec::new() }
    }

    /// Notes that something happened.
    pub(crate) fn note(&mut self, at_ms: u64, about: About, what: fmt::Arguments<'_>) {
        self.events += 1;
        self.number(at_ms);
        // Writing to a hash cannot fail.
        let _ = self.write_fmt(what);
        if self.is_recording {
            self.lines.push(Line { at_ms, about, text: what.to_string() });
        }
    }

    /// Makes a number part of the run.
    pub(crate) fn number(&mut self, number: u64) {
        self.hash = (self.hash ^ number).wrapping_mul(FNV_PRIME);
    }

    /// Stands for everything that happened.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// How many things happened.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// The last lines that have to do with `about`, the oldest first.
    pub(crate) fn excerpt(&self, about: About) -> Vec<String> {
        let concerns = |line: &&Line| {
            let line = line.about;
            if line == About::ALL || about == About::ALL {
                return true;
            }
            match (line.message, about.message) {
                (Some(line), Some(wanted)) => line == wanted,
                _ => line.client == about.client && line.message.is_none(),
            }
        };
        let lines = self.lines.iter().rev().filter(concerns).take(LINES_MAX);
        let mut lines: Vec<String> = lines.map(ToString::to_string).collect();
        lines.reverse();
        lines
    }

    /// Every line.
    pub(crate) fn all(&self) -> Vec<String> {
        self.lines.iter().map(ToString::to_string).collect()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>7} ms  {}", self.at_ms, self.text)
    }
}

impl Write for Trace {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for chunk in text.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.number(u64::from_le_bytes(word));
        }
        Ok(())
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
/// Lines that are shown with a failure.
const LINES_MAX: usize = 80;
