//! What is behind a `World`: it carries bytes, commits batches and moves the clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use weir_core::{
    AuthenticationRequest, Batch, Change, ConnectionId, Core, Denial, DropNotice, Effect, Forwards,
    HistoryRequest, Input, Instant, InterestChange, Limits, Link as BatchLink, ListenerId,
    MemoryPressure, Message, Now, Placement, ReaderConfig, ReaderId, Sequence, ShardId,
    ThrottleNotice,
};
use weir_mqtt::frame_len;

use super::store::Stores;

/// What is behind a world.
pub(crate) struct Net {
    pub(crate) cores: Vec<Core>,
    pub(crate) now: Now,
    pub(super) limits: Limits,
    pub(super) readers: Vec<ReaderConfig>,
    pub(crate) store: Stores,
    /// What shards have for each other.
    pub(super) parcels: VecDeque<Parcel>,
    /// Whether that waits until the test hands it over.
    pub(super) holds_parcels: bool,
    /// Batches that the store has not made durable yet.
    pub(crate) pending: VecDeque<Batch>,
    /// Batches that are durable.
    pub(crate) commits: usize,
    /// Those of them of which anything was written.
    pub(crate) writes: usize,
    /// Payloads that a crash has taken before they were durable.
    pub(crate) lost: BTreeSet<String>,
    /// Whether batches wait until the test commits them.
    pub(super) held: bool,
    /// What the cores want to read from the store, if the test answers that itself.
    pub(super) to_load: Vec<Option<Vec<Sequence>>>,
    pub(crate) holds_loads: bool,
    pub(crate) loads: usize,
    /// The page of the history that the first core wants, which the test answers itself.
    pub(crate) history_read: Option<HistoryRequest>,
    pub(crate) pressure: MemoryPressure,
    pub(super) turns: u64,
    /// Whether the test gathers several inputs in one turn.
    pub(super) in_turn: bool,
    pub(super) links: BTreeMap<ConnectionId, Link>,
    pub(super) generations: Vec<u32>,
    pub(super) free_slots: Vec<u32>,
    /// Where clients come in.
    pub(super) listener: ListenerId,
    pub(crate) to_readers: Vec<ReaderMessage>,
    /// Messages that did not reach readers.
    pub(crate) missed: BTreeMap<ReaderId, u64>,
    /// How often each filter is wanted.
    pub(crate) interest: BTreeMap<String, i32>,
    /// Clients whose credentials the test has to judge.
    pub(super) asking: VecDeque<(ConnectionId, AuthenticationRequest)>,
    pub(super) denials: Vec<Denial>,
    pub(super) drop_notices: Vec<DropNotice>,
    pub(super) throttle_notices: Vec<ThrottleNotice>,
    /// Listeners that may take connections again.
    pub(super) accepting: Vec<ListenerId>,
    /// Clients that were let in without a name.
    pub(crate) admitted: Vec<String>,
    /// Connections that were closed with a last word.
    pub(crate) farewells: u32,
}

/// What one shard has for another.
pub(super) enum Parcel {
    Connection { connection: ConnectionId, from: ShardId, to: ShardId, bytes: Vec<u8> },
    Forwards { from: ShardId, to: ShardId, forwards: Box<Forwards> },
}

impl Parcel {
    pub(super) fn way(&self) -> (ShardId, ShardId) {
        match self {
            Self::Connection { from, to, .. } | Self::Forwards { from, to, .. } => (*from, *to),
        }
    }
}

/// A message that was handed to a reader.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ReaderMessage {
    pub(crate) reader: ReaderId,
    pub(crate) sequence: Option<Sequence>,
    pub(crate) publisher: String,
    pub(crate) topic: String,
    pub(crate) payload: String,
}

/// The client's end of a connection.
pub(crate) struct Link {
    /// Where it is.
    pub(super) shard: ShardId,
    pub(super) listener: ListenerId,
    pub(super) bytes: Vec<u8>,
    pub(crate) frames: VecDeque<Vec<u8>>,
    pub(crate) closed: bool,
    /// The core asked not to be given more; what the client sends waits here.
    pub(crate) paused: bool,
    pub(super) unread: VecDeque<Vec<u8>>,
    /// The client does not read.
    pub(super) stalled: bool,
}

impl Net {
    pub(crate) fn link(&mut self, connection: ConnectionId) -> &mut Link {
        self.links.get_mut(&connection).expect("it was opened")
    }

    /// Bytes from a client.
    pub(crate) fn receive(&mut self, connection: ConnectionId, bytes: &[u8]) {
        let link = self.link(connection);
        if link.closed {
            return;
        }
        if link.paused {
            link.unread.push_back(bytes.to_vec());
            return;
        }
        let shard = self.link(connection).shard;
        self.handle_in(shard, Input::Received { connection, bytes });
    }

