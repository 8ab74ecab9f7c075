//! The tables and their keys.
//!
//! Keys are made of big-endian numbers, so that their order as bytes is their order as numbers
//! and all that belongs to one shard or one session is one range. `docs/storage-format.md`
//! describes them byte by byte; a change here is a change of the format version.
//!
//! All tables are of one type: the engine's trees are compiled once for each pair of types, and
//! are a twelfth of a megabyte each time.

use redb::TableDefinition;
use weir_core::{ReaderId, Sequence, SessionId, ShardId};
use weir_mqtt::PacketId;

use crate::store::error::MalformedRecord;

/// The version of the format that this program reads and writes.
pub(crate) const FORMAT_VERSION: u64 = 3;
pub(crate) const META_FORMAT_VERSION: &str = "format_version";
pub(crate) const META_BOOT_EPOCH: &str = "boot_epoch";
/// The epoch of the journal whose records the database does not hold.
pub(crate) const META_JOURNAL_EPOCH: &str = "journal_epoch";
/// What the journal names the store by.
pub(crate) const META_STORE_ID: &str = "store_id";
/// What the keys and values of all other tables take.
pub(crate) const META_ROW_BYTES: &str = "row_bytes";

/// Bytes -> bytes, in the order of the bytes.
pub(crate) type Rows = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// Name -> number.
pub(crate) const META: Rows = TableDefinition::new("meta");
/// Shard, sequence -> targets and message.
pub(crate) const LOG: Rows = TableDefinition::new("log");
/// Shard -> next sequence, for shards whose log was trimmed until nothing was left.
pub(crate) const POSITION: Rows = TableDefinition::new("position");
/// Topic -> message.
pub(crate) const RETAINED: Rows = TableDefinition::new("retained");
/// Shard, session -> session record.
pub(crate) const SESSION: Rows = TableDefinition::new("session");
/// Shard, session -> cursor.
pub(crate) const CURSOR: Rows = TableDefinition::new("cursor");
/// Shard, session, filter -> options and identifier.
pub(crate) const SUBSCRIPTION: Rows = TableDefinition::new("subscription");
/// Shard, session, packet identifier -> sequence, or zero when PUBREL is owed.
pub(crate) const INFLIGHT_OUT: Rows = TableDefinition::new("inflight_out");
/// Shard, session, packet identifier -> nothing.
pub(crate) const RECEIVED_QOS2: Rows = TableDefinition::new("received_qos2");
/// Name -> reader.
pub(crate) const READER: Rows = TableDefinition::new("reader");
/// Shard, reader -> the last sequence it is done with.
pub(crate) const READER_CURSOR: Rows = TableDefinition::new("reader_cursor");
/// Place -> part of the state of the rules.
pub(crate) const RULE_SNAPSHOT: Rows = TableDefinition::new("rule_snapshot");
/// Counter -> change of the state of the rules since the snapshot.
pub(crate) const RULE_DELTA: Rows = TableDefinition::new("rule_delta");

/// All of them.
pub(crate) const TABLES: [Rows; 13] = [
    CURSOR,
    INFLIGHT_OUT,
    LOG,
    META,
    POSITION,
    READER,
    READER_CURSOR,
    RECEIVED_QOS2,
    RETAINED,
    RULE_DELTA,
    RULE_SNAPSHOT,
    SESSION,
    SUBSCRIPTION,
];

pub(crate) type LogKey = [u8; 9];
pub(crate) type PacketKey = [u8; 7];
pub(crate) type ReaderKey = [u8; 3];
pub(crate) type RuleDeltaKey = [u8; 8];
pub(crate) type RuleSnapshotKey = [u8; 4];
pub(crate) type SessionKey = [u8; 5];
pub(crate) type SubscriptionValue = [u8; 5];

/// A number as values have it.
pub(crate) fn number(value: &[u8]) -> Result<u64, MalformedRecord> {
    fixed(value).map(|bytes| u64::from_le_bytes(*bytes))
}

/// What has one length in every row of its table.
pub(crate) fn fixed<const N: usize>(bytes: &[u8]) -> Result<&[u8; N], MalformedRecord> {
    bytes.try_into().map_err(|_| MalformedRecord::CutShort)
}

