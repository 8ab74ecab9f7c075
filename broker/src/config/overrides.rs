//! Values from outside the file: `--set section.key=value` and `WEIR_SECTION__KEY=value`. A value
//! is TOML where it can be and text otherwise, so that neither needs quotes within quotes.

use std::{ops::Range, path::PathBuf};

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use super::{
    declared,
    key::{Kind, Refusal, code},
    problem::{Problems, Source, did_you_mean},
    tree::Tree,
};

/// Values that go before those of the file; `set` goes before `environment`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Variables of the environment; those that do not start with `WEIR_` are ignored.
    pub environment: Vec<(String, String)>,
    /// Texts of the form `section.key=value`.
    pub set: Vec<String>,
}

/// A key path and a value in one text.
struct Assignment<'a> {
    path: Vec<(String, Range<usize>)>,
    value: &'a str,
    value_start: usize,
}

const PREFIX: &str = "WEIR_";

/// The key of the value when it is parsed by itself.
const STAND_IN: &str = "x=";

/// Read by the logging, not by the configuration.
const LOG_VARIABLE: &str = "WEIR_LOG";

impl Overrides {
    /// The overrides of this process: its environment and the given assignments.
    pub fn of_process(set: Vec<String>) -> Self {
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self { environment: environment.collect(), set }
    }

    /// Lays all of them over the tree.
    pub(crate) fn lay(&self, tree: &mut Tree, sources: &mut Vec<Source>, problems: &mut Problems) {
        let mut variables: Vec<_> = self.environment.iter().filter(|(n, _)| is_ours(n)).collect();
        variables.sort();
        for (name, value) in variables {
            let number = push(sources, "environment", format!("{name}={value}"));
            lay_variable(tree, number, name, value, problems);
        }
        for text in &self.set {
            let number = push(sources, "--set", text.clone());
            lay_set(tree, number, text, problems);
        }
    }
}

fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX) && name != LOG_VARIABLE
}

fn push(sources: &mut Vec<Source>, name: &str, text: String) -> usize {
    sources.push(Source { name: PathBuf::from(name), text, folder: PathBuf::new() });
    sources.len() - 1
}

fn lay_variable(tree: &mut Tree, source: usize, name: &str, value: &str, problems: &mut Problems) {
    let mut path = Vec::new();
    let mut start = PREFIX.len();
    for part in name[PREFIX.len()..].split("__") {
        path.push((part.to_ascii_lowercase(), start..start + part.len()));
        start += part.len() + "__".len();
    }
    // A container host sets variables such as WEIR_PORT for a service of this name, so that an
    // unknown one without a section is not for certain a mistake of the operator.
    if let [(key, span)] = path.as_slice()
        && !declared::TOP.keys.iter().any(|known| known.name == key)
    {
        let known = declared::TOP.keys.iter().map(|key| key.name);
        let message = format!("`{name}` is not used");
        let refusal = Refusal::new(code::UNKNOWN, span.clone(), message, "no such key");
        return problems.warn(source, refusal.help(did_you_mean(key, known)));
    }
    Assignment { path, value, value_start: name.len() + 1 }.lay(tree, source, problems);
}

fn lay_set(tree: &mut Tree, source: usize, text: &str, problems: &mut Problems) {
    let Some((left, value)) = text.split_once('=') else {
        let refusal =
            Refusal::new(code::VALUE, 0..text.len(), "`--set` needs a value", "no `=` in it");
        return problems.refuse(source, refusal.help("for example --set log.level=debug"));
    };
    let mut path = Vec::new();
    let mut start = 0;
    for part in left.split('.') {
        let blank = part.len() - part.trim_start().len();
        let span = start + blank..start + blank + part.trim().len();
        path.push((part.trim().to_owned(), span));
        start += part.len() + 1;
    }
    Assignment { path, value, value_start: left.len() + 1 }.lay(tree, source, problems);
}

impl Assignment<'_> {
    fn lay(self, tree: &mut Tree, source: usize, problems: &mut Problems) {
        // Blanks in front keep the places right in what the parser says.
        let blanks = self.value_start.saturating_sub(STAND_IN.len());
        let document = format!("{}{STAND_IN}{}", " ".repeat(blanks), self.value);
        let value = self.value(&document);
        let mut path = self.path.into_iter().rev();
        let (name, span) = path.next().expect("a split has at least one part");
        let mut table = table_of(name, span, value);
        for (name, span) in path {
            table = table_of(name, span.clone(), Spanned::new(span, DeValue::Table(table)));
        }
        tree.lay(&table, source, "".as_ref(), problems);
    }

    fn value<'d>(&self, document: &'d str) -> Spanned<DeValue<'d>> {
        let text = &document[document.len() - self.value.len()..];
        let span = self.value_start..self.value_start + text.len();
        let as_text = Spanned::new(span, DeValue::String(text.into()));
        let quoted = text.trim_start().starts_with(['"', '\'', '[', '{']);
        if self.takes_text() && !quoted {
            return as_text;
        }
        match DeTable::parse(document).map(|table| table.into_inner().into_iter().next()) {
            Ok(Some((_, value))) => value,
            _ => as_text,
        }
    }

    /// A password of digits is a text and not a number.
    fn takes_text(&self) -> bool {
        let Some((name, _)) = self.path.last() else { return false };
        let section = if self.path.len() == 1 { "" } else { self.path[0].0.as_str() };
        declared::find(section, name)
            .is_some_and(|key| matches!(key.kind, Kind::Path | Kind::Secret | Kind::Text))
    }
}

fn table_of<'v>(name: String, span: Range<usize>, value: Spanned<DeValue<'v>>) -> DeTable<'v> {
    let mut table = DeTable::new();
    table.insert(Spanned::new(span, DeString::from(name)), value);
    table
}
