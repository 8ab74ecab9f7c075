//! Upstreams and their backlogs: `upstreams`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use super::Asked;
use super::answer::{ApiError, Done, Named};
use crate::status::UpstreamStatus;

/// All of them.
#[derive(Debug, Serialize)]
pub(super) struct Upstreams {
    upstreams: Vec<UpstreamStatus>,
}

/// `GET upstreams`.
pub(super) async fn list(State(api): Asked) -> Json<Upstreams> {
    Json(Upstreams { upstreams: api.probe.upstreams.status() })
}

/// `POST upstreams/{name}/drain`.
pub(super) async fn drain(
    State(api): Asked,
    Named(name): Named,
) -> Result<(StatusCode, Json<Done>), ApiError> {
    if !api.probe.upstreams.drain(&name) {
        let message = format!("there is no upstream `{name}`");
        return Err(ApiError::not_found(message, "`GET /api/v1/upstreams` lists those there are"));
    }
    let message = format!("`{name}` connects now, and sends what waits");
    Ok((StatusCode::ACCEPTED, Json(Done::new(&message))))
}
