//! A service that is asked over HTTP: a real one on a real socket, which says what the test wants.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rumqttc::v5::mqttbytes::v5::{
    ConnectReturnCode, DisconnectReasonCode, Packet, PubAckReason, SubscribeReasonCode,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use weir_broker::Broker;
use weir_broker::config::{Config, HttpAuthConfig};

use crate::{Device, Folder, PATIENCE, farewell, set_password};

/// What the service says.
#[derive(Clone)]
enum Reply {
    /// Status and body.
    Answer(u16, String),
    /// The same, and then the connection is closed without a word about it.
    AnswerAndClose(u16, String),
    /// The connection is closed.
    Close,
    /// Nothing, for as long as the test lasts.
    Nothing,
    /// What stands behind it, once the test opens the gate.
    WhenOpen(Box<Reply>),
}

type Says = dyn Fn(&Value) -> Reply + Send + Sync;

/// A service on a port of its own.
struct Service {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    says: Mutex<Arc<Says>>,
    asked: Mutex<Vec<Value>>,
    connections: AtomicUsize,
    gate: Gate,
    tls: Option<Arc<ServerConfig>>,
}

/// Holds answers back.
#[derive(Default)]
struct Gate {
    /// How many wait, the most that have waited, and whether it is open.
    state: Mutex<(usize, usize, bool)>,
    changed: Condvar,
}

impl Service {
    fn start(says: impl Fn(&Value) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(None, says)
    }

    fn with(
        tls: Option<Arc<ServerConfig>>,
        says: impl Fn(&Value) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            says: Mutex::new(Arc::new(says)),
            asked: Mutex::default(),
            connections: AtomicUsize::new(0),
            gate: Gate::default(),
            tls,
        });
        let serving = shared.clone();
        // They end with the process of the tests.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, serving) = (stream.unwrap(), serving.clone());
                serving.connections.fetch_add(1, Ordering::Relaxed);
                thread::spawn(move || match serving.tls.clone() {
                    None => serving.serve(stream),
                    Some(tls) => {
                        let connection = ServerConnection::new(tls).unwrap();
                        serving.serve(StreamOwned::new(connection, stream));
                    }
                });
            }
        });
        Self { address, shared }
    }

    fn config(&self, folder: &Folder) -> Config {
        folder.write("passwords", "");
        let mut config = folder.config();
        let url = format!("http://{}/mqtt", self.address).parse().unwrap();
        config.auth.http = Some(HttpAuthConfig::new(url));
        config.auth.max_failures = None;
        config
    }

    fn now_says(&self, says: impl Fn(&Value) -> Reply + Send + Sync + 'static) {
        *self.shared.says.lock().unwrap() = Arc::new(says);
    }

    fn asked(&self) -> Vec<Value> {
        self.shared.asked.lock().unwrap().clone()
    }
}

impl Shared {
    fn serve(&self, stream: impl Read + Write) {
        let mut stream = BufReader::new(stream);
        while let Some((head, body)) = request(&mut stream) {
            assert!(head.starts_with("POST /mqtt HTTP/1.1"), "{head}");
            let asked: Value = serde_json::from_slice(&body).unwrap();
            self.asked.lock().unwrap().push(asked.clone());
            let says = self.says.lock().unwrap().clone();
            let mut reply = says(&asked);
            if let Reply::WhenOpen(behind) = reply {
                self.gate.wait();
                reply = *behind;
            }
            match reply {
                Reply::Answer(status, body) => answer(stream.get_mut(), status, &body),
                Reply::AnswerAndClose(status, body) => {
                    return answer(stream.get_mut(), status, &body);
                }
                Reply::Close => return,
                Reply::Nothing => loop {
                    thread::park();
                },
                Reply::WhenOpen(_) => unreachable!("one gate is enough"),
            }
        }
    }
}

impl Gate {
    fn wait(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        state.1 = state.1.max(state.0);
        self.changed.notify_all();
        let mut state = self.changed.wait_while(state, |state| !state.2).unwrap();
        state.0 -= 1;
    }

