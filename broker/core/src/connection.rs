//! One network connection as the core sees it: what was cut off of its last read, what waits to
//! be written, and what its CONNECT said.

use std::collections::VecDeque;
use std::num::NonZeroU16;

use smallvec::SmallVec;
use weir_mqtt::Version;

use crate::alias::OutboundAliases;
use crate::authorize::Identity;
use crate::clock::Instant;
use crate::effect::Exchange;
use crate::identity::{ConnectionId, ListenerId, Sequence};
use crate::key::SessionKey;
use crate::outbound::Outbound;
use crate::rare::Rare;
use crate::rates::Allowance;
use crate::timer::Timer;

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) listener: ListenerId,
    pub(crate) state: State,
    pub(crate) version: Version,
    /// How the check of its client stands; none when there is nothing to be checked any more.
    pub(crate) authentication: Option<Box<Authentication>>,
    pub(crate) outbound: Outbound,
    /// Bytes that were received and not handled yet: a frame that was cut off, or all that
    /// follows a packet that has to wait.
    pub(crate) unhandled: Vec<u8>,
    pub(crate) last_received: Instant,
    /// When its CONNECT was taken, seconds since 1970; 0 before.
    pub(crate) connected_at_s: u32,
    /// PUBLISH packets from its client.
    pub(crate) received: u64,
    /// PUBLISH packets to its client.
    pub(crate) sent: u64,
    /// Its timer, which is armed or has just fired.
    timer: Option<(Instant, Waits)>,
    /// Longest silence of the client; 0 = any.
    pub(crate) silence_ms_max: u32,
    /// Longest packet that the client takes, bytes.
    pub(crate) packet_bytes_max: usize,
    /// It has not said that it wants no problem information.
    pub(crate) wants_explanations: bool,
    /// QoS 1 and 2 exchanges that an MQTT 5 client began and that are not over.
    pub(crate) exchanges: u32,
    /// What is left of the rates of its client; none when those have no limit.
    pub(crate) allowance: Option<Box<Allowance>>,
    /// Answers to the client that wait at the gate.
    pub(crate) gated: u32,
    /// Acknowledgements that wait for upstreams, and what has to wait behind them; the first one
    /// waits for upstreams.
    pub(crate) deferred: Rare<VecDeque<Deferred>>,
    /// Topic aliases that the client set, by number.
    pub(crate) aliases: Rare<Vec<Option<Box<str>>>>,
    /// Topic aliases that the broker set.
    pub(crate) outbound_aliases: OutboundAliases,
    /// Topics lose their front on the way to its client.
    pub(crate) is_mounted: bool,
    /// What its buffers took when they were counted last.
    pub(crate) buffer_bytes: u32,
    /// It stands in the list of connections to flush.
    pub(crate) to_flush: bool,
    /// The shell was told not to read it.
    pub(crate) paused: bool,
    /// A PUBLISH of its client, of 3.x, got no answer because the store had no room.
    pub(crate) unanswered: bool,
    /// The shell was told that a PUBLISH was denied.
    pub(crate) told_of_publish: bool,
    /// The shell was told that a SUBSCRIBE was denied.
    pub(crate) told_of_subscribe: bool,
}

/// What the timer of a connection is for; which connection it is need not be said twice.
#[derive(Clone, Copy, Debug)]
enum Waits {
    ForConnect,
    ForSomething,
}

/// An acknowledgement that is not at the gate yet.
#[derive(Debug)]
pub(crate) struct Deferred {
    /// The message that upstreams have to acknowledge first.
    pub(crate) waits_for: Option<Sequence>,
    /// The batch that has to be durable as well.
    pub(crate) batch: Option<u64>,
    pub(crate) frame: SmallVec<[u8; 8]>,
    /// It ends an exchange that the client began.
    pub(crate) ends_exchange: bool,
}

