//! Reason codes.
//!
//! Responsible for the codes of MQTT 5.0, for which packet may carry which, and for their
//! nearest relatives in the CONNACK of 3.1 and 3.1.1.

use core::fmt;

use crate::kind::PacketKind;

/// What became of a request, as MQTT 5.0 numbers it. Codes from 0x80 on are failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ReasonCode {
    /// Done. Also "normal disconnection" and "granted QoS 0".
    #[default]
    Success = 0x00,
    /// The subscription is granted at QoS 1.
    GrantedQoS1 = 0x01,
    /// The subscription is granted at QoS 2.
    GrantedQoS2 = 0x02,
    /// The client leaves and wants its will published.
    DisconnectWithWill = 0x04,
    /// The message was accepted, but nobody subscribes to it.
    NoMatchingSubscribers = 0x10,
    /// There was no such subscription to remove.
    NoSubscriptionExisted = 0x11,
    /// Authentication goes on with another step.
    ContinueAuthentication = 0x18,
    /// The client starts a re-authentication.
    Reauthenticate = 0x19,
    /// A failure that the sender does not want to explain.
    UnspecifiedError = 0x80,
    /// The packet could not be parsed.
    MalformedPacket = 0x81,
    /// The packet was well formed but out of place.
    ProtocolError = 0x82,
    /// Valid, but this implementation does not accept it.
    ImplementationSpecificError = 0x83,
    /// The server does not speak this version of the protocol.
    UnsupportedProtocolVersion = 0x84,
    /// The client identifier is not allowed.
    ClientIdentifierNotValid = 0x85,
    /// The user name or the password is wrong.
    BadUserNameOrPassword = 0x86,
    /// The client may not do this.
    NotAuthorized = 0x87,
    /// The server is not available.
    ServerUnavailable = 0x88,
    /// The server is busy; try again later.
    ServerBusy = 0x89,
    /// The client is banned.
    Banned = 0x8A,
    /// The server is shutting down.
    ServerShuttingDown = 0x8B,
    /// The authentication method is unknown or not the one in use.
    BadAuthenticationMethod = 0x8C,
    /// Nothing arrived for one and a half keep-alive periods.
    KeepAliveTimeout = 0x8D,
    /// Another connection uses the same client identifier.
    SessionTakenOver = 0x8E,
    /// The topic filter is not accepted.
    TopicFilterInvalid = 0x8F,
    /// The topic name is not accepted.
    TopicNameInvalid = 0x90,
    /// The packet identifier is already in use.
    PacketIdentifierInUse = 0x91,
    /// The packet identifier is not known.
    PacketIdentifierNotFound = 0x92,
    /// More unacknowledged messages than the receive maximum.
    ReceiveMaximumExceeded = 0x93,
    /// The topic alias is zero or above the maximum.
    TopicAliasInvalid = 0x94,
    /// The packet is larger than the maximum packet size.
    PacketTooLarge = 0x95,
    /// Too many messages in too little time.
    MessageRateTooHigh = 0x96,
    /// A limit of the implementation or the administrator is reached.
    QuotaExceeded = 0x97,
    /// An administrator closed the connection.
    AdministrativeAction = 0x98,
    /// The payload is not of the format it claims.
    PayloadFormatInvalid = 0x99,
    /// The server keeps no retained messages.
    RetainNotSupported = 0x9A,
    /// The server does not support this QoS.
    QoSNotSupported = 0x9B,
    /// Use another server, for now.
    UseAnotherServer = 0x9C,
    /// Use another server, for good.
    ServerMoved = 0x9D,
    /// The server has no shared subscriptions.
    SharedSubscriptionsNotSupported = 0x9E,
    /// Too many connections in too little time.
    ConnectionRateExceeded = 0x9F,
    /// The connection has lasted as long as it may.
    MaximumConnectTime = 0xA0,
    /// The server has no subscription identifiers.
    SubscriptionIdentifiersNotSupported = 0xA1,
    /// The server has no wildcard subscriptions.
    WildcardSubscriptionsNotSupported = 0xA2,
}

impl ReasonCode {
    /// Whether the code says that something failed.
    pub const fn is_error(self) -> bool {
        self as u8 >= 0x80
    }

