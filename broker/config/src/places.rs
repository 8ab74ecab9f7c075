//! Where the values of a configuration were written, to tell which line decides something.

use std::collections::BTreeMap;
use std::fmt;

use crate::declared::Form;
use crate::problem::{Origin, Source};
use crate::tree::Tree;
use crate::values::{Value, Values};

/// A line of a file, or something that went before the files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// The file, or the name of the source: of an option, or of a variable.
    pub file: String,
    /// From 1; none for what is no file.
    pub line: Option<usize>,
}

/// The places of all keys that were given, by what they are called in full: `store.durability`,
/// `upstream.cloud.topics`. An entry of a list has its number, from 0: `history[1]`,
/// `upstream.cloud.forward[0]`.
#[derive(Clone, Debug, Default)]
pub struct Places {
    by_key: BTreeMap<String, Place>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

impl Places {
    /// The places of what was laid down; the first `files` sources are files.
    pub fn of(tree: &Tree, sources: &[Source], files: usize) -> Self {
        let mut noted = Noted { places: Self::default(), sources, files };
        for values in tree.tables() {
            noted.table(values.section().name, values);
        }
        for section in tree.declared().sections {
            match section.form {
                Form::List => noted.tables(section.name, tree.list(section)),
                Form::Named { .. } => {
                    for (name, values) in tree.named(section) {
                        noted.table(&format!("{}.{name}", section.name), values);
                    }
                }
                Form::Table | Form::Top | Form::Within | Form::WithinList => {}
            }
        }
        noted.places
    }

    /// Notes a place by a name that is no key.
    pub fn insert(&mut self, name: String, place: Place) {
        self.by_key.insert(name, place);
    }

    /// The place of a key; none for one that has its default.
    pub fn get(&self, key: &str) -> Option<&Place> {
        self.by_key.get(key)
    }

    /// How many entries of a list have places.
    pub fn count(&self, key: &str) -> usize {
        (0..).take_while(|index| self.by_key.contains_key(&format!("{key}[{index}]"))).count()
    }
}

/// The places so far.
struct Noted<'a> {
    places: Places,
    sources: &'a [Source],
    files: usize,
}

impl Noted<'_> {
    fn tables(&mut self, name: &str, entries: &[Values]) {
        for (index, values) in entries.iter().enumerate() {
            self.table(&format!("{name}[{index}]"), values);
        }
    }

    fn table(&mut self, name: &str, values: &Values) {
        if let Some(header) = values.header() {
            self.note(name.to_owned(), header);
        }
        for key in values.section().keys {
            if let Some((value, origin)) = values.given(key.name) {
                let full =
                    if name.is_empty() { key.name.into() } else { [name, key.name].join(".") };
                self.value(full, value, origin);
            }
        }
    }

    fn value(&mut self, name: String, value: &Value, origin: &Origin) {
        match value {
            Value::List(all) => {
                for (index, placed) in all.iter().enumerate() {
                    let origin = Origin { source: origin.source, span: placed.span.clone() };
                    self.value(format!("{name}[{index}]"), &placed.value, &origin);
                }
            }
            Value::Table(inner) => self.table(&name, inner),
            Value::Tables(entries) => self.tables(&name, entries),
            _ => {}
        }
        self.note(name, origin);
    }

    fn note(&mut self, key: String, origin: &Origin) {
        let source = &self.sources[origin.source];
        let before = source.text.get(..origin.span.start).unwrap_or_default();
        let line = (origin.source < self.files).then(|| before.matches('\n').count() + 1);
        self.places.insert(key, Place { file: source.name.display().to_string(), line });
    }
}
