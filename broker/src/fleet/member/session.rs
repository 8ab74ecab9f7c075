//! What is known about one connection to the server of the fleet.

use std::collections::BTreeMap;

use weir_core::Instant;

use super::reading::Reading;
use crate::fleet::boxes::Wants;
use crate::fleet::jetstream::{Fetched, JetStream, Stored, Unsent};
use crate::fleet::names::{Names, Said};
use crate::upstream::LinkError;

/// What is known about a connection.
pub(super) struct Session {
    pub(super) server: JetStream,
    pub(super) stage: Stage,
    pub(super) reading: BTreeMap<Fetched, Reading>,
    /// What the server owes an answer for, by its number.
    pub(super) owed: BTreeMap<u64, Owed>,
    pub(super) number: u64,
    /// The last time that an answer came or none was owed.
    pub(super) progress_at: Instant,
    pub(super) speaks_at: Instant,
    pub(super) wants_at: Option<Instant>,
    /// When it was told last what is wanted here.
    pub(super) wants_told_at: Instant,
    pub(super) wants: Option<Wants>,
    /// When sending goes on after the server had no room for messages.
    pub(super) goes_on_at: Option<Instant>,
    /// When values are written again after the server had no room for them.
    pub(super) values_go_on_at: Option<Instant>,
    pub(super) saves_at: Instant,
    pub(super) cleans_at: Instant,
    /// Messages that do not wait and are on their way to the shard.
    pub(super) live: usize,
    /// Turns with values of other boxes that are on their way.
    pub(super) retaining: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// Who the others are is being read.
    Boxes,
    /// Another box may have the name; it is over then.
    Doubt(Instant),
    /// The name is free.
    Named,
    /// Messages go both ways. What is retained is being read, since then.
    Joined(Instant),
    /// It was asked what is retained here.
    Comparing,
    /// What is retained is the same here and there.
    InStep,
}

/// What an answer is owed for.
pub(super) enum Owed {
    Copy(u16),
    /// The value of a topic.
    Put(Box<str>),
    /// What this box says.
    Said(Said),
}

impl Session {
    pub(super) fn is_joined(&self) -> bool {
        matches!(self.stage, Stage::Joined(_) | Stage::Comparing | Stage::InStep)
    }

    /// Whether everything is here that was there when the reading began.
    pub(super) fn has_read(&self, of: Fetched, now: Instant) -> bool {
        self.all_here_at(of).is_some_and(|at| now >= at)
    }

    /// See [`Reading::all_here_at`].
    pub(super) fn all_here_at(&self, of: Fetched) -> Option<Instant> {
        self.reading.get(&of)?.all_here_at()
    }

    pub(super) fn owe(&mut self, owed: Owed) -> u64 {
        self.number += 1;
        self.owed.insert(self.number, owed);
        self.number
    }

    pub(super) async fn say(
        &mut self,
        names: &Names,
        said: Said,
        bytes: Vec<u8>,
    ) -> Result<(), LinkError> {
        let number = self.owe(Owed::Said(said));
        let (subject, id) = (names.own_entry(said), String::new());
        let stored = Stored::message(subject, id, bytes.into());
        match self.server.store(number, stored).await {
            Ok(()) => Ok(()),
            Err(Unsent::Lost(error)) => Err(error),
            Err(Unsent::Refused(reason)) => Err(LinkError::Refused { reason, help: HELP_PAYLOAD }),
        }
    }
}

const HELP_PAYLOAD: &str = "raise `max_payload` of the server to 1 MB at least";
