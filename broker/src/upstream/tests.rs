//! The upstream against a real broker of another maker, from a whole broker of ours.

mod addresses;
#[cfg(feature = "amqp")]
mod amqp;
mod backlog;
pub(crate) mod client;
mod far_end;
mod http;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "kafka")]
mod kafka_brokers;
#[cfg(feature = "kafka")]
mod kafka_gate;
pub(crate) mod mosquitto;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "nats")]
pub(crate) mod nats_account;
#[cfg(feature = "nats")]
pub(crate) mod nats_server;
#[path = "../../../tests/src/harness/ports.rs"]
pub(crate) mod ports;
mod presence;
mod priorities;
#[cfg(feature = "amqp")]
mod rabbitmq;
mod reload;
pub(crate) mod tls;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Poll, Token, Waker};
use tokio::sync::watch;
use weir_core::{ReaderId, Sequence, ShardId};
use weir_mqtt::ReasonCode;

use self::client::{Client, PATIENCE};
use self::far_end::FarEnd;
use self::mosquitto::{Directory, Mosquitto};
use self::ports::free_port;
use super::bridge::{Around, Beginning, Upstream};
use super::forwarder::Place;
use super::handle::UpstreamHandle;
use crate::Broker;
use crate::clock::ClockWatch;
use crate::config::{
    Config, DurabilityLevel, HostPort, ListenerConfig, MqttVersion, Priority, RestartTimeout,
    Route, TopicTemplate, UpstreamConfig,
};
use crate::inner_turn::InnerTurn;
use crate::mailbox::{Mail, MailReceiver, Mailboxes, mailbox};
use crate::status::{UpstreamState, UpstreamStatus};
use crate::store::{Store, StoreOptions};

const BOTH: [MqttVersion; 2] = [MqttVersion::V311, MqttVersion::V50];

fn route(from: &str, to: &str, qos: u8) -> Route {
    Route {
        from: from.into(),
        to: TopicTemplate::parse(to, from).unwrap(),
        qos,
        priority: Priority::Normal,
    }
}

/// An upstream `cloud` that does not wait long.
fn upstream(address: HostPort, version: MqttVersion) -> UpstreamConfig {
    let mut config = UpstreamConfig::new("cloud", address);
    config.bridge_protocol_version = version;
    config.remote_clientid = Some("gate".to_owned());
    config.restart_timeout =
        RestartTimeout { min: Duration::from_millis(20), max: Duration::from_millis(100) };
    config
}

fn start(directory: &Directory, upstream: &UpstreamConfig) -> (Broker, HostPort) {
    start_at(DurabilityLevel::Commit, directory, upstream)
}

fn start_at(
    level: DurabilityLevel,
    directory: &Directory,
    upstream: &UpstreamConfig,
) -> (Broker, HostPort) {
    let mut config = Config {
        data_dir: directory.0.clone(),
        listeners: vec![ListenerConfig::new(HostPort::new("127.0.0.1", 0))],
        upstreams: vec![upstream.clone()],
        ..Config::default()
    };
    config.store.durability = level;
    let broker = Broker::start(config).expect("the broker starts");
    let address = HostPort::new("127.0.0.1", broker.addresses()[0].port());
    (broker, address)
}

/// A broker that everything below `agg` goes to as it is, at that QoS, and a client that gets it
/// there.
async fn far_end(version: MqttVersion, qos: u8) -> Option<(Mosquitto, Client, UpstreamConfig)> {
    let far = Mosquitto::open(&[])?;
    let mut there = Client::connect(&far.address(), "there");
    there.subscribe("agg/#").await;
    let mut config = upstream(far.address(), version);
    config.forward = vec![route("agg/#", "{topic}", qos)];
    Some((far, there, config))
}