    /// The client's end is gone.
    pub(crate) fn hang_up(&mut self, connection: ConnectionId) {
        if !self.link(connection).closed {
            self.close(connection);
            self.settle();
        }
    }

    /// From now on the client reads nothing.
    pub(crate) fn stall(&mut self, connection: ConnectionId) {
        self.link(connection).stalled = true;
    }

    /// The client reads some bytes, and then nothing again.
    pub(crate) fn read(&mut self, connection: ConnectionId, bytes_max: usize) {
        self.write(connection, bytes_max);
        self.settle();
    }

    /// The client reads everything from now on.
    pub(crate) fn go_on_reading(&mut self, connection: ConnectionId) {
        self.link(connection).stalled = false;
        self.write(connection, usize::MAX);
        self.settle();
    }

    /// Something for the first shard.
    pub(crate) fn handle(&mut self, input: Input<'_>) {
        self.handle_in(ShardId::FIRST, input);
    }

    pub(super) fn handle_in(&mut self, shard: ShardId, input: Input<'_>) {
        self.core(shard).handle(input);
        self.settle();
    }

    pub(crate) fn handle_everywhere<'a>(&mut self, input: impl Fn() -> Input<'a>) {
        for core in &mut self.cores {
            core.handle(self.now, input());
        }
        self.settle();
    }

    pub(super) fn core(&mut self, shard: ShardId) -> Driven<'_> {
        Driven { core: &mut self.cores[usize::from(shard.0)], now: self.now }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.cores.iter().filter_map(Core::poll_timeout).min()
    }

    /// A process begins.
    pub(super) fn start(&mut self, shards: u8, seed: u64) {
        self.store.resize(shards);
        self.interest.clear();
        let memory = self.limits.queued_memory_eased_at;
        let kept = self.store.clients();
        let kept = kept.iter().map(|(client_id, shard)| (&**client_id, *shard));
        let placement = Placement::new(shards, kept);
        let cores = (0..shards).map(ShardId).map(|shard| {
            let recovered = self.store.recovered(shard, memory);
            let (limits, readers) = (self.limits.clone(), self.readers.clone());
            Core::of_shard(shard, placement.clone(), limits, readers, recovered, seed, self.now)
        });
        self.cores = cores.collect();
        self.to_load = vec![None; usize::from(shards)];
        let beginnings = Core::join(&mut self.cores, self.now);
        for (shard, effects) in (0..).map(ShardId).zip(beginnings) {
            effects.into_iter().for_each(|effect| self.carry_out(shard, effect));
        }
        self.settle();
    }

    pub(super) fn open(&mut self) -> ConnectionId {
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.generations.push(0);
            u32::try_from(self.generations.len() - 1).expect("few connections")
        });
        let generation = self.generations[slot as usize];
        let connection = ConnectionId { slot, generation };
        let listener = self.listener;
        self.links.insert(connection, Link::new(listener));
        self.handle(Input::Opened { connection, listener });
        connection
    }

    pub(super) fn close(&mut self, connection: ConnectionId) {
        let link = self.link(connection);
        link.closed = true;
        link.unread.clear();
        let shard = link.shard;
        self.core(shard).handle(Input::Closed { connection });
        self.generations[connection.slot as usize] += 1;
        self.free_slots.push(connection.slot);
    }

    pub(super) fn settle(&mut self) {
        while !self.in_turn {
            let mut is_quiet = true;
            for shard in (0..self.cores.len() as u8).map(ShardId) {
                let mut effects = Vec::new();
                let core = &mut self.cores[usize::from(shard.0)];
                core.drain(|effect| effects.push(effect));
                self.turns += 1;
                // The check walks over every queue: with a long one, not at each turn.
                if core.metrics().queued_messages < 200 || self.turns.is_multiple_of(4096) {
                    core.check_invariants();
                }
                is_quiet &= effects.is_empty();
                effects.into_iter().for_each(|effect| self.carry_out(shard, effect));
            }
            while !self.holds_parcels
                && let Some(parcel) = self.parcels.pop_front()
            {
                is_quiet = false;
                self.hand_over(parcel);
            }
            if is_quiet && (self.held || !self.commit_one()) {
                return;
            }
        }
    }

    pub(super) fn carry_out(&mut self, shard: ShardId, effect: Effect) {
        match effect {
            Effect::Accept { listener } => self.accepting.push(listener),
            Effect::Authenticate { connection, request } => {
                self.asking.push_back((connection, *request));
            }
            Effect::Admitted { client_id, .. } => self.admitted.push(client_id.to_string()),
            Effect::Close { connection, farewell } => {
                self.farewells += u32::from(farewell);
                if !self.link(connection).closed {
                    if !self.link(connection).stalled {
                        self.write(connection, usize::MAX);
                    }
                    self.close(connection);
                }
            }
            Effect::Commit(batch) => {
                let is_alone = batch.links.is_empty() && self.pending.is_empty();
                self.pending.push_back(batch);
                if !self.held && is_alone {
                    self.commit_one();
                }
            }
            Effect::Denied { denial, .. } => self.denials.push(*denial),
            Effect::Dropping(notice) => self.drop_notices.push(*notice),
            Effect::Flush { connection } => {
                if !self.link(connection).stalled {
                    self.write(connection, usize::MAX);
                }
            }
            Effect::Forward { shard: to, forwards } => {
                self.parcels.push_back(Parcel::Forwards { from: shard, to, forwards });
            }
            Effect::ReadHistory(request) => {
                assert!(self.history_read.is_none(), "one read at a time");
                self.history_read = Some(*request);
            }
            Effect::Load { sequences } => {
                let to_load = &mut self.to_load[usize::from(shard.0)];
                assert!(to_load.is_none(), "one read at a time");
                assert!(sequences.is_sorted() && !sequences.is_empty());
                *to_load = Some(sequences);
                self.loads += 1;
                if !self.holds_loads {
                    self.load();
                }
            }
            Effect::Interest(changes) => self.note_interest(changes),
            Effect::MemoryPressure { pressure, .. } => self.pressure = pressure,
            Effect::Move { connection, shard: to, bytes } => {
                self.parcels.push_back(Parcel::Connection { connection, from: shard, to, bytes });
            }
            Effect::Pause { connection } => self.link(connection).paused = true,
            Effect::Resume { connection } => {
                self.link(connection).paused = false;
                while !self.link(connection).paused
                    && let Some(bytes) = self.link(connection).unread.pop_front()
                {
                    self.core(shard).handle(Input::Received { connection, bytes: &bytes });
                }
            }
            Effect::Throttled(notice) => self.throttle_notices.push(*notice),
            Effect::ReaderMissed { reader, messages } => {
                *self.missed.entry(reader).or_default() += messages;
            }
            Effect::ToReader { reader, records } => {
                let messages = records.iter().map(|(sequence, message)| ReaderMessage {
                    reader,
                    sequence,
                    publisher: message.publisher.to_owned(),
                    topic: message.topic.to_owned(),
                    payload: String::from_utf8_lossy(message.payload).into_owned(),
                });
                self.to_readers.extend(messages);
            }
        }
    }

    fn note_interest(&mut self, changes: Vec<InterestChange>) {
        for InterestChange { filter, is_wanted } in changes {
            let wanted = self.interest.entry(filter.to_string()).or_default();
            *wanted += if is_wanted { 1 } else { -1 };
            assert!(*wanted >= 0, "{filter} is not wanted more often than it was");
        }
    }

    pub(super) fn hand_over(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::Connection { connection, to, bytes, .. } => {
                let link = self.link(connection);
                link.shard = to;
                let listener = link.listener;
                if !link.closed {
                    self.core(to).handle(Input::Moved { connection, listener, bytes: &bytes });
                }
            }
            Parcel::Forwards { from, to, forwards } => {
                self.core(to).handle(Input::Forwarded { from, forwards });
            }
        }
    }

    /// Commits the oldest batch that waits, and those that it hangs together with.
    pub(super) fn commit_one(&mut self) -> bool {
        if self.pending.is_empty() {
            return false;
        }
        let Some(group) = self.linked_to_first() else { return false };
        let mut rest = VecDeque::new();
        let mut batches = Vec::new();
        for (place, batch) in std::mem::take(&mut self.pending).into_iter().enumerate() {
            if group.contains(&place) {
                batches.push(batch);
            } else {
                rest.push_back(batch);
            }
        }
        self.pending = rest;
        let numbers: Vec<_> = batches.iter().map(|batch| (batch.shard, batch.number)).collect();
        for batch in batches {
            let is_written = |change: &Change| {
                !matches!(change, Change::HeldReleased { .. } | Change::MessageHeld { .. })
            };
            self.writes += usize::from(batch.changes.iter().any(is_written));
            self.store.apply(batch);
            self.commits += 1;
        }
        for (shard, batch) in numbers {
            self.core(shard).handle(Input::Committed { batch });
        }
        true
    }

    /// The places of the first batch that waits and of all that have to be durable with it: those
    /// that are linked, and the earlier ones of their shards; none while one of them is not there.
    pub(super) fn linked_to_first(&self) -> Option<BTreeSet<usize>> {
        let mut group = BTreeSet::new();
        let mut to_visit = vec![0];
        let partner = |link: &BatchLink, own: ShardId, of: fn(&Batch) -> &[BatchLink]| {
            let is_it = |other: &BatchLink| other.shard == own && other.number >= link.number;
            self.pending
                .iter()
                .position(|batch| batch.shard == link.shard && of(batch).iter().any(is_it))
        };
        while let Some(place) = to_visit.pop() {
            if !group.insert(place) {
                continue;
            }
            let batch = &self.pending[place];
            for link in &batch.links.sent {
                to_visit.push(partner(link, batch.shard, |batch| &batch.links.handled)?);
            }
            for link in &batch.links.handled {
                let place = partner(link, batch.shard, |batch| &batch.links.sent);
                to_visit.push(place.expect("what was handled was sent in a batch that waits"));
            }
            let is_earlier = |other: &usize| self.pending[*other].shard == batch.shard;
            to_visit.extend((0..place).filter(is_earlier));
        }
        Some(group)
    }

    /// Answers what the cores want to read.
    pub(super) fn load(&mut self) {
        for shard in (0..self.cores.len() as u8).map(ShardId) {
            let Some(sequences) = self.to_load[usize::from(shard.0)].take() else { continue };
            let messages = self.store.read(shard, &sequences);
            self.core(shard).handle(Input::Loaded { messages: &messages });
        }
    }

    pub(super) fn write(&mut self, connection: ConnectionId, bytes_max: usize) {
        let shard = self.link(connection).shard;
        let core = &self.cores[usize::from(shard.0)];
        let Some(outbound) = core.outbound(connection) else { return };
        let bytes = outbound.bytes();
        let bytes = bytes[..bytes.len().min(bytes_max)].to_vec();
        if bytes.is_empty() {
            return;
        }
        self.core(shard).handle(Input::Sent { connection, bytes: bytes.len() });
        self.link(connection).take(&bytes);
    }

    pub(super) fn advance(&mut self, milliseconds: u64) {
        let end = Instant(self.now.monotonic.0 + milliseconds);
        while let Some(at) = self.poll_timeout().filter(|at| *at <= end) {
            self.set_clock(at.max(self.now.monotonic));
            self.handle_everywhere(|| Input::Timeout);
        }
        self.set_clock(end);
    }

    pub(super) fn set_clock(&mut self, monotonic: Instant) {
        self.now.unix_ms += monotonic.0 - self.now.monotonic.0;
        self.now.monotonic = monotonic;
    }

    pub(super) fn crash(&mut self, seconds: u64) {
        self.crash_into(self.cores.len() as u8, seconds);
    }

    pub(super) fn crash_into(&mut self, shards: u8, seconds: u64) {
        let payload = |message: &Message| String::from_utf8_lossy(message.payload()).into_owned();
        for change in self.pending.drain(..).flat_map(|batch| batch.changes) {
            if let Change::LogAppended { message, .. } = change {
                self.lost.insert(payload(&message));
            }
        }
        for parcel in self.parcels.drain(..) {
            if let Parcel::Forwards { forwards, .. } = parcel {
                self.lost.extend(forwards.messages().map(payload));
            }
        }
        self.asking.clear();
        self.now.unix_ms += seconds * 1000;
        // The monotonic clock of the new process has another beginning.
        self.now.monotonic = Instant(77);
        for link in self.links.values_mut() {
            link.closed = true;
        }
        for (slot, generation) in self.generations.iter_mut().enumerate() {
            *generation += 1;
            let slot = u32::try_from(slot).expect("few connections");
            if !self.free_slots.contains(&slot) {
                self.free_slots.push(slot);
            }
        }
        self.start(shards, 8);
    }
}

/// A core with the time.
pub(super) struct Driven<'a> {
    pub(super) core: &'a mut Core,
    pub(super) now: Now,
}

impl Driven<'_> {
    pub(super) fn handle(self, input: Input<'_>) {
        self.core.handle(self.now, input);
    }
}

impl Link {
    pub(super) fn new(listener: ListenerId) -> Self {
        Self {
            shard: ShardId::FIRST,
            listener,
            bytes: Vec::new(),
            frames: VecDeque::new(),
            closed: false,
            paused: false,
            unread: VecDeque::new(),
            stalled: false,
        }
    }

    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        while let Some(length) = frame_len(&self.bytes).expect("the core sends whole packets")
            && length <= self.bytes.len()
        {
            self.frames.push_back(self.bytes.drain(..length).collect());
        }
    }
}
