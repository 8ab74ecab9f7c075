//! The core and the store, wired as the shell wires them, on virtual time: what clients do, and
//! what the file holds of it.

use std::collections::BTreeMap;

use weir_broker::store::{Committed, Store};
use weir_core::{
    Batch, Change, ConnectionId, Core, Effect, Input, Instant, Limits, ListenerId, Now,
    ReaderConfig, ReaderId, ReaderKind, Sequence, ShardId,
};
use weir_mqtt::{
    Acknowledge, Connect, ConnectProperties, Disconnect, Packet, PacketId, Publish,
    PublishProperties, QoS, Subscribe, SubscribeFilter, SubscribeProperties, SubscriptionOptions,
    TopicFilter, Version, frame_len,
};
use weir_tests::sim::disk::SimulatedDisks;

use crate::workload::{READERS, open};

pub(crate) const SHARD: ShardId = ShardId(0);
/// The second reader of the workload; it reads `up/#` from the store.
pub(crate) const UPSTREAM: ReaderId = ReaderId(1);

pub(crate) struct Broker {
    pub(crate) core: Core,
    pub(crate) store: Store,
    pub(crate) disks: SimulatedDisks,
    limits: Limits,
    pub(crate) now: Now,
    /// The batches of the next group.
    waiting: Vec<Batch>,
    /// What has come to clients and was not looked at.
    received: BTreeMap<ConnectionId, Vec<u8>>,
    next_slot: u32,
    /// How far the upstream has read.
    upstream_read: Sequence,
    /// Whether the store is told what it may let go of; it may also forget it.
    pub(crate) tells_released: bool,
}

impl Broker {
    pub(crate) fn new(limits: Limits) -> Self {
        let disks = SimulatedDisks::new();
        let now = Now { monotonic: Instant(1), unix_ms: 1_700_000_000_000 };
        Self::start(disks, limits, now)
    }

    fn start(disks: SimulatedDisks, limits: Limits, now: Now) -> Self {
        let store = open(disks.clone()).expect("a working disk");
        assert_eq!(store.register_readers(&READERS).expect("a working disk")[1], UPSTREAM);
        let recovered = store.recover(SHARD, limits.queued_memory_eased_at);
        let reader = ReaderConfig {
            reader: UPSTREAM,
            filters: vec!["up/#".to_owned()],
            kind: ReaderKind::Upstream,
            names_publishers: false,
        };
        let recovered = recovered.expect("a working disk");
        let core = Core::new(limits.clone(), vec![reader], recovered, 7, now);
        let upstream_read = store.reader_cursor(SHARD, UPSTREAM).expect("a working disk");
        let mut broker = Self {
            core,
            store,
            disks,
            limits,
            now,
            waiting: Vec::new(),
            received: BTreeMap::new(),
            next_slot: 0,
            upstream_read,
            tells_released: true,
        };
        broker.turn();
        broker
    }

    /// The process dies, what was not committed is lost, and another one starts.
    pub(crate) fn restart(self, seconds: u64) -> Self {
        let Self { store, disks, limits, now, .. } = self;
        let image = disks.image();
        drop(store);
        let now = Now { unix_ms: now.unix_ms + seconds * 1000, ..now };
        Self::start(SimulatedDisks::from_image(image), limits, now)
    }

    /// A client of MQTT 5 whose session outlives its connection by so much.
    pub(crate) fn connect(&mut self, client_id: &str, expiry_s: u32) -> ConnectionId {
        let connection = self.dial(client_id, expiry_s);
        self.commit();
        connection
    }

    /// The same, but nothing is written yet.
    pub(crate) fn dial(&mut self, client_id: &str, expiry_s: u32) -> ConnectionId {
        let connection = ConnectionId { slot: self.next_slot, generation: 0 };
        self.next_slot += 1;
        self.core.handle(self.now, Input::Opened { connection, listener: ListenerId(0) });
        let properties = ConnectProperties {
            session_expiry_interval_s: Some(expiry_s),
            ..ConnectProperties::default()
        };
        let clean_start = expiry_s == 0;
        let connect = Connect { clean_start, properties, ..Connect::new(Version::V5, client_id) };
        self.send(connection, &[Packet::Connect(connect)]);
        connection
    }

    pub(crate) fn subscribe(&mut self, connection: ConnectionId, filter: &str) {
        let filter = TopicFilter::parse(filter).expect("a valid filter");
        let filters =
            [SubscribeFilter { filter, options: SubscriptionOptions::new(QoS::AtLeastOnce) }];
        let subscribe = Subscribe {
            packet_id: packet_id(1),
            properties: SubscribeProperties::default(),
            filters: (&filters[..]).into(),
        };
        self.send(connection, &[Packet::Subscribe(subscribe)]);
        self.commit();
        self.received.remove(&connection);
    }

    /// A client leaves and its session stays.
    pub(crate) fn leave(&mut self, connection: ConnectionId) {
        self.send(connection, &[Packet::Disconnect(Disconnect::default())]);
        self.hang_up(connection);
        self.commit();
    }

    /// A connection breaks.
    pub(crate) fn hang_up(&mut self, connection: ConnectionId) {
        self.core.handle(self.now, Input::Closed { connection });
        self.turn();
    }

    /// Publishes with QoS 1, all in one turn.
    pub(crate) fn publish(&mut self, connection: ConnectionId, messages: &[(&str, &[u8])]) {
        self.publish_each(connection, messages, None);
    }

    /// The same with an expiry.
    pub(crate) fn publish_expiring(
        &mut self,
        connection: ConnectionId,
        messages: &[(&str, &[u8])],
        expiry_s: u32,
    ) {
        self.publish_each(connection, messages, Some(expiry_s));
    }

