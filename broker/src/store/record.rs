//! The bytes of the records.
//!
//! Encoding appends to a buffer that the caller keeps; decoding checks everything and never
//! panics, because the bytes come from a disk. Numbers are little-endian; a varint has seven
//! bits a byte, low bits first, as in MQTT but up to 64 bits. What `docs/storage-format.md` says
//! and what is here are the same; the stored fixture of a test holds them together.

use smallvec::SmallVec;
use weir_core::{
    Cursor, Destination, InflightState, Message, ReaderId, Sequence, SessionId, SessionRecord,
    SubscriptionRecord, Target, WillRecord,
};
use weir_mqtt::{PacketId, QoS, RetainHandling, SubscriptionOptions, Version};

use crate::store::error::MalformedRecord;
use crate::store::schema::SubscriptionValue;

/// Appends what the log holds for one message: the targets, then the message.
pub(crate) fn encode_logged(message: &Message, targets: &[Target], out: &mut Vec<u8>) {
    put_varint(out, targets.len() as u64);
    for target in targets {
        encode_target(target, out);
    }
    out.extend_from_slice(message.as_record());
}

pub(crate) fn decode_logged(record: &[u8]) -> Result<(Vec<Target>, Message), MalformedRecord> {
    let mut bytes = Bytes(record);
    let count = bytes.varint()?;
    // A count that lies must not reserve memory: a target takes five bytes at least.
    let mut targets = Vec::with_capacity(bounded(count, bytes.0.len() / TARGET_BYTES_MIN)?);
    for _ in 0..count {
        targets.push(decode_target(&mut bytes)?);
    }
    Ok((targets, Message::from_record(bytes.0)?))
}

/// True when `reader` is among the targets; looks at nothing else of the record.
pub(crate) fn logged_for_reader(record: &[u8], reader: ReaderId) -> Result<bool, MalformedRecord> {
    is_for_reader(record, |target| target == reader)
}

