//! Sinks at a whole broker, whose store is on a disk.

use std::time::{Duration, Instant};

use crate::config::{self, Config, HostPort, ListenerConfig, Overrides, UpstreamConfig};
use crate::upstream::tests::mosquitto::Directory;
use crate::{Broker, Client, ClientOptions, Publication, QoS, Sink, SinkError, SinkMessage};

const PATIENCE: Duration = Duration::from_secs(20);

fn start(directory: &Directory) -> Broker {
    let upstream = UpstreamConfig::for_program("archive", ["a/#"]);
    let config = Config {
        data_dir: directory.0.clone(),
        listeners: vec![ListenerConfig::new(HostPort::new("127.0.0.1", 0))],
        upstreams: vec![upstream],
        ..Config::default()
    };
    Broker::start(config).expect("the broker starts")
}

fn client(broker: &Broker) -> Client {
    broker.client(ClientOptions::new("writer")).expect("it comes in")
}

fn publish(client: &Client, payload: impl ToString, qos: QoS) {
    let publication = Publication::new("a/b", payload.to_string()).qos(qos);
    client.publish(publication).wait(PATIENCE).expect("it is published");
}

fn next(sink: &Sink) -> SinkMessage {
    sink.take_timeout(PATIENCE).expect("the broker runs").expect("a message in time")
}

