//! Messages posted to a service: webhooks, InfluxDB and whatever else takes lines or JSON.
//!
//! One request is under way at a time, so messages arrive in order. A status of 2xx acknowledges
//! its messages; one that says that the messages are wrong refuses them for good, after each was
//! tried by itself; any other ends the connection, and they are sent again on the next one. Of a
//! message whose answer was lost the service may have two: `id` tells them apart, as a field of
//! JSON, and in the header `Idempotency-Key` of a request with one message.

mod body;

use std::error::Error as _;
use std::io;
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderName, HeaderValue, LOCATION,
};
use hyper::{Request, Response, StatusCode, body::Incoming};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::aside::aside;
use super::desk::{Desk, Numbered};
use super::error::{LinkError, one_line};
use crate::config::{HostPort, HttpBody, HttpCompression, HttpConfig, TlsClientConfig};
use crate::http_connection::{self, OpenError, Requests, read_body};

/// What is posted, and how.
#[derive(Clone, Debug)]
pub(crate) struct HttpOptions {
    pub(crate) http: HttpConfig,
    pub(crate) credentials: Option<(String, String)>,
    pub(crate) tls: Option<TlsClientConfig>,
}

/// Runs a connection until it fails, or nobody sends any more.
pub(super) async fn run(
    address: HostPort,
    options: HttpOptions,
    desk: &mut Desk,
) -> Result<(), LinkError> {
    Service::new(address, options)?.serve(desk).await
}

struct Service {
    address: HostPort,
    tls: Option<TlsConnector>,
    http: HttpConfig,
    authorization: Option<HeaderValue>,
}

/// What a service says of a request.
enum Verdict {
    Taken,
    /// These messages will never be taken together.
    Wrong(String),
}

impl Service {
    fn new(address: HostPort, options: HttpOptions) -> Result<Self, LinkError> {
        let tls = options.tls.map(|tls| tls.load()).transpose()?;
        let basic = options.credentials.map(|(name, password)| {
            format!("Basic {}", Base64::encode_string(format!("{name}:{password}").as_bytes()))
        });
        let given = options.http.authorization.as_ref().map(|secret| secret.reveal().to_owned());
        let mut authorization = given.or(basic).and_then(|text| HeaderValue::try_from(text).ok());
        authorization.iter_mut().for_each(|value| value.set_sensitive(true));
        let tls = tls.map(TlsConnector::from);
        Ok(Self { address, tls, http: options.http, authorization })
    }

    async fn serve(&self, desk: &mut Desk) -> Result<(), LinkError> {
        let mut requests = Some(self.open().await?);
        // One request is under way while the next one gathers.
        desk.tell_connected(self.http.batch.saturating_mul(2)).await;
        while let Some(messages) = desk.take(self.http.batch).await {
            self.post_all(&messages, &mut requests, desk).await?;
        }
        Ok(())
    }

    /// Posts messages together, and if they are wrong, in ever smaller parts.
    async fn post_all(
        &self,
        messages: &[Numbered],
        requests: &mut Option<Requests>,
        desk: &Desk,
    ) -> Result<(), LinkError> {
        let mut parts = vec![messages];
        while let Some(part) = parts.pop() {
            match (self.post(part, requests).await?, part) {
                (Verdict::Taken, _) => {
                    for message in part {
                        desk.tell_acknowledged(message).await;
                    }
                }
                (Verdict::Wrong(reason), [message]) => {
                    desk.tell_refused(message.number, reason).await
                }
                (Verdict::Wrong(_), _) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
            }
        }
        Ok(())
    }

    async fn post(
        &self,
        messages: &[Numbered],
        requests: &mut Option<Requests>,
    ) -> Result<Verdict, LinkError> {
        let exchange = async {
            let mut open = match requests.take().filter(|requests| !requests.is_closed()) {
                Some(open) => open,
                // The service has ended it, as it may between two requests.
                None => self.open().await?,
            };
            let sent = open.send_request(self.request(messages).await).await;
            let answer = sent.map_err(broken)?;
            let verdict = self.judge(answer).await?;
            *requests = Some(open);
            Ok(verdict)
        };
        timeout(TIMEOUT, exchange).await.unwrap_or(Err(LinkError::Timeout))
    }

