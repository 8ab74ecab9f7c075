//! What messages of a filter look like, and a rule for them to begin with.
//!
//! A few messages say which fields there are, of which kind and size, which of them is a time, and
//! how often a topic is published. What is remembered is bounded, however many messages come.

mod suggestion;
mod unseen;

pub use unseen::unseen_fields;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::limits::{OBSERVED_FIELDS_MAX, OBSERVED_TEXTS_MAX, OBSERVED_TOPICS_MAX};
use crate::message::Timestamp;
use crate::payload::{read_bool, read_number};
use crate::watermark::{CLOCK_TRUSTED_FROM, Unit};

/// Looks at the messages of a filter.
///
/// ```
/// use weir_rules::{Observer, Timestamp};
///
/// let mut observer = Observer::new("site/+/climate");
/// for second in 0..60 {
///     let payload = format!(r#"{{"temperature":{}}}"#, 20 + second % 3);
///     observer.observe("site/hall/climate", payload.as_bytes(), Timestamp(1_767_225_600_000 + second * 1000));
/// }
/// let rule = observer.suggest();
/// assert!(rule.contains("from   = \"site/{site}/climate\""), "{rule}");
/// assert!(rule.contains("temperature = \"avg(temperature)\""), "{rule}");
/// ```
#[derive(Debug)]
pub struct Observer {
    filter: String,
    messages: u64,
    first: Option<i64>,
    last: i64,
    topics: BTreeSet<String>,
    forms: Forms,
    /// By path, as it is written in an expression.
    fields: BTreeMap<String, Seen>,
}

/// How many payloads could be read as what.
#[derive(Debug, Default)]
struct Forms {
    objects: u64,
    numbers: u64,
    switches: u64,
    texts: u64,
    other: u64,
}

/// What was seen of a field.
#[derive(Debug, Default)]
struct Seen {
    count: u64,
    numbers: u64,
    least: f64,
    most: f64,
    last: f64,
    /// Whether it has never become smaller.
    rises: bool,
    /// Unit as which every value is near its arrival.
    time: Option<Time>,
    switches: u64,
    texts: BTreeSet<String>,
    /// Objects that have no fields.
    objects: u64,
    other: u64,
}

/// A field that could be a time.
#[derive(Clone, Copy, Debug)]
struct Time {
    unit: Unit,
    newest: i64,
    /// How far a value was behind the newest one at most, in milliseconds.
    behind: i64,
}

impl Observer {
    /// An observer that has seen nothing.
    #[must_use]
    pub fn new(filter: &str) -> Self {
        Self {
            filter: filter.to_owned(),
            messages: 0,
            first: None,
            last: 0,
            topics: BTreeSet::new(),
            forms: Forms::default(),
            fields: BTreeMap::new(),
        }
    }

    /// Looks at a message.
    pub fn observe(&mut self, topic: &str, payload: &[u8], arrived: Timestamp) {
        if payload.is_empty() {
            return;
        }
        self.messages += 1;
        self.first.get_or_insert(arrived.0);
        self.last = arrived.0;
        if self.topics.len() < OBSERVED_TOPICS_MAX && !self.topics.contains(topic) {
            self.topics.insert(topic.to_owned());
        }
        let Ok(text) = std::str::from_utf8(payload) else {
            self.forms.other += 1;
            return;
        };
        match serde_json::from_str(text) {
            Ok(value @ Value::Object(_)) => {
                self.forms.objects += 1;
                self.look_into("", &value, arrived.0, 0);
            }
            _ if read_number(text).is_some() => {
                self.forms.numbers += 1;
                let number = text.trim().parse().unwrap_or_default();
                self.field("value").number(number, arrived.0);
            }
            _ if read_bool(text).is_some() => self.forms.switches += 1,
            _ => {
                self.forms.texts += 1;
                self.field("value").text(text, arrived.0);
            }
        }
    }

    /// Messages that were looked at.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// A rule for messages like these, with what was seen as comments: TOML that compiles.
    #[must_use]
    pub fn suggest(&self) -> String {
        suggestion::write(self)
    }