/// True when one of the readers among the targets is wanted; looks at nothing else of the record.
pub(crate) fn is_for_reader(
    record: &[u8],
    mut is_wanted: impl FnMut(ReaderId) -> bool,
) -> Result<bool, MalformedRecord> {
    let mut bytes = Bytes(record);
    for _ in 0..bytes.varint()? {
        if let Destination::Reader(reader) = decode_target(&mut bytes)?.destination
            && is_wanted(reader)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The start, then how far each waiting position is below the one before, from the start down.
pub(crate) fn encode_cursor(cursor: &Cursor, out: &mut Vec<u8>) {
    put_varint(out, cursor.start.0);
    let mut above = cursor.start.0;
    for waiting in cursor.inflight.iter().rev() {
        assert!(waiting.0 < above, "waiting positions ascend and are below the start");
        put_varint(out, above - waiting.0);
        above = waiting.0;
    }
}

pub(crate) fn decode_cursor(record: &[u8]) -> Result<Cursor, MalformedRecord> {
    let mut bytes = Bytes(record);
    let start = bytes.varint()?;
    let mut inflight = Vec::with_capacity(bytes.0.len());
    let mut above = start;
    while !bytes.0.is_empty() {
        let position = above.checked_sub(bytes.varint()?);
        above = position.filter(|at| *at < above).ok_or(MalformedRecord::OutOfRange)?;
        inflight.push(Sequence(above));
    }
    inflight.reverse();
    Ok(Cursor { start: Sequence(start), inflight })
}

pub(crate) fn encode_inflight(state: InflightState) -> u64 {
    match state {
        InflightState::Released => 0,
        InflightState::Sent { sequence } => {
            assert_ne!(sequence.0, 0, "position zero comes before the first message");
            sequence.0
        }
    }
}

pub(crate) fn decode_inflight(value: u64) -> InflightState {
    match value {
        0 => InflightState::Released,
        sequence => InflightState::Sent { sequence: Sequence(sequence) },
    }
}

pub(crate) fn encode_session(session: &SessionRecord, out: &mut Vec<u8>) {
    let will_expiry = session.will.as_ref().and_then(|will| will.expiry_interval_s);
    let flags = flag(session.disconnected_at_ms.is_some(), SESSION_DISCONNECTED)
        | flag(session.will.is_some(), SESSION_WILL)
        | flag(will_expiry.is_some(), SESSION_WILL_EXPIRES);
    let client_id_bytes =
        u16::try_from(session.client_id.len()).expect("a client identifier fits its prefix");
    out.push(session.version.level());
    out.push(flags);
    out.extend_from_slice(&session.expiry_interval_s.to_le_bytes());
    out.extend_from_slice(&session.disconnected_at_ms.unwrap_or(0).to_le_bytes());
    out.extend_from_slice(&client_id_bytes.to_le_bytes());
    out.extend_from_slice(session.client_id.as_bytes());
    if let Some(will) = &session.will {
        out.extend_from_slice(&will.delay_interval_s.to_le_bytes());
        out.extend_from_slice(&will_expiry.unwrap_or(0).to_le_bytes());
        out.extend_from_slice(will.message.as_record());
    }
}

pub(crate) fn decode_session(record: &[u8]) -> Result<SessionRecord, MalformedRecord> {
    let mut bytes = Bytes(record);
    let version = match bytes.byte()? {
        3 => Version::V31,
        4 => Version::V311,
        5 => Version::V5,
        _ => return Err(MalformedRecord::UnknownKind),
    };
    let flags = bytes.byte()?;
    if flags & !(SESSION_DISCONNECTED | SESSION_WILL | SESSION_WILL_EXPIRES) != 0 {
        return Err(MalformedRecord::UnknownKind);
    }
    let expiry_interval_s = bytes.u32()?;
    let disconnected_at_ms = bytes.u64()?;
    let client_id_bytes = usize::from(bytes.u16()?);
    let client_id =
        std::str::from_utf8(bytes.take(client_id_bytes)?).map_err(|_| MalformedRecord::NotUtf8)?;
    let will = if flags & SESSION_WILL == 0 {
        bytes.end()?;
        None
    } else {
        let delay_interval_s = bytes.u32()?;
        let expiry_interval_s = bytes.u32()?;
        Some(WillRecord {
            message: Message::from_record(bytes.0)?,
            delay_interval_s,
            expiry_interval_s: (flags & SESSION_WILL_EXPIRES != 0).then_some(expiry_interval_s),
        })
    };
    Ok(SessionRecord {
        client_id: client_id.into(),
        version,
        expiry_interval_s,
        disconnected_at_ms: (flags & SESSION_DISCONNECTED != 0).then_some(disconnected_at_ms),
        will,
    })
}

/// The options byte of SUBSCRIBE, then the identifier, zero for none.
pub(crate) fn encode_subscription(subscription: &SubscriptionRecord) -> SubscriptionValue {
    let options = &subscription.options;
    let retain_handling = match options.retain_handling {
        RetainHandling::Send => 0,
        RetainHandling::SendIfNew => 1,
        RetainHandling::DoNotSend => 2,
    };
    let byte = u8::from(options.qos)
        | flag(options.no_local, SUBSCRIPTION_NO_LOCAL)
        | flag(options.retain_as_published, SUBSCRIPTION_RETAIN_AS_PUBLISHED)
        | retain_handling << SUBSCRIPTION_RETAIN_HANDLING_SHIFT;
    let [a, b, c, d] = subscription.identifier.unwrap_or(0).to_le_bytes();
    [byte, a, b, c, d]
}

pub(crate) fn decode_subscription(
    value: &SubscriptionValue,
) -> Result<SubscriptionRecord, MalformedRecord> {
    let [byte, a, b, c, d] = *value;
    let retain_handling = match byte >> SUBSCRIPTION_RETAIN_HANDLING_SHIFT {
        0 => RetainHandling::Send,
        1 => RetainHandling::SendIfNew,
        2 => RetainHandling::DoNotSend,
        _ => return Err(MalformedRecord::UnknownKind),
    };
    let identifier = u32::from_le_bytes([a, b, c, d]);
    Ok(SubscriptionRecord {
        options: SubscriptionOptions {
            qos: QoS::try_from(byte & QOS_MASK).map_err(|_| MalformedRecord::UnknownKind)?,
            no_local: byte & SUBSCRIPTION_NO_LOCAL != 0,
            retain_as_published: byte & SUBSCRIPTION_RETAIN_AS_PUBLISHED != 0,
            retain_handling,
        },
        identifier: (identifier != 0).then_some(identifier),
    })
}

fn encode_target(target: &Target, out: &mut Vec<u8>) {
    let is_reader = matches!(target.destination, Destination::Reader(_));
    out.push(
        u8::from(target.qos)
            | flag(target.retain, TARGET_RETAIN)
            | flag(is_reader, TARGET_READER)
            | flag(target.packet_id.is_some(), TARGET_PACKET_ID)
            | flag(!target.subscription_identifiers.is_empty(), TARGET_IDENTIFIERS),
    );
    let number = match target.destination {
        Destination::Reader(ReaderId(number)) => u32::from(number),
        Destination::Session(SessionId(number)) => number,
    };
    out.extend_from_slice(&number.to_le_bytes());
    if let Some(packet_id) = target.packet_id {
        out.extend_from_slice(&packet_id.get().to_le_bytes());
    }
    if !target.subscription_identifiers.is_empty() {
        put_varint(out, target.subscription_identifiers.len() as u64);
        for identifier in &target.subscription_identifiers {
            put_varint(out, u64::from(*identifier));
        }
    }
}

fn decode_target(bytes: &mut Bytes<'_>) -> Result<Target, MalformedRecord> {
    let flags = bytes.byte()?;
    let known = QOS_MASK | TARGET_RETAIN | TARGET_READER | TARGET_PACKET_ID | TARGET_IDENTIFIERS;
    if flags & !known != 0 {
        return Err(MalformedRecord::UnknownKind);
    }
    let number = bytes.u32()?;
    let destination = if flags & TARGET_READER == 0 {
        Destination::Session(SessionId(number))
    } else {
        Destination::Reader(ReaderId(
            u16::try_from(number).map_err(|_| MalformedRecord::OutOfRange)?,
        ))
    };
    let packet_id = if flags & TARGET_PACKET_ID == 0 {
        None
    } else {
        Some(PacketId::new(bytes.u16()?).ok_or(MalformedRecord::OutOfRange)?)
    };
    let mut subscription_identifiers = SmallVec::new();
    if flags & TARGET_IDENTIFIERS != 0 {
        for _ in 0..bytes.varint()? {
            let identifier = bytes.varint()?;
            subscription_identifiers
                .push(u32::try_from(identifier).map_err(|_| MalformedRecord::OutOfRange)?);
        }
    }
    Ok(Target {
        destination,
        qos: QoS::try_from(flags & QOS_MASK).map_err(|_| MalformedRecord::UnknownKind)?,
        retain: flags & TARGET_RETAIN != 0,
        packet_id,
        subscription_identifiers,
    })
}

fn flag(set: bool, bit: u8) -> u8 {
    if set { bit } else { 0 }
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Fails when `count` is larger than what the rest of the record could hold.
fn bounded(count: u64, possible: usize) -> Result<usize, MalformedRecord> {
    usize::try_from(count).ok().filter(|count| *count <= possible).ok_or(MalformedRecord::CutShort)
}

/// What is left of a record.
pub(crate) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn new(record: &'a [u8]) -> Self {
        Self(record)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A part whose length comes first, as a varint.
    pub(crate) fn sized(&mut self) -> Result<&'a [u8], MalformedRecord> {
        let count = self.varint()?;
        self.take(bounded(count, self.0.len())?)
    }

    /// A text whose length comes first, as a varint.
    pub(crate) fn text(&mut self) -> Result<&'a str, MalformedRecord> {
        std::str::from_utf8(self.sized()?).map_err(|_| MalformedRecord::NotUtf8)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], MalformedRecord> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(MalformedRecord::CutShort)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], MalformedRecord> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(MalformedRecord::CutShort)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, MalformedRecord> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, MalformedRecord> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, MalformedRecord> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, MalformedRecord> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn varint(&mut self) -> Result<u64, MalformedRecord> {
        let mut value = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits.leading_zeros() < shift {
                return Err(MalformedRecord::OutOfRange);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(MalformedRecord::OutOfRange)
    }

    fn end(&self) -> Result<(), MalformedRecord> {
        if self.0.is_empty() { Ok(()) } else { Err(MalformedRecord::TrailingBytes) }
    }
}

const QOS_MASK: u8 = 0b0000_0011;

const TARGET_RETAIN: u8 = 0b0000_0100;
const TARGET_READER: u8 = 0b0000_1000;
const TARGET_PACKET_ID: u8 = 0b0001_0000;
const TARGET_IDENTIFIERS: u8 = 0b0010_0000;
const TARGET_BYTES_MIN: usize = 5;

const SESSION_DISCONNECTED: u8 = 0b001;
const SESSION_WILL: u8 = 0b010;
const SESSION_WILL_EXPIRES: u8 = 0b100;

const SUBSCRIPTION_NO_LOCAL: u8 = 0b0000_0100;
const SUBSCRIPTION_RETAIN_AS_PUBLISHED: u8 = 0b0000_1000;
const SUBSCRIPTION_RETAIN_HANDLING_SHIFT: u8 = 4;

#[cfg(test)]
mod tests;
