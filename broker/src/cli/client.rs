//! An MQTT client for the command line: rumqttc for 3.1.1 and 5.0 behind one face. The connection
//! runs as a task of its own, so that nobody who waits for something else holds it up; what it
//! does arrives as events. Its end is the end of the events' receiver.

use std::time::Duration;

use bytes::Bytes;
use rumqttc::v5::mqttbytes::v5::{RetainForwardRule, SubscribeProperties};
use rumqttc::{self as v4, v5};
use tokio::{sync::mpsc, time::sleep};

use super::{
    connect::{ConnectArguments, Version},
    property::Properties,
};

/// Requests and events that wait for their turn.
const QUEUE: usize = 64;

/// Pause before the next attempt to connect.
const RECONNECT: Duration = Duration::from_secs(1);

/// The subscription identifier of [`Client::subscribe_to_news`]: the highest, which nobody else asks
/// for.
const NEWS: usize = 268_435_455;

/// The largest packet of MQTT.
const PACKET_MAX_BYTES: u32 = 268_435_460;

/// Sends requests.
#[derive(Clone, Debug)]
pub(crate) enum Client {
    V311(v4::AsyncClient),
    V5(v5::AsyncClient, Box<Properties>),
}

/// What happened on the connection.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message that was published with QoS 1 or 2 is done, or refused for a reason.
    Acknowledged(Result<(), String>),
    /// The broker accepted the connection.
    Connected {
        session_present: bool,
    },
    /// Our DISCONNECT was sent.
    Disconnected,
    /// The connection failed or broke, for a reason.
    Lost(String),
    Message(Message),
    /// A message with QoS 0 was sent.
    Sent,
    /// The answer to a subscription: each filter is accepted, or refused for a reason.
    Subscribed(Vec<Result<(), String>>),
}

/// A message from the broker.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    V311(v4::Publish),
    V5(v5::mqttbytes::v5::Publish),
}

impl Message {
    pub(crate) fn topic(&self) -> &[u8] {
        match self {
            Self::V311(publish) => publish.topic.as_bytes(),
            Self::V5(publish) => &publish.topic,
        }
    }

    pub(crate) fn payload(&self) -> &Bytes {
        match self {
            Self::V311(publish) => &publish.payload,
            Self::V5(publish) => &publish.payload,
        }
    }

    pub(crate) fn qos(&self) -> u8 {
        match self {
            Self::V311(publish) => publish.qos as u8,
            Self::V5(publish) => publish.qos as u8,
        }
    }

    /// Whether its retain flag is the one that it was published with.
    pub(crate) fn keeps_retain(&self) -> bool {
        match self {
            Self::V311(_) => false,
            Self::V5(publish) => {
                let properties = publish.properties.as_ref();
                properties.is_some_and(|one| one.subscription_identifiers.contains(&NEWS))
            }
        }
    }

    pub(crate) fn retain(&self) -> bool {
        match self {
            Self::V311(publish) => publish.retain,
            Self::V5(publish) => publish.retain,
        }
    }
}

/// Starts a connection. It is tried again after it was lost, until nobody listens any more.
pub(crate) fn connect(
    arguments: &ConnectArguments,
    properties: Properties,
) -> (Client, mpsc::Receiver<Event>) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let client = match arguments.protocol_version {
        Version::V311 => connect_v311(arguments, sender),
        Version::V5 => connect_v5(arguments, properties, sender),
    };
    (client, receiver)
}

impl Client {
    pub(crate) async fn publish(&self, topic: &str, qos: u8, retain: bool, payload: Bytes) {
        // Both refuse only what was checked before, or that the task has ended, which is an event.
        match self {
            Self::V311(client) => {
                let payload = Vec::from(payload);
                client.publish(topic, v4_qos(qos), retain, payload).await.ok();
            }
            Self::V5(client, properties) => {
                let properties = properties.publish.clone();
                let qos = v5_qos(qos);
                client.publish_with_properties(topic, qos, retain, payload, properties).await.ok();
            }
        }
    }

    pub(crate) async fn subscribe(&self, filters: &[String], qos: u8) {
        match self {
            Self::V311(client) => {
                let filter = |path: &String| v4::SubscribeFilter::new(path.clone(), v4_qos(qos));
                client.subscribe_many(filters.iter().map(filter)).await.ok();
            }
            Self::V5(client, properties) => {
                let filter =
                    |path: &String| v5::mqttbytes::v5::Filter::new(path.clone(), v5_qos(qos));
                let filters: Vec<_> = filters.iter().map(filter).collect();
                let properties = properties.subscribe.clone();
                client.subscribe_many_with_properties(filters, properties).await.ok();
            }
        }
    }

