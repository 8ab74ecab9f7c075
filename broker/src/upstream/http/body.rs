//! What stands in a request.

use std::io::Write as _;

use base64ct::{Base64, Encoding as _};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::config::{HttpBody, HttpConfig};
use crate::upstream::desk::Numbered;

/// A body as `Content-Encoding: gzip` has it.
pub(super) fn gzipped(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    written.expect("memory takes everything").into()
}

/// The media type and the body of a request.
pub(super) fn of(http: &HttpConfig, messages: &[Numbered]) -> (String, Bytes) {
    match http.body {
        HttpBody::Json => {
            let objects: Vec<Object<'_>> = messages.iter().map(Object::of).collect();
            let body = match objects.as_slice() {
                [object] if http.batch == 1 => serde_json::to_vec(object),
                objects => serde_json::to_vec(objects),
            };
            let body = body.expect("texts and numbers can be written");
            ("application/json".to_owned(), body.into())
        }
        HttpBody::Lines => {
            let payloads = messages.iter().map(|message| message.outgoing.payload.as_slice());
            let mut body = Vec::new();
            for payload in payloads {
                body.extend_from_slice(payload.strip_suffix(b"\n").unwrap_or(payload));
                body.push(b'\n');
            }
            ("text/plain; charset=utf-8".to_owned(), body.into())
        }
        HttpBody::Raw => {
            let message = &messages[0].outgoing;
            let is_header = |text: &&String| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            let given = message.content_type.as_ref().filter(is_header);
            let content_type = given.map_or("application/octet-stream", String::as_str);
            (content_type.to_owned(), message.payload.clone().into())
        }
    }
}

/// A user property of a message.
pub(super) fn property<'m>(message: &'m Numbered, name: &str) -> Option<&'m str> {
    let mut properties = message.outgoing.user_properties.iter();
    properties.find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// A text as it can stand in a header: what is not ASCII, or is a `%`, as %XX of its bytes.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'%' | ..=b' ' | b'\x7f'.. => escaped.push_str(&format!("%{byte:02X}")),
            _ => escaped.push(char::from(byte)),
        }
    }
    escaped
}

/// A message as an object of JSON.
#[derive(Serialize)]
struct Object<'m> {
    topic: &'m str,
    /// JSON as it came, a text, or bytes as Base64.
    payload: Payload<'m>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'m str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<&'m str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    src: Option<&'m str>,
    retain: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Payload<'m> {
    Json(&'m RawValue),
    Text(&'m str),
    Bytes(String),
}

impl<'m> Object<'m> {
    fn of(message: &'m Numbered) -> Self {
        let outgoing = &message.outgoing;
        let (payload, encoding) = match std::str::from_utf8(&outgoing.payload) {
            Ok(text) => match serde_json::from_str(text) {
                Ok(json) => (Payload::Json(json), None),
                Err(_) => (Payload::Text(text), None),
            },
            Err(_) => (Payload::Bytes(Base64::encode_string(&outgoing.payload)), Some("base64")),
        };
        Self {
            topic: &outgoing.topic,
            payload,
            encoding,
            id: property(message, "id"),
            seq: property(message, "seq"),
            src: property(message, "src"),
            retain: outgoing.retain,
        }
    }
}
