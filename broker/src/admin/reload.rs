//! Everything read again, for whoever can read the data directory.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};
use tokio::task::spawn_blocking;

use super::key::{AdminKey, Guard};
use crate::reload::Reloader;

/// Lets files be read again.
pub(super) struct ReloadControl {
    guard: Guard,
    reloader: Arc<Reloader>,
}

impl ReloadControl {
    pub(super) fn new(key: &AdminKey, reloader: Arc<Reloader>) -> Self {
        Self { guard: key.guard(), reloader }
    }

    /// The answer to a request: what has changed, or everything that is wrong with the files.
    pub(super) async fn answer(&self, headers: &HeaderMap) -> (StatusCode, String) {
        if !self.guard.admits(headers) {
            let words = "a reload is for whoever can read admin.key in the data directory\n";
            return (StatusCode::FORBIDDEN, words.to_owned());
        }
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
