//! Messages published to JetStream of a real nats-server.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use async_nats::ConnectOptions;
use futures_util::StreamExt as _;
use nkeys::KeyPair;
use serde_json::json;

use super::client::{Client, PATIENCE};
use super::mosquitto::Directory;
use super::nats_account::Account;
use super::nats_server::{Admin, NatsServer, Stored};
use super::tls::Files;
use super::{numbers, route, start, until};
use crate::config::{
    HostPort, RestartTimeout, Secret, TlsClientConfig, UpstreamConfig, UpstreamKind,
};
use crate::status::{UpstreamState, UpstreamStatus};

fn upstream(address: HostPort) -> UpstreamConfig {
    let mut config = UpstreamConfig::new("cloud", address);
    config.kind = UpstreamKind::Nats;
    config.remote_clientid = Some("gate".to_owned());
    config.forward = vec![route("agg/#", "site/{topic}", 1)];
    config.restart_timeout =
        RestartTimeout { min: Duration::from_millis(20), max: Duration::from_millis(100) };
    config
}

fn payloads(stored: &[Stored]) -> Vec<String> {
    stored.iter().map(|message| message.payload.clone()).collect()
}

#[tokio::test]
async fn a_message_is_stored_with_what_belongs_to_it() {
    let Some(server) = NatsServer::start("") else { return };
    let admin = Admin::connect(&server).await;
    admin.add_stream(&["site.>"], &[]).await;
    let mut config = upstream(server.address());
    config.nats.stream = Some("PLANT".to_owned());
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    publisher.publish("agg/Living Room/v1.2", 1, "21.5");
    let message = admin.stored(1).await.remove(0);
    assert_eq!(message.subject, "site.agg.Living%20Room.v1//2");
    assert_eq!(message.payload, "21.5");
    assert_eq!(message.header("unit"), Some("celsius"));
    assert_eq!(message.header("src"), Some("gate"));
    assert_eq!(message.header("Content-Type"), Some("text/plain"));
    assert!(message.header("id").is_some() && message.header("seq").is_some());
    assert_eq!(message.header("Nats-Msg-Id"), message.header("id"));
    let status = until(&broker, |status| status.depth == 0 && status.acknowledged == 1).await;
    assert_eq!((status.sent, status.dropped.len()), (1, 0));
}

#[tokio::test]
async fn qos_0_is_published_without_acknowledgement() {
    let Some(server) = NatsServer::start("") else { return };
    let admin = Admin::connect(&server).await;
    let mut there = admin.subscribe("site.>").await;
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &upstream(server.address()));
    until(&broker, |status| status.state == UpstreamState::Connected).await;
    let publisher = Client::connect(&here, "here");
    publisher.publish("agg/a", 0, "21.5");
    let message = tokio::time::timeout(PATIENCE, there.next()).await.expect("in time");
    let message = message.expect("the connection is there");
    assert_eq!((message.subject.as_str(), &message.payload[..]), ("site.agg.a", &b"21.5"[..]));
    assert_eq!(message.reply, None);
    assert!(message.headers.is_some_and(|headers| headers.get("Nats-Msg-Id").is_none()));
    until(&broker, |status| status.sent == 1).await;
    // Nothing of it is left behind.
    broker.shutdown();
}

/// It is in the answer to nothing: the server says only which subject, or ends the connection.
#[tokio::test]
async fn what_the_server_refuses_at_qos_0_is_counted() {
    let Some(server) = NatsServer::start(
        "max_payload: 2048\nauthorization { users = [\n  \
         { user: gate, password: pw, permissions: { publish: [\"site.agg.a\"] } }\n] }",
    ) else {
        return;
    };
    let directory = Directory::new("data");
    let mut config = upstream(server.address());
    (config.username, config.password) = (Some("gate".to_owned()), Some(Secret::new("pw")));
    let (broker, here) = start(&directory, &config);
    until(&broker, |status| status.state == UpstreamState::Connected).await;
    let publisher = Client::connect(&here, "here");
    publisher.publish("agg/forbidden", 0, "1");
    publisher.publish("agg/a", 0, &"x".repeat(3_000));
    publisher.publish("agg/a", 0, "2");
    let is_told = |status: &UpstreamStatus| status.dropped.get("refused") == Some(&2);
    let status = until(&broker, |status| status.sent == 3 && is_told(status)).await;
    assert_eq!(status.dropped.len(), 1);
}

