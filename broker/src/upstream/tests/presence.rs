//! Upstreams that are not always connected.

use std::time::Duration;

use super::client::Client;
use super::mosquitto::Directory;
use super::{BOTH, far_end, start, until};
use crate::config::{MqttVersion, StartType};
use crate::status::UpstreamState;

#[tokio::test]
async fn a_lazy_upstream_is_connected_while_messages_wait() {
    let Some((_far, mut there, mut config)) = far_end(MqttVersion::V50, 1).await else { return };
    config.start_type = StartType::Lazy;
    (config.threshold, config.idle_timeout) = (3, Duration::from_millis(50));
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &config);
    until(&broker, |status| status.state == UpstreamState::Idle).await;
    let publisher = Client::connect(&here, "here");
    for round in 0..2 {
        publisher.publish("agg/a", 1, "1");
        publisher.publish("agg/a", 1, "2");
        let status = until(&broker, |status| status.depth == 2).await;
        assert_eq!((status.state, status.acknowledged), (UpstreamState::Idle, 3 * round));
        publisher.publish("agg/a", 1, "3");
        assert_eq!(there.payloads_until("3").await, ["1", "2", "3"]);
        let is_left = |status: &crate::status::UpstreamStatus| {
            status.state == UpstreamState::Idle && status.acknowledged == 3 * (round + 1)
        };
        until(&broker, is_left).await;
    }
}

/// Nobody keeps it, so it does not wait for others.
#[tokio::test]
async fn a_message_at_qos_0_connects_a_lazy_upstream_at_once() {
    let Some((_far, mut there, mut config)) = far_end(MqttVersion::V311, 0).await else { return };
    config.start_type = StartType::Lazy;
    (config.threshold, config.idle_timeout) = (1_000, Duration::from_millis(50));
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &config);
    until(&broker, |status| status.state == UpstreamState::Idle).await;
    let publisher = Client::connect(&here, "here");
    publisher.publish("agg/a", 0, "now");
    assert_eq!(there.next().await.payload, "now");
    until(&broker, |status| status.state == UpstreamState::Idle).await;
}

#[tokio::test]
async fn an_upstream_of_once_is_not_connected_again_and_keeps_what_waits() {
    let Some((mut far, mut there, mut config)) = far_end(MqttVersion::V50, 1).await else { return };
    config.start_type = StartType::Once;
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    publisher.publish("agg/a", 1, "1");
    assert_eq!(there.next().await.payload, "1");
    until(&broker, |status| status.acknowledged == 1).await;
    far.stop();
    let status = until(&broker, |status| status.state == UpstreamState::Stopped).await;
    assert!(status.last_error.is_some());
    far.resume();
    publisher.publish("agg/a", 1, "2");
    until(&broker, |status| status.depth == 1).await;
    broker.shutdown();
    let (_broker, _) = start(&directory, &config);
    assert_eq!(there.payloads_until("2").await, ["2"]);
}

#[tokio::test]
async fn a_topic_there_says_whether_the_upstream_is_connected() {
    for version in BOTH {
        let Some((_far, mut there, mut config)) = far_end(version, 1).await else { return };
        there.subscribe("state/gate").await;
        config.notification_topic = Some("state/gate".to_owned());
        let directory = Directory::new("data");
        let (broker, here) = start(&directory, &config);
        assert_eq!(there.next().await.payload, "1");
        let publisher = Client::connect(&here, "here");
        publisher.publish("agg/a", 1, "2");
        assert_eq!(there.next().await.payload, "2");
        // It is not counted among what is forwarded.
        until(&broker, |status| status.acknowledged == 1 && status.depth == 0).await;
        broker.shutdown();
        assert_eq!(there.next().await.payload, "0");
    }
}
