//! What the codec does not write: values that no packet may hold, each with its error, and with
//! the buffer left as it was.

use weir_mqtt::{
    Acknowledge, Auth, Connack, ConnackProperties, Connect, ConnectProperties, Delivery,
    Disconnect, EncodeError, Packet, PacketId, PacketKind, Publish, PublishProperties, QoS,
    ReasonCode, ReasonCodes, Suback, Subscribe, SubscribeFilter, SubscribeFilters,
    SubscribeProperties, SubscriptionIdentifiers, SubscriptionOptions, TopicError, TopicFilter,
    Unsubscribe, UnsubscribeFilters, UserProperties, Version, Will, WillProperties,
};

#[test]
fn connect_is_not_written_wrong() {
    let connect = Connect::new(Version::V5, "sensor-1");
    let will = Will {
        topic: "gone",
        payload: b"",
        qos: QoS::AtMostOnce,
        retain: false,
        properties: WillProperties::default(),
    };
    let data_only =
        ConnectProperties { authentication_data: Some(b"x"), ..ConnectProperties::default() };
    let long = "x".repeat(65_536);
    let cases = [
        (Connect { client_id: "a\0b", ..connect }, EncodeError::TextHasNul),
        (Connect { client_id: &long, ..connect }, EncodeError::FieldTooLong),
        (Connect { password: Some(long.as_bytes()), ..connect }, EncodeError::FieldTooLong),
        (
            Connect { version: Version::V311, password: Some(b"x"), ..connect },
            EncodeError::PasswordWithoutUserName,
        ),
        (
            Connect { will: Some(Will { topic: "a/#", ..will }), ..connect },
            EncodeError::TopicName(TopicError::HasWildcard),
        ),
        (
            Connect { will: Some(Will { topic: "", ..will }), ..connect },
            EncodeError::TopicName(TopicError::Empty),
        ),
        (
            Connect { properties: data_only, ..connect },
            EncodeError::AuthenticationDataWithoutMethod,
        ),
    ];
    for (connect, error) in cases {
        refuses(Packet::Connect(connect), connect.version, error);
    }
}

/// [MQTT-3.2.2-4, MQTT-3.2.2-6]
#[test]
fn connack_is_not_written_wrong() {
    let present = Connack { session_present: true, ..Connack::refusal(ReasonCode::Banned) };
    refuses(Packet::Connack(present), Version::V5, EncodeError::SessionPresentWithError);
    refuses(Packet::Connack(present), Version::V311, EncodeError::SessionPresentWithError);
    let not_listed = |reason| EncodeError::ReasonNotAllowed { kind: PacketKind::Connack, reason };
    for reason in [ReasonCode::MalformedPacket, ReasonCode::PacketTooLarge] {
        let refusal = Packet::Connack(Connack::refusal(reason));
        refuses(refusal, Version::V311, not_listed(reason));
        assert!(refusal.encode(Version::V5, &mut Vec::new()).is_ok());
    }
    let taken_over = Packet::Connack(Connack::refusal(ReasonCode::SessionTakenOver));
    refuses(taken_over, Version::V5, not_listed(ReasonCode::SessionTakenOver));
    let maximum_qos =
        ConnackProperties { maximum_qos: Some(QoS::ExactlyOnce), ..ConnackProperties::default() };
    let connack = Connack { properties: maximum_qos, ..Connack::default() };
    refuses(Packet::Connack(connack), Version::V5, EncodeError::PropertyValueInvalid(0x24));
}

#[test]
fn old_return_codes_come_nearest_to_the_reason() {
    let codes = [
        (ReasonCode::Success, Some(0)),
        (ReasonCode::UnsupportedProtocolVersion, Some(1)),
        (ReasonCode::ClientIdentifierNotValid, Some(2)),
        (ReasonCode::ServerBusy, Some(3)),
        (ReasonCode::BadUserNameOrPassword, Some(4)),
        (ReasonCode::Banned, Some(5)),
        (ReasonCode::ProtocolError, None),
    ];
    for (reason, code) in codes {
        assert_eq!(reason.connect_return_code(), code, "{reason}");
    }
}

#[test]
fn publish_is_not_written_wrong() {
    let publish = Publish::new("t", b"");
    let wildcard = EncodeError::TopicName(TopicError::HasWildcard);
    let response = PublishProperties { response_topic: Some("+"), ..publish.properties };
    let identifiers = |list: &'static [u32]| PublishProperties {
        subscription_identifiers: SubscriptionIdentifiers::from(list),
        ..publish.properties
    };
    let user = PublishProperties {
        user_properties: UserProperties::from(&[("a", "\0")][..]),
        ..publish.properties
    };
    let zero = EncodeError::PropertyValueInvalid(0x0b);
    let cases = [
        (Publish { topic: "a/+", ..publish }, wildcard),
        (Publish { topic: "", ..publish }, EncodeError::TopicMissing),
        (Publish { topic: "a\0", ..publish }, EncodeError::TopicName(TopicError::HasNul)),
        (Publish { dup: true, ..publish }, EncodeError::DupWithQoS0),
        (Publish { packet_id: PacketId::new(1), ..publish }, EncodeError::PacketIdWithQoS0),
        (Publish { qos: QoS::AtLeastOnce, ..publish }, EncodeError::PacketIdMissing),
        (Publish { properties: response, ..publish }, wildcard),
        (Publish { properties: identifiers(&[1, 0]), ..publish }, zero),
        (Publish { properties: identifiers(&[268_435_456]), ..publish }, zero),
        (Publish { properties: user, ..publish }, EncodeError::TextHasNul),
    ];
    for (publish, error) in cases {
        refuses(Packet::Publish(publish), Version::V5, error);
    }
    let error = EncodeError::TopicName(TopicError::Empty);
    refuses(Packet::Publish(Publish { topic: "", ..publish }), Version::V311, error);
}

