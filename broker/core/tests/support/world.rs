//! The shell of the virtual network: it carries bytes, commits batches and moves the clock.

use std::cell::{RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use weir_core::{
    Acl, AuthenticationRequest, Batch, Change, ConnectionId, Core, Credential, Denial, DropNotice,
    DropReason, Drops, Effect, Identity, Input, Instant, Limits, ListenerId, MemoryPressure,
    Metrics, Now, Outcome, Publication, ReaderConfig, ReaderId, Sequence, ShardId, StoreRoom,
    Surroundings, ThrottleNotice,
};
use weir_mqtt::frame_len;

use super::client::Client;
use super::options::Options;
use super::store::Store;

/// One core and everything around it. Handles share the same world.
#[derive(Clone)]
pub(crate) struct World(Rc<RefCell<Net>>);

/// What is behind a [`World`].
pub(crate) struct Net {
    core: Core,
    pub(crate) now: Now,
    limits: Limits,
    readers: Vec<ReaderConfig>,
    pub(crate) store: Store,
    /// Batches that the store has not made durable yet.
    pub(crate) pending: VecDeque<Batch>,
    /// Batches that are durable.
    pub(crate) commits: usize,
    /// Payloads of the log that a crash has taken before they were durable.
    pub(crate) lost: BTreeSet<String>,
    /// Whether batches wait until the test commits them.
    held: bool,
    /// What the core wants to read from the store, if the test answers that itself.
    pub(crate) to_load: Option<Vec<Sequence>>,
    pub(crate) holds_loads: bool,
    pub(crate) loads: usize,
    pub(crate) pressure: MemoryPressure,
    turns: u64,
    /// Whether the test gathers several inputs in one turn.
    in_turn: bool,
    links: BTreeMap<ConnectionId, Link>,
    generations: Vec<u32>,
    free_slots: Vec<u32>,
    /// Where clients come in.
    listener: ListenerId,
    pub(crate) to_readers: Vec<ReaderMessage>,
    /// Clients whose credentials the test has to judge.
    asking: VecDeque<(ConnectionId, AuthenticationRequest)>,
    denials: Vec<Denial>,
    drop_notices: Vec<DropNotice>,
    throttle_notices: Vec<ThrottleNotice>,
    /// Listeners that may take connections again.
    accepting: Vec<ListenerId>,
    /// Clients that were let in without a name.
    pub(crate) admitted: Vec<String>,
    /// Connections that were closed with a last word.
    pub(crate) farewells: u32,
}

/// A message that was handed to a reader.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ReaderMessage {
    pub(crate) reader: ReaderId,
    pub(crate) sequence: Option<Sequence>,
    pub(crate) topic: String,
    pub(crate) payload: String,
}

/// The client's end of a connection.
#[derive(Default)]
pub(crate) struct Link {
    bytes: Vec<u8>,
    pub(crate) frames: VecDeque<Vec<u8>>,
    pub(crate) closed: bool,
    /// The core asked not to be given more; what the client sends waits here.
    pub(crate) paused: bool,
    unread: VecDeque<Vec<u8>>,
    /// The client does not read.
    stalled: bool,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    pub(crate) fn with_limits(limits: Limits) -> Self {
        Self::with_readers(limits, Vec::new())
    }

    pub(crate) fn with_readers(limits: Limits, readers: Vec<ReaderConfig>) -> Self {
        let now = Now { monotonic: Instant(5_000), unix_ms: 1_700_000_000_000 };
        let mut store = Store::default();
        let recovered = store.recovered(limits.queued_memory_eased_at);
        let core = Core::new(ShardId(0), limits.clone(), readers.clone(), recovered, 7, now);
        Self(Rc::new(RefCell::new(Net {
            core,
            now,
            limits,
            readers,
            store,
            pending: VecDeque::new(),
            commits: 0,
            lost: BTreeSet::new(),
            held: false,
            to_load: None,
            holds_loads: false,
            loads: 0,
            pressure: MemoryPressure::None,
            turns: 0,
            in_turn: false,
            links: BTreeMap::new(),
            generations: Vec::new(),
            free_slots: Vec::new(),
            listener: ListenerId(0),
            to_readers: Vec::new(),
            asking: VecDeque::new(),
            denials: Vec::new(),
            drop_notices: Vec::new(),
            throttle_notices: Vec::new(),
            accepting: Vec::new(),
            admitted: Vec::new(),
            farewells: 0,
        })))
    }