    /// Notes the fields of an object; `false` if it has none that can be named.
    fn look_into(&mut self, path: &str, value: &Value, arrived: i64, depth: usize) -> bool {
        let Value::Object(entries) = value else { return false };
        let mut has_fields = false;
        for (name, value) in entries {
            let Some(path) = join(path, name) else { continue };
            has_fields = true;
            let is_object = value.is_object() && depth < DEPTH_MAX;
            if is_object && self.look_into(&path, value, arrived, depth + 1) {
                continue;
            }
            if !self.fields.contains_key(&path) && self.fields.len() >= OBSERVED_FIELDS_MAX {
                continue;
            }
            let seen = self.field(&path);
            match value {
                Value::Bool(_) => seen.switch(),
                Value::Number(number) => seen.number(number.as_f64().unwrap_or(f64::NAN), arrived),
                Value::String(text) => seen.text(text, arrived),
                _ if is_object => seen.object(),
                _ => seen.other(),
            }
        }
        has_fields
    }

    fn field(&mut self, path: &str) -> &mut Seen {
        self.fields.entry(path.to_owned()).or_default()
    }
}

impl Seen {
    fn number(&mut self, number: f64, arrived: i64) {
        let first = self.numbers == 0;
        self.least = if first { number } else { self.least.min(number) };
        self.most = if first { number } else { self.most.max(number) };
        self.rises = first || (self.rises && number >= self.last);
        self.last = number;
        self.numbers += 1;
        self.count += 1;
        let unit = Unit::guess(number);
        self.stamp(unit, unit.milliseconds(number), arrived);
    }

    fn text(&mut self, text: &str, arrived: i64) {
        self.count += 1;
        if self.texts.len() < OBSERVED_TEXTS_MAX && text.len() <= TEXT_SHOWN_MAX {
            self.texts.insert(text.to_owned());
        }
        self.stamp(Unit::Rfc3339, crate::calendar::read_timestamp(text), arrived);
    }

    fn switch(&mut self) {
        self.count += 1;
        self.switches += 1;
    }

    fn object(&mut self) {
        self.count += 1;
        self.objects += 1;
    }

    fn other(&mut self) {
        self.count += 1;
        self.other += 1;
    }

    /// Notes whether a value is a time near its arrival.
    fn stamp(&mut self, unit: Unit, time: Option<i64>, arrived: i64) {
        // Small numbers are near a clock that was never set.
        let trusted = arrived >= CLOCK_TRUSTED_FROM;
        let near = time.filter(|time| trusted && (time - arrived).abs() <= DAY_MS);
        let known = self.time.take();
        let Some(time) = near else { return };
        self.time = match known {
            None if self.count > 1 => None,
            Some(known) if known.unit != unit => None,
            None => Some(Time { unit, newest: time, behind: 0 }),
            Some(known) => Some(Time {
                unit,
                newest: known.newest.max(time),
                behind: known.behind.max(known.newest - time),
            }),
        };
    }
}

/// The path of a field of an object; `None` if it cannot be written.
fn join(path: &str, name: &str) -> Option<String> {
    let is_word = name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic())
        && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
    let whole = match (path.is_empty(), is_word) {
        (true, true) if crate::expression::RESERVED.contains(&name) => format!("payload.{name}"),
        (true, true) => name.to_owned(),
        (false, true) => format!("{path}.{name}"),
        _ if name.contains(['\'', '\\', '"']) || name.chars().any(char::is_control) => return None,
        (true, false) => format!("payload['{name}']"),
        (false, false) => format!("{path}['{name}']"),
    };
    (whole.len() <= PATH_BYTES_MAX).then_some(whole)
}

const DEPTH_MAX: usize = 4;
const PATH_BYTES_MAX: usize = 128;
const TEXT_SHOWN_MAX: usize = 24;
const DAY_MS: i64 = 86_400_000;

#[cfg(test)]
mod tests;
