//! The process of the broker: the real cores, store and rules, wired as the shell wires them.
//!
//! A turn is the turn of each shard, of which some may be late: mail, new connections, every readable socket, timers, then the
//! effects. Commits take time, and what gathers meanwhile forms the next group. Everything that
//! goes out to a client is compared with what the disk knows.

mod checks;
mod commit;
mod mail;
mod sockets;

use std::collections::{BTreeMap, VecDeque};

use weir_broker::store::{Condition, Store, StoreError, StoreOptions, Taken};
use weir_core::{
    Batch, ConnectionId, Core, Effect, Input, Now, Placement, ReaderConfig, ReaderKind, Recovered,
    Sequence, ShardId,
};
use weir_rules::Plan;

use self::commit::Group;
use self::mail::{Mail, Watchers};
use self::sockets::Socket;
use super::client::Client;
use super::disk::{Image, SimulatedDisks};
use super::misbehaviour::{Misbehaviour, Saboteur};
use super::random::Random;
use super::rules::Rules;
use super::setup::Kind;
use super::surroundings::{Event, Surroundings};
use super::trace::About;
use super::unsure::Unsure;
use super::upstream::{self, Upstream};
use super::workload::Role;

/// A running broker.
pub(crate) struct Process {
    /// Which process this is; events of an earlier one mean nothing.
    pub(crate) number: u32,
    started: u64,
    disks: SimulatedDisks,
    store: Store,
    cores: Vec<Core>,
    rules: Rules,
    /// Who is to be told when a batch of the first shard is durable.
    watchers: Watchers,
    upstream: Upstream,
    sockets: BTreeMap<ConnectionId, Socket>,
    generations: Vec<u32>,
    free_slots: Vec<u32>,
    /// By shard, as the mail is.
    effects: Vec<Vec<Effect>>,
    mail: Vec<VecDeque<Mail>>,
    /// Batches that wait for the next group.
    waiting: Vec<Batch>,
    /// Since when the first of them does.
    waiting_since: u64,
    /// Those that were taken from there.
    taken: Taken,
    group: Option<Group>,
    has_failed: bool,
    /// What could not be read from the disk.
    unread: Vec<(ShardId, Vec<Sequence>)>,
    unsure: Unsure,
    saboteur: Saboteur,
    /// By shard: turns until its invariants are looked at again.
    unchecked: Vec<u64>,
}

impl Process {
    /// Starts on what a disk holds.
    pub(crate) fn start(
        around: &mut Surroundings,
        number: u32,
        disks: SimulatedDisks,
        plan: Plan,
        shards: u8,
        misbehaviour: Option<Misbehaviour>,
    ) -> Result<(Self, Recovered), StoreError> {
        let store = disks.open_for_good(store_options())?;
        if store.condition() == Condition::Damaged && around.kind != Kind::Lying {
            around.model.blame(About::ALL, "the store was found damaged".to_owned());
        }
        let reader = store.register_readers(&["rules"])?[0];
        let mut readers = vec![ReaderConfig {
            reader,
            filters: plan.filters().map(str::to_owned).collect(),
            kind: ReaderKind::Rules,
            names_publishers: false,
        }];
        let places = upstream::places(&store)?;
        let of_upstream = places.iter().map(|place| (place.priority, place.reader));
        readers.extend(of_upstream.map(|(of, id)| upstream::reader_config(around, of, id)));
        let mut rules = Rules::restore(&store, reader, places[0].reader, plan)?;
        let upstream = Upstream::start(around, places);
        let kept = store.clients()?;
        let needed = kept.iter().map(|(_, shard)| shard.0 + 1).max().unwrap_or(1);
        let shards = shards.max(needed);
        let kept = kept.iter().map(|(client_id, shard)| (&**client_id, *shard));
        let placement = Placement::new(shards, kept);
        let queued_memory = around.conduct.limits.queued_memory_eased_at;
        let recovered = (0..shards).map(|shard| store.recover(ShardId(shard), queued_memory));
        let mut recovered = recovered.collect::<Result<Vec<Recovered>, _>>()?;
        let saboteur = Saboteur::start(misbehaviour, &mut recovered);
        let now = around.clock(around.now);
        let limits = around.conduct.limits.clone();
        let seed = around.random.number();
        let of_shard = |(shard, recovered): (ShardId, &Recovered)| {
            let (placement, limits) = (placement.clone(), limits.clone());
            let (readers, recovered) = (readers.clone(), recovered.clone());
            Core::of_shard(shard, placement, limits, readers, recovered, seed, now)
        };
        let mut cores: Vec<Core> = (0..).map(ShardId).zip(&recovered).map(of_shard).collect();
        rules.learn_retained(&cores[0]);
        let effects = Core::join(&mut cores, now);
        let mut process = Self {
            number,
            started: around.now,
            disks,
            store,
            cores,
            rules,
            watchers: VecDeque::new(),
            upstream,
            sockets: BTreeMap::new(),
            generations: Vec::new(),
            free_slots: Vec::new(),
            effects,
            mail: recovered.iter().map(|_| VecDeque::new()).collect(),
            waiting: Vec::new(),
            waiting_since: 0,
            taken: Taken::default(),
            group: None,
            has_failed: false,
            unread: Vec::new(),
            unsure: Unsure::default(),
            saboteur,
            unchecked: vec![0; recovered.len()],
        };
        for (shard, recovered) in (0..).map(ShardId).zip(&recovered) {
            process.unsure.recovered(shard, recovered);
        }
        process.run_rules(around);
        process.run_upstream(around);
        around.schedule(around.now, Event::Turn);
        Ok((process, together(recovered)))
    }

