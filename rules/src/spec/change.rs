//! `change` as it is written.

use toml::de::DeValue;

use super::section::{Entry, Section};
use super::{Located, Place, Report};
use crate::code;
use crate::limits::ENTRIES_MAX;

/// `change` as it is written. Times are milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct ChangeSpec {
    /// The key itself.
    pub(crate) place: Place,
    /// Expressions; everything that is sent if there are none.
    pub(crate) fields: Vec<Located>,
    pub(crate) by: Option<(f64, Place)>,
    pub(crate) percent: Option<(f64, Place)>,
    pub(crate) at_least_every: Option<(i64, Place)>,
    pub(crate) at_most_every: Option<(i64, Place)>,
}

pub(super) fn read_change(entry: &Entry<'_, '_>, report: &mut Report<'_>) -> Option<ChangeSpec> {
    let mut section = entry.table("`change`", report)?;
    let fields = section.take("field").map_or(Vec::new(), |field| {
        let list = field.list();
        if list.is_empty() || list.len() > ENTRIES_MAX {
            field.wrong(&format!("a field or a list of 1 to {ENTRIES_MAX} fields"), report);
        }
        list.iter().filter_map(|item| item.expression(report)).collect()
    });
    let by = bound(&mut section, "by", report);
    let percent = bound(&mut section, "or_percent", report);
    let at_least_every = time(&mut section, "at_least_every", report);
    let at_most_every = time(&mut section, "at_most_every", report);
    section.finish(report);
    let place = entry.key_place.clone();
    Some(ChangeSpec { place, fields, by, percent, at_least_every, at_most_every })
}

/// A number that is not negative.
fn bound(
    section: &mut Section<'_, '_>,
    key: &'static str,
    report: &mut Report<'_>,
) -> Option<(f64, Place)> {
    let entry = section.take(key)?;
    let number = match entry.value {
        DeValue::Float(number) => number.as_str().parse().ok(),
        _ => entry.integer().map(|number| number as f64),
    };
    let number = number.filter(|number: &f64| number.is_finite() && *number >= 0.0);
    if number.is_none() {
        entry.wrong("a number, 0 or more", report);
    }
    Some((number?, entry.place))
}

/// A duration that is not zero.
fn time(
    section: &mut Section<'_, '_>,
    key: &'static str,
    report: &mut Report<'_>,
) -> Option<(i64, Place)> {
    let place = section.take(key)?.place;
    let ms = section.duration(key, report)?;
    if ms == 0 {
        let message = format!("`{key}` must be longer than 0");
        report.error(code::WRONG_VALUE, message, &place, "no time at all");
        return None;
    }
    Some((ms, place))
}
