//! The admin server over a real socket, in front of a broker that runs.

mod events;
pub(super) mod support;

use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use support::{PATIENCE, Server, client};

use crate::config::{HostPort, RestartTimeout, UpstreamConfig};

#[test]
fn the_status_is_for_everybody_on_this_machine() {
    let server = Server::start();
    let answer = server.ask("GET", "/api/v1/status", None);
    assert_eq!(answer.code, 200);
    assert_eq!(answer.json()["ready"], true);
    assert_eq!(server.ask("GET", "/healthz", None).text(), "ok\n");
    assert_eq!(server.ask("GET", "/readyz", None).text(), "ready\n");
}

#[test]
fn an_unknown_path_and_a_wrong_method_say_what_there_is() {
    let server = Server::start();
    let answer = server.ask("GET", "/api/v1/client", None);
    assert_eq!((answer.code, answer.json()["error"]["code"].as_str()), (404, Some("not_found")));
    assert!(answer.json()["error"]["help"].as_str().unwrap().contains("openapi.json"));
    let answer = server.ask("PUT", "/api/v1/status", None);
    assert_eq!((answer.code, answer.json()["error"]["code"].as_str()), (405, Some("wrong_method")));
    assert!(answer.head.contains("allow: GET"), "{}", answer.head);
}

