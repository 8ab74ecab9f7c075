//! The form of what a destination sends: `format`, `value` and `measurement`.

use super::section::Section;
use super::{Located, Place, Report};

/// The words of `format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FormatWord {
    Cbor,
    Csv,
    Influx,
    Json,
    Number,
    Text,
}

/// The form of a destination as it is written.
#[derive(Clone, Debug, Default)]
pub(crate) struct FormSpec {
    pub(crate) format: Option<(FormatWord, Place)>,
    /// An expression.
    pub(crate) value: Option<Located>,
    pub(crate) measurement: Option<Located>,
}

pub(super) fn read_form(section: &mut Section<'_, '_>, report: &mut Report<'_>) -> FormSpec {
    let words = [
        ("cbor", FormatWord::Cbor),
        ("csv", FormatWord::Csv),
        ("influx", FormatWord::Influx),
        ("json", FormatWord::Json),
        ("number", FormatWord::Number),
        ("text", FormatWord::Text),
    ];
    FormSpec {
        format: section.choice("format", &words, report),
        value: section.expression("value", report),
        measurement: section.text("measurement", report),
    }
}
