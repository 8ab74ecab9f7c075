//! What the API answers when it cannot do what it was asked for, and how it reads what it is asked.

use axum::Json;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use weir_config::nearest;

/// What stands in a path behind the name of a table.
pub(super) struct Named<T = String>(pub(super) T);

impl<S, T> FromRequestParts<S> for Named<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Send,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let named = Path::from_request_parts(parts, state).await;
        named.map(|Path(named)| Self(named)).map_err(|rejection| {
            ApiError::bad_request(rejection.body_text(), "names are UTF-8, escaped with percent")
        })
    }
}

/// It was done; what has come of it, in lines for people.
#[derive(Debug, Serialize)]
pub(super) struct Done {
    message: String,
}

impl Done {
    pub(super) fn new(message: &str) -> Self {
        Self { message: message.trim_end().to_owned() }
    }
}

/// An answer that is not what was asked for: a status, a stable code, what is the matter, and what to
/// do about it.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) help: String,
}

impl ApiError {
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self { status, code, message: message.into(), help: help.into() }
    }

    /// There is no such thing.
    pub(super) fn not_found(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message, help)
    }

    /// What was asked for makes no sense.
    pub(super) fn bad_request(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message, help)
    }

    /// A part of the broker does not answer in time.
    pub(super) fn unanswered(part: &str) -> Self {
        let message = format!("{part} did not answer in time");
        let help = "try again; if it stays so, look at the log and at /readyz";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message, help)
    }

    /// Something was done, and it is not known whether it is durable.
    pub(super) fn not_durable() -> Self {
        let message = "it is done, but the store has not taken it yet";
        let help = "it may be undone by a restart; `weir status` says how the store is";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "not_durable", message, help)
    }

    /// The store is full.
    pub(super) fn no_room(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "store_full", message, help)
    }

    /// Too much of it goes on already.
    pub(super) fn busy(what: &str) -> Self {
        let message = format!("too many {what} at a time");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message, "try again later")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self { status, code, message, help } = self;
        let body = json!({ "error": { "code": code, "message": message, "help": help } });
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"weir\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// The parameters behind the `?` of a request, each of which may stand there once.
#[derive(Debug)]
pub(super) struct Query {
    values: Vec<(String, String)>,
}

impl Query {
    /// Reads them; any other than `known` is an error, so that a typo does not go unseen.
    pub(super) fn read(uri: &Uri, known: &[&str]) -> Result<Self, ApiError> {
        let mut values: Vec<(String, String)> = Vec::new();
        let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        for (name, value) in pairs.into_owned() {
            if !known.contains(&&*name) {
                let help = match nearest(&name, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if known.is_empty() => "there are none here".to_owned(),
                    None => format!("there are {}", known.join(", ")),
                };
                return Err(ApiError::bad_request(format!("unknown parameter `{name}`"), help));
            }
            if values.iter().any(|(earlier, _)| *earlier == name) {
                let message = format!("`{name}` stands there twice");
                return Err(ApiError::bad_request(message, "leave one of them out"));
            }
            if value.contains('\0') {
                let message = format!("`{name}` has a character U+0000 in it");
                return Err(ApiError::bad_request(message, "no name in MQTT has one"));
            }
            values.push((name, value));
        }
        Ok(Self { values })
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let at = self.values.iter().position(|(known, _)| known == name)?;
        Some(self.values.swap_remove(at).1)
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.text(name).as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => {
                let message = format!("`{name}` is `{other}`");
                Err(ApiError::bad_request(message, "it may be true or false"))
            }
        }
    }

    /// How many entries a page may have.
    pub(super) fn limit(&mut self) -> Result<usize, ApiError> {
        let Some(text) = self.text("limit") else { return Ok(LIMIT_DEFAULT) };
        match text.parse() {
            Ok(limit) if (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
            _ => {
                let help = format!("it may be 1 to {LIMIT_MAX}; `next` of a page leads to more");
                Err(ApiError::bad_request(format!("`limit` is `{text}`"), help))
            }
        }
    }
}

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, known: &[&str]) -> Result<Query, ApiError> {
        Query::read(&text.parse().unwrap(), known)
    }

    #[test]
    fn parameters_are_read_and_what_is_wrong_with_them_is_told() {
        let mut query =
            read("/x?prefix=a%2Fb+c&connected=true&limit=7", &["prefix", "connected", "limit"])
                .unwrap();
        assert_eq!(query.text("prefix").as_deref(), Some("a/b c"));
        assert_eq!(query.flag("connected"), Ok(Some(true)));
        assert_eq!(query.limit(), Ok(7));
        assert_eq!(query.limit(), Ok(LIMIT_DEFAULT));
        for (text, words) in [
            ("/x?limt=1", "did you mean `limit`"),
            ("/x?limit=1&limit=2", "leave one"),
            ("/x?limit=%00", "no name"),
        ] {
            let error = read(text, &["limit"]).unwrap_err();
            assert!(error.help.contains(words), "{text}: {error:?}");
        }
        for limit in ["0", "1001", "-1", "many", ""] {
            assert!(read(&format!("/x?limit={limit}"), &["limit"]).unwrap().limit().is_err());
        }
    }
}
