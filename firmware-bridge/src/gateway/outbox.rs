//! What a turn of the gateway has brought about, and what it has counted.

use weir_node::mqtt_sn_1_2::{Encapsulated, EncodeError, Packet};

use super::address::{Address, LinkId};
use super::counters::{Counter, Counters};
use crate::session::{Command, SessionId, SessionOptions};

/// Something that the shell does for the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Sends a datagram to whoever listens on a link.
    Broadcast {
        /// On which link.
        link: LinkId,
        /// The datagram.
        bytes: Box<[u8]>,
    },
    /// Gives a session something to do. If there is no room, the shell says so with
    /// [`Input::Full`](super::Input::Full).
    Command {
        /// Which session.
        session: SessionId,
        /// What it does.
        command: Command,
    },
    /// Opens a session. If there is no room, the shell says so as for a command.
    Open {
        /// Its id, never used before.
        session: SessionId,
        /// How it begins.
        options: SessionOptions,
    },
    /// Writes into the log that someone was refused.
    Refused(Refusal),
    /// Sends a datagram.
    Send {
        /// Where to; a forwarder's envelope is around the bytes already.
        to: Address,
        /// The datagram.
        bytes: Box<[u8]>,
    },
}

/// Someone was refused, and has been told so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Where from.
    pub address: Address,
    /// Who; `None` without a session.
    pub client_id: Option<Box<str>>,
    /// Which topic, if it is about one.
    pub topic: Option<Box<str>>,
    /// Why.
    pub reason: RefusalReason,
}

/// Why someone was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefusalReason {
    /// The address is not in a range that may be there.
    #[error("address is in no range of allow_from")]
    Address,
    /// The broker does not take the session.
    #[error("the broker refuses the session")]
    Broker,
    /// The broker does not take the message.
    #[error("the broker refuses the message")]
    BrokerPublish,
    /// The client id is empty or longer than configured.
    #[error("client id is empty or too long")]
    ClientIdLength,
    /// The client id is that of a session of someone else.
    #[error("client id belongs to another session of the broker")]
    ClientIdReserved,
    /// There is no node of this client id in the configuration.
    #[error("client id is not listed")]
    ClientIdUnlisted,
    /// Messages without a session are not allowed, or not for this topic.
    #[error("qos -1 is not allowed here")]
    MinusOne,
    /// The node may not publish to this topic, or it is none.
    #[error("publishing to the topic is not allowed")]
    Publish,
    /// The node may not subscribe to this topic, or it is none.
    #[error("subscribing to the topic is not allowed")]
    Subscribe,
}

/// Effects in their order, and counters.
#[derive(Debug)]
pub(super) struct Outbox {
    pub(super) effects: Vec<Effect>,
    pub(super) counters: Counters,
    /// The longest datagram of each link.
    datagram_max: Vec<usize>,
}

/// A packet was not sent because it does not fit its link.
#[derive(Debug)]
pub(super) struct TooLong;

impl Outbox {
    pub(super) fn new(datagram_max: Vec<usize>) -> Self {
        Self { effects: Vec::new(), counters: Counters::default(), datagram_max }
    }

    pub(super) fn count(&mut self, counter: Counter) {
        self.counters.add(counter, 1);
    }

    pub(super) fn command(&mut self, session: SessionId, command: Command) {
        self.effects.push(Effect::Command { session, command });
    }

    /// Sends a packet that fits every link.
    pub(super) fn send(&mut self, to: &Address, packet: Packet<'_>) {
        let sent = self.try_send(to, packet);
        debug_assert!(sent.is_ok(), "{packet:?} is short");
    }

    /// Sends a packet if it fits the link of its receiver, and goes through its forwarder.
    pub(super) fn try_send(&mut self, to: &Address, packet: Packet<'_>) -> Result<(), TooLong> {
        let mut bytes = encoded(packet).map_err(|_| TooLong)?;
        if let Some(node) = &to.node {
            let envelope = Encapsulated { radius: 0, wireless_node_id: node, packet: &bytes };
            bytes = encoded(Packet::Encapsulated(envelope)).map_err(|_| TooLong)?;
        }
        if bytes.len() > self.datagram_max(to) {
            return Err(TooLong);
        }
        self.count(Counter::FramesOut);
        self.effects.push(Effect::Send { to: to.clone(), bytes: bytes.into() });
        Ok(())
    }

    /// The longest datagram of the link that leads there.
    pub(super) fn datagram_max(&self, to: &Address) -> usize {
        self.datagram_max.get(usize::from(to.link.0)).copied().unwrap_or(0)
    }

    pub(super) fn broadcast(&mut self, link: LinkId, packet: Packet<'_>) {
        let Ok(bytes) = encoded(packet) else { return };
        self.count(Counter::FramesOut);
        self.effects.push(Effect::Broadcast { link, bytes: bytes.into() });
    }

    pub(super) fn refuse(&mut self, refusal: Refusal) {
        self.count(Counter::Refused);
        self.effects.push(Effect::Refused(refusal));
    }
}

fn encoded(packet: Packet<'_>) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = vec![0; packet.encoded_len()?];
    packet.encode(&mut bytes)?;
    Ok(bytes)
}
