//! Random batches as cores could make them, and the model that goes with them.

use std::env;
use std::ops::Range;

use smallvec::SmallVec;
use weir_broker::store::{Store, StoreOptions};
use weir_core::{
    Batch, Change, Cursor, Destination, InflightState, Links, Message, MessageParts, ReaderId,
    Sequence, SessionId, SessionRecord, ShardId, SubscriptionRecord, Target, WillRecord,
};
use weir_mqtt::{PacketId, QoS, RetainHandling, SubscriptionOptions, Version};
use weir_tests::sim::disk::SimulatedDisks;
use weir_tests::sim::random::Random;

use crate::model::Model;

pub(crate) const READERS: [&str; 2] = ["rules", "upstream/cloud"];

/// The session that a lone message waits for.
pub(crate) const SESSION: SessionId = SessionId(1);

/// A QoS 1 message of so many bytes that waits for a session.
pub(crate) fn logged(sequence: u64, payload_bytes: usize) -> Change {
    let parts = MessageParts {
        qos: QoS::AtLeastOnce,
        retain: false,
        expires_at_ms: None,
        received_at_ms: 0,
        publisher: "",
        topic: "site/a/value",
        properties: &[],
        payload: &vec![7; payload_bytes],
    };
    let target = Target {
        destination: Destination::Session(SESSION),
        qos: QoS::AtLeastOnce,
        retain: false,
        packet_id: None,
        subscription_identifiers: SmallVec::new(),
    };
    Change::LogAppended {
        sequence: Sequence(sequence),
        message: Message::new(&parts, &mut Vec::new()),
        targets: SmallVec::from_iter([target]),
    }
}

/// A batch with nothing but that.
pub(crate) fn logged_alone(sequence: u64, payload_bytes: usize) -> Batch {
    Batch {
        shard: ShardId(0),
        number: sequence,
        changes: vec![logged(sequence, payload_bytes)],
        log_start: Sequence(0),
        is_awaited: true,
        links: Links::default(),
    }
}

/// Small, so that the engine also writes pages before the commit, and checkpoints are frequent.
pub(crate) fn options() -> StoreOptions {
    StoreOptions {
        cache_bytes: 256 * 1024,
        journal_bytes_max: 48 * 1024,
        ..StoreOptions::default()
    }
}

/// Opens the store with the readers of the workload.
pub(crate) fn open(disks: SimulatedDisks) -> Result<Store, weir_broker::store::StoreError> {
    let store = disks.open(options())?;
    store.register_readers(&READERS)?;
    Ok(store)
}

/// The seeds of a test; `WEIR_TEST_SEEDS` sets how many, to look for longer.
pub(crate) fn seeds(count: u64) -> Range<u64> {
    let set = env::var("WEIR_TEST_SEEDS").ok();
    0..set.map_or(count, |count| count.parse().expect("WEIR_TEST_SEEDS is a number"))
}

#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) random: Random,
    pub(crate) model: Model,
    shards: u8,
    numbers: Vec<u64>,
    next_session: u32,
}

impl Workload {
    pub(crate) fn new(seed: u64, shards: u8) -> Self {
        let mut model = Model::default();
        for shard in 0..shards {
            model.shard(ShardId(shard)).next = Sequence(1);
        }
        let random = Random::new(seed);
        Self { random, model, shards, numbers: vec![0; usize::from(shards)], next_session: 1 }
    }

    /// A group of one to `batches_max` batches.
    pub(crate) fn group(&mut self, batches_max: u64) -> Vec<Batch> {
        (0..=self.random.below(batches_max)).map(|_| self.batch()).collect()
    }

    pub(crate) fn batch(&mut self) -> Batch {
        let shard = ShardId(self.random.below(u64::from(self.shards)) as u8);
        let number = &mut self.numbers[usize::from(shard.0)];
        *number += 1;
        let mut batch = Batch {
            shard,
            number: *number,
            changes: Vec::new(),
            log_start: Sequence(0),
            is_awaited: true,
            links: Links::default(),
        };
        for _ in 0..self.random.below(12) {
            let Some(change) = self.change(shard) else { continue };
            let one = Batch {
                shard,
                number: batch.number,
                changes: vec![change],
                log_start: Sequence(0),
                is_awaited: true,
                links: Links::default(),
            };
            self.model.apply(&one);
            batch.changes.extend(one.changes);
        }
        if self.random.chance(40)
            && let Some(change) = self.released(shard)
        {
            let changes = vec![change];
            self.model.apply(&Batch {
                shard,
                number: batch.number,
                changes: changes.clone(),
                log_start: Sequence(0),
                is_awaited: true,
                links: Links::default(),
            });
            batch.changes.extend(changes);
        }
        batch.log_start = self.log_start(shard);
        self.model.apply(&Batch { changes: Vec::new(), ..batch.clone() });
        batch
    }

