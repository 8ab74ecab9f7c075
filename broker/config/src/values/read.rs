//! The reading of a value by the declaration of its key: type, unit and range.

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Placed, Value};
use crate::credential::credential_file;
use crate::declared::{Codes, Context, Given, Key, Kind, Limits, integer};
use crate::diagnostic::nearest;
use crate::problem::Refusal;
use crate::unit::{format_duration, format_size, parse_duration, parse_size};

impl Key {
    /// Reads a value that is no table with keys of its own.
    pub(crate) fn read(
        &self,
        value: &Spanned<DeValue<'_>>,
        context: Context<'_>,
    ) -> Result<Value, Vec<Refusal>> {
        Given { key: self, kind: &self.kind, value, context }.read()
    }

    /// Reads a text of the declaration itself.
    pub(crate) fn read_declared(&self, text: &str) -> Value {
        const NONE: &str = "";
        let codes = Codes {
            not_toml: NONE,
            unknown: NONE,
            value: NONE,
            range: NONE,
            missing: NONE,
            limit: NONE,
            later: NONE,
        };
        let limits = Limits { text_bytes: usize::MAX, elements: usize::MAX, entries: usize::MAX };
        let folder = Path::new("");
        let context = Context { codes: &codes, limits: &limits, service: NONE, folder };
        let value = DeValue::parse(text).expect("what is declared is TOML");
        self.read(&value, context).expect("what is declared is in its range")
    }
}