    pub(crate) fn net(&self) -> RefMut<'_, Net> {
        self.0.borrow_mut()
    }

    /// Opens a connection that has said nothing yet.
    pub(crate) fn open(&self) -> Client {
        let connection = self.net().open();
        Client::new(self.clone(), connection)
    }

    /// Opens a connection and sends CONNECT.
    pub(crate) fn dial(&self, options: &Options) -> Client {
        let mut client = self.open();
        client.version = options.version;
        client.send_bytes(&options.encode());
        client
    }

    /// From now on clients come in by this listener.
    pub(crate) fn enter_by(&self, listener: u16) -> &Self {
        self.net().listener = ListenerId(listener);
        self
    }

    /// Connects; CONNACK must say that it worked.
    pub(crate) fn connect(&self, options: Options) -> Client {
        let mut client = self.dial(&options);
        client.session_present = client.expect_connack();
        client
    }

    /// From now on batches wait until [`World::commit`].
    pub(crate) fn hold_commits(&self) {
        self.net().held = true;
    }

    /// Commits everything that waits, and from now on everything at once.
    pub(crate) fn release_commits(&self) {
        self.net().held = false;
        while self.commit_one() {}
    }

    /// Commits what waits now.
    pub(crate) fn commit(&self) {
        let waiting = self.net().pending.len();
        for _ in 0..waiting {
            self.commit_one();
        }
    }

    /// Commits what somebody waits for, and what was before it; false when nobody waits.
    pub(crate) fn commit_awaited(&self) -> bool {
        let count = self.net().pending.iter().rposition(|batch| batch.is_awaited);
        let count = count.map_or(0, |last| last + 1);
        for _ in 0..count {
            self.commit_one();
        }
        count > 0
    }

    /// Number of batches that are durable.
    pub(crate) fn commits(&self) -> usize {
        self.net().commits
    }

    /// Commits the oldest batch that waits; false when there is none.
    pub(crate) fn commit_one(&self) -> bool {
        let mut net = self.net();
        let committed = net.commit_one();
        net.settle();
        committed
    }

    /// From now on what the core wants to read waits until [`World::load`].
    pub(crate) fn hold_loads(&self) {
        self.net().holds_loads = true;
    }

    /// Reads what the core wants to read, and from now on everything at once.
    pub(crate) fn release_loads(&self) {
        self.net().holds_loads = false;
        self.load();
    }

    /// Reads what the core wants to read; false when it wants nothing.
    pub(crate) fn load(&self) -> bool {
        let mut net = self.net();
        let wants = net.to_load.is_some();
        net.load();
        net.settle();
        wants
    }

    /// The store finds nothing of what the core wants to read.
    pub(crate) fn load_nothing(&self) {
        let mut net = self.net();
        net.to_load = None;
        net.handle(Input::Loaded { messages: &[] });
    }

    /// How often the core wanted to read something.
    pub(crate) fn loads(&self) -> usize {
        self.net().loads
    }

    /// Handles all that `inputs` sends in one turn.
    pub(crate) fn in_one_turn(&self, inputs: impl FnOnce()) {
        self.net().in_turn = true;
        inputs();
        let mut net = self.net();
        net.in_turn = false;
        net.settle();
    }

    /// Moves the clock, stopping at each timer on the way.
    pub(crate) fn advance_ms(&self, milliseconds: u64) {
        self.net().advance(milliseconds);
    }

    pub(crate) fn advance_s(&self, seconds: u64) {
        self.advance_ms(seconds * 1000);
    }

    /// Moves the clock; the core is not told that timers are due.
    pub(crate) fn sleep_without_timers_ms(&self, milliseconds: u64) {
        let mut net = self.net();
        let end = Instant(net.now.monotonic.0 + milliseconds);
        net.set_clock(end);
    }

    /// The process dies and starts again at once; what was not committed is lost.
    pub(crate) fn crash(&self) {
        self.crash_for_s(0);
    }

    /// The process dies and starts again after some time.
    pub(crate) fn crash_for_s(&self, seconds: u64) {
        self.net().crash(seconds);
    }

    /// The process ends and starts again with other limits.
    pub(crate) fn restart_with(&self, limits: Limits) {
        self.net().limits = limits;
        self.crash();
    }

    pub(crate) fn metrics(&self) -> Metrics {
        self.net().core.metrics()
    }

    pub(crate) fn gated(&self) -> usize {
        self.net().core.gated()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.net().core.poll_timeout()
    }

    pub(crate) fn publish(&self, publication: Publication<'_>) {
        self.net().handle(Input::Publish(publication));
    }

    /// Lets the core bring its `$SYS` tree up to date.
    pub(crate) fn surroundings(&self, surroundings: &Surroundings) {
        self.net().handle(Input::Surroundings(surroundings));
    }

    /// From now on the store has room, or none.
    pub(crate) fn room(&self, room: StoreRoom) {
        self.net().handle(Input::StoreRoom(room));
    }

    /// Whether a message from inside the broker has to wait for room.
    pub(crate) fn must_wait(&self, publication: &Publication<'_>) -> bool {
        self.net().core.must_wait_for_room(publication)
    }

    pub(crate) fn reader_done(&self, reader: ReaderId, sequence: Sequence) {
        self.net().handle(Input::ReaderDone { reader, sequence });
    }

    /// What a CONNECT that waits says about its client; the oldest one.
    pub(crate) fn asked(&self) -> Option<AuthenticationRequest> {
        self.net().asking.front().map(|(_, request)| request.clone())
    }

    /// Judges the credentials of the client that has waited longest.
    pub(crate) fn judge(&self, outcome: Outcome) {
        let mut net = self.net();
        let (connection, _) = net.asking.pop_front().expect("a CONNECT waits");
        net.handle(Input::Authenticated { connection, outcome });
    }

    /// Connects as a user whose credentials hold.
    pub(crate) fn connect_as(&self, username: &'static str, options: Options) -> Client {
        let mut client = self.dial(&options.username(username));
        self.judge(granted(username));
        client.session_present = client.expect_connack();
        client
    }

    pub(crate) fn permit(&self, acl: Option<Acl>) {
        self.net().handle(Input::Permissions(acl.map(Arc::new)));
    }

    pub(crate) fn revoke(&self, username: &str) {
        let credentials = &BTreeSet::from([credential(username)]);
        self.net().handle(Input::Revoked { credentials });
    }

    pub(crate) fn revoke_certificate(&self, client: &Client) {
        self.net().handle(Input::CertificateRevoked { connection: client.connection });
    }

    /// What was denied since the last call.
    pub(crate) fn take_denials(&self) -> Vec<Denial> {
        std::mem::take(&mut self.net().denials)
    }

    /// The episodes of drops that began since the last call.
    pub(crate) fn take_drop_notices(&self) -> Vec<(String, DropReason)> {
        let notices = std::mem::take(&mut self.net().drop_notices);
        notices.into_iter().map(|notice| (notice.client_id.to_string(), notice.reason)).collect()
    }

    /// The episodes of being too fast that began since the last call.
    pub(crate) fn take_throttle_notices(&self) -> Vec<ThrottleNotice> {
        std::mem::take(&mut self.net().throttle_notices)
    }

    /// Whether a listener may take connections.
    pub(crate) fn takes_connections(&self, listener: u16) -> bool {
        self.net().core.takes_connections(ListenerId(listener))
    }

    /// The listeners that may take connections again since the last call.
    pub(crate) fn take_accepting(&self) -> Vec<ListenerId> {
        std::mem::take(&mut self.net().accepting)
    }

    pub(crate) fn drops_of(&self, client_id: &str) -> Drops {
        self.net().core.drops_of(client_id).expect("it has a session")
    }

    /// What readers were handed since the last call.
    pub(crate) fn take_reader_messages(&self) -> Vec<ReaderMessage> {
        std::mem::take(&mut self.net().to_readers)
    }
}

