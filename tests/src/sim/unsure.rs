//! What has been handed to the store and is not on the disk: nobody may be told of it.

use std::collections::{BTreeMap, BTreeSet};

use weir_core::{
    Batch, Change, Destination, InflightState, Recovered, SessionId, SessionRecord, ShardId, Target,
};
use weir_mqtt::{Packet, PacketId, QoS};

use super::misbehaviour::is_delayed;
use super::model::{MessageId, message_of};

/// The content of the batches that are not durable.
#[derive(Debug, Default)]
pub(crate) struct Unsure {
    counts: BTreeMap<Fact, u32>,
    /// Messages and sessions that are durable, although they may be written once more: for another
    /// member of a share, for another connection.
    durable: BTreeSet<Fact>,
    /// Somebody shares, or has shared, a subscription with a session that is not kept. What was for that one needs
    /// not be durable, and may be written later for another member.
    pub(crate) has_unkept_members: bool,
    /// The sessions by the names of their clients, as of the last batch.
    sessions: BTreeMap<String, Owner>,
    /// Results of rules with the batch of the first shard that holds the state they came from.
    results: BTreeMap<Vec<u8>, u64>,
    /// Results whose state is durable. Another message may give the same one again, and in a packet
    /// both look alike.
    sure_results: BTreeSet<Vec<u8>>,
}

/// One thing that the disk may forget.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Fact {
    Identifier(Owner, PacketId),
    Message(MessageId),
    Received(Owner, PacketId),
    Released(Owner, PacketId),
    Session(Owner),
    /// A message that members of shared subscriptions get, and nobody else.
    Shared(MessageId),
    Subscription(Owner, String),
}

/// A session of a shard.
type Owner = (ShardId, SessionId);

impl Unsure {
    /// What the disk holds at the start.
    pub(crate) fn recovered(&mut self, shard: ShardId, recovered: &Recovered) {
        for session in &recovered.sessions {
            let owner = (shard, session.session);
            self.sessions.insert(session.record.client_id.to_string(), owner);
            self.durable.insert(Fact::Session(owner));
            let delayed = delayed_message(&session.record);
            self.durable.extend(delayed.into_iter().flat_map(facts_of));
        }
        let messages = recovered.log.iter().filter_map(|record| record.message.as_ref());
        let messages = messages.inspect(|message| {
            self.sure_results.insert(message.payload().to_vec());
        });
        let messages = messages.filter_map(|message| message_of(message.payload()));
        self.durable.extend(messages.flat_map(facts_of));
    }

    /// A batch is on its way.
    pub(crate) fn submitted(&mut self, batch: &Batch) {
        let shard = batch.shard;
        for change in &batch.changes {
            match change {
                Change::SessionPut { session, record } => {
                    self.sessions.insert(record.client_id.to_string(), (shard, *session));
                }
                Change::SessionRemoved { session } => {
                    self.sessions.retain(|_, known| *known != (shard, *session));
                }
                _ => {}
            }
            for_each_fact(shard, change, |fact| *self.counts.entry(fact).or_default() += 1);
        }
    }

    /// A rule has sent something that comes from the state in a batch.
    pub(crate) fn rests_on(&mut self, batch: u64, result: &[u8]) {
        if !self.sure_results.contains(result) {
            self.results.insert(result.to_vec(), batch);
        }
    }

    /// A batch is on the disk.
    pub(crate) fn committed(&mut self, batch: &Batch) {
        if batch.shard == ShardId::FIRST {
            let durable = self.results.extract_if(.., |_, rests_on| *rests_on <= batch.number);
            self.sure_results.extend(durable.map(|(result, _)| result));
        }
        for change in &batch.changes {
            for_each_fact(batch.shard, change, |fact| {
                match fact {
                    Fact::Message(id) | Fact::Shared(id) => {
                        self.durable.extend(facts_of(id));
                    }
                    Fact::Session(_) => self.durable.extend([fact.clone()]),
                    _ => {}
                }
                if let Some(count) = self.counts.get_mut(&fact) {
                    *count -= 1;
                    if *count == 0 {
                        self.counts.remove(&fact);
                    }
                }
            });
        }
    }

