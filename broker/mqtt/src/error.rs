//! What can be wrong with a packet, on the way in and on the way out.
//!
//! Responsible for naming each defect and for the reason code that a server of MQTT 5.0 gives
//! for it. Errors are small and `Copy`: a hostile client must not cost memory.

use thiserror::Error;

use crate::kind::PacketKind;
use crate::reason::ReasonCode;

/// Why bytes are not a packet.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// Authentication data came without an authentication method.
    #[error("authentication data without an authentication method")]
    AuthenticationDataWithoutMethod,
    /// An AUTH packet names no authentication method.
    #[error("authentication method is missing")]
    AuthenticationMethodMissing,
    /// A reserved bit of the CONNACK flags is set.
    #[error("reserved connack flag is set")]
    ConnackFlagsReserved,
    /// The reserved bit of the CONNECT flags is set.
    #[error("reserved connect flag is set")]
    ConnectFlagsReserved,
    /// A QoS 0 PUBLISH claims to be a redelivery.
    #[error("dup is set on a qos 0 publish")]
    DupWithQoS0,
    /// A SUBSCRIBE or UNSUBSCRIBE holds no topic filter.
    #[error("no topic filter")]
    FiltersEmpty,
    /// The flags in the first byte are not those of the packet type.
    #[error("{0} has wrong flags in its first byte")]
    FlagsInvalid(PacketKind),
    /// No-local is set on a shared subscription.
    #[error("no local on a shared subscription")]
    NoLocalOnShared,
    /// The packet identifier is zero.
    #[error("packet identifier is zero")]
    PacketIdZero,
    /// The packet type does not exist in this version of the protocol.
    #[error("{0} does not exist in this version of the protocol")]
    PacketNotInVersion(PacketKind),
    /// The first byte names the reserved packet type 0.
    #[error("packet type 0 is reserved")]
    PacketTypeReserved,
    /// A CONNECT below 5.0 has a password and no user name.
    #[error("password without a user name")]
    PasswordWithoutUserName,
    /// A property that may occur once occurs again.
    #[error("property 0x{0:02x} occurs twice")]
    PropertyDuplicate(u8),
    /// The property exists, but not in this packet.
    #[error("property 0x{0:02x} is not allowed here")]
    PropertyNotAllowed(u8),
    /// There is no such property.
    #[error("property 0x{0:02x} does not exist")]
    PropertyUnknown(u32),
    /// The value of the property is outside of what is allowed.
    #[error("property 0x{0:02x} has a value that is not allowed")]
    PropertyValueInvalid(u8),
    /// The protocol name is neither `MQTT` nor `MQIsdp`.
    #[error("protocol name is not known")]
    ProtocolNameUnknown,
    /// The protocol level is not served.
    #[error("protocol level {0} is not served")]
    ProtocolVersionUnsupported(u8),
    /// The QoS of a PUBLISH is 3.
    #[error("qos 3 does not exist")]
    QoSInvalid,
    /// The reason code does not exist or is not listed for this packet.
    #[error("reason code 0x{code:02x} is not allowed in {kind}")]
    ReasonNotAllowed {
        /// The packet.
        kind: PacketKind,
        /// The code found.
        code: u8,
    },
    /// A SUBACK or UNSUBACK holds no reason code.
    #[error("no reason code")]
    ReasonsEmpty,
    /// Retain handling is 3.
    #[error("retain handling 3 does not exist")]
    RetainHandlingInvalid,
    /// A CONNACK that refuses says that a session is present.
    #[error("session present in a refusal")]
    SessionPresentWithError,
    /// A reserved bit of the subscription options is set.
    #[error("reserved subscription option is set")]
    SubscriptionOptionsReserved,
    /// The QoS of a subscription is 3.
    #[error("subscription with qos 3, which does not exist")]
    SubscriptionQoSInvalid,
    /// A text field holds U+0000.
    #[error("text holds u+0000")]
    TextHasNul,
    /// A text field is not UTF-8.
    #[error("text is not utf-8")]
    TextNotUtf8,
    /// A topic alias is zero.
    #[error("topic alias is zero")]
    TopicAliasZero,
    /// A topic filter breaks the rules for filters.
    #[error("topic filter: {0}")]
    TopicFilter(#[source] TopicError),
    /// A PUBLISH has an empty topic name and no topic alias.
    #[error("neither topic name nor topic alias")]
    TopicMissing,
    /// A topic name breaks the rules for names.
    #[error("topic name: {0}")]
    TopicName(#[source] TopicError),
    /// The packet goes on after its last field.
    #[error("bytes after the end of the packet")]
    TrailingBytes,
    /// The packet ends inside a field.
    #[error("packet ends inside a field")]
    Truncated,
    /// A variable byte integer is not in its shortest form.
    #[error("variable byte integer is not in its shortest form")]
    VarintNotMinimal,
    /// A variable byte integer is longer than four bytes.
    #[error("variable byte integer is longer than four bytes")]
    VarintTooLong,
    /// The will QoS or will retain flag is set without the will flag, or the will QoS is 3.
    #[error("will flags contradict each other")]
    WillFlagsInvalid,
}

impl DecodeError {
    /// The reason code with which a server of MQTT 5.0 closes the connection.
    pub const fn reason(self) -> ReasonCode {
        match self {
            Self::ProtocolNameUnknown | Self::ProtocolVersionUnsupported(_) => {
                ReasonCode::UnsupportedProtocolVersion
            }
            Self::TopicAliasZero => ReasonCode::TopicAliasInvalid,
            Self::TopicFilter(_) => ReasonCode::TopicFilterInvalid,
            Self::TopicName(_) => ReasonCode::TopicNameInvalid,
            Self::AuthenticationDataWithoutMethod
            | Self::AuthenticationMethodMissing
            | Self::FiltersEmpty
            | Self::NoLocalOnShared
            | Self::PacketIdZero
            | Self::PacketNotInVersion(_)
            | Self::PropertyDuplicate(_)
            | Self::PropertyValueInvalid(_)
            | Self::ReasonNotAllowed { .. }
            | Self::ReasonsEmpty
            | Self::RetainHandlingInvalid
            | Self::SessionPresentWithError
            | Self::SubscriptionQoSInvalid
            | Self::TopicMissing => ReasonCode::ProtocolError,
            _ => ReasonCode::MalformedPacket,
        }
    }
}

/// Why a packet cannot be written: the value holds what the standard forbids.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// Authentication data is given without an authentication method.
    #[error("authentication data without an authentication method")]
    AuthenticationDataWithoutMethod,
    /// An AUTH packet names no authentication method.
    #[error("authentication method is missing")]
    AuthenticationMethodMissing,
    /// A QoS 0 PUBLISH claims to be a redelivery.
    #[error("dup is set on a qos 0 publish")]
    DupWithQoS0,
    /// A text or binary field is longer than 65,535 bytes.
    #[error("field is longer than 65535 bytes")]
    FieldTooLong,
    /// A SUBSCRIBE or UNSUBSCRIBE holds no topic filter.
    #[error("no topic filter")]
    FiltersEmpty,
    /// No-local is set on a shared subscription.
    #[error("no local on a shared subscription")]
    NoLocalOnShared,
    /// A PUBLISH above QoS 0 has no packet identifier.
    #[error("packet identifier is missing")]
    PacketIdMissing,
    /// A QoS 0 PUBLISH has a packet identifier.
    #[error("packet identifier on a qos 0 publish")]
    PacketIdWithQoS0,
    /// The packet type does not exist in this version of the protocol.
    #[error("{0} does not exist in this version of the protocol")]
    PacketNotInVersion(PacketKind),
    /// The packet is longer than a remaining length can say.
    #[error("packet is longer than 268435455 bytes")]
    PacketTooLarge,
    /// A CONNECT below 5.0 has a password and no user name.
    #[error("password without a user name")]
    PasswordWithoutUserName,
    /// The value of the property is outside of what is allowed.
    #[error("property 0x{0:02x} has a value that is not allowed")]
    PropertyValueInvalid(u8),
    /// The reason code is not listed for this packet in this version of the protocol.
    #[error("reason code {reason} is not allowed in {kind}")]
    ReasonNotAllowed {
        /// The packet.
        kind: PacketKind,
        /// The code given.
        reason: ReasonCode,
    },
    /// A SUBACK or UNSUBACK holds no reason code.
    #[error("no reason code")]
    ReasonsEmpty,
    /// A CONNACK that refuses says that a session is present.
    #[error("session present in a refusal")]
    SessionPresentWithError,
    /// A text field holds U+0000.
    #[error("text holds u+0000")]
    TextHasNul,
    /// A PUBLISH has an empty topic name and no topic alias.
    #[error("neither topic name nor topic alias")]
    TopicMissing,
    /// A topic name breaks the rules for names.
    #[error("topic name: {0}")]
    TopicName(#[source] TopicError),
}

/// Why text is not a topic name or not a topic filter.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopicError {
    /// The text is empty.
    #[error("is empty")]
    Empty,
    /// The text holds U+0000.
    #[error("holds u+0000")]
    HasNul,
    /// A topic name holds `+` or `#`.
    #[error("a name cannot hold wildcards")]
    HasWildcard,
    /// `#` is not alone in the last level.
    #[error("# must be alone in the last level")]
    MultiLevelWildcardMisplaced,
    /// `$share/name` is not followed by a filter.
    #[error("no filter after the share name")]
    ShareFilterMissing,
    /// The share name is empty or holds `+` or `#`.
    #[error("share name is empty or holds a wildcard")]
    ShareNameInvalid,
    /// `+` is not alone in its level.
    #[error("+ must be alone in its level")]
    SingleLevelWildcardMisplaced,
    /// The text is longer than 65,535 bytes.
    #[error("is longer than 65535 bytes")]
    TooLong,
}
