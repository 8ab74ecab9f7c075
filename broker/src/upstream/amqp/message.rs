//! What a message looks like in AMQP.

use std::sync::Arc;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};

use crate::clock;
use crate::upstream::outgoing::Outgoing;

/// A message as it is published.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    pub(super) routing_key: ShortString,
    pub(super) properties: BasicProperties,
    /// Shared: a message may have to be published again.
    pub(super) payload: Arc<Vec<u8>>,
}

impl Envelope {
    /// Takes the payload out of a message. `frame_bytes_max` is the longest frame that the server
    /// takes, in which the properties have to find room.
    ///
    /// # Errors
    /// Why it can never be published.
    pub(super) fn of(outgoing: &mut Outgoing, frame_bytes_max: usize) -> Result<Self, String> {
        let routing_key = ShortString::try_new(outgoing.topic.replace('/', "."))
            .map_err(|_| "the topic is longer than the 255 bytes of a routing key".to_owned())?;
        let mut headers = Headers { table: FieldTable::default(), bytes: 0 };
        let mut properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        headers.insert(TOPIC, &outgoing.topic)?;
        for (name, value) in &outgoing.user_properties {
            match ShortString::try_new(value.as_str()) {
                Ok(id) if name == "id" => {
                    headers.bytes += value.len();
                    properties = properties.with_message_id(id);
                }
                _ => headers.insert(name, value)?,
            }
        }
        if let Some(content_type) = &outgoing.content_type {
            match ShortString::try_new(content_type.as_str()) {
                Ok(short) => {
                    headers.bytes += content_type.len();
                    properties = properties.with_content_type(short);
                }
                Err(_) => headers.insert("content-type", content_type)?,
            }
        }
        if headers.bytes + OTHER_BYTES > frame_bytes_max {
            return Err(format!("its user properties have {} bytes, too many", headers.bytes));
        }
        if outgoing.received_at_ms >= clock::SET_FROM_MS {
            properties = properties.with_timestamp(outgoing.received_at_ms / 1000);
        }
        // RabbitMQ takes no more than 32 bits, of milliseconds.
        let expires_ms = outgoing.message_expiry_interval_s.and_then(|s| s.checked_mul(1000));
        if let Some(expires_ms) = expires_ms {
            properties = properties.with_expiration(expires_ms.to_string().into());
        }
        let properties = properties.with_headers(headers.table);
        let payload = Arc::new(std::mem::take(&mut outgoing.payload));
        Ok(Self { routing_key, properties, payload })
    }
}

struct Headers {
    table: FieldTable,
    /// What all properties take in a frame.
    bytes: usize,
}

impl Headers {
    fn insert(&mut self, name: &str, value: &str) -> Result<(), String> {
        let name = ShortString::try_new(name)
            .map_err(|_| "the name of a user property is longer than 255 bytes".to_owned())?;
        self.bytes += name.as_str().len() + value.len() + HEADER_BYTES;
        self.table.insert(name, AMQPValue::LongString(LongString::from(value)));
        Ok(())
    }
}

/// The delivery mode of what survives a restart of the server.
const PERSISTENT: u8 = 2;
/// The header with the topic, which the routing key does not tell for certain.
const TOPIC: &str = "mqtt-topic";
/// Around a name and a value in a table.
const HEADER_BYTES: usize = 6;
/// Around all headers, and what is of a known length.
const OTHER_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing() -> Outgoing {
        let user = [("id", "gate-1"), ("seq", "7"), ("unit", "celsius")];
        Outgoing {
            topic: "site/agg.a/x".to_owned(),
            payload: b"21.5".to_vec(),
            user_properties: user.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec(),
            content_type: Some("text/plain".to_owned()),
            message_expiry_interval_s: Some(60),
            received_at_ms: 1_700_000_000_500,
            ..Outgoing::default()
        }
    }

    fn header(envelope: &Envelope, name: &str) -> Option<String> {
        let headers = envelope.properties.headers().as_ref()?;
        match headers.inner().get(name)? {
            AMQPValue::LongString(text) => Some(text.to_string()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn everything_that_belongs_to_a_message_has_its_place() {
        let envelope = Envelope::of(&mut outgoing(), 4096).unwrap();
        let properties = &envelope.properties;
        let text = |text: &Option<ShortString>| text.as_ref().map(ToString::to_string);
        assert_eq!(envelope.routing_key.as_str(), "site.agg.a.x");
        assert_eq!(envelope.payload.as_slice(), b"21.5");
        assert_eq!(text(properties.message_id()).as_deref(), Some("gate-1"));
        assert_eq!(text(properties.content_type()).as_deref(), Some("text/plain"));
        assert_eq!(text(properties.expiration()).as_deref(), Some("60000"));
        assert_eq!(
            (*properties.delivery_mode(), *properties.timestamp()),
            (Some(2), Some(1_700_000_000))
        );
        assert_eq!(header(&envelope, "mqtt-topic").as_deref(), Some("site/agg.a/x"));
        assert_eq!(header(&envelope, "seq").as_deref(), Some("7"));
        assert_eq!(header(&envelope, "unit").as_deref(), Some("celsius"));
        assert_eq!(header(&envelope, "id"), None);
    }

    #[test]
    fn what_cannot_be_said_in_amqp_is_left_out_or_refused() {
        let mut unset = outgoing();
        (unset.received_at_ms, unset.message_expiry_interval_s) = (5_000, Some(u32::MAX));
        let envelope = Envelope::of(&mut unset, 4096).unwrap();
        assert_eq!(*envelope.properties.timestamp(), None);
        assert_eq!(*envelope.properties.expiration(), None);
        let mut long = Outgoing { topic: "a".repeat(256), ..outgoing() };
        assert!(Envelope::of(&mut long, 4096).unwrap_err().contains("routing key"));
        let mut named = outgoing();
        named.user_properties.push(("n".repeat(256), String::new()));
        assert!(Envelope::of(&mut named, 4096).unwrap_err().contains("name of a user property"));
        let mut large = outgoing();
        large.user_properties.push(("x".to_owned(), "x".repeat(4000)));
        assert!(Envelope::of(&mut large, 4096).unwrap_err().contains("too many"));
    }
}
