//! What goes from one shard to another: messages, interest in filters, members of groups, and
//! connections whose clients belong elsewhere.
//!
//! What a QoS 1 or 2 message changes in another shard is durable together with what it changes in
//! this one: the batches of both turns are linked, and the store commits both or none. So nothing
//! waits for other shards but what waits for the commit anyway, and a crash finds no half.

use std::sync::Arc;

use weir_mqtt::QoS;

use crate::change::{Change, Links};
use crate::clock::Now;
use crate::connection::{Connection, State};
use crate::core::Core;
use crate::durability::Durability;
use crate::effect::Effect;
use crate::forwards::{Census, Forwarded, ForwardedMessage, Forwards, Interest, Members, Waits};
use crate::gate::Gated;
use crate::held::Waiter;
use crate::identity::{ConnectionId, ListenerId, Sequence, ShardId};
use crate::input::Input;
use crate::key::SessionKey;
use crate::message::{Message, MessageParts};
use crate::router::{Origin, Routing, ToAll};
use crate::share_mark::hash;
use crate::shared::{Place, ShareKey, inner_filter};
use crate::subscriptions::{Holder, Subscriber};
use crate::timer::Timer;

impl Core {
    /// Lets all shards of a broker know what the sessions of the others want, before there is any
    /// client. Answers what is to be done for each besides, in the order of the shards.
    pub fn join(cores: &mut [Self], now: Now) -> Vec<Vec<Effect>> {
        let mut effects: Vec<Vec<Effect>> = cores.iter().map(|_| Vec::new()).collect();
        if cores.len() == 1 {
            return effects;
        }
        let mut forwards = Vec::new();
        for (core, effects) in cores.iter_mut().zip(&mut effects) {
            let from = core.shard;
            core.drain(|effect| match effect {
                Effect::Forward { shard, forwards: sent } => forwards.push((from, shard, sent)),
                other => effects.push(other),
            });
        }
        for (from, to, forwards) in forwards {
            cores[usize::from(to.0)].handle(now, Input::Forwarded { from, forwards });
        }
        cores.iter_mut().for_each(|core| core.handle(now, Input::Joined));
        effects
    }

    pub(crate) fn handle_forwarded(&mut self, now: Now, from: ShardId, forwards: Box<Forwards>) {
        self.peers.heard(from, &forwards);
        let forwards = *forwards;
        for interest in forwards.interests {
            self.note_interest(now, from, interest);
        }
        for waits in forwards.released {
            let publisher = self.peers.end_wait(waits);
            self.release_waiting(now, &[(waits, publisher)]);
        }
        for forwarded in forwards.messages {
            self.take_forwarded(now, from, forwarded);
        }
        self.peers.forget_versions();
    }

    /// Gives a message that is being routed to another shard.
    pub(crate) fn forward(
        &mut self,
        shard: ShardId,
        kind: Forwarded,
        origin: Origin,
        routing: &mut Routing<'_>,
    ) {
        let qos = routing.parts.qos;
        let is_upstream = routing.level == Durability::Upstream && qos > QoS::AtMostOnce;
        let waits =
            (is_upstream && shard == ShardId::FIRST).then(|| self.wait_elsewhere(origin, routing));
        let message = ForwardedMessage {
            kind,
            message: routing.message(self),
            level: routing.level,
            is_provisional: origin.is_provisional,
            is_unkept: origin.is_unkept,
            waits,
        };
        let is_written = routing.level == Durability::Commit && qos > QoS::AtMostOnce;
        self.push_forward(shard, message, is_written || origin.is_provisional);
    }

    pub(crate) fn push_forward(
        &mut self,
        shard: ShardId,
        message: ForwardedMessage,
        is_linked: bool,
    ) {
        self.turn.is_awaited |= is_linked;
        self.peers.forward(shard, message, is_linked);
    }

    /// Whether this shard records what is retained.
    pub(crate) fn records_retained(&self) -> bool {
        self.shard == ShardId::FIRST
    }

