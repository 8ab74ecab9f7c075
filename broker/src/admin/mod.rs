//! The admin server: health and status over HTTP, for `weir status` and for whatever watches the
//! box. It knows no passwords and asks for the state each time it is asked. A copy of the store, and
//! what changes the state of a rule, is for those only who can read the store as well.

use std::{future::Future, io, net::TcpListener, sync::Arc};

use axum::{
    Json, Router,
    extract::Path,
    http::{HeaderMap, StatusCode, Uri},
    routing::{get, post},
};

use crate::status::Status;

mod copies;
mod key;
mod rules;

pub use copies::Copies;
pub(crate) use key::AdminKey;
pub use rules::RuleControl;

/// Where `weir status` asks.
pub(crate) const STATUS_PATH: &str = "/api/v1/status";

/// Where `weir rules pause` and the like ask, with the name of the rule and of the command behind it.
pub(crate) const RULES_PATH: &str = "/api/v1/rules";

/// Where `weir store backup` asks.
pub(crate) const BACKUP_PATH: &str = "/api/v1/store/backup";

/// Answers requests until `stop` is done. Needs a tokio runtime; `status` is called on it and must
/// not block. Without `copies` there is no copy of the store to be had, and without `rules` nothing
/// can be done to a rule.
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
/// admin::serve(listener, Status::default, None, None, stop).await
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub async fn serve<S, F>(
    listener: TcpListener,
    status: S,
    copies: Option<Copies>,
    rules: Option<RuleControl>,
    stop: F,
) -> io::Result<()>
where
    S: Fn() -> Status + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let router = router(Arc::new(status), copies, rules);
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

fn router<S>(status: Arc<S>, copies: Option<Copies>, rules: Option<RuleControl>) -> Router
where
    S: Fn() -> Status + Send + Sync + 'static,
{
    let ready = Arc::clone(&status);
    let router = match copies.map(Arc::new) {
        Some(copies) => Router::new()
            .route(BACKUP_PATH, post(|headers: HeaderMap| async move { copies.answer(&headers) })),
        None => Router::new(),
    };
    let router = match rules.map(Arc::new) {
        Some(rules) => router.route(
            &format!("{RULES_PATH}/{{rule}}/{{command}}"),
            post(|headers: HeaderMap, path: Path<(String, String)>| async move {
                rules.answer(&headers, path.0).await
            }),
        ),
        None => router,
    };
    router
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(move || async move { readiness(&ready()) }))
        .route(STATUS_PATH, get(move || async move { Json(status()) }))
        .fallback(unknown)
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
