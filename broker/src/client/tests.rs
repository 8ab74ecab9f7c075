//! Clients inside the process at a whole broker, with a client of a library at its socket.

use std::thread;
use std::time::Duration;

use super::{ClientError, ClientOptions, Publication};
use crate::config::{Config, HostPort, ListenerConfig};
use crate::handout::wait_for;
use crate::upstream::tests::client::Client as Outside;
use crate::upstream::tests::mosquitto::Directory;
use crate::{Broker, Client, Message, QoS};

const PATIENCE: Duration = Duration::from_secs(20);
const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

fn start(directory: &Directory, change: impl FnOnce(&mut Config)) -> Broker {
    let mut config = Config {
        data_dir: directory.0.clone(),
        listeners: vec![ListenerConfig::new(HostPort::new("127.0.0.1", 0))],
        ..Config::default()
    };
    change(&mut config);
    Broker::start(config).expect("the broker starts")
}

fn outside(broker: &Broker, id: &str) -> Outside {
    Outside::connect(&HostPort::new("127.0.0.1", broker.addresses()[0].port()), id)
}

fn join(broker: &Broker, id: &str) -> Client {
    broker.client(ClientOptions::new(id)).expect("it comes in")
}

fn next(client: &Client) -> Message {
    client.receive_timeout(PATIENCE).expect("a message in time")
}

fn text(message: &Message) -> &str {
    std::str::from_utf8(message.payload()).expect("text")
}

fn publish(client: &Client, topic: &str, payload: impl ToString, qos: QoS) {
    let publication = Publication::new(topic, payload.to_string()).qos(qos);
    client.publish(publication).wait(PATIENCE).expect("it is published");
}

#[tokio::test]
async fn messages_go_between_the_process_and_the_network_at_every_quality_of_service() {
    let directory = Directory::new("client");
    let broker = start(&directory, |_| {});
    let mut there = outside(&broker, "there");
    there.subscribe("up/#").await;
    let client = join(&broker, "here");
    assert!(!client.session_present());
    assert_eq!(client.subscribe("down/+", QoS::ExactlyOnce).await, Ok(QoS::ExactlyOnce));
    for (number, qos) in LEVELS.into_iter().enumerate() {
        let publication = Publication::new("up/a", number.to_string()).qos(qos);
        client.publish(publication).await.expect("it is published");
        let message = there.next().await;
        assert_eq!((message.payload, message.qos), (number.to_string(), number as u8));
        there.publish("down/a", number as u8, "back");
        let message = client.receive().await.expect("a message");
        assert_eq!((message.topic(), text(&message), message.qos()), ("down/a", "back", qos));
        message.acknowledge();
    }
    assert_eq!(client.unsubscribe("down/+").await, Ok(()));
    there.publish("down/a", 1, "nobody wants it");
    publish(&client, "up/a", "a", QoS::AtLeastOnce);
    assert_eq!(client.receive_timeout(Duration::ZERO).err(), Some(ClientError::TimedOut));
    assert_eq!(client.close(PATIENCE), Ok(()));
}

#[test]
fn what_was_answered_outlives_the_broker_and_so_does_a_kept_session() {
    let directory = Directory::new("client-kept");
    let broker = start(&directory, |_| {});
    let kept = || ClientOptions::new("here").kept();
    let client = broker.client(kept()).unwrap();
    client.subscribe("a/+", QoS::ExactlyOnce).wait(PATIENCE).unwrap();
    let last = Publication::new("last", "kept").retained();
    client.publish(last).wait(PATIENCE).unwrap();
    for number in 0..10 {
        publish(&client, "a/b", number, LEVELS[1 + number % 2]);
    }
    next(&client).acknowledge();
    let second = next(&client);
    assert_eq!(text(&second), "1");
    client.close(PATIENCE).unwrap();
    // Too late: the session has it again.
    second.acknowledge();
    broker.shutdown();

    let broker = start(&directory, |_| {});
    let client = broker.client(kept()).unwrap();
    assert!(client.session_present());
    for number in 1..10 {
        let message = next(&client);
        assert_eq!(text(&message), number.to_string());
        message.acknowledge();
    }
    client.subscribe("last", QoS::AtLeastOnce).wait(PATIENCE).unwrap();
    let last = next(&client);
    assert!(last.retained() && text(&last) == "kept");
    last.acknowledge();
    client.close(PATIENCE).unwrap();
}

#[test]
fn a_message_that_is_dropped_is_given_again_before_those_behind_it() {
    let directory = Directory::new("client-again");
    let broker = start(&directory, |_| {});
    let client = join(&broker, "here");
    client.subscribe("a", QoS::AtLeastOnce).wait(PATIENCE).unwrap();
    let all = ClientOptions::UNACKNOWLEDGED_MAX * 2;
    (0..all).for_each(|number| publish(&client, "a", number, QoS::AtLeastOnce));
    for number in 0..all {
        drop(next(&client));
        let again = next(&client);
        assert_eq!(text(&again), number.to_string());
        again.acknowledge();
    }
}

