//! `[rule.NAME.alert]` as it is written.

use super::section::{Entry, Section};
use super::{Located, Place, Report};
use crate::code;

/// An alert as it is written. Times are milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct AlertSpec {
    pub(crate) when: Option<Located>,
    pub(crate) clear: Option<Located>,
    /// Named `for` in files.
    pub(crate) hold: i64,
    /// Named `clear_for` in files.
    pub(crate) clear_hold: i64,
    pub(crate) repeat: Option<i64>,
    pub(crate) silent: Option<(i64, Place)>,
    pub(crate) value: Option<Located>,
    pub(crate) message: Option<Located>,
}

pub(super) fn read_alert(entry: &Entry<'_, '_>, report: &mut Report<'_>) -> Option<AlertSpec> {
    let mut section = entry.table("`alert`", report)?;
    let place = entry.key_place.clone();
    let when = section.expression("when", report);
    let hold = placed_duration(&mut section, "for", 0, report);
    let clear = section.expression("clear", report);
    let clear_hold = placed_duration(&mut section, "clear_for", 0, report);
    let repeat = placed_duration(&mut section, "repeat", SHORTEST_MS, report);
    let silent = placed_duration(&mut section, "silent", SHORTEST_MS, report);
    let value = section.expression("value", report);
    let message = section.text("message", report);
    section.finish(report);
    if when.is_none() {
        let clear_place = clear.as_ref().map(|text| text.place.clone());
        let useless = [
            ("for", hold.as_ref().map(|(_, place)| place.clone())),
            ("clear", clear_place),
            ("clear_for", clear_hold.as_ref().map(|(_, place)| place.clone())),
        ];
        for (key, place) in useless {
            let Some(place) = place else { continue };
            let message = format!("`{key}` needs a `when`");
            report.error(code::MISSING_KEY, message, &place, "there is no condition");
        }
        if silent.is_none() {
            let message = "`alert` needs a condition";
            let help = "for example when = \"temperature > 30\", or silent = \"5m\"";
            let label = "no `when` and no `silent`";
            report.error_with_help(code::MISSING_KEY, message, &place, label, help);
        }
    }
    let ms = |duration: Option<(i64, Place)>| duration.map(|(ms, _)| ms);
    Some(AlertSpec {
        when,
        clear,
        hold: ms(hold).unwrap_or(0),
        clear_hold: ms(clear_hold).unwrap_or(0),
        repeat: ms(repeat),
        silent,
        value,
        message,
    })
}

/// A duration with the place of its value; shorter ones than `least` are reported.
fn placed_duration(
    section: &mut Section<'_, '_>,
    key: &'static str,
    least: i64,
    report: &mut Report<'_>,
) -> Option<(i64, Place)> {
    let place = section.take(key)?.place;
    let ms = section.duration(key, report)?;
    if ms < least {
        let message = format!("`{key}` is too short");
        report.error(code::WRONG_VALUE, message, &place, "at least 1s");
    }
    Some((ms.max(least), place))
}

/// Reminders and silences that come faster are noise.
const SHORTEST_MS: i64 = 1000;
