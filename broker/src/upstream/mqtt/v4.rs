//! MQTT 3.1.1.

use std::io;
use std::time::Duration;

use rumqttc::{
    AsyncClient, ConnAck, ConnectReturnCode, ConnectionError, Event, EventLoop, LastWill,
    MqttOptions, NetworkOptions, Outgoing as Written, Packet, Publish, QoS as WireQoS, StateError,
    SubAck, SubscribeFilter, SubscribeReasonCode, Transport,
};
use tokio::sync::mpsc;
use weir_mqtt::{QoS, Version};

use super::{
    AWAY, CONNECT_TIMEOUT_S, Full, HELP_CLIENT_ID, HELP_CREDENTIALS, HELP_OTHER, HELP_VERSION,
    INFLIGHT_MAX, LinkEvent, MqttOptions as Options, REQUESTS_MAX, host, qos_of, tls_error,
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
    mqtt.set_keep_alive(Duration::from_secs(options.keep_alive_s.into()))
        .set_clean_session(!options.keeps_session)
        .set_manual_acks(true)
        .set_inflight(INFLIGHT_MAX)
        .set_max_packet_size(options.packet_bytes_max, OUTGOING_BYTES_MAX);
    mqtt.set_transport(transport);
    if let Some(topic) = &options.will_topic {
        mqtt.set_last_will(LastWill::new(topic, AWAY, WireQoS::AtLeastOnce, true));
    }
    if let Some((username, password)) = &options.credentials {
        mqtt.set_credentials(username, password);
    }
    let (client, mut event_loop) = AsyncClient::new(mqtt, REQUESTS_MAX);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(CONNECT_TIMEOUT_S);
    event_loop.set_network_options(network);
    if options.keeps_session {
        expect_releases(&mut event_loop);
    }
    (client, event_loop)
}

/// The library ends a connection on which a QoS 2 message is released that came on one before.
/// So it is made to believe that it has seen every packet identifier.
fn expect_releases(event_loop: &mut EventLoop) {
    for packet_id in 1..=u16::MAX {
        let mut publish = Publish::new("", WireQoS::ExactlyOnce, Vec::new());
        publish.pkid = packet_id;
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
    let host = event_loop.mqtt_options.broker_address().0;
    loop {
        match event_loop.poll().await {
            Ok(event) => {
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
                let failed = LinkEvent::Failed(link_error(error, &host, packet_bytes_max));
                // Nobody has to hear it.
                let _ = events.send(failed).await;
                return;
            }
        }
    }
}

pub(super) fn publish(client: &AsyncClient, outgoing: Outgoing) -> Result<(), Full> {
    let Outgoing { topic, qos, retain, payload, .. } = outgoing;
    client.try_publish(topic, qos_of(qos), retain, payload).map_err(|_| Full)
}

pub(super) fn subscribe(client: &AsyncClient, routes: &[Route]) -> Result<(), Full> {
    let filters = routes.iter().map(|route| {
        let qos = QoS::try_from(route.qos).unwrap_or(QoS::ExactlyOnce);
        SubscribeFilter::new(route.from.clone(), qos_of(qos))
    });
    client.try_subscribe_many(filters).map_err(|_| Full)
}

pub(super) fn acknowledge(client: &AsyncClient, packet_id: u16, qos: QoS) -> Result<(), Full> {
    let mut publish = Publish::new("", qos_of(qos), Vec::new());
    publish.pkid = packet_id;
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
        Event::Incoming(Packet::PubAck(puback)) => {
            Some(LinkEvent::Acknowledged { packet_id: puback.pkid, leaks: false })
        }
        Event::Incoming(Packet::PubComp(pubcomp)) => {
            Some(LinkEvent::Acknowledged { packet_id: pubcomp.pkid, leaks: false })
        }
        Event::Incoming(Packet::PubRel(pubrel)) => {
            Some(LinkEvent::Released { packet_id: pubrel.pkid })
        }
        Event::Incoming(Packet::SubAck(suback)) => Some(subscribed(&suback)),
        Event::Incoming(_) => None,
    }
}

/// 3.1.1 announces no limits.
fn connected(connack: &ConnAck) -> LinkEvent {
    let peer = Peer {
        version: Version::V311,
        receive_max: INFLIGHT_MAX,
        packet_bytes_max: usize::MAX,
        qos_max: QoS::ExactlyOnce,
        retain_available: true,
    };
    LinkEvent::Connected { peer, session_present: connack.session_present }
}

fn received(publish: Publish) -> LinkEvent {
    LinkEvent::Received(Received {
        topic: publish.topic,
        qos: QoS::try_from(publish.qos as u8).unwrap_or(QoS::ExactlyOnce),
        retain: publish.retain,
        dup: publish.dup,
        packet_id: (publish.pkid > 0).then_some(publish.pkid),
        payload: publish.payload,
        ..Received::default()
    })
}

fn subscribed(suback: &SubAck) -> LinkEvent {
    let codes = suback.return_codes.iter().enumerate();
    let refused = codes.filter(|(_, code)| **code == SubscribeReasonCode::Failure);
    LinkEvent::Subscribed { refused: refused.map(|(i, _)| (i, "Failure".to_owned())).collect() }
}

fn link_error(error: ConnectionError, host: &str, packet_bytes_max: usize) -> LinkError {
    match error {
        ConnectionError::ConnectionRefused(code) => {
            LinkError::Refused { reason: format!("{code:?}"), help: help(code) }
        }
        ConnectionError::FlushTimeout | ConnectionError::NetworkTimeout => LinkError::Timeout,
        ConnectionError::Io(error) => LinkError::of_io(error, host),
        ConnectionError::Tls(error) => tls_error(error, host),
        ConnectionError::MqttState(error) => state_error(error, host, packet_bytes_max),
        ConnectionError::RequestsDone => LinkError::Lost("it was given up".to_owned()),
        other => LinkError::Protocol(other.to_string()),
    }
}

fn state_error(error: StateError, host: &str, packet_bytes_max: usize) -> LinkError {
    match error {
        StateError::AwaitPingResp | StateError::CollisionTimeout => LinkError::Timeout,
        StateError::ConnectionAborted => LinkError::Lost("closed by the upstream".to_owned()),
        StateError::Deserialization(rumqttc::Error::Io(error)) => LinkError::of_io(error, host),
        StateError::Deserialization(rumqttc::Error::PayloadSizeLimitExceeded(_)) => {
            LinkError::IncomingTooLarge { limit: packet_bytes_max }
        }
        StateError::Io(error) if LinkError::of_tls(&error).is_some() => {
            LinkError::of_io(error, host)
        }
        StateError::Io(error) => match error.kind() {
            io::ErrorKind::TimedOut => LinkError::Timeout,
            _ => LinkError::Lost(error.to_string()),
        },
        other => LinkError::Protocol(other.to_string()),
    }
}

fn help(code: ConnectReturnCode) -> &'static str {
    use ConnectReturnCode as Code;
    match code {
        Code::BadUserNamePassword | Code::NotAuthorized => HELP_CREDENTIALS,
        Code::BadClientId => HELP_CLIENT_ID,
        Code::RefusedProtocolVersion => HELP_VERSION,
        _ => HELP_OTHER,
    }
}

/// As long as a packet can be: 3.1.1 has no way to ask for less.
const OUTGOING_BYTES_MAX: usize = 268_435_455;