fn text_of(message: &SinkMessage) -> &str {
    std::str::from_utf8(message.payload()).expect("text")
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn what_is_not_acknowledged_comes_again_after_a_restart_and_nothing_else_does() {
    let directory = Directory::new("sink");
    let broker = start(&directory);
    let writer = client(&broker);
    (0..10).for_each(|number| publish(&writer, number, QoS::AtLeastOnce));
    let sink = broker.sink("archive").unwrap();
    for number in 0..4 {
        let message = next(&sink);
        assert_eq!((message.topic(), text_of(&message)), ("a/b", &*number.to_string()));
        message.acknowledge();
    }
    let fifth = next(&sink);
    let id = fifth.id().to_owned();
    assert!(fifth.user_properties().any(|pair| pair == ("id", &id)));
    assert!(fifth.received_at_ms() > 0);
    until("four are acknowledged", || broker.status().upstreams[0].acknowledged == 4);
    broker.shutdown();
    assert_eq!(sink.take_timeout(PATIENCE).err(), Some(SinkError::Ended));
    // Nobody hears it.
    fifth.acknowledge();

    let broker = start(&directory);
    publish(&client(&broker), 10, QoS::ExactlyOnce);
    let sink = broker.sink("archive").unwrap();
    for number in 4..11 {
        let message = next(&sink);
        assert_eq!(text_of(&message), number.to_string());
        assert_eq!(message.id() == id, number == 4, "an id is of one message");
        message.acknowledge();
    }
    until("nothing waits", || broker.status().upstreams[0].depth == 0);
}

#[test]
fn messages_wait_while_nobody_takes_them() {
    let directory = Directory::new("sink-late");
    let broker = start(&directory);
    let writer = client(&broker);
    let all = u32::from(super::WINDOW) * 3;
    for number in 0..all {
        publish(&writer, number, QoS::AtLeastOnce);
    }
    until("all wait", || broker.status().upstreams[0].depth == u64::from(all));
    // Several times with a sink that is dropped.
    let mut taken = 0_u32;
    for _ in 0..3 {
        let mut sink = None;
        until("it is free again", || {
            sink = broker.sink("archive").ok();
            sink.is_some()
        });
        let sink = sink.unwrap();
        for _ in 0..10 {
            let message = next(&sink);
            assert_eq!(text_of(&message), taken.to_string());
            message.acknowledge();
            taken += 1;
        }
        until("they are acknowledged", || {
            broker.status().upstreams[0].acknowledged == u64::from(taken)
        });
    }
}

#[test]
fn a_message_that_is_dropped_comes_again_at_once() {
    let directory = Directory::new("sink-again");
    let broker = start(&directory);
    let writer = client(&broker);
    (0..3).for_each(|number| publish(&writer, number, QoS::AtLeastOnce));
    let sink = broker.sink("archive").unwrap();
    drop(next(&sink));
    for number in 0..3 {
        let message = next(&sink);
        assert_eq!(text_of(&message), number.to_string());
        message.acknowledge();
    }
}

#[test]
fn a_message_that_is_refused_becomes_a_dead_letter() {
    let directory = Directory::new("sink-refuse");
    let broker = start(&directory);
    let writer = client(&broker);
    publish(&writer, "wrong", QoS::AtLeastOnce);
    publish(&writer, "right", QoS::AtLeastOnce);
    let sink = broker.sink("archive").unwrap();
    next(&sink).refuse("the archive has no such column");
    let right = next(&sink);
    assert_eq!(text_of(&right), "right");
    right.acknowledge();
    until("both are settled", || broker.status().upstreams[0].depth == 0);
    let status = &broker.status().upstreams[0];
    assert_eq!(status.dropped.get("refused"), Some(&1), "{status:?}");
}

#[test]
fn qos_0_comes_while_somebody_takes_it() {
    let directory = Directory::new("sink-qos-0");
    let broker = start(&directory);
    let writer = client(&broker);
    writer.subscribe("a/#", QoS::AtMostOnce).wait(PATIENCE).unwrap();
    publish(&writer, "lost", QoS::AtMostOnce);
    // By then the broker has it.
    writer.receive_timeout(PATIENCE).unwrap().acknowledge();
    let sink = broker.sink("archive").unwrap();
    until("it is connected", || {
        broker.status().upstreams[0].state == crate::status::UpstreamState::Connected
    });
    publish(&writer, "now", QoS::AtMostOnce);
    let message = next(&sink);
    assert_eq!((text_of(&message), message.qos(), message.id()), ("now", QoS::AtMostOnce, ""));
}

#[test]
fn a_sink_is_held_by_one_and_another_name_has_none() {
    let directory = Directory::new("sink-held");
    let broker = start(&directory);
    let _sink = broker.sink("archive").unwrap();
    assert_eq!(broker.sink("archive").err(), Some(SinkError::Held("archive".to_owned())));
    assert_eq!(broker.sink("other").err(), Some(SinkError::Unknown("other".to_owned())));
}

#[test]
fn a_reload_leaves_what_the_program_has_made() {
    let directory = Directory::new("sink-reload");
    let file = directory.0.join("weir.toml");
    let text = "data_dir = \"data\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
                [auth]\nallow_anonymous = true\n";
    std::fs::write(&file, text).unwrap();
    let mut config = config::load(Some(&file), &Overrides::default()).unwrap().config;
    config.upstreams.push(UpstreamConfig::for_program("archive", ["a/#"]));
    let broker = Broker::start(config).expect("the broker starts");
    let sink = broker.sink("archive").unwrap();
    let more = "[upstream.there]\naddress = [\"127.0.0.1:1\"]\nforward = [{ from = \"b\", to = \"b\" }]\n\
                [upstream.archive]\naddress = [\"127.0.0.1:1\"]\n";
    std::fs::write(&file, format!("{text}{more}")).unwrap();
    let reloaded = broker.reload().expect("the file is right");
    let changed: Vec<_> = reloaded.upstreams.iter().map(|change| &*change.upstream).collect();
    assert_eq!(changed, ["there"]);
    std::fs::write(&file, text).unwrap();
    let reloaded = broker.reload().expect("the file is right");
    assert_eq!(reloaded.upstreams.len(), 1, "{reloaded}");
    publish(&client(&broker), "still there", QoS::AtLeastOnce);
    let message = next(&sink);
    assert_eq!(text_of(&message), "still there");
    message.acknowledge();
}

#[test]
fn upstreams_of_a_program_that_cannot_be_are_refused_at_the_start() {
    let started = |upstreams: Vec<UpstreamConfig>| {
        let listeners = vec![ListenerConfig::new(HostPort::new("127.0.0.1", 0))];
        let config = Config { persistence: false, listeners, upstreams, ..Config::default() };
        Broker::start(config).map(drop).map_err(|error| error.to_string())
    };
    let one = |name, filter: &str| UpstreamConfig::for_program(name, [filter]);
    let is_refused = |answer: Result<(), String>, part| answer.unwrap_err().contains(part);
    assert!(is_refused(started(vec![one("a", "b#")]), "`b#` # must be alone"));
    assert!(is_refused(started(vec![one("a/b", "b")]), "no `/`"));
    assert!(is_refused(started(vec![one("a", "b"), one("a", "c")]), "two of this name"));
    assert_eq!(started(vec![one("a", "b"), one("b", "c")]), Ok(()));
}