    /// A filter of a session of this shard is new, or is gone.
    pub(crate) fn tell_interest(&mut self, interest: &Interest) {
        match interest {
            Interest::Group { .. } => {}
            Interest::Unwanted(filter) => self.note_own_interest(filter, false),
            Interest::Wanted(filter) => self.note_own_interest(filter, true),
        }
        if self.peers.any() {
            self.turn.is_awaited = true;
            self.peers.tell_interest(interest, self.turn.batch);
        }
    }

    /// The members of a group may be others, or in another state.
    pub(crate) fn group_changed(&mut self, filter: &Arc<str>) {
        if self.peers.any() && !self.peers.changed_groups.contains(filter) {
            self.peers.changed_groups.push(filter.clone());
            self.peers.interest_batch = self.turn.batch;
        }
    }

    /// The same for all groups of a session.
    pub(crate) fn groups_changed(&mut self, key: SessionKey) {
        if !self.peers.any() {
            return;
        }
        for index in 0..self.sessions[key as usize].shares.len() {
            let filter = self.shares.filter(self.sessions[key as usize].shares[index]).clone();
            self.group_changed(&filter);
        }
    }

    /// The batch that a client waits for before it is told of a subscription: all shards know of
    /// it then.
    pub(crate) fn interest_batch(&self) -> Option<u64> {
        let batch = self.peers.interest_batch;
        (!self.gate.is_committed(batch)).then_some(batch)
    }

    /// Gives a message that a member has left behind to a member in another shard.
    pub(crate) fn forward_to_member(
        &mut self,
        shard: ShardId,
        share: ShareKey,
        message: &Message,
        level: Durability,
        is_provisional: bool,
    ) {
        let (filter, hash) = (self.shares.filter(share).clone(), hash(message.topic()));
        let kind = Forwarded::Member { filter, hash, hops: 0 };
        let message = message.clone();
        let forwarded = ForwardedMessage {
            kind,
            message,
            level,
            is_provisional,
            is_unkept: false,
            waits: None,
        };
        self.push_forward(shard, forwarded, level.is_written() || is_provisional);
    }

    /// How many subscriptions there are of sessions and readers of this shard.
    pub(crate) fn own_subscriptions(&self) -> usize {
        // A group stands once among the others, and other shards once for each of their filters.
        let among = self.subscriptions.count() - self.shares.count() - self.peers.filters;
        let elsewhere = if self.has_readers() { 0 } else { self.reader_filters() };
        among + self.shares.member_count() - elsewhere
    }

    /// Whether the readers of the log read the one of this shard.
    pub(crate) fn has_readers(&self) -> bool {
        self.shard == ShardId::FIRST
    }

    pub(crate) fn reader_filters(&self) -> usize {
        self.readers.iter().map(|reader| reader.config.filters.len()).sum()
    }

    /// Ends the turn for the other shards.
    pub(crate) fn drain_forwards(&mut self, effect: &mut impl FnMut(Effect)) -> Links {
        for filter in std::mem::take(&mut self.peers.changed_groups) {
            let members = self.members_of(&filter);
            if self.shares.tell(&filter, members) {
                self.tell_interest(&Interest::Group { filter, members });
            }
        }
        if self.limits.connections_max < usize::MAX || self.limits.sessions_max < usize::MAX {
            let (connections, sessions) = (self.connections.count(), self.sessions.len());
            self.peers.tell_census(Census { connections, sessions });
        }
        self.peers.drain(|shard, forwards| {
            effect(Effect::Forward { shard, forwards: Box::new(forwards) });
        })
    }

    /// Forgets the connections that go to other shards.
    pub(crate) fn move_connections(&mut self) {
        for (connection, shard, mut bytes) in std::mem::take(&mut self.turn.moves) {
            let Some(open) = self.connections.get_mut(connection) else { continue };
            if open.state != State::Moving {
                continue;
            }
            bytes.extend(std::mem::take(&mut open.unhandled));
            self.arm(connection, None);
            self.count_buffers(connection);
            self.connections.remove(connection);
            self.turn.effects.push(Effect::Move { connection, shard, bytes });
        }
    }

    /// The client of a connection belongs to another shard. `frame` is its CONNECT.
    pub(crate) fn move_away(&mut self, id: ConnectionId, shard: ShardId, frame: &[u8]) {
        let Some(open) = self.connections.get_mut(id) else { return };
        open.state = State::Moving;
        self.turn.moves.push((id, shard, frame.to_vec()));
    }

