//! What came from outside, as text for people: one line, whatever is in it. A publisher must not be
//! able to write lines of its own into a terminal, or move its cursor.

use std::borrow::Cow;

use crate::message::Emission;

/// Text without characters that a terminal acts on.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().map(escape).collect()
}

/// The beginning of a payload of `whole` bytes as text, or as hexadecimal digits if it is none.
pub(crate) fn text_or_digits(beginning: &[u8], whole: usize) -> Result<&str, String> {
    let (text, error) = match std::str::from_utf8(beginning) {
        Ok(text) => return Ok(text),
        Err(error) => (beginning.get(..error.valid_up_to()), error),
    };
    match text.and_then(|text| std::str::from_utf8(text).ok()) {
        // What is cut within a character is text all the same.
        Some(text) if error.error_len().is_none() && beginning.len() < whole => Ok(text),
        _ => Err(beginning.iter().map(|byte| format!("{byte:02x}")).collect()),
    }
}

/// What a rule sends, in one line: at most `shown_max` bytes of its payload, which has `whole`
/// bytes, and of which the emission may have the beginning only.
pub(crate) fn sent_line(emission: &Emission, whole: usize, shown_max: usize) -> String {
    let upstream = emission.upstream.as_ref();
    let to = upstream.map(|name| format!("{name}: ")).unwrap_or_default();
    let beginning = emission.payload.get(..shown_max).unwrap_or(&emission.payload);
    let payload = match text_or_digits(beginning, whole) {
        Ok(text) => escaped(text).into_owned(),
        Err(digits) => digits,
    };
    let more = match whole - beginning.len() {
        0 => String::new(),
        more => format!("... {more} more"),
    };
    let error = emission.error.as_ref();
    let error = error.map(|error| format!(" ({}: {})", error.code, escaped(&error.message)));
    let topic = escaped(&emission.topic);
    format!("{to}{topic} {payload}{more}{}", error.unwrap_or_default())
}
