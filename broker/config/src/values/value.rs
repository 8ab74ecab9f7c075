//! A value that was read by its declaration.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use super::Values;
use crate::unit::{format_duration, format_size};

/// A value in its declared range.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Names, each with a least and a greatest number.
    Bounds(Vec<(String, f64, f64)>),
    /// A declared word.
    Choice(&'static str),
    /// A time.
    Duration(Duration),
    /// A truth value.
    Flag(bool),
    /// Values of one kind.
    List(Vec<Placed<Value>>),
    /// A number.
    Number(f64),
    /// Names, each with a number.
    Numbers(Vec<(String, f64)>),
    /// A file or a directory.
    Path(PathBuf),
    /// A number of bytes.
    Size(u64),
    /// A table with keys of its own.
    Table(Box<Values>),
    /// A list of tables.
    Tables(Vec<Values>),
    /// A text: also a secret, and what a notation has read.
    Text(String),
    /// A whole number.
    Whole(i64),
}

/// A part of a value with its place in the text, for checks that come after reading.
#[derive(Clone, Debug)]
pub struct Placed<T> {
    /// The part.
    pub value: T,
    /// The bytes of the text.
    pub span: Range<usize>,
}

impl<T> Placed<T> {
    /// Another value at the same place.
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Placed<U> {
        Placed { value: change(self.value), span: self.span }
    }
}

/// The same value at another place is the same value.
impl<T: PartialEq> PartialEq for Placed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// As somebody would write it; a secret is a text like any other here.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bounds(all) => {
                let one =
                    |(name, min, max): &(String, f64, f64)| format!("{name} = [{min}, {max}]");
                write!(f, "{{ {} }}", joined(all.iter().map(one)))
            }
            Self::Choice(word) => write!(f, "{word}"),
            Self::Duration(time) => write!(f, "{}", format_duration(*time)),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::List(all) => write!(f, "[{}]", joined(all.iter().map(|one| &one.value))),
            Self::Number(number) => write!(f, "{number}"),
            Self::Numbers(all) => {
                let one = |(name, number): &(String, f64)| format!("{name} = {number}");
                write!(f, "{{ {} }}", joined(all.iter().map(one)))
            }
            Self::Path(path) => write!(f, "{path:?}"),
            Self::Size(bytes) => write!(f, "{}", format_size(*bytes)),
            Self::Table(values) => entry(f, values),
            Self::Tables(tables) => {
                f.write_str("[")?;
                for (number, values) in tables.iter().enumerate() {
                    f.write_str(if number == 0 { "" } else { ", " })?;
                    entry(f, values)?;
                }
                f.write_str("]")
            }
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Whole(number) => write!(f, "{number}"),
        }
    }
}

/// A table on one line, with the keys that were given.
fn entry(f: &mut fmt::Formatter<'_>, values: &Values) -> fmt::Result {
    let keys = values.section().keys.iter();
    let given = keys.filter_map(|key| Some((key.name, values.given(key.name)?.0)));
    write!(f, "{{ {} }}", joined(given.map(|(name, value)| format!("{name} = {value}"))))
}

fn joined(all: impl Iterator<Item: fmt::Display>) -> String {
    all.map(|one| one.to_string()).collect::<Vec<_>>().join(", ")
}
