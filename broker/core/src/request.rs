//! Questions to the rules: a client of MQTT 5 publishes to `$rules/RULE/GROUP` with a response topic,
//! any client to `$rules/RULE/GROUP/get`, which is answered at `$rules/RULE/GROUP/value`.
//!
//! They go to the rules and to nobody else, and are not written: whoever asks again gets what is
//! so by then. The answer is published like any other message, so a client may only name a topic
//! that it may publish to itself.

use weir_mqtt::{Publish, TopicName};

use crate::authorize::Access;
use crate::core::Core;
use crate::durability::Durability;
use crate::forwards::Forwarded;
use crate::identity::ShardId;
use crate::key::SessionKey;
use crate::message::MessageParts;
use crate::router::{Origin, Routing};

impl Core {
    /// Whether a message asks the rules, and its client may have the answer where it wants it.
    pub(crate) fn is_question(&self, key: SessionKey, publish: &Publish<'_>) -> bool {
        if !publish.topic.starts_with(RULES) || publish.retain {
            return false;
        }
        let Some(answer) = publish.properties.response_topic else {
            return publish.topic.ends_with(GET);
        };
        TopicName::parse(answer).is_ok()
            && !self.is_of_broker(answer)
            && self.delay_of(answer).is_ok_and(|(delay, _)| delay == 0)
            && self.sessions[key as usize].may(Access::Write, answer)
    }

    /// Hands a question to the rules; true when there are any.
    pub(crate) fn ask_rules(&mut self, parts: &MessageParts<'_>, origin: Origin) -> bool {
        let Some(index) = self.rules() else { return false };
        if self.shard == ShardId::FIRST {
            self.readers[index].records.push(None, parts);
        } else {
            let mut routing = Routing::new(Durability::None, parts, None, false);
            self.forward(ShardId::FIRST, Forwarded::Question, origin, &mut routing);
        }
        true
    }
}

/// What questions begin with.
const RULES: &str = "$rules/";
/// What those end with that name no topic for the answer.
const GET: &str = "/get";
