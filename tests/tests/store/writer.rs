//! The thread that commits: groups, order, failure, stop.

use std::io::ErrorKind;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use weir_broker::store::{Refused, Store, Writer, WriterOptions, WriterState};
use weir_core::{Batch, Change, Links, Sequence, ShardId};
use weir_tests::sim::disk::SimulatedDisks;
use weir_tests::sim::random::Random;

use crate::workload::{Workload, open, options};

const DEADLINE: Duration = Duration::from_secs(20);

type Report = Result<Vec<(ShardId, u64)>, String>;

fn start(store: &Arc<Store>, options: WriterOptions) -> (Writer, Receiver<Report>) {
    let (send, reports) = mpsc::channel();
    let writer = Writer::start(Arc::clone(store), options, move |report| {
        let report = report.map(<[_]>::to_vec).map_err(ToString::to_string);
        // A test that has seen enough does not listen any more.
        let _ = send.send(report);
    });
    (writer.expect("the system gives a thread"), reports)
}

fn delta(shard: u8, number: u64) -> Batch {
    let delta = [&[shard][..], &number.to_le_bytes()].concat();
    let changes = vec![Change::RuleDelta { delta }];
    Batch {
        shard: ShardId(shard),
        number,
        changes,
        log_start: Sequence(0),
        is_awaited: true,
        links: Links::default(),
    }
}

