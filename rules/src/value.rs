//! Values while a message is computed: small, copied, without a lifetime.
//!
//! A text is a range of one of five buffers ([`Texts`]), so that a value can wait in a reused
//! stack or table while the message it came from is gone. Numbers are always finite: what is not
//! (a division by zero, an overflow) is null.

/// A value of an expression.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    /// An object or an array: it can be named, but nothing can be computed with it.
    Composite,
    /// An array that was made here, as JSON.
    Json(Text),
    Null,
    Number(f64),
    Text(Text),
}

impl Value {
    /// A number, or null if it is not finite.
    pub(crate) fn finite(number: f64) -> Self {
        if number.is_finite() { Value::Number(number) } else { Value::Null }
    }

    /// The kind of value, for messages.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Value::Bool(_) => "true or false",
            Value::Composite | Value::Json(_) => "an object or array",
            Value::Null => "null",
            Value::Number(_) => "a number",
            Value::Text(_) => "a text",
        }
    }
}

/// A range of one of the buffers of [`Texts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) place: Place,
    pub(crate) start: u32,
    pub(crate) len: u32,
}

/// Which buffer a text is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Arena,
    Client,
    Constant,
    Payload,
    Topic,
}

/// The buffers that texts point into. All but the arena are as long-lived as the message.
#[derive(Debug, Default)]
pub(crate) struct Texts<'a> {
    /// Texts made while computing; cleared for each message and rule.
    pub(crate) arena: String,
    pub(crate) client: &'a str,
    pub(crate) constants: &'a str,
    pub(crate) payload: &'a str,
    pub(crate) topic: &'a str,
}

impl Texts<'_> {
    /// The characters of a text.
    pub(crate) fn resolve(&self, text: Text) -> &str {
        let buffer = match text.place {
            Place::Arena => self.arena.as_str(),
            Place::Client => self.client,
            Place::Constant => self.constants,
            Place::Payload => self.payload,
            Place::Topic => self.topic,
        };
        let start = text.start as usize;
        let found = buffer.get(start..start + text.len as usize);
        debug_assert!(found.is_some(), "a text lies in its buffer");
        found.unwrap_or_default()
    }

    /// Appends to the arena what `write` writes.
    pub(crate) fn append(&mut self, write: impl FnOnce(&mut String)) -> Value {
        let start = self.arena.len();
        write(&mut self.arena);
        let len = self.arena.len() - start;
        Value::Text(Text { place: Place::Arena, start: start as u32, len: len as u32 })
    }

    /// Appends to the arena what `write` writes: JSON.
    pub(crate) fn append_json(&mut self, write: impl FnOnce(&mut String)) -> Value {
        match self.append(write) {
            Value::Text(text) => Value::Json(text),
            other => other,
        }
    }

    /// Copies a text to the arena.
    pub(crate) fn store(&mut self, text: &str) -> Value {
        self.append(|arena| arena.push_str(text))
    }
}

/// The whole of a buffer as a value.
pub(crate) fn whole(place: Place, text: &str) -> Value {
    Value::Text(Text { place, start: 0, len: text.len() as u32 })
}
