//! The file stays as large as what waits, however much goes through it.

use std::env;

use weir_broker::store::Store;
use weir_core::{Batch, Change, Cursor, Limits, Links, Sequence, ShardId};
use weir_tests::sim::disk::SimulatedDisks;

use crate::broker::Broker;
use crate::workload::{SESSION, logged, open};

const SHARD: ShardId = ShardId(0);

struct Load {
    store: Store,
    disks: SimulatedDisks,
    next: u64,
    number: u64,
}

impl Load {
    fn new() -> Self {
        let disks = SimulatedDisks::new();
        Self { store: open(disks.clone()).expect("an empty disk"), disks, next: 1, number: 0 }
    }

    /// Publishes `count` messages and acknowledges all but the last `waiting`.
    fn turn(&mut self, count: u64, waiting: u64, payload_bytes: usize) {
        let sequences = self.next..self.next + count;
        let mut changes: Vec<_> =
            sequences.map(|sequence| logged(sequence, payload_bytes)).collect();
        self.next += count;
        self.number += 1;
        let start = Sequence(self.next.saturating_sub(waiting).max(1));
        let cursor = Cursor { start, inflight: Vec::new() };
        changes.push(Change::CursorMoved { session: SESSION, cursor });
        let batch = Batch {
            shard: SHARD,
            number: self.number,
            changes,
            log_start: start,
            is_awaited: true,
            links: Links::default(),
        };
        self.store.commit(&[batch]).expect("a working disk");
    }

    /// The log is trimmed when the journal goes to the database.
    fn checkpoint(&self) {
        self.store.checkpoint().expect("a working disk");
    }

    fn file_bytes(&self) -> u64 {
        self.store.stats().expect("a working disk").file_bytes
    }

    fn logged(&self) -> u64 {
        self.store.stats().expect("a working disk").log_records
    }
}

#[test]
fn the_file_stays_bounded_under_a_long_load() {
    let mut load = Load::new();
    for _ in 0..50 {
        load.turn(64, 100, 100);
    }
    let early = load.file_bytes();
    for _ in 0..2000 {
        load.turn(64, 100, 100);
        assert!(load.logged() <= 100 + 256 + 64, "{}", load.logged());
    }
    assert!(load.file_bytes() <= early * 2, "{} after {early}", load.file_bytes());
    let stats = load.store.log_stats(SHARD);
    assert_eq!(stats.next, Sequence(load.next));
    assert!(load.next - stats.first.0 <= 100 + 256 + 64);
}

#[test]
fn large_messages_are_trimmed_sooner() {
    let mut load = Load::new();
    for _ in 0..100 {
        load.turn(1, 2, 100_000);
        assert!(load.logged() <= 6, "{}", load.logged());
    }
    assert!(load.file_bytes() <= 8 * 1024 * 1024, "{}", load.file_bytes());
}

#[test]
fn a_long_backlog_is_trimmed_in_steps() {
    let mut load = Load::new();
    for _ in 0..10 {
        load.turn(10_000, u64::MAX, 10);
    }
    assert_eq!(load.logged(), 100_000);
    for _ in 0..3 {
        let before = load.logged();
        load.turn(1, 0, 10);
        load.checkpoint();
        assert!(before - load.logged() <= 32 * 1024);
    }
    load.turn(1, 0, 10);
    load.checkpoint();
    assert!(load.logged() < 4, "{}", load.logged());
}

#[test]
fn positions_go_on_after_an_empty_log_was_closed() {
    let mut load = Load::new();
    load.turn(500, 0, 10);
    assert_eq!(load.logged(), 0, "what is trimmed already is not written");
    load.turn(500, 500, 10);
    load.turn(1, 0, 10);
    load.checkpoint();
    assert_eq!(load.logged(), 0);
    let Load { store, disks, next, .. } = load;
    drop(store);
    let store = open(disks).expect("a working disk");
    let recovered = store.recover(SHARD, usize::MAX).expect("a working disk");
    // The very last message needed no write; its position is in no row and may be used again.
    assert_eq!(recovered.next_sequence, Sequence(next));
    assert!(recovered.sessions.is_empty() && recovered.log.is_empty());
}

/// Positions by which the front may be behind before what is behind it is looked at.
const PINNED: u64 = 1024;
/// How far the upstream and the client that is there may be behind.
const LAG: u64 = 700;
/// What may be in the journal only.
const PENDING: u64 = 1000;

