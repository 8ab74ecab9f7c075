//! The rows of the tables, told apart and decoded.
//!
//! Whatever goes through a store without the broker (check, salvage, export, copy) does it row by
//! row and table by table; what a table is and what its rows must look like stands here, once.

use redb::{TableHandle as _, Value as _};
use weir_core::{
    Cursor, InflightState, Message, ReaderId, Sequence, SessionId, SessionRecord, ShardId,
    SubscriptionRecord, Target,
};
use weir_mqtt::PacketId;

use super::pages::Form;
use crate::store::error::MalformedRecord;
use crate::store::record;
use crate::store::schema::{self, PacketKey, ReaderKey, SessionKey};
use crate::store::upgrade::{self, Columns};

/// A table of the store.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Table {
    Meta,
    Session,
    Cursor,
    Subscription,
    InflightOut,
    ReceivedQos2,
    Retained,
    Reader,
    ReaderCursor,
    Position,
    Log,
    RuleSnapshot,
    RuleDelta,
}

/// A decoded row.
#[derive(Debug)]
pub(crate) enum Row<'a> {
    Cursor(SessionKey, Cursor),
    InflightOut(PacketKey, InflightState),
    Log { shard: ShardId, sequence: Sequence, targets: Vec<Target>, message: Message },
    Meta(&'a str, u64),
    Position(ShardId, Sequence),
    Reader(&'a str, ReaderId),
    ReaderCursor(ReaderKey, Sequence),
    ReceivedQos2(PacketKey),
    Retained(Message),
    RuleDelta,
    RuleSnapshot,
    Session(SessionKey, SessionRecord),
    Subscription { session: SessionKey, filter: &'a str, subscription: SubscriptionRecord },
}

impl Table {
    /// In the order in which they are handled: what others refer to comes first.
    pub(crate) const ALL: [Self; 13] = [
        Self::Meta,
        Self::Session,
        Self::Cursor,
        Self::Subscription,
        Self::InflightOut,
        Self::ReceivedQos2,
        Self::Retained,
        Self::Reader,
        Self::ReaderCursor,
        Self::Position,
        Self::Log,
        Self::RuleSnapshot,
        Self::RuleDelta,
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cursor => schema::CURSOR.name(),
            Self::InflightOut => schema::INFLIGHT_OUT.name(),
            Self::Log => schema::LOG.name(),
            Self::Meta => schema::META.name(),
            Self::Position => schema::POSITION.name(),
            Self::Reader => schema::READER.name(),
            Self::ReaderCursor => schema::READER_CURSOR.name(),
            Self::ReceivedQos2 => schema::RECEIVED_QOS2.name(),
            Self::Retained => schema::RETAINED.name(),
            Self::RuleDelta => schema::RULE_DELTA.name(),
            Self::RuleSnapshot => schema::RULE_SNAPSHOT.name(),
            Self::Session => schema::SESSION.name(),
            Self::Subscription => schema::SUBSCRIPTION.name(),
        }
    }

    pub(crate) fn definition(self) -> schema::Rows {
        schema::Rows::new(self.name())
    }

    /// What the engine is to say about its rows.
    pub(crate) fn form() -> Form {
        Form {
            key_bytes: None,
            value_bytes: None,
            key_type: <&[u8]>::type_name().name().to_owned(),
            value_type: <&[u8]>::type_name().name().to_owned(),
        }
    }

    /// What it says about those of an older version.
    pub(crate) fn older_form(self) -> Form {
        let Columns { key, value } = upgrade::columns(self.name());
        Form {
            key_bytes: key.width,
            value_bytes: value.width,
            key_type: (key.type_name)().name().to_owned(),
            value_type: (value.type_name)().name().to_owned(),
        }
    }

    pub(crate) fn decode<'a>(
        self,
        key: &'a [u8],
        value: &'a [u8],
    ) -> Result<Row<'a>, MalformedRecord> {
        Ok(match self {
            Self::Cursor => Row::Cursor(*schema::fixed(key)?, record::decode_cursor(value)?),
            Self::InflightOut => {
                Row::InflightOut(packet(key)?, record::decode_inflight(schema::number(value)?))
            }
            Self::Log => {
                let (shard, sequence) = schema::log_key_parts(schema::fixed(key)?);
                let (targets, message) = record::decode_logged(value)?;
                Row::Log { shard, sequence, targets, message }
            }
            Self::Meta => Row::Meta(text(key)?, schema::number(value)?),
            Self::Position => {
                let [shard] = *schema::fixed(key)?;
                Row::Position(ShardId(shard), Sequence(schema::number(value)?))
            }
            Self::Reader => {
                Row::Reader(text(key)?, ReaderId(u16::from_le_bytes(*schema::fixed(value)?)))
            }
            Self::ReaderCursor => {
                Row::ReaderCursor(*schema::fixed(key)?, Sequence(schema::number(value)?))
            }
            Self::ReceivedQos2 => Row::ReceivedQos2(packet(key)?),
            Self::Retained => {
                let message = Message::from_record(value)?;
                if message.topic() != text(key)? {
                    return Err(MalformedRecord::OutOfRange);
                }
                Row::Retained(message)
            }
            Self::RuleDelta => {
                schema::fixed::<8>(key)?;
                Row::RuleDelta
            }
            Self::RuleSnapshot => {
                schema::fixed::<4>(key)?;
                Row::RuleSnapshot
            }
            Self::Session => Row::Session(*schema::fixed(key)?, record::decode_session(value)?),
            Self::Subscription => {
                let (session, _) = key.split_first_chunk().ok_or(MalformedRecord::CutShort)?;
                let (_, filter) = schema::subscription_key_parts(key)?;
                let subscription = record::decode_subscription(schema::fixed(value)?)?;
                Row::Subscription { session: *session, filter, subscription }
            }
        })
    }
}

/// The session that a packet identifier belongs to.
pub(crate) fn session_of(key: &PacketKey) -> SessionKey {
    let [shard, a, b, c, d, ..] = *key;
    [shard, a, b, c, d]
}

/// The number of the session in a key, and the shard that owns it.
pub(crate) fn owner_of(key: &SessionKey) -> (ShardId, SessionId) {
    schema::session_key_parts(key)
}

fn packet(key: &[u8]) -> Result<PacketKey, MalformedRecord> {
    let key = schema::fixed(key)?;
    let _: (SessionId, PacketId) = schema::packet_key_parts(key)?;
    Ok(*key)
}

fn text(bytes: &[u8]) -> Result<&str, MalformedRecord> {
    std::str::from_utf8(bytes).map_err(|_| MalformedRecord::NotUtf8)
}
