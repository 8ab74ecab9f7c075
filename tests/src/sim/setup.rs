//! What is decided about a run before it begins: everything follows from its seed, and from what
//! is left out of it.

use std::fmt;
use std::str::FromStr;

use weir_core::{Limits, ListenerLimits, QueueFull, ShareStrategy};

use super::misbehaviour::Misbehaviour;
use super::random::Random;
use super::reduction::{Actor, Reduction, Trouble};

/// One run.
#[derive(Clone, Debug)]
pub struct Setup {
    /// All chance of the run comes from it.
    pub seed: u64,
    /// How long it is, and what its disk is like.
    pub kind: Kind,
    /// After so many operations of the disk under the first process the power fails, after so
    /// many under the second one, and so on.
    pub power_cuts: Vec<u64>,
    /// What is left out of it.
    pub reduction: Reduction,
    /// How many shards its broker has in the end; it may begin with fewer.
    pub shards: u8,
    /// What the broker around the core is made to do wrong, to see that it is found.
    pub misbehaviour: Option<Misbehaviour>,
    /// A failure tells everything that happened, not only what it has to do with.
    pub tells_all: bool,
}

/// What a run is for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Kind {
    /// Everything that clients may expect holds.
    #[default]
    Honest,
    /// Syncs of the disk lie, so after a power cut nothing may be missed; but nothing may be
    /// invented either, nothing may panic, and the store opens or says what is wrong with it.
    Lying,
    /// So short that the power can be cut at each operation of its disk, one after the other.
    Short,
}

impl Setup {
    /// The run of a seed, without deliberate faults.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        Self {
            seed,
            kind: Kind::Honest,
            power_cuts: Vec::new(),
            reduction: Reduction::default(),
            shards: [1, 3, 1, 2][seed as usize % 4],
            misbehaviour: None,
            tells_all: false,
        }
    }

    /// The run of a seed that differs from the ordinary one as a text says.
    ///
    /// # Errors
    /// When the text is not one that a setup writes.
    pub fn read(seed: u64, text: &str) -> Result<Self, NotASetup> {
        let mut setup = Self::of_seed(seed);
        for word in text.split_whitespace() {
            let (name, value) = word.split_once('=').ok_or(NotASetup)?;
            match name {
                "kind" => setup.kind = value.parse()?,
                "misbehaviour" => {
                    let mut all = Misbehaviour::ALL.into_iter();
                    let found = all.find(|known| format!("{known:?}") == value);
                    setup.misbehaviour = Some(found.ok_or(NotASetup)?);
                }
                "shards" => setup.shards = value.parse().map_err(|_| NotASetup)?,
                "power_cuts" => {
                    let numbers: Result<_, _> = value.split(',').map(str::parse).collect();
                    setup.power_cuts = numbers.map_err(|_| NotASetup)?;
                }
                _ => setup.reduction.read(name, value).ok_or(NotASetup)?,
            }
        }
        Ok(setup)
    }
}

/// What [`Setup::read`] reads, without the seed.
impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        if self.kind != Kind::Honest {
            words.push(format!("kind={}", self.kind.name()));
        }
        if let Some(misbehaviour) = self.misbehaviour {
            words.push(format!("misbehaviour={misbehaviour:?}"));
        }
        if self.shards != Self::of_seed(self.seed).shards {
            words.push(format!("shards={}", self.shards));
        }
        if !self.power_cuts.is_empty() {
            let cuts: Vec<String> = self.power_cuts.iter().map(ToString::to_string).collect();
            words.push(format!("power_cuts={}", cuts.join(",")));
        }
        words.extend(self.reduction.words());
        f.write_str(&words.join(" "))
    }
}

/// A text that is not that of a setup.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotASetup;

impl Kind {
    const ALL: [Self; 3] = [Self::Honest, Self::Lying, Self::Short];

    fn name(self) -> &'static str {
        match self {
            Self::Honest => "honest",
            Self::Lying => "lying",
            Self::Short => "short",
        }
    }
}

impl FromStr for Kind {
    type Err = NotASetup;

    fn from_str(text: &str) -> Result<Self, NotASetup> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(NotASetup)
    }
}

