//! What a client says: whole packets of any kind, and what becomes of them on a bad wire.

use std::num::{NonZeroU16, NonZeroU32};

use weir_mqtt::{
    Acknowledge, Auth, Connect, ConnectProperties, Disconnect, Packet, PacketId, Publish,
    PublishProperties, QoS, ReasonCode, RetainHandling, Subscribe, SubscribeFilter,
    SubscribeProperties, SubscriptionOptions, TopicFilter, Unsubscribe, UserProperties, Version,
    Will, WillProperties,
};

use super::script::Script;

const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
const TOPICS: [&str; 8] = ["t/0", "t/1", "t/0", "t/1", "t", "t/0/deep", "u/t/0", "$delayed/1/t/0"];
/// Topics that nobody may publish to, or not like that.
const BAD_TOPICS: [&str; 4] = ["$delayed/x", "$SYS/x", "$dead/x", "/"];
const FILTERS: [&str; 12] = [
    "t/#",
    "t/+",
    "t/0",
    "#",
    "$share/g/t/#",
    "$share/g/t/0",
    "$share/h/t/#",
    "+/+",
    "$dead/#",
    "$SYS/#",
    "u/#",
    "t/1",
];

/// The names of clients; one without a name is given one.
pub(super) const CLIENTS: [&str; 6] = ["a", "b", "c", "d", "e", ""];

/// CONNECT of a client.
pub(super) fn connect(script: &mut Script<'_>, client_id: &str) -> Vec<u8> {
    let version = script.one_of(&[Version::V5, Version::V311, Version::V5, Version::V31]);
    let with_will = script.is_rare(3);
    let will = with_will.then(|| Will {
        topic: script.one_of(&["t/0", "w", "$SYS/w"]),
        payload: script.one_of(&[&b"gone"[..], b""]),
        qos: script.one_of(&QOS),
        retain: script.is_rare(2),
        properties: WillProperties {
            will_delay_interval_s: script.one_of(&[None, Some(1), Some(5000)]),
            message_expiry_interval_s: script.one_of(&[None, Some(1)]),
            ..WillProperties::default()
        },
    });
    let method = script.one_of(&[None, None, None, Some("SCRAM")]);
    let connect = Connect {
        clean_start: script.is_rare(3),
        keep_alive_s: script.one_of(&[0, 1, 60]),
        will,
        username: script.one_of(&[None, Some("user")]),
        properties: ConnectProperties {
            session_expiry_interval_s: script.one_of(&[Some(500), None, Some(1), Some(u32::MAX)]),
            receive_maximum: NonZeroU16::new(script.one_of(&[0, 1, 2, 10])),
            maximum_packet_size: NonZeroU32::new(script.one_of(&[0, 0, 60, 100, 500])),
            topic_alias_maximum: script.one_of(&[None, Some(1), Some(10)]),
            request_response_information: script.one_of(&[None, Some(true)]),
            request_problem_information: script.one_of(&[None, Some(false)]),
            authentication_method: method,
            authentication_data: method.map(|_| &b"first"[..]),
            ..ConnectProperties::default()
        },
        ..Connect::new(version, client_id)
    };
    encode(&Packet::Connect(connect), version)
}

/// What a client knows when it chooses a packet.
pub(super) struct Situation<'a> {
    pub(super) version: Version,
    /// Like no other.
    pub(super) payload: &'a str,
    /// Identifiers that it has received.
    pub(super) inflight: &'a [PacketId],
    /// It does what ends its connection, too.
    pub(super) is_rough: bool,
}

