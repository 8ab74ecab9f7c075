//! What a declaration of a configuration key says, and how the text of a value is read by it.
//! Reading answers with a [`Refusal`] that knows its place in the text but not the file: the
//! loader adds that.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use toml::{Spanned, de::DeValue};
use weir_rules::nearest;

use super::{
    HostPort, HostPortError,
    unit::{format_duration, format_size, parse_duration, parse_size},
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
    Whole {
        min: i64,
        max: i64,
        unit: &'static str,
    },
}

/// A value in the declared range.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Address(HostPort),
    Addresses(Vec<HostPort>),
    Choice(&'static str),
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
    Whole(i64),
}

/// A part of a value with its place in the text, for checks that come after reading.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) span: Range<usize>,
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

impl Key {
    /// Reads a value. Relative paths are taken from `folder`.
    pub(crate) fn read(
        &self,
        value: &Spanned<DeValue<'_>>,
        folder: &Path,
    ) -> Result<Value, Vec<Refusal>> {
        let reader = Reader { key: self, folder };
        reader.read(value)
    }
}

impl Kind {
    /// What may stand there, in words.
    pub(crate) fn range(&self) -> String {
        match self {
            Self::Address => "host:port".to_owned(),
            Self::Addresses => "host:port, or a list of them".to_owned(),
            Self::Choice(names) => {
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
            Self::Whole { min, max, unit: "" } => format!("{min} to {max}"),
            Self::Whole { min, max, unit } => format!("{min} to {max} {unit}"),
        }
    }
}

/// The reading of one value of one key.
struct Reader<'a> {
    key: &'a Key,
    folder: &'a Path,
}

