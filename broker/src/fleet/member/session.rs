//! What is known about one connection to the server of the fleet.

use std::collections::BTreeMap;

use weir_core::Instant;

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

/// One stream that is being read.
pub(super) struct Reading {
    pub(super) consumer: String,
    /// Messages of the batch that are still to come; none is asked for when it is 0.
    pub(super) left: usize,
    /// When something was heard of it last, or it was asked for.
    pub(super) heard_at: Instant,
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

    pub(super) fn read(&mut self, of: Fetched, consumer: String) {
        self.reading.insert(of, Reading { consumer, left: 0, heard_at: Instant(0) });
    }

    /// Something was heard of a batch; `left` says how many of it are still to come.
    pub(super) fn heard(&mut self, of: Fetched, now: Instant, left: impl Fn(usize) -> usize) {
        if let Some(reading) = self.reading.get_mut(&of) {
            reading.left = left(reading.left);
            reading.heard_at = now;
        }
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
