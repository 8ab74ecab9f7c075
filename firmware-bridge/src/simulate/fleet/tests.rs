use std::collections::BTreeMap;

use serde_json::Value;

use super::*;

const START_MS: u64 = 1_767_225_600_123;

fn run(fleet: &mut Fleet, until_ms: u64, step_ms: u64) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut now_ms = START_MS;
    while now_ms < until_ms {
        now_ms = (now_ms + step_ms).min(until_ms);
        while fleet.next_due() <= now_ms {
            fleet.poll(now_ms, &mut samples);
        }
    }
    samples
}

#[test]
fn same_seed_gives_the_same_bytes_however_it_is_polled() {
    let until_ms = START_MS + 600_000;
    let often = run(&mut Fleet::new(7, START_MS), until_ms, 10);
    let seldom = run(&mut Fleet::new(7, START_MS), until_ms, 60_000);
    assert!(often == seldom, "the samples depend on when they were asked for");
    assert!(often != run(&mut Fleet::new(8, START_MS), until_ms, 10), "the seed does nothing");
}

#[test]
fn samples_come_in_the_order_of_their_times_and_never_early() {
    let mut fleet = Fleet::new(7, START_MS);
    let samples = run(&mut fleet, START_MS + 300_000, 1_000);
    assert!(samples.is_sorted_by_key(|sample| sample.at_ms));
    assert!(samples.iter().all(|sample| (START_MS..=START_MS + 300_000).contains(&sample.at_ms)));
    assert!(fleet.next_due() > START_MS + 300_000);
}

#[test]
fn every_device_is_live_within_three_seconds() {
    let samples = run(&mut Fleet::new(1, START_MS), START_MS + 3_000, 100);
    let mut topics: Vec<_> = samples.iter().map(|sample| sample.topic.as_str()).collect();
    topics.sort_unstable();
    topics.dedup();
    assert_eq!(
        topics,
        [
            "home/cellar/freezer",
            "home/kitchen/freezer",
            "line/a/press-1/cycle",
            "line/a/press-2/cycle",
            "line/b/filler-1/cycle",
            "site/mill/office/climate",
            "site/mill/store/climate",
            "site/mill/workshop/climate",
        ]
    );
}

#[test]
fn payloads_are_json_with_plausible_values() {
    for sample in run(&mut Fleet::new(3, START_MS), START_MS + 3_600_000, 1_000) {
        let payload: Value = serde_json::from_str(&sample.payload).unwrap();
        let number = |name: &str| payload[name].as_f64().unwrap();
        match sample.topic.rsplit('/').next().unwrap() {
            "climate" => {
                assert!((10.0..26.0).contains(&number("temperature")), "{sample:?}");
                assert!((25.0..75.0).contains(&number("humidity")), "{sample:?}");
                assert_eq!(payload["ts"].as_u64(), Some(sample.at_ms));
            }
            "cycle" => {
                assert!((1_000.0..10_000.0).contains(&number("cycle_ms")), "{sample:?}");
                assert!(payload["ts"].as_u64().unwrap() <= sample.at_ms);
            }
            "freezer" => assert!((-25.0..-8.0).contains(&number("temperature")), "{sample:?}"),
            other => panic!("unexpected topic {other}"),
        }
    }
}

#[test]
fn wrong_checksum_is_counted_and_never_published() {
    let faults = Faults { nack_per_mille: 0, wrong_crc_per_mille: 300 };
    let mut troubled = Fleet::with_faults(5, START_MS, faults);
    let mut sound = Fleet::with_faults(5, START_MS, Faults::none());
    let until_ms = START_MS + 600_000;
    let true_values: BTreeMap<_, _> =
        by_stamp(run(&mut sound, until_ms, 1_000)).into_iter().collect();
    let mut published = 0;
    for (stamp, payload) in by_stamp(run(&mut troubled, until_ms, 1_000)) {
        // A second try measures a few milliseconds later: near, and not what an earlier one gave.
        if let Some(expected) = true_values.get(&stamp) {
            assert!((payload - expected).abs() <= 0.021, "{stamp:?}: {payload}, not {expected}");
            published += 1;
        }
    }
    let counters = troubled.counters();
    assert!(counters.crc > 100, "{counters:?}");
    assert!(counters.failed_polls > 0, "{counters:?}");
    assert!(published > 500);
    assert_eq!(sound.counters().crc, 0);
}

/// Temperature by topic and time, of the rooms.
fn by_stamp(samples: Vec<Sample>) -> Vec<((String, u64), f64)> {
    let rooms = samples.into_iter().filter(|sample| sample.topic.ends_with("/climate"));
    rooms
        .map(|sample| {
            let payload: Value = serde_json::from_str(&sample.payload).unwrap();
            ((sample.topic, sample.at_ms), payload["temperature"].as_f64().unwrap())
        })
        .collect()
}

#[test]
fn long_pause_is_made_up_for_in_limited_portions() {
    let mut fleet = Fleet::new(7, START_MS);
    let mut samples = Vec::new();
    let later_ms = START_MS + 24 * 3_600_000;
    fleet.poll(later_ms, &mut samples);
    assert!(!samples.is_empty() && samples.len() <= 2 * STEPS_PER_POLL_MAX);
    assert!(fleet.next_due() < later_ms);
}

#[test]
fn fleet_can_live_in_a_thread_of_its_own() {
    fn assert_send<T: Send>() {}
    assert_send::<Fleet>();
}
