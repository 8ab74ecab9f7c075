//! What is said about a name that is not declared: where it belongs, and which one is near.

use toml::Spanned;
use toml::de::{DeString, DeValue};

use crate::declared::{Declared, Form, Section};
use crate::diagnostic::nearest;
use crate::problem::{Refusal, did_you_mean};

/// About a name before the first table, or of a table.
pub(super) fn at_the_top(
    declared: &'static Declared,
    name: &Spanned<DeString<'_>>,
    value: &Spanned<DeValue<'_>>,
) -> Refusal {
    let is_table = match value.get_ref() {
        DeValue::Array(array) => array.iter().any(|one| matches!(one.get_ref(), DeValue::Table(_))),
        DeValue::Table(_) => true,
        _ => false,
    };
    let (message, label) = match is_table {
        true => (format!("unknown table `{}`", name.get_ref()), "no such table"),
        false => {
            (format!("unknown key `{}` at the top of the file", name.get_ref()), "no such key")
        }
    };
    let refusal = Refusal::new(declared.codes.unknown, name.span(), message, label);
    let top = declared.sections.iter().filter(|one| one.form == Form::Top);
    let keys = top.flat_map(|top| top.keys).map(|key| key.name);
    let tables = declared.sections.iter().filter(|section| match section.form {
        Form::List | Form::Named { .. } | Form::Table => true,
        Form::Top | Form::Within | Form::WithinList => false,
    });
    let known: Vec<&str> = keys.chain(tables.map(|section| section.name)).collect();
    refusal.help(advice(declared, "", name.get_ref(), &known))
}

/// About a key of a table.
pub(super) fn in_a_table(
    declared: &'static Declared,
    section: &'static Section,
    name: &Spanned<DeString<'_>>,
) -> Refusal {
    let (codes, text) = (&declared.codes, name.get_ref());
    let full = format!("{}.{text}", section.name);
    if declared.later.contains(&full.as_str()) {
        let message = format!("`{full}` is not there yet");
        let refusal = Refusal::new(codes.later, name.span(), message, "of a later version");
        return refusal.help("remove the key");
    }
    let message = match section.form {
        Form::Within | Form::WithinList if declared.section(section.name).is_none() => {
            format!("unknown key `{text}` in `{}`", section.name)
        }
        _ => format!("unknown key `{text}` {}", declared.place(section)),
    };
    let refusal = Refusal::new(codes.unknown, name.span(), message, "no such key");
    let known: Vec<&str> = section.keys.iter().map(|key| key.name).collect();
    refusal.help(advice(declared, section.name, text, &known))
}

/// Others may have the very name, and this table a similar one.
fn advice(declared: &'static Declared, here: &str, name: &str, known: &[&str]) -> String {
    let others = declared.sections_with(name).filter(|other| other.name != here);
    let others = others.take(PLACES_MAX).map(|other| declared.place(other)).collect::<Vec<_>>();
    let elsewhere =
        (!others.is_empty()).then(|| format!("`{name}` belongs {}", others.join(" or ")));
    let near = nearest(name, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
    match (near, elsewhere) {
        (Some(near), Some(elsewhere)) => format!("{near} {elsewhere}"),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => did_you_mean(name, known.iter().copied()),
    }
}

/// A name that is everywhere helps nobody.
const PLACES_MAX: usize = 3;
