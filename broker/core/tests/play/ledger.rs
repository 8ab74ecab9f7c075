//! What stands in which batch, so that an answer can be held against it.

use std::collections::{BTreeMap, BTreeSet};

use weir_core::{Batch, Change, Destination, InflightState, Limits, Message, SessionId, Target};
use weir_mqtt::PacketId;

use super::settings::is_early;

/// Something that a client is told only after its commit.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Durable {
    /// A message with this payload is logged, retained or delayed.
    Message(Vec<u8>),
    /// PUBREC of the client has come.
    Owed(SessionId, PacketId),
    Received(SessionId, PacketId),
    Released(SessionId, PacketId),
    Session(String),
    Subscribed(SessionId, String),
    Unsubscribed(SessionId, String),
}

/// The batches since the process began.
#[derive(Default)]
pub(super) struct Ledger {
    contents: BTreeSet<(Durable, u64)>,
    sessions: BTreeMap<String, SessionId>,
    made: u64,
    committed: u64,
}

impl Ledger {
    /// After a restart, with the sessions that the store has kept.
    pub(super) fn restarted(sessions: impl Iterator<Item = (String, SessionId)>) -> Self {
        Self { sessions: sessions.collect(), ..Self::default() }
    }

    pub(super) fn note(&mut self, batch: &Batch, limits: &Limits) {
        assert_eq!(batch.number, self.made + 1, "batches are numbered one by one");
        self.made = batch.number;
        for change in &batch.changes {
            check_written(change, limits);
            let is_told_early = |message: &Message| is_early(limits, message.topic()).0;
            let content = self.content(change);
            if let Some(durable) =
                content.filter(|_| !message_of(change).is_some_and(is_told_early))
            {
                self.contents.insert((durable, batch.number));
            }
        }
    }

    pub(super) fn commit(&mut self, number: u64) {
        self.committed = number;
    }

    /// The number of a session that is kept.
    pub(super) fn session(&self, client_id: &str) -> Option<SessionId> {
        self.sessions.get(client_id).copied()
    }

    /// A client is told of something that came into `batch`, if that holds it.
    pub(super) fn check_told(&self, durable: &Durable, batch: u64) {
        let is_waiting =
            batch > self.committed && self.contents.contains(&(durable.clone(), batch));
        assert!(!is_waiting, "told before the commit of batch {batch}: {durable:?}");
    }

    fn content(&mut self, change: &Change) -> Option<Durable> {
        Some(match change {
            // What was told of already may go on to somebody whose session is kept: from one
            // member of a share to the next, or as a dead letter.
            Change::LogAppended { message, targets, .. }
                if message.topic().starts_with("$dead")
                    || targets.iter().all(Target::is_shared) =>
            {
                return None;
            }
            Change::LogAppended { message, .. } | Change::RetainedPut { message } => {
                Durable::Message(message.parts().payload.to_vec())
            }
            Change::InflightPut { session, packet_id, state: InflightState::Released } => {
                Durable::Owed(*session, *packet_id)
            }
            Change::ReceivedPut { session, packet_id } => Durable::Received(*session, *packet_id),
            Change::ReceivedRemoved { session, packet_id } => {
                Durable::Released(*session, *packet_id)
            }
            Change::SubscriptionPut { session, filter, .. } => {
                Durable::Subscribed(*session, filter.to_string())
            }
            Change::SubscriptionRemoved { session, filter } => {
                Durable::Unsubscribed(*session, filter.to_string())
            }
            Change::SessionPut { session, record } => {
                // A delayed message is kept like the will of a session that nobody can claim.
                if record.client_id.starts_with('\0') {
                    let will = record.will.as_ref().expect("it is the message");
                    return Some(Durable::Message(will.message.parts().payload.to_vec()));
                }
                self.sessions.insert(record.client_id.to_string(), *session);
                Durable::Session(record.client_id.to_string())
            }
            Change::SessionRemoved { session } => {
                self.sessions.retain(|_, known| known != session);
                return None;
            }
            _ => return None,
        })
    }
}

fn message_of(change: &Change) -> Option<&Message> {
    match change {
        Change::LogAppended { message, .. } | Change::RetainedPut { message } => Some(message),
        _ => None,
    }
}

/// What is never to be written is not, unless a rule has named the reader that gets it.
fn check_written(change: &Change, limits: &Limits) {
    let Some(message) = message_of(change) else { return };
    let is_of_reader = |target: &Target| matches!(target.destination, Destination::Reader(_));
    let is_named = match change {
        Change::LogAppended { targets, .. } => targets.iter().all(is_of_reader),
        _ => false,
    };
    let is_unwritten = is_early(limits, message.topic()).1;
    assert!(is_named || !is_unwritten, "{} is not to be written", message.topic());
}
