//! The content of a record: the changes of a group, shard by shard.
//!
//! Changes are encoded with the records of the database (`record.rs`), so there is one form of a
//! session or a message on disks. `docs/storage-format.md` has the bytes.

use weir_core::{Batch, Change, Links, ReaderId, Sequence, SessionId, ShardId};
use weir_mqtt::PacketId;

use crate::store::error::MalformedRecord;
use crate::store::record::{self, Bytes, put_varint};

/// Appends what a record holds for these batches.
pub(crate) fn encode(batches: &[Batch], out: &mut Vec<u8>) {
    let mut record = Vec::new();
    for batch in batches {
        out.push(BATCH);
        out.push(batch.shard.0);
        put_varint(out, batch.log_start.0);
        for change in &batch.changes {
            encode_change(change, &mut record, out);
        }
    }
}

/// `record` is a buffer for parts whose length comes first.
fn encode_change(change: &Change, record: &mut Vec<u8>, out: &mut Vec<u8>) {
    record.clear();
    match change {
        Change::CursorMoved { session, cursor } => {
            put_session(CURSOR_MOVED, *session, out);
            record::encode_cursor(cursor, record);
            put_sized(record, out);
        }
        // They are not written, and no group has them when it gets here.
        Change::HeldReleased { .. } | Change::MessageHeld { .. } => {}
        Change::PositionsReserved { end } => {
            out.push(POSITIONS_RESERVED);
            put_varint(out, end.0);
        }
        Change::InflightPut { session, packet_id, state } => {
            put_packet(INFLIGHT_PUT, *session, *packet_id, out);
            put_varint(out, record::encode_inflight(*state));
        }
        Change::InflightRemoved { session, packet_id } => {
            put_packet(INFLIGHT_REMOVED, *session, *packet_id, out);
        }
        Change::LogAppended { sequence, message, targets } => {
            out.push(LOG_APPENDED);
            put_varint(out, sequence.0);
            record::encode_logged(message, targets, record);
            put_sized(record, out);
        }
        // After a crash the core names again what nobody waits for.
        Change::LogReleased { .. } => {}
        Change::ReaderMoved { reader, done } => {
            out.push(READER_MOVED);
            out.extend_from_slice(&reader.0.to_le_bytes());
            put_varint(out, done.0);
        }
        Change::ReceivedPut { session, packet_id } => {
            put_packet(RECEIVED_PUT, *session, *packet_id, out);
        }
        Change::ReceivedRemoved { session, packet_id } => {
            put_packet(RECEIVED_REMOVED, *session, *packet_id, out);
        }
        Change::RetainedPut { message } => {
            out.push(RETAINED_PUT);
            put_sized(message.as_record(), out);
        }
        Change::RetainedRemoved { topic } => {
            out.push(RETAINED_REMOVED);
            put_sized(topic.as_bytes(), out);
        }
        Change::RuleDelta { delta } => {
            out.push(RULE_DELTA);
            put_sized(delta, out);
        }
        Change::RuleSnapshot { shards } => {
            out.push(RULE_SNAPSHOT);
            put_varint(out, shards.len() as u64);
            shards.iter().for_each(|shard| put_sized(shard, out));
        }
        Change::SessionPut { session, record: put } => {
            put_session(SESSION_PUT, *session, out);
            record::encode_session(put, record);
            put_sized(record, out);
        }
        Change::SessionRemoved { session } => put_session(SESSION_REMOVED, *session, out),
        Change::SubscriptionPut { session, filter, options } => {
            put_session(SUBSCRIPTION_PUT, *session, out);
            out.extend_from_slice(&record::encode_subscription(options));
            put_sized(filter.as_bytes(), out);
        }
        Change::SubscriptionRemoved { session, filter } => {
            put_session(SUBSCRIPTION_REMOVED, *session, out);
            put_sized(filter.as_bytes(), out);
        }
    }
}

pub(crate) fn decode(payload: &[u8]) -> Result<Vec<Batch>, MalformedRecord> {
    let mut bytes = Bytes::new(payload);
    let mut batches: Vec<Batch> = Vec::new();
    while !bytes.is_empty() {
        let kind = bytes.byte()?;
        if kind == BATCH {
            let shard = ShardId(bytes.byte()?);
            let log_start = Sequence(bytes.varint()?);
            batches.push(Batch {
                shard,
                number: 0,
                changes: Vec::new(),
                log_start,
                is_awaited: false,
                links: Links::default(),
            });
            continue;
        }
        let change = decode_change(kind, &mut bytes)?;
        let batch = batches.last_mut().ok_or(MalformedRecord::UnknownKind)?;
        batch.changes.push(change);
    }
    Ok(batches)
}