/// Waits until the upstream is as wanted.
async fn until(broker: &Broker, is: impl Fn(&UpstreamStatus) -> bool) -> UpstreamStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = broker.status().upstreams.remove(0);
        if is(&status) {
            return status;
        }
        assert!(Instant::now() < deadline, "{status:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn messages_are_forwarded_with_what_belongs_to_them() {
    for (version, qos) in
        BOTH.into_iter().flat_map(|version| [(version, 0), (version, 1), (version, 2)])
    {
        let Some(far) = Mosquitto::open(&[]) else { return };
        let mut there = Client::connect(&far.address(), "there");
        there.subscribe("site/#").await;
        let directory = Directory::new("data");
        let mut config = upstream(far.address(), version);
        config.forward = vec![route("agg/#", "site/{topic}", 2)];
        let (broker, here) = start(&directory, &config);
        until(&broker, |status| status.state == UpstreamState::Connected).await;
        let publisher = Client::connect(&here, "here");
        publisher.publish("agg/a", qos, "21.5");
        let message = there.next().await;
        assert_eq!((message.topic.as_str(), message.payload.as_str()), ("site/agg/a", "21.5"));
        assert_eq!(message.qos, qos);
        if version == MqttVersion::V50 {
            assert_eq!(message.content_type.as_deref(), Some("text/plain"));
            assert_eq!(message.user["unit"], "celsius");
            assert_eq!(
                (message.user["src"].as_str(), message.user["weir-hop"].as_str()),
                ("gate", "1")
            );
            assert_eq!(message.user.contains_key("id"), qos > 0, "{:?}", message.user);
            assert_eq!(message.user.contains_key("seq"), qos > 0);
        }
        let status = until(&broker, |status| status.depth == 0 && status.sent == 1).await;
        assert_eq!(status.dropped.len(), 0, "{status:?}");
        if qos > 0 {
            until(&broker, |status| status.acknowledged == 1).await;
        }
    }
}

/// Its client has 20 messages under way at most, so it comes no further without the far end.
#[tokio::test]
async fn at_level_upstream_the_far_end_acknowledges_and_nothing_is_written() {
    for (version, qos) in BOTH.into_iter().flat_map(|version| [(version, 1), (version, 2)]) {
        let Some((_far, mut there, config)) = far_end(version, 1).await else { return };
        let directory = Directory::new("data");
        let (broker, here) = start_at(DurabilityLevel::Upstream, &directory, &config);
        until(&broker, |status| status.state == UpstreamState::Connected).await;
        let publisher = Client::connect(&here, "here");
        publisher.publish("agg/a", qos, "first");
        assert_eq!(there.next().await.payload, "first");
        until(&broker, |status| status.acknowledged == 1).await;
        let written = broker.status().store.bytes_written;
        for payload in numbers(100) {
            publisher.publish("agg/a", qos, &payload);
        }
        assert_eq!(there.payloads_until("99").await, numbers(100), "{version:?} QoS {qos}");
        until(&broker, |status| status.acknowledged == 101 && status.depth == 0).await;
        assert_eq!(broker.status().store.bytes_written, written, "{version:?} QoS {qos}");
    }
}

#[tokio::test]
async fn a_burst_at_qos_0_is_sent_in_full() {
    let Some(far) = Mosquitto::open(&[]) else { return };
    let directory = Directory::new("data");
    let mut config = upstream(far.address(), MqttVersion::V50);
    config.forward = vec![route("agg/#", "{topic}", 1)];
    let (broker, here) = start(&directory, &config);
    until(&broker, |status| status.state == UpstreamState::Connected).await;
    let publisher = Client::connect(&here, "here");
    for payload in numbers(4_000) {
        publisher.publish("agg/a", 0, &payload);
    }
    let status = until(&broker, |status| status.sent == 4_000).await;
    assert_eq!((status.dropped.len(), status.depth), (0, 0));
}

#[tokio::test]
async fn what_was_accepted_while_the_upstream_was_away_arrives_in_order() {
    for version in BOTH {
        let Some((mut far, mut there, config)) = far_end(version, 1).await else { return };
        let directory = Directory::new("data");
        let (broker, here) = start(&directory, &config);
        until(&broker, |status| status.state == UpstreamState::Connected).await;
        let publisher = Client::connect(&here, "here");
        let payloads = numbers(900);
        // Some before, some as it goes away, some while it is away, some after a restart of
        // this broker, which finds them in its store.
        for (index, payload) in payloads.iter().enumerate() {
            publisher.publish("agg/a", 1, payload);
            if index == 300 {
                assert_eq!(there.next().await.payload, "0");
                far.stop();
            }
        }
        until(&broker, |status| status.state == UpstreamState::Waiting).await;
        until(&broker, |status| status.depth + status.acknowledged >= 900).await;
        drop(publisher);
        broker.shutdown();
        let (broker, _) = start(&directory, &config);
        until(&broker, |status| status.last_error.is_some() && status.oldest_at_ms.is_some()).await;
        far.resume();
        // What had come when the far end stopped, and was not acknowledged, comes again.
        let mut came = there.payloads_until("899").await;
        let mut known = BTreeSet::from(["0".to_owned()]);
        came.retain(|payload| known.insert(payload.clone()));
        assert_eq!(came, payloads[1..].to_vec(), "{version:?}");
        until(&broker, |status| status.depth == 0).await;
    }
}

