//! A message of a simulated device.

use std::fmt::{self, Write};

/// What a device publishes, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Topic name.
    pub topic: String,
    /// A JSON object.
    pub payload: String,
    /// When it is published, in milliseconds since the Unix epoch. A device with a clock says in
    /// `ts` when it happened, which may be earlier.
    pub at_ms: u64,
}

/// A JSON object of numbers, written field by field.
#[derive(Debug)]
pub(super) struct JsonObject(String);

impl JsonObject {
    pub(super) fn new() -> Self {
        Self(String::from("{"))
    }

    /// Adds a field; the name needs no escapes.
    pub(super) fn field(mut self, name: &str, value: impl fmt::Display) -> Self {
        let comma = if self.0.len() > 1 { "," } else { "" };
        write!(self.0, "{comma}\"{name}\":{value}").expect("a string takes everything");
        self
    }

    pub(super) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// Thousandths, shown with a number of digits after the point, rounded half away from zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decimal {
    pub(super) milli: i64,
    /// At most 3.
    pub(super) decimals: u8,
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
    }
}
