//! Who wants which topics: `subscriptions`.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde::Serialize;
use weir_core::{SubscriptionSearch, SubscriptionView};
use weir_mqtt::TopicName;

use super::Asked;
use super::answer::{ApiError, Query};

/// Some of the subscriptions.
#[derive(Debug, Serialize)]
pub(super) struct SubscriptionPage {
    subscriptions: Vec<SubscriptionFacts>,
    /// What `after` is to say for the next page; none when this is the last.
    next: Option<String>,
}

/// One subscription.
#[derive(Debug, Serialize)]
pub(super) struct SubscriptionFacts {
    filter: String,
    client_id: String,
    qos: u8,
    no_local: bool,
    retain_as_published: bool,
    retain_handling: u8,
    identifier: Option<u32>,
}

/// `GET subscriptions`.
pub(super) async fn list(State(api): Asked, uri: Uri) -> Result<Json<SubscriptionPage>, ApiError> {
    let mut query = Query::read(&uri, &["after", "client_id", "limit", "prefix", "topic"])?;
    let limit = query.limit()?;
    let after = query.text("after").map(place);
    let topic = query.text("topic").map(name).transpose()?;
    let prefix = query.text("prefix").unwrap_or_default();
    let mut search = SubscriptionSearch::new(prefix, topic, after, limit + 1);
    if let Some(client_id) = query.text("client_id") {
        search = search.of_client(client_id);
    }
    let found = api.shards.ask_all(move |core, _| search.step(core)).await?;
    let mut found: Vec<SubscriptionView> = found.into_iter().flatten().collect();
    found.sort_unstable_by(|one, other| {
        (&one.filter, &one.client_id).cmp(&(&other.filter, &other.client_id))
    });
    let is_cut = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| is_cut).map(|last| {
        Base64UrlUnpadded::encode_string(format!("{}\0{}", last.filter, last.client_id).as_bytes())
    });
    Ok(Json(SubscriptionPage { subscriptions: found.into_iter().map(facts).collect(), next }))
}

pub(super) fn facts(view: SubscriptionView) -> SubscriptionFacts {
    let options = view.options;
    SubscriptionFacts {
        filter: view.filter.to_string(),
        client_id: view.client_id.to_string(),
        qos: options.qos as u8,
        no_local: options.no_local,
        retain_as_published: options.retain_as_published,
        retain_handling: options.retain_handling as u8,
        identifier: view.identifier,
    }
}

/// Where a page ended: a filter and a client, which have no U+0000 in them. Anything else is a filter
/// to begin behind.
fn place(text: String) -> (String, String) {
    let bytes = Base64UrlUnpadded::decode_vec(&text).ok();
    let place = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let place = place.as_deref().and_then(|place| place.split_once('\0'));
    let place = place.map(|(filter, client_id)| (filter.to_owned(), client_id.to_owned()));
    place.unwrap_or((text, String::new()))
}

fn name(topic: String) -> Result<String, ApiError> {
    match TopicName::parse(&topic) {
        Ok(_) => Ok(topic),
        Err(error) => {
            let message = format!("`{topic}` is not the name of a topic: {error}");
            Err(ApiError::bad_request(message, "filters are looked for with `prefix`"))
        }
    }
}
