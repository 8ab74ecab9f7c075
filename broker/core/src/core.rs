//! The core: inputs in, effects out.
//!
//! ```text
//! handle(now, input)*   drain(effects)   write outbound buffers   sleep until poll_timeout
//! ```
//!
//! Everything handled between two drains is one turn: its durable changes form one batch, and
//! each connection is flushed once. What a core does depends on its inputs alone.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use slab::Slab;
use weir_mqtt::{QoS, ReasonCode};

use crate::authorize::Acl;
use crate::clients::Clients;
use crate::clock::{Instant, Now};
use crate::connection::{Connection, Connections, State};
use crate::durability::{Durability, DurabilityLevels};
use crate::effect::Effect;
use crate::expiry::ExpiryWatch;
use crate::filter_table::FilterTable;
use crate::fleet::{Handed, Removals};
use crate::frames::Frames;
use crate::gate::{Gate, Gated};
use crate::held::Held;
use crate::history::HistoryReads;
use crate::identity::{ConnectionId, ListenerId, Sequence, SessionId, ShardId};
use crate::input::Input;
use crate::key::SessionKey;
use crate::limits::{Limits, ListenerLimits};
use crate::log::Log;
use crate::metrics::Metrics;
use crate::outbound::{BufferPool, Outbound};
use crate::paging::Paging;
use crate::peers::Peers;
use crate::placement::Placement;
use crate::pressure::MemoryPressure;
use crate::random::Random;
use crate::rates::Allowance;
use crate::reader_config::ReaderConfig;
use crate::readers::Reader;
use crate::recovered::Recovered;
use crate::retained::Retained;
use crate::router::Match;
use crate::schedule::Schedule;
use crate::session::Session;
use crate::shared::Shares;
use crate::store_room::StoreRoom;
use crate::subscriptions::Subscriptions;
use crate::sys_tree::SysTree;
use crate::timer::{Timer, Timers};
use crate::topic_watch::{TopicNews, TopicWatch};
use crate::turn::Turn;

/// The protocol state machine of one shard.
#[derive(Debug)]
pub struct Core {
    pub(crate) shard: ShardId,
    pub(crate) limits: Limits,
    /// The level of durability of each topic.
    pub(crate) levels: FilterTable<Durability>,
    /// What clients may do; none when nothing is restricted.
    pub(crate) acl: Option<Arc<Acl>>,
    /// What is left of the rate of each listener; none for one without a limit.
    pub(crate) listener_allowances: Vec<Option<Box<Allowance>>>,
    pub(crate) connections: Connections,
    pub(crate) sessions: Slab<Session>,
    pub(crate) clients: Clients,
    pub(crate) session_keys: HashMap<SessionId, SessionKey, FixedState>,
    pub(crate) next_session: u32,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) shares: Shares,
    pub(crate) retained: Retained,
    pub(crate) removals: Removals,
    pub(crate) handed: Handed,
    pub(crate) schedule: Schedule,
    pub(crate) log: Log,
    pub(crate) peers: Peers,
    pub(crate) readers: Vec<Reader>,
    /// Whether any of them wants to know who has published a message.
    pub(crate) names_publishers: bool,
    /// Whether a fleet wants to know what is wanted here.
    pub(crate) tells_interest: bool,
    pub(crate) gate: Gate,
    pub(crate) held: Held,
    pub(crate) history: HistoryReads,
    /// Messages that rest on changes which are not durable, in order, each with the batch of those.
    pub(crate) provisional: VecDeque<(u64, Sequence)>,
    pub(crate) paging: Paging,
    /// Bytes that the buffers of connections take.
    pub(crate) buffer_bytes: usize,
    pub(crate) pressure: MemoryPressure,
    pub(crate) store_room: StoreRoom,
    pub(crate) timers: Timers,
    pub(crate) queue_expiry: ExpiryWatch,
    pub(crate) retained_expiry: ExpiryWatch,
    pub(crate) turn: Turn,
    pub(crate) metrics: Metrics,
    pub(crate) sys: SysTree,
    pub(crate) pool: BufferPool,
    pub(crate) random: Random,
    /// Scratch space that is kept for its capacity.
    pub(crate) scratch: Vec<u8>,
    pub(crate) properties: Vec<u8>,
    pub(crate) matches: Vec<Match>,
    pub(crate) frames: Frames,
    /// Connections to end once the input at hand is handled.
    pub(crate) doomed: Vec<(ConnectionId, ReasonCode)>,
    /// What is published on which topics, while somebody looks on.
    pub(crate) topic_watch: Option<Box<TopicWatch>>,
    /// Number of the publish that is being routed.
    pub(crate) publish_number: u64,
    /// Sessions that came back and whose clocks stand until all shards know what they want.
    pub(crate) returned: Vec<(SessionKey, Option<u64>)>,
}

