//! The file stays as large as what waits, however much goes through it.

use smallvec::smallvec;
use weir_broker::store::Store;
use weir_core::{
    Batch, Change, Cursor, Destination, Message, MessageParts, Sequence, SessionId, ShardId, Target,
};
use weir_mqtt::QoS;
use weir_tests::sim::disk::SimulatedDisks;

use crate::workload::open;

const SHARD: ShardId = ShardId(0);
const SESSION: SessionId = SessionId(1);

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
        let payload = vec![7; payload_bytes];
        let parts = MessageParts {
            qos: QoS::AtLeastOnce,
            retain: false,
            expires_at_ms: None,
            received_at_ms: 0,
            topic: "site/a/value",
            properties: &[],
            payload: &payload,
        };
        let message = Message::new(&parts, &mut Vec::new());
        let target = Target {
            destination: Destination::Session(SESSION),
            qos: QoS::AtLeastOnce,
            retain: false,
            packet_id: None,
            subscription_identifiers: smallvec![],
        };
        let mut changes: Vec<_> = (self.next..self.next + count)
            .map(|sequence| Change::LogAppended {
                sequence: Sequence(sequence),
                message: message.clone(),
                targets: smallvec![target.clone()],
            })
            .collect();
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