    /// A start that does not come to its end.
    pub(crate) fn interrupted_start(around: &mut Surroundings, disks: &SimulatedDisks) {
        disks.crash_after(around.random.below(60));
        drop(disks.open(store_options()));
    }

    /// Its own clock stands still while the machine sleeps.
    pub(crate) fn sleep(&mut self, ms: u64) {
        self.started += ms;
    }

    /// The disk has no room from now on, or has some again.
    pub(crate) fn set_room(&self, has_room: bool) {
        if has_room {
            self.disks.give_room();
        } else {
            self.disks.fill();
        }
    }

    /// The power fails at an operation of the disk.
    pub(crate) fn has_no_power(&self) -> bool {
        self.disks.have_no_power()
    }

    /// Operations of the disk so far.
    pub(crate) fn disk_operations(&self) -> u64 {
        self.disks.operations()
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// One turn of the shards; some of several may be late.
    pub(crate) fn turn(&mut self, around: &mut Surroundings, clients: &[Client]) {
        let mut workers = clients.iter().filter(|client| client.profile.role == Role::Worker);
        self.unsure.has_unkept_members |= workers.any(Client::has_unkept_session);
        let is_alone = self.cores.len() == 1;
        for shard in (0..self.cores.len() as u8).map(ShardId) {
            if is_alone || around.random.chance(70) {
                self.turn_of(around, clients, shard);
            } else {
                let at = around.within(3);
                around.schedule(at, Event::Turn);
            }
        }
        self.begin_commit(around);
        self.check_bounds(around);
    }

    fn turn_of(&mut self, around: &mut Surroundings, clients: &[Client], shard: ShardId) {
        let now = around.clock(self.started);
        let is_slow = around.random.chance(30);
        self.take_mail(now, shard, is_slow);
        if self.rules.can_go_on() {
            around.schedule(around.now, Event::Rules(self.number));
        }
        if shard == ShardId::FIRST {
            for link in around.network.accept(around.now) {
                let client = &clients[around.network.client_of(link)];
                self.open(now, link, client.profile.listener());
            }
        }
        let is_behind = self.read(around, now, shard);
        if self.core(shard).poll_timeout().is_some_and(|at| at <= now.monotonic) {
            self.core(shard).handle(now, Input::Timeout);
        }
        self.unblock(shard);
        self.settle(around, clients, now, shard);
        let index = usize::from(shard.0);
        self.check(index);
        if is_behind || !self.effects[index].is_empty() || !self.mail[index].is_empty() {
            around.schedule(around.now + 1, Event::Turn);
        }
        if let Some(at) = self.core(shard).poll_timeout() {
            around.schedule(self.started + at.0, Event::Turn);
        }
    }

    /// Looks at the invariants of a shard. That walks over all that waits, and would be nearly all
    /// that a run takes: so where much waits, it is done after some turns only. What is broken stays
    /// broken.
    fn check(&mut self, index: usize) {
        let (core, unchecked) = (&self.cores[index], &mut self.unchecked[index]);
        if *unchecked > 0 {
            *unchecked -= 1;
            return;
        }
        core.check_invariants();
        *unchecked = core.metrics().queued_messages / CHECKED_PER_TURN;
    }

    /// Looks at the invariants of all shards.
    pub(crate) fn check_all(&mut self) {
        self.unchecked.fill(0);
        (0..self.cores.len()).for_each(|index| self.check(index));
    }

    fn core(&mut self, shard: ShardId) -> &mut Core {
        &mut self.cores[usize::from(shard.0)]
    }

    /// A turn of the rules.
    pub(crate) fn run_rules(&mut self, around: &mut Surroundings) {
        let (turns, next_at) = self.rules.run(around);
        if !turns.is_empty() {
            self.mail[0].extend(turns.into_iter().map(Mail::Turn));
            let at = around.within(1);
            around.schedule(at, Event::Turn);
        }
        if let Some(at) = next_at {
            around.schedule(at, Event::Rules(self.number));
        }
    }

    /// Runs other rules from the next message on.
    pub(crate) fn exchange_rules(&mut self, around: &mut Surroundings, plan: Plan) {
        let (wish, mut retained) = self.rules.exchange(plan);
        for shard in (0..self.cores.len()).map(|index| ShardId(index as u8)) {
            let mail = Mail::ReaderWants { wish: wish.clone(), retained: retained.take() };
            self.hand_over(around, shard, mail);
        }
        self.run_rules(around);
    }

    /// Lets every shard send a client away: one of them may have it.
    pub(crate) fn expel(&mut self, around: &mut Surroundings, client_id: &str) {
        for shard in (0..self.cores.len()).map(|index| ShardId(index as u8)) {
            self.hand_over(around, shard, Mail::Expel(client_id.to_owned()));
        }
    }

    /// A round of the upstream.
    pub(crate) fn run_upstream(&mut self, around: &mut Surroundings) {
        let now = around.clock(self.started);
        let is_early = self.saboteur.does(Misbehaviour::ForwardedTooEarly);
        for turn in self.upstream.run(around, &self.store, now, is_early) {
            self.mail[0].push_back(Mail::Turn(turn));
            let at = around.within(1);
            around.schedule(at, Event::Turn);
        }
        if let Some(at) = self.upstream.next_at(around, self.started) {
            around.schedule(at.max(around.now + 1), Event::Upstream(self.number));
        }
    }

    /// The process dies; what the disk holds then.
    pub(crate) fn crash(mut self, around: &mut Surroundings, is_power_cut: bool) -> Image {
        let mut random = Random::new(around.random.number());
        self.upstream.crash(around);
        if let Some(group) = self.group.take()
            && !group.is_written
            && random.chance(60)
        {
            // In the middle of the commit; whether it came through is not known.
            self.disks.crash_after(random.below(40));
            let _ = commit::commit_again(&self.store, &group.batches);
        }
        let image =
            if is_power_cut { self.disks.power_cut(&mut random) } else { self.disks.image() };
        // Nothing is written any more while the rest of the process goes.
        self.disks.crash_after(0);
        image
    }

    /// What still goes on; none when everything has come to rest.
    pub(crate) fn unrest(&self) -> Option<String> {
        let metrics = self.metrics();
        let gated: usize = self.cores.iter().map(Core::gated).sum();
        let mail: usize = self.mail.iter().map(VecDeque::len).sum();
        let facts = [
            ("acknowledgements at the gate", gated as u64),
            ("batches under way", (self.waiting.len() + usize::from(self.group.is_some())) as u64),
            ("messages in queues", metrics.queued_messages),
            ("bytes in queues", metrics.queued_bytes),
            ("mail", mail as u64),
            ("messages that wait for their time", metrics.delayed),
            ("records for the upstream", self.upstream.depth()),
        ];
        let (what, count) = facts.into_iter().find(|(_, count)| *count > 0)?;
        Some(format!("{count} {what}"))
    }

    pub(crate) fn metrics(&self) -> weir_core::Metrics {
        let metrics = self.cores.iter().map(Core::metrics);
        metrics.fold(weir_core::Metrics::default(), |sum, metrics| sum.plus(&metrics))
    }

    fn settle(&mut self, around: &mut Surroundings, clients: &[Client], now: Now, shard: ShardId) {
        let index = usize::from(shard.0);
        for _ in 0..ROUNDS_PER_TURN {
            let mut effects = std::mem::take(&mut self.effects[index]);
            self.cores[index].drain(|effect| effects.push(effect));
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.carry_out(around, clients, now, shard, effect);
            }
        }
        let effects = &mut self.effects[index];
        self.cores[index].drain(|effect| effects.push(effect));
    }

