//! The other end of the upstream, which outlives the broker and remembers everything it was sent.
//!
//! A record comes at least once, for the first time in the order of the log unless some go
//! first, and always as the same. What was acknowledged to its publisher comes.

use std::collections::{BTreeMap, BTreeSet};

use weir_broker::Outgoing;
use weir_mqtt::QoS;

use super::model::{MessageId, Model, Publisher, message_of};
use super::outputs::Outputs;

/// Where everything goes.
#[derive(Debug, Default)]
pub(crate) struct FarEnd {
    /// Whether records may come in another order than that of the log.
    is_unordered: bool,
    /// Results of rules among it.
    pub(crate) results: Outputs,
    /// By position in the log of the broker.
    records: BTreeMap<u64, (String, Vec<u8>)>,
    /// The positions under which a message of a client came.
    messages: BTreeMap<MessageId, BTreeSet<u64>>,
    /// What it did not want the first time.
    refused: BTreeSet<u64>,
    /// How often something came that it had.
    pub(crate) repetitions: u64,
}

impl FarEnd {
    pub(crate) fn new(is_unordered: bool) -> Self {
        Self { is_unordered, ..Self::default() }
    }

    /// Does not take it, if it never refused it before.
    pub(crate) fn refuse(&mut self, outgoing: &Outgoing) -> bool {
        position(outgoing).is_some_and(|position| self.refused.insert(position))
    }

    /// Number of records.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// What is wrong with something that came.
    pub(crate) fn receive(&mut self, outgoing: &Outgoing) -> Option<String> {
        let Outgoing { topic, payload, .. } = outgoing;
        let Some(position) = position(outgoing) else {
            return Some(format!("{topic} came without a position"));
        };
        if let Some(known) = self.records.get(&position) {
            self.repetitions += 1;
            let is_same = known.0 == *topic && known.1 == *payload;
            return (!is_same).then(|| format!("record {position} came again as something else"));
        }
        if let Some((newest, _)) = self.records.last_key_value()
            && position < *newest
            && !self.is_unordered
            && !self.refused.contains(&position)
        {
            return Some(format!("record {position} came for the first time behind {newest}"));
        }
        self.records.insert(position, (topic.clone(), payload.clone()));
        if topic.starts_with("out/") {
            return self.results.receive(property(outgoing, "id"), topic, payload);
        }
        let Some(message) = message_of(payload) else {
            return Some(format!("nobody published what came on {topic}"));
        };
        self.messages.entry(message).or_default().insert(position);
        None
    }

    /// What did not come although it was acknowledged to its publisher, or came in two records
    /// although it is exactly once. `sensors` never lose a session.
    pub(crate) fn difference(&self, model: &Model, sensors: &[usize]) -> Option<String> {
        (0..).zip(&model.messages).find_map(|(id, message)| {
            let is_forwarded = ["all/", "in/"].iter().any(|from| message.topic.starts_with(from));
            let is_reliable = message.qos > QoS::AtMostOnce && message.acknowledged.is_some();
            if !is_forwarded || !is_reliable {
                return None;
            }
            let records = self.messages.get(&id).map_or(0, BTreeSet::len);
            let is_once = matches!(message.publisher, Publisher::Client(c) if sensors.contains(&c));
            if records == 0 || (is_once && records > 1) {
                let topic = &message.topic;
                return Some(format!("message {id} to {topic} went upstream in {records} records"));
            }
            None
        })
    }
}

fn position(outgoing: &Outgoing) -> Option<u64> {
    property(outgoing, "seq")?.parse().ok()
}

fn property<'a>(outgoing: &'a Outgoing, name: &str) -> Option<&'a str> {
    let pair = outgoing.user_properties.iter().find(|(known, _)| known == name)?;
    Some(&pair.1)
}