    fn until_waiting(&self, count: usize) {
        let state = self.state.lock().unwrap();
        let waited = self.changed.wait_timeout_while(state, PATIENCE, |state| state.0 < count);
        assert!(!waited.unwrap().1.timed_out());
    }

    fn open(&self) -> usize {
        let mut state = self.state.lock().unwrap();
        state.2 = true;
        self.changed.notify_all();
        state.1
    }
}

/// The head and the body of the next request; none at the end.
fn request(stream: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned)
    });
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    stream.read_exact(&mut body).ok()?;
    Some((head, body))
}

fn answer(stream: &mut impl Write, status: u16, body: &str) {
    let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n", body.len());
    // Whoever asked may be gone.
    let _ = stream.write_all((head + body).as_bytes()).and_then(|()| stream.flush());
}

fn says(body: Value) -> Reply {
    Reply::Answer(200, body.to_string())
}

fn yes() -> Reply {
    says(json!({"allow": true}))
}

fn refused(result: Result<Device, ConnectReturnCode>) -> Option<ConnectReturnCode> {
    result.err()
}

#[test]
fn the_service_says_who_connects_and_what_they_may_do() {
    let folder = Folder::new("service");
    let service = Service::start(|asked| match asked["username"].as_str() {
        Some("ann") if asked["password"] == "a" => says(json!({
            "allow": true, "acl": ["write out/#", "readwrite dev/ann/#", "deny out/no"],
        })),
        Some("token") => says(json!({"allow": true, "username": "ann", "acl": []})),
        Some("eve") => Reply::Answer(403, "no".to_owned()),
        _ => says(json!({"allow": false})),
    });
    let broker = Broker::start(service.config(&folder)).unwrap();
    let connect = |name, user, password| Device::connect(&broker, name, Some((user, password)));
    let mut ann = connect("c", "ann", "a").unwrap();
    assert_ne!(ann.publish("out/x"), PubAckReason::NotAuthorized);
    assert_eq!(ann.publish("out/no"), PubAckReason::NotAuthorized);
    assert_eq!(ann.publish("in/x"), PubAckReason::NotAuthorized);
    assert!(matches!(ann.subscribe("dev/ann/#"), SubscribeReasonCode::Success(_)));
    assert_eq!(ann.subscribe("in/#"), SubscribeReasonCode::NotAuthorized);
    let mut token = connect("d", "token", "x").unwrap();
    assert_eq!(token.publish("out/x"), PubAckReason::NotAuthorized);
    let wrong = Some(ConnectReturnCode::BadUserNamePassword);
    assert_eq!(refused(connect("e", "ann", "b")), wrong);
    assert_eq!(refused(connect("e", "eve", "x")), wrong);
    let asked = service.asked();
    let expected = json!({
        "action": "connect", "client_id": "c", "username": "ann", "password": "a",
        "address": "127.0.0.1", "protocol": "5.0",
    });
    assert_eq!(asked[0], expected);
    assert_eq!((asked.len(), broker.status().auth.refused), (4, 2));
    // Without a name there is nothing to be asked.
    assert_eq!(
        refused(Device::connect(&broker, "f", None)),
        Some(ConnectReturnCode::NotAuthorized)
    );
    assert_eq!(service.asked().len(), 4);
}

#[test]
fn a_user_of_the_password_file_is_not_asked_about() {
    let folder = Folder::new("service-file");
    let service = Service::start(|_| says(json!({"allow": false})));
    let config = service.config(&folder);
    set_password(&folder.0.join("passwords"), "ann", "a");
    let broker = Broker::start(config).unwrap();
    Device::connect(&broker, "c", Some(("ann", "a"))).unwrap();
    assert!(Device::connect(&broker, "c", Some(("ann", "b"))).is_err());
    assert!(service.asked().is_empty());
}