/// Ten messages wait for a session that stays away; all that comes after them goes through: to a
/// session whose client is there, to an upstream, or to both. `WEIR_PINNED_MESSAGES` sets how many.
#[test]
fn a_session_that_stays_away_keeps_its_own_messages_and_no_others() {
    let messages = env::var("WEIR_PINNED_MESSAGES").ok();
    let messages: u64 = messages.map_or(40_000, |count| count.parse().expect("a number"));
    let mut broker = Broker::new(Limits { inflight_messages_max: 0, ..Limits::default() });
    let away = broker.connect("away", u32::MAX);
    broker.subscribe(away, "old");
    broker.leave(away);
    let there = broker.connect("there", u32::MAX);
    broker.subscribe(there, "new/#");
    broker.subscribe(there, "up/both");
    let publisher = broker.connect("publisher", 0);
    let old: Vec<[u8; 8]> = (0..10_u64).map(u64::to_be_bytes).collect();
    let pinning: Vec<(&str, &[u8])> = old.iter().map(|payload| ("old", &payload[..])).collect();
    broker.publish(publisher, &pinning);
    broker.settle();

    let topics = ["new/1", "up/only", "up/both", "new/2", "new/3"];
    let payloads: Vec<[u8; 100]> = (0..topics.len() as u8).map(|number| [number; 100]).collect();
    let (mut sent, mut to_client, mut to_upstream) = (0, 0, 0);
    let (mut early, mut most_records, mut most_memory) = (0, 0, 0);
    while sent < messages {
        let turn: Vec<(&str, &[u8])> = (sent..sent + 50)
            .map(|number| number as usize % topics.len())
            .map(|kind| (topics[kind], &payloads[kind][..]))
            .collect();
        broker.publish(publisher, &turn);
        sent += turn.len() as u64;
        // Acknowledged before its group is written, after it, or many groups later.
        if sent % 150 == 0 {
            to_client += broker.acknowledge(there).len() as u64;
        }
        broker.commit();
        broker.acknowledge(publisher);
        if sent % 500 == 0 {
            to_client += broker.acknowledge(there).len() as u64;
            to_upstream += broker.forward(200).len() as u64;
        }
        let stats = broker.store.stats().expect("a working disk");
        most_records = most_records.max(stats.log_records);
        most_memory = most_memory.max(broker.core.metrics().memory_bytes);
        if sent == 20_000 {
            early = stats.file_bytes;
            most_memory = 0;
        }
        let most = 10 + PINNED + LAG + PENDING;
        assert!(stats.log_records <= most, "{} of {sent}", stats.log_records);
    }
    to_client += broker.acknowledge(there).len() as u64;
    to_upstream += broker.forward(usize::MAX).len() as u64;
    broker.settle();
    assert_eq!((to_client, to_upstream), (sent * 4 / 5, sent * 2 / 5));
    assert_eq!(broker.log_records(), 10);
    let file = broker.store.stats().expect("a working disk").file_bytes;
    println!("{sent} messages: {file} bytes, at most {most_records} rows, {most_memory} of memory");
    assert!(file <= early.max(1 << 20) * 2, "{file} bytes after {early}");
    assert!(most_memory < 1_000_000, "{most_memory} bytes");

    let mut broker = broker.restart(1);
    let away = broker.connect("away", u32::MAX);
    assert_eq!(broker.acknowledge(away), old, "each, once and in order");
    broker.settle();
    let mut broker = broker.restart(1);
    let away = broker.connect("away", u32::MAX);
    assert!(broker.acknowledge(away).is_empty());
}

/// The other way round: the upstream cannot be reached, and sessions go on.
#[test]
fn an_upstream_that_is_away_keeps_its_own_messages_and_no_others() {
    let mut broker = Broker::new(Limits { inflight_messages_max: 0, ..Limits::default() });
    let there = broker.connect("there", u32::MAX);
    broker.subscribe(there, "#");
    let publisher = broker.connect("publisher", 0);
    let mut kept = 0;
    for round in 0..200_u64 {
        let mut turn: Vec<(&str, &[u8])> = vec![("t", &[1; 200]); 50];
        if round % 20 == 0 {
            turn.push(("up/1", &[2; 200]));
            kept += 1;
        }
        broker.publish(publisher, &turn);
        broker.commit();
        broker.acknowledge(publisher);
        assert_eq!(broker.acknowledge(there).len(), turn.len());
        assert!(broker.log_records() <= PINNED + kept + 100, "{}", broker.log_records());
    }
    broker.settle();
    assert_eq!(broker.log_records(), kept);
    assert_eq!(broker.forward(usize::MAX).len() as u64, kept);
    broker.settle();
    assert!(broker.log_records() <= 1, "{}", broker.log_records());
}

