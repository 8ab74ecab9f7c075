//! The text of `window`.

use std::ops::Range;

use weir_config::nearest;

use super::calendar::read_calendar;
use super::quantity::{format_duration, read_duration};
use super::{Located, Report};
use crate::code;
use crate::limits::{COUNT_MAX, PANES_MAX};
use crate::window::{Session, Window};

/// A window while it is read: what was written, word by word.
pub(super) struct Words<'t> {
    pub(super) text: &'t Located,
    /// Words and where they start.
    pub(super) list: Vec<(usize, &'t str)>,
}

/// Reads what stands in `window`; the expression of `while` is not looked at.
pub(super) fn read_window(text: &Located, report: &mut Report<'_>) -> Option<Window> {
    let words = Words::new(text);
    let Some((_, kind)) = words.list.first().copied() else {
        let label = "for example tumbling 1m, or sliding 5m every 10s";
        report.error(code::WINDOW, "the window is empty", &text.place, label);
        return None;
    };
    let window = match kind {
        "count" => read_count(&words, report),
        "session" => read_session(&words, report),
        "sliding" | "hopping" => read_sliding(kind, &words, report),
        "tumbling" => read_tumbling(&words, report),
        "while" => read_while(&words, report),
        _ => {
            unknown_kind(kind, &words, report);
            None
        }
    }?;
    check(&window, text, report).then_some(window)
}

fn unknown_kind(kind: &str, words: &Words<'_>, report: &mut Report<'_>) {
    let choices = "windows: tumbling D, sliding D every D, sliding D, count N every N, \
                   session D max D, while EXPRESSION";
    let help = match nearest(kind, KINDS) {
        Some(near) => format!("did you mean `{near}`? {choices}"),
        None => choices.to_owned(),
    };
    let message = format!("unknown window `{kind}`");
    words.error(0..1, message, "not a window", Some(help), report);
}

/// `tumbling D`, or with `at` by the calendar.
fn read_tumbling(words: &Words<'_>, report: &mut Report<'_>) -> Option<Window> {
    if let Some(calendar) = read_calendar(words, report) {
        return calendar.map(Window::Calendar);
    }
    let (size, slide) = words.split("every");
    let size = words.duration(size, report)?;
    let Some(slide) = slide else { return Some(Window::sliding(size, size)) };
    let slide = words.duration(slide, report)?;
    let help = format!(
        "for results more often write sliding {} every {}",
        format_duration(size),
        format_duration(slide)
    );
    let message = "a tumbling window has no step";
    words.error(0..words.list.len(), message, "`every`", Some(help), report);
    None
}

/// `sliding D every D` or `sliding D`.
fn read_sliding(kind: &str, words: &Words<'_>, report: &mut Report<'_>) -> Option<Window> {
    let (size, slide) = words.split("every");
    let size = words.duration(size, report)?;
    match slide {
        Some(slide) => Some(Window::sliding(size, words.duration(slide, report)?)),
        None if kind == "hopping" => {
            let label = "for example hopping 5m every 10s";
            let message = "a hopping window needs a step";
            words.error(0..words.list.len(), message, label, None, report);
            None
        }
        None => Some(Window::Each { size }),
    }
}

/// `count N every N`.
fn read_count(words: &Words<'_>, report: &mut Report<'_>) -> Option<Window> {
    let (size, every) = words.split("every");
    let size = words.count(size, report)?;
    let every = match every {
        Some(every) => words.count(every, report)?,
        None => size,
    };
    Some(Window::count(size, every))
}

/// `session D max D`.
fn read_session(words: &Words<'_>, report: &mut Report<'_>) -> Option<Window> {
    let (gap, max) = words.split("max");
    let gap = words.duration(gap, report)?;
    let max = match max {
        Some(part) => {
            let max = words.duration(part.clone(), report)?;
            if max < gap {
                let message = "a session is longer than the silence that ends it";
                let label = format!("at least {}", format_duration(gap));
                words.error(part, message, label, None, report);
                return None;
            }
            Some(max)
        }
        None => None,
    };
    Some(Window::Session(Session { gap, max }))
}

fn read_while(words: &Words<'_>, report: &mut Report<'_>) -> Option<Window> {
    if words.list.len() > 1 {
        return Some(Window::While);
    }
    let label = "for example while power > 5";
    words.error(0..1, "`while` needs a condition", label, None, report);
    None
}

