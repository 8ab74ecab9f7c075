//! Payloads to values: each message is read once, for all rules that look at it.
//!
//! A payload is one message or, with some decoders, several: rows, lines or metrics. Decoders fill
//! the slots of the fields that rules name and build nothing else.

mod binary;
mod cbor;
mod csv;
mod field;
mod fixed;
mod influx;
mod json;
mod message_pack;
mod problem;
mod protobuf;
mod scalar;
mod slots;
mod sparkplug;

pub(crate) use csv::{CsvForm, CsvRows};
pub(crate) use field::{FieldTree, Step};
pub(crate) use fixed::Fixed;
pub(crate) use influx::InfluxLines;
pub(crate) use problem::DecodeError;
pub(crate) use scalar::{read_bool, read_number};
pub(crate) use slots::Slots;
pub(crate) use sparkplug::{METRIC_FIELDS, Metric, Metrics};

use std::str::Utf8Error;
use std::sync::Arc;

use crate::value::{Place, Value, whole};

/// How a payload is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decode {
    Bool,
    /// Values at fixed places.
    Bytes(Arc<[Fixed]>),
    Cbor,
    Csv(Arc<CsvForm>),
    Influx,
    Json,
    MessagePack,
    Number,
    Sparkplug,
    Text,
}

/// Reads JSON into the slots of `tree`; what they and the arena hold goes.
pub(crate) fn read_json(
    payload: &str,
    tree: &FieldTree,
    values: &mut [Value],
    arena: &mut String,
) -> Result<(), DecodeError> {
    let mut slots = Slots::clear(tree, values, arena);
    Decode::Json.read(payload.as_bytes(), Ok(payload), &mut slots)
}

/// One of several messages of a payload.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record<'p> {
    /// The part of the payload that is it.
    pub(crate) payload: &'p [u8],
    /// Its row or line.
    pub(crate) number: u32,
    pub(crate) outcome: Result<(), DecodeError>,
}

impl Decode {
    /// Whether the payload is one value without a name.
    pub(crate) fn is_scalar(&self) -> bool {
        matches!(self, Decode::Bool | Decode::Number | Decode::Text)
    }

    /// The value of a payload that is one, see [`Decode::is_scalar`].
    pub(crate) fn read_value(&self, payload: &str) -> Result<Value, DecodeError> {
        let (value, wanted) = match self {
            Decode::Bool => (read_bool(payload), "true or false"),
            Decode::Number => (read_number(payload), "a number"),
            _ => (Some(whole(Place::Payload, payload)), "a text"),
        };
        value.ok_or(DecodeError::Value(wanted))
    }

    /// What tells it apart from others. It goes into stored hashes: what is there must stay.
    pub(crate) fn identity(&self) -> String {
        match self {
            Decode::Bool => "Bool".to_owned(),
            Decode::Bytes(fields) => {
                let fields = fields.iter().map(|field| format!("{:?}={}", field.name, field.text));
                format!("Bytes;{}", fields.collect::<Vec<_>>().join(";"))
            }
            Decode::Cbor => "Cbor".to_owned(),
            Decode::Csv(form) => {
                let CsvForm { columns, separator, decimal_comma } = &**form;
                let columns =
                    columns.as_ref().map_or("header".to_owned(), |list| format!("{list:?}"));
                format!("Csv;{separator};{decimal_comma};{columns}")
            }
            Decode::Influx => "Influx".to_owned(),
            Decode::Json => "Json".to_owned(),
            Decode::MessagePack => "MessagePack".to_owned(),
            Decode::Number => "Number".to_owned(),
            Decode::Sparkplug => "Sparkplug".to_owned(),
            Decode::Text => "Text".to_owned(),
        }
    }

    /// Reads a payload that is one message. Those that are one value are only checked, those of
    /// several messages have readers of their own.
    pub(crate) fn read(
        &self,
        payload: &[u8],
        text: Result<&str, Utf8Error>,
        slots: &mut Slots<'_>,
    ) -> Result<(), DecodeError> {
        match self {
            Decode::Bytes(fields) => fixed::read_fixed(payload, fields, slots),
            Decode::Cbor => cbor::read_cbor(payload, slots),
            Decode::Json => json::read_json(text.map_err(|_| DecodeError::Utf8)?, slots)
                .map_err(|error| DecodeError::Json(error.to_string())),
            Decode::MessagePack => message_pack::read_message_pack(payload, slots),
            _ => text.map(|_| ()).map_err(|_| DecodeError::Utf8),
        }
    }
}

#[cfg(test)]
mod tests;