/// Any packet but CONNECT.
pub(super) fn packet(script: &mut Script<'_>, situation: &Situation<'_>) -> Vec<u8> {
    let Situation { version, inflight, is_rough, .. } = *situation;
    let packet_id = PacketId::new(1 + u16::from(script.byte() % 4)).expect("one or more");
    let known = if inflight.is_empty() { packet_id } else { script.one_of(inflight) };
    let reason =
        script.one_of(&[ReasonCode::Success, ReasonCode::Success, ReasonCode::QuotaExceeded]);
    let acknowledge = Acknowledge::with_reason(known, reason);
    let filter = |script: &mut Script<'_>| {
        TopicFilter::parse(script.one_of(&FILTERS)).expect("a valid filter")
    };
    let packet = match script.below(32) {
        0..=11 => return publish(script, packet_id, situation),
        12..=14 => Packet::Puback(acknowledge),
        15..=17 => Packet::Pubrec(acknowledge),
        18 | 19 => Packet::Pubrel(Acknowledge::success(packet_id)),
        20 | 21 => Packet::Pubcomp(Acknowledge::success(known)),
        22..=26 => return subscribe(script, version, packet_id),
        27 => {
            let filters = [filter(script), filter(script)];
            let user_properties = UserProperties::default();
            let filters = filters[..1 + script.below(2)].into();
            let unsubscribe = Unsubscribe { packet_id, user_properties, filters };
            return encode(&Packet::Unsubscribe(unsubscribe), version);
        }
        28 if is_rough || script.is_rare(4) => Packet::Disconnect(Disconnect {
            reason: script.one_of(&[ReasonCode::Success, ReasonCode::DisconnectWithWill]),
            session_expiry_interval_s: script.one_of(&[None, Some(0), Some(3)]),
            ..Disconnect::default()
        }),
        29 if is_rough && version == Version::V5 => Packet::Auth(Auth {
            reason: script
                .one_of(&[ReasonCode::ContinueAuthentication, ReasonCode::Reauthenticate]),
            authentication_method: Some("SCRAM"),
            authentication_data: Some(b"next"),
            ..Auth::default()
        }),
        // What only a server says.
        30 if is_rough && script.is_rare(4) => Packet::Pingresp,
        _ => Packet::Pingreq,
    };
    encode(&packet, version)
}

fn publish(script: &mut Script<'_>, packet_id: PacketId, situation: &Situation<'_>) -> Vec<u8> {
    let Situation { version, payload, is_rough, .. } = *situation;
    let qos = script.one_of(&QOS);
    let is_bad = is_rough && script.is_rare(8);
    let alias = script.one_of(if is_bad { &[2, 3] } else { &[0, 0, 0, 1] });
    let alias = NonZeroU16::new(alias);
    let is_named = !is_bad || version != Version::V5 || script.is_rare(2);
    let topic = if is_bad { script.one_of(&BAD_TOPICS) } else { script.one_of(&TOPICS) };
    let padded = match script.below(8) {
        0 => String::new(),
        1 => format!("{payload:-<300}"),
        2 if is_bad => format!("{payload:-<2500}"),
        _ => payload.to_owned(),
    };
    let publish = Publish {
        dup: qos > QoS::AtMostOnce && script.is_rare(4),
        qos,
        retain: script.is_rare(4),
        packet_id: (qos > QoS::AtMostOnce).then_some(packet_id),
        properties: PublishProperties {
            message_expiry_interval_s: script.one_of(&[None, None, Some(1), Some(100)]),
            topic_alias: alias,
            ..PublishProperties::default()
        },
        ..Publish::new(if is_named { topic } else { "" }, padded.as_bytes())
    };
    encode(&Packet::Publish(publish), version)
}

fn subscribe(script: &mut Script<'_>, version: Version, packet_id: PacketId) -> Vec<u8> {
    let handling = [RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend];
    let mut wanted = Vec::new();
    for _ in 0..=script.below(3) {
        let filter = TopicFilter::parse(script.one_of(&FILTERS)).expect("a valid filter");
        let options = SubscriptionOptions {
            qos: script.one_of(&QOS),
            no_local: filter.share_name().is_none() && script.is_rare(4),
            retain_as_published: script.is_rare(2),
            retain_handling: script.one_of(&handling),
        };
        wanted.push(SubscribeFilter { filter, options });
    }
    let subscription_identifier = script.one_of(&[None, None, Some(1), Some(300_000)]);
    let properties =
        SubscribeProperties { subscription_identifier, user_properties: UserProperties::default() };
    let subscribe = Subscribe { packet_id, properties, filters: (&wanted[..]).into() };
    encode(&Packet::Subscribe(subscribe), version)
}

/// A packet that did not come through whole, or was never one.
pub(super) fn spoil(script: &mut Script<'_>, mut bytes: Vec<u8>) -> Vec<u8> {
    let at = script.below(bytes.len().min(256));
    match script.below(7) {
        0 => bytes.truncate(at),
        1 => bytes[at] ^= 1 << script.below(8),
        2 => bytes[at] = script.byte(),
        3 => {
            bytes.remove(at);
        }
        4 => bytes.insert(at, script.byte()),
        // A remaining length of its own.
        5 => bytes[1] = script.byte(),
        _ => {
            let count = script.below(24);
            return script.take(count).to_vec();
        }
    }
    bytes
}

fn encode(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Not everything that the script chooses exists in every version; silence then.
    if packet.encode(version, &mut bytes).is_err() {
        bytes = vec![0xc0, 0];
    }
    bytes
}
