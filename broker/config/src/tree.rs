//! The tables of all sources laid over each other, every value read by its declaration. What is
//! not declared is refused here, with the nearest name that is.

mod assignment;
mod unknown;

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

pub use assignment::Assignment;

use crate::declared::{Context, Declared, Form, Key, Kind, Section};
use crate::problem::{Origin, Problems, Refusal, Source};
use crate::values::{Value, Values};

/// What the sources said.
#[derive(Debug)]
pub struct Tree {
    declared: &'static Declared,
    /// The tables that stand once, by name.
    tables: BTreeMap<&'static str, Values>,
    /// Only those that a source had.
    lists: BTreeMap<&'static str, List>,
    named: BTreeMap<&'static str, BTreeMap<String, Values>>,
}

#[derive(Debug)]
struct List {
    entries: Vec<Values>,
    at: Origin,
}

impl Tree {
    /// A tree of which no source has said anything.
    pub fn new(declared: &'static Declared) -> Self {
        let sections = declared.sections.iter().copied();
        let once = sections.clone().filter(|one| matches!(one.form, Form::Top | Form::Table));
        let named = sections.filter(|one| matches!(one.form, Form::Named { .. }));
        Self {
            declared,
            tables: once.map(|section| (section.name, Values::new(section))).collect(),
            lists: BTreeMap::new(),
            named: named.map(|section| (section.name, BTreeMap::new())).collect(),
        }
    }

    /// Lays a source over what is there; `number` is its number in messages. A text that is not
    /// TOML is not looked at any further: what follows from a lost bracket would only hide the
    /// cause.
    pub fn lay(&mut self, number: usize, source: &Source, problems: &mut Problems) {
        let (document, errors) = DeTable::parse_recoverable(&source.text);
        for error in &errors {
            let reason = error.message().lines().next().unwrap_or_default().to_owned();
            let span = error.span().unwrap_or_default();
            let code = self.declared.codes.not_toml;
            problems.refuse(number, Refusal::new(code, span, "this is not TOML", reason));
        }
        if errors.is_empty() {
            self.lay_table(number, document.get_ref(), source, problems);
        }
    }

    /// Refuses every entry of a list, and every table with a name, that has not what it must have.
    /// To be called once, when all sources are laid.
    pub fn check_required(&self, problems: &mut Problems) {
        let lists = self.lists.values().flat_map(|list| &list.entries);
        let named = self.named.values().flat_map(BTreeMap::values);
        // A table that stands once may be empty; those within it are there on purpose.
        let once = self.tables.values().flat_map(Values::within);
        for values in lists.chain(named).chain(once) {
            values.refuse_missing(&self.declared.codes, problems);
        }
    }

    /// What it was declared to hold.
    pub fn declared(&self) -> &'static Declared {
        self.declared
    }

    /// The values of a table that stands once.
    ///
    /// # Panics
    /// It is no such table.
    pub fn table(&self, section: &Section) -> &Values {
        self.tables.get(section.name).expect("every table has its values from the start")
    }

    /// All tables that stand once, by name.
    pub fn tables(&self) -> impl Iterator<Item = &Values> {
        self.tables.values()
    }

    /// The entries of a list; none if no source has it.
    pub fn list(&self, section: &Section) -> &[Values] {
        self.lists.get(section.name).map_or(&[], |list| &list.entries)
    }

    /// Where a list is, if a source has it: it may be empty.
    pub fn place_of_list(&self, section: &Section) -> Option<&Origin> {
        self.lists.get(section.name).map(|list| &list.at)
    }

    /// The tables that have names.
    ///
    /// # Panics
    /// It is no such table.
    pub fn named(&self, section: &Section) -> &BTreeMap<String, Values> {
        self.named.get(section.name).expect("there is a map for each from the start")
    }

    fn lay_table(
        &mut self,
        number: usize,
        table: &DeTable<'_>,
        source: &Source,
        problems: &mut Problems,
    ) {
        let declared = self.declared;
        let context = Context {
            codes: &declared.codes,
            limits: &declared.limits,
            service: declared.service,
            folder: &source.folder,
        };
        let mut layer = Layer { tree: self, source: number, context, problems };
        for (name, value) in table.iter() {
            layer.top_entry(name, value);
        }
    }
}

