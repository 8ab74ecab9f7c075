//! What a program declares: its tables, their keys, and what goes for all of them.

mod given;
mod kind;

use std::path::Path;

pub use given::Given;
pub(crate) use given::integer;
pub use kind::{Kind, Notation};

/// A configuration, declared.
#[derive(Debug)]
pub struct Declared {
    /// The tables in the order of the reference, each behind the one that it is within.
    pub sections: &'static [&'static Section],
    /// What kinds of problems are called.
    pub codes: Codes,
    /// How much a file may hold.
    pub limits: Limits,
    /// Keys of other versions, with their tables: a message can say more than "unknown".
    pub later: &'static [&'static str],
    /// The service that `credential:NAME` is handed to, for whoever reads its file from outside.
    pub service: &'static str,
}

/// A table.
#[derive(Debug)]
pub struct Section {
    /// Its name, with that of the table around it; empty for the keys before the first table.
    pub name: &'static str,
    /// How it stands in the file.
    pub form: Form,
    /// What it is for, in sentences of the reference.
    pub text: &'static str,
    /// Its keys in the order of the reference.
    pub keys: &'static [Key],
}

/// How a table stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `[[name]]`, any number of times.
    List,
    /// `[name.NAME]`, once for each name.
    Named {
        /// What has the name, with its article: `an upstream`.
        what: &'static str,
        /// A name for examples.
        example: &'static str,
    },
    /// `[name]`, which may always stand there without a key.
    Table,
    /// The keys before the first table.
    Top,
    /// The value of a key of another table: `name = { … }`, or a table of its own below it.
    Within,
    /// The same, any number of times: `[[table.name]]`.
    WithinList,
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Its name in the table.
    pub name: &'static str,
    /// What it means, in sentences of the reference.
    pub text: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// What holds without it.
    pub initial: Initial,
}

/// What holds when a key is not in the file. The texts are TOML.
#[derive(Clone, Copy, Debug)]
pub enum Initial {
    /// This value.
    Default(&'static str),
    /// The table makes no sense without the key.
    Required {
        /// A value that could be meant.
        example: &'static str,
    },
    /// No value, which means something.
    Unset {
        /// A value that could be meant.
        example: &'static str,
        /// What it means.
        meaning: &'static str,
    },
}

/// Stable names of the kinds of problems that reading finds.
#[derive(Clone, Copy, Debug)]
pub struct Codes {
    /// The text is not TOML.
    pub not_toml: &'static str,
    /// There is no such table or key.
    pub unknown: &'static str,
    /// A value has another form.
    pub value: &'static str,
    /// A value is out of its range.
    pub range: &'static str,
    /// A key has to be there.
    pub missing: &'static str,
    /// There is too much of something.
    pub limit: &'static str,
    /// A key is one of [`Declared::later`].
    pub later: &'static str,
}

/// How much a file may hold. What is beyond is refused.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one text.
    pub text_bytes: usize,
    /// Elements of the value of one key.
    pub elements: usize,
    /// Tables of one list.
    pub entries: usize,
}

impl Declared {
    /// The declaration of a key in a table; the name of the keys before the first table is empty.
    pub fn key(&self, section: &str, name: &str) -> Option<&'static Key> {
        self.section(section)?.key(name)
    }

    /// The declaration of a table.
    pub fn section(&self, name: &str) -> Option<&'static Section> {
        self.sections.iter().copied().find(|section| section.name == name)
    }

    /// The tables that have a key of this name.
    pub(crate) fn sections_with(&self, name: &str) -> impl Iterator<Item = &'static Section> {
        self.sections.iter().copied().filter(move |section| section.key(name).is_some())
    }

    /// A table as its header is written, with `name` for what has a name of its own.
    pub fn header(&self, section: &Section, name: &str) -> String {
        let full = match self.named_around(section) {
            Some(named) => section.name.replacen(named.name, &format!("{}.{name}", named.name), 1),
            None => section.name.to_owned(),
        };
        match section.form {
            Form::List | Form::WithinList => format!("[[{full}]]"),
            Form::Named { .. } | Form::Table | Form::Within => format!("[{full}]"),
            Form::Top => String::new(),
        }
    }

    /// The table itself or the one around it, if that one has names.
    pub(crate) fn named_around(&self, section: &Section) -> Option<&'static Section> {
        let is_around = |named: &Section| {
            let rest = section.name.strip_prefix(named.name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let mut sections = self.sections.iter().copied();
        sections.find(|named| matches!(named.form, Form::Named { .. }) && is_around(named))
    }

    /// Where a key is to be looked for: `in [limits]`.
    pub(crate) fn place(&self, section: &Section) -> String {
        match section.form {
            Form::Top => "above the first table".to_owned(),
            _ => format!("in {}", self.header(section, "NAME")),
        }
    }
}

impl Section {
    /// The declaration of one of its keys.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

impl Key {
    /// A value that could stand there.
    pub(crate) fn example(&self) -> &'static str {
        match self.initial {
            Initial::Default(text) => text,
            Initial::Required { example } | Initial::Unset { example, .. } => example,
        }
    }
}

/// Where a value is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) codes: &'a Codes,
    pub(crate) limits: &'a Limits,
    pub(crate) service: &'static str,
    /// Where relative paths start.
    pub(crate) folder: &'a Path,
}
