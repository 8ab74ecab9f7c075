//! Retained messages: `retained`.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Uri, header};
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;
use weir_core::{Core, Message, MessageParts};
use weir_mqtt::{QoS, TopicFilter};

use super::Asked;
use super::answer::{ApiError, Named, Query};
use super::message::{MessageFacts, check_filter, check_topic, content_type};

/// Some of the retained messages.
#[derive(Debug, Serialize)]
pub(super) struct RetainedMessages {
    messages: Vec<MessageFacts>,
    /// What `after` is to say for the next page; none when this is the last.
    next: Option<String>,
}

/// What was deleted.
#[derive(Debug, Serialize)]
pub(super) struct Removed {
    topic: String,
}

/// `GET retained`.
pub(super) async fn list(State(api): Asked, uri: Uri) -> Result<Json<RetainedMessages>, ApiError> {
    let mut query = Query::read(&uri, &["after", "filter", "limit"])?;
    let limit = query.limit()?;
    let filter = query.text("filter").unwrap_or_else(|| "#".to_owned());
    check_filter(&filter)?;
    let mut after = query.text("after");
    let mut found: Vec<Message> = Vec::new();
    let mut bytes = 0;
    let step = move |core: &Core, _: crate::mailbox::PeerOf<'_>| {
        let filter = TopicFilter::parse(&filter).ok()?;
        let page = core.retained_page(filter, after.as_deref(), limit - found.len());
        bytes += page.messages.iter().map(Message::len).sum::<usize>();
        found.extend(page.messages);
        after = page.next;
        let is_whole = after.is_none() || found.len() == limit || bytes >= BYTES_MAX;
        is_whole.then(|| (std::mem::take(&mut found), after.take()))
    };
    let (found, next) = api.shards.ask_first(step).await?;
    let shown = |message: &Message| MessageFacts::of(&message.parts(), PAYLOAD_BYTES_MAX);
    Ok(Json(RetainedMessages { messages: found.iter().map(shown).collect(), next }))
}

/// `GET retained/{topic}`.
pub(super) async fn payload(
    State(api): Asked,
    Named(topic): Named,
    uri: Uri,
) -> Result<Response, ApiError> {
    Query::read(&uri, &[])?;
    let name = topic.clone();
    let found = api.shards.ask_first(move |core, _| Some(core.retained_message(&name))).await?;
    let message = found.ok_or_else(|| unknown(&topic))?;
    let parts = message.parts();
    let mut response = Response::new(Body::from(Bytes::copy_from_slice(parts.payload)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type(&parts));
    // A device says what it is, so a browser is not to run it.
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    Ok(response)
}

/// `DELETE retained/{topic}`: as a client does it, with an empty payload.
pub(super) async fn remove(
    State(api): Asked,
    Named(topic): Named,
    uri: Uri,
) -> Result<Json<Removed>, ApiError> {
    Query::read(&uri, &[])?;
    check_topic(&topic)?;
    let name = topic.clone();
    let found = api.shards.ask_first(move |core, _| Some(core.retained_message(&name))).await?;
    found.ok_or_else(|| unknown(&topic))?;
    let parts = MessageParts {
        qos: QoS::AtMostOnce,
        retain: true,
        expires_at_ms: None,
        received_at_ms: crate::clock::unix_ms(),
        publisher: "",
        topic: &topic,
        properties: &[],
        payload: &[],
    };
    api.publish(&parts).await?;
    Ok(Json(Removed { topic }))
}

fn unknown(topic: &str) -> ApiError {
    let message = format!("nothing is retained for `{topic}`");
    ApiError::not_found(message, "`GET /api/v1/retained?filter=…` lists what is")
}

/// Longer payloads are not shown in a list.
const PAYLOAD_BYTES_MAX: usize = 1024;
/// A page that holds as much of messages ends there.
const BYTES_MAX: usize = 16 << 20;
