//! Strategies for packets that the standard allows, of every kind and version.
//!
//! Packets borrow what they hold. What is generated here is leaked, so that a packet can be
//! passed around like any value; a test process is short and so are its packets.

use std::num::{NonZeroU16, NonZeroU32};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use weir_mqtt::{
    Acknowledge, Auth, Connack, ConnackProperties, Connect, ConnectProperties, Disconnect, Packet,
    PacketId, PacketKind, Publish, PublishProperties, QoS, ReasonCode, RetainHandling, Suback,
    Subscribe, SubscribeFilter, SubscribeProperties, SubscriptionIdentifiers, SubscriptionOptions,
    TopicFilter, Unsuback, Unsubscribe, UserProperties, VARINT_MAX, Version, Will, WillProperties,
};

type Generated<T> = BoxedStrategy<T>;

/// A version and a packet that exists in it.
pub(crate) fn version_and_packet() -> Generated<(Version, Packet<'static>)> {
    version().prop_flat_map(|version| (Just(version), packet(version))).boxed()
}

pub(crate) fn version() -> Generated<Version> {
    select(&[Version::V31, Version::V311, Version::V5][..]).boxed()
}

/// A packet of any kind that exists in the version.
pub(crate) fn packet(version: Version) -> Generated<Packet<'static>> {
    use PacketKind::{Puback, Pubcomp, Pubrec, Pubrel};
    let common = prop_oneof![
        2 => connect(version).prop_map(Packet::Connect),
        2 => connack(version).prop_map(Packet::Connack),
        4 => publish(version).prop_map(Packet::Publish),
        1 => acknowledge(Puback, version).prop_map(Packet::Puback),
        1 => acknowledge(Pubrec, version).prop_map(Packet::Pubrec),
        1 => acknowledge(Pubrel, version).prop_map(Packet::Pubrel),
        1 => acknowledge(Pubcomp, version).prop_map(Packet::Pubcomp),
        2 => subscribe(version).prop_map(Packet::Subscribe),
        1 => suback(version).prop_map(Packet::Suback),
        1 => unsubscribe(version).prop_map(Packet::Unsubscribe),
        1 => unsuback(version).prop_map(Packet::Unsuback),
        1 => Just(Packet::Pingreq),
        1 => Just(Packet::Pingresp),
        1 => disconnect(version).prop_map(Packet::Disconnect),
    ];
    match version {
        Version::V31 | Version::V311 => common.boxed(),
        Version::V5 => prop_oneof![17 => common, 1 => auth().prop_map(Packet::Auth)].boxed(),
    }
}

/// Text without U+0000, mostly letters, sometimes long.
pub(crate) fn text() -> Generated<&'static str> {
    let letter =
        prop_oneof![4 => select(&['a', 'Z', '0', ' ', '/', '$', '+', '#'][..]), 1 => any::<char>()];
    let letters = prop_oneof![9 => vec(letter.clone(), 0..12), 1 => vec(letter, 0..150)];
    letters
        .prop_map(|letters| {
            leak_text(letters.into_iter().filter(|&letter| letter != '\0').collect())
        })
        .boxed()
}

pub(crate) fn bytes() -> Generated<&'static [u8]> {
    prop_oneof![9 => vec(any::<u8>(), 0..20), 1 => vec(any::<u8>(), 0..300)]
        .prop_map(|bytes| &*bytes.leak())
        .boxed()
}

/// A topic name: levels without wildcards, together not empty.
pub(crate) fn topic_name() -> Generated<&'static str> {
    let level = text().prop_map(|text| text.replace(['+', '#', '/'], ""));
    vec(level, 1..6)
        .prop_map(|levels| leak_text(levels.join("/")))
        .prop_filter("a topic name is not empty", |topic| !topic.is_empty())
        .boxed()
}

/// A topic filter, sometimes shared. A name that happens to begin a shared filter is left out.
pub(crate) fn topic_filter() -> Generated<TopicFilter<'static>> {
    let level = prop_oneof![3 => topic_name().prop_map(str::to_owned), 1 => Just("+".to_owned())];
    let end = prop_oneof![2 => Just(""), 1 => Just("/#")];
    let filter = prop_oneof![
        9 => (vec(level, 1..4), end).prop_map(|(levels, end)| levels.join("/") + end),
        1 => Just("#".to_owned()),
    ];
    let share = prop_oneof![4 => Just(""), 1 => Just("$share/workers/")];
    (share, filter)
        .prop_map(|(share, filter)| leak_text(format!("{share}{filter}")))
        .prop_filter_map("the filter is right", |text| TopicFilter::parse(text).ok())
        .boxed()
}

