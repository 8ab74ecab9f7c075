//! The forms a result can be sent in, beside the JSON object that every rule makes: one value, a
//! row of CSV, a line of the InfluxDB line protocol, a CBOR map.

mod cbor;
mod csv;
mod influx;

use crate::code;
use crate::expression::{Fault, Inputs, Program, evaluate};
use crate::json::{write_number, write_text};
use crate::value::{Texts, Value};

/// What a destination sends.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// The result as a JSON object, or the payload as it came.
    Body,
    Cbor(Vec<Column>),
    Csv(Vec<Column>),
    Influx {
        measurement: String,
        columns: Vec<Column>,
    },
    /// One value.
    Value(ValueForm, Program),
}

/// How one value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueForm {
    Cbor,
    Csv,
    Json,
    Number,
    Text,
}

/// An entry of a result: a group value or an output.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) slot: u16,
    /// Whether it is a value of `by`.
    pub(crate) is_key: bool,
}

/// What stands in the `window` entry of a result.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WindowLabel {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) late: u64,
    pub(crate) revision: u32,
    /// What tells it apart from the other windows of its key: its end, or its number.
    pub(crate) number: u64,
    /// When it was sent before its end, if it was.
    pub(crate) early: Option<i64>,
}

impl WindowLabel {
    /// The label of a window that no other of its key ends with.
    pub(crate) fn of(start: i64, end: i64) -> Self {
        Self { start, end, number: end as u64, ..Self::default() }
    }
}

impl Form {
    /// The payload of a result; `body` is its JSON object, or the payload that came.
    pub(crate) fn payload(
        &self,
        body: &[u8],
        window: Option<WindowLabel>,
        inputs: &Inputs<'_>,
        texts: &mut Texts<'_>,
        stack: &mut Vec<Value>,
    ) -> Result<Vec<u8>, Fault> {
        match self {
            Form::Body => Ok(body.to_vec()),
            Form::Cbor(columns) => Ok(cbor::map(columns, window, inputs.locals, texts)),
            Form::Csv(columns) => Ok(csv::row(columns, window, inputs.locals, texts).into_bytes()),
            Form::Influx { measurement, columns } => {
                let time = window.map_or(inputs.now, |window| window.end);
                influx::line(measurement, columns, inputs.locals, texts, time).map(String::into)
            }
            Form::Value(form, program) => {
                let value = evaluate(program, inputs, texts, stack)?;
                one_value(*form, program, value, texts)
            }
        }
    }
}

fn one_value(
    form: ValueForm,
    program: &Program,
    value: Value,
    texts: &Texts<'_>,
) -> Result<Vec<u8>, Fault> {
    let mut out = String::new();
    match (form, value) {
        (_, Value::Composite)
        | (ValueForm::Text, Value::Null)
        | (ValueForm::Number, Value::Bool(_) | Value::Json(_) | Value::Null | Value::Text(_)) => {
            let wanted = if form == ValueForm::Number { "a number" } else { "one value" };
            let (name, kind) = (&program.source, value.kind());
            return Err(fault(format!("`{name}` is {kind}, {wanted} is to be sent")));
        }
        (ValueForm::Cbor, value) => {
            let mut bytes = Vec::new();
            cbor::push_value(value, texts, &mut bytes);
            return Ok(bytes);
        }
        (ValueForm::Csv, value) => csv::push_value(value, texts, &mut out),
        (ValueForm::Text, Value::Text(text)) => out.push_str(texts.resolve(text)),
        (_, value) => write_json_value(value, texts, &mut out),
    }
    Ok(out.into_bytes())
}

/// A value as JSON.
pub(crate) fn write_json_value(value: Value, texts: &Texts<'_>, out: &mut String) {
    match value {
        Value::Bool(yes) => out.push_str(if yes { "true" } else { "false" }),
        Value::Composite | Value::Null => out.push_str("null"),
        Value::Json(text) => out.push_str(texts.resolve(text)),
        Value::Number(number) => write_number(number, out),
        Value::Text(text) => write_text(texts.resolve(text), out),
    }
}

/// The value of an entry.
fn value_of(column: &Column, locals: &[Value]) -> Value {
    locals.get(usize::from(column.slot)).copied().unwrap_or(Value::Null)
}

fn fault(message: String) -> Fault {
    Fault { code: code::FORM_FAULT, message }
}

#[cfg(test)]
mod tests;
