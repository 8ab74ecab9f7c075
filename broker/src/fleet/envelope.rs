//! A message on its way between boxes: one byte for the form, and the record as the store holds it.
//!
//! So nothing of a message is lost: its properties, when it expires, when it came, its publisher,
//! and that it is retained. What comes from elsewhere is looked at before anything here relies on
//! it.

use weir_core::{Message, RecordError};
use weir_mqtt::{PublishProperties, TopicName};

/// The form that this build writes, and the only one that it reads.
const FORM: u8 = 1;
/// The end of the year 9999: no clock is there, and what counts on from it has room.
const TIME_MAX_MS: u64 = 253_402_300_799_999;

/// Why bytes from another box are not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("it is empty")]
    Empty,
    #[error("it has a form that this build does not know")]
    Form,
    #[error("its properties are not those of a message")]
    Properties,
    #[error("{0}")]
    Record(#[from] RecordError),
    #[error("it was received at a time that is none")]
    Time,
    #[error("its topic is not a topic of clients")]
    Topic,
}

/// The bytes of a message.
pub(super) fn seal(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + message.len());
    bytes.push(FORM);
    bytes.extend_from_slice(message.as_record());
    bytes
}

/// The message of these bytes.
pub(super) fn open(bytes: &[u8]) -> Result<Message, Malformed> {
    let (form, record) = bytes.split_first().ok_or(Malformed::Empty)?;
    if *form != FORM {
        return Err(Malformed::Form);
    }
    let message = Message::from_record(record)?;
    let parts = message.parts();
    if TopicName::parse(parts.topic).is_err() || parts.topic.starts_with('$') {
        return Err(Malformed::Topic);
    }
    if PublishProperties::decode_end_to_end(parts.properties).is_err() {
        return Err(Malformed::Properties);
    }
    if parts.received_at_ms > TIME_MAX_MS {
        return Err(Malformed::Time);
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_core::MessageParts;
    use weir_mqtt::QoS;

    fn message(parts: MessageParts<'_>) -> Message {
        Message::new(&parts, &mut Vec::new())
    }

    fn parts() -> MessageParts<'static> {
        MessageParts {
            qos: QoS::ExactlyOnce,
            retain: true,
            expires_at_ms: Some(7),
            received_at_ms: 5,
            publisher: "sensor-1",
            topic: "a/b",
            properties: &[1, 1],
            payload: b"21.5",
        }
    }

    #[test]
    fn a_message_arrives_as_it_was_sent() {
        let sent = message(parts());
        assert_eq!(open(&seal(&sent)), Ok(sent));
    }

    #[test]
    fn what_would_do_harm_here_is_refused() {
        assert_eq!(open(&[]), Err(Malformed::Empty));
        assert_eq!(open(&[2]), Err(Malformed::Form));
        let whole = seal(&message(parts()));
        for end in 1..whole.len() - 4 {
            assert!(open(&whole[..end]).is_err(), "at {end}");
        }
        let refused = |parts| open(&seal(&message(parts))).err();
        for topic in ["$SYS/x", "a/#", "", "a\0"] {
            assert_eq!(refused(MessageParts { topic, ..parts() }), Some(Malformed::Topic));
        }
        let properties = [0x26, 5].as_slice();
        assert_eq!(refused(MessageParts { properties, ..parts() }), Some(Malformed::Properties));
        let received_at_ms = TIME_MAX_MS + 1;
        assert_eq!(refused(MessageParts { received_at_ms, ..parts() }), Some(Malformed::Time));
    }
}
