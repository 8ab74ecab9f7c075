//! What goes with a message as headers.

use async_nats::HeaderMap;
use async_nats::header::{NATS_EXPECTED_STREAM, NATS_MESSAGE_ID};

use crate::upstream::desk::Numbered;

/// The headers of a message: user properties, content type, and what JetStream reads.
pub(super) fn of(message: &Numbered, stream: Option<&str>) -> HeaderMap {
    let outgoing = &message.outgoing;
    let mut headers = HeaderMap::new();
    for (name, value) in &outgoing.user_properties {
        // The server would do what these say, such as emptying the stream (`Nats-Rollup`).
        let is_of_server = name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("nats-"));
        if !name.is_empty() && !is_of_server {
            headers.append(escaped(name, |c| c.is_ascii_graphic() && c != ':' && c != '%'), {
                escaped(value, |c| !c.is_ascii_control())
            });
        }
    }
    if let Some(content_type) = &outgoing.content_type {
        headers.insert("Content-Type", escaped(content_type, |c| !c.is_ascii_control()));
    }
    if message.number.is_some() {
        // Not the property `id`: a device that gives all its messages the same one would have them
        // taken for repetitions.
        headers.insert(NATS_MESSAGE_ID, outgoing.record_id.as_str());
        if let Some(stream) = stream {
            headers.insert(NATS_EXPECTED_STREAM, stream);
        }
    }
    headers
}

/// A text with whatever is not allowed as %XX of its bytes.
fn escaped(text: &str, is_allowed: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_allowed(c) {
            escaped.push(c);
        } else {
            let mut bytes = [0; 4];
            let hex = c.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}"));
            escaped.extend(hex);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::outgoing::Outgoing;

    fn headers(user: &[(&str, &str)]) -> HeaderMap {
        let pairs = user.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let outgoing = Outgoing {
            user_properties: pairs.collect(),
            record_id: "gate-00-1f-abc".to_owned(),
            ..Outgoing::default()
        };
        of(&Numbered { outgoing, number: Some(1) }, Some("PLANT"))
    }

    #[test]
    fn properties_are_headers_and_what_cannot_stand_there_is_escaped() {
        let headers = headers(&[("unit", "%"), ("a b:ä", "x\r\ny"), ("unit", "°C"), ("", "1")]);
        let units: Vec<_> = headers.get_all("unit").map(|value| value.as_str()).collect();
        assert_eq!(units, ["%", "°C"]);
        let escaped = headers.get("a%20b%3A%C3%A4").map(|value| value.as_str());
        assert_eq!(escaped, Some("x%0D%0Ay"));
        assert_eq!(headers.len(), 4);
    }

    /// A device would empty the stream, or have messages taken for repetitions.
    #[test]
    fn no_property_tells_the_server_what_to_do() {
        let headers =
            headers(&[("nats-rollup", "all"), ("Nats-Msg-Id", "1"), ("id", "always the same")]);
        let id: Vec<_> = headers.get_all("Nats-Msg-Id").map(|value| value.as_str()).collect();
        assert_eq!(id, ["gate-00-1f-abc"]);
        assert_eq!(headers.get("id").map(|value| value.as_str()), Some("always the same"));
        assert_eq!(headers.get("Nats-Expected-Stream").map(|value| value.as_str()), Some("PLANT"));
        assert_eq!(headers.len(), 3);
    }
}
