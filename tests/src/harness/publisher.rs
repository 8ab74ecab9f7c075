//! A publisher with a session, by the book: what was not acknowledged is sent again after a
//! reconnect, with its identifier and in its order.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use weir_mqtt::{Acknowledge, Packet, PacketId, Publish, QoS, UserProperties, Version};

use super::client::{Client, Received};
use super::session;
use super::wait::LIMIT;

/// A message as an application has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Where it goes.
    pub topic: String,
    /// What it says.
    pub payload: Vec<u8>,
    /// How often it may arrive.
    pub qos: QoS,
    /// Whether it is kept for those who subscribe later, or was.
    pub retain: bool,
    /// Name and value pairs, 5.0 only.
    pub user_properties: Vec<(String, String)>,
}

/// How a stretch of work has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The connection is gone.
    Closed,
    /// Everything that was to be sent is acknowledged.
    Done,
}

/// A session that publishes. It survives its connections.
#[derive(Debug)]
pub struct Publisher {
    client_id: String,
    version: Version,
    window: usize,
    known: bool,
    last_id: u16,
    inflight: VecDeque<Inflight>,
    client: Option<Client>,
}

#[derive(Debug)]
struct Inflight {
    packet_id: PacketId,
    message: Message,
    /// PUBREC has come, so that PUBREL goes instead of PUBLISH.
    received: bool,
}

impl Publisher {
    /// A session that no broker knows yet. At most `window` messages are under way.
    #[must_use]
    pub fn new(client_id: &str, version: Version, window: usize) -> Self {
        Self {
            client_id: client_id.to_owned(),
            version,
            window,
            known: false,
            last_id: 0,
            inflight: VecDeque::new(),
            client: None,
        }
    }

    /// Connects and sends again what was not acknowledged.
    ///
    /// # Errors
    /// The connection ends before CONNACK.
    ///
    /// # Panics
    /// The broker has forgotten the session.
    pub fn connect(&mut self, address: SocketAddr) -> io::Result<()> {
        let mut client = session::resume(address, self.version, &self.client_id, &mut self.known)?;
        for inflight in &self.inflight {
            if inflight.received {
                client.put(&Packet::Pubrel(Acknowledge::success(inflight.packet_id)));
            } else {
                put_publish(&mut client, inflight, true);
            }
        }
        // Whoever reads next learns that it is gone.
        let _ = client.flush();
        self.client = Some(client);
        Ok(())
    }

    /// Publishes what `next` gives until it gives nothing more and everything is acknowledged, or
    /// until the connection is gone.
    ///
    /// # Panics
    /// The broker refuses a message, acknowledges what is not under way, or is silent for too
    /// long.
    pub fn run(
        &mut self,
        mut next: impl FnMut() -> Option<Message>,
        mut acknowledged: impl FnMut(&Message),
    ) -> Ended {
        let Some(mut client) = self.client.take() else { return Ended::Closed };
        let mut more = true;
        loop {
            while more && self.inflight.len() < self.window {
                match next() {
                    Some(message) => self.put(&mut client, message),
                    None => more = false,
                }
            }
            // A connection that cannot be written may still bring acknowledgements.
            let _ = client.flush();
            if !more && self.inflight.is_empty() {
                self.client = Some(client);
                return Ended::Done;
            }
            if self.handle_one(&mut client, LIMIT, &mut acknowledged) == Ended::Closed {
                return Ended::Closed;
            }
            while client.has_more() {
                self.handle_one(&mut client, Duration::ZERO, &mut acknowledged);
            }
        }
    }

    /// Publishes messages and waits until all are acknowledged.
    ///
    /// # Panics
    /// The connection ends before that.
    pub fn publish(&mut self, messages: impl IntoIterator<Item = Message>) {
        let mut messages = messages.into_iter();
        assert_eq!(self.run(|| messages.next(), |_| {}), Ended::Done, "the connection broke");
    }

    /// How many messages are not acknowledged.
    #[must_use]
    pub fn inflight(&self) -> usize {
        self.inflight.len()
    }

    /// Breaks the connection.
    pub fn disconnect(&mut self) {
        self.client = None;
    }

    fn put(&mut self, client: &mut Client, message: Message) {
        let packet_id = self.free_id();
        let inflight = Inflight { packet_id, message, received: false };
        put_publish(client, &inflight, false);
        if inflight.message.qos != QoS::AtMostOnce {
            self.inflight.push_back(inflight);
        }
    }

    fn free_id(&mut self) -> PacketId {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            let packet_id = PacketId::new(self.last_id).expect("it is not zero");
            if self.inflight.iter().all(|inflight| inflight.packet_id != packet_id) {
                return packet_id;
            }
        }
    }

    fn handle_one(
        &mut self,
        client: &mut Client,
        limit: Duration,
        acknowledged: &mut impl FnMut(&Message),
    ) -> Ended {
        let id = &self.client_id;
        let packet_id = match client.receive(limit) {
            Received::Closed => return Ended::Closed,
            Received::Packet(Packet::Pubrec(pubrec)) => {
                assert!(!pubrec.reason.is_error(), "{id}: {pubrec:?}");
                let packet_id = pubrec.packet_id;
                let place = self.place(packet_id, QoS::ExactlyOnce);
                self.inflight[place].received = true;
                client.put(&Packet::Pubrel(Acknowledge::success(packet_id)));
                return Ended::Done;
            }
            Received::Packet(Packet::Puback(puback)) => {
                assert!(!puback.reason.is_error(), "{id}: {puback:?}");
                puback.packet_id
            }
            Received::Packet(Packet::Pubcomp(pubcomp)) => pubcomp.packet_id,
            // The broker is on its way down; the end of the connection follows.
            Received::Packet(Packet::Disconnect(_)) => return Ended::Done,
            other => panic!("{id} waits for {} messages and gets {other:?}", self.inflight.len()),
        };
        let qos = self.inflight.iter().find(|inflight| inflight.packet_id == packet_id);
        let place = self.place(packet_id, qos.map_or(QoS::AtMostOnce, |found| found.message.qos));
        let inflight = self.inflight.remove(place).expect("it was found there");
        acknowledged(&inflight.message);
        Ended::Done
    }

    fn place(&self, packet_id: PacketId, qos: QoS) -> usize {
        let is_it =
            |inflight: &Inflight| inflight.packet_id == packet_id && inflight.message.qos == qos;
        let place = self.inflight.iter().position(is_it);
        place.unwrap_or_else(|| panic!("{}: {packet_id} is not under way", self.client_id))
    }
}

fn put_publish(client: &mut Client, inflight: &Inflight, dup: bool) {
    let message = &inflight.message;
    let pairs: Vec<_> = message
        .user_properties
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let mut publish = Publish::new(&message.topic, &message.payload);
    publish.qos = message.qos;
    publish.retain = message.retain;
    publish.dup = dup && message.qos != QoS::AtMostOnce;
    publish.packet_id = (message.qos != QoS::AtMostOnce).then_some(inflight.packet_id);
    publish.properties.user_properties = UserProperties::from(&pairs[..]);
    client.put(&Packet::Publish(publish));
}
