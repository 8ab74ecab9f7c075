//! Sparkplug B payloads: metrics, each of them a message of its own.
//!
//! A metric may leave out its name (it has an alias then) and its kind: both stand in the birth of
//! its device only. Who reads metrics keeps the births and fills them in, see [`Metric::known`].

use super::protobuf::{Protobuf, Wire};
use super::{DecodeError, FieldTree, Slots};
use crate::value::Value;

/// The metrics of a payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metrics<'p> {
    payload: Protobuf<'p>,
    timestamp: Option<u64>,
}

/// A value as a device reports it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Metric<'p> {
    /// Its bytes.
    pub(crate) bytes: &'p [u8],
    pub(crate) name: Option<&'p str>,
    pub(crate) alias: Option<u64>,
    /// Milliseconds since the Unix epoch.
    timestamp: Option<u64>,
    /// See [`Kind`].
    pub(crate) kind: Option<u32>,
    is_historical: bool,
    is_null: bool,
    value: Option<Raw<'p>>,
}

/// A value as it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Raw<'p> {
    Bool(bool),
    Bytes(&'p [u8]),
    Composite,
    Double(f64),
    Int(u32),
    Long(u64),
    Text(&'p str),
}

impl<'p> Metrics<'p> {
    /// Checks the payload as a whole, so that a broken one does nothing by half.
    pub(crate) fn new(payload: &'p [u8]) -> Result<Self, DecodeError> {
        let payload = Protobuf::new(payload, FORMAT);
        let mut timestamp = None;
        let mut fields = payload;
        while let Some((number, value)) = fields.next()? {
            match (number, value) {
                (PAYLOAD_TIMESTAMP, Wire::Varint(ms)) => timestamp = Some(ms),
                (PAYLOAD_METRICS, Wire::Bytes(metric)) => {
                    Metric::read(metric)?;
                }
                _ => {}
            }
        }
        Ok(Self { payload, timestamp })
    }
}

impl<'p> Iterator for Metrics<'p> {
    type Item = Metric<'p>;

    fn next(&mut self) -> Option<Metric<'p>> {
        loop {
            // It was read before.
            let (number, value) = self.payload.next().ok()??;
            if let (PAYLOAD_METRICS, Wire::Bytes(bytes)) = (number, value) {
                let metric = Metric::read(bytes).ok()?;
                return Some(Metric { timestamp: metric.timestamp.or(self.timestamp), ..metric });
            }
        }
    }
}

impl<'p> Metric<'p> {
    fn read(bytes: &'p [u8]) -> Result<Self, DecodeError> {
        let mut metric = Metric { bytes, ..Metric::default() };
        let mut fields = Protobuf::new(bytes, FORMAT);
        while let Some((number, value)) = fields.next()? {
            metric.set(number, value)?;
        }
        Ok(metric)
    }

