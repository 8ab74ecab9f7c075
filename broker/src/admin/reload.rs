//! Everything read again. With `?dry_run=true` it only says what would change.

use std::sync::Arc;

use axum::Json;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use weir_config::Places;

use super::answer::{ApiError, Query};
use crate::reload::Reloader;

/// Lets files be read again.
pub(super) struct ReloadControl {
    reloader: Arc<Reloader>,
}

impl ReloadControl {
    pub(super) fn new(reloader: Arc<Reloader>) -> Self {
        Self { reloader }
    }

    /// Where what was read last stands.
    pub(super) fn places(&self) -> Option<Arc<Places>> {
        self.reloader.places()
    }

    /// The answer to a request: what has changed, or everything that is wrong with the files; each
    /// in lines for people, and for scripts beside them.
    pub(super) async fn answer(&self, uri: &Uri) -> Result<Response, ApiError> {
        let dry_run = Query::read(uri, &["dry_run"])?.flag("dry_run")?.unwrap_or(false);
        let reloader = self.reloader.clone();
        match spawn_blocking(move || reloader.reload(dry_run)).await {
            Ok(Ok(reloaded)) => {
                if !dry_run {
                    tracing::info!(rules = reloaded.rules.len(), "the files were read again");
                }
                let text = reloaded.to_string();
                Ok(with(reloaded.to_json(), "message", json!(text.trim_end())))
            }
            Ok(Err(error)) => {
                let (report, problems) = (error.report(), error.to_json());
                let help = "nothing was changed: put the files right first";
                let told = json!({ "code": "files", "message": report.trim_end(), "help": help });
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                Ok((status, with(problems, "error", told)).into_response())
            }
            Err(_) => Err(ApiError::unanswered("the reading of the files")),
        }
    }
}

/// An object with one more field.
fn with(mut object: Value, name: &str, value: Value) -> Response {
    object[name] = value;
    Json(object).into_response()
}
