//! Messages from the API into the broker: `publish`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use base64ct::{Base64, Encoding as _};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Number;
use tokio::sync::oneshot;
use tokio::time::timeout;
use weir_core::{MessageParts, Route};
use weir_mqtt::{PublishProperties, QoS};

use super::answer::ApiError;
use super::message::check_topic;
use super::{Api, Asked, DURABLE_PATIENCE};
use crate::clock::unix_ms;
use crate::inner_turn::{InnerTurn, OwnedPublication};
use crate::mailbox::Mail;

/// A message to publish.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    topic: String,
    payload: Option<String>,
    payload_base64: Option<String>,
    #[serde(default, deserialize_with = "whole")]
    qos: u64,
    #[serde(default)]
    retain: bool,
    #[serde(default)]
    properties: WantedProperties,
}

/// Its properties of MQTT 5.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedProperties {
    #[serde(default, deserialize_with = "maybe_whole")]
    message_expiry_s: Option<u64>,
    content_type: Option<String>,
    response_topic: Option<String>,
    correlation_data_base64: Option<String>,
    #[serde(default)]
    user_properties: Vec<(String, String)>,
}

/// It was published, and is durable as far as it is to be.
#[derive(Debug, Serialize)]
pub(super) struct Published {
    topic: String,
    payload_bytes: usize,
}

/// `POST publish`.
pub(super) async fn publish(State(api): Asked, body: Bytes) -> Result<Json<Published>, ApiError> {
    let wanted: Wanted = serde_json::from_slice(&body).map_err(|error| {
        let message = format!("the body is not a message: {error}");
        let help = "it is {\"topic\", \"payload\" or \"payload_base64\", \"qos\", \"retain\", \
                    \"properties\"}";
        ApiError::bad_request(message, help)
    })?;
    check_topic(&wanted.topic)?;
    let payload = match (wanted.payload, wanted.payload_base64) {
        (Some(text), None) => text.into_bytes(),
        (None, Some(text)) => from_base64("payload_base64", &text)?,
        (None, None) => Vec::new(),
        (Some(_), Some(_)) => {
            let message = "there are both `payload` and `payload_base64`";
            return Err(ApiError::bad_request(message, "leave one of them out"));
        }
    };
    if payload.len() > api.payload_bytes_max {
        let message = format!("the payload has {} bytes", payload.len());
        let help = "limits.max_packet_size says how long a message may be";
        return Err(ApiError::bad_request(message, help));
    }
    let qos = u8::try_from(wanted.qos).ok().and_then(|qos| QoS::try_from(qos).ok());
    let qos = qos.ok_or_else(|| {
        ApiError::bad_request(format!("`qos` is {}", wanted.qos), "it may be 0, 1 or 2")
    })?;
    if let Some(expiry_s) = wanted.properties.message_expiry_s.filter(|it| *it > EXPIRY_S_MAX) {
        let message = format!("`message_expiry_s` is {expiry_s}");
        return Err(ApiError::bad_request(message, format!("it may be 0 to {EXPIRY_S_MAX}")));
    }
    let now_ms = unix_ms();
    let expires_at_ms =
        wanted.properties.message_expiry_s.map(|expiry_s| now_ms.saturating_add(expiry_s * 1000));
    let properties = encode(&wanted.properties)?;
    let parts = MessageParts {
        qos,
        retain: wanted.retain,
        expires_at_ms,
        received_at_ms: now_ms,
        publisher: "",
        topic: &wanted.topic,
        properties: &properties,
        payload: &payload,
    };
    api.publish(&parts).await?;
    Ok(Json(Published { payload_bytes: payload.len(), topic: wanted.topic }))
}

/// A number without a fraction, which JSON may write as 1.0.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = Number::deserialize(deserializer)?;
    let as_whole = |number: f64| {
        (number.fract() == 0.0 && (0.0..=u32::MAX.into()).contains(&number))
            .then_some(number as u64)
    };
    let found = number.as_u64().or_else(|| number.as_f64().and_then(as_whole));
    found.ok_or_else(|| D::Error::custom(format!("`{number}` is not a whole number from 0 on")))
}

fn maybe_whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    struct Whole(#[serde(deserialize_with = "whole")] u64);
    Ok(Option::<Whole>::deserialize(deserializer)?.map(|Whole(number)| number))
}

fn from_base64(name: &str, text: &str) -> Result<Vec<u8>, ApiError> {
    Base64::decode_vec(text).map_err(|error| {
        let message = format!("`{name}` is not base64: {error}");
        ApiError::bad_request(message, "it is that of RFC 4648, with its padding")
    })
}

fn encode(wanted: &WantedProperties) -> Result<Vec<u8>, ApiError> {
    if let Some(topic) = &wanted.response_topic {
        check_topic(topic)?;
    }
    let correlation_data = wanted.correlation_data_base64.as_deref();
    let correlation_data =
        correlation_data.map(|text| from_base64("correlation_data_base64", text)).transpose()?;
    let pairs: Vec<(&str, &str)> =
        wanted.user_properties.iter().map(|(name, value)| (&**name, &**value)).collect();
    let properties = PublishProperties {
        content_type: wanted.content_type.as_deref(),
        response_topic: wanted.response_topic.as_deref(),
        correlation_data: correlation_data.as_deref(),
        user_properties: pairs[..].into(),
        ..PublishProperties::default()
    };
    let mut encoded = Vec::new();
    properties.encode_end_to_end(&mut encoded).map_err(|error| {
        let message = format!("the properties cannot be sent: {error}");
        ApiError::bad_request(message, "a text has at most 65535 bytes and no U+0000")
    })?;
    Ok(encoded)
}

impl Api {
    /// Publishes a message; answers when it is durable, as far as it is to be.
    pub(super) async fn publish(&self, parts: &MessageParts<'_>) -> Result<(), ApiError> {
        let needs_room = parts.qos > QoS::AtMostOnce || parts.retain && !parts.payload.is_empty();
        if let Some(shortage) = self.probe.room.shortage().filter(|_| needs_room) {
            return Err(ApiError::no_room(shortage.to_string(), shortage.help()));
        }
        // Held until it is durable, not until somebody stops waiting for that.
        let place = self.publications.clone().try_acquire_owned();
        let place = place.map_err(|_| ApiError::busy("messages"))?;
        let mut record = Vec::new();
        parts.append_to(&mut record);
        let publication = OwnedPublication { record, route: Route::Subscribers { origin: None } };
        let (sender, answer) = oneshot::channel();
        let committed = Box::new(move || {
            drop(place);
            // Whoever asked may be gone.
            let _ = sender.send(());
        });
        let turn = InnerTurn {
            publications: vec![publication],
            committed: Some(committed),
            ..InnerTurn::default()
        };
        self.shards.mailboxes.first().send(Mail::Turn(turn));
        let answer = timeout(DURABLE_PATIENCE, answer).await;
        answer.ok().and_then(Result::ok).ok_or_else(ApiError::not_durable)
    }
}

/// The longest that MQTT knows.
const EXPIRY_S_MAX: u64 = u32::MAX as u64;
