//! `dedupe` as it is written.

use super::section::Entry;
use super::{Located, Place, Report};
use crate::code;
use crate::limits::ENTRIES_MAX;

/// `dedupe` as it is written.
#[derive(Clone, Debug)]
pub(crate) struct DedupeSpec {
    /// Expressions.
    pub(crate) key: Vec<Located>,
    /// Milliseconds.
    pub(crate) within: i64,
    /// Where it says that the last one is kept.
    pub(crate) last: Option<Place>,
}

pub(super) fn read_dedupe(entry: &Entry<'_, '_>, report: &mut Report<'_>) -> Option<DedupeSpec> {
    let mut section = entry.table("`dedupe`", report)?;
    let key = section.take("key");
    let within = section.take("within").map(|entry| entry.place);
    let ms = section.duration("within", report);
    let keep = section.choice("keep", &[("first", false), ("last", true)], report);
    section.finish(report);
    let example = "for example dedupe = { key = [\"device\", \"number\"], within = \"5m\" }";
    for (name, is_missing) in [("key", key.is_none()), ("within", within.is_none())] {
        if is_missing {
            let message = format!("`dedupe` needs `{name}`");
            let label = format!("no `{name}`");
            report.error_with_help(code::MISSING_KEY, message, &entry.key_place, label, example);
        }
    }
    if let (Some(place), Some(0)) = (&within, ms) {
        let message = "`within` must be longer than 0";
        report.error(code::WRONG_VALUE, message, place, "no time at all");
    }
    let list = key.as_ref().map_or(Vec::new(), Entry::list);
    if let (Some(key), true) = (&key, list.is_empty() || list.len() > ENTRIES_MAX) {
        key.wrong(&format!("a field or a list of 1 to {ENTRIES_MAX} fields"), report);
    }
    let key = list.iter().filter_map(|item| item.expression(report)).collect();
    let last = keep.filter(|(last, _)| *last).map(|(_, place)| place);
    Some(DedupeSpec { key, within: ms.unwrap_or(1), last })
}
