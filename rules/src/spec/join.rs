//! `[rule.NAME.join.NAME]` as it is written.

use super::decode::read_decode;
use super::section::Entry;
use super::{Located, Place, Report};
use crate::code;
use crate::limits::ENTRIES_MAX;
use crate::payload::Decode;

/// A join as it is written.
#[derive(Clone, Debug)]
pub(crate) struct JoinSpec {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) topic: Located,
    pub(crate) decode: Decode,
    /// In milliseconds.
    pub(crate) max_age: Option<i64>,
}

pub(super) fn read_joins(entry: &Entry<'_, '_>, report: &mut Report<'_>) -> Vec<JoinSpec> {
    let Some(entries) = entry.entries() else {
        entry.wrong("a table for each join: [rule.NAME.join.NAME]", report);
        return Vec::new();
    };
    if let Some(first) = entries.get(ENTRIES_MAX) {
        let message = format!("a rule has at most {ENTRIES_MAX} joins");
        report.error(code::LIMIT, message, &first.key_place, "one too many");
    }
    let first = entries.iter().take(ENTRIES_MAX);
    first.filter_map(|entry| read_join(entry, report)).collect()
}

fn read_join(entry: &Entry<'_, '_>, report: &mut Report<'_>) -> Option<JoinSpec> {
    let mut section = entry.table("a join", report)?;
    let topic = section.text("topic", report);
    if topic.is_none() {
        let message = format!("join `{}` has no `topic`", entry.key);
        report.error(code::MISSING_KEY, message, &entry.key_place, "whose last value?");
    }
    let decode = read_decode(&mut section, report);
    let max_age = section.duration("max_age", report);
    section.finish(report);
    let (name, place) = (entry.key.clone(), entry.key_place.clone());
    Some(JoinSpec { name, place, topic: topic?, decode, max_age })
}