pub(crate) fn log_key(shard: ShardId, sequence: Sequence) -> LogKey {
    let [a, b, c, d, e, f, g, h] = sequence.0.to_be_bytes();
    [shard.0, a, b, c, d, e, f, g, h]
}

pub(crate) fn log_key_parts(key: &LogKey) -> (ShardId, Sequence) {
    let [shard, a, b, c, d, e, f, g, h] = *key;
    (ShardId(shard), Sequence(u64::from_be_bytes([a, b, c, d, e, f, g, h])))
}

pub(crate) fn session_key(shard: ShardId, session: SessionId) -> SessionKey {
    let [a, b, c, d] = session.0.to_be_bytes();
    [shard.0, a, b, c, d]
}

pub(crate) fn session_key_parts(key: &SessionKey) -> (ShardId, SessionId) {
    let [shard, a, b, c, d] = *key;
    (ShardId(shard), SessionId(u32::from_be_bytes([a, b, c, d])))
}

pub(crate) fn packet_key(session: &SessionKey, packet_id: PacketId) -> PacketKey {
    packet_key_raw(session, packet_id.get())
}

/// The lowest and the highest key that a session can have, also those without a packet
/// identifier that could exist, so that a range takes everything.
pub(crate) fn packet_key_bounds(session: &SessionKey) -> (PacketKey, PacketKey) {
    (packet_key_raw(session, 0), packet_key_raw(session, u16::MAX))
}

pub(crate) fn packet_key_parts(key: &PacketKey) -> Result<(SessionId, PacketId), MalformedRecord> {
    let [_, a, b, c, d, e, f] = *key;
    let packet_id = PacketId::new(u16::from_be_bytes([e, f])).ok_or(MalformedRecord::OutOfRange)?;
    Ok((SessionId(u32::from_be_bytes([a, b, c, d])), packet_id))
}

pub(crate) fn reader_key(shard: ShardId, reader: ReaderId) -> ReaderKey {
    let [a, b] = reader.0.to_be_bytes();
    [shard.0, a, b]
}

pub(crate) fn reader_key_parts(key: &ReaderKey) -> (ShardId, ReaderId) {
    let [shard, a, b] = *key;
    (ShardId(shard), ReaderId(u16::from_be_bytes([a, b])))
}

/// The place of a part in the state of the rules.
pub(crate) fn rule_snapshot_key(place: u32) -> RuleSnapshotKey {
    place.to_be_bytes()
}

pub(crate) fn rule_delta_key(counter: u64) -> RuleDeltaKey {
    counter.to_be_bytes()
}

pub(crate) fn rule_delta_counter(key: &RuleDeltaKey) -> u64 {
    u64::from_be_bytes(*key)
}

/// Replaces the content of `key`.
pub(crate) fn put_subscription_key(key: &mut Vec<u8>, session: &SessionKey, filter: &str) {
    key.clear();
    key.extend_from_slice(session);
    key.extend_from_slice(filter.as_bytes());
}

pub(crate) fn subscription_key_parts(key: &[u8]) -> Result<(SessionId, &str), MalformedRecord> {
    let (session, filter) = key.split_first_chunk::<5>().ok_or(MalformedRecord::CutShort)?;
    let (_, session) = session_key_parts(session);
    let filter = std::str::from_utf8(filter).map_err(|_| MalformedRecord::NotUtf8)?;
    Ok((session, filter))
}

/// The key after all that begin with `key`; none after the very last session.
pub(crate) fn session_key_after(key: &SessionKey) -> Option<SessionKey> {
    let [shard, a, b, c, d] = *key;
    let after = u64::from_be_bytes([0, 0, 0, shard, a, b, c, d]) + 1;
    let [_, _, overflow, rest @ ..] = after.to_be_bytes();
    (overflow == 0).then_some(rest)
}

fn packet_key_raw(session: &SessionKey, packet_id: u16) -> PacketKey {
    let [shard, a, b, c, d] = *session;
    let [e, f] = packet_id.to_be_bytes();
    [shard, a, b, c, d, e, f]
}
