//! Messages that readers find in the log and nobody writes.

use smallvec::{SmallVec, smallvec};
use weir_broker::store::Store;
use weir_core::{
    Batch, Change, Destination, Links, LogRecord, Message, MessageParts, ReaderId, Sequence,
    ShardId, Target,
};
use weir_mqtt::QoS;
use weir_tests::sim::disk::SimulatedDisks;
use weir_tests::sim::random::Random;

use crate::workload::{open, seeds};

const SHARD: ShardId = ShardId(0);
const READER: ReaderId = ReaderId(1);
const OTHER: ReaderId = ReaderId(0);

fn message(number: u64) -> Message {
    let parts = MessageParts {
        qos: QoS::AtLeastOnce,
        retain: false,
        expires_at_ms: None,
        received_at_ms: 0,
        publisher: "",
        topic: "up/t",
        properties: &[],
        payload: &number.to_le_bytes(),
    };
    Message::new(&parts, &mut Vec::new())
}

fn targets(reader: ReaderId) -> SmallVec<[Target; 2]> {
    smallvec![Target {
        destination: Destination::Reader(reader),
        qos: QoS::AtLeastOnce,
        retain: false,
        packet_id: None,
        subscription_identifiers: smallvec![],
    }]
}

fn held(at: u64) -> Change {
    let (message, targets) = (message(at), targets(READER));
    Change::MessageHeld { sequence: Sequence(at), message, targets }
}

fn logged(at: u64, reader: ReaderId) -> Change {
    let (message, targets) = (message(at), targets(reader));
    Change::LogAppended { sequence: Sequence(at), message, targets }
}

fn batch(changes: Vec<Change>) -> Batch {
    Batch {
        shard: SHARD,
        number: 0,
        changes,
        log_start: Sequence(1),
        is_awaited: true,
        links: Links::default(),
    }
}

/// Everything that the reader finds after a position, in looks of so many bytes.
fn read(store: &Store, mut after: Sequence, bytes_max: usize) -> Vec<u64> {
    let mut found: Vec<LogRecord> = Vec::new();
    loop {
        let scanned = store.read_log(SHARD, after, READER, bytes_max, &mut found);
        let scanned = scanned.expect("a working disk");
        let given = found.iter().map(|record| record.sequence);
        assert!(given.clone().is_sorted(), "in the order of the log");
        assert!(given.max().is_none_or(|last| last <= scanned), "nothing is given twice");
        if scanned == after {
            return found.iter().map(|record| record.sequence.0).collect();
        }
        after = scanned;
    }
}

#[test]
fn what_is_held_is_read_and_not_written() {
    let disks = SimulatedDisks::new();
    let store = open(disks.clone()).expect("an empty disk");
    store
        .commit(&[batch(vec![Change::PositionsReserved { end: Sequence(1000) }])])
        .expect("it works");
    let written = |store: &Store| {
        let stats = store.stats().expect("it works");
        (stats.bytes_written, stats.syncs)
    };
    let before = written(&store);
    for at in 1..100 {
        store.commit(&[batch(vec![held(at)])]).expect("it works");
        assert_eq!(read(&store, Sequence(at - 1), 1 << 20), [at]);
        let released = Change::HeldReleased { sequences: vec![Sequence(at)] };
        store.commit(&[batch(vec![released])]).expect("it works");
        assert!(read(&store, Sequence(at - 1), 1 << 20).is_empty());
    }
    let stats = store.stats().expect("it works");
    assert_eq!(written(&store), before);
    assert_eq!((stats.held_records, stats.log_records), (0, 0));
}

#[test]
fn the_positions_of_what_was_held_are_not_given_again() {
    let disks = SimulatedDisks::new();
    let store = open(disks.clone()).expect("an empty disk");
    let reserved = Change::PositionsReserved { end: Sequence(500) };
    store.commit(&[batch(vec![logged(1, READER), reserved, held(2)])]).expect("it works");
    // Trimming and a checkpoint keep what was reserved.
    let done = Change::ReaderMoved { reader: READER, done: Sequence(3) };
    let after = Batch { log_start: Sequence(4), ..batch(vec![logged(3, READER), done]) };
    store.commit(&[after]).expect("it works");
    let image = disks.image();
    drop(store);
    for disks in [SimulatedDisks::from_image(image), disks] {
        let store = open(disks).expect("a working disk");
        let recovered = store.recover(SHARD, 0).expect("a working disk");
        assert_eq!(recovered.next_sequence, Sequence(500));
        assert_eq!(read(&store, Sequence(0), 1 << 20).iter().filter(|at| **at == 2).count(), 0);
    }
}

/// Held and written ones of this reader and others, checkpoints between them, any portions.
#[test]
fn a_reader_finds_both_in_the_order_of_the_log() {
    for seed in seeds(40) {
        let mut random = Random::new(seed);
        let store = open(SimulatedDisks::new()).expect("an empty disk");
        let (mut at, mut wanted, mut waiting) = (0, Vec::new(), Vec::new());
        for _ in 0..30 {
            let mut changes = Vec::new();
            for _ in 0..random.below(40) {
                at += 1;
                changes.push(match random.below(3) {
                    0 => logged(at, OTHER),
                    1 => logged(at, READER),
                    _ => held(at),
                });
                match changes.last() {
                    Some(Change::MessageHeld { .. }) => {
                        wanted.push(at);
                        waiting.push(at);
                    }
                    Some(Change::LogAppended { targets, .. })
                        if targets[0].destination == Destination::Reader(READER) =>
                    {
                        wanted.push(at);
                    }
                    _ => {}
                }
            }
            if random.chance(20) && !waiting.is_empty() {
                let gone = waiting.remove(random.below(waiting.len() as u64) as usize);
                wanted.retain(|at| *at != gone);
                changes.push(Change::HeldReleased { sequences: vec![Sequence(gone)] });
            }
            store.commit(&[batch(changes)]).expect("it works");
            if random.chance(10) {
                store.checkpoint().expect("it works");
            }
            let after = random.below(at + 1);
            let expected: Vec<u64> = wanted.iter().copied().filter(|at| *at > after).collect();
            let bytes_max = [1, 200, 1 << 20][random.below(3) as usize];
            assert_eq!(read(&store, Sequence(after), bytes_max), expected, "seed {seed}");
        }
    }
}
