//! Everything that clients and the broker share: time, chance, the network, the model.

use std::collections::{BTreeMap, BTreeSet};

use weir_broker::Outgoing;
use weir_core::{Instant, Now};

use super::arrivals::Arrivals;
use super::far_end::FarEnd;
use super::model::Model;
use super::network::{LinkId, Network, Wake};
use super::outputs::Outputs;
use super::random::Random;
use super::reduction::{Actor, Reduction};
use super::setup::{Conduct, Kind, Setup};
use super::trace::{About, Trace};

/// What happens next; the order of the variants decides nothing.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Event {
    /// A client does something.
    Act(usize),
    /// A client sends the answers that are due.
    Answer(usize),
    /// Bytes or the end of a connection have reached a client.
    Arrive(LinkId),
    /// The calendar is set.
    ClockStep,
    /// The commit that is under way ends; in which process.
    Committed(u32),
    /// A process of the broker dies.
    Crash(u32),
    /// The disk has no room from now on.
    DiskFull,
    /// The disk has room again.
    DiskRoom,
    /// The process reads again what it could not read; which one.
    Reload(u32),
    /// A process whose store has failed opens it anew.
    Reopen(u32),
    /// The rules have a turn; in which process.
    Rules(u32),
    /// The machine or the process of the broker sleeps for a while.
    Sleep,
    /// The process of the broker starts.
    Start,
    /// The shard has a turn.
    Turn,
    /// The upstream has a turn; in which process.
    Upstream(u32),
    /// Somebody changes the rules.
    Exchange,
    /// Somebody sends a client away.
    Expel,
}

/// What everybody shares.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// Milliseconds since the beginning of the run.
    pub(crate) now: u64,
    /// How far the calendar was set, milliseconds.
    pub(crate) calendar_ms: i64,
    /// By how much in both directions together.
    pub(crate) calendar_moved_ms: u64,
    /// How long the broker slept while its own clock stood still.
    pub(crate) slept_ms: u64,
    /// The chance of whose turn it is.
    pub(crate) random: Random,
    pub(crate) conduct: Conduct,
    pub(crate) kind: Kind,
    pub(crate) network: Network,
    pub(crate) model: Model,
    pub(crate) trace: Trace,
    pub(crate) outputs: Outputs,
    /// How the rules got what they read.
    pub(crate) arrivals: Arrivals,
    /// Where the broker forwards to.
    pub(crate) far_end: FarEnd,
    /// What the rules send has a subscriber.
    pub(crate) is_watched: bool,
    /// Dead letters have a subscriber.
    pub(crate) is_mourned: bool,
    /// Clients do nothing new any more.
    pub(crate) is_calm: bool,
    /// The disk has no room.
    pub(crate) is_disk_full: bool,
    /// The broker sleeps until then.
    pub(crate) asleep_until: u64,
    /// Connections that the broker has closed since the world looked last.
    pub(crate) closed: Vec<LinkId>,
    events: BTreeSet<(u64, u64, Event)>,
    scheduled: BTreeSet<(u64, Event)>,
    seed: u64,
    reduction: Reduction,
    /// Whose chance `random` is, if it goes on.
    actor: Option<Actor>,
    chances: BTreeMap<Actor, Random>,
    /// What each has done so far.
    deeds: BTreeMap<Actor, u32>,
}

impl Surroundings {
    pub(crate) fn new(setup: &Setup, conduct: Conduct, trace: Trace) -> Self {
        Self {
            now: 0,
            calendar_ms: 0,
            calendar_moved_ms: 0,
            slept_ms: 0,
            random: Random::of(&[setup.seed, Actor::World.number()]),
            far_end: FarEnd::new(conduct.live_first || conduct.has_priorities),
            conduct,
            kind: setup.kind,
            network: Network::new(setup.seed),
            model: Model::default(),
            trace,
            outputs: Outputs::default(),
            arrivals: Arrivals::default(),
            is_watched: false,
            is_mourned: false,
            is_calm: false,
            is_disk_full: false,
            asleep_until: 0,
            closed: Vec::new(),
            events: BTreeSet::new(),
            scheduled: BTreeSet::new(),
            seed: setup.seed,
            reduction: setup.reduction.clone(),
            actor: Some(Actor::World),
            chances: BTreeMap::new(),
            deeds: BTreeMap::new(),
        }
    }

    /// From now on chance is that of `actor`, from where it stood.
    pub(crate) fn enter(&mut self, actor: Actor) {
        if self.actor == Some(actor) {
            return;
        }
        let first = || Random::of(&[self.seed, actor.number()]);
        let chance = self.chances.remove(&actor).unwrap_or_else(first);
        let before = std::mem::replace(&mut self.random, chance);
        if let Some(actor) = self.actor.replace(actor) {
            self.chances.insert(actor, before);
        }
    }

