//! Several addresses, and upstreams that do not speak MQTT 5.

use tokio::net::{TcpListener, TcpStream};
use weir_mqtt::Version;

use super::*;

/// The first address is away at the start: the second one is used, until the first one answers.
#[tokio::test]
async fn the_first_address_is_used_again_when_it_answers() {
    let (Some(mut first), Some(second)) = (Mosquitto::open(&[]), Mosquitto::open(&[])) else {
        return;
    };
    let mut there = Client::connect(&second.address(), "there");
    there.subscribe("agg/#").await;
    first.stop();
    let directory = Directory::new("data");
    let mut config = upstream(first.address(), MqttVersion::V50);
    config.address.push(second.address());
    config.forward = vec![route("agg/#", "{topic}", 1)];
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    publisher.publish("agg/a", 1, "1");
    assert_eq!(there.next().await.payload, "1");
    first.resume();
    let mut back = Client::connect(&first.address(), "back");
    back.subscribe("agg/#").await;
    let mut number = 1;
    let message = loop {
        number += 1;
        publisher.publish("agg/a", 1, &number.to_string());
        until(&broker, |status| status.acknowledged == number).await;
        if let Some(message) = back.try_next() {
            break message;
        }
    };
    // It was acknowledged here before it came there, so another one may have followed.
    let came: u64 = message.payload.parse().expect("a number");
    assert!((2..=number).contains(&came), "{came} of {number}");
    until(&broker, |status| status.state == UpstreamState::Connected && status.depth == 0).await;
}

/// A broker that takes 3.1.1 only, of this maker since mosquitto of Debian takes both.
#[tokio::test]
async fn an_upstream_without_mqtt_5_is_spoken_to_in_3_1_1() {
    let far_directory = Directory::new("far");
    let mut listener = ListenerConfig::new(HostPort::new("127.0.0.1", 0));
    listener.accept_protocol_versions = vec![Version::V311];
    let far = Broker::start(Config {
        data_dir: far_directory.0.clone(),
        listeners: vec![listener, ListenerConfig::new(HostPort::new("127.0.0.1", 0))],
        ..Config::default()
    })
    .expect("the broker starts");
    let port = |index: usize| HostPort::new("127.0.0.1", far.addresses()[index].port());
    let mut there = Client::connect(&port(1), "there");
    there.subscribe("agg/#").await;
    let directory = Directory::new("data");
    let mut config = upstream(port(0), MqttVersion::V50);
    config.forward = vec![route("agg/#", "{topic}", 1)];
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    publisher.publish("agg/a", 1, "21.5");
    until(&broker, |status| status.state == UpstreamState::Connected).await;
    let message = there.next().await;
    assert_eq!((message.payload.as_str(), message.user.len()), ("21.5", 0));
    until(&broker, |status| status.state == UpstreamState::Connected).await;
}

/// Whatever lets connections in for a broker that is away ends them without an answer, as one of
/// 3.1.1 may. The upstream went on in 3.1.1 then, for as long as that connection lasted, and
/// messages came without their `id`.
#[tokio::test]
async fn an_upstream_that_was_away_behind_something_else_is_spoken_to_in_mqtt_5() {
    let far_directory = Directory::new("far");
    let far = Broker::start(Config {
        data_dir: far_directory.0.clone(),
        listeners: vec![ListenerConfig::new(HostPort::new("127.0.0.1", 0))],
        ..Config::default()
    })
    .expect("the broker starts");
    let behind = far.addresses()[0];
    let mut there = Client::connect(&HostPort::new("127.0.0.1", behind.port()), "there");
    there.subscribe("agg/#").await;
    for away in 1..=4 {
        let gate = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = gate.local_addr().expect("it is bound").port();
        let passes = tokio::spawn(async move {
            for _ in 0..away {
                drop(gate.accept().await);
            }
            while let Ok((mut here, _)) = gate.accept().await {
                let mut there = TcpStream::connect(behind).await.expect("it is there by now");
                let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
            }
        });
        let directory = Directory::new("data");
        let mut config = upstream(HostPort::new("127.0.0.1", port), MqttVersion::V50);
        config.forward = vec![route("agg/#", "{topic}", 1)];
        let (_broker, here) = start(&directory, &config);
        let publisher = Client::connect(&here, "here");
        publisher.publish("agg/a", 1, &away.to_string());
        let message = there.next().await;
        assert_eq!(message.payload, away.to_string());
        assert!(message.user.contains_key("id"), "after {away} attempts: {message:?}");
        passes.abort();
    }
}
