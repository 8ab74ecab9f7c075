//! The check of `[[history]]`: filters that can match, each once and in an order in which it
//! counts, and a store to go on from.

use std::time::Duration;

use weir_config::{Origin, Problems, Refusal, Tree, Values};

use super::{
    code,
    declared::{HISTORY, TOP},
    ordered::{Words, check_form},
};

/// One `[[history]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryConfig {
    /// The topic filter.
    pub filter: String,
    /// What the messages may take on disk.
    pub max_bytes: u64,
    /// How long a message is kept at least, if there is room.
    pub max_age: Duration,
}

impl HistoryConfig {
    /// A history of the topics of a filter, with the bounds that hold if nothing is said.
    pub fn new(filter: impl Into<String>) -> Self {
        Self::read(filter.into(), &Values::new(&HISTORY))
    }

    /// The name of its directory: the filter, with what a file system may not take as `%` and two
    /// hexadecimal digits.
    pub(crate) fn directory(&self) -> String {
        directory_name(&self.filter)
    }

    fn read(filter: String, values: &Values) -> Self {
        let (max_bytes, max_age) = (values.size("max_bytes"), values.duration("max_age"));
        Self { filter, max_bytes, max_age }
    }
}

/// What is kept, in its order.
pub(crate) fn check(tree: &Tree, problems: &mut Problems) -> Vec<HistoryConfig> {
    let mut kept: Vec<HistoryConfig> = Vec::new();
    for values in tree.list(&HISTORY) {
        let Some((one, at)) = history(values, problems) else { continue };
        let before = kept.iter().map(|kept| kept.filter.as_str());
        WORDS.check_place(before, &one.filter, &at, problems);
        kept.push(one);
        if kept.len() == HISTORIES_MAX + 1 {
            let message = format!("more than {HISTORIES_MAX} histories");
            let refusal = Refusal::new(code::RANGE, at.span.clone(), message, "one too many");
            problems.refuse(at.source, refusal.help("write fewer filters, with wildcards"));
        }
        if !tree.table(&TOP).flag("persistence") && kept.len() == 1 {
            let message = "a history needs a store on disk";
            let label = "`persistence` is false";
            let refusal = Refusal::new(code::CONFLICT, at.span.clone(), message, label);
            problems.refuse(at.source, refusal.help("set persistence = true, or remove it"));
        }
    }
    kept
}

fn history(values: &Values, problems: &mut Problems) -> Option<(HistoryConfig, Origin)> {
    let (filter, at) = (values.optional("filter", Values::text)?, values.origin("filter")?.clone());
    let form = check_form(&filter).and_then(|()| {
        let wrong = |label: &str, help: &str| Err((label.to_owned(), Some(help.to_owned())));
        if filter.starts_with('$') {
            let help = "write the topics of clients, for example \"#\"";
            return wrong("topics below `$` are the broker's own", help);
        }
        if directory_name(&filter).len() > DIRECTORY_BYTES_MAX {
            let help = "write a shorter filter, with wildcards";
            return wrong("too long for the name of a directory", help);
        }
        Ok(())
    });
    if let Err(wrong) = form {
        WORDS.refuse(&filter, wrong, &at, problems);
        return None;
    }
    Some((HistoryConfig::read(filter, values), at))
}

fn directory_name(filter: &str) -> String {
    let mut name = String::new();
    for byte in filter.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'+' | b'#' => {
                name.push(char::from(byte));
            }
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    name
}

const WORDS: Words = Words {
    wrong: "cannot have a history",
    what: "a history",
    never: |filter| format!("the history of `{filter}` stays empty"),
};
/// Each has a file open, and a part of it in memory.
const HISTORIES_MAX: usize = 16;
/// What file systems take as one name.
const DIRECTORY_BYTES_MAX: usize = 255;