#[test]
fn an_answer_holds_for_its_time_and_for_nobody_else() {
    let folder = Folder::new("service-ttl");
    let service = Service::start(|asked| says(json!({"allow": asked["password"] == "a"})));
    let mut config = service.config(&folder);
    config.auth.http.as_mut().unwrap().ttl = Duration::from_secs(3600);
    let broker = Broker::start(config).unwrap();
    for _ in 0..3 {
        Device::connect(&broker, "c", Some(("ann", "a"))).unwrap();
    }
    assert_eq!(service.asked().len(), 1);
    // Another client, another name, another password.
    Device::connect(&broker, "d", Some(("ann", "a"))).unwrap();
    Device::connect(&broker, "c", Some(("bob", "a"))).unwrap();
    for _ in 0..2 {
        assert!(Device::connect(&broker, "c", Some(("ann", "b"))).is_err());
    }
    assert_eq!(service.asked().len(), 4);
    let figures = broker.status().auth.service.unwrap();
    assert_eq!((figures.requests, figures.remembered, figures.failures), (4, 3, 0));
    // Whoever reads the files again wants to hear anew.
    broker.reload_auth().unwrap();
    Device::connect(&broker, "c", Some(("ann", "a"))).unwrap();
    assert_eq!(service.asked().len(), 5);
    // All of them over one connection.
    assert_eq!(service.shared.connections.load(Ordering::Relaxed), 2);
}