#[test]
fn many_messages_can_be_under_way_and_too_many_are_refused() {
    let directory = Directory::new("client-full");
    let broker = start(&directory, |_| {});
    let client = join(&broker, "here");
    let answers: Vec<_> = (0..ClientOptions::REQUESTS_MAX * 4)
        .map(|number| client.publish(Publication::new("a", number.to_string())))
        .collect();
    let answers: Vec<_> = answers.into_iter().map(|one| one.wait(PATIENCE)).collect();
    let taken = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(taken >= ClientOptions::REQUESTS_MAX, "{taken}");
    assert!(answers.iter().all(|one| matches!(one, Ok(()) | Err(ClientError::Full))));
    assert_eq!(broker.status().sessions, 1);
    publish(&client, "a", "there is room again", QoS::ExactlyOnce);
}

#[test]
fn qos_0_that_nobody_takes_is_dropped_and_counted() {
    let directory = Directory::new("client-qos-0");
    let broker = start(&directory, |_| {});
    let (reader, writer) = (join(&broker, "reader"), join(&broker, "writer"));
    reader.subscribe("a", QoS::AtMostOnce).wait(PATIENCE).unwrap();
    let kilobyte = "x".repeat(1024);
    let deadline = std::time::Instant::now() + PATIENCE;
    while reader.dropped() == 0 {
        assert!(std::time::Instant::now() < deadline, "nothing is dropped");
        publish(&writer, "a", &kilobyte, QoS::AtMostOnce);
    }
    let mut taken = 0;
    while let Ok(message) = reader.receive_timeout(Duration::from_millis(100)) {
        message.acknowledge();
        taken += 1;
    }
    assert!((1000..1100).contains(&taken), "{taken}");
}

#[test]
fn wrong_requests_are_refused_and_say_why() {
    let directory = Directory::new("client-wrong");
    let broker = start(&directory, |config| {
        config.limits.max_packet_size = 1024;
        config.limits.max_qos = 1;
        config.limits.retain_available = false;
        let rights = config.data_dir.join("acl");
        std::fs::write(&rights, "user program\ntopic readwrite mine/#\n").expect("ours");
        config.auth.acl_file = Some(rights);
    });
    let client = join(&broker, "here");
    let refused = |publication| client.publish(publication).wait(PATIENCE).unwrap_err();
    let told = |error: ClientError| error.to_string();
    assert_eq!(
        told(refused(Publication::new("a/+", ""))),
        "the topic `a/+` a name cannot hold wildcards"
    );
    let long = refused(Publication::new("mine/a", "x".repeat(1024)));
    assert_eq!(long, ClientError::TooLarge { bytes_max: 1024 });
    let fits = Publication::new("mine/a", "x".repeat(1024 - 3 - 8 - 2 - 1));
    client.publish(fits).wait(PATIENCE).expect("the longest that fits");
    let others = refused(Publication::new("others/a", ""));
    assert_eq!(others, ClientError::RefusedMessage { reason: 0x87 });
    let twice = refused(Publication::new("mine/a", "").qos(QoS::ExactlyOnce));
    assert_eq!(twice, ClientError::QoS { qos_max: QoS::AtLeastOnce });
    assert_eq!(refused(Publication::new("mine/a", "").retained()), ClientError::Retain);
    let subscribe = |filter: &str| client.subscribe(filter, QoS::AtLeastOnce).wait(PATIENCE);
    assert!(matches!(subscribe("a#"), Err(ClientError::Filter { .. })));
    assert_eq!(subscribe("others/#"), Err(ClientError::RefusedSubscription));
    assert_eq!(subscribe("mine/#"), Ok(QoS::AtLeastOnce));
    let empty = broker.client(ClientOptions::new("")).unwrap_err();
    assert_eq!(told(empty), "the client identifier is empty");
}

#[test]
fn a_client_that_is_taken_over_ends_and_says_so() {
    let directory = Directory::new("client-over");
    let broker = start(&directory, |_| {});
    let first = join(&broker, "here");
    let second = join(&broker, "here");
    assert_eq!(first.receive_timeout(PATIENCE).err(), Some(ClientError::TakenOver));
    let late = first.publish(Publication::new("a", "")).wait(PATIENCE);
    assert!(late.is_err());
    publish(&second, "a", "it goes on", QoS::AtLeastOnce);
}

#[test]
fn those_who_wait_are_told_when_the_broker_ends() {
    let directory = Directory::new("client-end");
    let broker = start(&directory, |_| {});
    let client = join(&broker, "here");
    let waits = client.clone();
    let waiting = thread::spawn(move || wait_for(waits.receive(), PATIENCE));
    broker.shutdown();
    assert_eq!(waiting.join().unwrap().unwrap().err(), Some(ClientError::Ended));
    let late = client.publish(Publication::new("a", "")).wait(PATIENCE);
    assert_eq!(late, Err(ClientError::Ended));
}

#[test]
fn a_client_that_is_dropped_does_what_it_was_asked_and_leaves() {
    let directory = Directory::new("client-drop");
    let broker = start(&directory, |_| {});
    let reader = join(&broker, "reader");
    reader.subscribe("a", QoS::AtLeastOnce).wait(PATIENCE).unwrap();
    let writer = join(&broker, "writer");
    for number in 0..100 {
        drop(writer.publish(Publication::new("a", number.to_string())));
    }
    drop(writer);
    for number in 0..100 {
        let message = next(&reader);
        assert_eq!(text(&message), number.to_string());
        message.acknowledge();
    }
    let deadline = std::time::Instant::now() + PATIENCE;
    while broker.status().sessions > 1 {
        assert!(std::time::Instant::now() < deadline, "the session is still there");
        thread::yield_now();
    }
}