#[test]
fn clients_are_listed_by_page_and_one_is_shown_with_its_subscriptions() {
    let server = Server::start();
    let open: Vec<_> = ["a/2", "a/1", "b/1"].map(|id| client(&server, id)).into();
    open[0].subscribe("x/+", 1);
    open[0].subscribe("a", 0);
    let page = server.view("/api/v1/clients?prefix=a/&limit=1");
    assert_eq!(page["clients"][0]["client_id"], "a/1");
    assert_eq!(page["next"], "a/1");
    let page = server.view("/api/v1/clients?prefix=a/&limit=1&after=a/1");
    let client = &page["clients"][0];
    assert_eq!(page["next"], json!(null));
    assert_eq!(client["client_id"], "a/2");
    assert_eq!(client["protocol"], "5.0");
    assert_eq!(client["connected"], true);
    assert_eq!(client["subscriptions"], 2);
    assert!(client["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{client}");
    assert_eq!(client["listener"], server.mqtt().to_string());
    let details = server.view("/api/v1/clients/a/2");
    let filters = details["filters"].as_array().unwrap();
    let filters: Vec<_> = filters.iter().map(|it| (it["filter"].as_str(), &it["qos"])).collect();
    assert_eq!(filters, [(Some("a"), &json!(0)), (Some("x/+"), &json!(1))]);
    assert_eq!(server.view("/api/v1/clients?connected=false")["clients"], json!([]));
    assert_eq!(server.ask("GET", "/api/v1/clients/nobody", Some(&server.key())).code, 404);
}

#[test]
fn a_client_is_disconnected_and_its_session_ended_only_when_that_is_wanted() {
    let server = Server::start();
    let kept = support::kept_client(&server, "kept");
    let answer = server.ask("DELETE", "/api/v1/clients/kept", Some(&server.key()));
    assert_eq!((answer.code, answer.json()["session_ended"].clone()), (200, json!(false)));
    assert_eq!(kept.disconnected_with(), 0x98);
    let client = &server.view("/api/v1/clients/kept");
    assert_eq!((&client["connected"], &client["address"]), (&json!(false), &json!(null)));
    let answer = server.ask("DELETE", "/api/v1/clients/kept?session=true", Some(&server.key()));
    assert_eq!(answer.code, 200);
    let answer = server.ask("DELETE", "/api/v1/clients/kept", Some(&server.key()));
    assert_eq!(answer.code, 404);
}

#[test]
fn retained_messages_are_listed_shown_and_deleted() {
    let server = Server::start();
    let publisher = client(&server, "p");
    publisher.retain("s/1", b"21.5");
    publisher.retain("s/2", &[0xff, 0x00]);
    publisher.retain("t", b"x");
    let page = server.view("/api/v1/retained?filter=s/%23&limit=1");
    let message = &page["messages"][0];
    assert_eq!((&message["topic"], &message["payload"]), (&json!("s/1"), &json!("21.5")));
    let page = server.view(&format!("/api/v1/retained?filter=s/%2B&after={}", "s/1"));
    assert_eq!(page["messages"][0]["payload_base64"], "/wA=");
    assert_eq!((page["messages"].as_array().unwrap().len(), &page["next"]), (1, &json!(null)));
    let answer = server.ask("GET", "/api/v1/retained/s/1", Some(&server.key()));
    assert_eq!((answer.code, answer.text()), (200, "21.5".to_owned()));
    assert!(answer.head.contains("content-type: application/octet-stream"), "{}", answer.head);
    assert!(answer.head.contains("content-security-policy: sandbox"), "{}", answer.head);
    let answer = server.ask("DELETE", "/api/v1/retained/s%2F1", Some(&server.key()));
    assert_eq!(answer.code, 200, "{}", answer.text());
    assert_eq!(server.ask("DELETE", "/api/v1/retained/s/1", Some(&server.key())).code, 404);
    assert_eq!(server.view("/api/v1/retained?filter=s/%23")["messages"][0]["topic"], "s/2");
    let answer = server.ask("DELETE", "/api/v1/retained/$SYS/broker/version", Some(&server.key()));
    assert_eq!(answer.code, 400);
}

#[test]
fn subscriptions_are_found_by_filter_and_by_topic() {
    let server = Server::start();
    let (one, two) = (client(&server, "one"), client(&server, "two"));
    one.subscribe("s/#", 2);
    two.subscribe("s/+/t", 0);
    two.subscribe("u", 0);
    let found = |path: &str| {
        let page = server.view(path);
        let list = page["subscriptions"].as_array().unwrap().clone();
        let text = |it: &serde_json::Value| {
            format!("{} {}", it["filter"].as_str().unwrap(), it["client_id"].as_str().unwrap())
        };
        (list.iter().map(text).collect::<Vec<_>>().join(", "), page["next"].clone())
    };
    assert_eq!(found("/api/v1/subscriptions?topic=s/a/t").0, "s/# one, s/+/t two");
    assert_eq!(found("/api/v1/subscriptions?topic=s/a").0, "s/# one");
    assert_eq!(found("/api/v1/subscriptions?prefix=u").0, "u two");
    let (first, next) = found("/api/v1/subscriptions?limit=2");
    assert_eq!(first, "s/# one, s/+/t two");
    let path = format!("/api/v1/subscriptions?limit=2&after={}", next.as_str().unwrap());
    assert_eq!(found(&path), ("u two".to_owned(), json!(null)));
}

#[test]
fn a_message_is_published_and_seen_as_it_comes_by_whoever_may() {
    // Whatever the ACL says.
    let folder = std::env::temp_dir().join(format!("weir-admin-acl-{}", std::process::id()));
    std::fs::write(&folder, "topic read nothing\n").unwrap();
    let acl = folder.clone();
    let server = Server::with(move |config| config.auth.acl_file = Some(acl));
    let mut events = server.events("/api/v1/subscribe?filter=t/%23");
    let body = json!({
        "topic": "t/1", "payload": "21.5", "qos": 1,
        "properties": { "message_expiry_s": 60.0, "content_type": "text/plain", "user_properties": [["unit", "C"]] },
    });
    let headers = format!("Authorization: Bearer {}\r\n", server.key());
    let answer = server.send("POST", "/api/v1/publish", &headers, &body.to_string());
    assert_eq!(answer.code, 200, "{}", answer.text());
    assert_eq!(answer.json(), json!({ "topic": "t/1", "payload_bytes": 4 }));
    let seen = events.next("message");
    assert_eq!((&seen["topic"], &seen["payload"]), (&json!("t/1"), &json!("21.5")));
    assert_eq!(seen["content_type"], "text/plain");
    assert_eq!(seen["user_properties"], json!([["unit", "C"]]));
    let listener = server.view("/api/v1/clients?prefix=$api")["clients"][0]["listener"].clone();
    assert_eq!(listener, "api");
    for (body, words) in [
        ("{}", "missing field `topic`"),
        ("{\"topic\": \"a/+\"}", "is not the name of a topic"),
        ("{\"topic\": \"$SYS/x\"}", "belongs to the broker"),
        ("{\"topic\": \"a\", \"qos\": 3}", "`qos` is 3"),
        ("{\"topic\": \"a\", \"qos\": 0.5}", "`0.5` is not a whole number"),
        ("{\"topic\": \"a\", \"properties\": {\"message_expiry_s\": 4294967296}}", "4294967296"),
        ("{\"topic\": \"a\", \"payload_base64\": \"?\"}", "is not base64"),
        ("{\"topic\": \"a\", \"payload\": \"\", \"payload_base64\": \"\"}", "both"),
        ("{\"topic\": \"a\", \"text\": \"\"}", "unknown field"),
    ] {
        let answer = server.send("POST", "/api/v1/publish", &headers, body);
        assert_eq!(answer.code, 400, "{body}");
        assert!(answer.json()["error"]["message"].as_str().unwrap().contains(words), "{body}");
    }
    std::fs::remove_file(folder).unwrap();
}

#[test]
fn a_body_that_is_too_long_is_refused() {
    let server = Server::start();
    let headers = format!("Authorization: Bearer {}\r\n", server.key());
    let body = "x".repeat(super::BODY_BYTES_MAX + 1);
    let answer = server.send("POST", "/api/v1/publish", &headers, &body);
    assert_eq!((answer.code, answer.json()["error"]["code"].as_str()), (413, Some("too_long")));
}

#[test]
fn upstreams_rules_the_store_and_drops_are_shown() {
    let server = Server::start();
    assert_eq!(server.view("/api/v1/upstreams"), json!({ "upstreams": [] }));
    assert_eq!(server.view("/api/v1/rules"), json!({ "rules": [] }));
    assert_eq!(server.view("/api/v1/store")["status"], "ok");
    assert_eq!(server.view("/api/v1/drops"), json!({ "drops": [] }));
    for path in ["/api/v1/upstreams/cloud/drain", "/api/v1/rules/tank/pause"] {
        let answer = server.ask("POST", path, Some(&server.key()));
        assert_eq!(
            (answer.code, answer.json()["error"]["code"].as_str()),
            (404, Some("not_found"))
        );
    }
    assert_eq!(server.ask("GET", "/api/v1/rules/tank", None).code, 404);
}

#[test]
fn an_upstream_that_waits_before_its_next_attempt_is_made_to_connect_now() {
    let far_end = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = far_end.local_addr().unwrap().port();
    let hour = Duration::from_secs(3600);
    let server = Server::with(|config| {
        let mut upstream = UpstreamConfig::new("cloud", HostPort::new("127.0.0.1", port));
        upstream.restart_timeout = RestartTimeout { min: hour, max: hour };
        config.upstreams = vec![upstream];
    });
    let (came, attempts) = mpsc::channel();
    // Everybody is sent away.
    thread::spawn(move || far_end.incoming().try_for_each(|_| came.send(())));
    attempts.recv_timeout(PATIENCE).expect("the first attempt");
    let start = Instant::now();
    while server.view("/api/v1/upstreams")["upstreams"][0]["state"] != "waiting" {
        assert!(start.elapsed() < PATIENCE, "it is sent away and waits");
    }
    assert!(attempts.try_recv().is_err(), "the next attempt is an hour away");
    let answer = server.ask("POST", "/api/v1/upstreams/cloud/drain", Some(&server.key()));
    assert_eq!(answer.code, 202, "{}", answer.text());
    attempts.recv_timeout(PATIENCE).expect("the next attempt");
}