    /// What is wrong with saying `packet` to a client now. `message` is the one that an
    /// acknowledgement is about, `filter` is the one that a SUBACK is about.
    pub(crate) fn objection(
        &self,
        client: &str,
        packet: &Packet<'_>,
        message: Option<MessageId>,
        filter: Option<&str>,
    ) -> Option<String> {
        if let Packet::Publish(publish) = packet
            && publish.qos > QoS::AtMostOnce
            && let Some(batch) = self.results.get(publish.payload)
        {
            return Some(format!(
                "a result was sent, but batch {batch} with its state is not durable"
            ));
        }
        let session = self.sessions.get(client).copied();
        let facts: Vec<Fact> = match (packet, session) {
            (Packet::Puback(_), _) => self.of_message(message).collect(),
            (Packet::Pubrec(acknowledge), session) => {
                let received = session.map(|id| Fact::Received(id, acknowledge.packet_id));
                self.of_message(message).chain(received).collect()
            }
            (Packet::Pubrel(acknowledge), Some(id)) => {
                vec![Fact::Released(id, acknowledge.packet_id)]
            }
            (Packet::Connack(_), Some(id)) => vec![Fact::Session(id)],
            (Packet::Suback(_), Some(id)) => {
                filter.map(|filter| Fact::Subscription(id, filter.to_owned())).into_iter().collect()
            }
            (Packet::Publish(publish), Some(id)) if publish.qos == QoS::ExactlyOnce => {
                publish.packet_id.map(|packet| Fact::Identifier(id, packet)).into_iter().collect()
            }
            _ => Vec::new(),
        };
        let mut facts = facts.into_iter();
        let early =
            facts.find(|fact| self.counts.contains_key(fact) && !self.durable.contains(fact));
        early.map(|fact| format!("{} was said, but {fact:?} is not durable", packet.kind()))
    }

    /// What makes a message durable that is acknowledged.
    fn of_message(&self, message: Option<MessageId>) -> impl Iterator<Item = Fact> {
        let shared = message.filter(|_| !self.has_unkept_members);
        message.map(Fact::Message).into_iter().chain(shared.map(Fact::Shared))
    }
}

fn for_each_fact(shard: ShardId, change: &Change, mut fact: impl FnMut(Fact)) {
    match change {
        Change::LogAppended { message, targets, .. } => {
            let is_live = |target: &Target| !target.retain;
            // A dead letter has the content of the message, and is nothing that its publisher
            // waits for.
            if let Some(id) = message_of(message.payload())
                && targets.iter().any(is_live)
                && !message.topic().starts_with("dead/")
            {
                let is_shared = targets.iter().filter(|target| is_live(target)).all(is_shared);
                fact(if is_shared { Fact::Shared(id) } else { Fact::Message(id) });
            }
            for target in targets {
                if let (Destination::Session(session), Some(packet_id)) =
                    (target.destination, target.packet_id)
                {
                    fact(Fact::Identifier((shard, session), packet_id));
                }
            }
        }
        Change::RetainedPut { message } => {
            message_of(message.payload()).into_iter().for_each(|id| fact(Fact::Message(id)));
        }
        Change::ReceivedPut { session, packet_id } => {
            fact(Fact::Received((shard, *session), *packet_id))
        }
        Change::InflightPut { session, packet_id, state: InflightState::Released } => {
            fact(Fact::Released((shard, *session), *packet_id));
        }
        Change::InflightPut { session, packet_id, state: InflightState::Sent { .. } } => {
            fact(Fact::Identifier((shard, *session), *packet_id));
        }
        Change::SessionPut { session, record } => {
            fact(Fact::Session((shard, *session)));
            delayed_message(record).into_iter().for_each(|id| fact(Fact::Message(id)));
        }
        Change::SubscriptionPut { session, filter, .. } => {
            fact(Fact::Subscription((shard, *session), filter.to_string()));
        }
        _ => {}
    }
}

fn facts_of(message: MessageId) -> [Fact; 2] {
    [Fact::Message(message), Fact::Shared(message)]
}

/// Whether a message waits for a member of a shared subscription: the core puts a mark among the
/// identifiers, which have 28 bits.
fn is_shared(target: &Target) -> bool {
    target.subscription_identifiers.iter().any(|identifier| identifier >> 28 != 0)
}

/// The message that waits for its time in a record.
fn delayed_message(record: &SessionRecord) -> Option<MessageId> {
    let waiting = record.will.as_ref().filter(|_| is_delayed(&record.client_id))?;
    message_of(waiting.message.payload())
}
