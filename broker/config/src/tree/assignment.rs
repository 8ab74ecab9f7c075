//! One value by its name, from an argument or a variable of the environment. It is TOML where it
//! can be and text otherwise, so that neither needs quotes within quotes.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::Tree;
use crate::declared::{Declared, Form, Kind};
use crate::problem::{Problems, Source};

/// A key and a value in the text of a source.
#[derive(Debug)]
pub struct Assignment<'a> {
    /// The names of the tables and at the end the one of the key, each with its place.
    pub path: Vec<(String, Range<usize>)>,
    /// The value as it is written.
    pub value: &'a str,
    /// Where it begins.
    pub value_start: usize,
}

impl Tree {
    /// Lays one value over what is there; `number` is that of its source in messages. A path
    /// without a name says nothing.
    pub fn assign(
        &mut self,
        number: usize,
        source: &Source,
        assignment: Assignment<'_>,
        problems: &mut Problems,
    ) {
        // Blanks in front keep the places right in what the parser says.
        let blanks = assignment.value_start.saturating_sub(STAND_IN.len());
        let document = format!("{}{STAND_IN}{}", " ".repeat(blanks), assignment.value);
        let value = assignment.value(self.declared, &document);
        let mut path = assignment.path.into_iter().rev();
        let Some((name, span)) = path.next() else { return };
        let mut table = table_of(name, span, value);
        for (name, span) in path {
            table = table_of(name, span.clone(), Spanned::new(span, DeValue::Table(table)));
        }
        self.lay_table(number, &table, source, problems);
    }
}

impl Assignment<'_> {
    fn value<'d>(&self, declared: &Declared, document: &'d str) -> Spanned<DeValue<'d>> {
        let text = &document[document.len() - self.value.len()..];
        let span = self.value_start..self.value_start + text.len();
        let as_text = Spanned::new(span, DeValue::String(text.into()));
        let quoted = text.trim_start().starts_with(['"', '\'', '[', '{']);
        if self.takes_text(declared) && !quoted {
            return as_text;
        }
        match DeTable::parse(document).map(|table| table.into_inner().into_iter().next()) {
            Ok(Some((_, value))) => value,
            _ => as_text,
        }
    }

    /// A password of digits is a text and not a number.
    fn takes_text(&self, declared: &Declared) -> bool {
        let Some(((name, _), tables)) = self.path.split_last() else { return false };
        let mut tables: Vec<&str> = tables.iter().map(|(name, _)| name.as_str()).collect();
        let first = tables.first().and_then(|first| declared.section(first));
        if tables.len() > 1 && first.is_some_and(|one| matches!(one.form, Form::Named { .. })) {
            tables.remove(1);
        }
        let key = declared.key(&tables.join("."), name);
        key.is_some_and(|key| matches!(key.kind, Kind::Path | Kind::Secret | Kind::Text))
    }
}

fn table_of<'v>(name: String, span: Range<usize>, value: Spanned<DeValue<'v>>) -> DeTable<'v> {
    let mut table = DeTable::new();
    table.insert(Spanned::new(span, DeString::from(name)), value);
    table
}

/// The key of the value when it is parsed by itself.
const STAND_IN: &str = "x=";