impl Reader<'_> {
    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Value, Vec<Refusal>> {
        let one = |refusal: Refusal| vec![refusal];
        Ok(match self.key.kind {
            Kind::Address => Value::Address(self.address(value).map_err(one)?),
            Kind::Addresses => match self.each(value, Self::address)? {
                none if none.is_empty() => {
                    return Err(one(self.refuse(value, "an empty list", "at least one address")));
                }
                addresses => Value::Addresses(addresses),
            },
            Kind::Choice(names) => Value::Choice(self.choice(value, names).map_err(one)?),
            Kind::Duration { min, max } => {
                Value::Duration(self.duration(value, min, max).map_err(one)?)
            }
            Kind::DurationRange => {
                let (min, max) = self.duration_range(value).map_err(one)?;
                Value::DurationRange(min, max)
            }
            Kind::Flag => match value.get_ref() {
                DeValue::Boolean(flag) => Value::Flag(*flag),
                _ => return Err(one(self.wrong_type(value, "true or false"))),
            },
            Kind::Globs => Value::Globs(self.each(value, Self::glob)?),
            Kind::Mode => Value::Mode(self.mode(value).map_err(one)?),
            Kind::Path => Value::Path(self.folder.join(self.text(value).map_err(one)?)),
            Kind::Routes => Value::Routes(self.routes(value)?),
            Kind::Secret | Kind::Text => Value::Text(self.text(value).map_err(one)?.to_owned()),
            Kind::Size { min, max } => Value::Size(self.size(value, min, max).map_err(one)?),
            Kind::Table(section) => unreachable!("{} is read key by key", section.name),
            Kind::TopicLines => Value::TopicLines(self.each(value, Self::placed)?),
            Kind::Whole { min, max, .. } => Value::Whole(self.whole(value, min, max).map_err(one)?),
        })
    }

    /// A list, or one element without its brackets.
    fn each<T>(
        &self,
        value: &Spanned<DeValue<'_>>,
        read: impl Fn(&Self, &Spanned<DeValue<'_>>) -> Result<T, Refusal>,
    ) -> Result<Vec<T>, Vec<Refusal>> {
        let DeValue::Array(array) = value.get_ref() else {
            return read(self, value).map(|one| vec![one]).map_err(|refusal| vec![refusal]);
        };
        let mut refusals = Vec::new();
        let mut list = Vec::new();
        for element in array.iter() {
            match read(self, element) {
                Ok(element) => list.push(element),
                Err(refusal) => refusals.push(refusal),
            }
        }
        if refusals.is_empty() { Ok(list) } else { Err(refusals) }
    }

    fn text<'v>(&self, value: &'v Spanned<DeValue<'_>>) -> Result<&'v str, Refusal> {
        let text = value.get_ref().as_str().ok_or_else(|| self.wrong_type(value, "text"))?;
        match text.is_empty() {
            true => Err(self.refuse(value, "an empty text", "leave the key out instead")),
            false => Ok(text),
        }
    }

    fn placed(&self, value: &Spanned<DeValue<'_>>) -> Result<Placed<String>, Refusal> {
        Ok(Placed { value: self.text(value)?.to_owned(), span: value.span() })
    }

    fn glob(&self, value: &Spanned<DeValue<'_>>) -> Result<Placed<PathBuf>, Refusal> {
        Ok(Placed { value: self.folder.join(self.text(value)?), span: value.span() })
    }

    fn address(&self, value: &Spanned<DeValue<'_>>) -> Result<HostPort, Refusal> {
        let text = self.text(value)?;
        text.parse().map_err(|reason: HostPortError| {
            let message = format!("`{text}` is not an address");
            Refusal::new(code::VALUE, value.span(), message, reason.to_string())
                .help("write it as \"host:port\", for example \"127.0.0.1:1883\"")
        })
    }

    fn choice(
        &self,
        value: &Spanned<DeValue<'_>>,
        names: &'static [&'static str],
    ) -> Result<&'static str, Refusal> {
        let text = match value.get_ref() {
            // A choice may be not to have it.
            DeValue::Boolean(false) if names.contains(&"false") => return Ok("false"),
            _ => self.text(value)?,
        };
        let chosen = names.iter().copied().find(|name| *name == text && text != "false");
        chosen.ok_or_else(|| {
            let wanted = format!("one of {}", self.key.kind.range());
            let refusal = self.refuse(value, &format!("`{text}`"), &wanted);
            match nearest(text, names.iter().copied()) {
                Some(near) => refusal.help(format!("did you mean `{near}`?")),
                None => refusal,
            }
        })
    }

    fn duration(
        &self,
        value: &Spanned<DeValue<'_>>,
        min: Duration,
        max: Duration,
    ) -> Result<Duration, Refusal> {
        let text = value.get_ref().as_str().and_then(parse_duration);
        let duration = text.ok_or_else(|| {
            self.wrong_type(value, "a duration")
                .help("a number and a unit, for example \"5s\"; units: ms, s, m, h, d, w")
        })?;
        match (min..=max).contains(&duration) {
            true => Ok(duration),
            false => Err(self.out_of_range(value, &format_duration(duration))),
        }
    }

    fn duration_range(
        &self,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(Duration, Duration), Refusal> {
        let wrong = || {
            self.wrong_type(value, "two durations")
                .help("the shortest and the longest pause, for example \"5s 30s\"")
        };
        let text = value.get_ref().as_str().ok_or_else(wrong)?;
        let mut durations = text.split_whitespace().map(parse_duration);
        let min = durations.next().flatten().ok_or_else(wrong)?;
        let max = durations.next().map_or(Some(min), |longest| longest).ok_or_else(wrong)?;
        if durations.next().is_some() || min.is_zero() || max < min {
            return Err(wrong());
        }
        Ok((min, max))
    }

    fn size(&self, value: &Spanned<DeValue<'_>>, min: u64, max: u64) -> Result<u64, Refusal> {
        let bytes = match value.get_ref() {
            DeValue::Integer(_) => integer(value).and_then(|number| u64::try_from(number).ok()),
            DeValue::String(text) => parse_size(text),
            _ => None,
        };
        let bytes = bytes.ok_or_else(|| {
            self.wrong_type(value, "a size")
                .help("a number and a unit, for example \"64KB\"; units: B, KB, MB, GB")
        })?;
        match (min..=max).contains(&bytes) {
            true => Ok(bytes),
            false => Err(self.out_of_range(value, &format_size(bytes))),
        }
    }

    fn whole(&self, value: &Spanned<DeValue<'_>>, min: i64, max: i64) -> Result<i64, Refusal> {
        let number = integer(value).ok_or_else(|| self.wrong_type(value, "a whole number"))?;
        match (min..=max).contains(&number) {
            true => Ok(number),
            false => Err(self.out_of_range(value, &number.to_string())),
        }
    }

    fn mode(&self, value: &Spanned<DeValue<'_>>) -> Result<u32, Refusal> {
        let digits = value.get_ref().as_str().filter(|text| matches!(text.len(), 3 | 4));
        let digits = digits.filter(|text| text.bytes().all(|digit| digit.is_ascii_digit()));
        let mode = digits.and_then(|text| u32::from_str_radix(text, 8).ok());
        mode.filter(|mode| *mode <= 0o777).ok_or_else(|| {
            self.wrong_type(value, "permissions")
                .help("octal digits in a text, for example \"0660\" for owner and group")
        })
    }

    fn routes(&self, value: &Spanned<DeValue<'_>>) -> Result<Vec<Placed<RouteText>>, Vec<Refusal>> {
        let DeValue::Array(array) = value.get_ref() else {
            return Err(vec![self.wrong_type(value, "a list of tables")]);
        };
        let (routes, refusals): (Vec<_>, Vec<_>) =
            array.iter().map(|entry| self.route(entry)).partition(Result::is_ok);
        match refusals.is_empty() {
            true => Ok(routes.into_iter().flatten().collect()),
            false => Err(refusals.into_iter().filter_map(Result::err).flatten().collect()),
        }
    }

    fn route(&self, entry: &Spanned<DeValue<'_>>) -> Result<Placed<RouteText>, Vec<Refusal>> {
        let DeValue::Table(table) = entry.get_ref() else {
            return Err(vec![self.wrong_type(entry, "a table { from, to, qos }")]);
        };
        let mut refusals = Vec::new();
        let mut from = None;
        let mut to = Placed { value: "{topic}".to_owned(), span: entry.span() };
        let mut qos = 1;
        for (name, value) in table.iter() {
            let read = match name.get_ref().as_ref() {
                "from" => self.placed(value).map(|text| from = Some(text)),
                "qos" => self.whole(value, 0, 2).map(|number| qos = number as u8),
                "to" => self.placed(value).map(|text| to = text),
                other => Err(Refusal::new(
                    code::UNKNOWN,
                    name.span(),
                    format!("unknown key `{other}` in `{}`", self.key.name),
                    "no such key",
                )
                .help("the keys are `from`, `to` and `qos`")),
            };
            refusals.extend(read.err());
        }
        match from {
            Some(from) if refusals.is_empty() => {
                Ok(Placed { value: RouteText { from, to, qos }, span: entry.span() })
            }
            None if refusals.is_empty() => Err(vec![
                Refusal::new(
                    code::MISSING,
                    entry.span(),
                    "`from` is missing",
                    "needs a topic filter",
                )
                .help("for example { from = \"agg/#\", to = \"{topic}\", qos = 1 }"),
            ]),
            _ => Err(refusals),
        }
    }

    fn wrong_type(&self, value: &Spanned<DeValue<'_>>, wanted: &str) -> Refusal {
        let found = match value.get_ref() {
            DeValue::String(text) if !matches!(self.key.kind, Kind::Secret) => format!("`{text}`"),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
            DeValue::Integer(_) => "a number".to_owned(),
            other => format!("a {}", other.type_str()),
        };
        self.refuse(value, &found, wanted)
    }

    fn out_of_range(&self, value: &Spanned<DeValue<'_>>, found: &str) -> Refusal {
        Refusal::new(
            code::RANGE,
            value.span(),
            format!("`{}` cannot be {found}", self.key.name),
            format!("must be {}", self.key.kind.range()),
        )
    }

    fn refuse(&self, value: &Spanned<DeValue<'_>>, found: &str, wanted: &str) -> Refusal {
        Refusal::new(
            code::VALUE,
            value.span(),
            format!("`{}` cannot be {found}", self.key.name),
            format!("must be {wanted}"),
        )
    }
}

fn integer(value: &Spanned<DeValue<'_>>) -> Option<i64> {
    let integer = value.get_ref().as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}
