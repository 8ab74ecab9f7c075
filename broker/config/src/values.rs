//! The values of one table: what its sources gave, the declared default for the rest.
//!
//! The typed getters are for keys that are declared with that form, and always have a value;
//! [`Values::optional`] is for those that may have none. Asking otherwise is a mistake of the
//! program and panics.

mod read;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::slice;
use std::str::FromStr;
use std::time::Duration;

pub use value::{Placed, Value};

use crate::declared::{Codes, Initial, Key, Section};
use crate::problem::{Origin, Problems, Refusal};

/// The values of one table.
#[derive(Clone, Debug)]
pub struct Values {
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
    /// A table of which nothing was said.
    pub fn new(section: &'static Section) -> Self {
        Self { section, given: BTreeMap::new(), header: None, refused: BTreeSet::new() }
    }

    /// A later source goes before an earlier one.
    pub(crate) fn insert(&mut self, key: &'static Key, value: Value, origin: Origin) {
        self.given.insert(key.name, (value, origin));
    }

    pub(crate) fn refuse(&mut self, key: &'static Key) {
        self.refused.insert(key.name);
    }

    /// Notes where the table was begun; the first source counts.
    pub(crate) fn begin(&mut self, header: Origin) {
        self.header.get_or_insert(header);
    }

    /// Its declaration.
    pub fn section(&self) -> &'static Section {
        self.section
    }

    /// Where the table was begun.
    pub fn header(&self) -> Option<&Origin> {
        self.header.as_ref()
    }

    /// Whether no source had a value for the key, not even a wrong one.
    pub fn is_missing(&self, name: &str) -> bool {
        !self.given.contains_key(name) && !self.refused.contains(name)
    }

    /// Whether a source had a value for the key that can be used.
    pub fn is_given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// Where the value was given, if it was.
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        self.given.get(name).map(|(_, origin)| origin)
    }

    /// Where the value was given, or else where the table was begun.
    pub fn place(&self, name: &str) -> Origin {
        self.origin(name).or(self.header()).cloned().unwrap_or_default()
    }

    /// The value and its place, if it was given.
    pub fn given(&self, name: &str) -> Option<(&Value, &Origin)> {
        self.given.get(name).map(|(value, origin)| (value, origin))
    }

    /// The value that was given or the declared default; `None` where there is neither.
    pub fn get(&self, name: &str) -> Option<Value> {
        if let Some((value, _)) = self.given.get(name) {
            return Some(value.clone());
        }
        match self.key(name).initial {
            Initial::Default(text) => Some(self.key(name).read_declared(text)),
            Initial::Required { .. } | Initial::Unset { .. } => None,
        }
    }

    /// What `read` makes of a key that may be left out; `None` when it is.
    pub fn optional<T>(&self, name: &str, read: impl FnOnce(&Self, &str) -> T) -> Option<T> {
        self.get(name).map(|_| read(self, name))
    }

    /// A truth value.
    pub fn flag(&self, name: &str) -> bool {
        match self.some(name) {
            Value::Flag(flag) => flag,
            _ => self.declared_otherwise(name),
        }
    }

    /// A whole number; the declared range must fit the type.
    pub fn whole<T: TryFrom<i64>>(&self, name: &str) -> T {
        match self.some(name) {
            Value::Whole(number) => {
                T::try_from(number).unwrap_or_else(|_| self.declared_otherwise(name))
            }
            _ => self.declared_otherwise(name),
        }
    }

    /// A number.
    pub fn number(&self, name: &str) -> f64 {
        match self.some(name) {
            Value::Number(number) => number,
            _ => self.declared_otherwise(name),
        }
    }

    /// A number of bytes.
    pub fn size(&self, name: &str) -> u64 {
        match self.some(name) {
            Value::Size(bytes) => bytes,
            _ => self.declared_otherwise(name),
        }
    }

    /// A size that is declared below 4 GB.
    pub fn small_size(&self, name: &str) -> u32 {
        u32::try_from(self.size(name)).expect("declared below 4 GB")
    }

    /// A duration, also one in seconds.
    pub fn duration(&self, name: &str) -> Duration {
        match self.some(name) {
            Value::Duration(duration) => duration,
            _ => self.declared_otherwise(name),
        }
    }

    /// One of the declared words.
    pub fn choice(&self, name: &str) -> &'static str {
        match self.some(name) {
            Value::Choice(word) => word,
            _ => self.declared_otherwise(name),
        }
    }

    /// Some of the declared words.
    pub fn choices(&self, name: &str) -> Vec<&'static str> {
        let word = |value| match value {
            Value::Choice(word) => word,
            _ => self.declared_otherwise(name),
        };
        self.list(name).into_iter().map(|placed| word(placed.value)).collect()
    }

    /// A text, also a secret or one of a notation.
    pub fn text(&self, name: &str) -> String {
        match self.some(name) {
            Value::Text(text) => text,
            _ => self.declared_otherwise(name),
        }
    }

    /// The texts of a list; none if the key has no value.
    pub fn texts(&self, name: &str) -> Vec<String> {
        self.placed_texts(name).into_iter().map(|placed| placed.value).collect()
    }

    /// The texts of a list with their places.
    pub fn placed_texts(&self, name: &str) -> Vec<Placed<String>> {
        let text = |value| match value {
            Value::Text(text) => text,
            _ => self.declared_otherwise(name),
        };
        self.list(name).into_iter().map(|placed| placed.map(text)).collect()
    }

    /// What a text stands for; its notation takes only those that can be parsed.
    pub fn parsed<T: FromStr>(&self, name: &str) -> T {
        self.text(name).parse().unwrap_or_else(|_| self.declared_otherwise(name))
    }

    /// What the texts of a list stand for.
    pub fn all_parsed<T: FromStr>(&self, name: &str) -> Vec<T> {
        let parse = |text: String| text.parse().unwrap_or_else(|_| self.declared_otherwise(name));
        self.texts(name).into_iter().map(parse).collect()
    }

    /// A file or a directory.
    pub fn path(&self, name: &str) -> PathBuf {
        match self.some(name) {
            Value::Path(path) => path,
            _ => self.declared_otherwise(name),
        }
    }

    /// The files of a list with their places; none if the key has no value.
    pub fn placed_paths(&self, name: &str) -> Vec<Placed<PathBuf>> {
        let path = |value| match value {
            Value::Path(path) => path,
            _ => self.declared_otherwise(name),
        };
        self.list(name).into_iter().map(|placed| placed.map(path)).collect()
    }

    /// Names, each with a least and a greatest number; none if the key has no value.
    pub fn bounds(&self, name: &str) -> Vec<(String, f64, f64)> {
        match self.get(name) {
            None => Vec::new(),
            Some(Value::Bounds(bounds)) => bounds,
            Some(_) => self.declared_otherwise(name),
        }
    }

    /// Names, each with a number; none if the key has no value.
    pub fn numbers(&self, name: &str) -> Vec<(String, f64)> {
        match self.get(name) {
            None => Vec::new(),
            Some(Value::Numbers(numbers)) => numbers,
            Some(_) => self.declared_otherwise(name),
        }
    }

    /// The table that is the value of a key, if it was given.
    pub fn table(&self, name: &str) -> Option<&Values> {
        match self.given(name)? {
            (Value::Table(values), _) => Some(values),
            _ => self.declared_otherwise(name),
        }
    }

    /// The tables that are the value of a key; none if it was not given.
    pub fn tables(&self, name: &str) -> &[Values] {
        match self.given(name) {
            None => &[],
            Some((Value::Tables(tables), _)) => tables,
            Some(_) => self.declared_otherwise(name),
        }
    }

    /// The tables that are values of its keys.
    pub(crate) fn within(&self) -> impl Iterator<Item = &Values> {
        self.given.values().flat_map(|(value, _)| match value {
            Value::Table(values) => slice::from_ref(&**values),
            Value::Tables(tables) => tables,
            _ => &[],
        })
    }

    /// Refuses the table for each key that it must have and has not.
    pub(crate) fn refuse_missing(&self, codes: &Codes, problems: &mut Problems) {
        for key in self.section.keys {
            if let Initial::Required { example } = key.initial
                && self.is_missing(key.name)
            {
                self.refuse_without(key.name, example, codes, problems);
            }
        }
        self.within().for_each(|values| values.refuse_missing(codes, problems));
    }

    fn refuse_without(&self, name: &str, example: &str, codes: &Codes, problems: &mut Problems) {
        // A table without a header had a problem of its own.
        let Some(Origin { source, span }) = self.header.clone() else { return };
        let message = format!("`{name}` is missing");
        let refusal = Refusal::new(codes.missing, span, message, format!("needs `{name}`"));
        problems.refuse(source, refusal.help(format!("for example {name} = {example}")));
    }

    fn list(&self, name: &str) -> Vec<Placed<Value>> {
        match self.get(name) {
            None => Vec::new(),
            Some(Value::List(list)) => list,
            Some(_) => self.declared_otherwise(name),
        }
    }

    /// The value of a key that must have one. Without it reading has failed; the example that
    /// stands in finds further problems until that is told.
    fn some(&self, name: &str) -> Value {
        let value = self.get(name).or_else(|| match self.key(name).initial {
            Initial::Required { example } => Some(self.key(name).read_declared(example)),
            Initial::Default(_) | Initial::Unset { .. } => None,
        });
        value.unwrap_or_else(|| self.declared_otherwise(name))
    }

    fn key(&self, name: &str) -> &'static Key {
        self.section.key(name).unwrap_or_else(|| self.declared_otherwise(name))
    }

    fn declared_otherwise(&self, name: &str) -> ! {
        panic!("`{name}` of [{}] is not declared with the form it is used with", self.section.name)
    }
}
