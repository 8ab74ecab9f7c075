//! The admin server: health, status and the API over HTTP, for the commands of weir, for the
//! dashboard, and for whatever watches the box.
//!
//! The routes and who each of them is for stand in one table. The state is asked for when it is asked
//! for: nothing is gathered meanwhile, and nothing here is on the way of a message.

use std::{future::Future, io, net::TcpListener, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderValue, StatusCode, Uri, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::auth::LiveApiTokens;
use crate::config::Config;
use crate::probe::Probe;
use crate::reload::Reloader;
use crate::status::Status;
use crate::stream::TlsServer;

// A module uses modules listed below it, never above.
mod routes;

mod clients;
mod copies;
mod drops;
mod figures;
mod live;
mod metrics;
mod openapi;
mod page;
mod publish;
mod reload;
mod retained;
mod rules;
mod subscriptions;
mod upstreams;
mod watch;

mod message;
mod packed;
mod shards;

mod server;

mod streamed;

mod access;

mod answer;
mod key;

pub(crate) use key::AdminKey;
pub(crate) use page::PAGE_PATH;

use access::{Access, Audience, Caller, Peer, is_read};
use answer::ApiError;
use copies::Copies;
use live::Live;
use reload::ReloadControl;
use rules::RuleControl;
use shards::Shards;

/// Where `weir status` asks.
pub(crate) const STATUS_PATH: &str = "/api/v1/status";

/// Where `weir rules pause` and the like ask, with the name of the rule and of the command behind it.
pub(crate) const RULES_PATH: &str = "/api/v1/rules";

/// Where `weir reload` asks.
pub(crate) const RELOAD_PATH: &str = "/api/v1/reload";

/// Where `weir store backup` asks.
pub(crate) const BACKUP_PATH: &str = "/api/v1/store/backup";

/// Longest body of a request: a message in base64.
const BODY_BYTES_MAX: usize = 4 << 20;

/// How long a body may take to come.
const BODY_PATIENCE: Duration = Duration::from_secs(15);

/// How long it may take until the store has what was done.
const DURABLE_PATIENCE: Duration = Duration::from_secs(30);

/// Messages of the API that are not durable at a time.
const PUBLICATIONS_MAX: usize = 64;

/// Those who read messages as they come, at a time.
const WATCHES_MAX: usize = 16;

/// What the handlers work with.
pub(crate) struct Api {
    access: Access,
    probe: Arc<Probe>,
    shards: Shards,
    /// Messages that are published at a time.
    publications: Arc<Semaphore>,
    payload_bytes_max: usize,
    /// Those who read messages as they come.
    watches: Arc<Semaphore>,
    copies: Arc<Copies>,
    live: Arc<Live>,
    rules: RuleControl,
    reload: ReloadControl,
}

impl Api {
    /// `key` is none without a data directory: then only tokens of the configuration let anybody in.
    pub(crate) fn new(
        key: Option<&AdminKey>,
        tokens: Arc<LiveApiTokens>,
        config: &Config,
        probe: Arc<Probe>,
        reloader: Arc<Reloader>,
    ) -> Self {
        let failures_max = config.auth.max_failures.unwrap_or(0);
        let host_names = config.admin.host_names.clone();
        let guard = key.map(AdminKey::guard);
        Self {
            access: Access::new(guard, tokens, host_names, failures_max, config.auth.ban),
            shards: Shards::new(probe.mailboxes.clone()),
            publications: Arc::new(Semaphore::new(PUBLICATIONS_MAX)),
            watches: Arc::new(Semaphore::new(WATCHES_MAX)),
            payload_bytes_max: config.limits.max_packet_size as usize,
            copies: Arc::new(Copies::new(probe.store.clone())),
            live: Arc::new(Live::new(probe.clone())),
            rules: RuleControl::new(probe.pipeline.clone()),
            reload: ReloadControl::new(reloader),
            probe,
        }
    }

    /// The status, which takes until all parts of the broker have told theirs.
    async fn status(&self) -> Result<Status, ApiError> {
        let probe = self.probe.clone();
        spawn_blocking(move || probe.status()).await.map_err(|_| ApiError::unanswered("a part"))
    }
}

/// Answers requests until `stop` is done. Needs a tokio runtime.
///
/// # Errors
/// The socket cannot be used.
pub(crate) async fn serve<F>(
    listener: TcpListener,
    tls: Option<Arc<TlsServer>>,
    api: Api,
    stop: F,
) -> io::Result<()>
where
    F: Future<Output = ()>,
{
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    tokio::spawn(api.live.clone().run());
    server::serve(listener, tls, router(Arc::new(api)), stop).await
}

/// What handlers take the API as.
type Asked = State<Arc<Api>>;

fn router(api: Arc<Api>) -> Router {
    let mut router = page::router();
    for route in routes::ROUTES {
        let admit = from_fn_with_state((api.clone(), route.audience), admit);
        router = router.route(route.path, (route.handler)().route_layer(admit));
    }
    router
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn(harden))
        .with_state(api)
}

/// Lets a request in if it may come in, before its body is read, and notes who has changed something.
async fn admit(
    State((api, audience)): State<(Arc<Api>, Audience)>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let Some(Peer(peer)) = parts.extensions.get().copied() else {
        return ApiError::unanswered("the socket").into_response();
    };
    let caller = match api.access.admit(&parts, peer.ip(), audience, std::time::Instant::now()) {
        Ok(caller) => caller,
        Err(refusal) => return refusal.into_response(),
    };
    if is_read(&parts.method) {
        return next.run(Request::from_parts(parts, body)).await;
    }
    let body = match timeout(BODY_PATIENCE, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return too_long().into_response(),
        Err(_) => {
            let (message, help) = ("the body did not come in time", "send all of it at once");
            let code = "request_timeout";
            return ApiError::new(StatusCode::REQUEST_TIMEOUT, code, message, help).into_response();
        }
    };
    let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    note(&caller, peer.ip(), method.as_str(), &path, response.status());
    response
}

fn note(caller: &Caller, peer: std::net::IpAddr, method: &str, path: &str, status: StatusCode) {
    crate::auth::request_served(peer, caller.name(), method, path, status.as_u16());
}

fn too_long() -> ApiError {
    let message = format!("the body is longer than {BODY_BYTES_MAX} bytes");
    let code = "too_long";
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, code, message, "publish it with MQTT instead")
}

/// What a browser is to do with whatever comes from here: take it for what it says it is, keep
/// nothing of it, and put it into no page of others.
async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

async fn unknown(uri: Uri) -> ApiError {
    let message = format!("nothing at {}", uri.path());
    ApiError::not_found(message, "/api/v1/openapi.json names all there is; see docs/api.md")
}

async fn wrong_method(uri: Uri) -> ApiError {
    let message = format!("{} cannot be asked for so", uri.path());
    let help = "the header `Allow` of this answer names the methods that it knows";
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", message, help)
}

#[cfg(test)]
mod tests;