/// The credentials of a user hold.
pub(crate) fn granted(username: &str) -> Outcome {
    let credential = credential(username);
    let username = Some(username.into());
    Outcome::granted(Identity { username, credential, ..Identity::default() })
}

fn credential(username: &str) -> Credential {
    Credential(username.bytes().map(u64::from).sum())
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
        self.handle(Input::Received { connection, bytes });
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

    pub(crate) fn handle(&mut self, input: Input<'_>) {
        self.core.handle(self.now, input);
        self.settle();
    }

    fn open(&mut self) -> ConnectionId {
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.generations.push(0);
            u32::try_from(self.generations.len() - 1).expect("few connections")
        });
        let generation = self.generations[slot as usize];
        let connection = ConnectionId { slot, generation };
        self.links.insert(connection, Link::default());
        let listener = self.listener;
        self.handle(Input::Opened { connection, listener });
        connection
    }

    fn close(&mut self, connection: ConnectionId) {
        let link = self.link(connection);
        link.closed = true;
        link.unread.clear();
        self.core.handle(self.now, Input::Closed { connection });
        self.generations[connection.slot as usize] += 1;
        self.free_slots.push(connection.slot);
    }

    fn settle(&mut self) {
        while !self.in_turn {
            let mut effects = Vec::new();
            self.core.drain(|effect| effects.push(effect));
            self.turns += 1;
            // The check walks over every queue: with a long one, not at each turn.
            if self.core.metrics().queued_messages < 200 || self.turns.is_multiple_of(4096) {
                self.core.check_invariants();
            }
            if effects.is_empty() {
                return;
            }
            effects.into_iter().for_each(|effect| self.carry_out(effect));
        }
    }

    fn carry_out(&mut self, effect: Effect) {
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
                self.pending.push_back(batch);
                if !self.held {
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
            Effect::Load { sequences } => {
                assert!(self.to_load.is_none(), "one read at a time");
                assert!(sequences.is_sorted() && !sequences.is_empty());
                self.to_load = Some(sequences);
                self.loads += 1;
                if !self.holds_loads {
                    self.load();
                }
            }
            Effect::MemoryPressure { pressure, .. } => self.pressure = pressure,
            Effect::Pause { connection } => self.link(connection).paused = true,
            Effect::Resume { connection } => {
                self.link(connection).paused = false;
                while !self.link(connection).paused
                    && let Some(bytes) = self.link(connection).unread.pop_front()
                {
                    self.core.handle(self.now, Input::Received { connection, bytes: &bytes });
                }
            }
            Effect::Throttled(notice) => self.throttle_notices.push(*notice),
            Effect::ToReader { reader, records } => {
                let messages = records.iter().map(|(sequence, message)| ReaderMessage {
                    reader,
                    sequence,
                    topic: message.topic.to_owned(),
                    payload: String::from_utf8_lossy(message.payload).into_owned(),
                });
                self.to_readers.extend(messages);
            }
        }
    }

    fn commit_one(&mut self) -> bool {
        let Some(batch) = self.pending.pop_front() else { return false };
        let number = batch.number;
        self.store.apply(batch);
        self.commits += 1;
        self.core.handle(self.now, Input::Committed { batch: number });
        true
    }

    /// Answers what the core wants to read.
    fn load(&mut self) {
        let Some(sequences) = self.to_load.take() else { return };
        let messages = self.store.read(&sequences);
        self.core.handle(self.now, Input::Loaded { messages: &messages });
    }

    fn write(&mut self, connection: ConnectionId, bytes_max: usize) {
        let Some(outbound) = self.core.outbound(connection) else { return };
        let bytes = outbound.bytes();
        let bytes = bytes[..bytes.len().min(bytes_max)].to_vec();
        if bytes.is_empty() {
            return;
        }
        self.core.handle(self.now, Input::Sent { connection, bytes: bytes.len() });
        self.link(connection).take(&bytes);
    }

    fn advance(&mut self, milliseconds: u64) {
        let end = Instant(self.now.monotonic.0 + milliseconds);
        while let Some(at) = self.core.poll_timeout().filter(|at| *at <= end) {
            self.set_clock(at.max(self.now.monotonic));
            self.handle(Input::Timeout);
        }
        self.set_clock(end);
    }

    fn set_clock(&mut self, monotonic: Instant) {
        self.now.unix_ms += monotonic.0 - self.now.monotonic.0;
        self.now.monotonic = monotonic;
    }

    fn crash(&mut self, seconds: u64) {
        for change in self.pending.drain(..).flat_map(|batch| batch.changes) {
            if let Change::LogAppended { message, .. } = change {
                self.lost.insert(String::from_utf8_lossy(message.payload()).into_owned());
            }
        }
        self.asking.clear();
        self.now.unix_ms += seconds * 1000;
        // The monotonic clock of the new process has another beginning.
        self.now.monotonic = Instant(77);
        self.to_load = None;
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
        let recovered = self.store.recovered(self.limits.queued_memory_eased_at);
        let (limits, readers) = (self.limits.clone(), self.readers.clone());
        self.core = Core::new(ShardId(0), limits, readers, recovered, 8, self.now);
        self.settle();
    }
}

impl Link {
    fn take(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        while let Some(length) = frame_len(&self.bytes).expect("the core sends whole packets")
            && length <= self.bytes.len()
        {
            self.frames.push_back(self.bytes.drain(..length).collect());
        }
    }
}
