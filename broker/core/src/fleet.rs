//! What a core does for a fleet of brokers: it tells a reader of that kind of every change of what
//! is retained, takes over what others have retained, and says what is wanted here.
//!
//! Of two messages for one topic every broker keeps the same one, the one with the higher
//! [version](crate::RetainedVersion). A change that is made here always has a higher version than
//! whatever it takes the place of, however wrong the clock of another broker is (a hybrid logical
//! clock for each topic; Kulkarni et al. 2014). Only the first shard compares: all changes of what
//! is retained come by there, and those that come from other brokers it hands to the other shards.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Now;
use crate::core::Core;
use crate::durability::Durability;
use crate::effect::Effect;
use crate::forwards::{Forwarded, ForwardedMessage};
use crate::identity::ReaderId;
use crate::interest::InterestChange;
use crate::key::SessionKey;
use crate::message::{Message, MessageParts, RetainedVersion};
use crate::reader_config::ReaderKind;
use crate::router::Origin;

/// When the retained messages of topics were removed, as far as it may still be asked: until the
/// fleet knows of it, or while that is still to come by the clock of this broker.
#[derive(Debug, Default)]
pub(crate) struct Removals(BTreeMap<Box<str>, u64>);

impl Removals {
    /// Beyond it the earliest one is forgotten: an older value may then come back from a broker
    /// that was away.
    const MAX: usize = 4096;

    fn time(&self, topic: &str) -> Option<u64> {
        self.0.get(topic).copied()
    }

    fn put(&mut self, topic: &str, time_ms: u64) {
        self.0.insert(topic.into(), time_ms);
        if self.0.len() > Self::MAX {
            let earliest = self.0.iter().min_by_key(|(_, time_ms)| **time_ms);
            let earliest = earliest.map(|(topic, _)| topic.clone());
            earliest.map(|topic| self.0.remove(&topic));
        }
    }

    fn forget(&mut self, topic: &str) {
        self.0.remove(topic);
    }
}

/// What subscribers were handed, the last of each topic: it may come as a message after that, if its
/// sender was cut off before it knew that others have it.
#[derive(Debug, Default)]
pub(crate) struct Handed(BTreeMap<Box<str>, RetainedVersion>);

impl Handed {
    /// Beyond it one is forgotten, and is delivered twice if it comes again.
    const MAX: usize = 1024;

    fn put(&mut self, topic: &str, version: RetainedVersion) {
        if self.0.len() >= Self::MAX {
            self.0.pop_first();
        }
        self.0.insert(topic.into(), version);
    }

    fn take(&mut self, topic: &str, version: RetainedVersion) -> bool {
        let is_same = self.0.get(topic) == Some(&version);
        is_same && self.0.remove(topic).is_some()
    }
}

impl Core {
    /// The reader that stands for the fleet, if there is one and it reads the log of this shard.
    pub(crate) fn fleet(&self) -> Option<ReaderId> {
        let mut readers = self.readers.iter().filter(|_| self.has_readers());
        let fleet = readers.find(|reader| reader.config.kind == ReaderKind::Fleet);
        fleet.map(|reader| reader.config.reader)
    }

    /// When a retained message counts as received that takes the place of the one before.
    pub(crate) fn time_of_change(&self, now: Now, topic: &str) -> u64 {
        let before = self.retained.get(topic).map(|before| before.parts().received_at_ms);
        let removed = self.removals.time(topic);
        let before = before.max(removed).map_or(0, |before| before.saturating_add(1));
        before.max(now.unix_ms)
    }

    /// Tells the fleet of a change of what is retained, which others are to have in any case.
    pub(crate) fn tell_fleet(
        &mut self,
        fleet: ReaderId,
        level: Durability,
        parts: &MessageParts<'_>,
    ) {
        if parts.payload.is_empty() {
            self.removals.put(parts.topic, parts.received_at_ms);
        } else {
            self.removals.forget(parts.topic);
        }
        if level != Durability::None {
            return self.append_for_reader(fleet, parts);
        }
        if let Some(reader) = self.readers.iter_mut().find(|one| one.config.reader == fleet) {
            reader.records.push(None, parts);
        }
    }

    /// Whether a retained message of another broker takes the place of what is here.
    pub(crate) fn is_newer(&self, message: &Message) -> bool {
        let version = message.version();
        let topic = message.topic();
        let before = self.retained.get(topic).map(Message::version);
        let removed = self.removals.time(topic);
        before.is_none_or(|before| version > before)
            && removed.is_none_or(|at| (version.time_ms, version.is_removal) >= (at, true))
    }

    /// What others have retained takes the place of what is here, unless that is newer. Nobody is
    /// sent it: who subscribes gets it as a message.
    pub(crate) fn handle_retained_elsewhere(&mut self, now: Now, messages: &[Message]) {
        for message in messages {
            if let Some(level) = self.level_of_news(now, message) {
                self.retain_forwarded(message);
                self.forward_retained(message, level);
            }
        }
    }