#[test]
fn each_batch_is_reported_once_and_in_the_order_of_its_shard() {
    let store = Arc::new(open(SimulatedDisks::new()).expect("an empty disk"));
    let (writer, reports) = start(&store, WriterOptions::default());
    let together = Arc::new(Barrier::new(4));
    let shards: Vec<_> = (0..4)
        .map(|shard| {
            let (sender, together) = (writer.sender(), Arc::clone(&together));
            thread::spawn(move || {
                together.wait();
                for number in 1..=300 {
                    let mut batch = delta(shard, number);
                    while let Err(refused) = sender.submit(batch) {
                        let Refused::Full(again) = refused else { panic!("not stopped") };
                        batch = again;
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    shards.into_iter().for_each(|shard| shard.join().expect("it does not panic"));
    let status = writer.sender().status();
    assert_eq!(status.state, WriterState::Running);
    assert_eq!(writer.stop(), WriterState::Stopped);
    let mut next = [1; 4];
    let mut groups = 0;
    for report in reports {
        groups += 1;
        for (shard, number) in report.expect("a working disk") {
            assert_eq!(number, next[usize::from(shard.0)]);
            next[usize::from(shard.0)] += 1;
        }
    }
    assert_eq!(next, [301; 4]);
    assert!(groups < 1200, "batches shared commits");
    assert_eq!(store.rules().expect("a working disk").deltas.len(), 1200);
}

#[test]
fn what_the_writer_reported_is_what_the_model_holds() {
    let disks = SimulatedDisks::new();
    let store = Arc::new(open(disks.clone()).expect("an empty disk"));
    let (writer, reports) = start(&store, WriterOptions::default());
    let mut workload = Workload::new(5, 2);
    let sender = writer.sender();
    for _ in 0..400 {
        sender.submit(workload.batch()).expect("there is room");
    }
    assert_eq!(writer.stop(), WriterState::Stopped);
    let reported: usize = reports.iter().map(|report| report.expect("a working disk").len()).sum();
    assert_eq!(reported, 400);
    workload.model.check(&store, 5);
    assert!(matches!(sender.submit(workload.batch()), Err(Refused::Stopped(_))));
}

#[test]
fn after_a_failed_commit_nothing_is_acknowledged_and_the_queue_stays_bounded() {
    let disks = SimulatedDisks::new();
    let store = Arc::new(open(disks.clone()).expect("an empty disk"));
    let retry_after = DEADLINE * 100;
    let options = WriterOptions { queue_batches_max: 8, retry_after, ..WriterOptions::default() };
    let (writer, reports) = start(&store, options);
    let sender = writer.sender();
    sender.submit(delta(0, 1)).expect("there is room");
    let report = reports.recv_timeout(DEADLINE).expect("it is committed");
    assert_eq!(report, Ok(vec![(ShardId(0), 1)]));
    disks.crash_after(0);
    sender.submit(delta(0, 2)).expect("there is room");
    let report = reports.recv_timeout(DEADLINE).expect("it is reported");
    assert!(report.as_ref().is_err_and(|error| error.contains("the power is gone")), "{report:?}");
    for number in 3..11 {
        sender.submit(delta(0, number)).expect("there is room");
    }
    assert_eq!(sender.submit(delta(0, 11)), Err(Refused::Full(delta(0, 11))));
    let status = writer.sender().status();
    assert!(matches!(status.state, WriterState::Failed { .. }), "{status:?}");
    assert_eq!((status.batches, status.queued_batches), (1, 8));
    assert!(matches!(writer.stop(), WriterState::Failed { .. }));
    assert!(reports.try_recv().is_err(), "nothing is reported afterwards");
}

#[test]
fn a_delay_after_the_first_group_gathers_the_next_and_a_stop_ends_it() {
    let store = Arc::new(open(SimulatedDisks::new()).expect("an empty disk"));
    let options =
        WriterOptions { group_commit_max_delay: DEADLINE * 100, ..WriterOptions::default() };
    let (writer, reports) = start(&store, options);
    writer.sender().submit(delta(0, 1)).expect("there is room");
    let first = reports.recv_timeout(DEADLINE).expect("what comes alone waits for nothing");
    assert_eq!(first, Ok(vec![(ShardId(0), 1)]));
    for number in 2..=51 {
        writer.sender().submit(delta(0, number)).expect("there is room");
    }
    assert_eq!(writer.sender().status().groups, 1);
    assert_eq!(writer.stop(), WriterState::Stopped);
    let groups: Vec<_> = reports.iter().map(|report| report.expect("it works").len()).collect();
    assert_eq!(groups, [50]);
}

#[test]
fn what_nobody_waits_for_is_committed_after_the_interval_or_with_the_next_that_is_awaited() {
    let store = Arc::new(open(SimulatedDisks::new()).expect("an empty disk"));
    let patient = |number| Batch { is_awaited: false, ..delta(0, number) };
    let options =
        WriterOptions { flush_interval: Duration::from_millis(1), ..WriterOptions::default() };
    let (writer, reports) = start(&store, options);
    writer.sender().submit(patient(1)).expect("there is room");
    let report = reports.recv_timeout(DEADLINE).expect("the interval ends");
    assert_eq!(report, Ok(vec![(ShardId(0), 1)]));
    drop(writer);
    let options = WriterOptions { flush_interval: DEADLINE * 100, ..WriterOptions::default() };
    let (writer, reports) = start(&store, options);
    for number in 2..=9 {
        writer.sender().submit(patient(number)).expect("there is room");
    }
    assert_eq!(writer.sender().status().groups, 0);
    writer.sender().submit(delta(0, 10)).expect("there is room");
    let report = reports.recv_timeout(DEADLINE).expect("somebody waits");
    let in_order: Vec<(ShardId, u64)> = (2..=10).map(|number| (ShardId(0), number)).collect();
    assert_eq!(report, Ok(in_order));
}

#[test]
fn a_group_ends_at_its_limit_of_bytes() {
    let store = Arc::new(open(SimulatedDisks::new()).expect("an empty disk"));
    let options = WriterOptions {
        group_bytes_max: 1,
        group_commit_max_delay: Duration::from_millis(1),
        ..WriterOptions::default()
    };
    let (writer, reports) = start(&store, options);
    for number in 1..=5 {
        writer.sender().submit(delta(0, number)).expect("there is room");
    }
    let status = writer.sender().status();
    assert_eq!(writer.stop(), WriterState::Stopped);
    assert!(status.commit_p99 >= status.commit_p50);
    let groups: Vec<_> = reports.iter().map(|report| report.expect("it works").len()).collect();
    assert_eq!(groups, [1; 5]);
}

/// The writer of a store on disks that are full, with its first report.
fn failing(
    disks: &SimulatedDisks,
    retry_after: Duration,
) -> (Writer, Receiver<Report>, Arc<Store>) {
    let store = Arc::new(disks.open_for_good(options()).expect("empty disks"));
    let options = WriterOptions {
        queue_batches_max: 8,
        retry_after,
        retry_after_max: retry_after,
        ..WriterOptions::default()
    };
    let (writer, reports) = start(&store, options);
    writer.sender().submit(delta(0, 1)).expect("there is room");
    let report = reports.recv_timeout(DEADLINE).expect("it is committed");
    assert_eq!(report, Ok(vec![(ShardId(0), 1)]));
    disks.refuse_after(0, ErrorKind::StorageFull);
    writer.sender().submit(delta(0, 2)).expect("there is room");
    let report = reports.recv_timeout(DEADLINE).expect("it is reported");
    assert!(report.as_ref().is_err_and(|error| error.contains("is full")), "{report:?}");
    (writer, reports, store)
}

/// Everything from 2 on is reported as committed, once and in order.
fn expect_all(reports: &Receiver<Report>, last: u64) {
    let mut next = 2;
    while next <= last {
        let report = reports.recv_timeout(DEADLINE).expect("it is committed");
        for (shard, number) in report.expect("the disk works again") {
            assert_eq!((shard, number), (ShardId(0), next));
            next += 1;
        }
    }
}

#[test]
fn when_the_disk_works_again_what_waited_is_acknowledged_in_order() {
    let disks = SimulatedDisks::new();
    let (writer, reports, store) = failing(&disks, Duration::from_millis(1));
    let sender = writer.sender();
    for number in 3..11 {
        sender.submit(delta(0, number)).expect("there is room");
    }
    assert_eq!(sender.submit(delta(0, 11)), Err(Refused::Full(delta(0, 11))));
    assert!(matches!(sender.status().state, WriterState::Failed { .. }));
    assert!(reports.try_recv().is_err(), "the same error is told once");
    disks.heal();
    expect_all(&reports, 10);
    sender.submit(delta(0, 11)).expect("there is room again");
    let report = reports.recv_timeout(DEADLINE).expect("it is committed");
    assert_eq!(report, Ok(vec![(ShardId(0), 11)]));
    assert_eq!(sender.status().state, WriterState::Running);
    let image = disks.power_cut(&mut Random::new(1));
    let found = SimulatedDisks::from_image(image).open(options()).expect("a working disk");
    assert_eq!(found.rules().expect("a working disk").deltas.len(), 11);
    assert_eq!(writer.stop(), WriterState::Stopped);
    drop(store);
}

#[test]
fn a_stop_tries_a_failing_store_once_more() {
    for works_again in [false, true] {
        let disks = SimulatedDisks::new();
        let (writer, reports, _store) = failing(&disks, DEADLINE * 100);
        writer.sender().submit(delta(0, 3)).expect("there is room");
        if works_again {
            disks.heal();
        }
        let state = writer.stop();
        if works_again {
            assert_eq!(state, WriterState::Stopped);
            expect_all(&reports, 3);
        } else {
            assert!(matches!(state, WriterState::Failed { .. }), "{state:?}");
            assert!(reports.try_recv().is_err(), "nothing is reported");
        }
    }
}
