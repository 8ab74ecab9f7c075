//! What can be done to a rule while it runs, and what can be seen of it, for whoever can read the
//! data directory.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::answer::{ApiError, Done, Named};
use super::streamed::streamed;
use super::{Asked, DURABLE_PATIENCE};
use crate::pipeline::{Listener, PipelineHandle, RuleCommand, TraceError, Traced};
use crate::status::RuleStatus;

/// Lets rules be paused, resumed and reset.
pub(super) struct RuleControl {
    pipeline: PipelineHandle,
}

impl RuleControl {
    pub(super) fn new(pipeline: PipelineHandle) -> Self {
        Self { pipeline }
    }

    async fn obey(&self, rule: String, command: &str) -> Result<Done, ApiError> {
        let known = RuleCommand::ALL.into_iter().find(|known| known.word() == command);
        let Some(command) = known else {
            let message = format!("there is no command `{command}` for a rule");
            let help = "there are explain, pause, resume, reset and trace";
            return Err(ApiError::not_found(message, help));
        };
        let (sender, answer) = oneshot::channel();
        let tell = move |outcome| {
            // Whoever asked may be gone.
            let _ = sender.send(outcome);
        };
        self.pipeline.command(rule, command, Box::new(tell));
        match timeout(DURABLE_PATIENCE, answer).await {
            Ok(Ok(Ok(done))) => Ok(Done::new(&done)),
            Ok(Ok(Err(unknown))) => Err(ApiError::not_found(unknown.to_string(), RULES_HELP)),
            Ok(Err(_)) | Err(_) => Err(ApiError::not_durable()),
        }
    }

    async fn follow(&self, rule: String, body: &[u8]) -> Result<Response, ApiError> {
        let wanted: TraceRequest = serde_json::from_slice(body).map_err(|error| {
            let message = format!("the body is not what it should be: {error}");
            ApiError::bad_request(
                message,
                "it is {\"key\": null or a text, \"json\": true or false}",
            )
        })?;
        let (listener, steps) = Listener::new(rule, wanted.key);
        let (sender, answer) = oneshot::channel();
        let tell = move |outcome| {
            // Whoever asked may be gone.
            let _ = sender.send(outcome);
        };
        self.pipeline.trace(listener, Box::new(tell));
        match timeout(DURABLE_PATIENCE, answer).await {
            Ok(Ok(Ok(()))) => {
                let kind = if wanted.json { "application/x-ndjson" } else { "text/plain" };
                let mut response =
                    streamed(steps, move |step| line(step, wanted.json).into()).into_response();
                let kind = HeaderValue::from_static(kind);
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                Ok(response)
            }
            Ok(Ok(Err(error @ TraceError::UnknownRule(_)))) => {
                Err(ApiError::not_found(error.to_string(), RULES_HELP))
            }
            Ok(Ok(Err(error @ TraceError::TooMany))) => {
                Err(ApiError { message: error.to_string(), ..ApiError::busy("traces") })
            }
            Ok(Err(_)) | Err(_) => Err(ApiError::unanswered("the thread of the rules")),
        }
    }
}

/// All rules.
#[derive(Debug, Serialize)]
pub(super) struct Rules {
    rules: Vec<RuleStatus>,
}

/// `GET rules`.
pub(super) async fn list(State(api): Asked) -> Result<Json<Rules>, ApiError> {
    Ok(Json(Rules { rules: api.status().await?.rules }))
}

/// `GET rules/{rule}`.
pub(super) async fn one(
    State(api): Asked,
    Named(rule): Named,
) -> Result<Json<RuleStatus>, ApiError> {
    let mut rules = api.status().await?.rules.into_iter();
    let found = rules.find(|known| known.name == rule);
    let unknown = || ApiError::not_found(format!("there is no rule `{rule}`"), RULES_HELP);
    found.map(Json).ok_or_else(unknown)
}

/// `POST rules/{rule}/{command}`.
pub(super) async fn command(
    State(api): Asked,
    Named((rule, command)): Named<(String, String)>,
) -> Result<Json<Done>, ApiError> {
    api.rules.obey(rule, &command).await.map(Json)
}

/// `POST rules/{rule}/trace`: what becomes of the messages of a rule, a line for each; it does not
/// end before whoever asks goes.
pub(super) async fn trace(
    State(api): Asked,
    Named(rule): Named,
    body: Bytes,
) -> Result<Response, ApiError> {
    api.rules.follow(rule, &body).await
}

/// What somebody wants to see.
#[derive(Debug, Deserialize)]
struct TraceRequest {
    /// Only this group.
    key: Option<String>,
    /// Objects instead of words.
    json: bool,
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

pub(super) const RULES_HELP: &str =
    "`GET /api/v1/rules` and `weir rules status` list those there are";