#[test]
fn what_is_no_answer_lets_nobody_in_and_keeps_nobody_else_waiting() {
    let folder = Folder::new("service-silent");
    let service = Service::start(|asked| match asked["username"].as_str().unwrap() {
        "silent" => Reply::Nothing,
        "closed" => Reply::Close,
        "error" => Reply::Answer(500, r#"{"allow":true}"#.to_owned()),
        "moved" => Reply::Answer(302, r#"{"allow":true}"#.to_owned()),
        "nonsense" => Reply::Answer(200, "allow".to_owned()),
        "long" => Reply::Answer(200, format!(r#"{{"allow":true,"x":"{}"}}"#, "x".repeat(70_000))),
        _ => yes(),
    });
    let mut config = service.config(&folder);
    config.auth.http.as_mut().unwrap().timeout = Duration::from_secs(2);
    set_password(&folder.0.join("passwords"), "known", "k");
    let broker = Broker::start(config).unwrap();
    let address = broker.addresses()[0];
    let connect = |user| Device::connect_to(address, user, Some((user, "x")));
    let unavailable = Some(ConnectReturnCode::ServerUnavailable);
    for user in ["closed", "error", "moved", "nonsense", "long"] {
        assert_eq!(refused(connect(user)), unavailable, "{user}");
        // What follows is not touched by that.
        connect("fine").unwrap();
    }
    let start = Instant::now();
    thread::scope(|scope| {
        let silent = scope.spawn(|| refused(connect("silent")));
        while service.asked().last().unwrap()["username"] != "silent" {
            assert!(start.elapsed() < PATIENCE);
            thread::yield_now();
        }
        let mut known = Device::connect_to(address, "k", Some(("known", "k"))).unwrap();
        known.publish("t");
        assert!(start.elapsed() < Duration::from_secs(2), "nobody waits for the service");
        assert_eq!(silent.join().unwrap(), unavailable);
    });
    assert_eq!(broker.status().auth.service.unwrap().failures, 6);
}

#[test]
fn a_service_that_is_not_there_lets_nobody_in() {
    let folder = Folder::new("service-gone");
    let service = Service::start(|_| yes());
    let mut config = service.config(&folder);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{nobody}/").parse().unwrap();
    config.auth.http.as_mut().unwrap().url = vec![url];
    let broker = Broker::start(config).unwrap();
    let result = Device::connect(&broker, "c", Some(("ann", "a")));
    assert_eq!(refused(result), Some(ConnectReturnCode::ServerUnavailable));
    assert!(service.asked().is_empty());
}

#[test]
fn the_next_address_is_asked_when_one_fails() {
    let folder = Folder::new("service-next");
    let broken = Service::start(|_| Reply::Answer(503, String::new()));
    let service = Service::start(|_| yes());
    let mut config = broken.config(&folder);
    let next = service.config(&folder).auth.http.unwrap().url.remove(0);
    config.auth.http.as_mut().unwrap().url.push(next);
    let broker = Broker::start(config).unwrap();
    for name in ["a", "b", "c"] {
        Device::connect(&broker, name, Some(("ann", "a"))).unwrap();
    }
    assert_eq!((broken.asked().len(), service.asked().len()), (1, 3));
}

#[test]
fn a_connection_that_the_service_has_closed_is_made_again() {
    let folder = Folder::new("service-closes");
    let body = r#"{"allow":true}"#.to_owned();
    let service = Service::start(move |_| Reply::AnswerAndClose(200, body.clone()));
    let broker = Broker::start(service.config(&folder)).unwrap();
    for name in ["a", "b", "c", "d"] {
        Device::connect(&broker, name, Some(("ann", "a"))).unwrap();
    }
    assert_eq!(broker.status().auth.service.unwrap().failures, 0);
}

#[test]
fn no_more_than_sixteen_questions_are_put_at_a_time() {
    let folder = Folder::new("service-many");
    let service = Service::start(|_| Reply::WhenOpen(Box::new(yes())));
    let mut config = service.config(&folder);
    config.auth.http.as_mut().unwrap().timeout = PATIENCE;
    config.limits.connect_timeout = PATIENCE;
    let broker = Broker::start(config).unwrap();
    let address = broker.addresses()[0];
    thread::scope(|scope| {
        let clients: Vec<_> = (0..40)
            .map(|number| {
                let name = format!("c{number}");
                scope.spawn(move || Device::connect_to(address, &name, Some(("ann", "a"))).is_ok())
            })
            .collect();
        service.shared.gate.until_waiting(16);
        assert_eq!(service.shared.gate.open(), 16);
        assert!(clients.into_iter().all(|client| client.join().unwrap()));
    });
    assert_eq!(service.shared.gate.open(), 16);
    assert_eq!(service.asked().len(), 40);
}

#[test]
fn what_the_service_says_later_holds_for_open_connections() {
    let folder = Folder::new("service-renew");
    let allows =
        |topics: &'static str| move |_: &Value| says(json!({"allow": true, "acl": [topics]}));
    let service = Service::start(allows("readwrite a/#"));
    let mut config = service.config(&folder);
    config.auth.http.as_mut().unwrap().ttl = Duration::from_secs(1);
    let broker = Broker::start(config).unwrap();
    let mut ann = Device::connect(&broker, "c", Some(("ann", "a"))).unwrap();
    assert_ne!(ann.publish("a/x"), PubAckReason::NotAuthorized);
    ann.subscribe("a/#");
    service.now_says(allows("readwrite b/#"));
    let start = Instant::now();
    while ann.publish("b/x") == PubAckReason::NotAuthorized {
        assert!(start.elapsed() < PATIENCE, "it is asked again");
    }
    assert_eq!(ann.publish("a/x"), PubAckReason::NotAuthorized);
    let asked = service.asked();
    let again = asked.iter().find(|asked| asked["action"] == "renew").unwrap();
    assert_eq!((&again["client_id"], &again["username"]), (&json!("c"), &json!("ann")));
    assert!(again.get("password").is_none());
    // What it had subscribed to is not delivered any more.
    service.now_says(allows("write #"));
    let mut writer = Device::connect(&broker, "w", Some(("bob", "b"))).unwrap();
    while ann.publish("c/x") == PubAckReason::NotAuthorized {
        assert!(start.elapsed() < PATIENCE, "it is asked again");
    }
    writer.publish("a/x");
    let heard = ann.publish("c/x");
    assert_ne!(heard, PubAckReason::NotAuthorized, "and no PUBLISH comes before PUBACK");
    service.now_says(|_| says(json!({"allow": false})));
    assert_eq!(farewell(ann), Some(DisconnectReasonCode::NotAuthorized));
    assert_eq!(farewell(writer), Some(DisconnectReasonCode::NotAuthorized));
    assert_eq!(broker.status().auth.revoked, 2);
}

#[test]
fn open_connections_go_on_for_the_grace_when_the_service_fails() {
    let folder = Folder::new("service-grace");
    let service = Service::start(|_| yes());
    let mut config = service.config(&folder);
    let http = config.auth.http.as_mut().unwrap();
    (http.ttl, http.timeout) = (Duration::from_secs(1), Duration::from_secs(1));
    http.grace = Duration::from_secs(2);
    let broker = Broker::start(config).unwrap();
    let ann = Device::connect(&broker, "c", Some(("ann", "a"))).unwrap();
    let start = Instant::now();
    service.now_says(|_| Reply::Close);
    let result = Device::connect(&broker, "d", Some(("ann", "a")));
    assert_eq!(refused(result), Some(ConnectReturnCode::ServerUnavailable));
    assert_eq!(farewell(ann), Some(DisconnectReasonCode::NotAuthorized));
    let elapsed = start.elapsed();
    assert!(elapsed >= Duration::from_secs(3), "{elapsed:?}");
}

/// A certificate for 127.0.0.1 and the one that signed it.
fn certificates() -> (Arc<ServerConfig>, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let chain = vec![CertificateDer::from(certificate.der().to_vec())];
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    (Arc::new(config), authority.pem())
}

#[test]
fn a_service_with_https_is_believed_by_its_certificate_only() {
    let folder = Folder::new("service-tls");
    let (tls, pem) = certificates();
    let service = Service::with(Some(tls), |_| yes());
    let mut config = service.config(&folder);
    let http = config.auth.http.as_mut().unwrap();
    http.url = vec![format!("https://{}/mqtt", service.address).parse().unwrap()];
    http.ca_file = Some(folder.write("ca.pem", &pem));
    let broker = Broker::start(config).unwrap();
    for name in ["a", "b"] {
        Device::connect(&broker, name, Some(("ann", "a"))).unwrap();
    }
    assert_eq!(service.shared.connections.load(Ordering::Relaxed), 1);
    // Somebody else signs.
    let (_, other) = certificates();
    folder.write("ca.pem", &other);
    broker.reload_auth().unwrap();
    let result = Device::connect(&broker, "c", Some(("ann", "a")));
    assert_eq!(refused(result), Some(ConnectReturnCode::ServerUnavailable));
    // A file without certificates changes nothing.
    for text in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        folder.write("ca.pem", text);
        let problems = broker.reload_auth().unwrap_err();
        assert!(problems[0].to_string().contains("ca.pem"), "{}", problems[0]);
    }
    assert_eq!(service.asked().len(), 2);
}

#[test]
fn the_answer_is_looked_up_for_packets_as_they_come() {
    let folder = Folder::new("service-names");
    let service = Service::start(|asked| {
        let topic = format!("readwrite dev/{}/#", asked["client_id"].as_str().unwrap());
        says(json!({"allow": true, "acl": [topic]}))
    });
    let broker = Broker::start(service.config(&folder)).unwrap();
    let mut heard = HashMap::new();
    for name in ["c1", "c2"] {
        let mut device = Device::connect(&broker, name, Some(("ann", "a"))).unwrap();
        device.subscribe("dev/#");
        heard.insert(name, device);
    }
    let first = heard.get_mut("c1").unwrap();
    assert_eq!(first.publish("dev/c2/x"), PubAckReason::NotAuthorized);
    first.client.publish("dev/c1/x", rumqttc::v5::mqttbytes::QoS::AtMostOnce, false, "x").unwrap();
    let Some(Packet::Publish(publish)) = first.hear() else { panic!("it arrives") };
    assert_eq!(publish.topic, "dev/c1/x");
    assert_eq!(heard.get_mut("c2").unwrap().publish("dev/c1/x"), PubAckReason::NotAuthorized);
}