/// How the check of a client stands.
#[derive(Debug, Default)]
pub(crate) struct Authentication {
    /// Its CONNECT, which waits for the outcome.
    pub(crate) connect: Vec<u8>,
    /// Who it is, once that is known and until CONNECT is taken.
    pub(crate) identity: Option<Identity>,
    /// The method that it named in CONNECT; nothing was said when no exchange is under way.
    pub(crate) exchange: Option<Exchange>,
    /// What the method says at the end of an exchange.
    pub(crate) last_word: Option<Box<[u8]>>,
    /// The shell was asked about a client that is connected, and has not answered.
    pub(crate) asked: bool,
    /// When an exchange of a client that is connected must be over.
    pub(crate) exchange_until: Option<Instant>,
    /// When its timer fires.
    pub(crate) timer: Option<Instant>,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum State {
    /// The shell checks the credentials; CONNECT itself waits, and what follows it.
    Authenticating,
    /// Nothing but CONNECT is expected.
    AwaitingConnect,
    /// CONNECT waits for the client to go on with its authentication: nothing but AUTH and
    /// DISCONNECT is expected [MQTT-3.1.2-30].
    Challenged,
    /// The shell was told to close it; whatever it still says is ignored.
    Closing,
    /// CONNECT was taken and waits for the store; what follows waits with it.
    Connecting(SessionKey),
    /// Its client belongs to another shard; what it has said goes there with it.
    Moving,
    /// Packets are handled.
    Open(SessionKey),
}

impl Connection {
    pub(crate) fn new(id: ConnectionId, listener: ListenerId, now: Instant) -> Self {
        Self {
            id,
            listener,
            state: State::AwaitingConnect,
            version: Version::V311,
            authentication: None,
            outbound: Outbound::default(),
            unhandled: Vec::new(),
            last_received: now,
            connected_at_s: 0,
            received: 0,
            sent: 0,
            timer: None,
            silence_ms_max: 0,
            packet_bytes_max: usize::MAX,
            wants_explanations: true,
            exchanges: 0,
            allowance: None,
            gated: 0,
            deferred: Rare::default(),
            aliases: Rare::default(),
            outbound_aliases: OutboundAliases::default(),
            is_mounted: false,
            buffer_bytes: 0,
            to_flush: false,
            paused: false,
            unanswered: false,
            told_of_publish: false,
            told_of_subscribe: false,
        }
    }

    /// Has another timer in place of the one that is returned.
    pub(crate) fn replace_timer(
        &mut self,
        timer: Option<(Instant, Timer)>,
    ) -> Option<(Instant, Timer)> {
        let before = self.timer();
        self.timer = timer.map(|(at, timer)| match timer {
            Timer::Connect(_) => (at, Waits::ForConnect),
            Timer::KeepAlive(_) => (at, Waits::ForSomething),
            other => unreachable!("{other:?} is armed elsewhere"),
        });
        before
    }

    /// Its timer, which is armed or has just fired.
    pub(crate) fn timer(&self) -> Option<(Instant, Timer)> {
        self.timer.map(|(at, waits)| match waits {
            Waits::ForConnect => (at, Timer::Connect(self.id)),
            Waits::ForSomething => (at, Timer::KeepAlive(self.id)),
        })
    }

    /// Answers that the client has still to get.
    pub(crate) fn unanswered(&self) -> u32 {
        self.gated + u32::try_from(self.deferred.len()).unwrap_or(u32::MAX)
    }

    /// Whether CONNECT was not taken yet.
    pub(crate) fn awaits_connect(&self) -> bool {
        matches!(self.state, State::Authenticating | State::AwaitingConnect | State::Challenged)
    }

    /// The session, once CONNECT was taken.
    pub(crate) fn session(&self) -> Option<SessionKey> {
        match self.state {
            State::Connecting(session) | State::Open(session) => Some(session),
            State::Authenticating
            | State::AwaitingConnect
            | State::Challenged
            | State::Closing
            | State::Moving => None,
        }
    }

    /// The topic that `alias` stands for, to be set again after its use.
    pub(crate) fn take_alias(&mut self, alias: NonZeroU16) -> Option<Box<str>> {
        self.aliases.existing_mut()?.get_mut(usize::from(alias.get()) - 1)?.take()
    }

    /// Lets `alias` stand for `topic`; the caller has checked it against the limit.
    pub(crate) fn set_alias(&mut self, alias: NonZeroU16, topic: Box<str>) {
        let index = usize::from(alias.get()) - 1;
        if self.aliases.len() <= index {
            self.aliases.resize(index + 1, None);
        }
        self.aliases[index] = Some(topic);
    }
}

/// The open connections by slot.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    slots: Vec<Option<Box<Connection>>>,
    count: usize,
}

impl Connections {
    pub(crate) fn insert(&mut self, connection: Connection) {
        let slot = connection.id.slot as usize;
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        let before = self.slots[slot].replace(Box::new(connection));
        assert!(before.is_none(), "a slot is used again only after its connection is closed");
        self.count += 1;
    }

    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.slots.get(id.slot as usize)?.as_deref().filter(|connection| connection.id == id)
    }

    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.slots
            .get_mut(id.slot as usize)?
            .as_deref_mut()
            .filter(|connection| connection.id == id)
    }

    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        self.get(id)?;
        self.count -= 1;
        self.slots.get_mut(id.slot as usize)?.take().map(|connection| *connection)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.slots.iter().flatten().map(|connection| &**connection)
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With what the allocator keeps of each, 208 bytes.
    #[test]
    fn a_connection_takes_little() {
        assert!(size_of::<Connection>() <= 200, "{}", size_of::<Connection>());
    }
}
