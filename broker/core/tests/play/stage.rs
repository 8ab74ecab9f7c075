//! The shell of a play: it carries bytes, commits batches, moves the clock, and looks at all that
//! the core says.

use std::collections::VecDeque;

use weir_core::{
    AuthenticationRequest, Batch, Change, ConnectionId, Core, Destination, Effect, Input, Instant,
    Limits, ListenerId, Now, Outcome, ReaderConfig, Sequence,
};

use super::ledger::Ledger;
use super::peer::{Peer, Phase};
use super::settings::{DELAY_S_MAX, READER, SESSION_EXPIRY_S_MAX};
use crate::support::store::Store;

/// Longer than any packet of a play, with what a dead letter adds.
const PACKET_BYTES_MAX: u64 = 4000;
/// What one input may add to a buffer before the connection is ended for it.
const ANSWERS_BYTES_MAX: usize = 20_000;

/// A core and everything around it.
pub(super) struct Stage {
    pub(super) now: Now,
    pub(super) peers: Vec<Peer>,
    pub(super) asking: VecDeque<(ConnectionId, AuthenticationRequest)>,
    /// Several inputs are gathered in one turn.
    pub(super) gathers: bool,
    /// The last position that the reader was given, as far as it is durable.
    pub(super) readable: Sequence,
    pub(super) limits: Limits,
    core: Core,
    readers: Vec<ReaderConfig>,
    store: Store,
    ledger: Ledger,
    pending: VecDeque<Batch>,
    /// What the core wants to read from the store.
    to_load: Option<Vec<Sequence>>,
    generations: Vec<u32>,
    opened: u64,
    received: u64,
    sent: u64,
}

impl Stage {
    pub(super) fn new(limits: Limits, readers: Vec<ReaderConfig>) -> Self {
        let now = Now { monotonic: Instant(5_000), unix_ms: 1_700_000_000_000 };
        let mut store = Store::default();
        let recovered = store.recovered(limits.queued_memory_eased_at);
        let core = Core::new(limits.clone(), readers.clone(), recovered, 7, now);
        Self {
            now,
            peers: Vec::new(),
            asking: VecDeque::new(),
            gathers: false,
            readable: Sequence(0),
            limits,
            core,
            readers,
            store,
            ledger: Ledger::default(),
            pending: VecDeque::new(),
            to_load: None,
            generations: Vec::new(),
            opened: 0,
            received: 0,
            sent: 0,
        }
    }

    pub(super) fn has_reader(&self) -> bool {
        !self.readers.is_empty()
    }

    /// Opens a connection; answers its place among the peers.
    pub(super) fn open(&mut self, listener: usize) -> usize {
        let taken = |slot: &u32| self.peers.iter().any(|peer| peer.id.slot == *slot);
        let slot = (0..).find(|slot| !taken(slot)).expect("few connections");
        if self.generations.len() <= slot as usize {
            self.generations.push(0);
        }
        let id = ConnectionId { slot, generation: self.generations[slot as usize] };
        self.generations[slot as usize] += 1;
        self.opened += 1;
        self.peers.push(Peer::new(id, &self.limits, listener > 0));
        let listener = ListenerId(u16::try_from(listener).expect("few listeners"));
        self.handle(Input::Opened { connection: id, listener });
        self.peers.iter().position(|peer| peer.id == id).expect("nothing closes it")
    }

    /// The core is given what the client of a peer has sent, or the first bytes of that.
    pub(super) fn deliver(&mut self, index: usize, bytes_max: usize) {
        let peer = &mut self.peers[index];
        if peer.paused {
            return;
        }
        let count = peer.withheld.len().min(bytes_max);
        let bytes: Vec<u8> = peer.withheld.drain(..count).collect();
        if bytes.is_empty() {
            return;
        }
        let connection = peer.id;
        if !peer.closing {
            peer.say(&bytes);
            peer.connect_is_handled |= peer.phase != Phase::Fresh && !self.limits.authentication;
        }
        self.received += bytes.len() as u64;
        self.handle(Input::Received { connection, bytes: &bytes });
    }

    /// The connection is gone.
    pub(super) fn close(&mut self, connection: ConnectionId) {
        self.remove(connection);
        self.settle();
    }

    /// The client takes some bytes.
    pub(super) fn read(&mut self, index: usize, bytes_max: usize) {
        self.write(self.peers[index].id, bytes_max);
        self.settle();
    }