#[tokio::test]
async fn what_was_accepted_while_the_server_was_away_arrives_in_order() {
    let Some(mut server) = NatsServer::start("") else { return };
    Admin::connect(&server).await.add_stream(&["site.>"], &[]).await;
    server.kill();
    let config = upstream(server.address());
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    numbers(300).iter().for_each(|payload| publisher.publish("agg/a", 1, payload));
    let status = until(&broker, |status| status.depth == 300 && status.last_error.is_some()).await;
    assert_ne!(status.state, UpstreamState::Connected);
    broker.shutdown();
    let (broker, _) = start(&directory, &config);
    server.resume();
    until(&broker, |status| status.acknowledged == 300 && status.depth == 0).await;
    let stored = Admin::connect(&server).await.stored(300).await;
    assert_eq!(payloads(&stored), numbers(300));
}

/// The server keeps the identifiers of what it has stored for two minutes, over a kill too.
#[tokio::test]
async fn a_server_that_is_killed_again_and_again_has_every_message_once_and_in_order() {
    let Some(mut server) = NatsServer::start("") else { return };
    Admin::connect(&server).await.add_stream(&["site.>"], &[]).await;
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &upstream(server.address()));
    let publisher = Client::connect(&here, "here");
    for (index, payload) in numbers(1_000).iter().enumerate() {
        publisher.publish("agg/a", 1 + (index % 2) as u8, payload);
        if index % 100 == 99 {
            let seen = broker.status().upstreams[0].acknowledged;
            until(&broker, |status| status.acknowledged > seen || status.depth == 0).await;
            server.kill();
            server.resume();
        }
    }
    let status = until(&broker, |status| status.acknowledged == 1_000 && status.depth == 0).await;
    assert_eq!(status.dropped.len(), 0, "{status:?}");
    let stored = Admin::connect(&server).await.stored(1_000).await;
    let payloads = payloads(&stored);
    // A client may send QoS 1 and 2 in one order and the broker take them in another.
    let ids: Vec<u64> = stored
        .iter()
        .map(|message| message.header("seq").and_then(|seq| seq.parse().ok()).expect("a number"))
        .collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    assert_eq!(payloads.iter().collect::<BTreeSet<_>>().len(), 1_000);
    assert_eq!(stored.len(), 1_000);
}

#[tokio::test]
async fn a_stream_that_is_missing_is_told_and_nothing_is_lost() {
    let Some(server) = NatsServer::start("") else { return };
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &upstream(server.address()));
    let publisher = Client::connect(&here, "here");
    numbers(20).iter().for_each(|payload| publisher.publish("agg/a", 1, payload));
    let status = until(&broker, |status| status.last_error.is_some()).await;
    assert_eq!(
        status.last_error.as_deref(),
        Some("the upstream refused the connection: no stream takes the subject `site.agg.a`")
    );
    let admin = Admin::connect(&server).await;
    admin.add_stream(&["site.>"], &[]).await;
    let status = until(&broker, |status| status.depth == 0).await;
    assert_eq!((status.acknowledged, status.dropped.len()), (20, 0));
    assert_eq!(payloads(&admin.stored(20).await), numbers(20));
}

#[tokio::test]
async fn another_stream_than_the_named_one_gets_nothing() {
    let Some(server) = NatsServer::start("") else { return };
    let admin = Admin::connect(&server).await;
    admin.add_stream(&["site.>"], &[]).await;
    let mut config = upstream(server.address());
    config.nats.stream = Some("WORKS".to_owned());
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    publisher.publish("agg/a", 1, "1");
    let status = until(&broker, |status| status.last_error.is_some()).await;
    let text = status.last_error.unwrap_or_default();
    assert_eq!(text, "the upstream refused the connection: expected stream does not match");
    assert_eq!((status.depth, status.dropped.len()), (1, 0));
}

