//! Messages posted to a service, which a server of the test plays.

use std::collections::VecDeque;
use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use flate2::read::GzDecoder;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::client::{Client, PATIENCE};
use super::mosquitto::Directory;
use super::ports::free_port;
use super::tls::Files;
use super::{route, start, until};
use crate::config::{
    HostPort, HttpBody, HttpCompression, RestartTimeout, Secret, TlsClientConfig, UpstreamConfig,
    UpstreamKind,
};
use crate::status::UpstreamState;

use std::time::Duration;

/// What came, and what is to be answered.
#[derive(Clone, Default)]
struct Service(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    requests: Vec<Posted>,
    /// Statuses of the next answers; after them 204.
    answers: VecDeque<(StatusCode, &'static str)>,
    /// A request that holds this is wrong.
    wrong: Option<&'static str>,
}

#[derive(Clone)]
struct Posted {
    uri: Uri,
    headers: HeaderMap,
    body: String,
    is_taken: bool,
}

impl Posted {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("it is ASCII"))
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

async fn answer(
    State(service): State<Service>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let mut seen = service.0.lock().expect("nobody panics");
    let mut text = String::new();
    match headers.get("content-encoding") {
        Some(_) => GzDecoder::new(&body[..]).read_to_string(&mut text).expect("it is gzip"),
        None => body.as_ref().read_to_string(&mut text).expect("it is text"),
    };
    let body = text;
    let is_wrong = seen.wrong.is_some_and(|wrong| body.contains(wrong));
    let answer = match seen.answers.pop_front() {
        Some(answer) => answer,
        None if is_wrong => (StatusCode::BAD_REQUEST, "field type conflict\n"),
        None => (StatusCode::NO_CONTENT, ""),
    };
    seen.requests.push(Posted { uri, headers, body, is_taken: answer.0.is_success() });
    answer
}

impl Service {
    /// A service that listens from now on.
    async fn start(&self) -> HostPort {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        self.serve(listener);
        HostPort::new("127.0.0.1", port)
    }

    fn serve(&self, listener: TcpListener) {
        let router = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async { axum::serve(listener, router).await });
    }

    fn say(&self, answers: &[(StatusCode, &'static str)]) {
        self.0.lock().expect("nobody panics").answers.extend(answers);
    }

    /// The requests, once there are so many.
    async fn requests(&self, count: usize) -> Vec<Posted> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let requests = self.0.lock().expect("nobody panics").requests.clone();
            if requests.len() >= count {
                return requests;
            }
            assert!(Instant::now() < deadline, "{} requests", requests.len());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn upstream(address: HostPort) -> UpstreamConfig {
    let mut config = UpstreamConfig::new("cloud", address);
    config.kind = UpstreamKind::Http;
    config.remote_clientid = Some("gate".to_owned());
    config.forward = vec![route("agg/#", "site/{topic}", 1)];
    config.restart_timeout =
        RestartTimeout { min: Duration::from_millis(20), max: Duration::from_millis(100) };
    config
}

#[tokio::test]
async fn a_message_is_an_object_that_says_what_it_is() {
    let service = Service::default();
    let mut config = upstream(service.start().await);
    config.http.path = "/hook?site=berlin".to_owned();
    config.http.authorization = Some(Secret::new("Token abc"));
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    publisher.publish("agg/a", 1, "{\"v\":21.5}");
    publisher.publish("agg/b", 1, "warm");
    let requests = service.requests(2).await;
    assert_eq!(requests[0].uri, "/hook?site=berlin");
    assert_eq!(requests[0].header("authorization"), Some("Token abc"));
    assert_eq!(requests[0].header("content-type"), Some("application/json"));
    let object = requests[0].json();
    assert_eq!((&object["topic"], &object["payload"]), (&json!("site/agg/a"), &json!({"v": 21.5})));
    assert_eq!((&object["src"], &object["retain"]), (&json!("gate"), &json!(false)));
    let id = object["id"].as_str().expect("it has an id");
    assert_eq!(requests[0].header("idempotency-key"), Some(id));
    assert_eq!(requests[1].json()["payload"], "warm");
    let status = until(&broker, |status| status.depth == 0 && status.acknowledged == 2).await;
    assert_eq!((status.sent, status.dropped.len()), (2, 0));
}

#[tokio::test]
async fn what_waits_goes_in_batches() {
    let service = Service::default();
    service.say(&[(StatusCode::SERVICE_UNAVAILABLE, "busy")]);
    let mut config = upstream(service.start().await);
    config.http.batch = 10;
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    for number in 0..95 {
        publisher.publish("agg/a", 1, &number.to_string());
    }
    until(&broker, |status| status.acknowledged == 95).await;
    let requests = service.requests(10).await;
    assert!(requests.len() <= 60, "{} requests", requests.len());
    let mut payloads = Vec::new();
    for request in requests.iter().filter(|request| request.is_taken) {
        let objects = request.json();
        let objects = objects.as_array().expect("an array also of one");
        assert!((1..=10).contains(&objects.len()));
        payloads.extend(objects.iter().map(|object| object["payload"].as_u64()));
    }
    assert_eq!(payloads, (0..95).map(Some).collect::<Vec<_>>(), "in order, each once");
}

#[tokio::test]
async fn lines_and_payloads_as_they_came() {
    for body in [HttpBody::Lines, HttpBody::Raw] {
        let service = Service::default();
        let mut config = upstream(service.start().await);
        config.http.body = body;
        (config.username, config.password) = (Some("box".to_owned()), Some(Secret::new("pw")));
        let directory = Directory::new("data");
        let (broker, here) = start(&directory, &config);
        let publisher = Client::connect(&here, "here");
        publisher.publish("agg/ä%", 1, "temp,room=1 v=21.5");
        let request = &service.requests(1).await[0];
        assert_eq!(request.header("authorization"), Some("Basic Ym94OnB3"));
        match body {
            HttpBody::Lines => {
                assert_eq!(request.body, "temp,room=1 v=21.5\n");
                assert_eq!(request.header("content-type"), Some("text/plain; charset=utf-8"));
            }
            _ => {
                assert_eq!(request.body, "temp,room=1 v=21.5");
                assert_eq!(request.header("content-type"), Some("text/plain"));
                assert_eq!(request.header("mqtt-topic"), Some("site/agg/%C3%A4%25"));
            }
        }
        until(&broker, |status| status.depth == 0).await;
    }
}

/// Also of a batch of which the service takes nothing because of one message.
#[tokio::test]
async fn what_is_wrong_is_a_dead_letter_and_does_not_hold_up_the_rest() {
    let service = Service::default();
    service.0.lock().expect("nobody panics").wrong = Some("bad");
    let mut config = upstream(service.start().await);
    config.http.batch = 50;
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &config);
    let mut local = Client::connect(&here, "local");
    local.subscribe("dead/#").await;
    let publisher = Client::connect(&here, "here");
    for number in 0..60 {
        let payload = if number == 33 { "bad".to_owned() } else { number.to_string() };
        publisher.publish("agg/a", 1, &payload);
    }
    let letter = local.next().await;
    assert_eq!(
        (letter.topic.as_str(), letter.payload.as_str()),
        ("dead/upstream/cloud/agg/a", "bad")
    );
    assert_eq!(letter.user["error"], "400 Bad Request: field type conflict");
    let status = until(&broker, |status| status.depth == 0).await;
    assert_eq!((status.acknowledged, status.dropped["refused"]), (59, 1));
}

/// Nobody keeps it, so that a figure is all that is left of it.
#[tokio::test]
async fn what_is_wrong_at_qos_0_is_counted() {
    let service = Service::default();
    service.0.lock().expect("nobody panics").wrong = Some("bad");
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &upstream(service.start().await));
    until(&broker, |status| status.state == UpstreamState::Connected).await;
    let publisher = Client::connect(&here, "here");
    publisher.publish("agg/a", 0, "bad");
    publisher.publish("agg/a", 0, "good");
    let status = until(&broker, |status| status.sent == 2 && !status.dropped.is_empty()).await;
    assert_eq!((status.dropped.len(), status.dropped["refused"]), (1, 1));
    assert_eq!(service.requests(2).await[1].json()["payload"], "good");
}

#[tokio::test]
async fn what_is_wrong_with_the_service_is_told_and_nothing_is_lost() {
    for (status, text) in [
        (
            StatusCode::UNAUTHORIZED,
            "the upstream refused the connection: 401 Unauthorized: no token",
        ),
        (StatusCode::NOT_FOUND, "the upstream refused the connection: 404 Not Found: no token"),
        (
            StatusCode::TOO_MANY_REQUESTS,
            "the upstream refused a message for now: 429 Too Many Requests: no token",
        ),
        (StatusCode::FOUND, "the upstream refused the connection: 302 Found to elsewhere"),
    ] {
        let service = Service::default();
        service.say(&[(status, "no\n token"); 3]);
        let directory = Directory::new("data");
        let (broker, here) = start(&directory, &upstream(service.start().await));
        let publisher = Client::connect(&here, "here");
        publisher.publish("agg/a", 1, "1");
        let status = until(&broker, |status| status.last_error.is_some()).await;
        assert_eq!(status.last_error.as_deref(), Some(text));
        let requests = service.requests(4).await;
        let ids: Vec<_> = requests.iter().map(|posted| posted.header("idempotency-key")).collect();
        assert!(ids.iter().all(|id| id.is_some() && *id == ids[0]), "{ids:?}");
        until(&broker, |status| status.acknowledged == 1 && status.depth == 0).await;
    }
}

#[tokio::test]
async fn what_was_accepted_while_the_service_was_away_arrives_in_order() {
    let port = free_port();
    let mut config = upstream(HostPort::new("127.0.0.1", port));
    config.http.batch = 100;
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    for number in 0..300 {
        publisher.publish("agg/a", 1, &number.to_string());
    }
    let status = until(&broker, |status| status.depth == 300 && status.last_error.is_some()).await;
    assert_ne!(status.state, UpstreamState::Connected);
    broker.shutdown();
    let (broker, _) = start(&directory, &config);
    let service = Service::default();
    service.serve(TcpListener::bind(("127.0.0.1", port)).await.expect("it is free still"));
    until(&broker, |status| status.acknowledged == 300 && status.depth == 0).await;
    let requests = service.requests(3).await;
    let objects =
        requests.iter().flat_map(|one| one.json().as_array().cloned().unwrap_or_default());
    let payloads: Vec<_> = objects.map(|object| object["payload"].as_u64()).collect();
    assert_eq!(payloads, (0..300).map(Some).collect::<Vec<_>>());
}

#[tokio::test]
async fn https_with_a_certificate_of_the_box() {
    let files = Files::new();
    let chain = CertificateDer::pem_file_iter(files.path("localhost.pem")).expect("a file");
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("certificates");
    let key = PrivateKeyDer::from_pem_file(files.path("localhost.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("they fit");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let service = Service::default();
    let router = Router::new().fallback(answer).with_state(service.clone());
    let acceptor = TlsAcceptor::from(Arc::new(server));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, router) = (acceptor.clone(), router.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let io = hyper_util::rt::TokioIo::new(stream);
                let service = hyper_util::service::TowerToHyperService::new(router);
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
            });
        }
    });
    let mut config = upstream(HostPort::new("localhost", port));
    config.tls = Some(files.tls());
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    publisher.publish("agg/a", 1, "21.5");
    assert_eq!(service.requests(1).await[0].json()["payload"], 21.5);
    until(&broker, |status| status.acknowledged == 1).await;
    broker.shutdown();
    let other = TlsClientConfig { cafile: Some(files.path("other-ca.pem")), ..files.tls() };
    let (broker, _) = start(&directory, &UpstreamConfig { tls: Some(other), ..config });
    let status = until(&broker, |status| status.last_error.is_some()).await;
    let text = status.last_error.unwrap_or_default();
    assert!(text.starts_with("no TLS with the upstream: "), "{text}");
}

/// A batch of lines is much shorter then; a service that does not understand it is not set up right.
#[tokio::test]
async fn a_request_can_be_compressed() {
    let service = Service::default();
    service.say(&[(StatusCode::UNSUPPORTED_MEDIA_TYPE, "no gzip here")]);
    let mut config = upstream(service.start().await);
    (config.http.body, config.http.batch) = (HttpBody::Lines, 100);
    config.http.compression = HttpCompression::Gzip;
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    let line = "climate,room=kitchen temperature=21.5".repeat(40);
    publisher.publish("agg/a", 1, &line);
    let status = until(&broker, |status| status.acknowledged == 1).await;
    assert_eq!(status.dropped.len(), 0, "nothing is wrong with the message: {status:?}");
    let told = status.last_error.expect("it was told");
    assert!(told.contains("no gzip here"), "{told}");
    let requests = service.requests(2).await;
    assert_eq!(requests[1].header("content-encoding"), Some("gzip"));
    assert_eq!(requests[1].body, format!("{line}\n"));
    let length: usize = requests[1].header("content-length").unwrap().parse().unwrap();
    assert!(length < line.len() / 10, "{length}");
}
