//! Faults that are put into the broker on purpose: a simulation that finds nothing may be blind.
//!
//! They sit between the core and everything around it, where the shell of the product is: what
//! the core asks the store to remember, what it says and hears, what it is given at a start. So
//! the product has no hook for them. Faults in the core and the store themselves are those of
//! `tests/mutations`.

use std::collections::BTreeMap;

use weir_core::{
    Batch, Change, InflightState, Links, Message, MessageParts, Recovered, Sequence, Target,
};
use weir_mqtt::frame_len;

/// A deliberate fault of the broker; each must be found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Misbehaviour {
    /// A checkpoint is not synced before the journal begins anew.
    CheckpointUnsynced,
    /// The core is told that a batch is durable before it is.
    CommittedTooEarly,
    /// Cursors of sessions do not reach the store.
    CursorsForgotten,
    /// Messages that wait for their time do not reach the store.
    DelayedForgotten,
    /// What is to be sent to a client a second time is not sent.
    DupsDropped,
    /// The store keeps the time of no message.
    ExpiryOfMessagesForgotten,
    /// The store keeps every session for ever.
    ExpiryOfSessionsForgotten,
    /// What was written to the upstream is taken for acknowledged.
    ForwardedTooEarly,
    /// The packet identifiers of QoS 2 messages to clients do not reach the store.
    IdentifiersForgotten,
    /// After a start no packet identifier is in use.
    IdentifiersReused,
    /// The journal is written and not synced.
    JournalUnsynced,
    /// Dead letters do not reach the store.
    LettersForgotten,
    /// Batches of several shards are committed without those that they hang together with.
    LinksForgotten,
    /// The store gives up some of the log that is still waited for.
    LogTrimmedTooFar,
    /// The first retained message of a topic stays in the store when another one replaces it.
    OlderRetained,
    /// The packet identifiers of QoS 2 messages from clients do not reach the store.
    ReceivedForgotten,
    /// PUBREL of a client is not heard.
    ReleasesIgnored,
    /// That PUBREC came does not reach the store.
    ReleasesForgotten,
    /// Subscribers get results of rules before the state that they came from is durable.
    ResultsTooEarly,
    /// Retained messages do not reach the store.
    RetainedForgotten,
    /// The position of the rules does not reach the store.
    RulePositionForgotten,
    /// The state of the rules does not reach the store.
    RuleStateForgotten,
    /// Messages for members of shared subscriptions do not reach the store.
    SharesForgotten,
    /// Removed subscriptions stay in the store.
    UnsubscriptionsForgotten,
    /// Wills do not reach the store.
    WillsForgotten,
}

impl Misbehaviour {
    /// Every one.
    pub const ALL: [Self; 25] = [
        Self::CheckpointUnsynced,
        Self::CommittedTooEarly,
        Self::CursorsForgotten,
        Self::DelayedForgotten,
        Self::DupsDropped,
        Self::ExpiryOfMessagesForgotten,
        Self::ExpiryOfSessionsForgotten,
        Self::ForwardedTooEarly,
        Self::IdentifiersForgotten,
        Self::IdentifiersReused,
        Self::JournalUnsynced,
        Self::LettersForgotten,
        Self::LinksForgotten,
        Self::LogTrimmedTooFar,
        Self::OlderRetained,
        Self::ReceivedForgotten,
        Self::ReleasesForgotten,
        Self::ReleasesIgnored,
        Self::ResultsTooEarly,
        Self::RetainedForgotten,
        Self::RulePositionForgotten,
        Self::RuleStateForgotten,
        Self::SharesForgotten,
        Self::UnsubscriptionsForgotten,
        Self::WillsForgotten,
    ];

    fn forgets(self, change: &Change) -> bool {
        match self {
            Self::CursorsForgotten => matches!(change, Change::CursorMoved { .. }),
            Self::DelayedForgotten => {
                matches!(change, Change::SessionPut { record, .. } if is_delayed(&record.client_id))
            }
            Self::IdentifiersForgotten => {
                matches!(change, Change::InflightPut { state: InflightState::Sent { .. }, .. })
            }
            Self::LettersForgotten => {
                matches!(change, Change::LogAppended { message, .. }
                    if message.topic().starts_with("dead/"))
            }
            Self::ReceivedForgotten => matches!(change, Change::ReceivedPut { .. }),
            Self::ReleasesForgotten => {
                matches!(change, Change::InflightPut { state: InflightState::Released, .. })
            }
            Self::RetainedForgotten => matches!(change, Change::RetainedPut { .. }),
            Self::RulePositionForgotten => matches!(change, Change::ReaderMoved { .. }),
            Self::RuleStateForgotten => {
                matches!(change, Change::RuleDelta { .. } | Change::RuleSnapshot { .. })
            }
            Self::SharesForgotten => {
                matches!(change, Change::LogAppended { targets, .. }
                    if targets.iter().any(Target::is_shared))
            }
            Self::UnsubscriptionsForgotten => matches!(change, Change::SubscriptionRemoved { .. }),
            _ => false,
        }
    }