    async fn request(&self, messages: &[Numbered]) -> Request<Full<Bytes>> {
        let (content_type, body) = body::of(&self.http, messages);
        let mut request = Request::post(&self.http.path)
            .header(HOST, self.address.to_string())
            .header(CONTENT_TYPE, content_type);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let body = match self.http.compression {
            HttpCompression::None => body,
            HttpCompression::Gzip => {
                request = request.header(CONTENT_ENCODING, "gzip");
                aside(body.len(), move || body::gzipped(&body)).await
            }
        };
        if let [message] = messages {
            if let Some(id) = body::property(message, "id") {
                request = request.header(IDEMPOTENCY_KEY, body::escaped(id));
            }
            if self.http.body == HttpBody::Raw {
                request = request.header(TOPIC, body::escaped(&message.outgoing.topic));
            }
        }
        request.body(Full::new(body)).expect("every part was checked")
    }

    async fn judge(&self, answer: Response<Incoming>) -> Result<Verdict, LinkError> {
        let status = answer.status();
        let location = answer.headers().get(LOCATION).cloned();
        let body = read_body(answer.into_body(), ANSWER_BYTES_MAX).await;
        if status.is_success() {
            return Ok(Verdict::Taken);
        }
        let text = body.map(|body| one_line(&String::from_utf8_lossy(&body))).unwrap_or_default();
        let reason = if text.is_empty() { status.to_string() } else { format!("{status}: {text}") };
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(LinkError::Refused { reason, help: HELP_CREDENTIALS })
            }
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::GONE => {
                Err(LinkError::Refused { reason, help: HELP_PATH })
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                Err(LinkError::Refused { reason, help: HELP_MEDIA })
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                Err(LinkError::RefusedMessage(reason))
            }
            _ if status.is_redirection() => {
                let to = location.as_ref().and_then(|to| to.to_str().ok()).unwrap_or("elsewhere");
                let reason = format!("{status} to {to}");
                Err(LinkError::Refused { reason, help: HELP_PATH })
            }
            _ if status.is_client_error() => Ok(Verdict::Wrong(reason)),
            _ => Err(LinkError::RefusedMessage(reason)),
        }
    }

    async fn open(&self) -> Result<Requests, LinkError> {
        let (host, port) = (self.address.host(), self.address.port());
        let opened = timeout(TIMEOUT, http_connection::open(host, port, self.tls.as_ref())).await;
        match opened.map_err(|_| LinkError::Timeout)? {
            Ok(requests) => Ok(requests),
            Err(OpenError::Io(error)) => Err(LinkError::of_io(error, host)),
            Err(OpenError::Http(error)) => Err(broken(error)),
        }
    }
}

/// What an error of an exchange means here.
fn broken(error: hyper::Error) -> LinkError {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    if let Some(found) = cause.and_then(LinkError::of_tls) {
        return found;
    }
    if error.is_parse() {
        return LinkError::Refused {
            reason: format!("it does not speak HTTP: {error}"),
            help: HELP_HTTP,
        };
    }
    LinkError::Lost(cause.map_or_else(|| error.to_string(), ToString::to_string))
}

/// For a request and its answer, and to connect. Services at the edge are slow.
const TIMEOUT: Duration = Duration::from_secs(30);
/// What is read of an answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TOPIC: HeaderName = HeaderName::from_static("mqtt-topic");

const HELP_CREDENTIALS: &str =
    "check `authorization_file`, or `username` and `password_file`, of this upstream";
const HELP_MEDIA: &str = "check `body` and `compression` in `http` of this upstream";
const HELP_PATH: &str = "check `path` in `http` of this upstream";
const HELP_HTTP: &str = "check `address`; for HTTPS set `tls`";