    /// Subscribes to messages as they are published, with MQTT 5: they keep their retain flag, and
    /// retained ones from before do not come. See [`Message::keeps_retain`].
    pub(crate) async fn subscribe_to_news(&self, filters: &[String], qos: u8) {
        let Self::V5(client, properties) = self else { return self.subscribe(filters, qos).await };
        let filter = |path: &String| v5::mqttbytes::v5::Filter {
            preserve_retain: true,
            retain_forward_rule: RetainForwardRule::Never,
            ..v5::mqttbytes::v5::Filter::new(path.clone(), v5_qos(qos))
        };
        let properties = SubscribeProperties { id: Some(NEWS), ..properties.subscribe.clone() };
        let filters: Vec<_> = filters.iter().map(filter).collect();
        client.subscribe_many_with_properties(filters, properties).await.ok();
    }

    /// Tells the broker that a message was printed.
    pub(crate) async fn acknowledge(&self, message: &Message) {
        match (self, message) {
            (Self::V311(client), Message::V311(publish)) => client.ack(publish).await.ok(),
            (Self::V5(client, _), Message::V5(publish)) => client.ack(publish).await.ok(),
            _ => unreachable!("a message comes from its own client"),
        };
    }

    pub(crate) async fn disconnect(&self) {
        match self {
            Self::V311(client) => client.disconnect().await.ok(),
            Self::V5(client, _) => client.disconnect().await.ok(),
        };
    }
}

fn connect_v311(arguments: &ConnectArguments, sender: mpsc::Sender<Event>) -> Client {
    let host = bracketed(&arguments.host);
    let mut options = v4::MqttOptions::new(&arguments.id, host, arguments.port);
    options
        .set_keep_alive(Duration::from_secs(arguments.keepalive.into()))
        .set_clean_session(!arguments.keep_session)
        .set_manual_acks(true)
        .set_max_packet_size(PACKET_MAX_BYTES as usize, PACKET_MAX_BYTES as usize);
    if let Some(username) = &arguments.username {
        options.set_credentials(username, arguments.password.clone().unwrap_or_default());
    }
    let (client, mut events) = v4::AsyncClient::new(options, QUEUE);
    tokio::spawn(async move {
        loop {
            let event = match events.poll().await {
                Ok(event) => v4_event(event),
                Err(error) => Some(Event::Lost(v4_reason(&error))),
            };
            if !forward(event, &sender).await {
                return;
            }
        }
    });
    Client::V311(client)
}

fn connect_v5(
    arguments: &ConnectArguments,
    properties: Properties,
    sender: mpsc::Sender<Event>,
) -> Client {
    let host = bracketed(&arguments.host);
    let mut options = v5::MqttOptions::new(&arguments.id, host, arguments.port);
    options
        .set_keep_alive(Duration::from_secs(arguments.keepalive.into()))
        .set_clean_start(!arguments.keep_session)
        .set_manual_acks(true)
        .set_connect_properties(properties.connect.clone())
        .set_max_packet_size(Some(PACKET_MAX_BYTES));
    if let Some(username) = &arguments.username {
        options.set_credentials(username, arguments.password.clone().unwrap_or_default());
    }
    let (client, mut events) = v5::AsyncClient::new(options, QUEUE);
    tokio::spawn(async move {
        loop {
            let event = match events.poll().await {
                Ok(event) => v5_event(event),
                Err(error) => Some(Event::Lost(v5_reason(&error))),
            };
            if !forward(event, &sender).await {
                return;
            }
        }
    });
    Client::V5(client, Box::new(properties))
}

/// Whether somebody listens still. After a lost connection it takes a while.
async fn forward(event: Option<Event>, sender: &mpsc::Sender<Event>) -> bool {
    let Some(event) = event else { return !sender.is_closed() };
    let is_lost = matches!(event, Event::Lost(_));
    let is_heard = sender.send(event).await.is_ok();
    if is_lost && is_heard {
        tokio::select! {
            () = sleep(RECONNECT) => {}
            () = sender.closed() => {}
        }
    }
    is_heard
}

