//! The admin server: health and status over HTTP, for `weir status` and for whatever watches the
//! box. It knows no passwords and asks for the state each time it is asked. A copy of the store, and
//! what changes the state of a rule, is for those only who can read the store as well.

use std::{future::Future, io, net::TcpListener, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Request, State},
    http::{StatusCode, Uri},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio::task::spawn_blocking;

use crate::pipeline::PipelineHandle;
use crate::reload::Reloader;
use crate::status::Status;
use crate::store::Store;

mod copies;
mod key;
mod reload;
mod rules;

pub(crate) use key::AdminKey;

use copies::Copies;
use key::Guard;
use reload::ReloadControl;
use rules::RuleControl;

/// Where `weir status` asks.
pub(crate) const STATUS_PATH: &str = "/api/v1/status";

/// Where `weir rules pause` and the like ask, with the name of the rule and of the command behind it.
pub(crate) const RULES_PATH: &str = "/api/v1/rules";

/// Where `weir reload` asks.
pub(crate) const RELOAD_PATH: &str = "/api/v1/reload";

/// Where `weir store backup` asks.
pub(crate) const BACKUP_PATH: &str = "/api/v1/store/backup";

/// What is for those only who can read the data directory: copies of the store, commands to rules,
/// and a reload of the files.
pub struct Operator {
    guard: Guard,
    copies: Arc<Copies>,
    rules: RuleControl,
    reload: ReloadControl,
}

impl Operator {
    pub(crate) fn new(
        key: &AdminKey,
        store: Arc<Store>,
        pipeline: PipelineHandle,
        reloader: Arc<Reloader>,
    ) -> Self {
        Self {
            guard: key.guard(),
            copies: Arc::new(Copies::new(store)),
            rules: RuleControl::new(pipeline),
            reload: ReloadControl::new(reloader),
        }
    }
}

/// Answers requests until `stop` is done. Needs a tokio runtime; `status` is called on a thread where
/// it may wait. Without an `operator` the server only tells how the broker is.
///
/// # Errors
/// The socket cannot be used.
///
/// ```
/// use std::net::TcpListener;
/// use weir_broker::{admin, status::Status};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let stop = async {}; // at once
/// admin::serve(listener, Status::default, None, stop).await
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub async fn serve<S, F>(
    listener: TcpListener,
    status: S,
    operator: Option<Operator>,
    stop: F,
) -> io::Result<()>
where
    S: Fn() -> Status + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let router = router(Arc::new(status), operator);
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

fn router<S>(status: Arc<S>, operator: Option<Operator>) -> Router
where
    S: Fn() -> Status + Send + Sync + 'static,
{
    let ready = Arc::clone(&status);
    let router = operator.map_or_else(Router::new, |operator| with_operator(Arc::new(operator)));
    router
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(move || async move { ask(ready).await.map(|it| readiness(&it)) }))
        .route(STATUS_PATH, get(move || async move { ask(status).await.map(Json) }))
        .fallback(unknown)
}

/// What is for those only who can read the data directory.
fn with_operator(operator: Arc<Operator>) -> Router {
    Router::new()
        .route(BACKUP_PATH, post(|State(it): Operating| async move { it.copies.answer() }))
        .route(
            &format!("{RULES_PATH}/{{rule}}/trace"),
            post(|State(it): Operating, path: Path<String>, body: Bytes| async move {
                it.rules.trace(path.0, &body).await
            }),
        )
        .route(
            &format!("{RULES_PATH}/{{rule}}/{{command}}"),
            post(|State(it): Operating, path: Path<(String, String)>| async move {
                it.rules.answer(path.0).await
            }),
        )
        .route(RELOAD_PATH, post(|State(it): Operating| async move { it.reload.answer().await }))
        .route_layer(from_fn_with_state(operator.clone(), admit))
        .with_state(operator)
}

type Operating = State<Arc<Operator>>;

/// Lets a request in that shows the key, before its body is read.
async fn admit(State(operator): Operating, request: Request, next: Next) -> Response {
    if !operator.guard.admits(request.headers()) {
        let words = "this is for whoever can read admin.key in the data directory\n";
        return (StatusCode::FORBIDDEN, words).into_response();
    }
    next.run(request).await
}

/// The status, which takes until all parts of the broker have told theirs.
async fn ask<S>(status: Arc<S>) -> Result<Status, (StatusCode, String)>
where
    S: Fn() -> Status + Send + Sync + 'static,
{
    let asked = spawn_blocking(move || status()).await;
    asked.map_err(|panic| (StatusCode::INTERNAL_SERVER_ERROR, format!("{panic}\n")))
}

fn readiness(status: &Status) -> (StatusCode, &'static str) {
    match status.ready {
        true => (StatusCode::OK, "ready\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready: the store is being recovered\n"),
    }
}

async fn unknown(uri: Uri) -> (StatusCode, String) {
    let text =
        format!("nothing at {}; there are /healthz, /readyz and {STATUS_PATH}\n", uri.path());
    (StatusCode::NOT_FOUND, text)
}

#[cfg(test)]
mod tests;
