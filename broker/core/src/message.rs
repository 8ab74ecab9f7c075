//! An application message, held in the form in which it is stored.
//!
//! A message is one shared allocation: the same bytes wait in queues, go to the store and are
//! read back from it. The layout is part of the store's format (`docs/storage-format.md`):
//!
//! | bytes | content |
//! |---|---|
//! | 0 | bits 0 and 1: QoS; bit 2: retain flag; bit 3: has a publisher; the rest zero |
//! | 1..9 | expiry, milliseconds since the Unix epoch, little-endian; 0 = never |
//! | 9..17 | when the broker received it, milliseconds since the Unix epoch, little-endian |
//! | 17..19 | length of the topic, little-endian |
//! | 19..23 | length of the properties, little-endian |
//! | 23.. | topic, end-to-end properties as MQTT 5 encodes them |
//! | 2, if bit 3 | length of the publisher, little-endian |
//! | … | publisher, payload |

use std::fmt;
use std::sync::Arc;

use weir_mqtt::QoS;

/// Bytes before the topic.
const HEADER_BYTES: usize = 23;
const QOS_MASK: u8 = 0b011;
const RETAIN: u8 = 0b0100;
const PUBLISHER: u8 = 0b1000;

/// The parts of a message that is being made.
#[derive(Clone, Copy, Debug)]
pub struct MessageParts<'a> {
    /// The QoS with which it was published.
    pub qos: QoS,
    /// The RETAIN flag with which it was published.
    pub retain: bool,
    /// When it expires, milliseconds since the Unix epoch.
    pub expires_at_ms: Option<u64>,
    /// When the broker received it, milliseconds since the Unix epoch.
    pub received_at_ms: u64,
    /// The client identifier of its publisher, if a reader of the log wants to know; otherwise
    /// empty.
    pub publisher: &'a str,
    /// The topic name, without alias, at most 65,535 bytes.
    pub topic: &'a str,
    /// The end-to-end properties, already encoded, without their length.
    pub properties: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
}

impl MessageParts<'_> {
    /// Appends the record to `out`.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        let bytes = self.record_bytes();
        let end = out.len() + bytes;
        out.reserve(bytes);
        let retain = if self.retain { RETAIN } else { 0 };
        let topic_bytes = u16::try_from(self.topic.len()).expect("a topic name fits its prefix");
        let properties_bytes =
            u32::try_from(self.properties.len()).expect("a packet's properties fit 28 bits");
        let publisher = if self.publisher.is_empty() { 0 } else { PUBLISHER };
        out.push(self.qos as u8 | retain | publisher);
        out.extend_from_slice(&self.expires_at_ms.unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&self.received_at_ms.to_le_bytes());
        out.extend_from_slice(&topic_bytes.to_le_bytes());
        out.extend_from_slice(&properties_bytes.to_le_bytes());
        out.extend_from_slice(self.topic.as_bytes());
        out.extend_from_slice(self.properties);
        if publisher != 0 {
            let bytes = u16::try_from(self.publisher.len());
            let bytes = bytes.expect("a client identifier fits its prefix");
            out.extend_from_slice(&bytes.to_le_bytes());
            out.extend_from_slice(self.publisher.as_bytes());
        }
        out.extend_from_slice(self.payload);
        debug_assert_eq!(out.len(), end);
    }

    /// Bytes of the record.
    #[must_use]
    pub fn record_bytes(&self) -> usize {
        let publisher = match self.publisher.len() {
            0 => 0,
            bytes => size_of::<u16>() + bytes,
        };
        HEADER_BYTES + self.topic.len() + self.properties.len() + publisher + self.payload.len()
    }
}

/// A stored or queued message; clones share the bytes.
#[derive(Clone, Eq, PartialEq)]
pub struct Message(Arc<[u8]>);

/// Which of two retained messages of one topic is kept in a fleet of brokers: the higher one, the same
/// everywhere.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct RetainedVersion {
    /// When it was received, milliseconds since the Unix epoch, and never before the one that it took
    /// the place of.
    pub time_ms: u64,
    /// Whether it removes the one before. Of the same moment a removal counts.
    pub is_removal: bool,
    /// Of what it says.
    pub digest: u64,
}

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A length points past the end, or the record is shorter than its header.
    #[error("the record is cut short")]
    CutShort,
    /// The publisher is not UTF-8.
    #[error("the publisher of the record is not UTF-8")]
    PublisherNotUtf8,
    /// The flags hold a QoS or a bit that does not exist.
    #[error("the record has flags of an unknown kind")]
    UnknownFlags,
    /// The topic is not UTF-8.
    #[error("the topic of the record is not UTF-8")]
    TopicNotUtf8,
}

