//! A client of the tests: MQTT 5, of the library that the upstream uses too.

use std::collections::BTreeMap;
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectProperties, Packet, Publish, PublishProperties};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::config::HostPort;

/// Connected, and again after it was not; its session is kept.
pub(crate) struct Client {
    client: AsyncClient,
    messages: mpsc::UnboundedReceiver<Message>,
    subscribed: mpsc::UnboundedReceiver<()>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: String,
    pub(crate) qos: u8,
    #[cfg_attr(not(feature = "nats"), expect(dead_code))]
    pub(crate) is_retained: bool,
    pub(crate) content_type: Option<String>,
    pub(crate) user: BTreeMap<String, String>,
}

impl Client {
    pub(crate) fn connect(address: &HostPort, id: &str) -> Self {
        let mut options = MqttOptions::new(id, address.host(), address.port());
        options.set_clean_start(false).set_connect_properties(ConnectProperties {
            session_expiry_interval: Some(3_600),
            max_packet_size: Some(1 << 20),
            ..ConnectProperties::new()
        });
        let (client, mut event_loop) = AsyncClient::new(options, 4_096);
        let (sender, messages) = mpsc::unbounded_channel();
        let (subscribe, subscribed) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            expect_releases(&mut event_loop);
            loop {
                match event_loop.poll().await {
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        let properties = publish.properties.unwrap_or_default();
                        let _ = sender.send(Message {
                            topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                            payload: String::from_utf8_lossy(&publish.payload).into_owned(),
                            qos: publish.qos as u8,
                            is_retained: publish.retain,
                            content_type: properties.content_type,
                            user: properties.user_properties.into_iter().collect(),
                        });
                    }
                    Ok(Event::Incoming(Packet::SubAck(_))) => drop(subscribe.send(())),
                    Ok(_) => {}
                    Err(_) => {
                        expect_releases(&mut event_loop);
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            }
        });
        Self { client, messages, subscribed, task }
    }

    /// Returns when the subscription is there.
    pub(crate) async fn subscribe(&mut self, filter: &str) {
        self.client.try_subscribe(filter, QoS::ExactlyOnce).expect("there is room");
        let subscribed = tokio::time::timeout(PATIENCE, self.subscribed.recv());
        subscribed.await.expect("a SUBACK in time").expect("the client lives");
    }

    pub(crate) fn publish(&self, topic: &str, qos: u8, payload: &str) {
        let properties = PublishProperties {
            content_type: Some("text/plain".to_owned()),
            user_properties: vec![("unit".to_owned(), "celsius".to_owned())],
            ..PublishProperties::default()
        };
        let qos = rumqttc::v5::mqttbytes::qos(qos).expect("0, 1 or 2");
        let payload = payload.to_owned();
        let sent = self.client.try_publish_with_properties(topic, qos, false, payload, properties);
        sent.expect("there is room");
    }

    /// A message that is there already.
    pub(crate) fn try_next(&mut self) -> Option<Message> {
        self.messages.try_recv().ok()
    }

    /// Publishes a retained message; nothing removes it.
    #[cfg(feature = "nats")]
    pub(crate) fn retain(&self, topic: &str, payload: &str) {
        let payload = payload.to_owned();
        let sent = self.client.try_publish(topic, QoS::AtLeastOnce, true, payload);
        sent.expect("there is room");
    }

    pub(crate) async fn next(&mut self) -> Message {
        let message = tokio::time::timeout(PATIENCE, self.messages.recv());
        message.await.expect("a message in time").expect("the client lives")
    }

    /// The payloads up to `last`, each once, in the order in which they came first.
    pub(crate) async fn payloads_until(&mut self, last: &str) -> Vec<String> {
        let mut payloads: Vec<String> = Vec::new();
        loop {
            let payload = self.next().await.payload;
            if !payloads.contains(&payload) {
                payloads.push(payload);
            }
            if payloads.last().is_some_and(|payload| payload == last) {
                return payloads;
            }
        }
    }
}

/// The library ends a connection on which a QoS 2 message is released that came on one before.
fn expect_releases(event_loop: &mut EventLoop) {
    for pkid in 1..=200 {
        let publish = Publish { qos: QoS::ExactlyOnce, pkid, ..Publish::default() };
        let seen = event_loop.state.handle_incoming_packet(Packet::Publish(publish));
        seen.expect("a PUBLISH is fine");
        event_loop.state.events.clear();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
