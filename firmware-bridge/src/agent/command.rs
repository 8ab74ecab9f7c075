//! Commands for actuators: what they say, and what is remembered of them.

use super::device::{ActuatorKind, DeviceId};
use crate::session::DeliveryId;

/// An actuator of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ActuatorId {
    /// The device.
    pub device: DeviceId,
    /// Its place among the actuators of the device.
    pub actuator: usize,
}

/// Something that a thread is to do; it is answered once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderId(pub u64);

/// An order that has not been answered.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) id: OrderId,
    /// `None` = nobody waits for it any longer.
    pub(crate) deadline_ms: Option<u64>,
    /// `None` for a safe state, which nobody asked for, and for a command that has ended.
    pub(crate) command: Option<Command>,
}

/// Who asked, and how they know the answer.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) correlation: Option<String>,
    /// Deliveries that are acknowledged with the answer: one, and those that came twice.
    pub(crate) deliveries: Vec<DeliveryId>,
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) correlation: String,
    pub(crate) at_ms: u64,
    /// The payload that was published.
    pub(crate) result: String,
}

/// What a payload says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parsed {
    /// The value, or why there is none.
    pub(crate) value: Result<f64, String>,
    pub(crate) correlation: Option<String>,
}

/// Reads `ON`, `21.5`, or `{"value":21.5,"correlation":"a"}`.
pub(crate) fn parse(payload: &[u8], kind: &ActuatorKind) -> Parsed {
    let refused = |reason: &str| Parsed { value: Err(reason.to_owned()), correlation: None };
    if payload.len() > PAYLOAD_BYTES_MAX {
        return refused(&format!("a command has at most {PAYLOAD_BYTES_MAX} bytes"));
    }
    let Ok(text) = std::str::from_utf8(payload) else {
        return refused("a command is text in UTF-8");
    };
    let text = text.trim();
    if !text.starts_with('{') {
        return Parsed { value: value_of_text(text, kind), correlation: None };
    }
    let Ok(serde_json::Value::Object(object)) = serde_json::from_str(text) else {
        return refused("the command is not JSON");
    };
    let correlation = match object.get("correlation") {
        None => None,
        Some(serde_json::Value::String(text)) if text.len() <= CORRELATION_BYTES_MAX => {
            Some(text.clone())
        }
        Some(_) => return refused("`correlation` is a text of at most 128 bytes"),
    };
    let value = match object.get("value") {
        Some(serde_json::Value::Bool(flag)) => in_range(f64::from(u8::from(*flag)), kind),
        Some(serde_json::Value::Number(number)) => match number.as_f64() {
            Some(number) => in_range(number, kind),
            None => Err("`value` is a number".to_owned()),
        },
        Some(serde_json::Value::String(text)) => value_of_text(text, kind),
        _ => Err("a command needs a `value`".to_owned()),
    };
    Parsed { value, correlation }
}

fn value_of_text(text: &str, kind: &ActuatorKind) -> Result<f64, String> {
    let lower = text.to_ascii_lowercase();
    match (kind, lower.as_str()) {
        (ActuatorKind::Switch, "on" | "true") => Ok(1.0),
        (ActuatorKind::Switch, "off" | "false") => Ok(0.0),
        _ => match lower.parse() {
            Ok(number) => in_range(number, kind),
            Err(_) => Err(wanted(kind)),
        },
    }
}

fn in_range(number: f64, kind: &ActuatorKind) -> Result<f64, String> {
    let is_right = match *kind {
        // A number that is not one is in no range.
        ActuatorKind::Number { min, max, .. } => (min..=max).contains(&number),
        ActuatorKind::Switch => number == 0.0 || number == 1.0,
    };
    if is_right { Ok(number) } else { Err(wanted(kind)) }
}

fn wanted(kind: &ActuatorKind) -> String {
    match kind {
        ActuatorKind::Number { min, max, .. } => format!("must be a number from {min} to {max}"),
        ActuatorKind::Switch => "must be ON or OFF".to_owned(),
    }
}

const PAYLOAD_BYTES_MAX: usize = 1_024;
const CORRELATION_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn value(payload: &str, kind: &ActuatorKind) -> Result<f64, String> {
        parse(payload.as_bytes(), kind).value
    }

    #[test]
    fn switch_takes_words_bits_and_objects() {
        let kind = &ActuatorKind::Switch;
        for on in ["ON", "on", " true\n", "1", "{\"value\":true}", "{\"value\":\"ON\"}"] {
            assert_eq!(value(on, kind), Ok(1.0), "{on}");
        }
        for off in ["OFF", "false", "0", "{\"value\":0}"] {
            assert_eq!(value(off, kind), Ok(0.0), "{off}");
        }
        for wrong in ["", "open", "2", "0.5", "NaN", "{\"value\":2}", "{\"valu\":1}", "{", "[1]"] {
            assert!(value(wrong, kind).is_err(), "{wrong}");
        }
        assert!(parse(&[0xff, 0xfe], kind).value.is_err());
        assert!(parse(&[b'1'; 2_000], kind).value.is_err());
    }

    #[test]
    fn number_is_in_its_range() {
        let kind = &ActuatorKind::Number { min: -5.0, max: 30.0, decimals: 1, unit: String::new() };
        assert_eq!(value("21.5", kind), Ok(21.5));
        assert_eq!(value("{\"value\":-5}", kind), Ok(-5.0));
        for wrong in ["30.1", "ON", "NaN", "inf", "{\"value\":31}", "{\"value\":null}"] {
            assert!(value(wrong, kind).is_err(), "{wrong}");
        }
        assert!(value("31", kind).unwrap_err().contains("-5 to 30"));
    }

    #[test]
    fn correlation_is_a_short_text() {
        let kind = &ActuatorKind::Switch;
        let parsed = parse(b"{\"value\":1,\"correlation\":\"a7\"}", kind);
        assert_eq!(parsed, Parsed { value: Ok(1.0), correlation: Some("a7".to_owned()) });
        assert!(parse(b"{\"value\":1,\"correlation\":7}", kind).value.is_err());
        let parsed = parse(b"{\"value\":9,\"correlation\":\"a7\"}", kind);
        assert_eq!(parsed.correlation.as_deref(), Some("a7"), "known although the value is wrong");
    }
}
