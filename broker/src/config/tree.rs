//! The tables of all sources laid over each other, every value read by its declaration. What is
//! not declared is refused here, with the nearest name that is.

use std::{collections::BTreeMap, ops::Range, path::Path};

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use super::{
    declared::{self, LATER, SECTIONS, TOP},
    key::{Form, Kind, Refusal, Section, Value, code},
    problem::{Problems, Source, did_you_mean},
    values::{Origin, Values},
};

/// What the sources said.
#[derive(Debug)]
pub(crate) struct Tree {
    /// The tables that stand once, by name.
    tables: BTreeMap<&'static str, Values>,
    /// `None` = no source said anything.
    pub(crate) listeners: Option<Vec<Values>>,
    /// Levels of topics, in their order.
    pub(crate) durability: Vec<Values>,
    /// Topics whose messages are kept, in their order.
    pub(crate) history: Vec<Values>,
    pub(crate) upstreams: BTreeMap<String, Values>,
}

impl Tree {
    pub(crate) fn new() -> Self {
        let once = SECTIONS.iter().filter(|s| matches!(s.form, Form::Top | Form::Table));
        Self {
            tables: once.map(|section| (section.name, Values::new(section))).collect(),
            listeners: None,
            durability: Vec::new(),
            history: Vec::new(),
            upstreams: BTreeMap::new(),
        }
    }

    /// The values of a table that stands once.
    pub(crate) fn table(&self, section: &Section) -> &Values {
        self.tables.get(section.name).expect("every table has its values from the start")
    }

    /// All tables that stand once, by name.
    pub(crate) fn tables(&self) -> impl Iterator<Item = (&'static str, &Values)> {
        self.tables.iter().map(|(name, values)| (*name, values))
    }

    /// Lays a source over what is there.
    pub(crate) fn lay(
        &mut self,
        table: &DeTable<'_>,
        source: usize,
        folder: &Path,
        problems: &mut Problems,
    ) {
        let mut layer = Layer { tree: self, source, folder, problems };
        for (name, value) in table.iter() {
            layer.top_entry(name, value);
        }
    }
}

/// One source on its way into the tree.
struct Layer<'a> {
    tree: &'a mut Tree,
    source: usize,
    folder: &'a Path,
    problems: &'a mut Problems,
}

