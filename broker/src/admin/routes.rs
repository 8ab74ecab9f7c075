//! Every route of the admin server: where it is, who it is for, and what answers. The OpenAPI
//! document is held against this table by a test.

use axum::extract::State;
use axum::http::Uri;
use axum::routing::{MethodRouter, delete, get, post};
use std::sync::Arc;

use super::access::Audience::{self, Anybody, Local, Operators, Viewers};
use super::live::{self, EVENTS_PATH};
use super::{Api, Asked, BACKUP_PATH, RELOAD_PATH, RULES_PATH, STATUS_PATH};
use super::{
    clients, drops, figures, metrics, openapi, publish, retained, rules, subscriptions, upstreams,
    watch,
};

/// A method of a path.
pub(super) struct Route {
    pub(super) path: &'static str,
    /// As the OpenAPI document has it.
    #[cfg_attr(not(test), expect(dead_code, reason = "the document is held against it"))]
    pub(super) method: &'static str,
    pub(super) audience: Audience,
    pub(super) handler: fn() -> MethodRouter<Arc<Api>>,
}

const fn route(
    method: &'static str,
    path: &'static str,
    audience: Audience,
    handler: fn() -> MethodRouter<Arc<Api>>,
) -> Route {
    Route { path, method, audience, handler }
}

/// All of them.
pub(super) static ROUTES: &[Route] = &[
    route("get", "/healthz", Anybody, || get(|| async { "ok\n" })),
    route("get", "/readyz", Anybody, || get(figures::readiness)),
    route("get", "/metrics", Local, || get(metrics::scrape)),
    route("get", "/api/v1/openapi.json", Local, || get(openapi::document)),
    route("get", STATUS_PATH, Local, || get(figures::status)),
    route("get", EVENTS_PATH, Local, || get(live::events)),
    route("get", "/api/v1/clients", Viewers, || get(clients::list)),
    route("get", "/api/v1/clients/{*client_id}", Viewers, || get(clients::one)),
    route("delete", "/api/v1/clients/{*client_id}", Operators, || delete(clients::expel)),
    route("get", "/api/v1/subscriptions", Viewers, || get(subscriptions::list)),
    route("get", "/api/v1/retained", Viewers, || get(retained::list)),
    route("get", "/api/v1/retained/{*topic}", Viewers, || get(retained::payload)),
    route("delete", "/api/v1/retained/{*topic}", Operators, || delete(retained::remove)),
    route("post", "/api/v1/publish", Operators, || post(publish::publish)),
    route("get", "/api/v1/subscribe", Viewers, || get(watch::subscribe)),
    route("get", "/api/v1/upstreams", Local, || get(upstreams::list)),
    route("post", "/api/v1/upstreams/{name}/drain", Operators, || post(upstreams::drain)),
    route("get", "/api/v1/store", Local, || get(figures::store)),
    route("get", "/api/v1/drops", Viewers, || get(drops::list)),
    route("get", RULES_PATH, Local, || get(rules::list)),
    route("get", "/api/v1/rules/{rule}", Local, || get(rules::one)),
    route("post", "/api/v1/rules/{rule}/trace", Operators, || post(rules::trace)),
    route("post", "/api/v1/rules/{rule}/{command}", Operators, || post(rules::command)),
    route("post", BACKUP_PATH, Operators, || {
        post(|State(api): Asked| async move { api.copies.answer() })
    }),
    route("post", RELOAD_PATH, Operators, || {
        post(|State(api): Asked, uri: Uri| async move { api.reload.answer(&uri).await })
    }),
];