    /// The same for the next deed of `actor`, which has chance of its own; false when it is left
    /// out.
    pub(crate) fn begin_deed(&mut self, actor: Actor) -> bool {
        let deed = self.deeds.entry(actor).or_default();
        *deed += 1;
        let number = *deed;
        let chance = Random::of(&[self.seed, actor.number(), u64::from(number)]);
        let before = std::mem::replace(&mut self.random, chance);
        if let Some(actor) = self.actor.take() {
            self.chances.insert(actor, before);
        }
        !self.reduction.has_no_deed(actor, number)
    }

    /// What each has done so far.
    pub(crate) fn deeds(&self) -> Vec<(Actor, u32)> {
        self.deeds.iter().map(|(actor, count)| (*actor, *count)).collect()
    }

    /// By how much the clocks of the broker may be wrong since the beginning of the run.
    pub(crate) fn doubt_ms(&self) -> u64 {
        self.calendar_moved_ms + self.slept_ms
    }

    /// Lets `event` happen at `at`; events of the same millisecond come in random order. One
    /// that is to happen then anyway is not repeated.
    pub(crate) fn schedule(&mut self, at: u64, event: Event) {
        let at = at.max(self.now);
        if self.scheduled.insert((at, event)) {
            let order = Random::of(&[self.seed, at, event.number()]).number();
            self.events.insert((at, order, event));
        }
    }

    /// When the next event is.
    pub(crate) fn next_at(&mut self) -> u64 {
        self.schedule_wakes();
        self.events.first().map_or(u64::MAX, |(at, ..)| *at)
    }

    /// Moves the clock to the next event.
    pub(crate) fn next(&mut self) -> Option<Event> {
        self.schedule_wakes();
        let (at, _, event) = self.events.pop_first()?;
        self.scheduled.remove(&(at, event));
        self.now = at;
        Some(event)
    }

    fn schedule_wakes(&mut self) {
        for (at, wake) in self.network.take_wakes() {
            match wake {
                Wake::Broker => self.schedule(at, Event::Turn),
                Wake::Client(link) => self.schedule(at, Event::Arrive(link)),
            }
        }
    }

    /// Milliseconds since the Unix epoch, by the calendar of the broker.
    pub(crate) fn unix_ms(&self) -> u64 {
        UNIX_MS.saturating_add(self.now).saturating_add_signed(self.calendar_ms)
    }

    /// The same by a calendar that nobody sets.
    pub(crate) fn true_unix_ms(&self) -> u64 {
        UNIX_MS + self.now
    }

    /// The time for a process that began at `started`.
    pub(crate) fn clock(&self, started: u64) -> Now {
        Now { monotonic: Instant(self.now - started), unix_ms: self.unix_ms() }
    }

    /// A moment at most `ms` from now.
    pub(crate) fn within(&mut self, ms: u64) -> u64 {
        self.now + self.random.below(ms + 1)
    }

    /// True in `permille` of a thousand cases.
    pub(crate) fn happens(&mut self, permille: u64) -> bool {
        self.random.below(1000) < permille
    }

    /// Something comes to the far end of the upstream.
    pub(crate) fn far_end_receives(&mut self, outgoing: &Outgoing) {
        if let Some(text) = self.far_end.receive(outgoing) {
            self.model.blame(About::ALL, format!("upstream: {text}"));
        }
    }

    pub(crate) fn note(&mut self, about: About, what: std::fmt::Arguments<'_>) {
        self.trace.note(self.now, about, what);
    }
}

impl Event {
    /// Whether it does not happen while the broker sleeps.
    pub(crate) fn is_of_broker(self) -> bool {
        matches!(
            self,
            Self::Committed(_)
                | Self::Crash(_)
                | Self::Exchange
                | Self::Expel
                | Self::Reload(_)
                | Self::Reopen(_)
                | Self::Rules(_)
                | Self::Turn
                | Self::Upstream(_)
        )
    }

    /// Stands for it where the order of what happens at the same time is drawn.
    fn number(self) -> u64 {
        let (kind, which) = match self {
            Self::Act(client) => (0, client as u64),
            Self::Answer(client) => (1, client as u64),
            Self::Arrive(link) => (2, link as u64),
            Self::ClockStep => (3, 0),
            Self::Committed(process) => (4, u64::from(process)),
            Self::Crash(process) => (5, u64::from(process)),
            Self::DiskFull => (6, 0),
            Self::DiskRoom => (7, 0),
            Self::Reload(process) => (8, u64::from(process)),
            Self::Reopen(process) => (9, u64::from(process)),
            Self::Rules(process) => (10, u64::from(process)),
            Self::Sleep => (11, 0),
            Self::Start => (12, 0),
            Self::Turn => (13, 0),
            Self::Upstream(process) => (14, u64::from(process)),
            Self::Exchange => (15, 0),
            Self::Expel => (16, 0),
        };
        kind << 32 | which
    }
}

/// The calendar at the beginning of a run.
const UNIX_MS: u64 = 1_700_000_000_000;
