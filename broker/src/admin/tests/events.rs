//! Server-sent events, and the page that reads them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_rules::Source;

use super::support::{Server, client};

const PATIENCE: Duration = Duration::from_secs(20);

/// A stream of events.
struct Events {
    lines: BufReader<TcpStream>,
}

impl Events {
    fn open(server: &Server, query: &str, token: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(server.admin()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
        let token = token.unwrap_or_default();
        let host = server.admin();
        write!(stream, "GET /api/v1/events{query} HTTP/1.1\r\nHost: {host}\r\n{token}\r\n")
            .unwrap();
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(lines.read_line(&mut head).unwrap(), 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.contains("content-type: text/event-stream"), "{head}");
        assert!(head.contains("cache-control: no-store"), "{head}");
        Self { lines }
    }

    /// The data of the next event of this name that is as wanted.
    fn next(&mut self, name: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        let mut event = String::new();
        while Instant::now() < until {
            let mut line = String::new();
            assert_ne!(self.lines.read_line(&mut line).unwrap(), 0, "the stream goes on");
            if let Some(found) = line.strip_prefix("event: ") {
                event = found.trim().to_owned();
            }
            if let Some(data) = line.strip_prefix("data: ").filter(|_| event == name) {
                let data = serde_json::from_str(data).unwrap();
                if is_wanted(&data) {
                    return data;
                }
            }
        }
        panic!("no such event `{name}`");
    }
}

fn has_topic(data: &Value, topic: &str) -> bool {
    topic_of(data, topic).is_some()
}

fn topic_of<'a>(data: &'a Value, topic: &str) -> Option<&'a Value> {
    data["topics"].as_array()?.iter().find(|one| one["topic"] == topic)
}

#[test]
fn figures_come_each_second_without_a_token_and_nothing_else_does() {
    let server = Server::start();
    let mut events = Events::open(&server, "", None);
    let publisher = client(&server, "p");
    let first = events.next("status", |data| data["status"]["connections"] == 1);
    publisher.retain("a", b"1");
    let later = events.next("status", |data| data["status"]["messages"]["received"] == 1);
    assert!(later["at_ms"].as_u64() > first["at_ms"].as_u64());
    assert!(later["rates"]["received"].as_f64().unwrap() > 0.0, "{later}");
    for query in ["?topics=true", "?rule=r", "?topics=false&rule=r"] {
        let answer = server.ask("GET", &format!("/api/v1/events{query}"), None);
        assert_eq!((answer.code, &answer.json()["error"]["code"]), (401, &json!("no_token")));
    }
    let answer = server.ask("GET", "/api/v1/events?topic=true", None);
    assert!(answer.json()["error"]["help"].as_str().unwrap().contains("`topics`"));
}

#[test]
fn topics_are_watched_while_somebody_looks_and_forgotten_then() {
    let server = Server::start();
    let key = server.key();
    let publisher = client(&server, "p");
    publisher.retain("before", b"unseen");
    let mut events = Events::open(&server, "?topics=true", Some(&key));
    events.next("topics", |_| true);
    publisher.retain("a/b", b"21.5");
    let data = events.next("topics", |data| has_topic(data, "a/b"));
    let seen = topic_of(&data, "a/b").unwrap();
    assert_eq!(
        (&seen["payload"], &seen["retain"], &seen["qos"]),
        (&json!("21.5"), &json!(true), &json!(1))
    );
    assert_eq!((&data["known"], &data["one_of"]), (&json!(1), &json!(1)));
    publisher.retain("a/b", &[0xff]);
    let data = events.next("topics", |data| has_topic(data, "a/b"));
    let seen = topic_of(&data, "a/b").unwrap();
    assert_eq!((&seen["payload_base64"], &seen["messages"]), (&json!("/w=="), &json!(2)));
    // Whoever comes later is told of everything.
    let mut second = Events::open(&server, "?topics=true", Some(&key));
    second.next("topics", |data| has_topic(data, "a/b"));
    drop((events, second));
    // When all have gone the table has, and who comes then begins anew.
    let mut figures = Events::open(&server, "", None);
    let until = Instant::now() + PATIENCE;
    loop {
        // Looks at which nobody wants topics any more.
        (0..4).for_each(|_| _ = figures.next("status", |_| true));
        let mut events = Events::open(&server, "?topics=true", Some(&key));
        if events.next("topics", |_| true)["known"] == 0 {
            break;
        }
        assert!(Instant::now() < until, "the table stays");
    }
}

#[test]
fn what_a_rule_sends_is_seen_by_whoever_watches_that_rule() {
    const RULE: &str =
        "[rule.tank]\nfrom = \"tank/{id}\"\ndecode = \"number\"\nto = \"out/{id}\"\n";
    let server = Server::with(|config| config.rules = vec![Source::new("r.toml", RULE)]);
    let answer = server.ask("GET", "/api/v1/events?rule=tnak", Some(&server.key()));
    assert_eq!((answer.code, &answer.json()["error"]["code"]), (404, &json!("not_found")));
    let mut events = Events::open(&server, "?rule=tank", Some(&server.key()));
    events.next("rule", |data| data["rule"] == "tank");
    client(&server, "p").retain("tank/7", b"5");
    let data = events.next("rule", |data| data["messages"] != json!([]));
    let message = &data["messages"][0];
    assert_eq!((&message["topic"], &message["payload"]), (&json!("out/7"), &json!("5")));
    let status = events.next("status", |data| data["status"]["rules"][0]["emitted"] == 1);
    assert!(status["rates"]["rules"]["tank"]["matched"].is_number(), "{status}");
}

#[test]
fn so_many_streams_are_open_at_a_time() {
    let server = Server::start();
    let open: Vec<_> = (0..32).map(|_| Events::open(&server, "", None)).collect();
    let answer = server.ask("GET", "/api/v1/events", None);
    assert_eq!((answer.code, &answer.json()["error"]["code"]), (503, &json!("busy")));
    drop(open);
    let until = Instant::now() + PATIENCE;
    while is_refused(&server) {
        assert!(Instant::now() < until, "nobody makes room");
    }
}

fn is_refused(server: &Server) -> bool {
    let mut stream = TcpStream::connect(server.admin()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let host = server.admin();
    write!(stream, "GET /api/v1/events HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    !line.starts_with("HTTP/1.1 200")
}

#[test]
fn the_page_comes_with_a_policy_and_is_not_sent_twice() {
    let server = Server::start();
    let answer = server.ask("GET", "/", None);
    assert_eq!(answer.code, 200);
    assert!(answer.text().starts_with("<!doctype html>"));
    let policy = "content-security-policy: default-src 'none'; script-src 'self'";
    for header in [policy, "x-content-type-options: nosniff", "referrer-policy: no-referrer"] {
        assert!(answer.head.contains(header), "{header}: {}", answer.head);
    }
    let etag = answer.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let again = server.send("GET", "/", &format!("If-None-Match: {etag}\r\n"), "");
    assert_eq!((again.code, again.text().len()), (304, 0));
}