/// How rough a run is. Some runs have no faults of one kind at all: a bug that needs many
/// undisturbed steps hides from constant trouble.
#[derive(Clone, Debug)]
pub(crate) struct Conduct {
    /// How long the trouble lasts.
    pub(crate) trouble_ms: u64,
    pub(crate) clients: usize,
    /// Members of shared subscriptions, besides those.
    pub(crate) workers: usize,
    pub(crate) delay_ms_max: u64,
    /// Pieces that bytes are cut into are at most so long.
    pub(crate) fragment_bytes_max: u64,
    /// What the kernel takes for a connection before a write blocks.
    pub(crate) socket_bytes: usize,
    /// Between two things that a client does.
    pub(crate) pace_ms_max: u64,
    pub(crate) commit_ms_max: u64,
    /// Between two crashes, on average; none without crashes.
    pub(crate) crash_ms: Option<u64>,
    /// A crash takes unsynced writes with it.
    pub(crate) is_power_cut_percent: u64,
    /// Of a hundred starts, so many come to no end.
    pub(crate) broken_start_percent: u64,
    /// Per thing that a client does, in thousandths.
    pub(crate) reset_permille: u64,
    pub(crate) stall_permille: u64,
    pub(crate) partition_permille: u64,
    pub(crate) takeover_permille: u64,
    /// Of a hundred attempts to connect, so many are made twice.
    pub(crate) twin_percent: u64,
    /// What a slow client reads at a time.
    pub(crate) slow_read_bytes: usize,
    /// Between two steps of the calendar, on average; none without steps.
    pub(crate) clock_step_ms: Option<u64>,
    /// Between two times that the machine or the process of the broker sleeps, on average.
    pub(crate) sleep_ms: Option<u64>,
    /// Between two times that the disk is full, on average.
    pub(crate) full_disk_ms: Option<u64>,
    /// Between two times that somebody changes the rules, on average.
    pub(crate) exchange_ms: Option<u64>,
    /// Between two times that somebody sends a client away, on average.
    pub(crate) expel_ms: Option<u64>,
    /// Whether what comes goes upstream ahead of what has waited.
    pub(crate) live_first: bool,
    /// Whether some of it goes upstream ahead of the rest.
    pub(crate) has_priorities: bool,
    pub(crate) failing_sync_permille: u64,
    pub(crate) failing_read_permille: u64,
    pub(crate) limits: Limits,
}

impl Conduct {
    /// What the seed says, without what is left out.
    pub(crate) fn draw(random: &mut Random, setup: &Setup) -> Self {
        let mut conduct = Self::draw_whole(random);
        let mut operator = Random::of(&[setup.seed, Actor::Operator.number()]);
        conduct.exchange_ms = operator.chance(30).then_some(2_000);
        conduct.live_first = operator.chance(30);
        conduct.has_priorities = operator.chance(30);
        let mut warden = Random::of(&[setup.seed, Actor::Warden.number()]);
        conduct.expel_ms = warden.chance(30).then_some(1_500);
        match setup.kind {
            Kind::Honest => {}
            Kind::Lying => {
                conduct.crash_ms = Some(2_500);
                conduct.is_power_cut_percent = 100;
                conduct.clock_step_ms = None;
            }
            Kind::Short => {
                let pace_ms_max = 20;
                conduct.calm();
                conduct = Self { trouble_ms: 300, clients: 2, pace_ms_max, ..conduct };
                conduct.workers = conduct.workers.min(1);
            }
        }
        setup.reduction.troubles().for_each(|trouble| conduct.leave_out(trouble));
        conduct.trouble_ms = conduct.trouble_ms.min(setup.reduction.until_ms().unwrap_or(u64::MAX));
        conduct
    }

    fn draw_whole(random: &mut Random) -> Self {
        let pick =
            |random: &mut Random, from: &[u64]| from[random.below(from.len() as u64) as usize];
        Self {
            trouble_ms: 3_000 + random.below(20_000),
            clients: 2 + random.below(5) as usize,
            workers: pick(random, &[0, 2, 3]) as usize,
            delay_ms_max: pick(random, &[1, 5, 40, 300]),
            fragment_bytes_max: pick(random, &[3, 40, 2_000, 100_000]),
            socket_bytes: pick(random, &[64, 1_500, 64_000, 64_000]) as usize,
            pace_ms_max: pick(random, &[20, 60, 60, 250]),
            commit_ms_max: pick(random, &[1, 10, 60, 400]),
            crash_ms: random.chance(80).then(|| pick(random, &[700, 2_500, 6_000])),
            is_power_cut_percent: pick(random, &[0, 50, 100]),
            broken_start_percent: 8,
            reset_permille: pick(random, &[0, 5, 30, 80]),
            stall_permille: pick(random, &[0, 10, 40]),
            partition_permille: pick(random, &[0, 0, 5, 20]),
            takeover_permille: pick(random, &[0, 5, 20]),
            twin_percent: pick(random, &[0, 0, 10, 40]),
            slow_read_bytes: pick(random, &[8, 100, 1_000]) as usize,
            clock_step_ms: random.chance(30).then_some(4_000),
            sleep_ms: random.chance(20).then_some(5_000),
            full_disk_ms: random.chance(15).then_some(5_000),
            exchange_ms: None,
            expel_ms: None,
            live_first: false,
            has_priorities: false,
            failing_sync_permille: pick(random, &[0, 0, 2]),
            failing_read_permille: pick(random, &[0, 0, 0, 20]),
            limits: limits(random, pick),
        }
    }

