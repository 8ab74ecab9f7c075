//! Results to messages: the body, the topic and the identifier.

use crate::calendar::write_timestamp;
use crate::code;
use crate::expression::{Fault, Inputs, evaluate};
use crate::form::{WindowLabel, write_json_value};
use crate::hash::{StableHash, hash_bytes};
use crate::json::{write_number, write_text};
use crate::message::{Emission, Guarantee};
use crate::rule::{Destination, Key, Output, Rule, TopicPart};
use crate::value::{Texts, Value};

/// What the body of an alert says between its keys and its outputs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AlertLabel<'a> {
    pub(crate) state: &'static str,
    pub(crate) since: i64,
    pub(crate) value: Value,
    pub(crate) message: Option<&'a str>,
    /// Only reminders have a number above 0.
    pub(crate) repeat: u32,
}

/// The body of an alert.
pub(crate) fn alert_body(
    rule: &Rule,
    label: &AlertLabel<'_>,
    locals: &[Value],
    texts: &Texts<'_>,
) -> String {
    let mut out = String::with_capacity(BODY_CAPACITY);
    out.push('{');
    write_entries(rule.by.iter().map(|key| (&*key.label, key.slot)), locals, texts, &mut out);
    separate(&mut out);
    out.push_str("\"state\":");
    write_text(label.state, &mut out);
    out.push_str(",\"since\":\"");
    write_timestamp(label.since, &mut out);
    out.push_str("\",\"value\":");
    write_json_value(label.value, texts, &mut out);
    if let Some(message) = label.message {
        out.push_str(",\"message\":");
        write_text(message, &mut out);
    }
    if label.repeat > 0 {
        out.push_str(",\"repeat\":");
        write_number(f64::from(label.repeat), &mut out);
    }
    let outputs = rule.select.as_deref().unwrap_or_default().iter();
    write_entries(outputs.map(|one| (&*one.label, one.slot)), locals, texts, &mut out);
    out.push('}');
    out
}

/// The body of a result.
pub(crate) fn body(
    keys: &[Key],
    outputs: &[Output],
    window: Option<WindowLabel>,
    locals: &[Value],
    texts: &Texts<'_>,
) -> String {
    let mut out = String::with_capacity(BODY_CAPACITY);
    out.push('{');
    write_entries(keys.iter().map(|key| (&*key.label, key.slot)), locals, texts, &mut out);
    write_entries(outputs.iter().map(|one| (&*one.label, one.slot)), locals, texts, &mut out);
    if let Some(window) = window {
        separate(&mut out);
        out.push_str("\"window\":{\"start\":\"");
        write_timestamp(window.start, &mut out);
        out.push_str("\",\"end\":\"");
        write_timestamp(window.end, &mut out);
        out.push_str("\",\"late\":");
        write_number(window.late as f64, &mut out);
        out.push_str(",\"rev\":");
        write_number(f64::from(window.revision), &mut out);
        out.push_str(if window.early.is_some() { ",\"early\":true}" } else { "}" });
    }
    out.push('}');
    out
}

/// Sends a body, or an unchanged payload, to all destinations of a rule, each in its form.
///
/// `identity` is the hash of what makes this result different from all others of the rule.
pub(crate) fn send(
    rule: &Rule,
    (body, window): (&[u8], Option<WindowLabel>),
    identity: StableHash,
    inputs: &Inputs<'_>,
    texts: &mut Texts<'_>,
    stack: &mut Vec<Value>,
    out: &mut Vec<Emission>,
) -> Result<u64, Fault> {
    let sent = out.len();
    let identity = identity_of(rule, identity, body);
    for (position, destination) in rule.to.iter().enumerate() {
        let made = topic(destination, inputs, texts, stack).and_then(|topic| {
            let payload = destination.form.payload(body, window, inputs, texts, stack)?;
            Ok((topic, payload))
        });
        let (topic, mut payload) = match made {
            Ok(made) => made,
            Err(fault) => {
                // All destinations or none.
                out.truncate(sent);
                return Err(fault);
            }
        };
        let id = identity.number(position as u64).finish();
        if destination.meta {
            add_meta(&mut payload, id, &rule.name);
        }
        out.push(emission(rule, destination, (id, topic, payload)));
    }
    Ok((out.len() - sent) as u64)
}

