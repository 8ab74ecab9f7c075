//! MQTT 5.0.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use rumqttc::v5::mqttbytes::QoS as WireQoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, ConnectProperties, ConnectReturnCode, Filter, LastWill, Packet, PubAck, PubAckReason,
    PubCompReason, PubRec, PubRecReason, Publish, PublishProperties, RetainForwardRule, SubAck,
    SubscribeReasonCode,
};
use rumqttc::v5::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, StateError, mqttbytes,
};
use rumqttc::{Outgoing as Written, Transport};
use tokio::sync::mpsc;
use weir_mqtt::{QoS, Version};

use super::{
    AWAY, CONNECT_TIMEOUT_S, Full, HELP_CLIENT_ID, HELP_CREDENTIALS, HELP_OTHER, INFLIGHT_MAX,
    LinkEvent, MqttOptions as Options, RECEIVE_MAX, REQUESTS_MAX, host, tls_error,
};
use crate::config::{HostPort, Route};
use crate::upstream::error::LinkError;
use crate::upstream::incoming::Received;
use crate::upstream::outgoing::{Outgoing, Peer};

pub(super) fn open(
    address: &HostPort,
    options: &Options,
    transport: Transport,
) -> (AsyncClient, EventLoop) {
    let mut mqtt = MqttOptions::new(&options.client_id, host(address), address.port());
    let packet_bytes_max = u32::try_from(options.packet_bytes_max).unwrap_or(u32::MAX);
    mqtt.set_keep_alive(Duration::from_secs(options.keep_alive_s.into()))
        .set_clean_start(!options.keeps_session)
        .set_manual_acks(true)
        .set_outgoing_inflight_upper_limit(INFLIGHT_MAX)
        .set_connection_timeout(CONNECT_TIMEOUT_S)
        .set_connect_properties(ConnectProperties {
            session_expiry_interval: Some(if options.keeps_session { u32::MAX } else { 0 }),
            receive_maximum: Some(RECEIVE_MAX),
            max_packet_size: Some(packet_bytes_max),
            ..ConnectProperties::new()
        });
    mqtt.set_transport(transport);
    if let Some(topic) = &options.will_topic {
        mqtt.set_last_will(LastWill::new(topic, AWAY, WireQoS::AtLeastOnce, true, None));
    }
    if let Some((username, password)) = &options.credentials {
        mqtt.set_credentials(username, password);
    }
    let mut network = rumqttc::NetworkOptions::new();
    network.set_tcp_nodelay(true);
    mqtt.set_network_options(network);
    let (client, mut event_loop) = AsyncClient::new(mqtt, REQUESTS_MAX);
    if options.keeps_session {
        expect_releases(&mut event_loop);
    }
    (client, event_loop)
}

/// The library ends a connection on which a QoS 2 message is released that came on one before.
/// So it is made to believe that it has seen every packet identifier.
fn expect_releases(event_loop: &mut EventLoop) {
    for pkid in 1..=u16::MAX {
        let publish = Publish { qos: WireQoS::ExactlyOnce, pkid, ..Publish::default() };
        let seen = event_loop.state.handle_incoming_packet(Packet::Publish(publish));
        debug_assert!(matches!(seen, Ok(None)), "nothing is answered without being asked");
        event_loop.state.events.clear();
    }
}

pub(super) async fn run(
    mut event_loop: EventLoop,
    packet_bytes_max: usize,
    events: mpsc::Sender<LinkEvent>,
) {
    let host = event_loop.options.broker_address().0;
    let mut is_connected = false;
    loop {
        match event_loop.poll().await {
            Ok(event) => {
                is_connected = true;
                let Some(event) = translate(event) else { continue };
                if events.send(event).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                // Acknowledgements that came before the error count.
                for event in event_loop.state.events.drain(..).filter_map(translate) {
                    if events.send(event).await.is_err() {
                        return;
                    }
                }
                let error = match error {
                    // One of 3.1.1 answers in its own way, which the library drops.
                    ConnectionError::MqttState(StateError::ConnectionAborted) if !is_connected => {
                        LinkError::Unanswered
                    }
                    error => link_error(error, &host, packet_bytes_max),
                };
                let failed = LinkEvent::Failed(error);
                // Nobody has to hear it.
                let _ = events.send(failed).await;
                return;
            }
        }
    }
}