type Name<'d> = Spanned<DeString<'d>>;

/// One source on its way into the tree.
struct Layer<'a> {
    tree: &'a mut Tree,
    source: usize,
    context: Context<'a>,
    problems: &'a mut Problems,
}

impl Layer<'_> {
    fn top_entry(&mut self, name: &Name<'_>, value: &Spanned<DeValue<'_>>) {
        let section = self.tree.declared.section(name.get_ref());
        match section.map(|section| (section.form, section)) {
            Some((Form::List, section)) => self.list(section, name, value),
            Some((Form::Named { what, example }, section)) => {
                self.named(section, what, example, name, value);
            }
            Some((Form::Table, section)) => self.once(section, |layer, values| {
                layer.table(values, name, value);
            }),
            None | Some((Form::Top | Form::Within | Form::WithinList, _)) => {
                match self.tree.declared.sections.iter().find(|one| one.form == Form::Top) {
                    Some(top) => self.once(top, |layer, values| layer.key(values, name, value)),
                    None => self.refuse(unknown::at_the_top(self.tree.declared, name, value)),
                }
            }
        }
    }

    /// Goes on with the values of a table that stands once.
    fn once(&mut self, section: &'static Section, go_on: impl FnOnce(&mut Self, &mut Values)) {
        let mut values = self.tree.table(section).clone();
        go_on(self, &mut values);
        self.tree.tables.insert(section.name, values);
    }

    /// A list takes the place of the list of an earlier source.
    fn list(&mut self, section: &'static Section, name: &Name<'_>, value: &Spanned<DeValue<'_>>) {
        let Some(entries) = self.entries(section, name, value) else { return };
        let at = Origin { source: self.source, span: value.span() };
        self.tree.lists.insert(section.name, List { entries, at });
    }

    fn entries(
        &mut self,
        section: &'static Section,
        name: &Name<'_>,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<Vec<Values>> {
        let declared = self.tree.declared;
        let header = declared.header(section, "NAME");
        let DeValue::Array(array) = value.get_ref() else {
            let message = format!("`{}` is a list", section.name);
            let elsewhere = declared.sections_with(section.name).next();
            let elsewhere =
                elsewhere.map(|other| format!(", or `{}` {}", section.name, declared.place(other)));
            let elsewhere = elsewhere.unwrap_or_default();
            let help = match declared.sections.iter().any(|one| one.name == section.name) {
                true => format!("write `{header}` with two brackets{elsewhere}"),
                false => format!("write {}", Kind::Tables(section).range()),
            };
            let refusal = Refusal::new(declared.codes.value, name.span(), message, "not a list");
            self.refuse(refusal.help(help));
            return None;
        };
        let limit = declared.limits.entries;
        if array.len() > limit {
            let message = format!("more than {limit} tables {header}");
            self.refuse(Refusal::new(declared.codes.limit, name.span(), message, "too many"));
            return None;
        }
        let mut entries = Vec::new();
        for element in array.iter() {
            let mut values = Values::new(section);
            // The place of an entry is its header; `name` is the one of the first entry only.
            let header = Spanned::new(element.span(), name.get_ref().clone());
            if self.table(&mut values, &header, element) {
                entries.push(values);
            }
        }
        Some(entries)
    }

    fn named(
        &mut self,
        section: &'static Section,
        what: &str,
        example: &str,
        name: &Name<'_>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let code = self.tree.declared.codes.value;
        let nameless = |span, label: &str| {
            let help = format!("write `[{0}.NAME]`, for example `[{0}.{example}]`", section.name);
            Refusal::new(code, span, format!("{what} needs a name"), label).help(help)
        };
        let DeValue::Table(table) = value.get_ref() else {
            return self.refuse(nameless(name.span(), "not a table"));
        };
        for (name, value) in table.iter() {
            let is_table = matches!(value.get_ref(), DeValue::Table(_));
            if !is_table && section.key(name.get_ref()).is_some() {
                self.refuse(nameless(name.span(), "key without a name"));
                continue;
            }
            if let Some(wrong) = name.get_ref().chars().find(|c| !is_name_character(*c)) {
                let message = format!("`{wrong}` cannot be part of the name of {what}");
                let label = "letters, digits, `-` and `_` can";
                self.refuse(Refusal::new(code, name.span(), message, label));
                continue;
            }
            let known = self.tree.named.get_mut(section.name);
            let known = known.and_then(|known| known.remove(name.get_ref().as_ref()));
            let mut values = known.unwrap_or_else(|| Values::new(section));
            self.table(&mut values, name, value);
            let tables = self.tree.named.entry(section.name).or_default();
            tables.insert(name.get_ref().to_string(), values);
        }
    }

    /// Reads the keys of a table; whether it is one.
    fn table(
        &mut self,
        values: &mut Values,
        name: &Name<'_>,
        value: &Spanned<DeValue<'_>>,
    ) -> bool {
        let DeValue::Table(table) = value.get_ref() else {
            let code = self.tree.declared.codes.value;
            let message = format!("`{}` is a table", name.get_ref());
            let refusal = Refusal::new(code, name.span(), message, "not a table");
            let help = match values.section().form {
                Form::List => {
                    let header = self.tree.declared.header(values.section(), "NAME");
                    format!("write `{header}` on a line of its own")
                }
                Form::Within | Form::WithinList => format!("write `{} = {{ … }}`", name.get_ref()),
                _ => format!("write `[{}]` on a line of its own", name.get_ref()),
            };
            self.refuse(refusal.help(help));
            return false;
        };
        values.begin(Origin { source: self.source, span: name.span() });
        for (name, value) in table.iter() {
            self.key(values, name, value);
        }
        true
    }

    fn key(&mut self, values: &mut Values, name: &Name<'_>, value: &Spanned<DeValue<'_>>) {
        let section = values.section();
        let declared = self.tree.declared;
        let within = declared.section(&format!("{}.{}", section.name, name.get_ref()));
        if let Some(within) = within.filter(|within| within.form == Form::Table) {
            return self.once(within, |layer, values| {
                layer.table(values, name, value);
            });
        }
        let Some(key) = section.key(name.get_ref()) else {
            return self.refuse(match section.form {
                Form::Top => unknown::at_the_top(declared, name, value),
                _ => unknown::in_a_table(declared, section, name),
            });
        };
        match key.kind {
            Kind::Table(inner) => self.table_within(values, key, inner, name, value),
            Kind::Tables(inner) => match self.entries(inner, name, value) {
                Some(entries) => {
                    let origin = Origin { source: self.source, span: name.span() };
                    values.insert(key, Value::Tables(entries), origin);
                }
                None => values.refuse(key),
            },
            _ => match key.read(value, self.context) {
                Ok(read) => {
                    let origin = Origin { source: self.source, span: value.span() };
                    values.insert(key, read, origin);
                }
                Err(refusals) => {
                    values.refuse(key);
                    refusals.into_iter().for_each(|refusal| self.refuse(refusal));
                }
            },
        }
    }

    /// Lays a table over the one of an earlier source.
    fn table_within(
        &mut self,
        values: &mut Values,
        key: &'static Key,
        section: &'static Section,
        name: &Name<'_>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let known = values.table(key.name).cloned();
        let mut inner = known.unwrap_or_else(|| Values::new(section));
        if !self.table(&mut inner, name, value) {
            return values.refuse(key);
        }
        let origin = Origin { source: self.source, span: name.span() };
        values.insert(key, Value::Table(Box::new(inner)), origin);
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.problems.refuse(self.source, refusal);
    }
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}
