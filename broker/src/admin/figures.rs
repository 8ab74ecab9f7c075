//! Health and status: figures, and nothing that names a client, a topic or a payload.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::Asked;
use super::answer::ApiError;
use crate::status::{Status, StoreStatus};

/// `GET status`.
pub(super) async fn status(State(api): Asked) -> Result<Json<Status>, ApiError> {
    api.status().await.map(Json)
}

/// `GET /readyz`.
pub(super) async fn readiness(State(api): Asked) -> Result<(StatusCode, &'static str), ApiError> {
    Ok(match api.status().await?.ready {
        true => (StatusCode::OK, "ready\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready: the store is being recovered\n"),
    })
}

/// `GET store`.
pub(super) async fn store(State(api): Asked) -> Result<Json<StoreStatus>, ApiError> {
    Ok(Json(api.status().await?.store))
}
