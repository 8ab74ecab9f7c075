//! Messages published to a real RabbitMQ.

use std::collections::BTreeSet;
use std::time::Duration;

use lapin::message::Delivery;
use lapin::types::AMQPValue;

use super::client::Client;
use super::mosquitto::Directory;
use super::rabbitmq::{RabbitMq, text};
use super::{numbers, route, start, until};
use crate::config::{
    AmqpSasl, HostPort, RestartTimeout, Secret, TlsClientConfig, Unroutable, UpstreamConfig,
    UpstreamKind,
};
use crate::status::UpstreamState;

/// An upstream that everything below `agg` goes to, below a topic of the test's own.
fn upstream(address: HostPort, test: &str) -> UpstreamConfig {
    let mut config = UpstreamConfig::new("cloud", address);
    config.kind = UpstreamKind::Amqp;
    config.remote_clientid = Some("gate".to_owned());
    config.forward = vec![route("agg/#", &format!("{test}/{{topic}}"), 1)];
    config.restart_timeout =
        RestartTimeout { min: Duration::from_millis(20), max: Duration::from_millis(100) };
    config
}

fn header(message: &Delivery, name: &str) -> Option<String> {
    match message.properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_message_arrives_with_what_belongs_to_it() {
    let Some(server) = RabbitMq::shared() else { return };
    let queue = server.queue("one", "one.#").await;
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &upstream(server.address(), "one"));
    let publisher = Client::connect(&here, "here");
    publisher.publish("agg/a.b/c", 1, "21.5");
    let message = queue.next().await;
    assert_eq!((message.routing_key.as_str(), text(&message).as_str()), ("one.agg.a.b.c", "21.5"));
    let properties = &message.properties;
    assert_eq!(properties.content_type().as_ref().map(|t| t.as_str()), Some("text/plain"));
    assert_eq!(*properties.delivery_mode(), Some(2));
    assert!(properties.timestamp().is_some_and(|at| at > 1_700_000_000));
    let id = properties.message_id().as_ref().expect("it has an id");
    assert!(id.as_str().starts_with("gate-"), "{id}");
    assert_eq!(header(&message, "src").as_deref(), Some("gate"));
    assert_eq!(header(&message, "unit").as_deref(), Some("celsius"));
    assert_eq!(header(&message, "mqtt-topic").as_deref(), Some("one/agg/a.b/c"));
    assert!(header(&message, "seq").is_some_and(|seq| seq.parse::<u64>().is_ok()));
    let status = until(&broker, |status| status.depth == 0 && status.acknowledged == 1).await;
    assert_eq!((status.sent, status.dropped.len(), status.last_error), (1, 0, None));
    publisher.publish("agg/live", 0, "now");
    assert_eq!(text(&queue.next().await), "now");
}

#[tokio::test]
async fn what_was_accepted_while_the_server_was_away_arrives_in_order() {
    let Some(mut server) = RabbitMq::start() else { return };
    drop(server.queue("away", "away.#").await);
    server.kill();
    let directory = Directory::new("data");
    let config = upstream(server.address(), "away");
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    for payload in numbers(300) {
        publisher.publish("agg/a", 1, &payload);
    }
    let status = until(&broker, |status| status.depth == 300 && status.last_error.is_some()).await;
    assert_eq!(status.state, UpstreamState::Waiting);
    assert!(status.last_error.is_some_and(|error| error.starts_with("cannot connect: ")));
    broker.shutdown();
    let (broker, here) = start(&directory, &config);
    server.resume();
    until(&broker, |status| status.acknowledged == 300 && status.depth == 0).await;
    let queue = server.queue("away", "away.#").await;
    assert_eq!(queue.payloads_until("299").await, numbers(300));
    // A server that is short of memory takes nothing, but is there.
    server.control(&["set_vm_memory_high_watermark", "absolute", "1"]);
    let publisher = Client::connect(&here, "here again");
    for payload in numbers(50) {
        publisher.publish("agg/b", 1, &payload);
    }
    let is_blocked = "the upstream takes no messages for now: low on memory";
    let status = until(&broker, |status| status.last_error.as_deref() == Some(is_blocked)).await;
    assert_eq!(status.state, UpstreamState::Connected);
    server.control(&["set_vm_memory_high_watermark", "0.9"]);
    assert_eq!(queue.payloads_until("49").await, numbers(50));
    until(&broker, |status| status.acknowledged == 350 && status.depth == 0).await;
}

