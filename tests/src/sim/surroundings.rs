//! Everything that clients and the broker share: time, chance, the network, the model.

use std::collections::BTreeSet;

use weir_broker::Outgoing;
use weir_core::{Instant, Now};

use super::disk::Random;
use super::far_end::FarEnd;
use super::model::Model;
use super::network::{LinkId, Network, Wake};
use super::outputs::Outputs;
use super::setup::Conduct;
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
    /// The rules have a turn; in which process.
    Rules(u32),
    /// The process of the broker starts.
    Start,
    /// The shard has a turn.
    Turn,
    /// The upstream has a turn; in which process.
    Upstream(u32),
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
    pub(crate) random: Random,
    pub(crate) conduct: Conduct,
    pub(crate) network: Network,
    pub(crate) model: Model,
    pub(crate) trace: Trace,
    pub(crate) outputs: Outputs,
    /// Where the broker forwards to.
    pub(crate) far_end: FarEnd,
    /// What the rules send has a subscriber.
    pub(crate) is_watched: bool,
    /// Clients do nothing new any more.
    pub(crate) is_calm: bool,
    /// Connections that the broker has closed since the world looked last.
    pub(crate) closed: Vec<LinkId>,
    events: BTreeSet<(u64, u64, Event)>,
    scheduled: BTreeSet<(u64, Event)>,
}

impl Surroundings {
    pub(crate) fn new(mut random: Random, conduct: Conduct, trace: Trace) -> Self {
        let network = Network::new(Random::new(random.number()));
        Self {
            now: 0,
            calendar_ms: 0,
            calendar_moved_ms: 0,
            random,
            conduct,
            network,
            model: Model::default(),
            trace,
            outputs: Outputs::default(),
            far_end: FarEnd::default(),
            is_watched: false,
            is_calm: false,
            closed: Vec::new(),
            events: BTreeSet::new(),
            scheduled: BTreeSet::new(),
        }
    }

    /// Lets `event` happen at `at`; events of the same millisecond come in random order. One
    /// that is to happen then anyway is not repeated.
    pub(crate) fn schedule(&mut self, at: u64, event: Event) {
        let at = at.max(self.now);
        if self.scheduled.insert((at, event)) {
            self.events.insert((at, self.random.number(), event));
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

/// The calendar at the beginning of a run.
const UNIX_MS: u64 = 1_700_000_000_000;