impl Layer<'_> {
    fn top_entry(&mut self, name: &Spanned<DeString<'_>>, value: &Spanned<DeValue<'_>>) {
        let section = SECTIONS.iter().find(|s| s.form != Form::Top && s.name == name.get_ref());
        match section.map(|section| (section.form, *section)) {
            None | Some((Form::Top | Form::Within, _)) => self.top_key(name, value),
            Some((Form::List, section)) => self.list(section, name, value),
            Some((Form::Named, section)) => self.upstreams(section, name, value),
            Some((Form::Table, section)) => {
                let mut values = self.tree.table(section).clone();
                self.table(&mut values, name, value);
                self.tree.tables.insert(section.name, values);
            }
        }
    }

    fn top_key(&mut self, name: &Spanned<DeString<'_>>, value: &Spanned<DeValue<'_>>) {
        let mut values = self.tree.table(&TOP).clone();
        self.key(&mut values, name, value);
        self.tree.tables.insert(TOP.name, values);
    }

    /// A list takes the place of the list of an earlier source.
    fn list(
        &mut self,
        section: &'static Section,
        name: &Spanned<DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let DeValue::Array(array) = value.get_ref() else {
            let message = format!("`{}` is a list", section.name);
            let refusal = Refusal::new(code::VALUE, name.span(), message, "not a list");
            let elsewhere = declared::sections_with(section.name).next();
            let elsewhere = elsewhere
                .map(|other| format!(", or `{}` in the section `{}`", section.name, other.name));
            let elsewhere = elsewhere.unwrap_or_default();
            return self.refuse(
                refusal.help(format!("write `[[{}]]` with two brackets{elsewhere}", section.name)),
            );
        };
        let is_listener = section.name == declared::LISTENER.name;
        if array.is_empty() && is_listener {
            let message = "without a listener nobody can connect";
            let refusal = Refusal::new(code::VALUE, value.span(), message, "an empty list");
            return self.refuse(refusal.help("leave the key out to listen on 127.0.0.1:1883"));
        }
        let mut entries = Vec::new();
        for element in array.iter() {
            let mut values = Values::new(section);
            // The place of an entry is its header; `name` is the one of the first entry only.
            let header = Spanned::new(element.span(), name.get_ref().clone());
            self.table(&mut values, &header, element);
            entries.push(values);
        }
        match section.name {
            name if name == declared::HISTORY.name => self.tree.history = entries,
            _ if is_listener => self.tree.listeners = Some(entries),
            _ => self.tree.durability = entries,
        }
    }

    fn upstreams(
        &mut self,
        section: &'static Section,
        name: &Spanned<DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let DeValue::Table(table) = value.get_ref() else {
            return self.refuse(
                Refusal::new(code::VALUE, name.span(), "an upstream needs a name", "not a table")
                    .help("write `[upstream.NAME]`, for example `[upstream.cloud]`"),
            );
        };
        for (name, value) in table.iter() {
            if !matches!(value.get_ref(), DeValue::Table(_))
                && section.keys.iter().any(|key| key.name == name.get_ref())
            {
                self.refuse(
                    Refusal::new(
                        code::VALUE,
                        name.span(),
                        "an upstream needs a name",
                        "key without a name",
                    )
                    .help("write `[upstream.NAME]`, for example `[upstream.cloud]`"),
                );
                continue;
            }
            if let Some(wrong) = name.get_ref().chars().find(|c| !is_name_character(*c)) {
                self.refuse(Refusal::new(
                    code::VALUE,
                    name.span(),
                    format!("`{wrong}` cannot be part of the name of an upstream"),
                    "letters, digits, `-` and `_` can",
                ));
                continue;
            }
            let known = self.tree.upstreams.remove(name.get_ref().as_ref());
            let mut values = known.unwrap_or_else(|| Values::new(section));
            self.table(&mut values, name, value);
            self.tree.upstreams.insert(name.get_ref().to_string(), values);
        }
    }

    fn table(
        &mut self,
        values: &mut Values,
        name: &Spanned<DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let DeValue::Table(table) = value.get_ref() else {
            return self.refuse(
                Refusal::new(
                    code::VALUE,
                    name.span(),
                    format!("`{}` is a table", name.get_ref()),
                    "not a table",
                )
                .help(match values.section().form {
                    Form::Within => format!("write `{} = {{ … }}`", name.get_ref()),
                    _ => format!("write `[{}]` on a line of its own", name.get_ref()),
                }),
            );
        };
        values.place(Origin { source: self.source, span: name.span() });
        for (name, value) in table.iter() {
            self.key(values, name, value);
        }
    }

    fn key(
        &mut self,
        values: &mut Values,
        name: &Spanned<DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let section = values.section();
        let full = format!("{}.{}", section.name, name.get_ref());
        if let Some(within) = SECTIONS.iter().find(|s| s.form == Form::Table && s.name == full) {
            let mut values = self.tree.table(within).clone();
            self.table(&mut values, name, value);
            self.tree.tables.insert(within.name, values);
            return;
        }
        let Some(key) = section.keys.iter().find(|key| key.name == name.get_ref()) else {
            return self.refuse(unknown_key(section, name.get_ref(), name.span()));
        };
        if let Kind::Table(section) = key.kind {
            let mut inner = Values::new(section);
            self.table(&mut inner, name, value);
            let origin = Origin { source: self.source, span: name.span() };
            return values.insert(key, Value::Table(Box::new(inner)), origin);
        }
        match key.read(value, self.folder) {
            Ok(read) => {
                let origin = Origin { source: self.source, span: value.span() };
                values.insert(key, read, origin);
            }
            Err(refusals) => {
                values.refuse(key);
                refusals.into_iter().for_each(|refusal| self.refuse(refusal));
            }
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.problems.refuse(self.source, refusal);
    }
}

/// Parses a file and lays it down. A file that is not TOML is not looked at any further: what
/// follows from a lost bracket would only hide the cause.
pub(crate) fn lay_file(tree: &mut Tree, source: usize, file: &Source, problems: &mut Problems) {
    let (table, errors) = DeTable::parse_recoverable(&file.text);
    if errors.is_empty() {
        return tree.lay(table.get_ref(), source, &file.folder, problems);
    }
    for error in errors {
        let span = error.span().unwrap_or_default();
        let reason = error.message().lines().next().unwrap_or_default().to_owned();
        problems.refuse(source, Refusal::new(code::NOT_TOML, span, "this is not TOML", reason));
    }
}

fn unknown_key(section: &'static Section, name: &str, span: Range<usize>) -> Refusal {
    let full = if section.name.is_empty() { name.into() } else { [section.name, name].join(".") };
    if LATER.contains(&full.as_str()) {
        return Refusal::new(
            code::LATER,
            span,
            format!("`{full}` is not there yet"),
            "of a later version",
        )
        .help("remove the key");
    }
    let place = match section.form {
        Form::Top => "at the top of the file".to_owned(),
        Form::List => format!("in [[{}]]", section.name),
        Form::Named => format!("in [{}.NAME]", section.name),
        Form::Table | Form::Within => format!("in [{}]", section.name),
    };
    let message = format!("unknown key `{name}` {place}");
    let refusal = Refusal::new(code::UNKNOWN, span, message, "no such key");
    let keys = section.keys.iter().map(|key| key.name);
    let elsewhere = declared::sections_with(name).find(|other| other.name != section.name);
    match (section.form, elsewhere) {
        (_, Some(other)) if !other.name.is_empty() => {
            refusal.help(format!("`{name}` belongs in the section `{}`", other.name))
        }
        (_, Some(_)) => refusal.help(format!("`{name}` belongs above the first section")),
        (Form::Top, None) => {
            let sections = SECTIONS.iter().map(|s| s.name).filter(|name| !name.is_empty());
            refusal.help(did_you_mean(name, keys.chain(sections)))
        }
        (_, None) => refusal.help(did_you_mean(name, keys)),
    }
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}