pub(crate) fn qos() -> Generated<QoS> {
    select(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][..]).boxed()
}

pub(crate) fn packet_id() -> Generated<PacketId> {
    any::<NonZeroU16>().prop_filter_map("never zero", |id| PacketId::new(id.get())).boxed()
}

pub(crate) fn subscription_identifier() -> Generated<u32> {
    prop_oneof![1..=128u32, 1..=VARINT_MAX].boxed()
}

/// The reason codes that a packet may carry in 5.0.
pub(crate) fn reason(kind: PacketKind) -> Generated<ReasonCode> {
    let codes = (0..=u8::MAX).filter_map(|code| ReasonCode::try_from(code).ok());
    select(codes.filter(|code| code.is_allowed_in(kind)).collect::<Vec<_>>()).boxed()
}

pub(crate) fn user_properties() -> Generated<UserProperties<'static>> {
    vec((text(), text()), 0..4).prop_map(|pairs| UserProperties::from(&*pairs.leak())).boxed()
}

pub(crate) fn publish(version: Version) -> Generated<Publish<'static>> {
    let parts = (any::<bool>(), qos(), any::<bool>(), topic_name(), packet_id(), bytes());
    let parts = (parts, publish_properties(version), any::<bool>());
    parts
        .prop_map(|((dup, qos, retain, topic, packet_id, payload), properties, by_alias)| {
            let is_acknowledged = qos != QoS::AtMostOnce;
            let by_alias = by_alias && properties.topic_alias.is_some();
            Publish {
                dup: dup && is_acknowledged,
                qos,
                retain,
                topic: if by_alias { "" } else { topic },
                packet_id: is_acknowledged.then_some(packet_id),
                properties,
                payload,
            }
        })
        .boxed()
}

fn publish_properties(version: Version) -> Generated<PublishProperties<'static>> {
    let identifiers = vec(subscription_identifier(), 0..4)
        .prop_map(|identifiers| SubscriptionIdentifiers::from(&*identifiers.leak()));
    let some = (
        option::of(any::<bool>()),
        option::of(any::<u32>()),
        option::of(any::<NonZeroU16>()),
        option::of(topic_name()),
        option::of(bytes()),
        option::of(text()),
        identifiers,
        user_properties(),
    );
    let some = some.prop_map(
        |(format, expiry, alias, response_topic, correlation, content_type, identifiers, user)| {
            PublishProperties {
                payload_format_utf8: format,
                message_expiry_interval_s: expiry,
                topic_alias: alias,
                response_topic,
                correlation_data: correlation,
                content_type,
                subscription_identifiers: identifiers,
                user_properties: user,
            }
        },
    );
    from_5(version, some)
}

pub(crate) fn connect(version: Version) -> Generated<Connect<'static>> {
    let login = (option::of(text()), option::of(bytes()));
    let flags = (any::<bool>(), any::<bool>(), any::<u16>());
    (flags, text(), option::of(will(version)), login, connect_properties(version))
        .prop_map(move |(flags, client_id, will, (username, password), properties)| {
            let (bridge, clean_start, keep_alive_s) = flags;
            let may_have_password = version == Version::V5 || username.is_some();
            Connect {
                version,
                bridge: bridge && version != Version::V5,
                clean_start,
                keep_alive_s,
                client_id,
                will,
                username,
                password: password.filter(|_| may_have_password),
                properties,
            }
        })
        .boxed()
}

fn will(version: Version) -> Generated<Will<'static>> {
    let properties = (
        option::of(any::<u32>()),
        option::of(any::<bool>()),
        option::of(any::<u32>()),
        option::of(text()),
        option::of(topic_name()),
        option::of(bytes()),
        user_properties(),
    );
    let properties = properties.prop_map(
        |(delay, format, expiry, content_type, response_topic, correlation, user)| WillProperties {
            will_delay_interval_s: delay,
            payload_format_utf8: format,
            message_expiry_interval_s: expiry,
            content_type,
            response_topic,
            correlation_data: correlation,
            user_properties: user,
        },
    );
    (topic_name(), bytes(), qos(), any::<bool>(), from_5(version, properties))
        .prop_map(|(topic, payload, qos, retain, properties)| Will {
            topic,
            payload,
            qos,
            retain,
            properties,
        })
        .boxed()
}

