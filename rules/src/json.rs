//! Values as JSON text. Numbers are written in the shortest form that reads back the same.

use std::fmt::Write;

/// Appends `number` in the form JSON wants: whole numbers without a point.
pub(crate) fn write_number(number: f64, out: &mut String) {
    debug_assert!(number.is_finite(), "values are finite");
    let whole = number as i64;
    let exact = whole as f64 == number && whole.unsigned_abs() < WHOLE_MAX;
    let negative_zero = number == 0.0 && number.is_sign_negative();
    let size = number.abs();
    let written = if exact && !negative_zero {
        write!(out, "{whole}")
    } else if size == 0.0 || (1e-5..1e17).contains(&size) {
        // `{:?}` keeps the point of -0.0 and of whole numbers.
        write!(out, "{number:?}")
    } else {
        write!(out, "{number:e}")
    };
    debug_assert!(written.is_ok(), "writing to a text cannot fail");
}

/// Appends a text as JSON.
pub(crate) fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if u32::from(control) < 0x20 => {
                out.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// 2^53: up to here each whole number has its own floating-point number.
const WHOLE_MAX: u64 = 1 << 53;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(number: f64) -> String {
        let mut out = String::new();
        write_number(number, &mut out);
        out
    }

    #[test]
    fn whole_numbers_have_no_point() {
        assert_eq!(text(58.0), "58");
        assert_eq!(text(-3.0), "-3");
        assert_eq!(text(21.4), "21.4");
        assert_eq!(text(-0.0), "-0.0");
        assert_eq!(text(1e300), "1e300");
    }

    proptest! {
        #[test]
        fn every_number_reads_back_as_itself(bits in any::<u64>()) {
            let number = f64::from_bits(bits);
            prop_assume!(number.is_finite());
            let back: f64 = serde_json::from_str(&text(number)).unwrap();
            prop_assert_eq!(back.to_bits(), number.to_bits());
        }

        #[test]
        fn every_text_is_valid_json(text in "\\PC{0,20}[\\x00-\\x1f\"\\\\]{0,5}") {
            let mut out = String::new();
            write_text(&text, &mut out);
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }
}
