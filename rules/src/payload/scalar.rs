//! Payloads that are one value.

use crate::value::Value;

/// A number with optional white space around it.
pub(crate) fn read_number(payload: &str) -> Option<Value> {
    let number: f64 = payload.trim().parse().ok()?;
    number.is_finite().then_some(Value::Number(number))
}

/// The usual ways of saying yes and no, in any case.
pub(crate) fn read_bool(payload: &str) -> Option<Value> {
    let word = payload.trim();
    let is = |words: [&str; 4]| words.iter().any(|known| word.eq_ignore_ascii_case(known));
    if is(["true", "on", "yes", "1"]) {
        Some(Value::Bool(true))
    } else if is(["false", "off", "no", "0"]) {
        Some(Value::Bool(false))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_have_white_space_but_no_unit() {
        assert_eq!(read_number(" 21.5\n"), Some(Value::Number(21.5)));
        assert_eq!(read_number("21.5 C"), None);
        assert_eq!(read_number("inf"), None);
        assert_eq!(read_number(""), None);
    }

    #[test]
    fn switches_are_true_or_false() {
        assert_eq!(read_bool("ON"), Some(Value::Bool(true)));
        assert_eq!(read_bool("0"), Some(Value::Bool(false)));
        assert_eq!(read_bool("maybe"), None);
    }
}