#[tokio::test]
async fn a_server_that_is_killed_again_and_again_loses_nothing() {
    let Some(mut server) = RabbitMq::start() else { return };
    drop(server.queue("kills", "kills.#").await);
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &upstream(server.address(), "kills"));
    let publisher = Client::connect(&here, "here");
    for (index, payload) in numbers(1_000).iter().enumerate() {
        publisher.publish("agg/a", 1, payload);
        if index % 300 == 250 {
            let least = index as u64 - 200;
            until(&broker, |status| status.acknowledged >= least).await;
            server.kill();
            server.resume();
        }
    }
    until(&broker, |status| status.acknowledged == 1_000 && status.depth == 0).await;
    let queue = server.queue("kills", "kills.#").await;
    let mut ids = BTreeSet::new();
    let mut payloads = Vec::new();
    while payloads.last().is_none_or(|last| last != "999") {
        let message = queue.next().await;
        let id = message.properties.message_id().as_ref().expect("each has an id");
        if ids.insert(id.to_string()) {
            payloads.push(text(&message));
        }
    }
    assert_eq!(payloads, numbers(1_000), "in the order in which they came first");
}

#[tokio::test]
async fn wrong_credentials_are_told_until_they_are_right() {
    let Some(server) = RabbitMq::shared() else { return };
    server.control(&["add_user", "gate", "right"]);
    server.control(&["set_permissions", "gate", "^$", ".*", "^$"]);
    let queue = server.queue("user", "user.#").await;
    let directory = Directory::new("data");
    let mut config = upstream(server.address(), "user");
    (config.username, config.password) = (Some("gate".to_owned()), Some(Secret::new("new")));
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    publisher.publish("agg/a", 1, "1");
    let status = until(&broker, |status| status.last_error.is_some() && status.depth == 1).await;
    let expected = "the upstream refused the connection: ACCESS_REFUSED - Login was refused using \
                    authentication mechanism PLAIN. For details see the broker logfile.";
    assert_eq!(status.last_error.as_deref(), Some(expected));
    assert_ne!(status.state, UpstreamState::Connected);
    server.control(&["change_password", "gate", "new"]);
    until(&broker, |status| status.acknowledged == 1 && status.depth == 0).await;
    assert_eq!(text(&queue.next().await), "1");
}

#[tokio::test]
async fn what_is_not_set_up_is_told_until_it_is() {
    let Some(server) = RabbitMq::shared() else { return };
    let queue = server.queue("setup", "setup.#").await;
    let directory = Directory::new("data");
    let mut config = upstream(server.address(), "setup");
    config.amqp.vhost = "nowhere".to_owned();
    let (broker, _) = start(&directory, &config);
    let status = until(&broker, |status| status.last_error.is_some()).await;
    let error = status.last_error.unwrap_or_default();
    assert!(error.contains("refused the connection: NOT_ALLOWED - vhost nowhere not"), "{error}");
    broker.shutdown();
    config.amqp.vhost = "/".to_owned();
    config.amqp.exchange = "plant".to_owned();
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    for payload in numbers(20) {
        publisher.publish("agg/a", 1, &payload);
    }
    let expected =
        "the upstream refused the connection: NOT_FOUND - no exchange 'plant' in vhost '/'";
    let is_told = |status: &crate::status::UpstreamStatus, depth| {
        status.depth == depth && status.last_error.as_deref() == Some(expected)
    };
    until(&broker, |status| is_told(status, 20)).await;
    queue.declare_exchange("plant").await;
    queue.bind("plant", "#").await;
    assert_eq!(queue.payloads_until("19").await, numbers(20));
    until(&broker, |status| status.depth == 0).await;
    // Also when it goes while the connection is there.
    queue.delete_exchange("plant").await;
    for payload in numbers(20) {
        publisher.publish("agg/b", 1, &payload);
    }
    until(&broker, |status| is_told(status, 20)).await;
    queue.declare_exchange("plant").await;
    queue.bind("plant", "#").await;
    assert_eq!(queue.payloads_until("19").await, numbers(20));
    let status = until(&broker, |status| status.depth == 0).await;
    assert_eq!(status.dropped.get("refused"), None);
}

