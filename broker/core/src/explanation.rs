//! Why something was refused, in words: the Reason String of MQTT 5.
//!
//! The texts are for people who read the log of a client, so they say what to look at. They are
//! constants: nothing that a client sent comes back in one. A client that does not ask for them
//! gets them in CONNACK and DISCONNECT only [MQTT-3.1.2-29], and no packet becomes longer than
//! its client takes because of one [MQTT-3.2.2-19] [MQTT-3.4.2-2] [MQTT-3.14.2-3].

use weir_mqtt::{Acknowledge, Connack, ConnackProperties, Disconnect, Packet, ReasonCode, Suback};
use weir_mqtt::{EncodeError, Version};

use crate::connection::Connection;

/// A reason code, and a text that says more than it does.
pub(crate) type Refusal = (ReasonCode, &'static str);

/// Appends a packet to a client, with an explanation if it refuses something and the client can
/// take that.
pub(crate) fn encode(
    packet: &Packet<'_>,
    connection: &Connection,
    frame: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    encode_because(packet, None, connection, frame)
}

/// The same with a text that says more than its reason code does, if there is one.
pub(crate) fn encode_because(
    packet: &Packet<'_>,
    why: Option<Refusal>,
    connection: &Connection,
    frame: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let is_wanted = connection.wants_explanations
        || matches!(packet, Packet::Connack(_) | Packet::Disconnect(_));
    let explained =
        explained(packet, why).filter(|_| is_wanted && connection.version == Version::V5);
    if let Some(explained) = explained {
        let start = frame.len();
        explained.encode(Version::V5, frame)?;
        if frame.len() - start <= connection.packet_bytes_max {
            return Ok(());
        }
        frame.truncate(start);
    }
    packet.encode(connection.version, frame)
}

/// The packet with the explanation of its reason, if that is an error.
fn explained<'a>(packet: &Packet<'a>, why: Option<Refusal>) -> Option<Packet<'a>> {
    let text = |reason| match why {
        Some((of, why)) if of == reason => Some(why),
        _ => text(reason),
    };
    let explain = |acknowledge: &Acknowledge<'a>| {
        let reason_string = Some(text(acknowledge.reason)?);
        Some(Acknowledge { reason_string, ..*acknowledge })
    };
    Some(match packet {
        Packet::Connack(connack) => {
            let reason_string = Some(text(connack.reason)?);
            let properties = ConnackProperties { reason_string, ..connack.properties };
            Packet::Connack(Connack { properties, ..*connack })
        }
        Packet::Disconnect(disconnect) => {
            let reason_string = Some(text(disconnect.reason)?);
            Packet::Disconnect(Disconnect { reason_string, ..*disconnect })
        }
        Packet::Puback(acknowledge) => Packet::Puback(explain(acknowledge)?),
        Packet::Pubcomp(acknowledge) => Packet::Pubcomp(explain(acknowledge)?),
        Packet::Pubrec(acknowledge) => Packet::Pubrec(explain(acknowledge)?),
        Packet::Pubrel(acknowledge) => Packet::Pubrel(explain(acknowledge)?),
        Packet::Suback(suback) => {
            // The first filter that was refused; a packet has one text for all.
            let reason_string = Some(suback.reasons.iter().find_map(text)?);
            Packet::Suback(Suback { reason_string, ..*suback })
        }
        _ => return None,
    })
}

/// What an error means here.
fn text(reason: ReasonCode) -> Option<&'static str> {
    Some(match reason {
        ReasonCode::MalformedPacket => "the packet does not follow the format of MQTT",
        ReasonCode::ProtocolError => "the packet is not allowed here, or contradicts itself",
        ReasonCode::UnsupportedProtocolVersion => "this broker speaks MQTT 3.1, 3.1.1 and 5.0",
        ReasonCode::ClientIdentifierNotValid => "the client identifier is too long",
        ReasonCode::BadUserNameOrPassword => "the user name or the password is wrong",
        ReasonCode::NotAuthorized => "the client may not do this",
        ReasonCode::ServerUnavailable => "the broker cannot serve this client now",
        ReasonCode::ServerBusy => "the broker is busy; try again later",
        ReasonCode::Banned => "the client was banned",
        ReasonCode::ServerShuttingDown => "the broker is shutting down",
        ReasonCode::BadAuthenticationMethod => "the authentication method is not supported",
        ReasonCode::KeepAliveTimeout => "nothing was heard for one and a half keep alives",
        ReasonCode::SessionTakenOver => "another connection uses the same client identifier",
        ReasonCode::TopicFilterInvalid => "the topic filter is malformed, too long or too deep",
        ReasonCode::TopicNameInvalid => {
            "the topic name is malformed, too long or too deep, or its delay is not allowed"
        }
        ReasonCode::PacketIdentifierNotFound => "no message with this packet identifier is open",
        ReasonCode::ReceiveMaximumExceeded => {
            "more messages without an acknowledgement than the receive maximum of the broker"
        }
        ReasonCode::TopicAliasInvalid => {
            "the topic alias is unknown, zero, or above the maximum of the broker"
        }
        ReasonCode::PacketTooLarge => "the packet is longer than the maximum packet size",
        ReasonCode::MessageRateTooHigh => "too many messages in too little time",
        ReasonCode::QuotaExceeded => "a limit of the broker is reached",
        ReasonCode::AdministrativeAction => "closed by an administrator",
        ReasonCode::RetainNotSupported => "retained messages are switched off",
        ReasonCode::QoSNotSupported => "the QoS is above the maximum of the broker",
        ReasonCode::ConnectionRateExceeded => "too many connections in too little time",
        _ => return None,
    })
}