pub(super) fn publish(client: &AsyncClient, outgoing: Outgoing) -> Result<(), Full> {
    let properties = PublishProperties {
        payload_format_indicator: outgoing.payload_format_utf8.map(u8::from),
        message_expiry_interval: outgoing.message_expiry_interval_s,
        response_topic: outgoing.response_topic,
        correlation_data: outgoing.correlation_data.map(Bytes::from),
        user_properties: outgoing.user_properties,
        content_type: outgoing.content_type,
        ..PublishProperties::default()
    };
    let Outgoing { topic, qos, retain, payload, .. } = outgoing;
    let qos = wire_qos(qos);
    client.try_publish_with_properties(topic, qos, retain, payload, properties).map_err(|_| Full)
}

pub(super) fn subscribe(client: &AsyncClient, routes: &[Route]) -> Result<(), Full> {
    let filters = routes.iter().map(|route| Filter {
        path: route.from.clone(),
        qos: mqttbytes::qos(route.qos).unwrap_or(WireQoS::ExactlyOnce),
        // What is forwarded must not come back.
        nolocal: true,
        preserve_retain: true,
        retain_forward_rule: RetainForwardRule::OnNewSubscribe,
    });
    client.try_subscribe_many(filters).map_err(|_| Full)
}

pub(super) fn acknowledge(client: &AsyncClient, packet_id: u16, qos: QoS) -> Result<(), Full> {
    let publish = Publish { qos: wire_qos(qos), pkid: packet_id, ..Publish::default() };
    client.try_ack(&publish).map_err(|_| Full)
}

fn translate(event: Event) -> Option<LinkEvent> {
    match event {
        Event::Outgoing(Written::Publish(packet_id)) => {
            Some(LinkEvent::Sent { packet_id: (packet_id > 0).then_some(packet_id) })
        }
        Event::Outgoing(_) => None,
        Event::Incoming(Packet::ConnAck(connack)) => Some(connected(&connack)),
        Event::Incoming(Packet::Publish(publish)) => Some(received(publish)),
        Event::Incoming(Packet::PubAck(puback)) => Some(acknowledged(&puback)),
        Event::Incoming(Packet::PubRec(pubrec)) => refused(&pubrec),
        Event::Incoming(Packet::PubComp(pubcomp)) => {
            // Also when it does not know the identifier: then it has the message already.
            let leaks = pubcomp.reason != PubCompReason::Success;
            Some(LinkEvent::Acknowledged { packet_id: pubcomp.pkid, leaks })
        }
        Event::Incoming(Packet::PubRel(pubrel)) => {
            Some(LinkEvent::Released { packet_id: pubrel.pkid })
        }
        Event::Incoming(Packet::SubAck(suback)) => Some(subscribed(&suback)),
        Event::Incoming(_) => None,
    }
}

fn connected(connack: &ConnAck) -> LinkEvent {
    let properties = connack.properties.as_ref();
    let qos_max = properties.and_then(|found| found.max_qos);
    let packet_bytes_max = properties.and_then(|found| found.max_packet_size);
    let peer = Peer {
        version: Version::V5,
        receive_max: properties.and_then(|found| found.receive_max).unwrap_or(INFLIGHT_MAX),
        packet_bytes_max: packet_bytes_max.map_or(usize::MAX, |bytes| bytes as usize),
        qos_max: qos_max.and_then(|qos| QoS::try_from(qos).ok()).unwrap_or(QoS::ExactlyOnce),
        retain_available: properties.and_then(|found| found.retain_available) != Some(0),
    };
    LinkEvent::Connected { peer, session_present: connack.session_present }
}

fn acknowledged(puback: &PubAck) -> LinkEvent {
    let packet_id = puback.pkid;
    let reason = format!("{:?}", puback.reason);
    let for_good = match puback.reason {
        PubAckReason::Success | PubAckReason::NoMatchingSubscribers => {
            return LinkEvent::Acknowledged { packet_id, leaks: false };
        }
        PubAckReason::NotAuthorized
        | PubAckReason::PayloadFormatInvalid
        | PubAckReason::TopicNameInvalid => true,
        _ => false,
    };
    LinkEvent::Refused { packet_id: Some(packet_id), reason, for_good, leaks: false }
}

fn refused(pubrec: &PubRec) -> Option<LinkEvent> {
    let for_good = match pubrec.reason {
        PubRecReason::Success | PubRecReason::NoMatchingSubscribers => return None,
        PubRecReason::NotAuthorized
        | PubRecReason::PayloadFormatInvalid
        | PubRecReason::TopicNameInvalid => true,
        _ => false,
    };
    let reason = format!("{:?}", pubrec.reason);
    Some(LinkEvent::Refused { packet_id: Some(pubrec.pkid), reason, for_good, leaks: true })
}

