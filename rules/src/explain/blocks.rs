//! The blocks of a rule in words: tables, repeats, joins, alerts, changes and promises.

use std::fmt::Write as _;

use super::{list, words};
use crate::alert::Alert;
use crate::change::Change;
use crate::form::{Form, ValueForm};
use crate::join::Join;
use crate::lookup::{Lookup, Miss};
use crate::message::Guarantee;
use crate::quantity::format_duration;
use crate::rule::{Dedupe, Keep};

/// Which row of a table a message gets.
pub(super) fn looked_up(lookup: &Lookup) -> String {
    let without = match lookup.miss {
        Miss::Drop => "passed over",
        Miss::Error => "a dead letter",
        Miss::Null => "used with nulls",
    };
    let (key, file, columns) = (words(&lookup.key), &lookup.file, &lookup.table.columns);
    let columns = list(columns.iter().map(String::as_str));
    format!("the row of `{key}` in {file}: {columns}; a message without a row is {without}")
}

/// Which messages are the same.
pub(super) fn repeated(dedupe: &Dedupe) -> String {
    let which = if dedupe.keep == Keep::Last { "last" } else { "first" };
    let key = list(dedupe.key.iter().map(words));
    format!("the {which} of messages with the same {key} within {}", format_duration(dedupe.within))
}

/// Which results are sent.
pub(super) fn changed(change: &Change) -> String {
    let mut text = format!("results that differ in {}", list(change.fields.iter().map(words)));
    let far = [
        change.deadband.by.map(|by| format!("{by}")),
        change.deadband.percent.map(|percent| format!("{percent} %")),
    ];
    let far: Vec<String> = far.into_iter().flatten().collect();
    if !far.is_empty() {
        text.push_str(&format!(" by more than {}", far.join(" or ")));
    }
    if let Some(every) = change.at_least_every {
        text.push_str(&format!(", at least every {}", format_duration(every)));
    }
    if let Some(every) = change.at_most_every {
        text.push_str(&format!(", at most every {}", format_duration(every)));
    }
    text
}

/// What a power cut may do to results.
pub(super) fn promised(guarantee: Guarantee) -> &'static str {
    match guarantee {
        Guarantee::AtLeastOnce => "at-least-once: results do not wait for their state",
        Guarantee::BestEffort => {
            "best-effort: results do not wait for their state, which is written a second later"
        }
        Guarantee::ExactlyOnce => "exactly-once",
    }
}

/// In which form a destination gets a result, unless it is the JSON object.
pub(super) fn formed(form: &Form) -> Option<String> {
    Some(match form {
        Form::Body => return None,
        Form::Cbor(_) => "as CBOR".to_owned(),
        Form::Csv(_) => "as a row of CSV".to_owned(),
        Form::Influx { measurement, .. } => format!("as a line of InfluxDB, {measurement}"),
        Form::Value(form, program) => {
            let form = match form {
                ValueForm::Cbor => "CBOR",
                ValueForm::Csv => "CSV",
                ValueForm::Json => "JSON",
                ValueForm::Number => "a number",
                ValueForm::Text => "a text",
            };
            format!("`{}` as {form}", words(program))
        }
    })
}

/// What a rule takes from a topic whose last value it knows.
pub(super) fn joined(join: &Join) -> String {
    let fields: Vec<&str> =
        join.fields.iter().map(|field| field.path.trim_start_matches('.')).collect();
    let mut text = format!("the last value of {}", join.filter.mqtt());
    if !join.decode.is_scalar() {
        write!(text, ": {}", list(fields.into_iter())).expect("a String takes everything");
    }
    if let Some(age) = join.max_age {
        write!(text, ", if it is not older than {}", format_duration(age))
            .expect("a String takes everything");
    }
    text
}

/// When an alert is sent.
pub(super) fn alerting(alert: &Alert) -> String {
    let held = |ms: i64| match ms {
        0 => String::new(),
        ms => format!(" for {}", format_duration(ms)),
    };
    let mut parts = Vec::new();
    if let Some(when) = &alert.when {
        parts.push(format!("fires when {}{}", when.source.trim(), held(alert.hold)));
        let clear = alert.clear.as_ref().map_or("it is not so", |clear| clear.source.trim());
        parts.push(format!("ends when {clear}{}", held(alert.clear_hold)));
    }
    if let Some(silent) = alert.silent {
        parts.push(format!("tells silence of {}", format_duration(silent)));
    }
    if let Some(repeat) = alert.repeat {
        parts.push(format!("reminds every {}", format_duration(repeat)));
    }
    parts.join("; ")
}
