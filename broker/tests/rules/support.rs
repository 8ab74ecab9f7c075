//! A broker in this process with rules of a test, and clients of it.

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, Publish};
use rumqttc::v5::{Client, Connection, Event, MqttOptions};
use weir_broker::config::{Config, HostPort, ListenerConfig};
use weir_broker::store::StoreError;
use weir_broker::{Broker, StartError};
use weir_rules::Source;

/// Far more than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The data directory of a test, removed at the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("weir-rules-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn config(&self, rules: &str) -> Config {
        let mut config = Config::default();
        config.data_dir.clone_from(&self.0);
        config.listeners = vec![ListenerConfig::new(HostPort::new("127.0.0.1", 0))];
        config.admin.address = Some(HostPort::new("127.0.0.1", 0));
        config.auth.allow_anonymous = true;
        config.rules = vec![Source::new("rules.toml", rules)];
        config
    }

    /// Starts a broker. Another test may start a program at this moment: until that runs, it holds
    /// every file of this process, with the lock of a store that was closed meanwhile.
    pub(crate) fn start(&self, rules: &str) -> Broker {
        let end = Instant::now() + PATIENCE;
        loop {
            match Broker::start(self.config(rules)) {
                Err(StartError::Store(StoreError::Locked { .. })) if Instant::now() < end => {
                    std::thread::yield_now();
                }
                started => return started.unwrap(),
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// A client, and what it hears.
pub(crate) struct Device {
    pub(crate) client: Client,
    connection: Connection,
    /// Messages that came before something else that was waited for.
    early: VecDeque<Publish>,
}

impl Device {
    pub(crate) fn connect(broker: &Broker, id: &str) -> Self {
        let address = broker.addresses()[0];
        let options = MqttOptions::new(id, address.ip().to_string(), address.port());
        let (client, mut connection) = Client::new(options, 200);
        match connection.recv_timeout(PATIENCE).unwrap() {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                Self { client, connection, early: VecDeque::new() }
            }
            other => panic!("{other:?} instead of CONNACK"),
        }
    }

    fn hear(&mut self) -> Packet {
        loop {
            if let Event::Incoming(packet) =
                self.connection.recv_timeout(PATIENCE).unwrap().unwrap()
            {
                return packet;
            }
        }
    }

    pub(crate) fn message(&mut self) -> Publish {
        if let Some(message) = self.early.pop_front() {
            return message;
        }
        loop {
            if let Packet::Publish(message) = self.hear() {
                return message;
            }
        }
    }

    /// Topic and payload of the next message.
    pub(crate) fn text(&mut self) -> (String, String) {
        let message = self.message();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (text(&message.topic), text(&message.payload))
    }

    fn wait_for(&mut self, is_it: impl Fn(&Packet) -> bool) -> Packet {
        loop {
            match self.hear() {
                Packet::Publish(message) => self.early.push_back(message),
                packet if is_it(&packet) => return packet,
                _ => {}
            }
        }
    }

    pub(crate) fn subscribe(&mut self, filter: &str) {
        self.client.subscribe(filter, QoS::AtLeastOnce).unwrap();
        self.wait_for(|packet| matches!(packet, Packet::SubAck(_)));
    }

    /// Publishes and waits until the broker has it.
    pub(crate) fn publish(&mut self, topic: &str, payload: &str) {
        self.publish_with(topic, payload, false);
    }

    pub(crate) fn publish_retained(&mut self, topic: &str, payload: &str) {
        self.publish_with(topic, payload, true);
    }

    fn publish_with(&mut self, topic: &str, payload: &str, retain: bool) {
        let payload = payload.to_owned();
        self.client.publish(topic, QoS::AtLeastOnce, retain, payload).unwrap();
        self.wait_for(|packet| matches!(packet, Packet::PubAck(_)));
    }
}

/// Waits for a condition, a while.
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "{what} did not happen");
        std::thread::yield_now();
    }
}