impl Core {
    /// The core of a broker with one shard. It goes on from what the store has kept. `seed` feeds
    /// the names it makes up and the hashes of names that clients choose; take it from the
    /// operating system.
    #[must_use]
    pub fn new(
        limits: Limits,
        readers: Vec<ReaderConfig>,
        recovered: Recovered,
        seed: u64,
        now: Now,
    ) -> Self {
        Self::of_shard(ShardId::FIRST, Placement::one(), limits, readers, recovered, seed, now)
    }

    /// The core of one shard of several. All of them get the same `placement`, limits, readers
    /// and retained messages, and before anything else [`Core::join`] makes them known to each
    /// other.
    #[must_use]
    pub fn of_shard(
        shard: ShardId,
        placement: Placement,
        limits: Limits,
        readers: Vec<ReaderConfig>,
        recovered: Recovered,
        seed: u64,
        now: Now,
    ) -> Self {
        let hasher = FixedState::with_seed(seed);
        let allowance = |listener: &ListenerLimits| {
            Allowance::of_listener(listener.connects_per_second_max, now.monotonic)
        };
        let listener_allowances = limits.listeners.iter().map(allowance).collect();
        let log = Log::new(recovered.first_unused(), limits.pinned_positions);
        let DurabilityLevels { default, filters } = &limits.durability;
        let filters = filters.iter().map(|(filter, level)| (filter.as_str(), *level));
        let levels = FilterTable::new(filters, *default, seed);
        let mut core = Self {
            shard,
            limits,
            levels,
            acl: None,
            listener_allowances,
            connections: Connections::default(),
            sessions: Slab::new(),
            clients: Clients::new(hasher.clone()),
            session_keys: HashMap::with_hasher(hasher),
            next_session: 1,
            subscriptions: Subscriptions::new(seed),
            shares: Shares::new(seed),
            retained: Retained::default(),
            removals: Removals::default(),
            handed: Handed::default(),
            schedule: Schedule::default(),
            log,
            peers: Peers::new(shard, placement, seed),
            readers: Vec::new(),
            names_publishers: false,
            tells_interest: false,
            gate: Gate::default(),
            held: Held::default(),
            history: HistoryReads::default(),
            provisional: VecDeque::new(),
            paging: Paging::default(),
            buffer_bytes: 0,
            pressure: MemoryPressure::default(),
            store_room: StoreRoom::default(),
            timers: Timers::default(),
            queue_expiry: ExpiryWatch::default(),
            retained_expiry: ExpiryWatch::default(),
            turn: Turn { batch: 1, ..Turn::default() },
            metrics: Metrics::default(),
            sys: SysTree::default(),
            pool: BufferPool::default(),
            random: Random(seed),
            scratch: Vec::new(),
            properties: Vec::new(),
            matches: Vec::new(),
            frames: Frames::default(),
            doomed: Vec::new(),
            topic_watch: None,
            publish_number: 0,
            returned: Vec::new(),
        };
        core.add_readers(readers);
        core.recover(recovered, now);
        if !core.peers.any() {
            core.go_on(now);
        }
        core.watch_expiry(now);
        core
    }

