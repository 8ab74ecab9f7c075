//! A message as the API shows it, and the topics and filters that it takes.

use axum::http::HeaderValue;
use base64ct::{Base64, Encoding as _};
use serde::Serialize;
use weir_core::MessageParts;
use weir_mqtt::{PublishProperties, TopicFilter, TopicName};

use super::answer::ApiError;

/// A message; its payload is text if it is UTF-8, and base64 otherwise.
#[derive(Debug, Serialize)]
pub(super) struct MessageFacts {
    pub(super) topic: String,
    qos: u8,
    retain: bool,
    payload_bytes: usize,
    /// None when it is not text, or too long to be shown here.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    /// None when it is text, or too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    received_at_ms: u64,
    expires_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_topic: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    user_properties: Vec<(String, String)>,
}

impl MessageFacts {
    /// Payloads up to `payload_bytes_max` are shown.
    pub(super) fn of(parts: &MessageParts<'_>, payload_bytes_max: usize) -> Self {
        let properties = properties(parts);
        let shown = Some(parts.payload).filter(|payload| payload.len() <= payload_bytes_max);
        let text = shown.and_then(|payload| std::str::from_utf8(payload).ok());
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            topic: parts.topic.to_owned(),
            qos: parts.qos as u8,
            retain: parts.retain,
            payload_bytes: parts.payload.len(),
            payload: text.map(str::to_owned),
            payload_base64: shown.filter(|_| text.is_none()).map(Base64::encode_string),
            received_at_ms: parts.received_at_ms,
            expires_at_ms: parts.expires_at_ms,
            content_type: properties.content_type.map(str::to_owned),
            response_topic: properties.response_topic.map(str::to_owned),
            user_properties: properties.user_properties.iter().map(owned).collect(),
        }
    }
}

/// Whether somebody can subscribe to it here.
pub(super) fn check_filter(filter: &str) -> Result<(), ApiError> {
    match TopicFilter::parse(filter) {
        Ok(parsed) if parsed.share_name().is_none() => Ok(()),
        Ok(_) => {
            let message = format!("`{filter}` is a shared subscription");
            Err(ApiError::bad_request(message, "leave out `$share/` and the name of the group"))
        }
        Err(error) => {
            let message = format!("`{filter}` is not a topic filter: {error}");
            Err(ApiError::bad_request(message, "`+` and `#` stand for whole levels"))
        }
    }
}

/// Whether something can be published there from outside.
pub(super) fn check_topic(topic: &str) -> Result<(), ApiError> {
    if let Err(error) = TopicName::parse(topic) {
        let message = format!("`{topic}` is not the name of a topic: {error}");
        return Err(ApiError::bad_request(message, "it has no wildcards, and is not empty"));
    }
    if topic.starts_with('$') {
        let message = format!("`{topic}` belongs to the broker");
        return Err(ApiError::bad_request(message, "what begins with `$` is what it says itself"));
    }
    Ok(())
}

/// What the payload is, as its publisher says it.
pub(super) fn content_type(parts: &MessageParts<'_>) -> HeaderValue {
    let properties = properties(parts);
    let said = properties.content_type.filter(|text| is_media_type(text));
    let said = said.and_then(|text| HeaderValue::from_str(text).ok());
    said.unwrap_or_else(|| match properties.payload_format_utf8 {
        Some(true) => HeaderValue::from_static("text/plain; charset=utf-8"),
        _ => HeaderValue::from_static("application/octet-stream"),
    })
}

/// Whether a text is a media type with its parameters, and may stand in a header (RFC 9110, 8.3.1). To
/// MQTT any text will do.
fn is_media_type(text: &str) -> bool {
    let is_token = |text: &str| {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        !text.is_empty() && text.bytes().all(is_part)
    };
    let (kind, parameters) = text.split_once(';').unwrap_or((text, ""));
    let is_parameter = |text: &str| {
        let pair = text.trim().split_once('=');
        pair.is_some_and(|(name, value)| {
            let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            is_token(name) && is_token(bare.unwrap_or(value))
        })
    };
    kind.trim_end().split_once('/').is_some_and(|(kind, form)| is_token(kind) && is_token(form))
        && parameters.split(';').all(|text| text.trim().is_empty() || is_parameter(text))
}

/// Those of a message have been checked when it came.
fn properties<'a>(parts: &MessageParts<'a>) -> PublishProperties<'a> {
    PublishProperties::decode_end_to_end(parts.properties).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_media_type_goes_into_a_header() {
        for right in
            ["text/plain", "application/vnd.x+json", "text/csv; charset=utf-8; header=\"a\""]
        {
            assert!(is_media_type(right), "{right}");
        }
        for wrong in [
            "",
            "text",
            "/",
            "text/",
            "$\u{d4}\u{bb}",
            "a/b c",
            "a/b; c",
            "a/b\r\nX: y",
            "a/b; c=\n",
        ] {
            assert!(!is_media_type(wrong), "{wrong:?}");
        }
    }
}