    fn set(&mut self, number: u64, value: Wire<'p>) -> Result<(), DecodeError> {
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| DecodeError::Utf8);
        match (number, value) {
            (1, Wire::Bytes(bytes)) => self.name = Some(text(bytes)?),
            (2, Wire::Varint(alias)) => self.alias = Some(alias),
            (3, Wire::Varint(ms)) => self.timestamp = Some(ms),
            (4, Wire::Varint(kind)) => self.kind = Some(kind as u32),
            (5, Wire::Varint(yes)) => self.is_historical = yes != 0,
            (7, Wire::Varint(yes)) => self.is_null = yes != 0,
            (10, Wire::Varint(int)) => self.value = Some(Raw::Int(int as u32)),
            (11, Wire::Varint(long)) => self.value = Some(Raw::Long(long)),
            (12, Wire::Fixed32(bits)) => {
                self.value = Some(Raw::Double(f64::from(f32::from_bits(bits))));
            }
            (13, Wire::Fixed64(bits)) => self.value = Some(Raw::Double(f64::from_bits(bits))),
            (14, Wire::Varint(yes)) => self.value = Some(Raw::Bool(yes != 0)),
            (15, Wire::Bytes(bytes)) => self.value = Some(Raw::Text(text(bytes)?)),
            (16, Wire::Bytes(bytes)) => self.value = Some(Raw::Bytes(bytes)),
            (17..=19, Wire::Bytes(_)) => self.value = Some(Raw::Composite),
            _ => {}
        }
        Ok(())
    }

    /// The metric with what its birth says about it.
    pub(crate) fn known<'b>(&self, name: &'b str, kind: Option<u32>) -> Metric<'b>
    where
        'p: 'b,
    {
        Metric { name: self.name.or(Some(name)), kind: self.kind.or(kind), ..*self }
    }

    /// Whether its value means something else if its kind has a sign.
    pub(crate) fn needs_kind(&self) -> bool {
        match self.value {
            Some(Raw::Int(int)) => self.kind.is_none() && int > i32::MAX as u32,
            Some(Raw::Long(long)) => self.kind.is_none() && long > i64::MAX as u64,
            _ => false,
        }
    }

    /// Puts it into the slots.
    pub(crate) fn fill(&self, slots: &mut Slots<'_>) {
        let field = |slots: &Slots<'_>, name| slots.field(Some(FieldTree::ROOT), name);
        if let Some(name) = self.name {
            slots.set_text(field(slots, "metric"), name);
        }
        if let Some(name) = self.kind.and_then(kind_name) {
            slots.set_text(field(slots, "datatype"), name);
        }
        let number = |number: Option<u64>| number.map_or(Value::Null, |n| Value::Number(n as f64));
        slots.set(field(slots, "alias"), number(self.alias));
        slots.set(field(slots, "timestamp"), number(self.timestamp));
        slots.set(field(slots, "is_historical"), Value::Bool(self.is_historical));
        slots.set(field(slots, "is_null"), Value::Bool(self.is_null || self.value.is_none()));
        let node = field(slots, "value");
        match self.value.filter(|_| !self.is_null) {
            None => {}
            Some(Raw::Bool(yes)) => slots.set(node, Value::Bool(yes)),
            Some(Raw::Bytes(_)) if self.kind.is_some_and(|kind| ARRAYS.contains(&kind)) => {
                slots.set(node, Value::Composite);
            }
            Some(Raw::Bytes(bytes)) => slots.set_hex(node, bytes),
            Some(Raw::Composite) => slots.set(node, Value::Composite),
            Some(Raw::Double(number)) => slots.set_number(node, number),
            Some(Raw::Int(int)) => slots.set_number(node, self.whole(u64::from(int))),
            Some(Raw::Long(long)) => slots.set_number(node, self.whole(long)),
            Some(Raw::Text(text)) => slots.set_text(node, text),
        }
    }

    /// A whole number: signed ones are written as if they had no sign.
    fn whole(&self, bits: u64) -> f64 {
        match self.kind {
            Some(1) => f64::from(bits as i8),
            Some(2) => f64::from(bits as i16),
            Some(3) => f64::from(bits as i32),
            Some(4) => bits as i64 as f64,
            _ => bits as f64,
        }
    }
}

/// Names of the kinds of values, by their numbers.
fn kind_name(kind: u32) -> Option<&'static str> {
    KINDS.get(kind as usize).copied()
}

/// The fields that a metric gives.
pub(crate) const METRIC_FIELDS: [&str; 7] =
    ["alias", "datatype", "is_historical", "is_null", "metric", "timestamp", "value"];

const KINDS: [&str; 35] = [
    "Unknown",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "UInt8",
    "UInt16",
    "UInt32",
    "UInt64",
    "Float",
    "Double",
    "Boolean",
    "String",
    "DateTime",
    "Text",
    "UUID",
    "DataSet",
    "Bytes",
    "File",
    "Template",
    "PropertySet",
    "PropertySetList",
    "Int8Array",
    "Int16Array",
    "Int32Array",
    "Int64Array",
    "UInt8Array",
    "UInt16Array",
    "UInt32Array",
    "UInt64Array",
    "FloatArray",
    "DoubleArray",
    "BooleanArray",
    "StringArray",
    "DateTimeArray",
];
const ARRAYS: std::ops::RangeInclusive<u32> = 22..=34;
const FORMAT: &str = "Sparkplug B";
const PAYLOAD_TIMESTAMP: u64 = 1;
const PAYLOAD_METRICS: u64 = 2;

#[cfg(test)]
mod tests;
