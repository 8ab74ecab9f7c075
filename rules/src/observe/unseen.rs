//! Fields that rules name and no message has had: most of them are misspelled.

use std::fmt::Write as _;

use weir_config::{Diagnostic, nearest};

use super::{Observer, join};
use crate::code;
use crate::compile::{Mention, fields_named};
use crate::payload::Step;
use crate::source::Source;

/// Warns of payload fields that rules name and that were in no message; each observer has looked at
/// one of [`Plan::filters`](crate::Plan::filters).
///
/// Only rules that read JSON are looked at, and only those for whose filters messages came.
///
/// ```
/// use weir_rules::{Observer, Source, Timestamp, unseen_fields};
///
/// let text = "[rule.copy]\nfrom = \"in/+\"\nselect = { t = \"temprature\" }\nto = \"out\"\n";
/// let sources = [Source::new("copy.toml", text)];
/// let mut observer = Observer::new("in/+");
/// observer.observe("in/a", br#"{"temperature":20}"#, Timestamp(0));
/// let warnings = unseen_fields(&sources, &[observer]).expect("the rule is correct");
/// assert_eq!(warnings[0].message(), "unknown field `temprature`");
/// ```
///
/// # Errors
/// The files do not compile.
pub fn unseen_fields(
    sources: &[Source],
    observers: &[Observer],
) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
    let warn = |mention: &Mention| {
        let read = |observer: &&Observer| mention.filters.contains(&observer.filter);
        let seen: Vec<&Observer> = observers.iter().filter(read).collect();
        let messages: u64 = seen.iter().map(|observer| observer.messages()).sum();
        if messages == 0 || seen.iter().any(|observer| observer.may_have(&mention.path)) {
            return None;
        }
        let name = path_text(&mention.path)?;
        let mut fields: Vec<&str> =
            seen.iter().flat_map(|observer| observer.fields.keys().map(String::as_str)).collect();
        fields.sort_unstable();
        fields.dedup();
        let filters: Vec<&str> = seen.iter().map(|one| one.filter.as_str()).collect();
        let count = if messages == 1 {
            "the 1 message".to_owned()
        } else {
            format!("the {messages} messages")
        };
        let label = format!("not in {count} seen on {}", filters.join(", "));
        let warning = Diagnostic::warning(code::UNKNOWN_NAME, format!("unknown field `{name}`"));
        let source = sources.get(mention.place.file)?;
        let warning = warning.at(&source.path, &source.text, mention.place.span.clone());
        Some(warning.label(label).help(help(&name, &fields)))
    };
    Ok(fields_named(sources)?.iter().filter_map(warn).collect())
}

impl Observer {
    /// Whether a message has had the field, or may have had it: what is within arrays, and what is
    /// beyond the bounds of an observer, it does not know.
    fn may_have(&self, path: &[Step]) -> bool {
        let Some(name) = path_text(path) else { return true };
        if self.fields.len() >= crate::limits::OBSERVED_FIELDS_MAX {
            return true;
        }
        if name == "value" && self.forms.switches > 0 {
            return true;
        }
        self.fields.iter().any(|(known, seen)| {
            known == &name || is_within(known, &name) || (seen.other > 0 && is_within(&name, known))
        })
    }
}

/// Whether a path leads into the object at another one.
fn is_within(path: &str, object: &str) -> bool {
    path.strip_prefix(object).is_some_and(|rest| rest.starts_with(['.', '[']))
}

/// A path as an observer writes it, up to the first array; `None` if it writes no such paths.
fn path_text(path: &[Step]) -> Option<String> {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Field(name) => text = join(&text, name)?,
            Step::Item(_) => break,
        }
    }
    (!text.is_empty()).then_some(text)
}

fn help(name: &str, fields: &[&str]) -> String {
    let mut help = String::new();
    if let Some(near) = nearest(name, fields.iter().copied()) {
        write!(help, "did you mean `{near}`? ").expect("a text takes everything");
    }
    match fields {
        [] => help.push_str("no fields were seen: is `decode` right?"),
        _ => {
            let shown: Vec<&str> = fields.iter().take(SHOWN_MAX).copied().collect();
            write!(help, "fields seen: {}", shown.join(", ")).expect("a text takes everything");
        }
    }
    if let Some(more) = fields.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
        write!(help, " and {more} more").expect("a text takes everything");
    }
    help
}

/// Fields that a help names.
const SHOWN_MAX: usize = 20;