    fn carry_out(
        &mut self,
        around: &mut Surroundings,
        clients: &[Client],
        now: Now,
        shard: ShardId,
        effect: Effect,
    ) {
        match effect {
            Effect::Authenticate { .. } | Effect::Denied { .. } => {
                unreachable!("the clients have no credentials, and nothing is forbidden")
            }
            Effect::Accept { .. } | Effect::Throttled(_) => {
                unreachable!("no rate is limited")
            }
            Effect::Admitted { .. } => {}
            Effect::Close { connection, .. } => self.close(around, now, connection),
            Effect::Commit(batch) => self.submit(around, batch),
            Effect::Dropping(notice) => {
                around.note(About::ALL, format_args!("messages are dropped: {notice:?}"));
            }
            Effect::Flush { connection } => self.flush(around, clients, now, connection),
            Effect::Forward { shard: to, forwards } => {
                let mail = Mail::Forwarded { from: shard, forwards };
                self.hand_over(around, to, mail);
            }
            Effect::Move { connection, shard: to, bytes } => {
                if let Some(socket) = self.sockets.get_mut(&connection) {
                    socket.shard = None;
                }
                self.hand_over(around, to, Mail::Moved { connection, bytes });
            }
            Effect::Interest(_) => unreachable!("there is no fleet"),
            Effect::MemoryPressure { .. } => unreachable!("memory has no limit"),
            Effect::ReadHistory(_) => unreachable!("there is no history"),
            Effect::Load { sequences } => self.load(around, shard, sequences),
            Effect::Pause { connection } => {
                if let Some(socket) = self.sockets.get_mut(&connection) {
                    socket.is_paused = true;
                }
            }
            Effect::Resume { connection } => {
                if let Some(socket) = self.sockets.get_mut(&connection) {
                    socket.is_paused = false;
                    around.schedule(around.now, Event::Turn);
                }
            }
            Effect::ReaderMissed { .. } => unreachable!("the upstream takes all"),
            Effect::ToReader { reader, records } => {
                // Live ones for the upstream promise nothing, and are not looked at.
                if self.rules.reader() == reader {
                    self.rules.give(records);
                    let at = around.within(3);
                    around.schedule(at, Event::Rules(self.number));
                }
            }
        }
    }
}

/// What all shards have found; what is retained is in each.
fn together(shards: Vec<Recovered>) -> Recovered {
    let mut shards = shards.into_iter();
    let first = shards.next().expect("there is one at least");
    shards.fold(first, |mut all, shard| {
        all.sessions.extend(shard.sessions);
        all.log.extend(shard.log);
        all
    })
}

fn store_options() -> StoreOptions {
    // Small, so that runs of a few seconds come to checkpoints.
    StoreOptions {
        cache_bytes: 256 * 1024,
        journal_bytes_max: 128 * 1024,
        ..StoreOptions::default()
    }
}

const ROUNDS_PER_TURN: usize = 4;
/// Messages that are walked over for each turn, on average.
const CHECKED_PER_TURN: u64 = 16;