/// What was let go of and never removed, because the process died, is found by the next one.
#[test]
fn what_was_let_go_before_a_crash_is_removed_after_it() {
    let mut broker = Broker::new(Limits::default());
    let away = broker.connect("away", u32::MAX);
    broker.subscribe(away, "old");
    broker.leave(away);
    let there = broker.connect("there", u32::MAX);
    broker.subscribe(there, "new");
    let publisher = broker.connect("publisher", 0);
    broker.publish(publisher, &[("old", b"a")]);
    broker.settle();
    broker.tells_released = false;
    for _ in 0..150 {
        broker.publish(publisher, &[("new", &[3; 100][..]); 20]);
        broker.commit();
        broker.acknowledge(there);
    }
    broker.publish(publisher, &[("old", b"b")]);
    broker.settle();
    assert_eq!(broker.log_records(), 3002);
    let mut broker = broker.restart(1);
    let publisher = broker.connect("publisher", 0);
    broker.publish(publisher, &[("old", b"c")]);
    broker.settle();
    assert_eq!(broker.log_records(), 3);
    let mut broker = broker.restart(1);
    let away = broker.connect("away", u32::MAX);
    assert_eq!(broker.acknowledge(away), [b"a", b"b", b"c"]);
}

/// Nobody comes for it, and yet its room is free half a minute after its time.
#[test]
fn a_message_that_expires_frees_its_room_without_its_client() {
    for restarts in [false, true] {
        let mut broker = Broker::new(Limits { inflight_messages_max: 0, ..Limits::default() });
        let away = broker.connect("away", u32::MAX);
        broker.subscribe(away, "t");
        broker.leave(away);
        let publisher = broker.connect("publisher", 0);
        broker.publish(publisher, &[("t", b"first")]);
        broker.publish_expiring(publisher, &[("t", &[6; 100][..]); 500], 20);
        broker.publish(publisher, &[("t", b"last")]);
        broker.settle();
        assert_eq!(broker.log_records(), 502);
        if restarts {
            broker = broker.restart(20);
            broker.advance_s(30);
        } else {
            broker.advance_s(50);
        }
        broker.settle();
        assert_eq!(broker.core.metrics().drops.expired, 500);
        assert_eq!(broker.log_records(), 2);
        let away = broker.connect("away", u32::MAX);
        assert_eq!(broker.acknowledge(away), [&b"first"[..], b"last"]);
    }
}

/// A session that ends behind one that stays frees its own part of the log.
#[test]
fn a_session_that_expires_frees_what_waited_for_it_alone() {
    for restarts in [false, true] {
        let mut broker = Broker::new(Limits { inflight_messages_max: 0, ..Limits::default() });
        for (name, expiry_s) in [("away", u32::MAX), ("gone", 100), ("slow", u32::MAX)] {
            let client = broker.connect(name, expiry_s);
            broker.subscribe(client, if name == "away" { "old" } else { "new" });
            if name == "slow" {
                broker.subscribe(client, "slow");
            }
            broker.leave(client);
        }
        let gone = broker.connect("gone", 100);
        broker.subscribe(gone, "gone");
        broker.leave(gone);
        let publisher = broker.connect("publisher", 0);
        broker.publish(publisher, &[("old", b"x")]);
        for _ in 0..20 {
            broker.publish(publisher, &[("gone", &[4; 100][..]); 100]);
            broker.publish(publisher, &[("new", &[5; 100])]);
            broker.settle();
        }
        assert_eq!(broker.log_records(), 1 + 20 * 101);
        if restarts {
            broker = broker.restart(50);
            broker.advance_s(50);
        } else {
            broker.advance_s(100);
        }
        broker.settle();
        let publishers = u64::from(!restarts);
        assert_eq!(broker.core.metrics().sessions, 2 + publishers);
        assert_eq!(broker.log_records(), 1 + 20);
        let mut broker = broker.restart(1);
        let slow = broker.connect("slow", u32::MAX);
        assert_eq!(broker.acknowledge(slow).len(), 20);
    }
}