#[test]
fn delivery_is_not_written_wrong() {
    let delivery = Delivery::new("t", b"");
    let long = "x".repeat(65_536);
    let cases = [
        (Delivery { topic: "", ..delivery }, EncodeError::TopicMissing),
        (Delivery { topic: &long, ..delivery }, EncodeError::FieldTooLong),
        (Delivery { dup: true, ..delivery }, EncodeError::DupWithQoS0),
        (Delivery { packet_id: PacketId::new(1), ..delivery }, EncodeError::PacketIdWithQoS0),
        (Delivery { qos: QoS::ExactlyOnce, ..delivery }, EncodeError::PacketIdMissing),
        (
            Delivery { subscription_identifiers: &[1, 0], ..delivery },
            EncodeError::PropertyValueInvalid(0x0b),
        ),
    ];
    for (delivery, error) in cases {
        let mut out = vec![7];
        assert_eq!(delivery.encode(Version::V5, &mut out), Err(error));
        assert_eq!(out, [7]);
    }
}

#[test]
fn acknowledgements_are_not_written_wrong() {
    let taken_over = Acknowledge::with_reason(packet_id(), ReasonCode::SessionTakenOver);
    for packet in [
        Packet::Puback(taken_over),
        Packet::Pubrec(taken_over),
        Packet::Pubrel(taken_over),
        Packet::Pubcomp(taken_over),
    ] {
        let reason = ReasonCode::SessionTakenOver;
        let error = EncodeError::ReasonNotAllowed { kind: packet.kind(), reason };
        refuses(packet, Version::V5, error);
    }
}

#[test]
fn subscribe_and_its_answer_are_not_written_wrong() {
    let shared = [SubscribeFilter {
        filter: TopicFilter::parse("$share/g/a").expect("the filter is right"),
        options: SubscriptionOptions { no_local: true, ..SubscriptionOptions::default() },
    }];
    let subscribe = Subscribe {
        packet_id: packet_id(),
        properties: SubscribeProperties::default(),
        filters: SubscribeFilters::from(&shared[..]),
    };
    refuses(Packet::Subscribe(subscribe), Version::V5, EncodeError::NoLocalOnShared);
    assert!(Packet::Subscribe(subscribe).encode(Version::V311, &mut Vec::new()).is_ok());
    let empty = Subscribe { filters: SubscribeFilters::from(&[][..]), ..subscribe };
    refuses(Packet::Subscribe(empty), Version::V5, EncodeError::FiltersEmpty);
    let unsubscribe = Unsubscribe {
        packet_id: packet_id(),
        user_properties: UserProperties::default(),
        filters: UnsubscribeFilters::from(&[][..]),
    };
    refuses(Packet::Unsubscribe(unsubscribe), Version::V311, EncodeError::FiltersEmpty);
    let suback = Packet::Suback(Suback::new(packet_id(), &[]));
    refuses(suback, Version::V5, EncodeError::ReasonsEmpty);
    let reason = ReasonCode::NoSubscriptionExisted;
    let error = EncodeError::ReasonNotAllowed { kind: PacketKind::Suback, reason };
    refuses(Packet::Suback(Suback::new(packet_id(), &[reason])), Version::V311, error);
}

/// [MQTT-3.9.3-2]
#[test]
fn failures_in_an_old_suback_become_0x80() {
    let suback = Suback::new(packet_id(), &[ReasonCode::GrantedQoS2, ReasonCode::NotAuthorized]);
    let mut out = Vec::new();
    Packet::Suback(suback).encode(Version::V311, &mut out).expect("the packet is right");
    assert_eq!(out, [0x90, 0x04, 0x00, 0x0a, 0x02, 0x80]);
    assert_eq!(ReasonCodes::default().len(), 0);
}

#[test]
fn disconnect_and_auth_are_not_written_wrong() {
    let reason = ReasonCode::GrantedQoS1;
    let disconnect = Packet::Disconnect(Disconnect::with_reason(reason));
    let not_listed = |kind| EncodeError::ReasonNotAllowed { kind, reason };
    refuses(disconnect, Version::V5, not_listed(PacketKind::Disconnect));
    let auth = Auth { reason, authentication_method: Some("x"), ..Auth::default() };
    refuses(Packet::Auth(auth), Version::V5, not_listed(PacketKind::Auth));
    let no_method = Auth { reason: ReasonCode::Reauthenticate, ..Auth::default() };
    refuses(Packet::Auth(no_method), Version::V5, EncodeError::AuthenticationMethodMissing);
    let old = EncodeError::PacketNotInVersion(PacketKind::Auth);
    refuses(Packet::Auth(Auth::default()), Version::V311, old);
}

#[test]
fn secrets_do_not_show() {
    let properties = ConnectProperties {
        authentication_method: Some("PLAIN"),
        authentication_data: Some(b"secret"),
        ..ConnectProperties::default()
    };
    let connect = Connect {
        username: Some("ann"),
        password: Some(b"secret"),
        properties,
        ..Connect::new(Version::V5, "sensor-1")
    };
    let auth = Auth { authentication_data: Some(b"secret"), ..Auth::default() };
    let shown = format!("{connect:?} {auth:?}");
    assert!(shown.contains("ann") && shown.contains("hidden"));
    assert!(!shown.contains("secret") && !shown.contains(&format!("{:?}", b"secret")));
}

fn refuses(packet: Packet<'_>, version: Version, error: EncodeError) {
    let mut out = vec![7];
    assert_eq!(packet.encode(version, &mut out), Err(error), "{packet:?}");
    assert_eq!(out, [7], "{packet:?}");
}

fn packet_id() -> PacketId {
    PacketId::new(10).expect("10 is not zero")
}