    /// The same for something that whoever subscribes has not got as a message and will not: they
    /// had subscribed before it came here, and the broker that has it did not know yet.
    pub(crate) fn publish_retained_news(
        &mut self,
        now: Now,
        parts: &MessageParts<'_>,
        origin: ReaderId,
    ) {
        let message = Message::new(parts, &mut self.scratch);
        // Where nothing is retained it would be news whenever it is heard of.
        if self.limits.retain_available && self.level_of_news(now, &message).is_some() {
            let session = self.publisher_elsewhere(Some(origin), parts.publisher);
            self.publish(now, parts, Origin { session, reader: Some(origin), ..Origin::default() });
            self.handed.put(parts.topic, message.version());
        }
    }

    /// Whether subscribers have this message of the fleet, because they were handed it.
    pub(crate) fn was_handed(
        &mut self,
        parts: &MessageParts<'_>,
        origin: Option<ReaderId>,
    ) -> bool {
        let may_be = parts.retain && !self.handed.0.is_empty() && origin.is_some();
        if !may_be || origin != self.fleet() {
            return false;
        }
        let version = Message::new(parts, &mut self.scratch).version();
        self.handed.take(parts.topic, version)
    }

    /// At which level something is kept that others have retained; none if it is no news here, or
    /// there is no room for it.
    fn level_of_news(&mut self, now: Now, message: &Message) -> Option<Durability> {
        let parts = message.parts();
        self.settle_removal(now, parts.topic, message.version());
        let is_nothing = parts.payload.is_empty() && !self.retained.contains(parts.topic);
        if is_nothing || !self.is_newer(message) || message.is_expired(now.unix_ms) {
            return None;
        }
        let origin = Origin { reader: self.fleet(), ..Origin::default() };
        let level = self.level_of(parts.topic);
        self.has_room_to_retain(now, level, &parts, origin).then_some(level)
    }

    /// A change that was made elsewhere need not be compared any more with a removal that it is, or
    /// that it is newer than; a removal that is still to come by this clock is remembered.
    fn settle_removal(&mut self, now: Now, topic: &str, version: RetainedVersion) {
        if self.removals.time(topic).is_some_and(|removed| removed <= version.time_ms) {
            self.removals.forget(topic);
        }
        let is_removal = version.is_removal;
        let is_newest = self.retained.get(topic).is_none_or(|before| before.version() < version);
        if is_removal && is_newest && version.time_ms > now.unix_ms {
            self.removals.put(topic, version.time_ms);
        }
    }

    fn forward_retained(&mut self, message: &Message, level: Durability) {
        if !self.peers.any() {
            return;
        }
        let version = self.peers.next_version(message.topic());
        for shard in self.peers.others() {
            let forwarded = ForwardedMessage {
                kind: Forwarded::RetainedElsewhere { version },
                message: message.clone(),
                level,
                is_provisional: false,
                is_unkept: false,
                waits: None,
            };
            self.push_forward(shard, forwarded, false);
        }
    }

    /// Somebody here begins or ends to want what a filter matches. Only a fleet wants to know.
    pub(crate) fn note_own_interest(&mut self, filter: &Arc<str>, is_wanted: bool) {
        if self.tells_interest {
            self.turn.interest.push(InterestChange { filter: filter.clone(), is_wanted });
        }
    }

    pub(crate) fn drain_interest(&mut self, effect: &mut impl FnMut(Effect)) {
        if !self.turn.interest.is_empty() {
            effect(Effect::Interest(std::mem::take(&mut self.turn.interest)));
        }
    }

    /// Retains a message that is published in this shard. The fleet is told, and need not get the
    /// message for another reason too.
    pub(crate) fn retain_here(
        &mut self,
        now: Now,
        level: Durability,
        parts: &MessageParts<'_>,
        origin: Origin,
    ) -> (Option<Message>, Origin) {
        let fleet = self.fleet().filter(|fleet| origin.reader != Some(*fleet));
        let Some(fleet) = fleet else { return (self.retain(level, parts), origin) };
        let received_at_ms = self.time_of_change(now, parts.topic);
        let timed = MessageParts { received_at_ms, ..*parts };
        let told_level = if origin.is_unkept { Durability::None } else { level };
        self.tell_fleet(fleet, told_level, &timed);
        (self.retain(level, &timed), Origin { reader: Some(fleet), ..origin })
    }

    /// Whether a message comes from the fleet and is retained here no more: a newer one is.
    pub(crate) fn is_outdated(&mut self, parts: &MessageParts<'_>, origin: Origin) -> bool {
        let is_of_fleet = origin.reader.is_some() && origin.reader == self.fleet();
        is_of_fleet && {
            let message = Message::new(parts, &mut self.scratch);
            !self.is_newer(&message)
        }
    }

    /// The session of somebody who has published to another broker of the fleet, if there is one
    /// here of the same name: it may not want its own messages.
    pub(crate) fn publisher_elsewhere(
        &self,
        origin: Option<ReaderId>,
        publisher: &str,
    ) -> Option<SessionKey> {
        let is_of_fleet = origin.is_some() && origin == self.fleet();
        if is_of_fleet { self.named_session(publisher) } else { None }
    }

    /// Whether a message comes from the fleet and may go on to other shards.
    pub(crate) fn is_of_fleet_for_shards(&self, origin: Origin) -> bool {
        origin.reader.is_some() && self.peers.any() && origin.reader == self.fleet()
    }

    /// The session of a publisher, if the message says who that is.
    pub(crate) fn named_session(&self, publisher: &str) -> Option<SessionKey> {
        if publisher.is_empty() { None } else { self.session_of(publisher) }
    }
}
