//! `lookup` as it is written.

use super::section::Entry;
use super::{Located, Place, Report};
use crate::code;
use crate::limits::ENTRIES_MAX;
use crate::lookup::Miss;

/// One table of `lookup` as it is written.
#[derive(Clone, Debug)]
pub(crate) struct LookupSpec {
    pub(crate) name: String,
    pub(crate) name_place: Place,
    pub(crate) file: Located,
    /// An expression.
    pub(crate) key: Located,
    pub(crate) column: Option<Located>,
    pub(crate) miss: Miss,
}

pub(super) fn read_lookups(entry: &Entry<'_, '_>, report: &mut Report<'_>) -> Vec<LookupSpec> {
    let Some(entries) = entry.entries() else {
        entry.wrong("a table for each lookup: [rule.NAME.lookup.TABLE]", report);
        return Vec::new();
    };
    if let Some(one) = entries.get(ENTRIES_MAX) {
        let message = format!("`lookup` has more than {ENTRIES_MAX} entries");
        report.error(code::LIMIT, message, &one.key_place, "one too many");
    }
    let read = entries.iter().take(ENTRIES_MAX);
    read.filter_map(|entry| read_lookup(entry, report)).collect()
}

fn read_lookup(entry: &Entry<'_, '_>, report: &mut Report<'_>) -> Option<LookupSpec> {
    let mut section = entry.table("a lookup", report)?;
    let file = section.text("file", report);
    let key = section.expression("key", report);
    let column = section.text("column", report);
    let words = [("drop", Miss::Drop), ("error", Miss::Error), ("null", Miss::Null)];
    let miss = section.choice("miss", &words, report).map_or(Miss::Error, |(miss, _)| miss);
    section.finish(report);
    for (name, is_missing) in [("file", file.is_none()), ("key", key.is_none())] {
        if is_missing {
            let message = format!("lookup `{}` has no `{name}`", entry.key);
            let help = "for example { file = \"meters.csv\", key = \"tag\" }";
            let label = format!("no `{name}`");
            report.error_with_help(code::MISSING_KEY, message, &entry.key_place, label, help);
        }
    }
    Some(LookupSpec {
        name: entry.key.clone(),
        name_place: entry.key_place.clone(),
        file: file?,
        key: key?,
        column,
        miss,
    })
}
