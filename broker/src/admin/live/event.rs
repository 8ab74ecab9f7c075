//! How an event is written: a name and one line of JSON.

use axum::body::Bytes;
use base64ct::{Base64, Encoding as _};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::pipeline::{RecentlySent, Sent};

/// An event of this name; the data are JSON.
pub(super) fn event(name: &str, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).expect("numbers and texts are JSON");
    framed(name, &data)
}

/// The same with data that are JSON already.
pub(super) fn framed(name: &str, json: &str) -> Bytes {
    format!("event: {name}\ndata: {json}\n\n").into()
}

/// What a rule has sent.
pub(super) fn rule(sent: &RecentlySent) -> Bytes {
    let messages: Vec<Value> = sent.messages.iter().map(message).collect();
    event("rule", &json!({ "rule": sent.rule, "missed": sent.missed, "messages": messages }))
}

fn message(sent: &Sent) -> Value {
    let mut fields = Map::new();
    fields.insert("at_ms".into(), sent.at_ms.into());
    fields.insert("topic".into(), (*sent.topic).into());
    put_payload(&mut fields, &sent.payload, sent.payload_bytes);
    if let Some(upstream) = &sent.upstream {
        fields.insert("upstream".into(), (**upstream).into());
    }
    if sent.is_dead_letter {
        fields.insert("dead_letter".into(), true.into());
    }
    fields.into()
}

/// The beginning of a payload, as text if it is some, and how long the whole one is.
pub(super) fn put_payload(fields: &mut Map<String, Value>, beginning: &[u8], bytes: usize) {
    fields.insert("payload_bytes".into(), bytes.into());
    match text(beginning, bytes) {
        Some(text) => fields.insert("payload".into(), text.into()),
        None => {
            let start = &beginning[..beginning.len().min(BINARY_MAX)];
            fields.insert("payload_base64".into(), Base64::encode_string(start).into())
        }
    };
}

/// A character may be cut where the beginning ends.
fn text(beginning: &[u8], bytes: usize) -> Option<&str> {
    match str::from_utf8(beginning) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() && beginning.len() < bytes => {
            str::from_utf8(&beginning[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}

/// Bytes that are sent of a payload that is not text.
const BINARY_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(beginning: &[u8], bytes: usize) -> Value {
        let mut fields = Map::new();
        put_payload(&mut fields, beginning, bytes);
        fields.into()
    }

    #[test]
    fn a_payload_is_text_if_its_beginning_is() {
        assert_eq!(fields(b"21.5", 4), json!({ "payload_bytes": 4, "payload": "21.5" }));
        let cut = &"21 °".as_bytes()[..4];
        assert_eq!(fields(cut, 9), json!({ "payload_bytes": 9, "payload": "21 " }));
        assert_eq!(fields(cut, 4), json!({ "payload_bytes": 4, "payload_base64": "MjEgwg==" }));
        assert_eq!(fields(&[0xff, 0], 2), json!({ "payload_bytes": 2, "payload_base64": "/wA=" }));
    }

    #[test]
    fn an_event_is_two_lines_whatever_is_in_it() {
        let bytes = event("topics", &json!({ "payload": "a\n\ndata: b\r" }));
        let text = str::from_utf8(&bytes).expect("it is text");
        assert_eq!(text, "event: topics\ndata: {\"payload\":\"a\\n\\ndata: b\\r\"}\n\n");
    }
}