    /// A batch that makes the store grow: a retained message on a topic of its own.
    pub(crate) fn growth(&mut self) -> Batch {
        let number = &mut self.numbers[0];
        *number += 1;
        let parts = MessageParts {
            qos: QoS::AtLeastOnce,
            retain: true,
            expires_at_ms: None,
            received_at_ms: 0,
            publisher: "",
            topic: &format!("growth/{number}"),
            properties: &[],
            payload: &[b'x'; 2_000],
        };
        let message = Message::new(&parts, &mut Vec::new());
        let batch = Batch {
            shard: ShardId(0),
            number: *number,
            changes: vec![Change::RetainedPut { message }],
            log_start: self.model.shard(ShardId(0)).log_start,
            is_awaited: true,
            links: Links::default(),
        };
        self.model.apply(&batch);
        batch
    }

    /// Some of what no session waits for, with positions that are in nobody's way.
    fn released(&mut self, shard: ShardId) -> Option<Change> {
        let model = self.model.shard(shard);
        let (start, next) = (model.log_start.0, model.next.0);
        let is_held: Vec<bool> = (start..next).map(|at| model.is_held(Sequence(at))).collect();
        let mut ranges = Vec::new();
        for (at, is_held) in (start..next).zip(is_held) {
            if !is_held && self.random.chance(70) {
                ranges.push(Sequence(at)..Sequence(at + 1 + self.random.below(2)));
            }
        }
        // The second position of a range may be one that is held.
        let model = self.model.shard(shard);
        for range in &mut ranges {
            while model.is_held(Sequence(range.end.0 - 1)) || range.end.0 > next {
                range.end.0 -= 1;
            }
        }
        (!ranges.is_empty()).then_some(Change::LogReleased { ranges })
    }

    /// The lowest position that a session or a reader still needs.
    fn log_start(&mut self, shard: ShardId) -> Sequence {
        let shard = self.model.shard(shard);
        let sessions = shard.sessions.values().map(|session| {
            session.cursor.inflight.first().copied().unwrap_or(session.cursor.start)
        });
        let readers = shard.readers.values().map(|done| done.next());
        sessions.chain(readers).fold(shard.next, Sequence::min).max(shard.log_start)
    }

    fn change(&mut self, shard: ShardId) -> Option<Change> {
        let kind = self.random.below(100);
        match kind {
            0..30 => self.log_appended(shard),
            30..36 => Some(self.new_session(shard)),
            36..40 => Some(Change::RuleDelta { delta: self.bytes(300) }),
            40..41 => {
                let shards = (0..self.random.below(4)).map(|_| self.bytes(3000)).collect();
                Some(Change::RuleSnapshot { shards })
            }
            41..50 => Some(Change::RetainedPut { message: self.message() }),
            50..54 => Some(Change::RetainedRemoved { topic: self.topic().into() }),
            54..57 => Some(self.reader_moved(shard)),
            _ => {
                let session = self.session(shard)?;
                Some(self.session_change(shard, session, kind))
            }
        }
    }

    fn session_change(&mut self, shard: ShardId, session: SessionId, kind: u64) -> Change {
        let packet_id = PacketId::new(1 + self.random.below(6) as u16).expect("not zero");
        match kind {
            57..59 => Change::SessionRemoved { session },
            59..62 => Change::SessionPut { session, record: self.record(session) },
            62..69 => {
                let filter = self.filter();
                Change::SubscriptionPut { session, filter, options: self.subscription() }
            }
            69..72 => Change::SubscriptionRemoved { session, filter: self.filter() },
            72..76 => {
                let sequence = self.model.shard(shard).next;
                Change::InflightPut { session, packet_id, state: InflightState::Sent { sequence } }
            }
            76..78 => Change::InflightPut { session, packet_id, state: InflightState::Released },
            78..82 => Change::InflightRemoved { session, packet_id },
            82..86 => Change::ReceivedPut { session, packet_id },
            86..89 => Change::ReceivedRemoved { session, packet_id },
            _ => self.cursor_moved(shard, session),
        }
    }

    fn log_appended(&mut self, shard: ShardId) -> Option<Change> {
        let mut targets = SmallVec::new();
        for _ in 0..=self.random.below(3) {
            let destination = if self.random.chance(25) {
                Destination::Reader(ReaderId(self.random.below(2) as u16))
            } else {
                Destination::Session(self.session(shard)?)
            };
            targets.push(self.target(destination));
        }
        let sequence = self.model.shard(shard).next;
        Some(Change::LogAppended { sequence, message: self.message(), targets })
    }