/// Too large for the server, for the stream, and without a subject; each with others around it.
#[tokio::test]
async fn what_the_server_never_takes_is_a_dead_letter_and_does_not_hold_up_the_rest() {
    let Some(server) = NatsServer::start("max_payload: 4096") else { return };
    let admin = Admin::connect(&server).await;
    admin.add_stream(&["site.>"], &[("max_msg_size", json!(1_000))]).await;
    let mut config = upstream(server.address());
    config.forward =
        vec![route("agg/server/#", "$JS/{rest}", 1), route("agg/#", "site/{topic}", 2)];
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &config);
    let mut local = Client::connect(&here, "local");
    local.subscribe("dead/#").await;
    let publisher = Client::connect(&here, "here");
    let (large, larger) = ("x".repeat(2_000), "x".repeat(5_000));
    for (topic, payload) in [
        ("agg/a", "1"),
        ("agg/large", &large),
        ("agg/a", "2"),
        ("agg/larger", &larger),
        ("agg/server/API", "{}"),
        ("agg/a", "3"),
    ] {
        publisher.publish(topic, 1, payload);
    }
    let mut letters = Vec::new();
    for _ in 0..3 {
        let letter = local.next().await;
        letters.push((letter.topic.clone(), letter.user["error"].clone()));
    }
    letters.sort();
    let letter =
        |topic: &str, error: &str| (format!("dead/upstream/cloud/agg/{topic}"), error.to_owned());
    assert_eq!(
        letters,
        [
            letter("large", "message size exceeds maximum allowed"),
            letter("larger", "it is larger than the upstream takes (`max_payload`)"),
            letter("server/API", "topics that begin with `$` would be subjects of the server"),
        ]
    );
    let status = until(&broker, |status| status.depth == 0).await;
    assert_eq!((status.acknowledged, status.dropped["refused"]), (3, 3));
    assert_eq!(payloads(&admin.stored(3).await), ["1", "2", "3"]);
}

/// The library knows only what the server said when the connection began.
#[tokio::test]
async fn a_server_that_takes_less_from_now_on_blocks_nothing() {
    let Some(server) = NatsServer::start("") else { return };
    let admin = Admin::connect(&server).await;
    admin.add_stream(&["site.>"], &[]).await;
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &upstream(server.address()));
    let mut local = Client::connect(&here, "local");
    local.subscribe("dead/#").await;
    let publisher = Client::connect(&here, "here");
    publisher.publish("agg/a", 1, "1");
    until(&broker, |status| status.acknowledged == 1).await;
    server.configure("max_payload: 1024");
    server.reload();
    server.says("\"max_payload\":1024");
    publisher.publish("agg/a", 1, "2");
    publisher.publish("agg/large", 1, &"x".repeat(3_000));
    publisher.publish("agg/a", 1, "3");
    assert_eq!(local.next().await.topic, "dead/upstream/cloud/agg/large");
    let status = until(&broker, |status| status.depth == 0).await;
    assert_eq!((status.acknowledged, status.dropped["refused"]), (3, 1));
    assert_eq!(payloads(&admin.stored(3).await), ["1", "2", "3"]);
}