fn connect_properties(version: Version) -> Generated<ConnectProperties<'static>> {
    let some = (
        option::of(any::<u32>()),
        option::of(any::<NonZeroU16>()),
        option::of(any::<NonZeroU32>()),
        option::of(any::<u16>()),
        option::of(any::<bool>()),
        option::of(any::<bool>()),
        user_properties(),
        option::of((text(), option::of(bytes()))),
    );
    let some = some.prop_map(|(expiry, receive, size, alias, response, problem, user, method)| {
        ConnectProperties {
            session_expiry_interval_s: expiry,
            receive_maximum: receive,
            maximum_packet_size: size,
            topic_alias_maximum: alias,
            request_response_information: response,
            request_problem_information: problem,
            user_properties: user,
            authentication_method: method.map(|(method, _)| method),
            authentication_data: method.and_then(|(_, data)| data),
        }
    });
    from_5(version, some)
}

fn connack(version: Version) -> Generated<Connack<'static>> {
    let reason = reason(PacketKind::Connack)
        .prop_filter("below 5.0 there are six", move |reason| {
            version == Version::V5 || OLD_CONNACK.contains(reason)
        });
    (any::<bool>(), reason, connack_properties(version))
        .prop_map(move |(session_present, reason, properties)| Connack {
            session_present: session_present && !reason.is_error() && version != Version::V31,
            reason,
            properties,
        })
        .boxed()
}

fn connack_properties(version: Version) -> Generated<ConnackProperties<'static>> {
    let limits = (
        option::of(any::<u32>()),
        option::of(any::<NonZeroU16>()),
        option::of(select(&[QoS::AtMostOnce, QoS::AtLeastOnce][..])),
        option::of(any::<bool>()),
        option::of(any::<NonZeroU32>()),
        option::of(any::<u16>()),
        option::of(any::<u16>()),
    );
    let available =
        (option::of(any::<bool>()), option::of(any::<bool>()), option::of(any::<bool>()));
    let texts = (option::of(text()), option::of(text()), option::of(text()), option::of(text()));
    let method = option::of((text(), option::of(bytes())));
    let some = (limits, available, texts, user_properties(), method);
    let some = some.prop_map(|(limits, available, texts, user_properties, method)| {
        let (expiry, receive, maximum_qos, retain_available, size, alias, keep_alive) = limits;
        let (wildcard, identifiers, shared) = available;
        let (assigned, reason_string, response_information, server_reference) = texts;
        ConnackProperties {
            session_expiry_interval_s: expiry,
            receive_maximum: receive,
            maximum_qos,
            retain_available,
            maximum_packet_size: size,
            assigned_client_identifier: assigned,
            topic_alias_maximum: alias,
            reason_string,
            user_properties,
            wildcard_subscription_available: wildcard,
            subscription_identifiers_available: identifiers,
            shared_subscription_available: shared,
            server_keep_alive_s: keep_alive,
            response_information,
            server_reference,
            authentication_method: method.map(|(method, _)| method),
            authentication_data: method.and_then(|(_, data)| data),
        }
    });
    from_5(version, some)
}

fn acknowledge(kind: PacketKind, version: Version) -> Generated<Acknowledge<'static>> {
    let explained = (reason(kind), option::of(text()), user_properties());
    let explained = match version {
        Version::V31 | Version::V311 => {
            Just((ReasonCode::Success, None, UserProperties::default())).boxed()
        }
        Version::V5 => explained.boxed(),
    };
    (packet_id(), explained)
        .prop_map(|(packet_id, (reason, reason_string, user_properties))| Acknowledge {
            packet_id,
            reason,
            reason_string,
            user_properties,
        })
        .boxed()
}