    fn target(&mut self, destination: Destination) -> Target {
        let identifiers = (0..self.random.below(3)).map(|_| self.random.below(1 << 28) as u32);
        let subscription_identifiers = identifiers.collect();
        Target {
            destination,
            qos: self.qos(),
            retain: self.random.chance(10),
            packet_id: PacketId::new(self.random.below(4) as u16),
            subscription_identifiers,
        }
    }

    fn cursor_moved(&mut self, shard: ShardId, session: SessionId) -> Change {
        let next = self.model.shard(shard).next;
        let before = self.model.shard(shard).session(session).cursor.clone();
        let ahead = next.0.saturating_sub(before.start.0);
        let start = Sequence(before.start.0 + self.random.below(ahead + 1));
        let mut inflight = before.inflight;
        inflight.retain(|_| self.random.chance(60));
        inflight.extend((before.start.0..start.0).map(Sequence).filter(|_| self.random.chance(5)));
        inflight.sort_unstable();
        Change::CursorMoved { session, cursor: Cursor { start, inflight } }
    }

    fn reader_moved(&mut self, shard: ShardId) -> Change {
        let reader = ReaderId(self.random.below(2) as u16);
        let shard = self.model.shard(shard);
        let before = shard.readers.get(&reader).copied().unwrap_or_default();
        let ahead = shard.next.0 - 1 - before.0;
        let done = Sequence(before.0 + self.random.below(ahead + 1));
        Change::ReaderMoved { reader, done }
    }

    fn new_session(&mut self, shard: ShardId) -> Change {
        // A few more than there are, so that most of them live for a while.
        if self.model.shard(shard).sessions.len() > 6
            && let Some(session) = self.session(shard)
        {
            return Change::SessionRemoved { session };
        }
        let session = SessionId(self.next_session);
        self.next_session += 1;
        Change::SessionPut { session, record: self.record(session) }
    }

    fn session(&mut self, shard: ShardId) -> Option<SessionId> {
        let count = self.model.shard(shard).sessions.len() as u64;
        let place = self.random.below(count.max(1)) as usize;
        self.model.shard(shard).sessions.keys().nth(place).copied()
    }

    fn record(&mut self, session: SessionId) -> SessionRecord {
        let will = self.random.chance(30).then(|| WillRecord {
            message: self.message(),
            delay_interval_s: self.random.below(100) as u32,
            expiry_interval_s: self.random.chance(50).then_some(60),
        });
        let version = [Version::V31, Version::V311, Version::V5][self.random.below(3) as usize];
        SessionRecord {
            client_id: format!("client-{}", session.0).into(),
            version,
            expiry_interval_s: self.random.number() as u32,
            disconnected_at_ms: self.random.chance(50).then(|| self.random.number()),
            will,
        }
    }

    fn subscription(&mut self) -> SubscriptionRecord {
        SubscriptionRecord {
            options: SubscriptionOptions {
                qos: self.qos(),
                no_local: self.random.chance(20),
                retain_as_published: self.random.chance(20),
                retain_handling: RetainHandling::SendIfNew,
            },
            identifier: self.random.chance(30).then(|| 1 + self.random.below(1000) as u32),
        }
    }

    pub(crate) fn message(&mut self) -> Message {
        // Now and then one that is larger than a page of the file.
        let bytes = if self.random.chance(3) { 20_000 } else { 200 };
        let payload = self.bytes(bytes);
        let topic = self.topic();
        let parts = MessageParts {
            qos: self.qos(),
            retain: self.random.chance(20),
            expires_at_ms: self.random.chance(20).then(|| 1 + self.random.below(1 << 40)),
            received_at_ms: 0,
            publisher: "",
            topic: &topic,
            properties: &[],
            payload: &payload,
        };
        Message::new(&parts, &mut Vec::new())
    }

    fn qos(&mut self) -> QoS {
        QoS::try_from(self.random.below(3) as u8).expect("below three")
    }

    fn topic(&mut self) -> String {
        format!("site/{}/value", self.random.below(12))
    }

    fn filter(&mut self) -> Box<str> {
        format!("site/{}/#", self.random.below(4)).into()
    }

    fn bytes(&mut self, bytes_max: u64) -> Vec<u8> {
        (0..self.random.below(bytes_max)).map(|_| self.random.number() as u8).collect()
    }
}