impl Message {
    /// Makes a message with one allocation, using `scratch` to lay it out.
    #[must_use]
    pub fn new(parts: &MessageParts<'_>, scratch: &mut Vec<u8>) -> Self {
        scratch.clear();
        parts.append_to(scratch);
        Self(Arc::from(scratch.as_slice()))
    }

    /// Takes a record as the store holds it.
    ///
    /// # Errors
    /// When the bytes are not a complete record.
    pub fn from_record(record: &[u8]) -> Result<Self, RecordError> {
        parse(record)?;
        Ok(Self(Arc::from(record)))
    }

    /// The record, as the store holds it.
    #[must_use]
    pub fn as_record(&self) -> &[u8] {
        &self.0
    }

    /// The parts of the message, borrowed.
    #[must_use]
    pub fn parts(&self) -> MessageParts<'_> {
        parse(&self.0).expect("a message is checked when it is made")
    }

    /// Whether it says who has published it.
    pub(crate) fn has_publisher(&self) -> bool {
        self.0.first().is_some_and(|flags| flags & PUBLISHER != 0)
    }

    /// The same message, which does not say who has published it.
    pub(crate) fn without_publisher(&self, scratch: &mut Vec<u8>) -> Self {
        if self.has_publisher() {
            Self::new(&MessageParts { publisher: "", ..self.parts() }, scratch)
        } else {
            self.clone()
        }
    }

    /// The topic name.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.parts().topic
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.parts().payload
    }

    /// Where it stands among the retained messages of its topic, whoever has published it.
    #[must_use]
    pub fn version(&self) -> RetainedVersion {
        let parts = self.parts();
        let expiry = parts.expires_at_ms.unwrap_or(0).to_le_bytes();
        let texts = [&expiry, parts.topic.as_bytes(), parts.properties, parts.payload];
        let bytes = texts.into_iter().flatten();
        // FNV-1a: every broker has to come to the same.
        let digest = bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let is_removal = parts.payload.is_empty();
        RetainedVersion { time_ms: parts.received_at_ms, is_removal, digest }
    }

    /// Bytes that the record takes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when the record holds nothing; a message never does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When it expires, milliseconds since the Unix epoch; none = never.
    #[must_use]
    pub fn expires_at_ms(&self) -> Option<u64> {
        let expiry = self.0.get(1..).and_then(|rest| rest.first_chunk());
        let expiry = u64::from_le_bytes(*expiry.expect("a message is checked when it is made"));
        (expiry != 0).then_some(expiry)
    }

    /// When the broker received it, milliseconds since the Unix epoch.
    #[must_use]
    pub fn received_at_ms(&self) -> u64 {
        let received = self.0.get(9..).and_then(|rest| rest.first_chunk());
        u64::from_le_bytes(*received.expect("a message is checked when it is made"))
    }

    /// True when its time is over at `unix_ms`.
    #[must_use]
    pub fn is_expired(&self, unix_ms: u64) -> bool {
        self.expires_at_ms().is_some_and(|at| at <= unix_ms)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts();
        f.debug_struct("Message")
            .field("qos", &parts.qos)
            .field("retain", &parts.retain)
            .field("topic", &parts.topic)
            .field("payload_bytes", &parts.payload.len())
            .finish()
    }
}

/// Reads the parts of a record.
///
/// # Errors
/// When the bytes are not a complete record.
pub fn parse(record: &[u8]) -> Result<MessageParts<'_>, RecordError> {
    let (&[flags], rest) = record.split_first_chunk().ok_or(RecordError::CutShort)?;
    let (expiry, rest) = rest.split_first_chunk().ok_or(RecordError::CutShort)?;
    let (received, rest) = rest.split_first_chunk().ok_or(RecordError::CutShort)?;
    let (topic_bytes, rest) = rest.split_first_chunk().ok_or(RecordError::CutShort)?;
    let (properties_bytes, rest) = rest.split_first_chunk().ok_or(RecordError::CutShort)?;
    if flags & !(QOS_MASK | RETAIN | PUBLISHER) != 0 {
        return Err(RecordError::UnknownFlags);
    }
    let qos = QoS::try_from(flags & QOS_MASK).map_err(|_| RecordError::UnknownFlags)?;
    let expiry = u64::from_le_bytes(*expiry);
    let topic_bytes = usize::from(u16::from_le_bytes(*topic_bytes));
    let properties_bytes = u32::from_le_bytes(*properties_bytes) as usize;
    let (topic, rest) = rest.split_at_checked(topic_bytes).ok_or(RecordError::CutShort)?;
    let (properties, rest) =
        rest.split_at_checked(properties_bytes).ok_or(RecordError::CutShort)?;
    let (publisher, payload) =
        if flags & PUBLISHER == 0 { ("", rest) } else { split_publisher(rest)? };
    Ok(MessageParts {
        qos,
        retain: flags & RETAIN != 0,
        expires_at_ms: (expiry != 0).then_some(expiry),
        received_at_ms: u64::from_le_bytes(*received),
        publisher,
        topic: std::str::from_utf8(topic).map_err(|_| RecordError::TopicNotUtf8)?,
        properties,
        payload,
    })
}