#[tokio::test]
async fn what_no_queue_takes_is_a_dead_letter_and_nothing_else_is() {
    let Some(server) = RabbitMq::shared() else { return };
    let queue = server.queue("routed", "routed.agg.even").await;
    let directory = Directory::new("data");
    let config = upstream(server.address(), "routed");
    let (broker, here) = start(&directory, &config);
    let mut local = Client::connect(&here, "local");
    local.subscribe("dead/#").await;
    let publisher = Client::connect(&here, "here");
    for (index, payload) in numbers(600).iter().enumerate() {
        let topic = if index % 2 == 0 { "agg/even" } else { "agg/odd" };
        publisher.publish(topic, 1, payload);
    }
    let status = until(&broker, |status| status.acknowledged == 300 && status.depth == 0).await;
    assert_eq!(status.dropped["refused"], 300);
    let is = |rest: usize| move |number: &usize| number % 2 == rest;
    let of = |rest| (0..600).filter(is(rest)).map(|number| number.to_string()).collect::<Vec<_>>();
    assert_eq!(queue.payloads_until("598").await, of(0));
    let letter = local.next().await;
    assert_eq!(letter.topic, "dead/upstream/cloud/agg/odd");
    assert_eq!(letter.user["error"], "no queue takes it: 312 NO_ROUTE");
    let mut letters = vec![letter.payload];
    letters.extend(local.payloads_until("599").await);
    assert_eq!(letters, of(1));
    broker.shutdown();
    let mut config = config;
    config.amqp.unroutable = Unroutable::Ignore;
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    publisher.publish("agg/odd", 1, "1");
    let status = until(&broker, |status| status.acknowledged == 1).await;
    assert_eq!((status.depth, status.dropped.len()), (0, 0));
}

#[tokio::test]
async fn what_the_server_refuses_for_good_is_a_dead_letter_and_does_not_hold_up_the_rest() {
    let Some(server) = RabbitMq::shared() else { return };
    server.control(&["add_user", "narrow", "pw"]);
    server.control(&["set_permissions", "narrow", "^$", ".*", "^$"]);
    let keys = r"^refused\.agg\.(a|long.*)$";
    server.control(&["set_topic_permissions", "narrow", "amq.topic", keys, "^$"]);
    let queue = server.queue("refused", "refused.#").await;
    let directory = Directory::new("data");
    let mut config = upstream(server.address(), "refused");
    (config.username, config.password) = (Some("narrow".to_owned()), Some(Secret::new("pw")));
    let (broker, here) = start(&directory, &config);
    let mut local = Client::connect(&here, "local");
    local.subscribe("dead/#").await;
    let publisher = Client::connect(&here, "here");
    let long = format!("agg/long/{}", "x".repeat(250));
    for (index, payload) in numbers(100).iter().enumerate() {
        match index {
            20 => publisher.publish("agg/forbidden", 1, payload),
            33 => publisher.publish("agg/a", 1, &"x".repeat(100_001)),
            50 => publisher.publish(&long, 1, payload),
            _ => publisher.publish("agg/a", 1, payload),
        }
    }
    let status = until(&broker, |status| status.acknowledged == 97 && status.depth == 0).await;
    assert_eq!(status.dropped["refused"], 3);
    let mut errors = Vec::new();
    for _ in 0..3 {
        let letter = local.next().await;
        errors.push((letter.topic, letter.user["error"].clone()));
    }
    errors.sort();
    assert_eq!(errors[0].0, "dead/upstream/cloud/agg/a");
    assert!(errors[0].1.contains("message size 100001 is larger than"), "{errors:?}");
    assert_eq!(errors[1].0, "dead/upstream/cloud/agg/forbidden");
    assert!(errors[1].1.contains("access to topic 'refused.agg.forbidden'"), "{errors:?}");
    assert_eq!(errors[2].0, format!("dead/upstream/cloud/{long}"));
    let mut expected = numbers(100);
    expected.retain(|payload| !["20", "33", "50"].contains(&payload.as_str()));
    assert_eq!(queue.payloads_until("99").await, expected);
}

