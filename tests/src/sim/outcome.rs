//! What comes of a run: what happened in it, or what was wrong and how to repeat it.

use std::fmt;
use std::ops::AddAssign;

use super::reduction::Actor;
use super::setup::Setup;

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Summary {
    /// Stands for everything that happened.
    pub trace: u64,
    /// Things that happened.
    pub events: u64,
    /// Messages that were published.
    pub messages: u64,
    /// Messages that came to applications.
    pub deliveries: u64,
    /// Results of rules.
    pub outputs: u64,
    /// Records that went upstream.
    pub forwarded: u64,
    /// How often one of them came again.
    pub repetitions: u64,
    /// How often the broker died.
    pub crashes: u64,
    /// Operations of the disk under the last process, up to the end of the trouble.
    pub disk_operations: u64,
    /// How long it was, by its own clock.
    pub virtual_ms: u64,
}

impl AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        self.trace ^= other.trace;
        self.events += other.events;
        self.messages += other.messages;
        self.deliveries += other.deliveries;
        self.outputs += other.outputs;
        self.forwarded += other.forwarded;
        self.repetitions += other.repetitions;
        self.crashes += other.crashes;
        self.disk_operations += other.disk_operations;
        self.virtual_ms += other.virtual_ms;
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} events, {} messages, {} deliveries, {} results of rules, {} records \
             upstream and {} repetitions, {} crashes, {} s of virtual time",
            self.events,
            self.messages,
            self.deliveries,
            self.outputs,
            self.forwarded,
            self.repetitions,
            self.crashes,
            self.virtual_ms / 1000
        )
    }
}

/// A run in which something was wrong.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Repeats the run.
    pub setup: Setup,
    /// What was wrong.
    pub problem: String,
    /// What happened around it.
    pub excerpt: Vec<String>,
    /// How many things happened in the whole run.
    pub events: u64,
    /// When it was found, milliseconds from the beginning.
    pub(crate) at_ms: u64,
    /// How many clients there were.
    pub(crate) clients: usize,
    /// What each has done.
    pub(crate) deeds: Vec<(Actor, u32)>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.setup.seed, self.problem)?;
        self.excerpt.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        write!(f, "again: WEIR_SIM_SEED={} ", self.setup.seed)?;
        let text = self.setup.to_string();
        if !text.is_empty() {
            write!(f, "WEIR_SIM_SETUP='{text}' ")?;
        }
        write!(f, "cargo test -p weir-tests --test simulation one_seed")
    }
}
