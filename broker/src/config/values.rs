//! The values of one table: what its sources gave, the declared default for the rest. The typed
//! getters are for keys that are declared with that form; asking otherwise is a mistake in this
//! program and panics in the tests of the defaults.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use toml::de::DeValue;

use super::{
    HostPort, HttpUrl,
    key::{Initial, Key, Section, Value},
};

/// A place in one of the sources, by its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) source: usize,
    pub(crate) span: Range<usize>,
}

/// The values of one table.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    section: &'static Section,
    given: BTreeMap<&'static str, (Value, Origin)>,
    header: Option<Origin>,
    /// Keys whose value was refused: they hold their default, but are not missing.
    refused: BTreeSet<&'static str>,
}

/// Whether they mean the same, wherever it is written, or left out as the default.
impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        let is_same = |key: &Key| self.get(key.name) == other.get(key.name);
        self.section.name == other.section.name && self.section.keys.iter().all(is_same)
    }
}

impl Values {
    pub(crate) fn new(section: &'static Section) -> Self {
        Self { section, given: BTreeMap::new(), header: None, refused: BTreeSet::new() }
    }

    /// A later source goes before an earlier one.
    pub(crate) fn insert(&mut self, key: &'static Key, value: Value, origin: Origin) {
        self.given.insert(key.name, (value, origin));
    }

    pub(crate) fn refuse(&mut self, key: &'static Key) {
        self.refused.insert(key.name);
    }

    /// Whether no source had a value for the key, not even a wrong one.
    pub(crate) fn is_missing(&self, name: &str) -> bool {
        !self.given.contains_key(name) && !self.refused.contains(name)
    }

    /// Notes where the table was begun; the first source counts.
    pub(crate) fn place(&mut self, header: Origin) {
        self.header.get_or_insert(header);
    }

    /// Where the table was begun.
    pub(crate) fn header(&self) -> Option<&Origin> {
        self.header.as_ref()
    }

    pub(crate) fn section(&self) -> &'static Section {
        self.section
    }

    /// Where the value was given, if it was.
    pub(crate) fn origin(&self, name: &str) -> Option<&Origin> {
        self.given.get(name).map(|(_, origin)| origin)
    }

    /// The value and its place, if it was given.
    pub(crate) fn given(&self, name: &str) -> Option<(Value, Origin)> {
        self.given.get(name).cloned()
    }

    /// The value that was given or the declared default; `None` where the default is no value.
    pub(crate) fn get(&self, name: &str) -> Option<Value> {
        if let Some((value, _)) = self.given.get(name) {
            return Some(value.clone());
        }
        let key = self.key(name);
        let Initial::Default(text) = key.initial else {
            return None;
        };
        let value = DeValue::parse(text).expect("declared defaults are TOML");
        Some(key.read(&value, Path::new("")).expect("declared defaults are in range"))
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        match self.get(name) {
            Some(Value::Flag(flag)) => flag,
            _ => self.declared_otherwise(name),
        }
    }

    /// A whole number; the declared range must fit the type.
    pub(crate) fn whole<T: TryFrom<i64>>(&self, name: &str) -> T {
        match self.get(name) {
            Some(Value::Whole(number)) => {
                T::try_from(number).unwrap_or_else(|_| self.declared_otherwise(name))
            }
            _ => self.declared_otherwise(name),
        }
    }

    pub(crate) fn size(&self, name: &str) -> u64 {
        match self.get(name) {
            Some(Value::Size(bytes)) => bytes,
            _ => self.declared_otherwise(name),
        }
    }

    /// What `read` makes of a key that may be left out; `None` when it is.
    pub(crate) fn optional<T>(&self, name: &str, read: impl FnOnce(&Self, &str) -> T) -> Option<T> {
        self.get(name).map(|_| read(self, name))
    }

    /// A size that is declared below 4 GB.
    pub(crate) fn small_size(&self, name: &str) -> u32 {
        u32::try_from(self.size(name)).expect("declared below 4 GB")
    }

    pub(crate) fn duration(&self, name: &str) -> Duration {
        match self.get(name) {
            Some(Value::Duration(duration)) => duration,
            _ => self.declared_otherwise(name),
        }
    }

    pub(crate) fn duration_range(&self, name: &str) -> (Duration, Duration) {
        match self.get(name) {
            Some(Value::DurationRange(min, max)) => (min, max),
            _ => self.declared_otherwise(name),
        }
    }

    pub(crate) fn choice(&self, name: &str) -> &'static str {
        match self.get(name) {
            Some(Value::Choice(chosen)) => chosen,
            _ => self.declared_otherwise(name),
        }
    }

    pub(crate) fn choices(&self, name: &str) -> Vec<&'static str> {
        match self.get(name) {
            Some(Value::Choices(chosen)) => chosen,
            _ => self.declared_otherwise(name),
        }
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            _ => self.declared_otherwise(name),
        }
    }

    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        match self.get(name)? {
            Value::Path(path) => Some(path),
            _ => self.declared_otherwise(name),
        }
    }

    pub(crate) fn mode(&self, name: &str) -> u32 {
        match self.get(name) {
            Some(Value::Mode(mode)) => mode,
            _ => self.declared_otherwise(name),
        }
    }

    /// The values of a table in this one, if it was given.
    pub(crate) fn table(&self, name: &str) -> Option<&Values> {
        match self.given.get(name) {
            None => None,
            Some((Value::Table(values), _)) => Some(values),
            Some(_) => self.declared_otherwise(name),
        }
    }

    pub(crate) fn address(&self, name: &str) -> Option<HostPort> {
        match self.get(name)? {
            Value::Address(address) => Some(address),
            _ => self.declared_otherwise(name),
        }
    }

    pub(crate) fn addresses(&self, name: &str) -> Vec<HostPort> {
        match self.get(name) {
            Some(Value::Addresses(addresses)) => addresses,
            None => Vec::new(),
            _ => self.declared_otherwise(name),
        }
    }

    pub(crate) fn urls(&self, name: &str) -> Vec<HttpUrl> {
        match self.get(name) {
            Some(Value::Urls(urls)) => urls,
            None => Vec::new(),
            _ => self.declared_otherwise(name),
        }
    }

    fn key(&self, name: &str) -> &'static Key {
        let mut keys = self.section.keys.iter();
        keys.find(|key| key.name == name).unwrap_or_else(|| self.declared_otherwise(name))
    }

    fn declared_otherwise(&self, name: &str) -> ! {
        panic!("`{name}` of [{}] is not declared with the form it is used with", self.section.name)
    }
}