    pub(super) fn judge(&mut self, connection: ConnectionId, outcome: Outcome) {
        let peer = self.peers.iter_mut().find(|peer| peer.id == connection);
        if let Some(peer) = peer {
            peer.connect_is_handled = !matches!(outcome, Outcome::Continue(_));
        }
        self.handle(Input::Authenticated { connection, outcome });
    }

    pub(super) fn handle(&mut self, input: Input<'_>) {
        self.act(input);
        self.settle();
    }

    /// Commits the oldest batches as one group; false when none waits.
    pub(super) fn commit(&mut self, count: usize) -> bool {
        let count = count.min(self.pending.len());
        let mut last = None;
        for batch in self.pending.drain(..count) {
            last = Some(batch.number);
            let readable = batch.changes.iter().filter_map(read_position).max();
            self.readable = self.readable.max(readable.unwrap_or_default());
            self.store.apply(batch, false);
        }
        let Some(batch) = last else { return false };
        self.ledger.commit(batch);
        self.handle(Input::Committed { batch });
        true
    }

    /// The reader is done with all that waits for it in memory; false when that is nothing.
    fn read_log(&mut self) -> bool {
        let waits = self.core.metrics().held > 0;
        if waits {
            let sequence = self.readable;
            self.handle(Input::ReaderDone { reader: READER, sequence });
        }
        waits
    }

    /// Answers what the core wants to read; false when that is nothing.
    pub(super) fn load(&mut self) -> bool {
        let Some(sequences) = self.to_load.take() else { return false };
        let messages = self.store.read(&sequences);
        self.handle(Input::Loaded { messages: &messages });
        true
    }