    /// Whether MQTT 5.0 lists the code for this kind of packet. DISCONNECT is the union of what
    /// clients and servers may send.
    pub const fn is_allowed_in(self, kind: PacketKind) -> bool {
        let set = match kind {
            PacketKind::Connack => CONNACK,
            PacketKind::Puback | PacketKind::Pubrec => PUBACK,
            PacketKind::Pubrel | PacketKind::Pubcomp => PUBREL,
            PacketKind::Suback => SUBACK,
            PacketKind::Unsuback => UNSUBACK,
            PacketKind::Disconnect => DISCONNECT,
            PacketKind::Auth => AUTH,
            _ => 0,
        };
        set & self.bit() != 0
    }

    /// The return code of a CONNACK of 3.1 and 3.1.1 that comes nearest; `None` when there is
    /// none that fits and the connection is to be closed without a word [MQTT-3.2.2-6].
    pub const fn connect_return_code(self) -> Option<u8> {
        Some(match self {
            Self::Success => 0,
            Self::UnsupportedProtocolVersion => 1,
            Self::ClientIdentifierNotValid => 2,
            Self::ServerUnavailable
            | Self::ServerBusy
            | Self::ServerShuttingDown
            | Self::QuotaExceeded
            | Self::UseAnotherServer
            | Self::ServerMoved
            | Self::ConnectionRateExceeded => 3,
            Self::BadUserNameOrPassword => 4,
            Self::NotAuthorized | Self::Banned | Self::BadAuthenticationMethod => 5,
            _ => return None,
        })
    }

    /// The code that a return code of 3.1 and 3.1.1 stands for.
    pub(crate) const fn from_connect_return_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Success,
            1 => Self::UnsupportedProtocolVersion,
            2 => Self::ClientIdentifierNotValid,
            3 => Self::ServerUnavailable,
            4 => Self::BadUserNameOrPassword,
            5 => Self::NotAuthorized,
            _ => return None,
        })
    }

    /// The place of the code in a set: those below 0x80 reach to 0x19, the failures to 0xA2.
    const fn bit(self) -> u64 {
        let code = self as u8;
        1 << if code < 0x80 { code } else { code - 0x80 + FIRST_FAILURE_BIT }
    }
}

impl TryFrom<u8> for ReasonCode {
    type Error = u8;

    /// Gives the number back when it is no reason code.
    fn try_from(value: u8) -> Result<Self, u8> {
        Ok(match value {
            0x00 => Self::Success,
            0x01 => Self::GrantedQoS1,
            0x02 => Self::GrantedQoS2,
            0x04 => Self::DisconnectWithWill,
            0x10 => Self::NoMatchingSubscribers,
            0x11 => Self::NoSubscriptionExisted,
            0x18 => Self::ContinueAuthentication,
            0x19 => Self::Reauthenticate,
            0x80 => Self::UnspecifiedError,
            0x81 => Self::MalformedPacket,
            0x82 => Self::ProtocolError,
            0x83 => Self::ImplementationSpecificError,
            0x84 => Self::UnsupportedProtocolVersion,
            0x85 => Self::ClientIdentifierNotValid,
            0x86 => Self::BadUserNameOrPassword,
            0x87 => Self::NotAuthorized,
            0x88 => Self::ServerUnavailable,
            0x89 => Self::ServerBusy,
            0x8A => Self::Banned,
            0x8B => Self::ServerShuttingDown,
            0x8C => Self::BadAuthenticationMethod,
            0x8D => Self::KeepAliveTimeout,
            0x8E => Self::SessionTakenOver,
            0x8F => Self::TopicFilterInvalid,
            0x90 => Self::TopicNameInvalid,
            0x91 => Self::PacketIdentifierInUse,
            0x92 => Self::PacketIdentifierNotFound,
            0x93 => Self::ReceiveMaximumExceeded,
            0x94 => Self::TopicAliasInvalid,
            0x95 => Self::PacketTooLarge,
            0x96 => Self::MessageRateTooHigh,
            0x97 => Self::QuotaExceeded,
            0x98 => Self::AdministrativeAction,
            0x99 => Self::PayloadFormatInvalid,
            0x9A => Self::RetainNotSupported,
            0x9B => Self::QoSNotSupported,
            0x9C => Self::UseAnotherServer,
            0x9D => Self::ServerMoved,
            0x9E => Self::SharedSubscriptionsNotSupported,
            0x9F => Self::ConnectionRateExceeded,
            0xA0 => Self::MaximumConnectTime,
            0xA1 => Self::SubscriptionIdentifiersNotSupported,
            0xA2 => Self::WildcardSubscriptionsNotSupported,
            other => return Err(other),
        })
    }
}

