//! MQTT-SN 1.2 wire format, both directions, all 28 packet kinds.
//!
//! One datagram in, one [`Packet`] out, and back. Packets borrow from the bytes they were read
//! from. The module is named for its version because the next one does not understand this one.
//!
//! Strict about what would change the meaning: lengths, text, QoS, topic id types, return codes
//! and message identifiers. Flags that a packet does not use are ignored, as the specification has
//! no word for them but "not used", and written as zero. What needs a session belongs to the
//! caller: whether a topic id is known, whether a client identifier is too long.
//!
//! Invariant: no input makes this panic, and `decode(encode(packet))` is `packet`.
//!
//! ```
//! use weir_node::mqtt_sn_1_2::{Delivery, Packet, Publish, TopicId, TopicRef};
//!
//! let packet = Packet::Publish(Publish {
//!     delivery: Delivery::AtMostOnce,
//!     retain: false,
//!     topic: TopicRef::Predefined(TopicId(7)),
//!     payload: b"21.5",
//! });
//! let mut datagram = [0; 64];
//! let length = packet.encode(&mut datagram)?;
//! assert_eq!(datagram[..length], *b"\x0b\x0c\x01\x00\x07\x00\x0021.5");
//! assert_eq!(Packet::decode(&datagram[..length]), Ok(packet));
//! # Ok::<(), weir_node::mqtt_sn_1_2::EncodeError>(())
//! ```

// A module uses modules listed below it, never above.
mod packet;

mod connect;
mod encapsulated;
mod gateway;
mod publish;
mod register;
mod subscribe;
mod unsubscribe;
mod will;

mod header;

mod topic;

mod flags;

mod reader;
mod writer;

mod error;

mod kind;
mod message_id;
mod qos;
mod return_code;

pub use self::connect::Connect;
pub use self::encapsulated::Encapsulated;
pub use self::error::{DecodeError, EncodeError};
pub use self::gateway::{Advertise, GwInfo};
pub use self::kind::PacketKind;
pub use self::message_id::MessageId;
pub use self::packet::Packet;
pub use self::publish::{Delivery, Puback, Publish};
pub use self::qos::QoS;
pub use self::register::{Regack, Register};
pub use self::return_code::ReturnCode;
pub use self::subscribe::{Suback, Subscribe};
pub use self::topic::{SubscribeTopic, TopicId, TopicRef};
pub use self::unsubscribe::Unsubscribe;
pub use self::will::WillTopic;

#[cfg(test)]
mod tests;