/// What is refused at QoS 0 ends the channel all the same, and what went with it is sent again.
#[tokio::test]
async fn what_the_server_refuses_at_qos_0_is_counted() {
    let Some(server) = RabbitMq::shared() else { return };
    let queue = server.queue("live", "live.#").await;
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &upstream(server.address(), "live"));
    until(&broker, |status| status.state == UpstreamState::Connected).await;
    let publisher = Client::connect(&here, "here");
    publisher.publish("agg/a", 0, &"x".repeat(100_001));
    publisher.publish(&format!("agg/{}", "x".repeat(250)), 0, "no key is as long");
    publisher.publish("agg/a", 0, "after them");
    let status = until(&broker, |status| status.dropped.get("refused") == Some(&2)).await;
    assert_eq!(status.dropped.len(), 1);
    assert_eq!(text(&queue.next().await), "after them");
}

#[tokio::test]
async fn what_a_full_queue_refuses_is_tried_again() {
    let Some(server) = RabbitMq::shared() else { return };
    let queue = server.small_queue("small", "small.#").await;
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &upstream(server.address(), "small"));
    let publisher = Client::connect(&here, "here");
    for payload in numbers(5) {
        publisher.publish("agg/a", 1, &payload);
    }
    let status = until(&broker, |status| status.last_error.is_some()).await;
    let error = status.last_error.unwrap_or_default();
    assert!(error.starts_with("the upstream refused a message for now: a queue did"), "{error}");
    let mut came = BTreeSet::new();
    while came.len() < 5 {
        came.insert(text(&queue.next().await));
    }
    let status = until(&broker, |status| status.depth == 0).await;
    assert_eq!(status.dropped.len(), 0);
}

#[tokio::test]
async fn tls_with_a_certificate_of_the_box() {
    let Some(server) = RabbitMq::shared() else { return };
    let queue = server.queue("tls", "tls.#").await;
    let directory = Directory::new("data");
    let mut config = upstream(server.tls_address("localhost"), "tls");
    config.tls = Some(server.files.tls());
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    publisher.publish("agg/a", 1, "21.5");
    assert_eq!(text(&queue.next().await), "21.5");
    until(&broker, |status| status.acknowledged == 1).await;
    broker.shutdown();
    let other = server.files.path("other-ca.pem");
    let other = TlsClientConfig { cafile: Some(other), ..server.files.tls() };
    let nobody = TlsClientConfig { certificate: None, ..server.files.tls() };
    for tls in [other, nobody] {
        let (broker, _) = start(&directory, &UpstreamConfig { tls: Some(tls), ..config.clone() });
        let status = until(&broker, |status| status.last_error.is_some()).await;
        let text = status.last_error.unwrap_or_default();
        assert!(text.starts_with("no TLS with the upstream: "), "{text}");
        broker.shutdown();
    }
    // Without TLS at a port of TLS nobody understands the other.
    config.tls = None;
    let (broker, _) = start(&directory, &config);
    let status = until(&broker, |status| status.last_error.is_some()).await;
    let text = status.last_error.unwrap_or_default();
    assert!(text.starts_with("the upstream refused the connection: "), "{text}");
}

/// The server takes the name in the certificate for that of a user, who has no password.
#[tokio::test]
async fn a_certificate_says_who_the_box_is() {
    let Some(server) = RabbitMq::shared() else { return };
    let queue = server.queue("external", "external.#").await;
    let directory = Directory::new("data");
    let mut config = upstream(server.tls_address("localhost"), "external");
    config.tls = Some(server.files.tls());
    config.amqp.sasl = AmqpSasl::External;
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    publisher.publish("agg/a", 1, "21.5");
    let expected = "the upstream refused the connection: ACCESS_REFUSED";
    let is_refused = |error: &String| error.starts_with(expected);
    // A server that is busy enough says nothing at first.
    until(&broker, |status| status.last_error.as_ref().is_some_and(is_refused)).await;
    server.control(&["add_user", "gate", "forgotten"]);
    server.control(&["clear_password", "gate"]);
    server.control(&["set_permissions", "gate", "", "amq.topic", ""]);
    assert_eq!(text(&queue.next().await), "21.5");
    until(&broker, |status| status.acknowledged == 1).await;
}
