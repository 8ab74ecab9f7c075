//! The MQTT-SN 1.2 gateway, without IO.
//!
//! Nodes talk MQTT-SN in datagrams; each has a session of its own with a broker. The gateway is
//! handed datagrams, events of sessions and the time in milliseconds of any epoch, and answers
//! with [`Effect`]s. It is a transparent gateway in the words of the standard (5.1): what the
//! broker acknowledges is what the node is acknowledged.
//!
//! ```text
//! handle(now, input)*   drain_saves -> disk   drain_effects -> links, broker   sleep until poll_timeout
//! ```
//!
//! What is handled between two drains is one turn. The shell writes what [`Gateway::drain_saves`]
//! gives to disk before it does any effect of the turn, so that no node is promised what a power
//! cut takes away.
//!
//! A sleeping node keeps its session open. Its messages are not acknowledged to the broker until
//! the node has them: the broker holds them, under its limits, whatever becomes of the gateway.
//!
//! Invariants: an address leads to at most one client, and only CONNECT leads it there; a client
//! has at most one session that is not closing; what a node is told to be accepted, the broker has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use slab::Slab;
use weir_node::mqtt_sn_1_2::{Delivery as NodeDelivery, Packet};

use self::bridge::Bridge;
use self::client::{Client, ClientKey, Phase, SessionState};
use self::clock::Clock;
use self::outbox::Outbox;
use crate::session::{Event, SessionId, Ticket, may_pass};

// A module uses modules listed below it, never above, but for the `impl Gateway` blocks, which
// together are one module in several files.
mod bridge;
mod connect;
mod deliver;
mod discovery;
mod ends;
mod lapse;
mod publish;
mod restore;
mod sleep;
mod subscribe;
mod wills;

mod client;

mod age;
mod clock;
mod downlink;
mod saved;
mod uplink;

mod events;
mod outbox;
mod topic_ids;

mod options;

mod address;
mod counters;
mod topic;

pub use self::address::{Address, Cidr, CidrError, LinkId, Peer};
pub use self::counters::{Counter, Counters, Gauges};
pub use self::options::{LinkOptions, NodeOptions, Options, Predefined, SleepPolicy};
pub use self::outbox::{Effect, Refusal, RefusalReason};
pub use self::saved::{Saved, SavedError};
pub use self::topic::{Filter, TopicError};

/// The gateway.
#[derive(Debug)]
pub struct Gateway {
    options: Options,
    clients: Slab<Client>,
    by_address: BTreeMap<Address, ClientKey>,
    by_id: BTreeMap<Arc<str>, ClientKey>,
    by_session: BTreeMap<SessionId, ClientKey>,
    timers: BTreeSet<(u64, ClientKey)>,
    next_session: u64,
    bridge: Bridge,
    /// When each link is advertised next.
    advertise_at: Vec<u64>,
    /// Clients whose record in the state file is not what they are.
    unsaved: BTreeSet<Arc<str>>,
    out: Outbox,
    clock: Clock,
}

/// Something that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// A datagram came.
    Datagram {
        /// On which link.
        link: LinkId,
        /// From whom.
        peer: Peer,
        /// All of it.
        bytes: &'a [u8],
    },
    /// A session or a command found no room.
    Full {
        /// Which session.
        session: SessionId,
        /// The ticket of the command; `None` if it had none.
        ticket: Option<Ticket>,
    },
    /// A link can no longer be used.
    LinkDown(LinkId),
    /// A session has an event.
    Session(SessionId, Event),
    /// It is the time that [`Gateway::poll_timeout`] gave.
    Timeout,
}

impl Gateway {
    /// A gateway that opens its own session at once.
    pub fn new(options: Options, now: u64) -> Self {
        let datagram_max = options.links.iter().map(|link| link.datagram_max).collect();
        let mut gateway = Self {
            clients: Slab::new(),
            by_address: BTreeMap::new(),
            by_id: BTreeMap::new(),
            by_session: BTreeMap::new(),
            timers: BTreeSet::new(),
            next_session: options.first_session,
            bridge: Bridge::new(now + options.metrics_interval_ms),
            advertise_at: vec![now; options.links.len()],
            unsaved: BTreeSet::new(),
            out: Outbox::new(datagram_max),
            clock: Clock::default(),
            options,
        };
        gateway.open_bridge();
        gateway
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: u64, input: Input<'_>) {
        match input {
            Input::Datagram { link, peer, bytes } => {
                self.handle_datagram(now, Address::direct(link, peer), bytes);
            }
            Input::Full { session, ticket } => self.handle_full(now, session, ticket),
            Input::LinkDown(link) => self.handle_link_down(link),
            Input::Session(session, event) => self.handle_event(now, session, event),
            Input::Timeout => {}
        }
        self.handle_timers(now);
        self.pump_bridge(now);
    }

