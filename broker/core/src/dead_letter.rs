//! Dead letters: what a client should have got and did not get is published for whoever looks
//! after lost messages, with the reason.
//!
//! Letters are made while a message is routed, and published when that is over, in the same turn:
//! what is durable of the one is durable of the other. A letter that is lost makes no letter, and
//! while the store has no room none is made.

use weir_mqtt::PublishProperties;

use crate::authorize;
use crate::clock::Now;
use crate::core::Core;
use crate::inflight::Delivered;
use crate::key::SessionKey;
use crate::message::{Message, MessageParts};
use crate::metrics::DropReason;
use crate::router::Origin;

impl Core {
    /// A client does not get a message that it should have got: it is counted, and a letter is
    /// made of it if letters are wanted.
    pub(crate) fn lose(
        &mut self,
        now: Now,
        key: SessionKey,
        reason: DropReason,
        parts: &MessageParts<'_>,
    ) {
        self.count_drop(now, key, reason);
        let Some(root) = self.limits.dead_letter.as_deref() else { return };
        if !is_worth_a_letter(reason) || is_below(root, parts.topic) {
            return;
        }
        if self.turn.dead_letters.len() >= LETTERS_MAX || self.is_store_full() {
            self.metrics.dead_letters_missed += 1;
            return;
        }
        let client_id = &*self.sessions[key as usize].client_id;
        let topic = self.letter_topic(root, client_id, parts.topic);
        let pairs = [
            ("dead-letter-reason", reason.name()),
            ("dead-letter-client", client_id),
            ("dead-letter-topic", parts.topic),
        ];
        let mut properties = parts.properties.to_vec();
        let about =
            PublishProperties { user_properties: (&pairs[..]).into(), ..Default::default() };
        about
            .encode_end_to_end(&mut properties)
            .expect("names that came in packets can go out in one");
        let letter = MessageParts {
            retain: false,
            expires_at_ms: None,
            received_at_ms: now.unix_ms,
            publisher: "",
            topic: &topic,
            properties: &properties,
            ..*parts
        };
        self.turn.dead_letters.push_back(Message::new(&letter, &mut Vec::new()));
    }

    /// The same for a message that has waited, or was about to. A retained message for a new
    /// subscription is not lost: it is retained.
    pub(crate) fn lose_waiting(
        &mut self,
        now: Now,
        key: SessionKey,
        reason: DropReason,
        delivered: Delivered,
        message: &Message,
    ) {
        if delivered.replay {
            self.count_drop(now, key, reason);
        } else {
            self.lose(now, key, reason, &message.parts());
        }
    }

    /// The same for one that has waited, possibly on the disk only: then there is no letter.
    pub(crate) fn lose_held(
        &mut self,
        now: Now,
        key: SessionKey,
        reason: DropReason,
        delivered: Delivered,
    ) {
        if let Some(message) = self.log.message(delivered.sequence).cloned() {
            return self.lose_waiting(now, key, reason, delivered, &message);
        }
        self.count_drop(now, key, reason);
        if self.limits.dead_letter.is_some() && is_worth_a_letter(reason) {
            self.metrics.dead_letters_missed += 1;
        }
    }

    /// Publishes the letters that were made.
    pub(crate) fn publish_dead_letters(&mut self, now: Now) {
        while let Some(letter) = self.turn.dead_letters.pop_front() {
            self.metrics.dead_letters += 1;
            // The message may be one that nobody may see before this turn is durable.
            let is_provisional = self.durable_changes() > 0;
            let origin = Origin { is_provisional, ..Origin::default() };
            let level = self.level_inside(letter.topic());
            self.route(now, level, &letter.parts(), origin, Some(letter.clone()));
        }
    }

    /// Whether a topic belongs to the broker, so that no client may write it.
    pub(crate) fn is_of_broker(&self, topic: &str) -> bool {
        let letters = self.limits.dead_letter.as_deref();
        authorize::is_of_broker(topic) || letters.is_some_and(|root| is_below(root, topic))
    }

    /// Where a letter is published. What would make the name invalid, too long or too deep is
    /// left out: it stands in the properties.
    fn letter_topic(&self, root: &str, client_id: &str, topic: &str) -> String {
        let client_level = client_id.replace(['+', '#', '/'], "_");
        let whole = format!("{root}/{client_level}/{topic}");
        let levels = whole.split('/').count();
        if whole.len() <= self.limits.topic_bytes_max && levels <= self.limits.topic_levels_max {
            whole
        } else {
            format!("{root}/{client_level}")
        }
    }
}

/// What an ACL forbids is nobody else's to read, and what was QoS 0 to a slow client was to be
/// dropped in such a case: letters would make an overload worse, or a full disk fuller.
fn is_worth_a_letter(reason: DropReason) -> bool {
    match reason {
        DropReason::Expired
        | DropReason::QueueFull
        | DropReason::Refused
        | DropReason::TooLarge => true,
        DropReason::Acl
        | DropReason::DiskFull
        | DropReason::RetainedFull
        | DropReason::SlowQos0
        | DropReason::Unreadable => false,
    }
}

/// Whether a topic is `root`, or below it.
fn is_below(root: &str, topic: &str) -> bool {
    topic.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Letters that wait at a time; they are made of one input.
const LETTERS_MAX: usize = 1024;
