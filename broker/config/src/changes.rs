//! Which keys say something else than before, for a program that reads its file again: with both
//! values, unless they are secret.

use crate::declared::{Declared, Form, Key, Kind, Section};
use crate::tree::Tree;
use crate::values::{Value, Values};

/// A key that says something else than before.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The name of the table at the top that it is in; empty for the keys before the first one.
    pub section: &'static str,
    /// As it is written in the file, such as `limits.max_qos`.
    pub key: String,
    /// What it said; the default where it said nothing, and "not set" where there is none.
    pub before: String,
    /// What it says.
    pub after: String,
}

/// The keys whose values differ: first those of tables that stand once, then those of lists and
/// those of tables with names. Tables with a name that only one of them has are not told: what
/// becomes of them, the program knows better.
pub fn differences(before: &Tree, after: &Tree) -> Vec<Difference> {
    let declared = before.declared();
    let mut found = Found { declared, section: "", differences: Vec::new() };
    for values in before.tables() {
        found.section = values.section().name;
        found.table(found.section, values, after.table(values.section()));
    }
    for section in declared.sections {
        found.section = section.name;
        match section.form {
            Form::List => found.list(section, before.list(section), after.list(section)),
            Form::Named { .. } => {
                for (name, values) in before.named(section) {
                    let Some(now) = after.named(section).get(name) else { continue };
                    found.table(&format!("{}.{name}", section.name), values, now);
                }
            }
            _ => {}
        }
    }
    found.differences
}

struct Found {
    declared: &'static Declared,
    section: &'static str,
    differences: Vec<Difference>,
}

impl Found {
    /// Entries have no names: if one comes or goes, all of them may be others.
    fn list(&mut self, section: &Section, before: &[Values], after: &[Values]) {
        let name = self.declared.header(section, "NAME");
        if before.len() != after.len() {
            let entries = |list: &[Values]| match list.len() {
                1 => "1 entry".to_owned(),
                count => format!("{count} entries"),
            };
            return self.put(name, entries(before), entries(after));
        }
        for (number, (before, after)) in before.iter().zip(after).enumerate() {
            self.table(&format!("{name} {}:", number + 1), before, after);
        }
    }

    fn table(&mut self, place: &str, before: &Values, after: &Values) {
        for key in before.section().keys {
            let full = match (place.is_empty(), before.section().form) {
                (true, _) => key.name.to_owned(),
                (false, Form::List) => format!("{place} {}", key.name),
                (false, _) => format!("{place}.{}", key.name),
            };
            match (before.get(key.name), after.get(key.name)) {
                (Some(Value::Table(before)), Some(Value::Table(after))) => {
                    self.table(&full, &before, &after);
                }
                (before, after) if before != after => {
                    self.put(full, shown(key, before.as_ref()), shown(key, after.as_ref()));
                }
                _ => {}
            }
        }
    }

    fn put(&mut self, key: String, before: String, after: String) {
        self.differences.push(Difference { section: self.section, key, before, after });
    }
}

/// A value as somebody may read it who may read the log.
fn shown(key: &Key, value: Option<&Value>) -> String {
    match (key.kind, value) {
        (_, None) => "not set".to_owned(),
        (Kind::Secret, Some(_)) => "a secret".to_owned(),
        (Kind::Table(_), Some(_)) => "set".to_owned(),
        (_, Some(value)) => value.to_string(),
    }
}