/// Takes the publisher off; the payload is left.
fn split_publisher(rest: &[u8]) -> Result<(&str, &[u8]), RecordError> {
    let (bytes, rest) = rest.split_first_chunk().ok_or(RecordError::CutShort)?;
    let bytes = usize::from(u16::from_le_bytes(*bytes));
    let (publisher, payload) = rest.split_at_checked(bytes).ok_or(RecordError::CutShort)?;
    let publisher = std::str::from_utf8(publisher).map_err(|_| RecordError::PublisherNotUtf8)?;
    Ok((publisher, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> MessageParts<'static> {
        MessageParts {
            qos: QoS::AtLeastOnce,
            retain: true,
            expires_at_ms: Some(1_700_000_000_000),
            received_at_ms: 1_600_000_000_000,
            publisher: "",
            topic: "site/a/temperature",
            properties: &[1, 1],
            payload: b"21.5",
        }
    }

    #[test]
    fn a_record_gives_back_its_parts() {
        let message = Message::new(&parts(), &mut Vec::new());
        let again = Message::from_record(message.as_record()).expect("a whole record");
        let read = again.parts();
        assert_eq!(read.qos, QoS::AtLeastOnce);
        assert!(read.retain);
        assert_eq!(read.expires_at_ms, Some(1_700_000_000_000));
        assert_eq!(read.received_at_ms, 1_600_000_000_000);
        assert_eq!((read.topic, read.properties), ("site/a/temperature", &[1u8, 1][..]));
        assert_eq!((read.publisher, read.payload), ("", &b"21.5"[..]));
    }

    #[test]
    fn a_record_gives_back_its_publisher_and_can_be_without() {
        let parts = MessageParts { publisher: "sensor-1", ..parts() };
        let message = Message::new(&parts, &mut Vec::new());
        let again = Message::from_record(message.as_record()).expect("a whole record");
        assert_eq!((again.parts().publisher, again.payload()), ("sensor-1", &b"21.5"[..]));
        let without = again.without_publisher(&mut Vec::new());
        assert_eq!(without, Message::new(&self::parts(), &mut Vec::new()));
        assert_eq!(without.without_publisher(&mut Vec::new()), without);
        let mut record = message.as_record().to_vec();
        let payload_at = record.len() - 4;
        for end in 0..payload_at {
            assert!(Message::from_record(&record[..end]).is_err(), "at {end}");
        }
        record[payload_at - 1] = 0xff;
        assert_eq!(Message::from_record(&record), Err(RecordError::PublisherNotUtf8));
    }

    #[test]
    fn a_cut_header_topic_or_property_is_refused() {
        let message = Message::new(&parts(), &mut Vec::new());
        let payload_at = message.len() - message.payload().len();
        for end in 0..payload_at {
            assert!(Message::from_record(&message.as_record()[..end]).is_err(), "at {end}");
        }
    }

    #[test]
    fn unknown_flags_and_bad_topics_are_refused() {
        let mut record = Message::new(&parts(), &mut Vec::new()).as_record().to_vec();
        record[0] = 3;
        assert_eq!(Message::from_record(&record), Err(RecordError::UnknownFlags));
        record[0] = 16;
        assert_eq!(Message::from_record(&record), Err(RecordError::UnknownFlags));
        record[0] = 0;
        record[HEADER_BYTES] = 0xff;
        assert_eq!(Message::from_record(&record), Err(RecordError::TopicNotUtf8));
    }

    #[test]
    fn a_message_expires_at_its_time_and_not_before() {
        let message = Message::new(&parts(), &mut Vec::new());
        assert!(!message.is_expired(1_699_999_999_999));
        assert!(message.is_expired(1_700_000_000_000));
    }
}