#[tokio::test]
async fn a_link_that_breaks_again_and_again_loses_nothing() {
    let Some((mut far, mut there, config)) = far_end(MqttVersion::V50, 2).await else { return };
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    let payloads = numbers(1_000);
    for (index, payload) in payloads.iter().enumerate() {
        publisher.publish("agg/a", 1 + (index % 2) as u8, payload);
        if index % 200 == 199 {
            until(&broker, |status| status.acknowledged > 0).await;
            far.stop();
            far.resume();
        }
    }
    let mut came = there.payloads_until("999").await;
    // QoS 1 and 2 may overtake each other at the far end.
    while came.len() < payloads.len() {
        came.push(there.next().await.payload);
        came.sort();
        came.dedup();
    }
    until(&broker, |status| status.depth == 0).await;
}

#[tokio::test]
async fn messages_are_fetched_also_those_that_came_meanwhile() {
    for (version, qos) in BOTH.into_iter().flat_map(|version| [(version, 1), (version, 2)]) {
        let Some(far) = Mosquitto::open(&[]) else { return };
        let directory = Directory::new("data");
        let mut config = upstream(far.address(), version);
        config.receive = vec![route("site/cmd/#", "cmd/{rest}", 2)];
        let (broker, here) = start(&directory, &config);
        let mut local = Client::connect(&here, "local");
        local.subscribe("cmd/#").await;
        until(&broker, |status| status.state == UpstreamState::Connected).await;
        let there = Client::connect(&far.address(), "there");
        // Once it arrives the subscription is known to be there.
        let deadline = Instant::now() + PATIENCE;
        while broker.status().upstreams[0].received == 0 {
            there.publish("site/cmd/ready", qos, "ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(Instant::now() < deadline);
        }
        let ready = local.next().await;
        assert_eq!((ready.topic.as_str(), ready.qos), ("cmd/ready", qos));
        drop(local);
        broker.shutdown();
        for payload in numbers(50) {
            there.publish("site/cmd/lamp", qos, &payload);
        }
        let (broker, here) = start(&directory, &config);
        let mut local = Client::connect(&here, "local");
        local.subscribe("cmd/#").await;
        let mut came = local.payloads_until("49").await;
        came.retain(|payload| payload != "ready");
        assert_eq!(came, numbers(50), "{version:?} QoS {qos}");
        drop(broker);
    }
}

/// The next turn that the upstream sends.
async fn turn(mail: &MailReceiver) -> InnerTurn {
    let deadline = Instant::now() + PATIENCE;
    loop {
        for mail in mail.take() {
            if let Mail::Turn(turn) = mail {
                return turn;
            }
        }
        assert!(Instant::now() < deadline, "no turn in time");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn payload(turn: &InnerTurn) -> String {
    let publication = turn.publications[0].borrow();
    String::from_utf8(publication.message.payload.to_vec()).unwrap()
}

#[tokio::test]
async fn a_message_is_acknowledged_only_after_the_commit() {
    for (version, qos) in BOTH.into_iter().flat_map(|version| [(version, 1), (version, 2)]) {
        let Some(mut far) = Mosquitto::open(&[]) else { return };
        let poll = Poll::new().unwrap();
        let (mailbox, mail) = mailbox(Waker::new(poll.registry(), Token(0)).unwrap());
        let store = Arc::new(Store::in_memory(StoreOptions::default()).unwrap());
        let mut config = upstream(far.address(), version);
        config.receive = vec![route("cmd/#", "{topic}", 2)];
        let clock_watch = Arc::new(ClockWatch::new(None));
        let (shard, mailboxes) = (ShardId(0), Mailboxes::new(vec![mailbox]));
        let outlets = crate::upstream::Outlets::default();
        let around = Around { store, shard, mailboxes, clock_watch, outlets };
        let handle = UpstreamHandle::new(&config.name);
        let (priority, reader, done) = (Priority::Normal, ReaderId(1), Sequence(0));
        let places = vec![Place { priority, reader, done }];
        let beginning = Beginning { places, handle: handle.clone() };
        let upstream = Upstream::new(config, beginning, around);
        let (stop, stopped) = watch::channel(false);
        let local = tokio::task::LocalSet::new();
        local.spawn_local(upstream.run(stopped));
        let test = async {
            let there = Client::connect(&far.address(), "there");
            while handle.status().received == 0 {
                there.publish("cmd/a", qos, "1");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let first = turn(&mail).await;
            assert_eq!(payload(&first), "1");
            // The commit does not come before the connection ends: so the message comes again.
            far.stop();
            let received = handle.status().received;
            far.resume();
            while handle.status().received == received {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            if qos == 2 {
                // It is known by its identifier, and is not published twice.
                (first.committed.expect("somebody waits"))();
            } else {
                let again = turn(&mail).await;
                assert_eq!(payload(&again), "1");
                (again.committed.expect("somebody waits"))();
            }
            there.publish("cmd/a", qos, "2");
            loop {
                let next = turn(&mail).await;
                let payload = payload(&next);
                (next.committed.expect("somebody waits"))();
                if payload == "2" {
                    break;
                }
            }
        };
        let test = tokio::time::timeout(PATIENCE, local.run_until(test));
        test.await.unwrap_or_else(|_| panic!("{version:?} QoS {qos}"));
        drop(stop);
    }
}

#[tokio::test]
async fn wrong_credentials_are_told_and_local_traffic_goes_on() {
    for version in BOTH {
        let Some(far) = Mosquitto::start(&["allow_anonymous false"]) else { return };
        let directory = Directory::new("data");
        let mut config = upstream(far.address(), version);
        config.forward = vec![route("agg/#", "{topic}", 1)];
        config.username = Some("gate".to_owned());
        config.password = Some(crate::config::Secret::new("wrong"));
        let (broker, here) = start(&directory, &config);
        let status = until(&broker, |status| status.last_error.is_some()).await;
        let error = status.last_error.unwrap();
        assert_eq!(error, "the upstream refused the connection: NotAuthorized");
        let mut local = Client::connect(&here, "local");
        local.subscribe("agg/#").await;
        local.publish("agg/a", 1, "21.5");
        assert_eq!(local.next().await.payload, "21.5");
        let status = until(&broker, |status| status.depth == 1).await;
        assert_ne!(status.state, UpstreamState::Connected);
    }
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_told() {
    let directory = Directory::new("data");
    let address = HostPort::new("127.0.0.1", free_port());
    let (broker, _) = start(&directory, &upstream(address, MqttVersion::V50));
    let status = until(&broker, |status| status.last_error.is_some()).await;
    assert!(status.last_error.unwrap().starts_with("cannot connect: "));
    broker.shutdown();
    // No name server has to be asked for this one.
    let (broker, _) = start(&directory, &upstream(HostPort::new("no..host", 1), MqttVersion::V311));
    let status = until(&broker, |status| status.last_error.is_some()).await;
    assert_eq!(status.last_error.unwrap(), "unknown host `no..host`");
}

/// A broker that forwards `agg/#` to `far`, and a client of it that listens to dead letters.
async fn forwarding_to(far: &FarEnd, directory: &Directory) -> (Broker, Client) {
    let mut config = upstream(far.address(), MqttVersion::V50);
    config.forward = vec![route("agg/#", "{topic}", 2)];
    let (broker, here) = start(directory, &config);
    let mut local = Client::connect(&here, "local");
    local.subscribe("dead/#").await;
    (broker, local)
}

#[tokio::test]
async fn the_far_end_gets_no_more_than_it_takes_and_may_answer_in_any_order() {
    let far = FarEnd::start(4, |_, _| ReasonCode::Success);
    let directory = Directory::new("data");
    let (broker, local) = forwarding_to(&far, &directory).await;
    let payloads = numbers(30);
    payloads.iter().for_each(|payload| local.publish("agg/a", 1, payload));
    until(&broker, |status| status.acknowledged == 30).await;
    far.seen(|seen| {
        assert_eq!(seen.taken, payloads);
        assert_eq!(seen.connections, 1);
        assert!((2..=4).contains(&seen.under_way_max), "{}", seen.under_way_max);
    });
}

#[tokio::test]
async fn a_far_end_that_forgets_qos_2_messages_blocks_nothing() {
    let far = FarEnd::start(4, |_, _| ReasonCode::Success);
    let directory = Directory::new("data");
    let (broker, local) = forwarding_to(&far, &directory).await;
    for payload in numbers(20) {
        local.publish("agg/a", 2, &payload);
    }
    // The first ones may be through before the last ones have come in.
    let all_taken = || far.seen(|seen| seen.taken.iter().collect::<BTreeSet<_>>().len() == 20);
    let status = until(&broker, |status| status.depth == 0 && all_taken()).await;
    assert_eq!(status.dropped.len(), 0);
}

#[tokio::test]
async fn more_refusals_than_the_window_has_places_block_nothing() {
    let far = FarEnd::start(4, |payload, _| match payload {
        "good" => ReasonCode::Success,
        _ => ReasonCode::NotAuthorized,
    });
    let directory = Directory::new("data");
    let (broker, mut local) = forwarding_to(&far, &directory).await;
    for payload in numbers(10) {
        local.publish("agg/a", 2, &payload);
    }
    local.publish("agg/a", 2, "good");
    let mut letters = local.payloads_until("9").await;
    letters.sort();
    assert_eq!(letters, numbers(10));
    until(&broker, |status| status.depth == 0).await;
    far.seen(|seen| assert!(seen.taken.iter().all(|payload| payload == "good")));
}

#[tokio::test]
async fn what_is_refused_for_now_is_tried_again() {
    let far = FarEnd::start(4, |_, count| match count {
        0 | 1 => ReasonCode::QuotaExceeded,
        _ => ReasonCode::Success,
    });
    let directory = Directory::new("data");
    let (broker, local) = forwarding_to(&far, &directory).await;
    local.publish("agg/a", 1, "21.5");
    let status = until(&broker, |status| status.acknowledged == 1).await;
    assert_eq!(status.dropped.len(), 0);
    far.seen(|seen| assert_eq!((seen.taken.len(), seen.connections), (1, 3)));
}

#[tokio::test]
async fn what_the_upstream_refuses_for_good_becomes_a_dead_letter() {
    let Some(far) = Mosquitto::open(&["acl_file {directory}/acl", "max_packet_size 2000"]) else {
        return;
    };
    let directory = Directory::new("data");
    let mut config = upstream(far.address(), MqttVersion::V50);
    config.forward = vec![route("agg/#", "{topic}", 2)];
    let (broker, here) = start(&directory, &config);
    let mut there = Client::connect(&far.address(), "there");
    there.subscribe("agg/good").await;
    let mut local = Client::connect(&here, "local");
    local.subscribe("dead/#").await;
    local.publish("agg/bad", 1, "1");
    local.publish("agg/bad", 2, "2");
    local.publish("agg/good", 1, &"x".repeat(3_000));
    local.publish("agg/good", 1, "4");
    assert_eq!(there.next().await.payload, "4");
    let mut letters = Vec::new();
    for _ in 0..3 {
        let letter = local.next().await;
        assert_eq!((letter.user["upstream"].as_str(), letter.qos), ("cloud", 1));
        letters.push((letter.topic.clone(), letter.user["error"].clone()));
    }
    letters.sort();
    let letter =
        |topic: &str, error: &str| (format!("dead/upstream/cloud/{topic}"), error.to_owned());
    let refused = letter("agg/bad", "NotAuthorized");
    let large = letter("agg/good", "it is larger than the upstream takes");
    assert_eq!(letters, [refused.clone(), refused, large]);
    let status = until(&broker, |status| status.depth == 0).await;
    assert_eq!((status.dropped["refused"], status.dropped["too_large"]), (2, 1));
}

#[tokio::test]
async fn two_brokers_that_exchange_everything_settle() {
    for version in BOTH {
        let Some(far) = Mosquitto::open(&[]) else { return };
        let directory = Directory::new("data");
        let mut config = upstream(far.address(), version);
        config.forward = vec![route("#", "{topic}", 1)];
        config.receive = vec![route("#", "{topic}", 1)];
        let (broker, here) = start(&directory, &config);
        until(&broker, |status| status.state == UpstreamState::Connected).await;
        let mut there = Client::connect(&far.address(), "there");
        there.subscribe("#").await;
        let mut local = Client::connect(&here, "local");
        local.subscribe("#").await;
        local.publish("a", 1, "from here");
        assert_eq!(there.next().await.payload, "from here");
        there.publish("a", 1, "from there");
        there.publish("a", 1, "end");
        for expected in ["from there", "end"] {
            assert_eq!(there.next().await.payload, expected);
        }
        for expected in ["from here", "from there", "end"] {
            assert_eq!(local.next().await.payload, expected);
        }
        // Without `no local` the far end sends back what came from here.
        let echoes = u64::from(version == MqttVersion::V311);
        let status = until(&broker, |status| status.received == 2 + echoes).await;
        assert_eq!((status.sent, status.acknowledged), (1, 1));
        assert_eq!(status.dropped.get("received_echo").copied().unwrap_or(0), echoes);
    }
}