    fn note_interest(&mut self, now: Now, from: ShardId, interest: Interest) {
        let holder = Holder::Shard(from);
        match interest {
            Interest::Group { filter, members } => self.note_group(now, from, &filter, members),
            Interest::Unwanted(filter) => {
                self.peers.filters -= usize::from(self.subscriptions.remove(&filter, holder));
            }
            Interest::Wanted(filter) => {
                let before = self.subscriptions.count();
                self.subscriptions.insert(&filter, Subscriber::of_shard(from));
                self.peers.filters += self.subscriptions.count() - before;
            }
        }
    }

    fn note_group(&mut self, now: Now, from: ShardId, filter: &Arc<str>, members: Members) {
        let Some(inner) = inner_filter(filter) else { return };
        let (share, is_new) = self.shares.note_elsewhere(filter, from, members);
        if is_new {
            let subscriber = Subscriber::of_share(share);
            self.subscriptions.insert(&inner.into(), subscriber);
        } else if self.shares.end_unused(share) {
            self.subscriptions.remove(inner, Holder::Share(share));
            return;
        }
        // Somebody there may take what waits here for members that are not here.
        for stranded in self.shares.stranded(share) {
            self.give_stranded(now, share, stranded);
        }
    }

    fn take_forwarded(&mut self, now: Now, from: ShardId, forwarded: ForwardedMessage) {
        let ForwardedMessage { kind, message, level, is_provisional, is_unkept, waits } = forwarded;
        let parts = message.parts();
        let mut origin =
            Origin { is_provisional, is_unkept, is_forwarded: true, ..Origin::default() };
        let bytes = self.held.bytes() + parts.topic.len() + parts.payload.len();
        let level = match waits {
            // One behind others that wait has to wait as well: see `level_with_room`.
            Some(waits) if !waits.is_behind && bytes > self.limits.held_bytes_max => {
                self.metrics.held_full += 1;
                Durability::Commit
            }
            _ => level,
        };
        self.turn.held = None;
        match kind {
            Forwarded::Member { filter, hash, hops } => {
                self.take_for_member(now, (&filter, hash, hops), level, origin, &message);
            }
            Forwarded::Question => {
                self.ask_rules(&parts, origin);
            }
            Forwarded::Retained { version } => {
                let is_last = self.peers.supersedes(parts.topic, version);
                // A client is in one shard only, but it may have published to another broker.
                origin.session = self.named_session(parts.publisher);
                if is_last {
                    origin.reader = self.fleet();
                    self.retain_of_shard(now, &message, origin);
                }
                let retained = (is_last && !parts.payload.is_empty()).then(|| message.clone());
                self.route(now, level, &parts, origin, retained);
            }
            Forwarded::RetainedElsewhere { version } => {
                if self.peers.supersedes(parts.topic, version) {
                    self.retain_forwarded(&message);
                }
            }
            Forwarded::Sys => {
                self.sys.put(message.clone());
                self.route(now, level, &parts, origin, Some(message.clone()));
            }
            Forwarded::Wanted => {
                origin.session = self.named_session(parts.publisher);
                self.route(now, level, &parts, origin, None);
            }
        }
        self.publish_dead_letters(now);
        let Some(Waits { sequence: waits, .. }) = waits else { return };
        match self.turn.held.take() {
            Some(sequence) => {
                self.held.wait(sequence, Waiter::Shard(from, waits));
            }
            None if self.durable_changes() > 0 => {
                self.wait_for(self.turn.batch, Gated::Release { shard: from, waits });
            }
            None => self.peers.release(from, waits),
        }
    }

    /// Retains a message that was published in another shard.
    fn retain_of_shard(&mut self, now: Now, message: &Message, origin: Origin) {
        let Some(fleet) = self.fleet() else { return self.retain_forwarded(message) };
        let parts = message.parts();
        let time = self.time_of_change(now, parts.topic);
        let parts = MessageParts { received_at_ms: time, ..parts };
        let level = if origin.is_unkept { Durability::None } else { self.level_of(parts.topic) };
        self.tell_fleet(fleet, level, &parts);
        let timed = Message::new(&parts, &mut self.scratch);
        self.retain_forwarded(&timed);
    }