fn v4_event(event: v4::Event) -> Option<Event> {
    use v4::{Incoming, Outgoing};
    Some(match event {
        v4::Event::Incoming(Incoming::ConnAck(connack)) => {
            Event::Connected { session_present: connack.session_present }
        }
        v4::Event::Incoming(Incoming::Publish(publish)) => Event::Message(Message::V311(publish)),
        v4::Event::Incoming(Incoming::PubAck(_) | Incoming::PubComp(_)) => {
            Event::Acknowledged(Ok(()))
        }
        v4::Event::Incoming(Incoming::SubAck(suback)) => {
            let granted = suback.return_codes.iter().map(|code| match code {
                v4::SubscribeReasonCode::Success(_) => Ok(()),
                v4::SubscribeReasonCode::Failure => Err("refused by the broker".to_owned()),
            });
            Event::Subscribed(granted.collect())
        }
        v4::Event::Outgoing(Outgoing::Publish(0)) => Event::Sent,
        v4::Event::Outgoing(Outgoing::Disconnect) => Event::Disconnected,
        _ => return None,
    })
}

fn v5_event(event: v5::Event) -> Option<Event> {
    use v4::Outgoing;
    use v5::mqttbytes::v5::{Packet, PubAckReason, PubRecReason, SubscribeReasonCode};
    Some(match event {
        v5::Event::Incoming(Packet::ConnAck(connack)) => {
            Event::Connected { session_present: connack.session_present }
        }
        v5::Event::Incoming(Packet::Publish(publish)) => Event::Message(Message::V5(publish)),
        v5::Event::Incoming(Packet::PubAck(puback)) => Event::Acknowledged(match puback.reason {
            PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Ok(()),
            reason => Err(words(&reason)),
        }),
        v5::Event::Incoming(Packet::PubRec(pubrec)) => match pubrec.reason {
            PubRecReason::Success | PubRecReason::NoMatchingSubscribers => return None,
            reason => Event::Acknowledged(Err(words(&reason))),
        },
        v5::Event::Incoming(Packet::PubComp(_)) => Event::Acknowledged(Ok(())),
        v5::Event::Incoming(Packet::SubAck(suback)) => {
            let granted = suback.return_codes.iter().map(|code| match code {
                SubscribeReasonCode::Success(_) => Ok(()),
                reason => Err(words(reason)),
            });
            Event::Subscribed(granted.collect())
        }
        v5::Event::Outgoing(Outgoing::Publish(0)) => Event::Sent,
        v5::Event::Outgoing(Outgoing::Disconnect) => Event::Disconnected,
        _ => return None,
    })
}

fn v4_reason(error: &v4::ConnectionError) -> String {
    match error {
        v4::ConnectionError::ConnectionRefused(code) => format!("refused: {}", words(code)),
        v4::ConnectionError::Io(error)
        | v4::ConnectionError::MqttState(v4::StateError::Io(error)) => error.to_string(),
        v4::ConnectionError::NetworkTimeout => "no answer in time".to_owned(),
        other => other.to_string(),
    }
}

fn v5_reason(error: &v5::ConnectionError) -> String {
    use v5::{ConnectionError as E, StateError};
    match error {
        E::ConnectionRefused(code) => format!("refused: {}", words(code)),
        E::Io(error) | E::MqttState(StateError::Io(error)) => error.to_string(),
        E::MqttState(StateError::ConnFail { reason }) => format!("refused: {}", words(reason)),
        E::MqttState(StateError::ServerDisconnect { reason_code, reason_string }) => {
            match reason_string {
                Some(text) => format!("the broker says: {} ({text})", words(reason_code)),
                None => format!("the broker says: {}", words(reason_code)),
            }
        }
        E::Timeout(_) => "no answer in time".to_owned(),
        other => other.to_string(),
    }
}

/// "NotAuthorized" as "not authorized".
fn words(name: &impl std::fmt::Debug) -> String {
    let mut text = String::new();
    for character in format!("{name:?}").chars() {
        if character.is_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.extend(character.to_lowercase());
    }
    text
}

/// rumqttc puts a colon and the port behind it.
fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn v4_qos(qos: u8) -> v4::QoS {
    match qos {
        0 => v4::QoS::AtMostOnce,
        1 => v4::QoS::AtLeastOnce,
        _ => v4::QoS::ExactlyOnce,
    }
}

fn v5_qos(qos: u8) -> v5::mqttbytes::QoS {
    match qos {
        0 => v5::mqttbytes::QoS::AtMostOnce,
        1 => v5::mqttbytes::QoS::AtLeastOnce,
        _ => v5::mqttbytes::QoS::ExactlyOnce,
    }
}
