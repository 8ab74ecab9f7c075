//! What waits while the upstream is away, and what does not fit.

use super::*;
use crate::config::BacklogFull;

#[tokio::test]
async fn a_backlog_beyond_its_limit_loses_its_oldest_messages() {
    let Some((mut far, mut there, mut config)) = far_end(MqttVersion::V50, 1).await else { return };
    far.stop();
    let directory = Directory::new("data");
    config.backlog_max_bytes = 64 * 1024;
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    for payload in numbers(1_000) {
        publisher.publish("agg/a", 1, &format!("{payload:0>200}"));
    }
    let waits = |status: &UpstreamStatus| {
        status.depth + status.dropped.get("backlog_full").unwrap_or(&0) == 1_000
    };
    let status = until(&broker, waits).await;
    assert!(status.depth > 0 && status.depth_bytes <= 64 * 1024);
    far.resume();
    let came = there.payloads_until(&format!("{:0>200}", 999)).await;
    assert_eq!(came.len() as u64, status.depth);
    until(&broker, |status| status.depth == 0).await;
}

#[tokio::test]
async fn what_has_waited_too_long_is_dropped_while_the_upstream_is_away() {
    let Some((mut far, mut there, mut config)) = far_end(MqttVersion::V50, 1).await else { return };
    far.stop();
    let directory = Directory::new("data");
    config.backlog_max_age = Some(Duration::from_millis(20));
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    for payload in numbers(10) {
        publisher.publish("agg/old", 1, &payload);
    }
    let is_over = |status: &UpstreamStatus| {
        status.dropped.get("backlog_age").is_some_and(|count| *count == 10)
    };
    let status = until(&broker, is_over).await;
    assert_eq!(status.depth, 0);
    broker.shutdown();
    far.resume();
    config.backlog_max_age = None;
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    publisher.publish("agg/new", 1, "new");
    assert_eq!(there.payloads_until("new").await, ["new"]);
    until(&broker, |status| status.depth == 0).await;
}

/// Publishes so many messages of some 200 bytes, and waits after every few until each has become
/// part of the backlog or is dropped.
async fn fill(broker: &Broker, publisher: &Client, count: u64) {
    for number in 0..count {
        publisher.publish("agg/a", 1, &format!("{number:0>200}"));
        if number % 10 == 9 {
            until(broker, |status| {
                status.depth + status.dropped.get("backlog_full").unwrap_or(&0) == number + 1
            })
            .await;
        }
    }
}

/// The numbers of the messages that have come, up to this one.
async fn came(there: &mut Client, last: u64) -> Vec<u64> {
    let payloads = there.payloads_until(&format!("{last:0>200}")).await;
    payloads.iter().map(|payload| payload.parse().expect("a number")).collect()
}

#[tokio::test]
async fn a_backlog_that_keeps_what_it_has_takes_no_more_until_there_is_room() {
    let Some((mut far, mut there, mut config)) = far_end(MqttVersion::V50, 1).await else { return };
    far.stop();
    let directory = Directory::new("data");
    (config.backlog_max_bytes, config.backlog_full) = (64 * 1024, BacklogFull::DropNew);
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    fill(&broker, &publisher, 400).await;
    let status = broker.status();
    let upstream = &status.upstreams[0];
    // A few come while it is not told yet.
    assert!(upstream.depth_bytes >= 64 * 1024 && upstream.depth_bytes < 72 * 1024, "{upstream:?}");
    assert_eq!(status.store.log_records, upstream.depth, "what it does not take is nowhere");
    let depth = upstream.depth;
    far.resume();
    assert_eq!(came(&mut there, depth - 1).await, (0..depth).collect::<Vec<_>>());
    until(&broker, |status| status.depth == 0).await;
    publisher.publish("agg/a", 1, "again");
    assert_eq!(there.next().await.payload, "again");
}

#[tokio::test]
async fn a_backlog_that_thins_out_reaches_back_longer() {
    let Some((mut far, mut there, mut config)) = far_end(MqttVersion::V50, 1).await else { return };
    far.stop();
    let directory = Directory::new("data");
    (config.backlog_max_bytes, config.backlog_full) = (64 * 1024, BacklogFull::Thin);
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    fill(&broker, &publisher, 500).await;
    let status = until(&broker, |_| true).await;
    assert!(status.depth_bytes < 64 * 1024, "{status:?}");
    far.resume();
    publisher.publish("agg/a", 2, &format!("{:0>200}", 500));
    publisher.publish("agg/b", 1, "the end");
    let payloads = there.payloads_until("the end").await;
    let numbers = payloads.iter().filter_map(|payload| payload.parse::<u64>().ok());
    let numbers: Vec<u64> = numbers.filter(|number| *number < 500).collect();
    let gaps: Vec<u64> = numbers.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(numbers[0], 0, "the oldest is still there");
    let long = [1, 2, 4].map(|gap| gaps.iter().filter(|one| **one == gap).count());
    assert!(long.iter().all(|count| *count > 20), "{gaps:?}");
    assert_eq!(numbers.len() as u64, status.depth);
}

/// Two upstreams to the same place thin out what is old: readings give up early, what a rule makes of
/// them does not.
#[tokio::test]
async fn an_old_backlog_is_averages_and_a_fresh_one_readings_too() {
    let Some((mut far, mut there, readings)) = far_end(MqttVersion::V50, 1).await else { return };
    there.subscribe("averages/#").await;
    far.stop();
    let directory = Directory::new("data");
    let mut averages = readings.clone();
    (averages.name, averages.forward) = ("means".to_owned(), Vec::new());
    averages.remote_clientid = Some("gate-averages".to_owned());
    let mut readings = readings;
    readings.backlog_max_age = Some(Duration::from_secs(2));
    let rule = "[rule.averages]\nfrom = \"agg/{id}\"\ndecode = \"number\"\nby = [\"id\"]\n\
                window = \"count 10\"\nselect = { mean = \"avg(value)\" }\n\
                to = { upstream = \"means\", topic = \"averages/{id}\" }\n";
    let broker = Broker::start(Config {
        data_dir: directory.0.clone(),
        listeners: vec![ListenerConfig::new(HostPort::new("127.0.0.1", 0))],
        upstreams: vec![readings, averages],
        rules: vec![weir_rules::Source::new("averages.toml", rule)],
        ..Config::default()
    })
    .expect("the broker starts");
    let publisher = Client::connect(&HostPort::new("127.0.0.1", broker.addresses()[0].port()), "p");
    for payload in numbers(20) {
        publisher.publish("agg/a", 1, &payload);
    }
    until(&broker, |status| status.dropped.get("backlog_age") == Some(&20)).await;
    let waits = broker.status().upstreams.into_iter().find(|one| one.name == "means");
    assert_eq!(waits.expect("it is there").depth, 2);
    far.resume();
    let mut came = [there.next().await.payload, there.next().await.payload];
    came.sort();
    assert!(came[0].contains("14.5") && came[1].contains("4.5"), "{came:?}");
    until(&broker, |status| status.state == UpstreamState::Connected).await;
    publisher.publish("agg/a", 1, "20");
    assert_eq!(there.next().await.payload, "20");
}
