//! `[[rule.NAME.test]]`: what is played and what is expected.

use base64ct::{Base64, Encoding};
use toml::de::DeValue;

use super::section::{Entry, Section};
use super::{Located, Place, Report};
use crate::calendar::read_timestamp;
use crate::code;
use crate::json::write_text;
use crate::limits::ENTRIES_MAX;

/// A test as it is written. Times are milliseconds from its start.
#[derive(Clone, Debug)]
pub(crate) struct CaseSpec {
    pub(crate) name: Located,
    /// Milliseconds since the Unix epoch at `0s`.
    pub(crate) start: i64,
    /// How far the clock goes; as far as there are timers if not given.
    pub(crate) until: Option<i64>,
    pub(crate) play: Vec<Step>,
    pub(crate) expect: Vec<Expectation>,
}

/// A step of a test.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) at: i64,
    pub(crate) action: Action,
}

/// What is done in a step.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Message(StepMessage),
    /// The engine is thrown away and made anew from what was stored.
    PowerCut,
}

/// A message to play, perhaps several times.
#[derive(Clone, Debug)]
pub(crate) struct StepMessage {
    pub(crate) topic: String,
    pub(crate) payload: PayloadSpec,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) client: String,
    pub(crate) repeat: u32,
    pub(crate) every: i64,
    /// How much the number of the payload (empty name) or of a field differs at random.
    pub(crate) jitter: Vec<(String, f64)>,
}

/// A payload as it is written.
#[derive(Clone, Debug)]
pub(crate) enum PayloadSpec {
    Bytes(Vec<u8>),
    /// `${at}` and `${n}` stand for the time in milliseconds and the number of the repetition.
    Text(String),
}

/// What must have been sent.
#[derive(Clone, Debug)]
pub(crate) struct Expectation {
    pub(crate) place: Place,
    /// A topic filter.
    pub(crate) topic: Option<Located>,
    /// An expression over the message that was sent.
    pub(crate) filter: Option<Located>,
    pub(crate) payload: Option<PayloadSpec>,
    /// How often; at least once if not given.
    pub(crate) times: Option<u64>,
}

pub(super) fn read_case(entry: &Entry<'_, '_>, report: &mut Report<'_>) -> Option<CaseSpec> {
    let mut section = entry.table("a test", report)?;
    let name = section.text("name", report);
    let start = section.text("start", report).and_then(|text| {
        let read = read_timestamp(&text.value);
        if read.is_none() {
            let label = "for example 2026-01-01T00:00:00Z";
            report.error(code::QUANTITY, "`start` is not a time stamp", &text.place, label);
        }
        read
    });
    let until = section.duration("until", report);
    let play = section.take("play").map_or(Vec::new(), |entry| entry.list());
    let expect = section.take("expect").map_or(Vec::new(), |entry| entry.list());
    section.finish(report);
    if name.is_none() {
        report.error(code::MISSING_KEY, "the test has no name", &entry.place, "no `name`");
    }
    for (what, list) in [("play", &play), ("expect", &expect)] {
        if list.is_empty() || list.len() > STEPS_MAX {
            let message = format!("a test needs 1 to {STEPS_MAX} entries in `{what}`");
            report.error(code::MISSING_KEY, message, &entry.place, "this test");
        }
    }
    let play = play.iter().filter_map(|step| read_step(step, report)).collect();
    let expect = expect.iter().filter_map(|one| read_expectation(one, report)).collect();
    Some(CaseSpec { name: name?, start: start.unwrap_or(START), until, play, expect })
}

fn read_step(entry: &Entry<'_, '_>, report: &mut Report<'_>) -> Option<Step> {
    let mut section = entry.table("a step", report)?;
    let at = section.duration("at", report);
    if at.is_none() {
        report.error(code::MISSING_KEY, "the step has no time", &entry.place, "no `at`");
    }
    let action = section.choice("action", &[("power-cut", ())], report);
    if action.is_some() {
        section.finish(report);
        return Some(Step { at: at?, action: Action::PowerCut });
    }
    let topic = section.text("topic", report);
    let payload = read_payload(&mut section, report);
    let qos = section.integer("qos", 0..=2, report).map_or(0, |(qos, _)| qos as u8);
    let retain = section.bool("retain", report).unwrap_or(false);
    let client = section.text("client", report).map_or("test".to_owned(), |text| text.value);
    let repeat = section.integer("repeat", 1..=REPEAT_MAX, report).map_or(1, |(n, _)| n as u32);
    let every = section.duration("every", report).unwrap_or(0);
    let jitter = section.take("jitter");
    section.finish(report);
    if let (Some(jitter), Some(PayloadSpec::Bytes(_))) = (&jitter, &payload) {
        let message = "`jitter` needs a payload that is a text";
        report.error(code::WRONG_VALUE, message, &jitter.key_place, "these are bytes");
    }
    let jitter = jitter.map_or(Vec::new(), |entry| read_jitter(&entry, report));
    let (Some(topic), Some(payload)) = (topic, payload) else {
        let message = "a step has a topic and a payload, or an action";
        report.error(code::MISSING_KEY, message, &entry.place, "this step");
        return None;
    };
    let topic = topic.value;
    let message = StepMessage { topic, payload, qos, retain, client, repeat, every, jitter };
    Some(Step { at: at?, action: Action::Message(message) })
}

