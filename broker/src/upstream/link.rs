//! One connection to an upstream, whatever is spoken there.
//!
//! It lives for one connection: one that has failed is dropped, and the outbox sends again what was
//! not acknowledged. The connection itself is a task. It takes messages in the order in which they
//! were given, says under which number each was sent, and later what became of it.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use weir_mqtt::QoS;

use super::desk::Desk;
use super::error::LinkError;
use super::forwarder::Full;
use super::link_event::LinkEvent;
use super::mqtt::{Client, MqttOptions};
use super::node;
use super::outgoing::Outgoing;
use super::program::Outlets;
use super::sink::SinkOptions;
use crate::config::{HostPort, MqttVersion, Route, UpstreamConfig};

/// A connection, open or about to be.
#[derive(Debug)]
pub(crate) struct Link {
    requests: Requests,
    events: mpsc::Receiver<LinkEvent>,
    task: JoinHandle<()>,
}

/// How to connect.
#[derive(Clone, Debug)]
pub(crate) enum LinkOptions {
    Mqtt(MqttOptions),
    Sink(SinkOptions),
}

/// The way to the task.
#[derive(Debug)]
enum Requests {
    Desk(mpsc::Sender<Outgoing>),
    Mqtt(Client),
}

impl LinkOptions {
    /// What the configuration says.
    pub(crate) fn of(config: &UpstreamConfig, outlets: &Outlets) -> Self {
        if let Some(sink) = SinkOptions::of(config, outlets) {
            return Self::Sink(sink);
        }
        Self::Mqtt(MqttOptions {
            client_id: node::client_id(config.remote_clientid.as_deref(), &config.name),
            version: config.bridge_protocol_version,
            keep_alive_s: config.keepalive_interval,
            credentials: config.credentials(),
            tls: config.tls.clone(),
            will_topic: config.notification_topic.clone(),
            keeps_session: !config.receive.is_empty(),
            packet_bytes_max: INCOMING_BYTES_MAX,
        })
    }

    /// Speaks another version of MQTT.
    pub(crate) fn set_version(&mut self, version: MqttVersion) {
        if let Self::Mqtt(options) = self {
            options.version = version;
        }
    }
}

impl Link {
    /// Begins to connect. Needs a tokio runtime with IO and time.
    ///
    /// # Errors
    /// The files of TLS, which are read each time, cannot be used.
    pub(crate) fn open(address: &HostPort, options: &LinkOptions) -> Result<Self, LinkError> {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let (requests, task) = match options {
            LinkOptions::Mqtt(options) => {
                let (client, task) = Client::open(address, options, sender)?;
                (Requests::Mqtt(client), task)
            }
            LinkOptions::Sink(sink) => {
                let (requests, messages) = mpsc::channel(MESSAGES_MAX);
                let run = sink.clone().run(address.clone(), Desk::new(messages, sender));
                (Requests::Desk(requests), tokio::spawn(run))
            }
        };
        Ok(Self { requests, events, task })
    }

    /// What happens next. Can be dropped at any time without losing an event.
    pub(crate) async fn next(&mut self) -> LinkEvent {
        let ended = || LinkEvent::Failed(LinkError::Lost("the client has ended".to_owned()));
        self.events.recv().await.unwrap_or_else(ended)
    }

    /// What has happened already.
    pub(crate) fn try_next(&mut self) -> Option<LinkEvent> {
        self.events.try_recv().ok()
    }

    /// Sends a message; [`LinkEvent::Sent`] follows in the order of the calls.
    pub(crate) fn publish(&self, outgoing: Outgoing) -> Result<(), Full> {
        match &self.requests {
            Requests::Desk(messages) => messages.try_send(outgoing).map_err(|_| Full),
            Requests::Mqtt(client) => client.publish(outgoing),
        }
    }

    /// Subscribes to what the routes come from, all in one packet.
    pub(crate) fn subscribe(&self, routes: &[Route]) -> Result<(), Full> {
        match &self.requests {
            Requests::Desk(_) => unreachable!("the configuration fetches nothing from there"),
            Requests::Mqtt(client) => client.subscribe(routes),
        }
    }

    /// Tells the far end that a message is safe here.
    pub(crate) fn acknowledge(&self, packet_id: u16, qos: QoS) -> Result<(), Full> {
        match &self.requests {
            Requests::Desk(_) => unreachable!("nothing comes from there"),
            Requests::Mqtt(client) => client.acknowledge(packet_id, qos),
        }
    }

    /// Says goodbye, within a second.
    pub(crate) async fn close(mut self) {
        let asked = match &self.requests {
            // What is under way may come to its end.
            Requests::Desk(_) => {
                self.requests = Requests::Desk(mpsc::channel(1).0);
                true
            }
            Requests::Mqtt(client) => client.disconnect(),
        };
        let ended = async { while !matches!(self.next().await, LinkEvent::Failed(_)) {} };
        if asked {
            // Whether the far end has heard it makes no difference here.
            let _ = tokio::time::timeout(Duration::from_secs(1), ended).await;
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The longest packet that is taken from the far end.
const INCOMING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Messages that wait to be taken: one window, and QoS 0 messages.
const MESSAGES_MAX: usize = 2_500;
/// Events that wait to be looked at; beyond it the connection is not read.
const EVENTS_MAX: usize = 256;

#[cfg(test)]
mod tests;
