//! What the value of a key may be.

use std::fmt;
use std::time::Duration;

use super::{Given, Initial, Section};
use crate::problem::Refusal;
use crate::unit::{format_duration, format_size};

/// The form of a value and its range.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A table of names that the program knows, each with a least and a greatest number; the text
    /// says what has the names.
    Bounds(&'static str),
    /// One of some words. The word `false` is written as the truth value.
    Choice(&'static [&'static str]),
    /// One number and one unit: `"250ms"`.
    Duration {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// True or false.
    Flag,
    /// The name of a file, in which the last part may have `*` and `?`.
    Glob,
    /// Values of one kind; a single one needs no brackets.
    List {
        /// Which kind.
        of: &'static Kind,
        /// How many there are at least.
        least: usize,
    },
    /// What only the program knows.
    Notation(&'static Notation),
    /// A number, with a fraction or without.
    Number {
        /// The least.
        min: f64,
        /// The greatest.
        max: f64,
        /// What it counts; may be empty.
        unit: &'static str,
    },
    /// A table of names that the program knows, each with a number; the text says what has the
    /// names.
    Numbers(&'static str),
    /// A file or a directory; relative ones start at the directory of the configuration.
    Path,
    /// A number of seconds, with a fraction or without.
    Seconds {
        /// The fewest.
        min: f64,
        /// The most.
        max: f64,
    },
    /// A text that no message shows.
    Secret,
    /// A number of bytes, or one number and one unit: `"64KB"`.
    Size {
        /// The fewest bytes.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A table with keys of its own.
    Table(&'static Section),
    /// A list of such tables.
    Tables(&'static Section),
    /// A text that is not empty.
    Text,
    /// A whole number.
    Whole {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
        /// What it counts; may be empty.
        unit: &'static str,
    },
}

/// A way to write a value that only the program knows, such as the address of a service.
///
/// It is read as a text; [`Values::parsed`](crate::Values::parsed) makes a value of the program out
/// of that.
pub struct Notation {
    /// What may stand there, in words.
    pub range: &'static str,
    /// The text, or why it cannot be.
    pub read: fn(&Given<'_>) -> Result<String, Refusal>,
}

impl fmt::Debug for Notation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Notation").field("range", &self.range).finish_non_exhaustive()
    }
}

impl Kind {
    /// What may stand there, in words.
    pub fn range(&self) -> String {
        match self {
            Self::Bounds(what) => format!("{{ {what} = [least, greatest] }}"),
            Self::Choice(words) => {
                let written = words.iter().map(|word| match *word {
                    "false" => "false".to_owned(),
                    word => format!("\"{word}\""),
                });
                written.collect::<Vec<_>>().join(", ")
            }
            Self::Duration { min, max } => {
                format!("{} to {}", format_duration(*min), format_duration(*max))
            }
            Self::Flag => "true, false".to_owned(),
            Self::Glob => "a file name, `*` and `?` allowed in the last part".to_owned(),
            Self::List { of: words @ Self::Choice(_), .. } => words.range(),
            Self::List { of, .. } => format!("{}, or a list of them", of.range()),
            Self::Notation(notation) => notation.range.to_owned(),
            Self::Number { min, max, unit } => format!("{min} to {max} {unit}").trim().to_owned(),
            Self::Numbers(what) => format!("{{ {what} = number }}"),
            Self::Path => "a file or directory".to_owned(),
            Self::Seconds { min, max } => format!("{min} to {max} seconds"),
            Self::Secret | Self::Text => "text".to_owned(),
            Self::Size { min, max } => format!("{} to {}", format_size(*min), format_size(*max)),
            Self::Table(_) => "a table".to_owned(),
            Self::Tables(section) => format!("a list of {{ {} }}", entry(section)),
            Self::Whole { min, max, unit } => format!("{min} to {max} {unit}").trim().to_owned(),
        }
    }
}

/// The keys of an entry, each with what holds without it.
fn entry(section: &Section) -> String {
    let keys = section.keys.iter().map(|key| match key.initial {
        Initial::Default(text) => format!("{} = {text}", key.name),
        Initial::Required { .. } | Initial::Unset { .. } => key.name.to_owned(),
    });
    keys.collect::<Vec<_>>().join(", ")
}