/// `payload`, or its bytes as `payload_hex` or `payload_base64`.
fn read_payload(section: &mut Section<'_, '_>, report: &mut Report<'_>) -> Option<PayloadSpec> {
    let text = section.take("payload");
    let (hex, base64) =
        (section.text("payload_hex", report), section.text("payload_base64", report));
    let first = text.as_ref().map(|entry| &entry.place);
    let others = [&hex, &base64].map(|text| text.as_ref().map(|text| &text.place));
    if let Some(place) = first.into_iter().chain(others.into_iter().flatten()).nth(1) {
        let message = "a message has one payload";
        report.error(code::DUPLICATE, message, place, "second one");
    }
    if let Some(text) = &hex {
        return read_bytes(text, read_hex(&text.value), "two digits for each byte", report);
    }
    if let Some(text) = &base64 {
        let bytes = Base64::decode_vec(text.value.trim()).ok();
        return read_bytes(text, bytes, "base64 with its padding", report);
    }
    Some(match text?.value {
        DeValue::String(text) => PayloadSpec::Text(text.clone().into_owned()),
        other => {
            let mut out = String::new();
            write_json(other, &mut out);
            PayloadSpec::Text(out)
        }
    })
}

fn read_bytes(
    text: &Located,
    bytes: Option<Vec<u8>>,
    wanted: &str,
    report: &mut Report<'_>,
) -> Option<PayloadSpec> {
    if bytes.is_none() {
        let message = "these are not the bytes of a payload";
        report.error(code::WRONG_VALUE, message, &text.place, format!("must be {wanted}"));
    }
    // Wrong ones still are a payload: the step is not without one as well.
    Some(PayloadSpec::Bytes(bytes.unwrap_or_default()))
}

/// Bytes from their digits; white space is for the reader.
fn read_hex(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut high = None;
    for digit in text.chars().filter(|c| !c.is_whitespace()) {
        let digit = digit.to_digit(16)? as u8;
        match high.take() {
            None => high = Some(digit << 4),
            Some(high) => bytes.push(high | digit),
        }
    }
    high.is_none().then_some(bytes)
}

/// `jitter = 0.5` for payloads that are a number, `{ temperature = 0.5 }` for fields.
fn read_jitter(entry: &Entry<'_, '_>, report: &mut Report<'_>) -> Vec<(String, f64)> {
    let fields = match entry.entries() {
        Some(entries) => entries,
        None => vec![Entry { key: String::new(), ..entry.clone() }],
    };
    let read = fields.into_iter().filter_map(|field| {
        let number = match field.value {
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => field.integer().map(|number| number as f64),
        };
        if number.is_none() {
            entry.wrong("a number, or a table of numbers", report);
        }
        Some((field.key, number?))
    });
    read.collect()
}

fn read_expectation(entry: &Entry<'_, '_>, report: &mut Report<'_>) -> Option<Expectation> {
    let mut section = entry.table("an expectation", report)?;
    let topic = section.text("topic", report);
    let filter = section.expression("where", report);
    let payload = read_payload(&mut section, report);
    let times = section.integer("times", 0..=i64::from(u32::MAX), report);
    section.finish(report);
    let times = times.map(|(times, _)| times as u64);
    Some(Expectation { place: entry.place.clone(), topic, filter, payload, times })
}

/// A TOML value as JSON, in the order in which it is written. `"${at}"` alone is a number.
fn write_json(value: &DeValue<'_>, out: &mut String) {
    match value {
        DeValue::Array(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                out.push_str(if position > 0 { "," } else { "" });
                write_json(item.get_ref(), out);
            }
            out.push(']');
        }
        DeValue::Boolean(yes) => out.push_str(if *yes { "true" } else { "false" }),
        DeValue::Datetime(stamp) => write_text(&stamp.to_string(), out),
        DeValue::Float(number) => out.push_str(number.as_str()),
        DeValue::Integer(number) => {
            let read = i64::from_str_radix(number.as_str(), number.radix());
            out.push_str(&read.unwrap_or_default().to_string());
        }
        DeValue::String(text) if text.starts_with("${") && text.ends_with('}') => {
            out.push_str(text);
        }
        DeValue::String(text) => write_text(text, out),
        DeValue::Table(table) => {
            let mut entries: Vec<_> = table.iter().collect();
            entries.sort_by_key(|(name, _)| name.span().start);
            out.push('{');
            for (position, (name, value)) in entries.into_iter().enumerate() {
                out.push_str(if position > 0 { "," } else { "" });
                write_text(name.get_ref(), out);
                out.push(':');
                write_json(value.get_ref(), out);
            }
            out.push('}');
        }
    }
}

/// 2026-01-01T00:00:00Z, so that expectations can name times.
const START: i64 = 1_767_225_600_000;
const STEPS_MAX: usize = 16 * ENTRIES_MAX;
const REPEAT_MAX: i64 = 1_000_000;