fn subscribe(version: Version) -> Generated<Subscribe<'static>> {
    let properties = (option::of(subscription_identifier()), user_properties()).prop_map(
        |(subscription_identifier, user_properties)| SubscribeProperties {
            subscription_identifier,
            user_properties,
        },
    );
    let filter = (topic_filter(), subscription_options(version)).prop_map(|(filter, options)| {
        let no_local = options.no_local && filter.share_name().is_none();
        SubscribeFilter { filter, options: SubscriptionOptions { no_local, ..options } }
    });
    (packet_id(), from_5(version, properties), vec(filter, 1..4))
        .prop_map(|(packet_id, properties, filters)| Subscribe {
            packet_id,
            properties,
            filters: (&*filters.leak()).into(),
        })
        .boxed()
}

fn subscription_options(version: Version) -> Generated<SubscriptionOptions> {
    use RetainHandling::{DoNotSend, Send, SendIfNew};
    if version != Version::V5 {
        return qos().prop_map(SubscriptionOptions::new).boxed();
    }
    (qos(), any::<bool>(), any::<bool>(), select(&[Send, SendIfNew, DoNotSend][..]))
        .prop_map(|(qos, no_local, retain_as_published, retain_handling)| SubscriptionOptions {
            qos,
            no_local,
            retain_as_published,
            retain_handling,
        })
        .boxed()
}

fn suback(version: Version) -> Generated<Suback<'static>> {
    let reason = reason(PacketKind::Suback).prop_map(move |reason| match version {
        Version::V31 | Version::V311 if reason.is_error() => ReasonCode::UnspecifiedError,
        _ => reason,
    });
    let explained = from_5(version, (option::of(text()), user_properties()));
    (packet_id(), vec(reason, 1..5), explained)
        .prop_map(|(packet_id, reasons, (reason_string, user_properties))| Suback {
            reason_string,
            user_properties,
            ..Suback::new(packet_id, reasons.leak())
        })
        .boxed()
}

fn unsubscribe(version: Version) -> Generated<Unsubscribe<'static>> {
    (packet_id(), from_5(version, user_properties()), vec(topic_filter(), 1..4))
        .prop_map(|(packet_id, user_properties, filters)| Unsubscribe {
            packet_id,
            user_properties,
            filters: (&*filters.leak()).into(),
        })
        .boxed()
}

fn unsuback(version: Version) -> Generated<Unsuback<'static>> {
    let reasons = from_5(version, vec(reason(PacketKind::Unsuback), 1..5));
    let explained = from_5(version, (option::of(text()), user_properties()));
    (packet_id(), reasons, explained)
        .prop_map(|(packet_id, reasons, (reason_string, user_properties))| Unsuback {
            reason_string,
            user_properties,
            ..Unsuback::new(packet_id, reasons.leak())
        })
        .boxed()
}

fn disconnect(version: Version) -> Generated<Disconnect<'static>> {
    let some = (
        reason(PacketKind::Disconnect),
        option::of(any::<u32>()),
        option::of(text()),
        option::of(text()),
        user_properties(),
    );
    let some = some.prop_map(|(reason, expiry, reason_string, reference, user)| Disconnect {
        reason,
        session_expiry_interval_s: expiry,
        reason_string,
        server_reference: reference,
        user_properties: user,
    });
    from_5(version, some)
}

fn auth() -> Generated<Auth<'static>> {
    let some = (
        reason(PacketKind::Auth),
        text(),
        option::of(bytes()),
        option::of(text()),
        user_properties(),
    );
    let some = some.prop_map(|(reason, method, data, reason_string, user)| Auth {
        reason,
        authentication_method: Some(method),
        authentication_data: data,
        reason_string,
        user_properties: user,
    });
    prop_oneof![9 => some, 1 => Just(Auth::default())].boxed()
}

/// The strategy in 5.0, nothing below.
fn from_5<T>(version: Version, strategy: impl Strategy<Value = T> + 'static) -> Generated<T>
where
    T: Default + Clone + std::fmt::Debug + 'static,
{
    match version {
        Version::V31 | Version::V311 => proptest::strategy::LazyJust::new(T::default).boxed(),
        Version::V5 => strategy.boxed(),
    }
}

fn leak_text(text: String) -> &'static str {
    text.leak()
}

const OLD_CONNACK: [ReasonCode; 6] = [
    ReasonCode::Success,
    ReasonCode::UnsupportedProtocolVersion,
    ReasonCode::ClientIdentifierNotValid,
    ReasonCode::ServerUnavailable,
    ReasonCode::BadUserNameOrPassword,
    ReasonCode::NotAuthorized,
];