impl From<ReasonCode> for u8 {
    fn from(code: ReasonCode) -> Self {
        code as Self
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:02x}", *self as u8)
    }
}

const FIRST_FAILURE_BIT: u8 = 26;

/// The codes as a set, one bit for each.
const fn set(codes: &[ReasonCode]) -> u64 {
    let mut bits = 0;
    let mut rest = codes;
    while let [code, tail @ ..] = rest {
        bits |= code.bit();
        rest = tail;
    }
    bits
}

/// Short, for the tables below.
type R = ReasonCode;

const CONNACK: u64 = set(&[
    R::Success,
    R::UnspecifiedError,
    R::MalformedPacket,
    R::ProtocolError,
    R::ImplementationSpecificError,
    R::UnsupportedProtocolVersion,
    R::ClientIdentifierNotValid,
    R::BadUserNameOrPassword,
    R::NotAuthorized,
    R::ServerUnavailable,
    R::ServerBusy,
    R::Banned,
    R::BadAuthenticationMethod,
    R::TopicNameInvalid,
    R::PacketTooLarge,
    R::QuotaExceeded,
    R::PayloadFormatInvalid,
    R::RetainNotSupported,
    R::QoSNotSupported,
    R::UseAnotherServer,
    R::ServerMoved,
    R::ConnectionRateExceeded,
]);

const PUBACK: u64 = set(&[
    R::Success,
    R::NoMatchingSubscribers,
    R::UnspecifiedError,
    R::ImplementationSpecificError,
    R::NotAuthorized,
    R::TopicNameInvalid,
    R::PacketIdentifierInUse,
    R::QuotaExceeded,
    R::PayloadFormatInvalid,
]);

const PUBREL: u64 = set(&[R::Success, R::PacketIdentifierNotFound]);

const SUBACK: u64 = set(&[
    R::Success,
    R::GrantedQoS1,
    R::GrantedQoS2,
    R::UnspecifiedError,
    R::ImplementationSpecificError,
    R::NotAuthorized,
    R::TopicFilterInvalid,
    R::PacketIdentifierInUse,
    R::QuotaExceeded,
    R::SharedSubscriptionsNotSupported,
    R::SubscriptionIdentifiersNotSupported,
    R::WildcardSubscriptionsNotSupported,
]);

const UNSUBACK: u64 = set(&[
    R::Success,
    R::NoSubscriptionExisted,
    R::UnspecifiedError,
    R::ImplementationSpecificError,
    R::NotAuthorized,
    R::TopicFilterInvalid,
    R::PacketIdentifierInUse,
]);

/// The table of DISCONNECT does not list `BadAuthenticationMethod`, the table of all reason codes
/// says that DISCONNECT may carry it, and a failed re-authentication needs it.
const DISCONNECT: u64 = set(&[
    R::Success,
    R::DisconnectWithWill,
    R::UnspecifiedError,
    R::MalformedPacket,
    R::ProtocolError,
    R::ImplementationSpecificError,
    R::NotAuthorized,
    R::ServerBusy,
    R::ServerShuttingDown,
    R::BadAuthenticationMethod,
    R::KeepAliveTimeout,
    R::SessionTakenOver,
    R::TopicFilterInvalid,
    R::TopicNameInvalid,
    R::ReceiveMaximumExceeded,
    R::TopicAliasInvalid,
    R::PacketTooLarge,
    R::MessageRateTooHigh,
    R::QuotaExceeded,
    R::AdministrativeAction,
    R::PayloadFormatInvalid,
    R::RetainNotSupported,
    R::QoSNotSupported,
    R::UseAnotherServer,
    R::ServerMoved,
    R::SharedSubscriptionsNotSupported,
    R::ConnectionRateExceeded,
    R::MaximumConnectTime,
    R::SubscriptionIdentifiersNotSupported,
    R::WildcardSubscriptionsNotSupported,
]);

const AUTH: u64 = set(&[R::Success, R::ContinueAuthentication, R::Reauthenticate]);