    /// What time of the day it is, `None` while that is not known, and how long the machine runs, in
    /// milliseconds. To be said again before each turn, because clocks are set.
    pub fn set_clock(&mut self, now: u64, unix_ms: Option<u64>, uptime_ms: u64) {
        self.clock = Clock::at(now, unix_ms, uptime_ms);
    }

    /// When [`Input::Timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<u64> {
        let clients = self.timers.first().map(|(at, _)| *at);
        let advertise = self.next_advertise();
        [clients, advertise, self.bridge.due_at()].into_iter().flatten().min()
    }

    /// What is to be written to the state file before the effects are done: for each client whose
    /// kept session has changed its id and its record, or `None` if it has none any more.
    pub fn drain_saves(&mut self, mut save: impl FnMut(&str, Option<Vec<u8>>)) {
        while let Some(id) = self.unsaved.pop_first() {
            let client = self.by_id.get(&id).and_then(|key| self.clients.get_mut(*key));
            match client {
                Some(client) if !client.clean_session => {
                    let link = self.options.links.get(usize::from(client.address.link.0));
                    let link = link.map_or("", |link| &link.name);
                    let record = saved::encode(client, link);
                    let fingerprint = Some(saved::fingerprint(&record));
                    if client.saved != fingerprint {
                        client.saved = fingerprint;
                        save(&id, Some(record));
                    }
                }
                Some(client) if client.saved.is_some() => {
                    client.saved = None;
                    save(&id, None);
                }
                Some(_) => {}
                None => save(&id, None),
            }
        }
    }

    /// What is to be done, in order.
    pub fn drain_effects(&mut self, perform: impl FnMut(Effect)) {
        self.out.effects.drain(..).for_each(perform);
    }

    /// What was counted since the start.
    pub fn counters(&self) -> &Counters {
        &self.out.counters
    }

    /// Counts what happened outside of the gateway, so that it is exported with everything else.
    pub fn count(&mut self, counter: Counter, by: u64) {
        self.out.counters.add(counter, by);
    }

    /// How much there is.
    pub fn gauges(&self) -> Gauges {
        let clients = || self.clients.iter().map(|(_, client)| client);
        Gauges {
            clients: self.clients.len(),
            sleepers: clients().filter(|client| client.sleeps()).count(),
            queued: clients().map(|client| client.downlink.len()).sum(),
        }
    }

    fn handle_datagram(&mut self, now: u64, mut from: Address, bytes: &[u8]) {
        self.out.count(Counter::FramesIn);
        let packet = match Packet::decode(bytes) {
            Ok(Packet::Encapsulated(envelope)) => {
                from.node = Some(envelope.wireless_node_id.into());
                Packet::decode(envelope.packet)
            }
            decoded => decoded,
        };
        match packet {
            // A forwarder behind a forwarder could not be answered.
            Err(_) | Ok(Packet::Encapsulated(_)) => self.out.count(Counter::Malformed),
            Ok(packet) => self.handle_packet(now, from, packet),
        }
    }

    fn handle_packet(&mut self, now: u64, from: Address, packet: Packet<'_>) {
        match packet {
            // Those of other gateways that share the medium.
            Packet::Advertise(_) | Packet::GwInfo(_) => {}
            Packet::Connect(connect) => self.handle_connect(now, from, &connect),
            Packet::Publish(publish) if publish.delivery == NodeDelivery::MinusOne => {
                self.handle_minus_one(now, &from, &publish);
            }
            Packet::SearchGw(_) => self.handle_search(&from),
            Packet::Connack(_)
            | Packet::Suback(_)
            | Packet::Unsuback(_)
            | Packet::Pingresp
            | Packet::WillMsgReq
            | Packet::WillMsgResp(_)
            | Packet::WillTopicReq
            | Packet::WillTopicResp(_) => self.out.count(Counter::Unexpected),
            other => match self.by_address.get(&from) {
                Some(key) => self.handle_from_client(now, *key, other),
                None => self.handle_unknown_sender(&from, &other),
            },
        }
    }

    /// It has no session here, and is to make one (6.13). A DISCONNECT is not answered, lest two
    /// gateways talk for ever.
    fn handle_unknown_sender(&mut self, from: &Address, packet: &Packet<'_>) {
        self.out.count(Counter::UnknownSender);
        if !matches!(packet, Packet::Disconnect(_)) {
            self.out.send(from, Packet::Disconnect(None));
        }
    }

    fn handle_from_client(&mut self, now: u64, key: ClientKey, packet: Packet<'_>) {
        self.heard(now, key);
        let connecting = matches!(self.clients[key].phase, Phase::Connecting(_));
        match packet {
            Packet::Disconnect(duration_s) => self.handle_disconnect(now, key, duration_s),
            Packet::WillTopic(will) if connecting => self.handle_will_topic(now, key, will),
            Packet::WillMsg(message) if connecting => self.handle_will_message(now, key, message),
            Packet::WillTopic(_) | Packet::WillMsg(_) => self.out.count(Counter::Unexpected),
            _ if connecting => self.out.count(Counter::Unexpected),
            Packet::Pingreq(client_id) => self.handle_ping(now, key, client_id),
            Packet::Puback(puback) => self.handle_puback(now, key, &puback),
            Packet::Pubcomp(id) => self.handle_pubcomp(now, key, id),
            Packet::Publish(publish) => self.handle_publish(now, key, &publish),
            Packet::Pubrec(id) => self.handle_pubrec(now, key, id),
            Packet::Pubrel(id) => self.handle_pubrel(now, key, id),
            Packet::Regack(regack) => self.handle_regack(now, key, &regack),
            Packet::Register(register) => self.handle_register(key, &register),
            Packet::Subscribe(subscribe) => self.handle_subscribe(key, &subscribe),
            Packet::Unsubscribe(unsubscribe) => self.handle_unsubscribe(key, &unsubscribe),
            Packet::WillMsgUpd(message) => self.handle_will_message_update(key, message),
            Packet::WillTopicUpd(will) => self.handle_will_topic_update(key, will),
            _ => self.out.count(Counter::Unexpected),
        }
        if self.clients.contains(key) {
            self.schedule(key);
        }
    }

    fn handle_event(&mut self, now: u64, session: SessionId, event: Event) {
        if session == self.bridge.session() {
            return self.handle_bridge_event(now, event);
        }
        // A session that was given up speaks its last words to nobody.
        let Some(key) = self.by_session.get(&session).copied() else { return };
        match event {
            Event::Closed => self.handle_closed(now, key),
            Event::Connected { session_present } => {
                self.handle_connected(now, key, session_present);
            }
            Event::Delivered(delivery) => self.handle_delivered(now, key, delivery),
            Event::Lost(_) => self.handle_session_lost(now, key),
            Event::Published(ticket) => self.handle_published(now, key, ticket),
            Event::PublishFailed(ticket) => self.handle_publish_failed(key, ticket),
            Event::PublishRefused { ticket, reason } if may_pass(reason) => {
                self.handle_publish_failed(key, ticket);
            }
            Event::PublishRefused { ticket, .. } => self.handle_publish_refused(key, ticket),
            Event::Refused(_) => self.handle_session_refused(now, key),
            Event::Subscribed { ticket, granted } => {
                self.handle_subscribed(now, key, ticket, granted);
            }
            Event::Unsubscribed(ticket) => self.handle_unsubscribed(now, key, ticket),
        }
        if self.clients.contains(key) {
            self.schedule(key);
        }
    }

    fn handle_full(&mut self, now: u64, session: SessionId, ticket: Option<Ticket>) {
        if session == self.bridge.session() {
            return self.handle_bridge_full(now, ticket);
        }
        let Some(key) = self.by_session.get(&session).copied() else { return };
        match ticket {
            Some(ticket) if self.clients[key].requests.iter().any(|r| r.ticket == ticket) => {
                self.handle_subscribed(now, key, ticket, None);
            }
            Some(ticket) => self.handle_publish_failed(key, ticket),
            None if self.clients[key].session.state == SessionState::Opening => {
                self.handle_session_refused(now, key);
            }
            None => self.out.count(Counter::QoS0Lost),
        }
        if self.clients.contains(key) {
            self.schedule(key);
        }
    }

    /// The node has given a sign of life.
    fn heard(&mut self, now: u64, key: ClientKey) {
        let client = &mut self.clients[key];
        client.heard_at = now;
        if client.unreachable {
            client.unreachable = false;
            self.announce(key);
            self.pump(now, key);
        }
    }

    /// Its nodes cannot be reached: they are offline, but lost only when their time is over.
    fn handle_link_down(&mut self, link: LinkId) {
        let keys: Vec<_> = self.clients.iter().map(|(key, _)| key).collect();
        for key in keys {
            let client = &mut self.clients[key];
            if client.address.link == link && client.is_here() {
                client.unreachable = true;
                self.announce(key);
                self.schedule(key);
            }
        }
    }

    fn new_session(&mut self) -> SessionId {
        let session = SessionId(self.next_session);
        self.next_session += 1;
        session
    }

    /// The record of the client is to be written again, or deleted.
    fn save(&mut self, key: ClientKey) {
        let client = &self.clients[key];
        if !client.clean_session || client.saved.is_some() {
            self.unsaved.insert(Arc::clone(&client.id));
        }
    }
}

#[cfg(test)]
mod tests;
