//! The shell of the virtual network: it carries bytes, commits batches and moves the clock.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use weir_core::{
    Acl, AuthenticationRequest, Core, Credential, Denial, DropReason, Drops, HistoryRequest,
    Identity, Input, Instant, Limits, ListenerId, MemoryPressure, Message, MessageParts, Metrics,
    Now, Outcome, Publication, ReaderConfig, ReaderId, Sequence, ShardId, StoreRoom, Surroundings,
    ThrottleNotice,
};

use super::Chance;
use super::client::Client;
use super::net::{Net, Parcel, ReaderMessage};
use super::options::Options;
use super::store::Stores;
use crate::SHARDS;

/// The cores of a broker and everything around them. Handles share the same world.
#[derive(Clone)]
pub(crate) struct World(Rc<RefCell<Net>>);

thread_local! {
    static ONE_SHARD: Cell<bool> = const { Cell::new(false) };
}

/// From now on a test has worlds with one shard: it looks at the batches or the log of a core, or
/// subscribes while no commit works.
pub(crate) fn in_one_shard() {
    ONE_SHARD.set(true);
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    pub(crate) fn with_limits(limits: Limits) -> Self {
        Self::with_readers(limits, Vec::new())
    }

    pub(crate) fn with_readers(limits: Limits, readers: Vec<ReaderConfig>) -> Self {
        let shards = if ONE_SHARD.get() { 1 } else { SHARDS };
        Self::with_shards(shards, limits, readers)
    }

    pub(crate) fn with_shards(shards: u8, limits: Limits, readers: Vec<ReaderConfig>) -> Self {
        let now = Now { monotonic: Instant(5_000), unix_ms: 1_700_000_000_000 };
        let mut net = Net {
            cores: Vec::new(),
            now,
            limits,
            readers,
            store: Stores::default(),
            parcels: VecDeque::new(),
            holds_parcels: false,
            pending: VecDeque::new(),
            commits: 0,
            writes: 0,
            lost: BTreeSet::new(),
            held: false,
            to_load: Vec::new(),
            holds_loads: false,
            loads: 0,
            history_read: None,
            pressure: MemoryPressure::None,
            turns: 0,
            in_turn: false,
            links: BTreeMap::new(),
            generations: Vec::new(),
            free_slots: Vec::new(),
            listener: ListenerId(0),
            to_readers: Vec::new(),
            missed: BTreeMap::new(),
            interest: BTreeMap::new(),
            asking: VecDeque::new(),
            denials: Vec::new(),
            drop_notices: Vec::new(),
            throttle_notices: Vec::new(),
            accepting: Vec::new(),
            admitted: Vec::new(),
            farewells: 0,
        };
        net.start(shards, 7);
        Self(Rc::new(RefCell::new(net)))
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

    /// From now on what shards have for each other waits until [`World::hand_over`].
    pub(crate) fn hold_parcels(&self) {
        self.net().holds_parcels = true;
    }

    /// Hands everything over that waits, and from now on everything at once.
    pub(crate) fn release_parcels(&self) {
        self.net().holds_parcels = false;
        self.net().settle();
    }

    /// Hands over some of what waits, if there are shards to hand anything over.
    pub(crate) fn hand_over_some(&self, chance: &mut Chance) {
        if self.net().cores.len() > 1 {
            for _ in 0..chance.below(4) {
                self.hand_over(chance.below(7));
            }
        }
    }

    /// Hands over the oldest that waits from one shard to another, of those between which anything
    /// waits; `choice` says which. False when nothing waits.
    pub(crate) fn hand_over(&self, choice: u64) -> bool {
        let mut net = self.net();
        let mut ways: Vec<(ShardId, ShardId)> = net.parcels.iter().map(Parcel::way).collect();
        ways.sort_unstable();
        ways.dedup();
        let Some(way) = ways.get((choice % ways.len().max(1) as u64) as usize) else {
            return false;
        };
        let place = net.parcels.iter().position(|parcel| parcel.way() == *way);
        let parcel = place.and_then(|place| net.parcels.remove(place)).expect("it was just seen");
        net.hand_over(parcel);
        net.settle();
        true
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
        let wants = net.to_load.iter().any(Option::is_some);
        net.load();
        net.settle();
        wants
    }

    /// The store finds nothing of what the core wants to read.
    pub(crate) fn load_nothing(&self) {
        let mut net = self.net();
        for shard in 0..net.cores.len() {
            if net.to_load[shard].take().is_some() {
                let now = net.now;
                net.cores[shard].handle(now, Input::Loaded { messages: &[] });
            }
        }
        net.settle();
    }

    /// How often the core wanted to read something.
    pub(crate) fn loads(&self) -> usize {
        self.net().loads
    }

    /// The page of the history that the core wants, if it wants one.
    pub(crate) fn history_read(&self) -> Option<HistoryRequest> {
        self.net().history_read.take()
    }

    /// Answers that.
    pub(crate) fn answer_history(&self, messages: &[Message], next: Option<Vec<u64>>) {
        let mut net = self.net();
        let now = net.now;
        net.cores[0].handle(now, Input::HistoryRead { messages, next });
        net.settle();
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

    /// The process ends and starts again with more shards.
    pub(crate) fn restart_with_shards(&self, shards: u8) {
        self.net().crash_into(shards, 0);
    }

    /// The process ends and starts again with other limits.
    pub(crate) fn restart_with(&self, limits: Limits) {
        self.net().limits = limits;
        self.crash();
    }

    pub(crate) fn metrics(&self) -> Metrics {
        let net = self.net();
        net.cores.iter().map(Core::metrics).reduce(|sum, metrics| sum.plus(&metrics)).expect("one")
    }

    /// Versions of retained messages that any shard remembers.
    pub(crate) fn remembered_versions(&self) -> usize {
        self.net().cores.iter().map(Core::remembered_versions).sum()
    }

    /// The shard that has a connection.
    pub(crate) fn shard_of(&self, client: &Client) -> ShardId {
        self.net().link(client.connection).shard
    }

    pub(crate) fn gated(&self) -> usize {
        self.net().cores.iter().map(Core::gated).sum()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.net().poll_timeout()
    }

    pub(crate) fn publish(&self, publication: Publication<'_>) {
        self.net().handle(Input::Publish(publication));
    }

    /// Lets the core bring its `$SYS` tree up to date.
    pub(crate) fn surroundings(&self, surroundings: &Surroundings) {
        let mut net = self.net();
        let others = net.cores.iter().skip(1).map(Core::metrics);
        let elsewhere = others.fold(Metrics::default(), |sum, metrics| sum.plus(&metrics));
        let surroundings = Surroundings { elsewhere, ..surroundings.clone() };
        net.handle(Input::Surroundings(&surroundings));
    }

    /// From now on the store has room, or none.
    pub(crate) fn room(&self, room: StoreRoom) {
        self.net().handle_everywhere(|| Input::StoreRoom(room));
    }

    /// A reader reads other topics.
    pub(crate) fn reader_wants(&self, wish: ReaderConfig) {
        self.net().handle_everywhere(|| Input::ReaderWants(wish.clone()));
    }

    /// A reader is no more.
    pub(crate) fn reader_leaves(&self, reader: ReaderId) {
        self.net().handle_everywhere(|| Input::ReaderLeaves(reader));
    }

    /// How far a reader is.
    pub(crate) fn reader_position(&self, reader: ReaderId) -> Option<Sequence> {
        self.net().cores[0].reader_done(reader)
    }

    /// A reader takes one of so many messages.
    pub(crate) fn reader_takes(&self, reader: ReaderId, one_of: u32) {
        self.net().handle_everywhere(|| Input::ReaderTakes { reader, one_of });
    }

    /// How many messages did not reach a reader since the last call.
    pub(crate) fn take_missed(&self, reader: ReaderId) -> u64 {
        self.net().missed.remove(&reader).unwrap_or_default()
    }

    /// The filters that are wanted here.
    pub(crate) fn wanted(&self) -> Vec<String> {
        let net = self.net();
        let wanted = net.interest.iter().filter(|(_, count)| **count > 0);
        wanted.map(|(filter, _)| filter.clone()).collect()
    }

    /// Other brokers have retained this.
    pub(crate) fn retained_elsewhere(&self, messages: &[Message]) {
        self.net().handle(Input::RetainedElsewhere(messages));
    }

    /// Topics and payloads of what is retained, as a reader is told.
    pub(crate) fn retained_for(&self, filters: &[&str]) -> Vec<String> {
        let filters: Vec<String> = filters.iter().map(|filter| (*filter).to_owned()).collect();
        let found = self.net().cores[0].retained(&filters);
        let text =
            |m: MessageParts<'_>| format!("{} {}", m.topic, String::from_utf8_lossy(m.payload));
        found.iter().map(|(_, message)| text(message)).collect()
    }

    /// Whether a message from inside the broker has to wait for room.
    pub(crate) fn must_wait(&self, publication: &Publication<'_>) -> bool {
        self.net().cores[0].must_wait_for_room(publication)
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
        let shard = net.link(connection).shard;
        net.handle_in(shard, Input::Authenticated { connection, outcome });
    }

    /// Connects as a user whose credentials hold.
    pub(crate) fn connect_as(&self, username: &'static str, options: Options) -> Client {
        let mut client = self.dial(&options.username(username));
        self.judge(granted(username));
        client.session_present = client.expect_connack();
        client
    }

    pub(crate) fn permit(&self, acl: Option<Acl>) {
        let acl = acl.map(Arc::new);
        self.net().handle_everywhere(|| Input::Permissions(acl.clone()));
    }

    pub(crate) fn revoke(&self, username: &str) {
        let credentials = &BTreeSet::from([credential(username)]);
        self.net().handle_everywhere(|| Input::Revoked { credentials });
    }

    pub(crate) fn revoke_certificate(&self, client: &Client) {
        let connection = client.connection;
        let mut net = self.net();
        let shard = net.link(connection).shard;
        net.handle_in(shard, Input::CertificateRevoked { connection });
    }

    pub(crate) fn expel(&self, client_id: &str, ends_session: bool) {
        self.net().handle_everywhere(|| Input::Expel { client_id, ends_session });
    }

    /// Looks at the core of each shard.
    pub(crate) fn look_everywhere<T>(&self, look: impl FnMut(&Core) -> T) -> Vec<T> {
        self.net().cores.iter().map(look).collect()
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
        self.net().cores[0].takes_connections(ListenerId(listener))
    }

    /// The listeners that may take connections again since the last call.
    pub(crate) fn take_accepting(&self) -> Vec<ListenerId> {
        std::mem::take(&mut self.net().accepting)
    }

    pub(crate) fn drops_of(&self, client_id: &str) -> Drops {
        let net = self.net();
        net.cores.iter().find_map(|core| core.drops_of(client_id)).expect("it has a session")
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
