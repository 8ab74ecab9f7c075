//! Everything read again, for whoever can read the data directory.

use std::sync::Arc;

use axum::http::StatusCode;
use tokio::task::spawn_blocking;

use crate::reload::Reloader;

/// Lets files be read again.
pub(super) struct ReloadControl {
    reloader: Arc<Reloader>,
}

impl ReloadControl {
    pub(super) fn new(reloader: Arc<Reloader>) -> Self {
        Self { reloader }
    }

    /// The answer to a request: what has changed, or everything that is wrong with the files.
    pub(super) async fn answer(&self) -> (StatusCode, String) {
        let reloader = self.reloader.clone();
        match spawn_blocking(move || reloader.reload()).await {
            Ok(Ok(reloaded)) => {
                tracing::info!(rules = reloaded.rules.len(), "the files were read again");
                (StatusCode::OK, reloaded.to_string())
            }
            Ok(Err(error)) => (StatusCode::UNPROCESSABLE_ENTITY, error.report()),
            Err(panic) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{panic}\n")),
        }
    }
}