/// What a destination gets: identifier, topic and payload.
pub(crate) fn emission(
    rule: &Rule,
    destination: &Destination,
    (id, topic, payload): (u128, String, Vec<u8>),
) -> Emission {
    Emission {
        rule: rule.name.clone(),
        id,
        topic,
        payload,
        qos: destination.qos,
        retain: destination.retain,
        upstream: destination.upstream.clone(),
        expire_s: destination.expire_s,
        error: None,
        meta: destination.meta,
        guarantee: rule.guarantee,
        is_link: destination.is_link,
    }
}

/// The beginning of every identifier of a rule.
pub(crate) fn identity(rule: &Rule) -> StableHash {
    let definition = rule.definition;
    StableHash::new().text(&rule.name).number(definition as u64).number((definition >> 64) as u64)
}

/// An identifier stands for one result. What does not wait for the state it came from may be another
/// one when it is computed again: a message that it was made from can be lost with the power before
/// it was stored, and come behind others when it is published once more. So its content counts.
pub(crate) fn identity_of(rule: &Rule, identity: StableHash, content: &[u8]) -> StableHash {
    match rule.guarantee {
        Guarantee::ExactlyOnce => identity,
        Guarantee::AtLeastOnce | Guarantee::BestEffort => identity.number(hash_bytes(content)),
    }
}

/// Writes locals with their labels.
fn write_entries<'l>(
    entries: impl Iterator<Item = (&'l str, u16)>,
    locals: &[Value],
    texts: &Texts<'_>,
    out: &mut String,
) {
    for (label, slot) in entries {
        separate(out);
        out.push_str(label);
        let value = locals.get(usize::from(slot)).copied().unwrap_or(Value::Null);
        write_json_value(value, texts, out);
    }
}

fn separate(out: &mut String) {
    if out.len() > 1 {
        out.push(',');
    }
}

/// Adds `id` and `rule` at the end of a body that was written here.
fn add_meta(payload: &mut Vec<u8>, id: u128, rule: &str) {
    let close = payload.pop();
    debug_assert_eq!(close, Some(b'}'), "meta needs a body of our own");
    if payload.len() > 1 {
        payload.push(b',');
    }
    // Names of rules need no escapes.
    payload.extend_from_slice(format!("\"id\":\"{id:032x}\",\"rule\":\"{rule}\"}}").as_bytes());
}

fn topic(
    destination: &Destination,
    inputs: &Inputs<'_>,
    texts: &mut Texts<'_>,
    stack: &mut Vec<Value>,
) -> Result<String, Fault> {
    let mut topic = String::new();
    for part in &destination.topic {
        match part {
            TopicPart::Literal(text) => topic.push_str(text),
            TopicPart::Value { program, rest } => {
                let value = evaluate(program, inputs, texts, stack)?;
                let start = topic.len();
                let name = &program.source;
                match value {
                    Value::Bool(yes) => topic.push_str(if yes { "true" } else { "false" }),
                    Value::Number(number) => write_number(number, &mut topic),
                    Value::Text(text) => topic.push_str(texts.resolve(text)),
                    Value::Composite | Value::Json(_) | Value::Null => {
                        let message = format!("`{{{name}}}` of the topic is {}", value.kind());
                        return Err(Fault { code: code::TOPIC_FAULT, message });
                    }
                }
                let added = topic.get(start..).unwrap_or_default();
                let slash = !rest && added.contains('/');
                if slash || added.contains(['+', '#', '\0']) {
                    let message = format!("`{{{name}}}` has characters a topic level cannot have");
                    return Err(Fault { code: code::TOPIC_FAULT, message });
                }
            }
        }
    }
    if topic.is_empty() || topic.len() > usize::from(u16::MAX) {
        let message = format!("topic of {} bytes", topic.len());
        return Err(Fault { code: code::TOPIC_FAULT, message });
    }
    Ok(topic)
}

const BODY_CAPACITY: usize = 192;