    /// Handles one input.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        match input {
            Input::Authenticated { connection, outcome } => {
                self.handle_authenticated(now, connection, outcome);
            }
            Input::CertificateRevoked { connection } => {
                self.metrics.revoked += 1;
                self.disconnect(now, connection, ReasonCode::AdministrativeAction);
            }
            Input::Closed { connection } => self.handle_closed(now, connection),
            Input::Committed { batch } => self.handle_committed(now, batch),
            Input::Expel { client_id, ends_session } => {
                self.handle_expel(now, client_id, ends_session);
            }
            Input::Forwarded { from, forwards } => self.handle_forwarded(now, from, forwards),
            Input::HistoryRead { messages, next } => {
                self.handle_history_read(now, messages, next);
            }
            Input::Joined => self.go_on(now),
            Input::Loaded { messages } => self.handle_loaded(now, messages),
            Input::Moved { connection, listener, bytes } => {
                self.open(now, connection, listener);
                // They were counted where they were read.
                self.take_bytes(now, connection, bytes);
            }
            Input::Opened { connection, listener } => {
                self.handle_opened(now, connection, listener);
            }
            Input::Permissions(acl) => self.handle_permissions(acl),
            Input::Publish(publication) => self.handle_publication(now, &publication),
            Input::ReaderDone { reader, sequence } => {
                self.handle_reader_done(now, reader, sequence);
            }
            Input::ReaderMissed { messages } => self.metrics.drops.disk_full += messages,
            Input::ReaderLeaves(reader) => self.handle_reader_leaves(now, reader),
            Input::ReaderTakes { reader, one_of } => self.handle_reader_takes(reader, one_of),
            Input::ReaderWants(config) => self.handle_reader_wants(config),
            Input::Received { connection, bytes } => self.handle_received(now, connection, bytes),
            Input::Record(change) => self.record(change),
            Input::RetainedElsewhere(messages) => self.handle_retained_elsewhere(now, messages),
            Input::Revoked { credentials } => self.handle_revoked(now, credentials),
            Input::Sent { connection, bytes } => self.handle_sent(now, connection, bytes),
            Input::Stop => self.handle_stop(now),
            Input::StoreRoom(room) => self.handle_store_room(now, room),
            Input::Surroundings(surroundings) => self.handle_surroundings(now, surroundings),
            Input::Timeout => self.handle_timeout(now),
        }
        loop {
            self.read_next(now);
            self.read_history();
            if self.doomed.is_empty() && self.turn.dead_letters.is_empty() {
                return self.watch_expiry(now);
            }
            self.publish_dead_letters(now);
            while let Some((connection, reason)) = self.doomed.pop() {
                self.disconnect(now, connection, reason);
            }
        }
    }

    /// When [`Input::Timeout`] is due next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// What waits to be written to a connection.
    #[must_use]
    pub fn outbound(&self, connection: ConnectionId) -> Option<&Outbound> {
        self.connections.get(connection).map(|connection| &connection.outbound)
    }

    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let outbound = || self.connections.iter().map(|open| &open.outbound);
        let inflight = self.sessions.iter().map(|(_, session)| session.inflight.len());
        Metrics {
            connections: self.connections.count() as u64,
            delayed: self.schedule.count() as u64,
            delayed_bytes: self.schedule.bytes() as u64,
            held: self.held.count() as u64,
            held_bytes: self.held.bytes() as u64,
            inflight: inflight.map(u64::from).sum(),
            memory_bytes: self.memory_bytes() as u64,
            outbound_bytes: outbound().map(|outbound| outbound.len() as u64).sum(),
            outbound_packets: outbound().map(|outbound| u64::from(outbound.packets())).sum(),
            queued_messages: self.log.count() as u64,
            queued_bytes: self.log.bytes() as u64,
            queued_bytes_in_memory: self.log.bytes_in_memory() as u64,
            retained: self.retained.count() as u64,
            retained_bytes: self.retained.bytes() as u64,
            sessions: self.sessions.len() as u64,
            shared_subscriptions: self.shares.member_count() as u64,
            // A group stands once among the others.
            subscriptions: self.own_subscriptions() as u64,
            ..self.metrics
        }
    }

    /// What was published on which topics in this shard since the last time, or from now on when
    /// nobody has looked on so far. To be asked for about once a second.
    pub fn take_topics(&mut self) -> TopicNews {
        let random = &mut self.random;
        let watch = self.topic_watch.get_or_insert_with(|| TopicWatch::new(random.next()).into());
        watch.take()
    }

    /// Nobody looks on any more.
    pub fn forget_topics(&mut self) {
        self.topic_watch = None;
    }

    /// Messages and acknowledgements that wait for a commit.
    #[must_use]
    pub fn gated(&self) -> usize {
        self.gate.len()
    }

    fn handle_opened(&mut self, now: Now, connection: ConnectionId, listener: ListenerId) {
        assert!(usize::from(listener.0) < self.limits.listeners.len(), "a listener of the limits");
        self.metrics.connections_opened += 1;
        self.count_connect(now, listener);
        self.open(now, connection, listener);
    }

    fn handle_closed(&mut self, now: Now, connection: ConnectionId) {
        self.arm(connection, None);
        self.disarm_credentials(connection);
        self.disarm_throttle(connection);
        let Some(mut closed) = self.connections.remove(connection) else { return };
        closed.outbound.release(&mut self.pool);
        self.buffer_bytes -= closed.buffer_bytes as usize;
        if let Some(session) = closed.session() {
            self.end_connection(now, session, true);
        }
    }

    fn handle_sent(&mut self, now: Now, connection: ConnectionId, bytes: usize) {
        let Some(open) = self.connections.get_mut(connection) else { return };
        open.outbound.consume(bytes, &mut self.pool);
        self.metrics.bytes_sent += bytes as u64;
        let session = open.session().filter(|_| open.outbound.is_empty());
        self.count_buffers(connection);
        if let Some(session) = session {
            self.pump(now, session);
        }
    }

    fn handle_committed(&mut self, now: Now, batch: u64) {
        self.ease_memory(batch);
        while self.provisional.front().is_some_and(|(rests_on, _)| *rests_on <= batch) {
            self.provisional.pop_front();
        }
        while let Some(item) = self.gate.open(batch) {
            match item {
                Gated::Connect { connection } => self.open_session(now, connection),
                Gated::Deliver { session, packet_id } => {
                    self.release_delivery(now, session, packet_id);
                }
                Gated::Release { shard, waits } => self.peers.release(shard, waits),
                Gated::Replay { connection, session, filter } => {
                    self.replay_later(now, connection, session, &filter);
                }
                Gated::Reply { connection, frame, ends_exchange } => {
                    self.write(connection, &frame);
                    if ends_exchange {
                        self.end_exchange(connection);
                    }
                    self.reply_left_gate(now, connection);
                }
            }
        }
    }

    fn handle_stop(&mut self, now: Now) {
        let open: Vec<ConnectionId> = self.connections.iter().map(|open| open.id).collect();
        for connection in open {
            self.disconnect(now, connection, ReasonCode::ServerShuttingDown);
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        while let Some(timer) = self.timers.take_due(now.monotonic) {
            match timer {
                Timer::Accept(listener) => self.end_accept_wait(now, listener),
                Timer::Connect(connection) => {
                    let waiting = self.connections.get(connection);
                    if waiting.is_some_and(Connection::awaits_connect) {
                        self.close(connection);
                    }
                }
                Timer::Credentials(connection) => self.check_credentials(now, connection),
                Timer::Delayed(message) => self.publish_delayed(now, message),
                Timer::KeepAlive(connection) => self.check_keep_alive(now, connection),
                Timer::QueueExpiry => self.expire_queued(now),
                Timer::RetainedExpiry => self.expire_retained(now),
                Timer::SessionExpiry(session) => self.check_expiry(now, session),
                Timer::Throttle(connection) => self.end_throttle(now, connection),
                Timer::Will(session) => self.check_will(now, session),
            }
        }
    }

    /// Ends the connection of a client that broke the rules, in the one place where that is done:
    /// DISCONNECT with the reason for MQTT 5, then close [MQTT-4.13.1-1].
    pub(crate) fn violation(&mut self, now: Now, connection: ConnectionId, reason: ReasonCode) {
        let state = self.connections.get(connection).map(|open| open.state);
        if state == Some(State::Challenged) {
            // CONNACK is the only answer that its CONNECT can have.
            return self.refuse(connection, reason);
        }
        self.metrics.violations += 1;
        self.disconnect(now, connection, reason);
    }

    /// Ends a connection with a reason of the broker's.
    pub(crate) fn disconnect(&mut self, now: Now, connection: ConnectionId, reason: ReasonCode) {
        let Some(open) = self.connections.get_mut(connection) else { return };
        match open.state {
            State::Open(_) => self.write_disconnect(connection, reason),
            // CONNACK waits for the commit, and nothing may be said before it
            // [MQTT-3.14.0-1].
            State::Connecting(_) => open.outbound.release(&mut self.pool),
            State::Authenticating
            | State::AwaitingConnect
            | State::Challenged
            | State::Closing
            | State::Moving => {}
        }
        self.close_session(now, connection);
    }

    /// Closes a connection whose session, if it has one, loses it by that.
    pub(crate) fn close_session(&mut self, now: Now, connection: ConnectionId) {
        let session = self.connections.get(connection).and_then(Connection::session);
        self.close(connection);
        if let Some(session) = session {
            self.end_connection(now, session, true);
        }
    }

    /// Asks the shell to close; nothing more is heard from the connection.
    pub(crate) fn close(&mut self, connection: ConnectionId) {
        let Some(open) = self.connections.get_mut(connection) else { return };
        if open.state != State::Closing {
            open.state = State::Closing;
            open.unhandled = Vec::new();
            let farewell = !open.outbound.is_empty();
            self.turn.effects.push(Effect::Close { connection, farewell });
        }
    }

    /// Gives a connection another timer in place of the one it has.
    pub(crate) fn arm(&mut self, connection: ConnectionId, timer: Option<(Instant, Timer)>) {
        let Some(open) = self.connections.get_mut(connection) else { return };
        if let Some((at, before)) = open.replace_timer(timer) {
            self.timers.disarm(at, before);
        }
        if let Some((at, timer)) = timer {
            self.timers.arm(at, timer);
        }
    }

    /// What holds for the listener of an open connection.
    pub(crate) fn listener_of(&self, connection: ConnectionId) -> &ListenerLimits {
        let open = self.connections.get(connection).expect("its packet is being handled");
        &self.limits.listeners[usize::from(open.listener.0)]
    }

    /// The session of a client.
    pub(crate) fn session_of(&self, client_id: &str) -> Option<SessionKey> {
        self.clients.find(client_id, &self.sessions)
    }

    /// The highest QoS on a connection.
    pub(crate) fn qos_max(&self, connection: ConnectionId) -> QoS {
        self.limits.qos_max.min(self.listener_of(connection).qos_max)
    }

    /// Whether messages may be retained on a connection, and are sent as such.
    pub(crate) fn retain_available(&self, connection: ConnectionId) -> bool {
        self.limits.retain_available && self.listener_of(connection).retain_available
    }

    /// The buffer of an open connection, which will be flushed at the end of the turn.
    pub(crate) fn buffer(&mut self, connection: ConnectionId) -> Option<&mut Vec<u8>> {
        let open = self.connections.get_mut(connection)?;
        if open.state == State::Closing {
            return None;
        }
        if !open.to_flush {
            open.to_flush = true;
            self.turn.flush.push(connection);
        }
        Some(open.outbound.buffer(&mut self.pool))
    }

    /// Appends an encoded packet.
    pub(crate) fn write(&mut self, connection: ConnectionId, frame: &[u8]) {
        let Some(buffer) = self.buffer(connection) else { return };
        buffer.extend_from_slice(frame);
        // Messages stop earlier; a client that lets answers pile up this far does not read.
        let is_too_much = buffer.len() > self.limits.outbound_bytes_max();
        self.packet_sent(connection);
        if is_too_much {
            self.doomed.push((connection, ReasonCode::QuotaExceeded));
        }
    }

    /// A packet was appended to the buffer of a connection.
    pub(crate) fn packet_sent(&mut self, connection: ConnectionId) {
        self.metrics.packets_sent += 1;
        if let Some(open) = self.connections.get_mut(connection) {
            open.outbound.count_packet();
        }
    }
}
