//! The text of `window`.

use super::quantity::{format_duration, read_duration};
use super::{Located, Report};
use crate::code;
use crate::diagnostic::nearest;
use crate::limits::PANES_MAX;
use crate::window::Window;

/// Reads `tumbling D`, `sliding D every D` or `sliding D`.
pub(super) fn read_window(text: &Located, report: &mut Report<'_>) -> Option<Window> {
    let value = &text.value;
    let mut words = words(value).into_iter();
    let Some((kind_at, kind)) = words.next() else {
        let label = "for example tumbling 1m, or sliding 5m every 10s";
        report.error(code::WINDOW, "the window is empty", &text.place, label);
        return None;
    };
    let rest: Vec<(usize, &str)> = words.collect();
    let kind_place = text.inside(report.sources, kind_at..kind_at + kind.len());
    match kind {
        "tumbling" | "sliding" | "hopping" => {}
        "count" | "session" | "while" => {
            let message = format!("`{kind}` windows are not in this version");
            report.error(code::NOT_YET, message, &kind_place, "not available yet");
            return None;
        }
        _ => {
            let message = format!("unknown window `{kind}`");
            let near = nearest(kind, KINDS);
            let choices = "windows: tumbling D, sliding D every D, sliding D";
            let help = match near {
                Some(near) => format!("did you mean `{near}`? {choices}"),
                None => choices.to_owned(),
            };
            report.error_with_help(code::WINDOW, message, &kind_place, "not a window", help);
            return None;
        }
    }
    let every = rest.iter().position(|(_, word)| *word == "every");
    let (size_words, slide_words) = match every {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (&rest[..], None),
    };
    if let Some((at, word)) = size_words.iter().find(|(_, word)| *word == "at") {
        let place = text.inside(report.sources, *at..at + word.len());
        let message = "windows by the calendar are not in this version";
        report.error(code::NOT_YET, message, &place, "not available yet");
        return None;
    }
    let size = read_part(text, size_words, kind_at + kind.len(), report)?;
    let slide = match slide_words {
        Some(words) => Some(read_part(text, words, value.len(), report)?),
        None => None,
    };
    let window = match (kind, slide) {
        ("tumbling", None) => Window::sliding(size, size),
        ("tumbling", Some(slide)) => {
            let message = "a tumbling window has no step";
            let help = format!(
                "for results more often write sliding {} every {}",
                format_duration(size),
                format_duration(slide)
            );
            report.error_with_help(code::WINDOW, message, &text.place, "`every`", help);
            return None;
        }
        ("hopping", None) => {
            let label = "for example hopping 5m every 10s";
            report.error(code::WINDOW, "a hopping window needs a step", &text.place, label);
            return None;
        }
        (_, None) => Window::Each { size },
        (_, Some(slide)) => Window::sliding(size, slide),
    };
    check(window, text, report).then_some(window)
}

/// Whether the window can be computed.
fn check(window: Window, text: &Located, report: &mut Report<'_>) -> bool {
    let Window::Sliding { size, slide, width } = window else { return true };
    if slide > size {
        let message = "the step is longer than the window";
        let label = "messages between two windows would be lost";
        report.error(code::WINDOW, message, &text.place, label);
        return false;
    }
    let panes = size / width;
    if panes <= PANES_MAX as i64 {
        return true;
    }
    let message = format!(
        "the window needs {panes} panes of {}, at most {PANES_MAX} are possible",
        format_duration(width)
    );
    let label = "step and length have too small a common divisor";
    let help = "choose a longer step, or one that divides the length";
    report.error_with_help(code::WINDOW, message, &text.place, label, help);
    false
}

fn read_part(
    text: &Located,
    words: &[(usize, &str)],
    missing_at: usize,
    report: &mut Report<'_>,
) -> Option<i64> {
    let (Some((start, _)), Some((last, word))) = (words.first(), words.last()) else {
        let place = text.inside(report.sources, missing_at..missing_at);
        report.error(code::QUANTITY, "a duration is missing", &place, "expected here");
        return None;
    };
    let part = *start..last + word.len();
    let written = text.value.get(part.clone()).unwrap_or_default();
    let why = match read_duration(written) {
        Ok(0) => "the duration is zero".to_owned(),
        Ok(ms) => return Some(ms),
        Err(why) => why,
    };
    let place = text.inside(report.sources, part);
    report.error(code::QUANTITY, format!("`{written}` is not a duration"), &place, why);
    None
}

/// Words and where they start.
fn words(text: &str) -> Vec<(usize, &str)> {
    let start = text.as_ptr() as usize;
    text.split_whitespace().map(|word| (word.as_ptr() as usize - start, word)).collect()
}

const KINDS: [&str; 3] = ["hopping", "sliding", "tumbling"];