impl Given<'_> {
    fn read(&self) -> Result<Value, Vec<Refusal>> {
        match self.kind {
            Kind::List { of, least } => self.list(of, *least).map(Value::List),
            _ => self.one().map_err(|refusal| vec![refusal]),
        }
    }

    fn one(&self) -> Result<Value, Refusal> {
        Ok(match self.kind {
            Kind::Bounds(_) => Value::Bounds(self.bounds()?),
            Kind::Choice(words) => Value::Choice(self.choice(words)?),
            Kind::Duration { min, max } => Value::Duration(self.duration(*min, *max)?),
            Kind::Flag => match self.value.get_ref() {
                DeValue::Boolean(flag) => Value::Flag(*flag),
                _ => return Err(self.wrong_type("true or false")),
            },
            Kind::Glob => Value::Path(self.context.folder.join(self.text()?)),
            Kind::Notation(notation) => Value::Text((notation.read)(self)?),
            Kind::Number { min, max, .. } => Value::Number(self.number(*min, *max)?),
            Kind::Numbers(_) => Value::Numbers(self.numbers()?),
            Kind::Path => Value::Path(self.path()?),
            Kind::Seconds { min, max } => {
                Value::Duration(Duration::from_secs_f64(self.number(*min, *max)?))
            }
            Kind::Secret | Kind::Text => Value::Text(self.text()?.to_owned()),
            Kind::Size { min, max } => Value::Size(self.size(*min, *max)?),
            Kind::List { .. } | Kind::Table(_) | Kind::Tables(_) => {
                unreachable!("`{}` has a kind that is not read as one value", self.key.name)
            }
            Kind::Whole { min, max, .. } => Value::Whole(self.whole(*min, *max)?),
        })
    }

    /// A list, or one element without its brackets. Every wrong element is told.
    fn list(&self, of: &Kind, least: usize) -> Result<Vec<Placed<Value>>, Vec<Refusal>> {
        let read = |value| {
            let element = Given { kind: of, value, ..*self };
            element.one().map(|read| Placed { value: read, span: value.span() })
        };
        let DeValue::Array(array) = self.value.get_ref() else {
            return read(self.value).map(|one| vec![one]).map_err(|refusal| vec![refusal]);
        };
        let limit = self.context.limits.elements;
        if array.len() < least {
            return Err(vec![self.refuse("an empty list", "one element or more")]);
        }
        if array.len() > limit {
            let found = format!("a list of {}", array.len());
            return Err(vec![self.refuse(&found, &format!("{limit} elements or fewer"))]);
        }
        let mut refusals = Vec::new();
        let mut list = Vec::new();
        for element in array.iter() {
            match read(element) {
                Ok(element) => list.push(element),
                Err(refusal) => refusals.push(refusal),
            }
        }
        if refusals.is_empty() { Ok(list) } else { Err(refusals) }
    }

    /// A file, or a secret of the service manager.
    fn path(&self) -> Result<PathBuf, Refusal> {
        let text = self.text()?;
        match credential_file(text, self.context.service) {
            Ok(found) => Ok(found.unwrap_or_else(|| self.context.folder.join(text))),
            Err(wanted) => Err(self.refuse(&format!("`{text}`"), "a credential").help(wanted)),
        }
    }

    fn choice(&self, words: &'static [&'static str]) -> Result<&'static str, Refusal> {
        let text = match self.value.get_ref() {
            // A choice may be not to have it.
            DeValue::Boolean(false) if words.contains(&"false") => return Ok("false"),
            DeValue::String(text) => text,
            _ => return Err(self.wrong_type(&format!("one of {}", self.kind.range()))),
        };
        let chosen = words.iter().copied().find(|word| *word == text && text != "false");
        chosen.ok_or_else(|| {
            let refusal =
                self.refuse(&format!("`{text}`"), &format!("one of {}", self.kind.range()));
            match nearest(text, words.iter().copied()) {
                Some(near) => refusal.help(format!("did you mean `{near}`?")),
                None => refusal,
            }
        })
    }

    fn duration(&self, min: Duration, max: Duration) -> Result<Duration, Refusal> {
        let duration = self.value.get_ref().as_str().and_then(parse_duration);
        let duration = duration.ok_or_else(|| {
            self.wrong_type("a duration")
                .help("a number and a unit, for example \"5s\"; units: ms, s, m, h, d, w")
        })?;
        match (min..=max).contains(&duration) {
            true => Ok(duration),
            false => Err(self.out_of_range(&format_duration(duration))),
        }
    }

    fn size(&self, min: u64, max: u64) -> Result<u64, Refusal> {
        let bytes = match self.value.get_ref() {
            DeValue::Integer(_) => integer(self.value).and_then(|bytes| u64::try_from(bytes).ok()),
            DeValue::String(text) => parse_size(text),
            _ => None,
        };
        let bytes = bytes.ok_or_else(|| {
            self.wrong_type("a size")
                .help("a number and a unit, for example \"64KB\"; units: B, KB, MB, GB")
        })?;
        match (min..=max).contains(&bytes) {
            true => Ok(bytes),
            false => Err(self.out_of_range(&format_size(bytes))),
        }
    }

    fn number(&self, min: f64, max: f64) -> Result<f64, Refusal> {
        let number = decimal(self.value).ok_or_else(|| self.wrong_type("a number"))?;
        match (min..=max).contains(&number) {
            true => Ok(number),
            false => Err(self.out_of_range(&number.to_string())),
        }
    }

    fn numbers(&self) -> Result<Vec<(String, f64)>, Refusal> {
        let entry = |(name, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            let number = decimal(value).filter(|number| number.is_finite());
            match number {
                Some(number) => Ok((name_of(name), number)),
                None => Err(Given { value, ..*self }.wrong_type("a number")),
            }
        };
        self.table()?.iter().map(entry).collect()
    }

    fn bounds(&self) -> Result<Vec<(String, f64, f64)>, Refusal> {
        let entry = |(name, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            let ends = value.get_ref().as_array();
            let ends = ends.map(|ends| ends.iter().map(decimal).collect::<Vec<_>>());
            match ends.as_deref() {
                Some([Some(min), Some(max)]) if min < max => Ok((name_of(name), *min, *max)),
                _ => Err(Given { value, ..*self }.wrong_type("two numbers: [least, greatest]")),
            }
        };
        self.table()?.iter().map(entry).collect()
    }

    fn table(&self) -> Result<&DeTable<'_>, Refusal> {
        match self.value.get_ref() {
            DeValue::Table(table) if table.len() <= self.context.limits.elements => Ok(table),
            _ => Err(self.wrong_type(&self.kind.range())),
        }
    }
}

fn name_of(name: &Spanned<std::borrow::Cow<'_, str>>) -> String {
    name.get_ref().to_string()
}

/// A number with or without a fraction.
fn decimal(value: &Spanned<DeValue<'_>>) -> Option<f64> {
    match value.get_ref() {
        DeValue::Float(float) => float.as_str().parse().ok(),
        // Configured numbers are far below 2^53.
        _ => integer(value).map(|whole| whole as f64),
    }
}
