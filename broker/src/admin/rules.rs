//! What can be done to a rule while it runs, for whoever can read the data directory.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::key::{AdminKey, Guard};
use crate::pipeline::{PipelineHandle, RuleCommand};

/// How long it may take until the store has what was done.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lets rules be paused, resumed and reset.
pub(super) struct RuleControl {
    guard: Guard,
    pipeline: PipelineHandle,
}

impl RuleControl {
    pub(super) fn new(key: &AdminKey, pipeline: PipelineHandle) -> Self {
        Self { guard: key.guard(), pipeline }
    }

    /// The answer to a request that names a rule and a command.
    pub(super) async fn answer(
        &self,
        headers: &HeaderMap,
        (rule, command): (String, String),
    ) -> (StatusCode, String) {
        let no = |status, words: &str| (status, format!("{words}\n"));
        if !self.guard.admits(headers) {
            let words = "rules are for whoever can read admin.key in the data directory";
            return no(StatusCode::FORBIDDEN, words);
        }
        let known = RuleCommand::ALL.into_iter().find(|known| known.word() == command);
        let Some(command) = known else {
            let words =
                format!("no command `{command}`; there are explain, pause, resume and reset");
            return no(StatusCode::NOT_FOUND, &words);
        };
        let (sender, answer) = oneshot::channel();
        let tell = move |outcome| {
            // Whoever asked may be gone.
            let _ = sender.send(outcome);
        };
        self.pipeline.command(rule, command, Box::new(tell));
        match timeout(PATIENCE, answer).await {
            Ok(Ok(Ok(done))) => (StatusCode::OK, format!("{}\n", done.trim_end())),
            Ok(Ok(Err(unknown))) => no(StatusCode::NOT_FOUND, &unknown.to_string()),
            Ok(Err(_)) | Err(_) => {
                no(StatusCode::SERVICE_UNAVAILABLE, "it is done, but the store has not taken it")
            }
        }
    }
}