const USERS: &str = "authorization { users = [
    { user: gate, password: right, permissions: {
        publish: { allow: [\"site.good.>\"] }, subscribe: { allow: [\"_INBOX_gate.>\"] } } }
    { user: admin, password: admin }
] }";

fn admin() -> ConnectOptions {
    ConnectOptions::with_user_and_password("admin".to_owned(), "admin".to_owned())
}

#[tokio::test]
async fn a_user_who_may_not_is_told_and_what_he_may_goes_on() {
    let Some(server) = NatsServer::start(USERS) else { return };
    let there = Admin::connect_with(&server, admin()).await;
    there.add_stream(&["site.>"], &[]).await;
    let mut config = upstream(server.address());
    config.forward = vec![route("agg/#", "site/{rest}", 1)];
    (config.username, config.password) = (Some("gate".to_owned()), Some(Secret::new("right")));
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &config);
    let status = until(&broker, |status| status.last_error.is_some()).await;
    let text = status.last_error.unwrap_or_default();
    assert!(text.contains("Permissions Violation for Subscription to \"_INBOX."), "{text}");
    broker.shutdown();
    config.nats.inbox_prefix = "_INBOX_gate".to_owned();
    let (broker, _) = start(&directory, &config);
    drop(here);
    let here = HostPort::new("127.0.0.1", broker.addresses()[0].port());
    let mut local = Client::connect(&here, "local");
    local.subscribe("dead/#").await;
    let publisher = Client::connect(&here, "here");
    for payload in numbers(60) {
        let level = if payload == "33" { "b\"ad\\" } else { "good" };
        publisher.publish(&format!("agg/{level}/a"), 1, &payload);
    }
    let letter = local.next().await;
    assert_eq!(letter.payload, "33");
    assert!(letter.user["error"].starts_with("Permissions Violation for Publish to "));
    let status = until(&broker, |status| status.depth == 0).await;
    assert_eq!((status.acknowledged, status.dropped["refused"]), (59, 1));
    assert_eq!(there.stored(59).await.len(), 59);
}

#[tokio::test]
async fn a_wrong_password_is_told_once_and_the_right_one_needs_no_restart() {
    let Some(server) = NatsServer::start(&USERS.replace("right", "other")) else { return };
    let mut config = upstream(server.address());
    config.nats.inbox_prefix = "_INBOX_gate".to_owned();
    (config.username, config.password) = (Some("gate".to_owned()), Some(Secret::new("right")));
    let directory = Directory::new("data");
    let (broker, _) = start(&directory, &config);
    let status = until(&broker, |status| status.last_error.is_some()).await;
    let expected = "the upstream refused the connection: Authorization Violation";
    assert_eq!(status.last_error.as_deref(), Some(expected));
    server.configure(USERS);
    server.reload();
    until(&broker, |status| status.state == UpstreamState::Connected).await;
}

#[tokio::test]
async fn tokens_and_nkeys_are_logins_too() {
    let Some(server) = NatsServer::start("authorization { token: secret }") else { return };
    let mut config = upstream(server.address());
    config.nats.token = Some(Secret::new("secret"));
    let directory = Directory::new("data");
    let (broker, _) = start(&directory, &config);
    until(&broker, |status| status.state == UpstreamState::Connected).await;
    broker.shutdown();
    let key = KeyPair::new_user();
    server.configure(&format!("authorization {{ users = [ {{ nkey: {} }} ] }}", key.public_key()));
    server.reload();
    let file = directory.0.join("gate.nk");
    fs::write(&file, "no seed\n").expect("the directory is ours");
    config.nats.token = None;
    config.nats.nkey_file = Some(file.clone());
    let (broker, _) = start(&directory, &config);
    let status = until(&broker, |status| status.last_error.is_some()).await;
    let text = status.last_error.unwrap_or_default();
    assert!(text.starts_with("no login for the upstream: "), "{text}");
    // The file is read for each connection.
    fs::write(&file, format!("# gate\n{}\n", key.seed().expect("it has one"))).expect("ours");
    until(&broker, |status| status.state == UpstreamState::Connected).await;
}

/// The server tells what the token limits only after it has let the client in.
#[tokio::test]
async fn a_credentials_file_is_a_login_and_its_limits_are_kept() {
    let account = Account::new();
    let Some(server) = NatsServer::start(&account.lines()) else { return };
    let options =
        ConnectOptions::with_credentials(&account.credentials(-1)).expect("they are right");
    let admin = Admin::connect_with(&server, options).await;
    admin.add_stream(&["site.>"], &[]).await;
    let directory = Directory::new("data");
    let file = directory.0.join("gate.creds");
    fs::write(&file, account.credentials(1_024)).expect("the directory is ours");
    let mut config = upstream(server.address());
    config.nats.creds_file = Some(file);
    let (broker, here) = start(&directory, &config);
    let mut local = Client::connect(&here, "local");
    local.subscribe("dead/#").await;
    let publisher = Client::connect(&here, "here");
    publisher.publish("agg/a", 1, "1");
    publisher.publish("agg/large", 1, &"x".repeat(3_000));
    publisher.publish("agg/a", 1, "2");
    let letter = local.next().await;
    assert_eq!(letter.topic, "dead/upstream/cloud/agg/large");
    assert_eq!(letter.user["error"], "Maximum Payload Violation");
    let status = until(&broker, |status| status.depth == 0).await;
    assert_eq!((status.acknowledged, status.dropped["refused"]), (2, 1));
    assert_eq!(payloads(&admin.stored(2).await), ["1", "2"]);
}

#[tokio::test]
async fn tls_with_a_certificate_of_the_box() {
    let files = Files::new();
    let Some(server) = NatsServer::start(&files.nats_lines()) else { return };
    let config = upstream(server.named());
    let with = |tls| UpstreamConfig { tls, ..config.clone() };
    let other = TlsClientConfig { cafile: Some(files.path("other-ca.pem")), ..files.tls() };
    let nobody = TlsClientConfig { certificate: None, ..files.tls() };
    for (tls, error) in [
        (Some(other), "no TLS with the upstream: invalid peer certificate: UnknownIssuer"),
        (Some(nobody), "no TLS with the upstream: received fatal alert: "),
        (None, "the upstream refused the connection: it wants TLS"),
    ] {
        let directory = Directory::new("data");
        let (broker, _) = start(&directory, &with(tls));
        let status = until(&broker, |status| status.last_error.is_some()).await;
        let text = status.last_error.unwrap_or_default();
        assert!(text.starts_with(error), "{text}");
    }
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &with(Some(files.tls())));
    until(&broker, |status| status.state == UpstreamState::Connected).await;
    let publisher = Client::connect(&here, "here");
    publisher.publish("agg/a", 1, "21.5");
    // It got so far as to ask for a stream.
    let status = until(&broker, |status| status.last_error.is_some()).await;
    assert!(status.last_error.is_some_and(|text| text.contains("no stream takes")));
}
