//! What a declaration of a configuration key says, and what is read by it: a [`Value`], or a
//! [`Refusal`] that knows its place in the text but not the file; the loader adds that.

use std::{ops::Range, path::PathBuf, time::Duration};

use super::{
    HostPort, HttpUrl,
    unit::{format_duration, format_size},
    values::Values,
};

/// A table of the file.
#[derive(Debug)]
pub(crate) struct Section {
    /// Its name; empty for the keys before the first table.
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    pub(crate) text: &'static str,
    pub(crate) keys: &'static [Key],
}

/// How a section stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `[[name]]`, any number of times.
    List,
    /// `[name.NAME]`, once for each name.
    Named,
    /// `[name]`.
    Table,
    /// The keys before the first table.
    Top,
    /// `name = { … }` in an entry of a list, or `[list.name]` below it.
    Within,
}

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
    pub(crate) kind: Kind,
    pub(crate) initial: Initial,
}

/// What holds when the key is not in the file. The texts are TOML.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Initial {
    /// This value.
    Default(&'static str),
    /// The section makes no sense without the key.
    Required { example: &'static str },
    /// No value, which means what `meaning` says.
    Unset { example: &'static str, meaning: &'static str },
}

/// The form of a value and its range.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Address,
    Addresses,
    Choice(&'static [&'static str]),
    /// A list of some of them.
    Choices(&'static [&'static str]),
    Duration {
        min: Duration,
        max: Duration,
    },
    /// A shortest and a longest duration in one text.
    DurationRange,
    Flag,
    /// File names in which the last part may have `*` and `?`.
    Globs,
    /// Permissions of a file, as octal digits in a text.
    Mode,
    Path,
    Routes,
    Secret,
    Size {
        min: u64,
        max: u64,
    },
    /// A table with keys of its own.
    Table(&'static Section),
    Text,
    /// Lines of the form that mosquitto has for the topics of a bridge.
    TopicLines,
    Urls,
    Whole {
        min: i64,
        max: i64,
        unit: &'static str,
    },
}

/// A value in the declared range.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Address(HostPort),
    Addresses(Vec<HostPort>),
    Choice(&'static str),
    Choices(Vec<&'static str>),
    Duration(Duration),
    DurationRange(Duration, Duration),
    Flag(bool),
    Globs(Vec<Placed<PathBuf>>),
    Mode(u32),
    Path(PathBuf),
    Routes(Vec<Placed<RouteText>>),
    Size(u64),
    Table(Box<Values>),
    Text(String),
    TopicLines(Vec<Placed<String>>),
    Urls(Vec<HttpUrl>),
    Whole(i64),
}

/// A part of a value with its place in the text, for checks that come after reading.
#[derive(Clone, Debug)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) span: Range<usize>,
}

/// The same value at another place is the same value.
impl<T: PartialEq> PartialEq for Placed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// One entry of `forward` or `receive`, not yet parsed as topics.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RouteText {
    pub(crate) from: Placed<String>,
    pub(crate) to: Placed<String>,
    pub(crate) qos: u8,
}

/// Why a value cannot stand where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Stable name of the kind of problem.
    pub(crate) code: &'static str,
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
    pub(crate) label: String,
    pub(crate) help: Option<String>,
}

/// Stable names of the kinds of problems.
pub(crate) mod code {
    pub(crate) const NOT_TOML: &str = "C001";
    pub(crate) const UNKNOWN: &str = "C002";
    pub(crate) const VALUE: &str = "C003";
    pub(crate) const RANGE: &str = "C004";
    pub(crate) const MISSING: &str = "C005";
    pub(crate) const CONFLICT: &str = "C006";
    pub(crate) const FILE: &str = "C007";
    pub(crate) const TOPIC: &str = "C008";
    pub(crate) const UPSTREAM: &str = "C009";
    pub(crate) const EXPOSED: &str = "C010";
    pub(crate) const LATER: &str = "C011";
}

impl Refusal {
    pub(crate) fn new(
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Self {
        Self { code, span, message: message.into(), label: label.into(), help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Kind {
    /// What may stand there, in words.
    pub(crate) fn range(&self) -> String {
        match self {
            Self::Address => "host:port".to_owned(),
            Self::Addresses => "host:port, or a list of them".to_owned(),
            Self::Choice(names) | Self::Choices(names) => {
                let written = names.iter().map(|name| match *name {
                    "false" => "false".to_owned(),
                    name => format!("\"{name}\""),
                });
                written.collect::<Vec<_>>().join(", ")
            }
            Self::Duration { min, max } => {
                format!("{} to {}", format_duration(*min), format_duration(*max))
            }
            Self::DurationRange => "two durations, the shorter first".to_owned(),
            Self::Flag => "true, false".to_owned(),
            Self::Globs => "file names, `*` and `?` allowed in the last part".to_owned(),
            Self::Mode => "\"0000\" to \"0777\"".to_owned(),
            Self::Path => "a file or directory".to_owned(),
            Self::Routes => "a list of { from, to = \"{topic}\", qos = 1 }".to_owned(),
            Self::Secret | Self::Text => "text".to_owned(),
            Self::Size { min, max } => format!("{} to {}", format_size(*min), format_size(*max)),
            Self::Table(_) => "a table".to_owned(),
            Self::TopicLines => {
                "lines of `pattern [[in|out|both] [qos] [local/ [remote/]]]`".to_owned()
            }
            Self::Urls => "http://host:port/path, or a list of them".to_owned(),
            Self::Whole { min, max, unit } => format!("{min} to {max} {unit}"),
        }
    }
}
