//! What can be done to a rule while it runs, and what can be seen of it, for whoever can read the
//! data directory.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::pipeline::{Listener, PipelineHandle, RuleCommand, TraceError, Traced};

/// How long it may take until the store has what was done.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lets rules be paused, resumed and reset.
pub(super) struct RuleControl {
    pipeline: PipelineHandle,
}

impl RuleControl {
    pub(super) fn new(pipeline: PipelineHandle) -> Self {
        Self { pipeline }
    }

    /// The answer to a request that names a rule and a command.
    pub(super) async fn answer(&self, (rule, command): (String, String)) -> (StatusCode, String) {
        let known = RuleCommand::ALL.into_iter().find(|known| known.word() == command);
        let Some(command) = known else {
            let words = format!(
                "no command `{command}`; there are explain, pause, resume, reset and trace"
            );
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

    /// The answer to a request to see what becomes of the messages of a rule: a line for each, and
    /// it does not end before whoever asks goes.
    pub(super) async fn trace(&self, rule: String, body: &[u8]) -> Response {
        let wanted: TraceRequest = match serde_json::from_slice(body) {
            Ok(wanted) => wanted,
            Err(error) => {
                let words = format!("the body is not {{\"key\":...,\"json\":...}}: {error}");
                return no(StatusCode::BAD_REQUEST, &words).into_response();
            }
        };
        let (listener, steps) = Listener::new(rule, wanted.key);
        let (sender, answer) = oneshot::channel();
        let tell = move |outcome| {
            // Whoever asked may be gone.
            let _ = sender.send(outcome);
        };
        self.pipeline.trace(listener, Box::new(tell));
        match timeout(PATIENCE, answer).await {
            Ok(Ok(Ok(()))) => Body::new(Lines { steps, json: wanted.json }).into_response(),
            Ok(Ok(Err(error @ TraceError::UnknownRule(_)))) => {
                no(StatusCode::NOT_FOUND, &error.to_string()).into_response()
            }
            Ok(Ok(Err(error @ TraceError::TooMany))) => {
                no(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()).into_response()
            }
            Ok(Err(_)) | Err(_) => {
                no(StatusCode::SERVICE_UNAVAILABLE, "the rules do not answer").into_response()
            }
        }
    }
}

/// What somebody wants to see.
#[derive(Debug, Deserialize)]
struct TraceRequest {
    /// Only this group.
    key: Option<String>,
    /// Objects instead of words.
    json: bool,
}

/// Steps as they come, each a line.
struct Lines {
    steps: Receiver<Traced>,
    json: bool,
}

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let json = self.json;
        let frame = |traced| Ok(Frame::data(Bytes::from(line(traced, json))));
        self.steps.poll_recv(context).map(|traced| traced.map(frame))
    }
}

fn line(traced: Traced, json: bool) -> String {
    let line = match (traced, json) {
        (Traced::Missed(count), false) => format!("{count} steps missed: there were too many"),
        (Traced::Missed(count), true) => json!({ "missed": count }).to_string(),
        (Traced::Step(step), false) => step.to_string(),
        (Traced::Step(step), true) => step.to_json(),
    };
    line + "\n"
}

fn no(status: StatusCode, words: &str) -> (StatusCode, String) {
    (status, format!("{words}\n"))
}