fn received(publish: Publish) -> LinkEvent {
    let properties = publish.properties.unwrap_or_default();
    let user: Vec<(&str, &str)> =
        properties.user_properties.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let mut encoded = Vec::new();
    let end_to_end = weir_mqtt::PublishProperties {
        payload_format_utf8: properties.payload_format_indicator.map(|format| format == 1),
        content_type: properties.content_type.as_deref(),
        response_topic: properties.response_topic.as_deref(),
        correlation_data: properties.correlation_data.as_deref(),
        user_properties: user.as_slice().into(),
        ..weir_mqtt::PublishProperties::default()
    };
    if end_to_end.encode_end_to_end(&mut encoded).is_err() {
        // The library lets through what no broker may send; the message goes on without it.
        encoded.clear();
    }
    LinkEvent::Received(Received {
        // One that is not UTF-8 matches no route.
        topic: String::from_utf8(publish.topic.to_vec()).unwrap_or_default(),
        qos: QoS::try_from(publish.qos as u8).unwrap_or(QoS::ExactlyOnce),
        retain: publish.retain,
        dup: publish.dup,
        packet_id: (publish.pkid > 0).then_some(publish.pkid),
        properties: encoded,
        message_expiry_interval_s: properties.message_expiry_interval,
        payload: publish.payload,
    })
}

fn subscribed(suback: &SubAck) -> LinkEvent {
    let codes = suback.return_codes.iter().enumerate();
    let refused = codes.filter(|(_, code)| !matches!(code, SubscribeReasonCode::Success(_)));
    let refused = refused.map(|(index, code)| (index, format!("{code:?}")));
    LinkEvent::Subscribed { refused: refused.collect() }
}

fn link_error(error: ConnectionError, host: &str, packet_bytes_max: usize) -> LinkError {
    match error {
        ConnectionError::ConnectionRefused(
            code @ (ConnectReturnCode::RefusedProtocolVersion
            | ConnectReturnCode::UnsupportedProtocolVersion),
        ) => LinkError::OtherVersion(format!("{code:?}")),
        ConnectionError::ConnectionRefused(code) => {
            LinkError::Refused { reason: format!("{code:?}"), help: help(code) }
        }
        ConnectionError::Io(error) => LinkError::of_io(error, host),
        ConnectionError::Tls(error) => tls_error(error, host),
        ConnectionError::MqttState(error) => state_error(error, host, packet_bytes_max),
        ConnectionError::RequestsDone => LinkError::Lost("it was given up".to_owned()),
        ConnectionError::Timeout(_) => LinkError::Timeout,
        other => LinkError::Protocol(other.to_string()),
    }
}

fn state_error(error: StateError, host: &str, packet_bytes_max: usize) -> LinkError {
    match error {
        StateError::AwaitPingResp | StateError::CollisionTimeout => LinkError::Timeout,
        StateError::ConnectionAborted => LinkError::Lost("closed by the upstream".to_owned()),
        StateError::Deserialization(mqttbytes::Error::Io(error)) => LinkError::of_io(error, host),
        StateError::Deserialization(mqttbytes::Error::PayloadSizeLimitExceeded { .. })
        | StateError::IncomingPacketTooLarge { .. } => {
            LinkError::IncomingTooLarge { limit: packet_bytes_max }
        }
        StateError::Io(error) if LinkError::of_tls(&error).is_some() => {
            LinkError::of_io(error, host)
        }
        StateError::Io(error) => match error.kind() {
            io::ErrorKind::TimedOut => LinkError::Timeout,
            _ => LinkError::Lost(error.to_string()),
        },
        StateError::ServerDisconnect { reason_code, reason_string } => {
            LinkError::Ended(reason_string.unwrap_or_else(|| format!("{reason_code:?}")))
        }
        other => LinkError::Protocol(other.to_string()),
    }
}

fn help(code: ConnectReturnCode) -> &'static str {
    use ConnectReturnCode as Code;
    match code {
        Code::BadUserNamePassword | Code::NotAuthorized | Code::BadAuthenticationMethod => {
            HELP_CREDENTIALS
        }
        Code::BadClientId | Code::ClientIdentifierNotValid => HELP_CLIENT_ID,
        _ => HELP_OTHER,
    }
}

fn wire_qos(qos: QoS) -> WireQoS {
    mqttbytes::qos(qos as u8).expect("both have the same three levels")
}