    fn publish_each(
        &mut self,
        connection: ConnectionId,
        messages: &[(&str, &[u8])],
        expiry_s: Option<u32>,
    ) {
        let properties = PublishProperties {
            message_expiry_interval_s: expiry_s,
            ..PublishProperties::default()
        };
        let packets: Vec<Packet<'_>> = (1..)
            .zip(messages)
            .map(|(number, (topic, payload))| {
                let packet_id = Some(packet_id(number));
                Packet::Publish(Publish {
                    qos: QoS::AtLeastOnce,
                    packet_id,
                    properties,
                    ..Publish::new(topic, payload)
                })
            })
            .collect();
        self.send(connection, &packets);
    }

    pub(crate) fn send(&mut self, connection: ConnectionId, packets: &[Packet<'_>]) {
        let mut bytes = Vec::new();
        packets.iter().for_each(|packet| {
            packet.encode(Version::V5, &mut bytes).expect("a valid packet");
        });
        self.core.handle(self.now, Input::Received { connection, bytes: &bytes });
        self.turn();
    }

    /// Acknowledges each message that has come to a client; answers their payloads.
    pub(crate) fn acknowledge(&mut self, connection: ConnectionId) -> Vec<Vec<u8>> {
        let bytes = self.received.remove(&connection).unwrap_or_default();
        let (mut rest, mut payloads, mut answers) = (&bytes[..], Vec::new(), Vec::new());
        while let Some(length) = frame_len(rest).expect("the core sends whole packets") {
            let (frame, after) = rest.split_at(length);
            rest = after;
            let packet = Packet::decode(frame, Version::V5).expect("the core sends valid packets");
            if let Packet::Publish(publish) = packet {
                payloads.push(publish.payload.to_vec());
                answers.extend(publish.packet_id.map(Acknowledge::success));
            }
        }
        let answers: Vec<Packet<'_>> = answers.into_iter().map(Packet::Puback).collect();
        self.send(connection, &answers);
        payloads
    }

    /// Messages that have come to a client and were not looked at, and other packets.
    pub(crate) fn packets(&self, connection: ConnectionId) -> usize {
        let mut rest = self.received.get(&connection).map_or(&[][..], |bytes| bytes);
        let mut count = 0;
        while let Some(length) = frame_len(rest).expect("the core sends whole packets") {
            rest = &rest[length..];
            count += 1;
        }
        count
    }

    /// Writes all batches that wait as one group.
    pub(crate) fn commit(&mut self) -> Committed {
        let mut group = std::mem::take(&mut self.waiting);
        if !self.tells_released {
            for batch in &mut group {
                batch.changes.retain(|change| !matches!(change, Change::LogReleased { .. }));
            }
        }
        let committed = self.store.commit(&group).expect("a working disk");
        if let Some(last) = group.last() {
            self.core.handle(self.now, Input::Committed { batch: last.number });
            self.turn();
        }
        committed
    }

    /// Writes groups until nothing waits.
    pub(crate) fn settle(&mut self) {
        while !self.waiting.is_empty() {
            self.commit();
        }
    }

    /// The upstream takes up to `count` messages; answers their payloads.
    pub(crate) fn forward(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        while records.len() < count {
            let before = self.upstream_read;
            let scanned = self.store.read_log(SHARD, before, UPSTREAM, 64 * 1024, &mut records);
            let scanned = scanned.expect("a working disk");
            if scanned == before {
                break;
            }
            self.upstream_read = scanned;
        }
        if let Some(last) = records.last() {
            let sequence = last.sequence;
            self.core.handle(self.now, Input::ReaderDone { reader: UPSTREAM, sequence });
            self.turn();
        }
        records.into_iter().map(|record| record.message.payload().to_vec()).collect()
    }

    /// Time passes, with its timers.
    pub(crate) fn advance_s(&mut self, seconds: u64) {
        let end = Instant(self.now.monotonic.0 + seconds * 1000);
        while let Some(at) = self.core.poll_timeout().filter(|at| *at <= end) {
            self.set_clock(at.max(self.now.monotonic));
            self.core.handle(self.now, Input::Timeout);
            self.turn();
        }
        self.set_clock(end);
    }

    /// Messages in the database once it has all that is committed.
    pub(crate) fn log_records(&self) -> u64 {
        self.store.checkpoint().expect("a working disk");
        self.store.stats().expect("a working disk").log_records
    }

    fn set_clock(&mut self, monotonic: Instant) {
        self.now.unix_ms += monotonic.0 - self.now.monotonic.0;
        self.now.monotonic = monotonic;
    }

    fn turn(&mut self) {
        loop {
            let mut effects = Vec::new();
            self.core.drain(|effect| effects.push(effect));
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                match effect {
                    Effect::Commit(batch) => self.waiting.push(batch),
                    Effect::Flush { connection } => self.flush(connection),
                    Effect::Load { sequences } => {
                        let messages = self.store.read_messages(SHARD, &sequences);
                        let messages = messages.expect("a working disk");
                        self.core.handle(self.now, Input::Loaded { messages: &messages });
                    }
                    _ => {}
                }
            }
        }
    }

    fn flush(&mut self, connection: ConnectionId) {
        let Some(outbound) = self.core.outbound(connection) else { return };
        let bytes = outbound.bytes().to_vec();
        self.core.handle(self.now, Input::Sent { connection, bytes: bytes.len() });
        self.received.entry(connection).or_default().extend(bytes);
    }
}

fn packet_id(number: u16) -> PacketId {
    PacketId::new(number).expect("not zero")
}
