//! A subscriber with a session, by the book: it acknowledges what it has, and knows a QoS 2
//! message by its identifier until PUBREL.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use weir_mqtt::{
    Acknowledge, Connect, Packet, PacketId, Publish, QoS, Subscribe, SubscribeFilter,
    SubscribeFilters, SubscribeProperties, SubscriptionOptions, TopicFilter, Version,
};

use super::client::{Client, Received};
use super::publisher::Message;
use super::session;
use super::wait::LIMIT;

/// A session that subscribes. It survives its connections.
#[derive(Debug)]
pub struct Subscriber {
    client_id: String,
    version: Version,
    filters: Vec<String>,
    is_brief: bool,
    known: bool,
    subscribed: bool,
    /// QoS 2 messages that were received and not released.
    received: HashSet<PacketId>,
    /// Messages that came before SUBACK.
    early: VecDeque<Message>,
    client: Option<Client>,
}

/// What a wait for a message has brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The connection is gone.
    Closed,
    /// A message, possibly once more if it is QoS 1.
    Message(Message),
    /// No message within the limit.
    Nothing,
}

impl Subscriber {
    /// A session that no broker knows yet.
    #[must_use]
    pub fn new(client_id: &str, version: Version, filter: &str) -> Self {
        Self {
            client_id: client_id.to_owned(),
            version,
            filters: vec![filter.to_owned()],
            is_brief: false,
            known: false,
            subscribed: false,
            received: HashSet::new(),
            early: VecDeque::new(),
            client: None,
        }
    }

    /// A subscriber whose session ends with its connection.
    #[must_use]
    pub fn brief(client_id: &str, filters: &[&str]) -> Self {
        let filters = filters.iter().map(|filter| (*filter).to_owned()).collect();
        Self { filters, is_brief: true, ..Self::new(client_id, Version::V5, "") }
    }

    /// Connects, and subscribes with QoS 2 unless the broker has acknowledged that already.
    ///
    /// # Errors
    /// The connection ends before that.
    ///
    /// # Panics
    /// The broker has forgotten the session or refuses the subscription.
    pub fn connect(&mut self, address: SocketAddr) -> io::Result<()> {
        let mut client = if self.is_brief {
            Client::connect(address, Connect::new(self.version, &self.client_id))?.0
        } else {
            session::resume(address, self.version, &self.client_id, &mut self.known)?
        };
        if !self.subscribed || self.is_brief {
            self.subscribe(&mut client)?;
            self.subscribed = true;
        }
        self.client = Some(client);
        Ok(())
    }

    /// Waits for a message and acknowledges it.
    ///
    /// # Panics
    /// The broker sends what it must not.
    pub fn receive(&mut self, limit: Duration) -> Arrival {
        if let Some(message) = self.early.pop_front() {
            return Arrival::Message(message);
        }
        let Some(client) = &mut self.client else { return Arrival::Closed };
        loop {
            let (message, answer) = match client.receive(limit) {
                Received::Closed => {
                    self.client = None;
                    return Arrival::Closed;
                }
                Received::Nothing => return Arrival::Nothing,
                Received::Packet(Packet::Publish(publish)) => take(&mut self.received, &publish),
                Received::Packet(Packet::Pubrel(pubrel)) => {
                    self.received.remove(&pubrel.packet_id);
                    let answer = Packet::Pubcomp(Acknowledge::success(pubrel.packet_id));
                    (None, Some(answer))
                }
                // The broker is on its way down; the end of the connection follows.
                Received::Packet(Packet::Disconnect(_)) => continue,
                other => panic!("{} gets {other:?}", self.client_id),
            };
            if let Some(answer) = answer {
                client.put(&answer);
            }
            if !client.has_more() {
                // The next read learns that the connection is gone.
                let _ = client.flush();
            }
            if let Some(message) = message {
                return Arrival::Message(message);
            }
        }
    }

    /// Whether it has a connection.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.is_some()
    }

    /// Breaks the connection. Acknowledgements that wait are lost, as they may be.
    pub fn disconnect(&mut self) {
        self.client = None;
    }

    fn subscribe(&mut self, client: &mut Client) -> io::Result<()> {
        let options = SubscriptionOptions::new(QoS::ExactlyOnce);
        let filters = self.filters.iter().map(|filter| {
            let filter = TopicFilter::parse(filter).expect("a filter of a test is right");
            SubscribeFilter { filter, options }
        });
        let filters: Vec<_> = filters.collect();
        let packet_id = PacketId::new(u16::MAX).expect("it is not zero");
        client.send(&Packet::Subscribe(Subscribe {
            packet_id,
            properties: SubscribeProperties::default(),
            filters: SubscribeFilters::from(&filters[..]),
        }))?;
        loop {
            let (message, answer) = match client.receive(LIMIT) {
                Received::Packet(Packet::Suback(suback)) => {
                    assert!(suback.reasons.iter().all(|reason| !reason.is_error()), "{suback:?}");
                    return client.flush();
                }
                // A message may be faster than SUBACK.
                Received::Packet(Packet::Publish(publish)) => take(&mut self.received, &publish),
                Received::Closed => return Err(io::ErrorKind::ConnectionReset.into()),
                other => panic!("{} waits for SUBACK and gets {other:?}", self.client_id),
            };
            self.early.extend(message);
            answer.into_iter().for_each(|answer| client.put(&answer));
        }
    }
}

/// A message, unless it was there before, and what is said to it.
fn take(
    received: &mut HashSet<PacketId>,
    publish: &Publish<'_>,
) -> (Option<Message>, Option<Packet<'static>>) {
    match publish.packet_id {
        None => (Some(message(publish)), None),
        Some(packet_id) if publish.qos == QoS::AtLeastOnce => {
            let answer = Packet::Puback(Acknowledge::success(packet_id));
            (Some(message(publish)), Some(answer))
        }
        Some(packet_id) => {
            let is_new = received.insert(packet_id);
            let answer = Packet::Pubrec(Acknowledge::success(packet_id));
            (is_new.then(|| message(publish)), Some(answer))
        }
    }
}

fn message(publish: &Publish<'_>) -> Message {
    let pairs = publish.properties.user_properties.iter();
    Message {
        topic: publish.topic.to_owned(),
        payload: publish.payload.to_vec(),
        qos: publish.qos,
        retain: publish.retain,
        user_properties: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
    }
}