impl<'t> Words<'t> {
    fn new(text: &'t Located) -> Self {
        let start = text.value.as_ptr() as usize;
        let words = text.value.split_whitespace();
        Self { text, list: words.map(|word| (word.as_ptr() as usize - start, word)).collect() }
    }

    /// The words after the first one, before and after `word`.
    fn split(&self, word: &str) -> (Range<usize>, Option<Range<usize>>) {
        let end = self.list.len();
        match self.list.iter().position(|(_, known)| *known == word) {
            Some(at) => (1..at.max(1), Some(at + 1..end)),
            None => (1..end, None),
        }
    }

    /// The text of some words.
    pub(super) fn written(&self, part: Range<usize>) -> &'t str {
        self.text.value.get(self.span(part)).unwrap_or_default()
    }

    /// Where some words stand in the text; if there are none, where they are missing.
    fn span(&self, part: Range<usize>) -> Range<usize> {
        let words = self.list.get(part.clone()).unwrap_or_default();
        match (words.first(), words.last()) {
            (Some((start, _)), Some((last, word))) => *start..last + word.len(),
            _ => {
                let before = part.start.checked_sub(1).and_then(|at| self.list.get(at));
                let end = before.map_or(0, |(start, word)| start + word.len());
                end..end
            }
        }
    }

    /// Reports that some words are wrong.
    pub(super) fn error(
        &self,
        part: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
        report: &mut Report<'_>,
    ) {
        self.error_as(code::WINDOW, part, (message.into(), label.into()), help, report);
    }

    fn error_as(
        &self,
        code: &'static str,
        part: Range<usize>,
        (message, label): (String, String),
        help: Option<String>,
        report: &mut Report<'_>,
    ) {
        let place = self.text.inside(report.sources, self.span(part));
        match help {
            Some(help) => report.error_with_help(code, message, &place, label, help),
            None => report.error(code, message, &place, label),
        }
    }

    /// A duration that is not zero, in milliseconds.
    fn duration(&self, part: Range<usize>, report: &mut Report<'_>) -> Option<i64> {
        let written = self.written(part.clone());
        let why = match read_duration(written) {
            _ if part.is_empty() => {
                let texts = ("a duration is missing".to_owned(), "expected here".to_owned());
                self.error_as(code::QUANTITY, part, texts, None, report);
                return None;
            }
            Ok(0) => "the duration is zero".to_owned(),
            Ok(ms) => return Some(ms),
            Err(why) => why,
        };
        let texts = (format!("`{written}` is not a duration"), why);
        self.error_as(code::QUANTITY, part, texts, None, report);
        None
    }

    /// A number of messages.
    fn count(&self, part: Range<usize>, report: &mut Report<'_>) -> Option<u64> {
        let written = self.written(part.clone());
        if let Some(count) = written.parse().ok().filter(|count| (1..=COUNT_MAX).contains(count)) {
            return Some(count);
        }
        let message = match written {
            "" => "a number of messages is missing".to_owned(),
            _ => format!("`{written}` is not a number of messages"),
        };
        let label = format!("a whole number from 1 to {COUNT_MAX}");
        self.error_as(code::QUANTITY, part, (message, label), None, report);
        None
    }
}

/// Whether the window can be computed.
fn check(window: &Window, text: &Located, report: &mut Report<'_>) -> bool {
    let (slide_is_longer, panes, width) = match window {
        Window::Count { size, every, width } => {
            (every > size, size / width, format!("{width} messages"))
        }
        Window::Sliding { size, slide, width } => {
            (slide > size, (size / width) as u64, format_duration(*width))
        }
        _ => return true,
    };
    if slide_is_longer {
        let message = "the step is longer than the window";
        let label = "messages between two windows would be lost";
        report.error(code::WINDOW, message, &text.place, label);
        return false;
    }
    if panes <= PANES_MAX as u64 {
        return true;
    }
    let message =
        format!("the window needs {panes} panes of {width}, at most {PANES_MAX} are possible");
    let label = "step and length have too small a common divisor";
    let help = "choose a longer step, or one that divides the length";
    report.error_with_help(code::WINDOW, message, &text.place, label, help);
    false
}

const KINDS: [&str; 6] = ["count", "hopping", "session", "sliding", "tumbling", "while"];
