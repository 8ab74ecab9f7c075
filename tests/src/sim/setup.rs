//! What is decided about a run before it begins: everything follows from its seed.

use weir_core::Limits;

use super::disk::Random;

/// One run.
#[derive(Clone, Debug)]
pub struct Setup {
    /// All chance of the run comes from it.
    pub seed: u64,
    /// What the broker around the core is made to do wrong, to see that it is found.
    pub misbehaviour: Option<Misbehaviour>,
    /// A failure tells everything that happened, not only what it has to do with.
    pub tells_all: bool,
}

/// A deliberate fault of the broker; each must be found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Misbehaviour {
    /// The core is told that a batch is durable before it is.
    CommittedTooEarly,
    /// Cursors of sessions do not reach the store.
    CursorsForgotten,
    /// What was written to the upstream is taken for acknowledged.
    ForwardedTooEarly,
    /// The packet identifiers of QoS 2 messages to clients do not reach the store.
    IdentifiersForgotten,
    /// That PUBREC came does not reach the store.
    ReleasesForgotten,
    /// The packet identifiers of QoS 2 messages from clients do not reach the store.
    ReceivedForgotten,
    /// Subscribers get results of rules before the state that they came from is durable.
    ResultsTooEarly,
    /// Retained messages do not reach the store.
    RetainedForgotten,
    /// The position of the rules does not reach the store.
    RulePositionForgotten,
    /// The state of the rules does not reach the store.
    RuleStateForgotten,
    /// Removed subscriptions stay in the store.
    UnsubscriptionsForgotten,
}

impl Misbehaviour {
    /// Every one.
    pub const ALL: [Self; 11] = [
        Self::CommittedTooEarly,
        Self::CursorsForgotten,
        Self::ForwardedTooEarly,
        Self::IdentifiersForgotten,
        Self::ReleasesForgotten,
        Self::ReceivedForgotten,
        Self::ResultsTooEarly,
        Self::RetainedForgotten,
        Self::RulePositionForgotten,
        Self::RuleStateForgotten,
        Self::UnsubscriptionsForgotten,
    ];
}

impl Setup {
    /// The run of a seed, without deliberate faults.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        Self { seed, misbehaviour: None, tells_all: false }
    }
}

/// How rough a run is. Some runs have no faults of one kind at all: a bug that needs many
/// undisturbed steps hides from constant trouble.
#[derive(Clone, Debug)]
pub(crate) struct Conduct {
    /// How long the trouble lasts.
    pub(crate) trouble_ms: u64,
    pub(crate) clients: usize,
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
    /// Per thing that a client does, in thousandths.
    pub(crate) reset_permille: u64,
    pub(crate) stall_permille: u64,
    pub(crate) takeover_permille: u64,
    /// Between two steps of the calendar, on average; none without steps.
    pub(crate) clock_step_ms: Option<u64>,
    pub(crate) failing_sync_permille: u64,
    pub(crate) limits: Limits,
}

impl Conduct {
    pub(crate) fn draw(random: &mut Random) -> Self {
        let pick =
            |random: &mut Random, from: &[u64]| from[random.below(from.len() as u64) as usize];
        let limits = Limits {
            inflight_messages_max: pick(random, &[1, 2, 5, 20, 20]) as u16,
            send_buffer_bytes_max: pick(random, &[300, 4_000, 256_000]) as usize,
            unacknowledged_inbound_max: pick(random, &[2, 10, 1024]) as u32,
            ..Limits::default()
        };
        let trouble_ms = 3_000 + random.below(20_000);
        // In some runs every message leaves memory, in others some or none.
        let queued_memory_eased_at = [0, 2_000, 32_000_000][(trouble_ms % 3) as usize];
        let limits = Limits { queued_memory_eased_at, ..limits };
        Self {
            trouble_ms,
            clients: 2 + random.below(5) as usize,
            delay_ms_max: pick(random, &[1, 5, 40, 300]),
            fragment_bytes_max: pick(random, &[3, 40, 2_000, 100_000]),
            socket_bytes: pick(random, &[64, 1_500, 64_000, 64_000]) as usize,
            pace_ms_max: pick(random, &[20, 60, 60, 250]),
            commit_ms_max: pick(random, &[1, 10, 60, 400]),
            crash_ms: random.chance(80).then(|| pick(random, &[700, 2_500, 6_000])),
            is_power_cut_percent: pick(random, &[0, 50, 100]),
            reset_permille: pick(random, &[0, 5, 30, 80]),
            stall_permille: pick(random, &[0, 10, 40]),
            takeover_permille: pick(random, &[0, 5, 20]),
            clock_step_ms: random.chance(30).then_some(4_000),
            failing_sync_permille: pick(random, &[0, 0, 2]),
            limits,
        }
    }

    /// The same without any trouble.
    pub(crate) fn calm(&mut self) {
        self.delay_ms_max = 1;
        self.fragment_bytes_max = 100_000;
        self.socket_bytes = 64_000;
        self.commit_ms_max = 5;
        self.crash_ms = None;
        self.reset_permille = 0;
        self.stall_permille = 0;
        self.takeover_permille = 0;
        self.clock_step_ms = None;
        self.failing_sync_permille = 0;
    }
}