    /// Moves the clock, stopping at each timer on the way.
    pub(super) fn advance(&mut self, milliseconds: u64) {
        let end = self.now.monotonic + milliseconds;
        while let Some(at) = self.core.poll_timeout().filter(|at| *at <= end) {
            self.set_clock(at.max(self.now.monotonic));
            self.handle(Input::Timeout);
            let next = self.core.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now.monotonic), "a timer that stays due");
        }
        self.set_clock(end);
    }

    /// The process dies and starts again; what was not committed is lost.
    pub(super) fn crash(&mut self, seconds: u64) {
        self.pending.clear();
        self.asking.clear();
        self.to_load = None;
        self.peers.clear();
        self.gathers = false;
        self.now.unix_ms += seconds * 1000;
        self.now.monotonic = Instant(77);
        let kept = self.store.sessions.iter();
        let kept = kept.map(|(id, session)| (session.record.client_id.to_string(), *id));
        self.ledger = Ledger::restarted(kept);
        (self.opened, self.received, self.sent) = (0, 0, 0);
        let recovered = self.store.recovered(self.limits.queued_memory_eased_at);
        let (limits, readers) = (self.limits.clone(), self.readers.clone());
        self.core = Core::new(limits, readers, recovered, 8, self.now);
        self.settle();
    }

    /// The trouble ends, and nothing may be stuck; then every session ends, and nothing may be
    /// left.
    pub(super) fn end(&mut self) {
        self.gathers = false;
        self.settle();
        for index in 0..self.peers.len() {
            self.peers[index].reads = true;
        }
        self.quiesce();
        assert_eq!(self.core.gated(), 0, "nothing is left to wait for");
        let is_stuck = |peer: &Peer| peer.paused && peer.phase == Phase::Open && !peer.closing;
        assert!(!self.peers.iter().any(is_stuck), "nobody is to be waited for");
        while let Some(peer) = self.peers.first() {
            self.close(peer.id);
        }
        let longest_s = u64::from(SESSION_EXPIRY_S_MAX.max(DELAY_S_MAX));
        for _ in 0..4 {
            self.quiesce();
            self.advance((longest_s + 1) * 1000);
        }
        self.quiesce();
        self.check_nothing_left();
        self.crash(0);
        assert_eq!(self.core.metrics().sessions, 0, "nothing comes back");
    }

    fn quiesce(&mut self) {
        let mut rounds = 0;
        while self.commit(usize::MAX) || self.flush_all() || self.load() || self.read_log() {
            rounds += 1;
            assert!(rounds < 10_000, "it does not come to rest");
        }
    }

    fn flush_all(&mut self) -> bool {
        let before = self.sent;
        for connection in self.peers.iter().map(|peer| peer.id).collect::<Vec<_>>() {
            self.write(connection, usize::MAX);
        }
        self.settle();
        self.sent > before
    }

    fn check_nothing_left(&self) {
        let metrics = self.core.metrics();
        let filters: usize = self.readers.iter().map(|reader| reader.filters.len()).sum();
        assert_eq!((metrics.connections, metrics.sessions), (0, 0));
        assert_eq!((metrics.subscriptions, metrics.shared_subscriptions), (filters as u64, 0));
        assert_eq!((metrics.queued_messages, metrics.queued_bytes), (0, 0));
        assert_eq!((metrics.delayed, metrics.delayed_bytes), (0, 0));
        assert_eq!((metrics.held, metrics.held_bytes), (0, 0));
        assert_eq!((metrics.outbound_bytes, metrics.inflight), (0, 0));
        assert_eq!((self.core.gated(), self.core.poll_timeout()), (0, None));
        assert!(self.store.sessions.is_empty(), "the store has forgotten every session");
    }

    /// Ends the turn, unless several inputs are gathered.
    pub(super) fn settle(&mut self) {
        while !self.gathers {
            let mut effects = Vec::new();
            self.core.drain(|effect| effects.push(effect));
            self.core.check_invariants();
            self.end_turn(&effects);
            self.check_metrics();
            if effects.is_empty() {
                return;
            }
            effects.into_iter().for_each(|effect| self.carry_out(effect));
        }
    }

    /// What is known once a turn is over, before its effects lead to new inputs.
    fn end_turn(&mut self, effects: &[Effect]) {
        let mut number = 0;
        for effect in effects {
            match effect {
                Effect::Commit(batch) => {
                    self.ledger.note(batch, &self.limits);
                    number = batch.number;
                }
                Effect::Pause { connection } => self.mark_paused(*connection, true),
                Effect::Resume { connection } => self.mark_paused(*connection, false),
                _ => {}
            }
        }
        for effect in effects {
            match effect {
                Effect::Flush { connection } => self.look(*connection),
                Effect::Close { connection, .. } => {
                    // It may have been closed by its client in the same turn.
                    let peer = self.peers.iter_mut().find(|peer| peer.id == *connection);
                    peer.into_iter().for_each(|peer| peer.closing = true);
                }
                _ => {}
            }
        }
        self.peers.iter_mut().for_each(|peer| peer.turn_ended(number, &self.ledger));
    }

    fn mark_paused(&mut self, connection: ConnectionId, paused: bool) {
        let peer = self.peers.iter_mut().find(|peer| peer.id == connection);
        if let Some(peer) = peer {
            peer.paused = paused;
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Authenticate { connection, request } => {
                self.asking.push_back((connection, *request));
            }
            Effect::Close { connection, .. } => {
                let reads = self.peers.iter().any(|peer| peer.id == connection && peer.reads);
                if reads {
                    self.write(connection, usize::MAX);
                }
                // A client that does not read is let wait, until somebody closes it.
                if reads || connection.slot.is_multiple_of(2) {
                    self.remove(connection);
                }
            }
            Effect::Commit(batch) => self.pending.push_back(batch),
            Effect::Flush { connection } => {
                let peer = self.peers.iter().find(|peer| peer.id == connection);
                if peer.is_some_and(|peer| peer.reads) {
                    self.write(connection, usize::MAX);
                }
            }
            Effect::Resume { connection } => {
                let index = self.peers.iter().position(|peer| peer.id == connection);
                if let Some(index) = index {
                    self.gathers = true;
                    self.deliver(index, usize::MAX);
                    self.gathers = false;
                }
            }
            Effect::ReaderMissed { .. } => unreachable!("readers take all"),
            Effect::ToReader { records, .. } => {
                assert_eq!(records.iter().count(), records.len());
            }
            Effect::Forward { .. } | Effect::Move { .. } => unreachable!("there is one shard"),
            Effect::Interest(_) => unreachable!("there is no fleet"),
            Effect::ReadHistory(_) => unreachable!("there is no history"),
            Effect::Load { sequences } => {
                assert!(self.to_load.is_none(), "one read at a time");
                assert!(sequences.is_sorted() && !sequences.is_empty());
                self.to_load = Some(sequences);
            }
            Effect::Accept { .. }
            | Effect::Admitted { .. }
            | Effect::Denied { .. }
            | Effect::Dropping(_)
            | Effect::MemoryPressure { .. }
            | Effect::Pause { .. }
            | Effect::Throttled(_) => {}
        }
    }

    /// Handles an input and looks at what was said because of it.
    fn act(&mut self, input: Input<'_>) {
        self.core.handle(self.now, input);
        let open = self.peers.iter().filter(|peer| peer.phase == Phase::Open);
        for connection in open.map(|peer| peer.id).collect::<Vec<_>>() {
            self.look(connection);
        }
    }

    /// Before CONNACK is flushed it may still be taken back, so nobody looks before.
    fn look(&mut self, connection: ConnectionId) {
        let outbound = self.core.outbound(connection).expect("only what is open is flushed");
        let peer = self.peers.iter_mut().find(|peer| peer.id == connection);
        let peer = peer.expect("only what is open is flushed");
        let all = peer.written + outbound.len() as u64;
        let new = usize::try_from(all - peer.seen).expect("no more than the buffer");
        if new > 0 {
            assert!(!peer.closing, "nothing is said after the end was asked for");
            peer.seen = all;
            peer.hear(&outbound.bytes()[outbound.len() - new..], &self.ledger);
        }
        let limits = &self.limits;
        let most = limits.packet_bytes_max + limits.send_buffer_bytes_max * 2 + ANSWERS_BYTES_MAX;
        assert!(outbound.len() <= most, "{} bytes wait", outbound.len());
    }

    fn write(&mut self, connection: ConnectionId, bytes_max: usize) {
        let Some(outbound) = self.core.outbound(connection) else { return };
        let peer = self.peers.iter_mut().find(|peer| peer.id == connection);
        let peer = peer.expect("what the core knows is open");
        // CONNACK waits in the buffer before it is flushed.
        let flushed = usize::try_from(peer.seen - peer.written).expect("no more than the buffer");
        let bytes = outbound.len().min(bytes_max).min(flushed);
        if bytes > 0 {
            peer.written += bytes as u64;
            self.sent += bytes as u64;
            self.act(Input::Sent { connection, bytes });
        }
    }

    fn remove(&mut self, connection: ConnectionId) {
        let Some(index) = self.peers.iter().position(|peer| peer.id == connection) else { return };
        self.peers.swap_remove(index);
        self.act(Input::Closed { connection });
    }

    fn check_metrics(&self) {
        let metrics = self.core.metrics();
        let outbound = |peer: &Peer| self.core.outbound(peer.id).map_or(0, |o| o.len() as u64);
        assert_eq!(metrics.connections, self.peers.len() as u64);
        assert_eq!(metrics.connections_opened, self.opened);
        assert_eq!((metrics.bytes_received, metrics.bytes_sent), (self.received, self.sent));
        assert_eq!(metrics.outbound_bytes, self.peers.iter().map(outbound).sum::<u64>());
        assert!(metrics.clients_connected <= metrics.connections.min(metrics.sessions));
        let limits = &self.limits;
        assert!(metrics.retained <= limits.retained_messages_max as u64);
        assert!(metrics.delayed <= limits.delayed_messages_max as u64);
        // What went out at once is bounded by the windows, not by the memory of queues.
        let under_way = (metrics.inflight + 1) * PACKET_BYTES_MAX;
        let most = limits.queued_memory_max as u64 + under_way;
        let queued = metrics.queued_bytes_in_memory;
        assert!(queued <= most.min(metrics.queued_bytes), "{queued} bytes of queues in memory");
        assert!(metrics.held_bytes <= (limits.held_bytes_max as u64) + PACKET_BYTES_MAX);
        assert!(metrics.delayed_bytes <= limits.queued_memory_max as u64 + PACKET_BYTES_MAX);
    }

    fn set_clock(&mut self, monotonic: Instant) {
        self.now.unix_ms += monotonic.0 - self.now.monotonic.0;
        self.now.monotonic = monotonic;
    }
}

/// The position of a message that waits for a reader.
fn read_position(change: &Change) -> Option<Sequence> {
    let (Change::LogAppended { sequence, targets, .. }
    | Change::MessageHeld { sequence, targets, .. }) = change
    else {
        return None;
    };
    let is_read =
        |target: &&weir_core::Target| matches!(target.destination, Destination::Reader(_));
    targets.iter().find(is_read).map(|_| *sequence)
}
