//! Values as they are published, and JSON objects of them.

use std::fmt::{self, Write};

/// A JSON object, written field by field.
#[derive(Debug)]
pub(crate) struct JsonObject(String);

impl JsonObject {
    pub(crate) fn new() -> Self {
        Self(String::from("{"))
    }

    /// Adds a field whose value is JSON as it is shown; the name needs no escapes.
    pub(crate) fn field(mut self, name: &str, value: impl fmt::Display) -> Self {
        let comma = if self.0.len() > 1 { "," } else { "" };
        write!(self.0, "{comma}\"{name}\":{value}").expect("a string takes everything");
        self
    }

    /// Adds a field with a text.
    pub(crate) fn text(self, name: &str, value: &str) -> Self {
        let quoted = serde_json::Value::from(value);
        self.field(name, quoted)
    }

    pub(crate) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// One value of a sample, shown as JSON.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// Thousandths with the digits that mean something.
    Decimal(Decimal),
    /// `true` or `false`.
    Flag(bool),
    /// A number that is finite, with this many digits after the point, or as many as needed.
    Number(f64, Option<u8>),
}

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decimal(decimal) => decimal.fmt(formatter),
            Self::Flag(flag) => flag.fmt(formatter),
            Self::Number(number, Some(decimals)) => {
                write!(formatter, "{number:.0$}", usize::from(*decimals))
            }
            Self::Number(number, None) => number.fmt(formatter),
        }
    }
}

/// Thousandths, shown with a number of digits after the point, rounded half away from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// The value in thousandths.
    pub milli: i64,
    /// Digits after the point, at most 3.
    pub decimals: u8,
}

impl fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = usize::from(self.decimals.min(3));
        let dropped = [1_000, 100, 10, 1][decimals];
        let rounded = (self.milli.unsigned_abs() + dropped / 2) / dropped;
        let scale = 1_000 / dropped;
        // What rounds to zero has no sign.
        let sign = if self.milli < 0 && rounded > 0 { "-" } else { "" };
        write!(formatter, "{sign}{}", rounded / scale)?;
        if decimals > 0 {
            write!(formatter, ".{:0decimals$}", rounded % scale)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_rounded_and_keep_their_zeros() {
        let shown = |milli, decimals| Decimal { milli, decimals }.to_string();
        assert_eq!(shown(21_505, 2), "21.51");
        assert_eq!(shown(-18_049, 1), "-18.0");
        assert_eq!(shown(-49, 1), "0.0");
        assert_eq!(shown(101_325_499, 0), "101325");
        assert_eq!(shown(1_005, 3), "1.005");
        assert_eq!(shown(999_999, 1), "1000.0");
    }

    #[test]
    fn object_is_json() {
        let object = JsonObject::new().field("a", 1).field("b", Decimal { milli: -5, decimals: 3 });
        assert_eq!(object.end(), r#"{"a":1,"b":-0.005}"#);
        assert_eq!(JsonObject::new().end(), "{}");
        let object = JsonObject::new().text("a", "one \"two\"\n").field("b", Value::Flag(true));
        assert_eq!(object.end(), r#"{"a":"one \"two\"\n","b":true}"#);
        assert_eq!(Value::Number(230.100_000_000_02, Some(1)).to_string(), "230.1");
    }
}