fn decode_change(kind: u8, bytes: &mut Bytes<'_>) -> Result<Change, MalformedRecord> {
    Ok(match kind {
        CURSOR_MOVED => Change::CursorMoved {
            session: session(bytes)?,
            cursor: record::decode_cursor(bytes.sized()?)?,
        },
        INFLIGHT_PUT => Change::InflightPut {
            session: session(bytes)?,
            packet_id: packet_id(bytes)?,
            state: record::decode_inflight(bytes.varint()?),
        },
        INFLIGHT_REMOVED => {
            Change::InflightRemoved { session: session(bytes)?, packet_id: packet_id(bytes)? }
        }
        LOG_APPENDED => {
            let sequence = Sequence(bytes.varint()?);
            let (targets, message) = record::decode_logged(bytes.sized()?)?;
            Change::LogAppended { sequence, message, targets: targets.into() }
        }
        POSITIONS_RESERVED => Change::PositionsReserved { end: Sequence(bytes.varint()?) },
        READER_MOVED => {
            Change::ReaderMoved { reader: ReaderId(bytes.u16()?), done: Sequence(bytes.varint()?) }
        }
        RECEIVED_PUT => {
            Change::ReceivedPut { session: session(bytes)?, packet_id: packet_id(bytes)? }
        }
        RECEIVED_REMOVED => {
            Change::ReceivedRemoved { session: session(bytes)?, packet_id: packet_id(bytes)? }
        }
        RETAINED_PUT => {
            Change::RetainedPut { message: weir_core::Message::from_record(bytes.sized()?)? }
        }
        RETAINED_REMOVED => Change::RetainedRemoved { topic: bytes.text()?.into() },
        RULE_DELTA => Change::RuleDelta { delta: bytes.sized()?.to_vec() },
        RULE_SNAPSHOT => {
            let count = bytes.varint()?;
            let mut shards = Vec::new();
            for _ in 0..count {
                shards.push(bytes.sized()?.to_vec());
            }
            Change::RuleSnapshot { shards }
        }
        SESSION_PUT => Change::SessionPut {
            session: session(bytes)?,
            record: record::decode_session(bytes.sized()?)?,
        },
        SESSION_REMOVED => Change::SessionRemoved { session: session(bytes)? },
        SUBSCRIPTION_PUT => {
            let session = session(bytes)?;
            let options = record::decode_subscription(&bytes.array()?)?;
            Change::SubscriptionPut { session, filter: bytes.text()?.into(), options }
        }
        SUBSCRIPTION_REMOVED => {
            Change::SubscriptionRemoved { session: session(bytes)?, filter: bytes.text()?.into() }
        }
        _ => return Err(MalformedRecord::UnknownKind),
    })
}

fn put_session(kind: u8, session: SessionId, out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(&session.0.to_le_bytes());
}

fn put_packet(kind: u8, session: SessionId, packet_id: PacketId, out: &mut Vec<u8>) {
    put_session(kind, session, out);
    out.extend_from_slice(&packet_id.get().to_le_bytes());
}

fn put_sized(bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn session(bytes: &mut Bytes<'_>) -> Result<SessionId, MalformedRecord> {
    bytes.u32().map(SessionId)
}

fn packet_id(bytes: &mut Bytes<'_>) -> Result<PacketId, MalformedRecord> {
    PacketId::new(bytes.u16()?).ok_or(MalformedRecord::OutOfRange)
}

const BATCH: u8 = 1;
const CURSOR_MOVED: u8 = 2;
const INFLIGHT_PUT: u8 = 3;
const INFLIGHT_REMOVED: u8 = 4;
const LOG_APPENDED: u8 = 5;
const READER_MOVED: u8 = 6;
const RECEIVED_PUT: u8 = 7;
const RECEIVED_REMOVED: u8 = 8;
const RETAINED_PUT: u8 = 9;
const RETAINED_REMOVED: u8 = 10;
const RULE_DELTA: u8 = 11;
const RULE_SNAPSHOT: u8 = 12;
const SESSION_PUT: u8 = 13;
const SESSION_REMOVED: u8 = 14;
const SUBSCRIPTION_PUT: u8 = 15;
const SUBSCRIPTION_REMOVED: u8 = 16;
const POSITIONS_RESERVED: u8 = 17;
