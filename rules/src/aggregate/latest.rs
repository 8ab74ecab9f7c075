//! The latest values, for `collect`.

use super::series::Series;
use crate::boxed;
use crate::json::{write_number, write_text};
use crate::value::{Texts, Value};

/// Adds a value to the latest ones.
pub(super) fn collect(
    series: &mut Series<(u64, Option<Box<str>>)>,
    max: usize,
    time: i64,
    value: (u64, Option<Box<str>>),
) {
    if series.len() >= max && series.first_time().is_some_and(|first| time < first) {
        return;
    }
    series.insert(time, value);
    while series.len() > max {
        series.take_first();
    }
}

/// Values as a JSON array.
pub(super) fn list(series: &Series<(u64, Option<Box<str>>)>, texts: &mut Texts<'_>) -> Value {
    texts.append_json(|out| {
        out.push('[');
        for (position, (_, (bits, text))) in series.iter().enumerate() {
            if position > 0 {
                out.push(',');
            }
            match (text, boxed::plain(*bits)) {
                (Some(text), _) => write_text(text, out),
                (None, Value::Number(number)) => write_number(number, out),
                (None, Value::Bool(yes)) => out.push_str(if yes { "true" } else { "false" }),
                (None, _) => out.push_str("null"),
            }
        }
        out.push(']');
    })
}