    /// Puts a message from elsewhere in the place of the one of its topic.
    pub(crate) fn retain_forwarded(&mut self, message: &Message) {
        let topic = message.topic();
        // Whatever has become of the level for want of room.
        let level = self.level_of(topic);
        if message.payload().is_empty() {
            self.retained.remove(topic);
            if self.records_retained() {
                self.record_at(level, Change::RetainedRemoved { topic: topic.into() });
            }
            return;
        }
        let message = message.without_publisher(&mut self.scratch);
        self.retained.put(message.clone());
        if self.records_retained() {
            self.record_at(level, Change::RetainedPut { message });
        }
    }

    /// Gives a message to a member of a group, of this shard or, if it has none any more, of
    /// another.
    fn take_for_member(
        &mut self,
        now: Now,
        (filter, hash, hops): (&Arc<str>, u64, u8),
        level: Durability,
        origin: Origin,
        message: &Message,
    ) {
        // Nobody subscribes any more.
        let Some(share) = self.shares.find(filter) else { return };
        let members = self.count_members(share);
        if members.all == 0 && hops < self.peers.placement.shards() {
            let Place::There(shard) = self.place_for(share, hash) else { return };
            let kind = Forwarded::Member { filter: filter.clone(), hash, hops: hops + 1 };
            let parts = message.parts();
            let mut routing = Routing::of(level, &parts, message.clone(), origin);
            return self.forward(shard, kind, origin, &mut routing);
        }
        self.route_to_member(now, (share, hash), level, origin, message);
    }

    /// The members of a group that are in this shard.
    fn members_of(&self, filter: &str) -> Members {
        self.shares.find(filter).map_or(Members::default(), |share| self.count_members(share))
    }

    /// The shard of a client, if that is another one. One without a name is given a name of this.
    pub(crate) fn home_elsewhere(&self, client_id: &str) -> Option<ShardId> {
        let home = self.peers.placement.home(client_id);
        (home != self.shard && !client_id.is_empty()).then_some(home)
    }

    /// Promises a publisher that other shards will say when upstreams have its message.
    fn wait_elsewhere(&mut self, origin: Origin, routing: &mut Routing<'_>) -> Waits {
        let sequence = self.log.reserve();
        let bytes = routing.message(self).len();
        self.peers.wait_for(sequence, bytes);
        self.turn.held = Some(sequence);
        let publisher = origin.session.and_then(|key| self.sessions[key as usize].connection);
        let connection = publisher.and_then(|id| self.connections.get(id));
        let is_behind = connection.is_some_and(|open| !open.deferred.is_empty());
        Waits { sequence, is_behind }
    }

    /// Lets a connection wait until upstreams have a message, of this shard or another; false when
    /// nobody waits for it any more.
    pub(crate) fn wait_held(&mut self, sequence: Sequence, connection: ConnectionId) -> bool {
        self.peers.wait_on(sequence, connection)
            || self.held.wait(sequence, Waiter::Connection(connection))
    }

    /// Gives a message to all other shards.
    pub(crate) fn forward_to_all(
        &mut self,
        to_all: ToAll,
        origin: Origin,
        routing: &mut Routing<'_>,
    ) {
        let kind = match to_all {
            ToAll::Retained(version) => Forwarded::Retained { version },
            ToAll::Sys => Forwarded::Sys,
        };
        for shard in self.peers.others() {
            self.forward(shard, kind.clone(), origin, routing);
        }
    }

    /// A version for a retained message that is published here, if others have to know.
    pub(crate) fn retained_version(&mut self, parts: &MessageParts<'_>) -> Option<u64> {
        self.peers.any().then(|| self.peers.next_version(parts.topic))
    }

    /// Arms what a connection has to do before it is known.
    pub(crate) fn open(&mut self, now: Now, connection: ConnectionId, listener: ListenerId) {
        self.connections.insert(Connection::new(connection, listener, now.monotonic));
        let at = now.monotonic + self.limits.connect_timeout_ms;
        self.arm(connection, Some((at, Timer::Connect(connection))));
    }
}
