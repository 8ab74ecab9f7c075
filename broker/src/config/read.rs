//! The reading of a value by the declaration of its key: type, unit and range.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use toml::{Spanned, de::DeValue};
use weir_rules::nearest;

use super::{
    HostPort, HostPortError, HttpUrl, HttpUrlError,
    key::{Key, Kind, Placed, Refusal, RouteText, Value, code},
    unit::{format_duration, format_size, parse_duration, parse_size},
};

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
            Kind::Choices(names) => match self
                .each(value, |reader, one| reader.choice(one, names))?
            {
                none if none.is_empty() => {
                    return Err(one(self.refuse(value, "an empty list", "at least one of them")));
                }
                chosen => Value::Choices(chosen),
            },
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
            Kind::Urls => match self.each(value, Self::url)? {
                none if none.is_empty() => {
                    return Err(one(self.refuse(value, "an empty list", "at least one address")));
                }
                urls => Value::Urls(urls),
            },
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

    fn url(&self, value: &Spanned<DeValue<'_>>) -> Result<HttpUrl, Refusal> {
        let text = self.text(value)?;
        text.parse().map_err(|reason: HttpUrlError| {
            // What stands before an `@` may be a password.
            let shown = if text.contains('@') { "it" } else { text };
            let message = format!("`{shown}` is not an address of a service");
            Refusal::new(code::VALUE, value.span(), message, reason.to_string())
                .help("for example \"http://127.0.0.1:8080/mqtt\"")
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
