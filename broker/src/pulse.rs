//! Whether the threads of a broker are alive: each shard and the thread of the rules answer when they
//! are asked, and that of the store is not where it was at the last look. A service manager is told
//! so, and starts a process again that does not say it any more.

use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(test)]
use crate::inner_turn::InnerTurn;
#[cfg(test)]
use crate::mailbox::Mail;
#[cfg(test)]
use crate::pipeline::RuleCommand;
use crate::probe::Probe;
use crate::status::Status;

/// Feels the threads of a broker. It holds the store open for as long as it is there.
pub(crate) struct Pulse {
    probe: Arc<Probe>,
    /// How far the thread of the store was at the last look.
    store_steps: u64,
}

impl Pulse {
    pub(crate) fn new(probe: Arc<Probe>) -> Self {
        // An even number is no thread at work, so the first look finds nothing wrong.
        Self { probe, store_steps: 0 }
    }

    /// Waits up to `patience` until all have answered. The thread of the store may be in one commit
    /// from one look to the next; a disk that takes longer is as good as none.
    ///
    /// # Errors
    /// The name of the first thread that is stuck.
    pub(crate) fn feel(&mut self, patience: Duration) -> Result<(), String> {
        let until = Instant::now() + patience;
        if let Some(shard) = self.probe.silent_shard(patience) {
            return Err(format!("weir-shard-{shard}"));
        }
        if !self.probe.pipeline.answers(until.saturating_duration_since(Instant::now())) {
            return Err("weir-rules".to_owned());
        }
        let before = std::mem::replace(&mut self.store_steps, self.probe.writer.steps());
        let is_stuck = before % 2 == 1 && before == self.store_steps;
        if is_stuck { Err("weir-store".to_owned()) } else { Ok(()) }
    }

    /// How the broker is.
    pub(crate) fn status(&self) -> Status {
        self.probe.status()
    }
}

/// Threads that are stuck, for tests.
#[cfg(test)]
impl Pulse {
    pub(crate) fn stick_shard(&self, wait: Box<dyn FnOnce() + Send>) {
        let turn = InnerTurn { committed: Some(wait), ..InnerTurn::default() };
        self.probe.mailboxes.first().send(Mail::Turn(turn));
    }

    pub(crate) fn stick_rules(&self, wait: Box<dyn FnOnce() + Send>) {
        let answer = Box::new(|_| wait());
        self.probe.pipeline.command("none".to_owned(), RuleCommand::Pause, answer);
    }
}