    /// The same without any trouble.
    pub(crate) fn calm(&mut self) {
        let limits = self.limits.clone();
        for trouble in Trouble::ALL {
            self.leave_out(trouble);
        }
        self.commit_ms_max = 5;
        // What the broker was started with stays.
        self.limits = limits;
    }

    /// Whether a queue may be full.
    pub(crate) fn has_small_queues(&self) -> bool {
        self.limits.listeners.iter().any(|listener| listener.queued_messages_max.is_some())
    }

    fn leave_out(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::BrokenStarts => self.broken_start_percent = 0,
            Trouble::ClockSteps => self.clock_step_ms = None,
            Trouble::Crashes => self.crash_ms = None,
            Trouble::Delays => self.delay_ms_max = 1,
            Trouble::Exchanges => self.exchange_ms = None,
            Trouble::Expulsions => self.expel_ms = None,
            Trouble::FailingReads => self.failing_read_permille = 0,
            Trouble::FailingSyncs => self.failing_sync_permille = 0,
            Trouble::Fragments => self.fragment_bytes_max = 100_000,
            Trouble::FullDisk => self.full_disk_ms = None,
            Trouble::Limits => self.limits = harmless_limits(),
            Trouble::Partitions => self.partition_permille = 0,
            Trouble::PowerCuts => self.is_power_cut_percent = 0,
            Trouble::Resets => self.reset_permille = 0,
            Trouble::Sleep => self.sleep_ms = None,
            Trouble::SlowCommits => self.commit_ms_max = 1,
            Trouble::SlowReaders => self.slow_read_bytes = usize::MAX,
            Trouble::SmallSockets => self.socket_bytes = 64_000,
            Trouble::Stalls => self.stall_permille = 0,
            Trouble::Takeovers => self.takeover_permille = 0,
            Trouble::Twins => self.twin_percent = 0,
        }
    }
}

fn limits(random: &mut Random, pick: impl Fn(&mut Random, &[u64]) -> u64) -> Limits {
    let strategies = [
        ShareStrategy::HashClient,
        ShareStrategy::HashTopic,
        ShareStrategy::LeastInflight,
        ShareStrategy::RoundRobin,
        ShareStrategy::Sticky,
    ];
    let small_queue = pick(random, &[0, 0, 0, 0, 4, 20]) as usize;
    let listeners = vec![
        ListenerLimits {
            queued_messages_max: (small_queue > 0).then_some(small_queue),
            ..ListenerLimits::default()
        },
        ListenerLimits::default(),
    ];
    Limits {
        listeners,
        inflight_messages_max: pick(random, &[1, 2, 5, 20, 100]) as u16,
        send_buffer_bytes_max: pick(random, &[300, 4_000, 256_000]) as usize,
        unacknowledged_inbound_max: pick(random, &[2, 10, 1024]) as u32,
        // In some runs every message leaves memory, in others some or none.
        queued_memory_eased_at: pick(random, &[0, 2_000, 32_000_000]) as usize,
        queue_full: if random.chance(50) { QueueFull::DropNew } else { QueueFull::DropOld },
        share_strategy: strategies[random.below(5) as usize],
        ..harmless_limits()
    }
}

fn harmless_limits() -> Limits {
    Limits {
        listeners: vec![ListenerLimits::default(); 2],
        dead_letter: Some(DEAD_LETTERS.into()),
        ..Limits::default()
    }
}

/// Below this, messages are published that did not reach a client.
pub(crate) const DEAD_LETTERS: &str = "dead";