    fn alter(self, change: &mut Change) {
        match (self, change) {
            (Self::ExpiryOfMessagesForgotten, Change::LogAppended { message, .. }) => {
                let parts = MessageParts { expires_at_ms: None, ..message.parts() };
                *message = Message::new(&parts, &mut Vec::new());
            }
            (Self::ExpiryOfSessionsForgotten, Change::SessionPut { record, .. })
                if !is_delayed(&record.client_id) =>
            {
                record.expiry_interval_s = u32::MAX;
            }
            (Self::WillsForgotten, Change::SessionPut { record, .. })
                if !is_delayed(&record.client_id) =>
            {
                record.will = None;
            }
            _ => {}
        }
    }
}

/// Who carries a deliberate fault out, if there is one.
#[derive(Debug)]
pub(crate) struct Saboteur {
    misbehaviour: Option<Misbehaviour>,
    /// The first retained messages of topics.
    retained: BTreeMap<Box<str>, Message>,
}

impl Saboteur {
    /// Spoils what the cores are given at their start.
    pub(crate) fn start(misbehaviour: Option<Misbehaviour>, recovered: &mut [Recovered]) -> Self {
        let retained = recovered.first().into_iter().flat_map(|recovered| &recovered.retained);
        let retained = retained.map(|message| (message.topic().into(), message.clone())).collect();
        if misbehaviour == Some(Misbehaviour::IdentifiersReused) {
            for recovered in recovered {
                recovered.sessions.iter_mut().for_each(|session| session.inflight.clear());
                let targets = recovered.log.iter_mut().flat_map(|record| &mut record.targets);
                targets.for_each(|target| target.packet_id = None);
            }
        }
        Self { misbehaviour, retained }
    }

    /// Whether this is the fault.
    pub(crate) fn does(&self, misbehaviour: Misbehaviour) -> bool {
        self.misbehaviour == Some(misbehaviour)
    }

    /// Spoils a batch on its way to the store.
    pub(crate) fn spoil(&mut self, batch: &mut Batch) {
        let Some(misbehaviour) = self.misbehaviour else { return };
        if misbehaviour == Misbehaviour::LogTrimmedTooFar {
            batch.log_start = Sequence(batch.log_start.0 + 2);
        }
        if misbehaviour == Misbehaviour::LinksForgotten {
            batch.links = Links::default();
        }
        batch.changes.retain(|change| !misbehaviour.forgets(change));
        batch.changes.iter_mut().for_each(|change| misbehaviour.alter(change));
        if misbehaviour == Misbehaviour::OlderRetained {
            batch.changes.iter_mut().for_each(|change| self.keep_first(change));
        }
    }

    /// Whether a frame that came from a client is not handed on.
    pub(crate) fn ignores(&self, frame: &[u8]) -> bool {
        self.does(Misbehaviour::ReleasesIgnored) && kind(frame) == PUBREL
    }

    /// How many of these bytes, which begin with a frame, do not go out to a client.
    pub(crate) fn withholds(&self, bytes: &[u8]) -> Option<usize> {
        let is_again = kind(bytes) == PUBLISH && bytes.first().is_some_and(|byte| byte & DUP != 0);
        let length = frame_len(bytes).ok().flatten().filter(|length| *length <= bytes.len());
        length.filter(|_| self.does(Misbehaviour::DupsDropped) && is_again)
    }

    fn keep_first(&mut self, change: &mut Change) {
        match change {
            Change::RetainedPut { message } => {
                let first = self.retained.entry(message.topic().into());
                *message = first.or_insert_with(|| message.clone()).clone();
            }
            Change::RetainedRemoved { topic } => drop(self.retained.remove(topic)),
            _ => {}
        }
    }
}

fn kind(frame: &[u8]) -> u8 {
    frame.first().map_or(0, |byte| byte >> 4)
}

/// Whether the record of a session is that of a message that waits for its time.
pub(crate) fn is_delayed(client_id: &str) -> bool {
    client_id.starts_with('\0')
}

const PUBLISH: u8 = 3;
const PUBREL: u8 = 6;
const DUP: u8 = 0b1000;
