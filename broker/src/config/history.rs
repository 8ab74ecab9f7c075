//! The check of `[[history]]`: filters that can match, each once and in an order in which it
//! counts, and a store to go on from.

use std::time::Duration;

use weir_mqtt::TopicFilter;

use super::{
    check::missing,
    declared::{HISTORY, TOP},
    key::{Refusal, code},
    problem::Problems,
    tree::Tree,
    values::{Origin, Values},
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
    for values in &tree.history {
        let Some((one, at)) = history(values, problems) else { continue };
        check_place(&kept, &one, &at, problems);
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
    if values.is_missing("filter") {
        missing(values, "filter", problems);
    }
    let (filter, at) = (values.text("filter")?, values.origin("filter")?.clone());
    let refuse = |label: String, help: &str| {
        let message = format!("`{filter}` cannot have a history");
        let refusal = Refusal::new(code::TOPIC, at.span.clone(), message, label);
        if help.is_empty() { refusal } else { refusal.help(help.to_owned()) }
    };
    let problem = match TopicFilter::parse(&filter) {
        Err(reason) => refuse(reason.to_string(), ""),
        Ok(parsed) if parsed.share_name().is_some() => {
            let help = format!("write \"{}\"", parsed.filter());
            refuse("a shared subscription is one way to read topics".to_owned(), &help)
        }
        Ok(_) if filter.starts_with('$') => {
            let label = "topics below `$` are the broker's own".to_owned();
            refuse(label, "write the topics of clients, for example \"#\"")
        }
        Ok(_) if directory_name(&filter).len() > DIRECTORY_BYTES_MAX => {
            let label = "too long for the name of a directory".to_owned();
            refuse(label, "write a shorter filter, with wildcards")
        }
        Ok(_) => return Some((HistoryConfig::read(filter, values), at)),
    };
    problems.refuse(at.source, problem);
    None
}

/// The first filter that matches has the message, so one behind a wider one gets none.
fn check_place(
    before: &[HistoryConfig],
    one: &HistoryConfig,
    at: &Origin,
    problems: &mut Problems,
) {
    let filter = &one.filter;
    if before.iter().any(|other| other.filter == *filter) {
        let message = format!("`{filter}` has a history already");
        let refusal = Refusal::new(code::CONFLICT, at.span.clone(), message, "twice the same");
        return problems.refuse(at.source, refusal.help("keep one of them"));
    }
    let covers = |other: &&HistoryConfig| {
        let filters = TopicFilter::parse(&other.filter).ok().zip(TopicFilter::parse(filter).ok());
        filters.is_some_and(|(wide, narrow)| wide.covers(narrow))
    };
    if let Some(wide) = before.iter().find(covers) {
        let message = format!("the history of `{filter}` stays empty");
        let label = format!("`{}` stands before it and has the same topics", wide.filter);
        let refusal = Refusal::new(code::CONFLICT, at.span.clone(), message, label);
        problems.warn(at.source, refusal.help("put the narrower filter first"));
    }
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

/// Each message is compared with their filters.
const HISTORIES_MAX: usize = 16;
/// What file systems take as one name.
const DIRECTORY_BYTES_MAX: usize = 255;
