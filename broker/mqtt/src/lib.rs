//! MQTT 3.1, 3.1.1 and 5.0 wire format, strict and sans-IO.
//!
//! Bytes in, values out, and back: [`frame_len`] finds the end of a packet in a stream,
//! [`Packet::decode`] reads one whole packet, [`Packet::encode`] writes one. Packets borrow from
//! the bytes they were read from, so that decoding allocates nothing. Both directions are here,
//! what clients send and what servers send.
//!
//! The crate is strict: what the standard forbids inside one packet is refused with a
//! [`DecodeError`] that knows its MQTT reason code, and no input makes it panic. What needs the
//! state of a connection (the order of packets, limits announced earlier, who may send what)
//! belongs to the caller.
//!
//! ```
//! use weir_mqtt::{Packet, Version, frame_len};
//!
//! let stream = b"\x30\x0b\x00\x05plant21.5\xc0\x00";
//! let end = frame_len(stream)?.expect("the first packet is complete");
//! let Packet::Publish(publish) = Packet::decode(&stream[..end], Version::V311)? else {
//!     unreachable!("the first byte says PUBLISH")
//! };
//! assert_eq!((publish.topic, publish.payload), ("plant", &b"21.5"[..]));
//! # Ok::<(), weir_mqtt::DecodeError>(())
//! ```
#![no_std]
#![warn(clippy::indexing_slicing)]

extern crate alloc;

// A module uses modules listed below it, never above.
mod packet;

mod codec;

mod subscription_identifiers;
mod user_properties;

mod property;

mod frame;

mod reader;
mod writer;

mod topic;

mod text;
mod varint;

mod error;
mod reason;

mod hidden;

mod kind;
mod packet_id;
mod qos;
mod version;

pub use codec::acknowledge::Acknowledge;
pub use codec::auth::Auth;
pub use codec::connack::{Connack, ConnackProperties};
pub use codec::connect::{Connect, ConnectProperties};
pub use codec::delivery::Delivery;
pub use codec::disconnect::Disconnect;
pub use codec::publish::{Publish, PublishProperties};
pub use codec::reasons::ReasonCodes;
pub use codec::subscribe::{
    RetainHandling, Suback, Subscribe, SubscribeFilter, SubscribeFilters, SubscribeProperties,
    SubscriptionOptions,
};
pub use codec::unsubscribe::{Unsuback, Unsubscribe, UnsubscribeFilters};
pub use codec::will::{Will, WillProperties};
pub use error::{DecodeError, EncodeError, TopicError};
pub use frame::frame_len;
pub use kind::PacketKind;
pub use packet::Packet;
pub use packet_id::PacketId;
pub use qos::QoS;
pub use reason::ReasonCode;
pub use subscription_identifiers::SubscriptionIdentifiers;
pub use topic::{TopicFilter, TopicName};
pub use user_properties::UserProperties;
pub use varint::VARINT_MAX;
pub use version::Version;
