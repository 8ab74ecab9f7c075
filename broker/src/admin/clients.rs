//! Clients and what they have: `clients`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use futures_util::future::join_all;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::time::timeout;
use weir_core::{ClientSearch, ClientView, SubscriptionSearch};
use weir_mqtt::Version;

use super::answer::{ApiError, Named, Query};
use super::subscriptions::{SubscriptionFacts, facts};
use super::{Api, Asked, DURABLE_PATIENCE};
use crate::mailbox::Mail;

/// Some of the clients.
#[derive(Debug, Serialize)]
pub(super) struct ClientPage {
    clients: Vec<ClientFacts>,
    /// What `after` is to say for the next page; none when this is the last.
    next: Option<String>,
}

/// One client.
#[derive(Debug, Serialize)]
struct ClientFacts {
    client_id: String,
    user: Option<String>,
    protocol: &'static str,
    listener: Option<String>,
    address: Option<String>,
    connected: bool,
    since_ms: Option<u64>,
    keep_alive_s: Option<u16>,
    session_expiry_s: Option<u32>,
    subscriptions: usize,
    inflight: u16,
    queued_messages: usize,
    queued_bytes: usize,
    received: u64,
    sent: u64,
    dropped: BTreeMap<&'static str, u64>,
}

/// One client with its subscriptions.
#[derive(Debug, Serialize)]
pub(super) struct ClientDetails {
    #[serde(flatten)]
    client: ClientFacts,
    /// The first of them.
    filters: Vec<SubscriptionFacts>,
    /// There are more.
    filters_are_cut: bool,
}

/// What was done to a client.
#[derive(Debug, Serialize)]
pub(super) struct Expelled {
    client_id: String,
    session_ended: bool,
}

/// `GET clients`.
pub(super) async fn list(State(api): Asked, uri: Uri) -> Result<Json<ClientPage>, ApiError> {
    let mut query = Query::read(&uri, &["after", "connected", "limit", "prefix"])?;
    let limit = query.limit()?;
    let (prefix, after) = (query.text("prefix").unwrap_or_default(), query.text("after"));
    // One more, to know whether there is a next page.
    let mut search = ClientSearch::new(prefix, after, query.flag("connected")?, limit + 1);
    let step = move |core: &_, peer: crate::mailbox::PeerOf<'_>| {
        let found = search.step(core)?.into_iter();
        Some(found.map(|view| with_peer(view, peer)).collect::<Vec<_>>())
    };
    let mut found: Vec<_> = api.shards.ask_all(step).await?.into_iter().flatten().collect();
    found.sort_unstable_by(|(one, _), (other, _)| one.client_id.cmp(&other.client_id));
    let is_cut = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| is_cut).map(|(view, _)| view.client_id.to_string());
    let clients = found.into_iter().map(|(view, peer)| api.client(view, peer)).collect();
    Ok(Json(ClientPage { clients, next }))
}

/// `GET clients/{client_id}`.
pub(super) async fn one(
    State(api): Asked,
    Named(client_id): Named,
    uri: Uri,
) -> Result<Json<ClientDetails>, ApiError> {
    Query::read(&uri, &[])?;
    let name = client_id.clone();
    let view = move |core: &weir_core::Core, peer: crate::mailbox::PeerOf<'_>| {
        Some(core.client(&name).map(|view| with_peer(view, peer)))
    };
    let mut found = api.shards.ask_all(view).await?.into_iter().flatten();
    let (view, peer) = found.next().ok_or_else(|| unknown(&client_id))?;
    let search = SubscriptionSearch::new(String::new(), None, None, FILTERS_MAX + 1);
    let mut search = search.of_client(client_id);
    let found = api.shards.ask_all(move |core, _| search.step(core)).await?;
    let mut filters: Vec<_> = found.into_iter().flatten().map(facts).collect();
    let filters_are_cut = filters.len() > FILTERS_MAX;
    filters.truncate(FILTERS_MAX);
    Ok(Json(ClientDetails { client: api.client(view, peer), filters, filters_are_cut }))
}

/// `DELETE clients/{client_id}`.
pub(super) async fn expel(
    State(api): Asked,
    Named(client_id): Named,
    uri: Uri,
) -> Result<(StatusCode, Json<Expelled>), ApiError> {
    let ends_session = Query::read(&uri, &["session"])?.flag("session")?.unwrap_or(false);
    let asked = api.shards.mailboxes.all().iter().map(|mailbox| {
        let (sender, answer) = oneshot::channel();
        // Whoever asked may be gone.
        let done = Box::new(move |is_known| _ = sender.send(is_known));
        mailbox.send(Mail::Expel { client_id: client_id.clone(), ends_session, done });
        answer
    });
    let answers = timeout(DURABLE_PATIENCE, join_all(asked.collect::<Vec<_>>())).await;
    let answers = answers.map_err(|_| ApiError::not_durable())?;
    if !answers.into_iter().any(|is_known| is_known.unwrap_or(false)) {
        return Err(unknown(&client_id));
    }
    Ok((StatusCode::OK, Json(Expelled { client_id, session_ended: ends_session })))
}

impl Api {
    fn client(&self, view: ClientView, peer: Option<SocketAddr>) -> ClientFacts {
        let listener = view.listener.and_then(|id| self.probe.listeners.get(usize::from(id.0)));
        ClientFacts {
            client_id: view.client_id.to_string(),
            user: view.username.map(|name| name.to_string()),
            protocol: match view.version {
                Version::V31 => "3.1",
                Version::V311 => "3.1.1",
                Version::V5 => "5.0",
            },
            listener: listener.map(ToString::to_string),
            address: peer.map(|peer| peer.to_string()),
            connected: view.connection.is_some(),
            since_ms: view.since_ms,
            keep_alive_s: view.keep_alive_s,
            session_expiry_s: Some(view.session_expiry_s).filter(|expiry| *expiry < u32::MAX),
            subscriptions: view.subscriptions,
            inflight: view.inflight,
            queued_messages: view.queued_messages,
            queued_bytes: view.queued_bytes,
            received: view.received,
            sent: view.sent,
            dropped: view.drops.by_reason().filter(|(_, count)| *count > 0).collect(),
        }
    }
}

fn with_peer(
    view: ClientView,
    peer: crate::mailbox::PeerOf<'_>,
) -> (ClientView, Option<SocketAddr>) {
    let address = view.connection.and_then(peer);
    (view, address)
}

fn unknown(client_id: &str) -> ApiError {
    let message = format!("there is no session of a client `{client_id}`");
    ApiError::not_found(message, "`GET /api/v1/clients?prefix=…` lists those there are")
}

/// Subscriptions that are shown with a client.
const FILTERS_MAX: usize = 1000;
