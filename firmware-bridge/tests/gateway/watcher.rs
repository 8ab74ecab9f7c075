//! An ordinary MQTT client at the broker.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rumqttc::{Client, Event, MqttOptions, Packet, Publish, QoS};

use crate::LIMIT;

/// A client that is subscribed to something.
pub(crate) struct Watcher {
    pub(crate) client: Client,
    messages: Receiver<Publish>,
}

impl Watcher {
    pub(crate) fn subscribe(port: u16, filter: &str) -> Self {
        let mut options =
            MqttOptions::new(format!("watcher-{filter}").replace('#', "all"), "127.0.0.1", port);
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut connection) = Client::new(options, 10_000);
        client.subscribe(filter, QoS::ExactlyOnce).unwrap();
        let (sender, messages) = channel();
        let (subscribed, is_subscribed) = channel();
        thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::SubAck(_))) => subscribed.send(()).unwrap_or(()),
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        if sender.send(publish).is_err() {
                            return;
                        }
                    }
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        });
        is_subscribed.recv_timeout(LIMIT).expect("the broker answers");
        Self { client, messages }
    }

    pub(crate) fn publish(&self, topic: &str, payload: &str, qos: QoS) {
        self.client.publish(topic, qos, false, payload).unwrap();
    }

    pub(crate) fn next(&self) -> Publish {
        self.messages.recv_timeout(LIMIT).expect("a message comes")
    }

    pub(crate) fn next_text(&self) -> (String, String) {
        let publish = self.next();
        (publish.topic, String::from_utf8(publish.payload.to_vec()).unwrap())
    }

    /// Waits until this was published to the topic.
    pub(crate) fn wait_for(&self, topic: &str, payload: &str) {
        let end = Instant::now() + LIMIT;
        let mut seen = Vec::new();
        while Instant::now() < end {
            match self.messages.recv_timeout(Duration::from_millis(100)) {
                Ok(publish) => {
                    let text = String::from_utf8_lossy(&publish.payload).into_owned();
                    if publish.topic == topic && text == payload {
                        return;
                    }
                    seen.push((publish.topic, text));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        panic!("{payload} never came to {topic}, but {seen:?}");
    }

    /// Everything until nothing comes for a while.
    pub(crate) fn rest(&self) -> Vec<Publish> {
        let next = || self.messages.recv_timeout(Duration::from_millis(500)).ok();
        std::iter::from_fn(next).collect()
    }
}
