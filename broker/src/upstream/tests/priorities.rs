//! What goes before what to one upstream.

use super::*;
use crate::config::Priority;

/// Everything below `agg`, and of it alarms before the rest.
fn urgent_routes(qos: u8) -> Vec<Route> {
    let of = |from: &str, priority| Route { priority, ..route(from, "{topic}", qos) };
    vec![
        of("agg/alarm/#", Priority::High),
        of("agg/log/#", Priority::Low),
        route("agg/#", "{topic}", qos),
    ]
}

/// Waits until so many messages wait with each priority.
async fn until_waiting(broker: &Broker, high: u64, normal: u64, low: u64) {
    until(broker, |status| {
        let count = |name| status.depth_by_priority.get(name).copied().unwrap_or_default();
        (count("high"), count("normal"), count("low")) == (high, normal, low)
            && status.depth == high + normal + low
    })
    .await;
}

#[tokio::test]
async fn after_an_outage_what_is_urgent_comes_first_and_everything_once() {
    for version in BOTH {
        let Some((mut far, mut there, mut config)) = far_end(version, 1).await else { return };
        far.stop();
        config.forward = urgent_routes(1);
        let directory = Directory::new("data");
        let (broker, here) = start(&directory, &config);
        let publisher = Client::connect(&here, "here");
        for number in 0..30 {
            for kind in ["log", "value", "alarm"] {
                publisher.publish(&format!("agg/{kind}/a"), 1, &number.to_string());
            }
        }
        until_waiting(&broker, 30, 30, 30).await;
        broker.shutdown();
        let (broker, _) = start(&directory, &config);
        until_waiting(&broker, 30, 30, 30).await;
        far.resume();
        let mut came = Vec::new();
        for _ in 0..90 {
            let message = there.next().await;
            came.push((message.topic, message.payload.parse().expect("a number")));
        }
        let all = ["alarm", "value", "log"]
            .into_iter()
            .flat_map(|kind| (0..30).map(move |number: u32| (format!("agg/{kind}/a"), number)));
        assert_eq!(came, all.collect::<Vec<_>>());
        until_waiting(&broker, 0, 0, 0).await;
    }
}

/// Two filters match, and two readers are given it.
#[tokio::test]
async fn a_message_that_several_routes_take_goes_once_at_any_qos() {
    let Some((_far, mut there, mut config)) = far_end(MqttVersion::V50, 1).await else { return };
    let directory = Directory::new("data");
    config.forward = urgent_routes(2);
    let (broker, here) = start(&directory, &config);
    until(&broker, |status| status.state == UpstreamState::Connected).await;
    let publisher = Client::connect(&here, "here");
    for qos in [0, 1, 2] {
        publisher.publish("agg/alarm/a", qos, &format!("qos {qos}"));
        assert_eq!(there.next().await.payload, format!("qos {qos}"));
    }
    publisher.publish("agg/value/a", 1, "last");
    assert_eq!(there.next().await.payload, "last");
    until(&broker, |status| status.depth == 0 && status.acknowledged == 3).await;
    assert_eq!(broker.status().upstreams[0].dropped, Default::default());
}

/// What waits with a priority that no route has any more goes all the same, also after a restart.
#[tokio::test]
async fn a_priority_that_is_given_up_loses_nothing() {
    let Some((mut far, mut there, mut config)) = far_end(MqttVersion::V50, 1).await else { return };
    far.stop();
    config.forward = urgent_routes(1);
    config.forward.truncate(1);
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    publisher.publish("agg/alarm/a", 1, "urgent once");
    until_waiting(&broker, 1, 0, 0).await;
    broker.shutdown();
    config.forward = vec![route("agg/#", "{topic}", 1)];
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    publisher.publish("agg/alarm/a", 1, "as the rest");
    until_waiting(&broker, 1, 1, 0).await;
    far.resume();
    assert_eq!(there.payloads_until("as the rest").await, ["urgent once", "as the rest"]);
    until_waiting(&broker, 0, 0, 0).await;
}

/// A full backlog of what can wait leaves what cannot its room.
#[tokio::test]
async fn each_priority_has_a_limit_of_its_own() {
    let Some((mut far, mut there, mut config)) = far_end(MqttVersion::V50, 1).await else { return };
    far.stop();
    let directory = Directory::new("data");
    config.forward = urgent_routes(1);
    config.backlog_max_bytes = 64 * 1024;
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    publisher.publish("agg/alarm/a", 1, "first");
    for number in 0..1_000 {
        publisher.publish("agg/value/a", 1, &format!("{number:0>200}"));
    }
    let waits = |status: &UpstreamStatus| {
        status.depth + status.dropped.get("backlog_full").unwrap_or(&0) == 1_001
    };
    let status = until(&broker, waits).await;
    assert_eq!(status.depth_by_priority["high"], 1);
    assert!(status.depth < 400);
    far.resume();
    assert_eq!(there.next().await.payload, "first");
}
