//! From one message to everybody who wants it.
//!
//! Matching is borrowed from the packet to the outbound buffers: a QoS 0 message is allocated for
//! nobody. One that has to wait for somebody becomes a shared [`Message`] once, takes one
//! position in the log, and is recorded with the list of those it waits for.

use smallvec::SmallVec;
use weir_mqtt::QoS;

use crate::authorize::Access;
use crate::change::{Destination, Target};
use crate::clock::Now;
use crate::core::Core;
use crate::durability::Durability;
use crate::forwards::Forwarded;
use crate::identity::{ReaderId, Sequence, ShardId};
use crate::key::SessionKey;
use crate::message::{Message, MessageParts};
use crate::metrics::DropReason;
use crate::reader_config::ReaderKind;
use crate::share_mark::ShareMark;
use crate::shared::ShareKey;
use crate::subscriptions::{Holder, Subscriber};

/// Where a message comes from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Origin {
    /// The session of its publisher.
    pub(crate) session: Option<SessionKey>,
    /// The reader that brought it in, which must not get it back.
    pub(crate) reader: Option<ReaderId>,
    /// It rests on changes of the turn, and nobody gets it before those are durable.
    pub(crate) is_provisional: bool,
    /// The store has no room for it: nothing of it is written.
    pub(crate) is_unkept: bool,
    /// It was published in another shard, which has seen to all others.
    pub(crate) is_forwarded: bool,
    /// All other shards get it, whoever subscribes there.
    pub(crate) to_all: Option<ToAll>,
}

/// Why a message goes to all shards.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ToAll {
    /// It changes what is retained, with this version.
    Retained(u64),
    /// It belongs to the `$SYS` tree.
    Sys,
}

/// One receiver of a message, with all its matching subscriptions in one.
#[derive(Clone, Debug)]
pub(crate) struct Match {
    pub(crate) holder: Holder,
    /// The highest QoS of the subscriptions [MQTT-3.3.4-2].
    pub(crate) qos: QoS,
    pub(crate) retain_as_published: bool,
    /// None of the subscriptions says that the receiver may read the topic.
    pub(crate) checked: bool,
    pub(crate) identifiers: SmallVec<[u32; 2]>,
    /// The share whose member this is.
    pub(crate) share: Option<ShareMark>,
    /// The group, when another shard is to choose the member.
    pub(crate) group: Option<ShareKey>,
    /// The receiver gets the message for another reason too; each copy has its own position.
    pub(crate) is_further: bool,
}

/// A message on its way to its receivers.
pub(crate) struct Routing<'a> {
    pub(crate) parts: &'a MessageParts<'a>,
    pub(crate) level: Durability,
    message: Option<Message>,
    sequence: Option<Sequence>,
    is_provisional: bool,
    /// It goes to a member of a share, whose session may be one that is not kept and no target.
    has_member: bool,
    pub(crate) targets: SmallVec<[Target; 2]>,
}

impl Core {
    /// Gives a message to everybody who wants it; true when there was anybody. `message` is the
    /// shared form, when it exists already.
    pub(crate) fn route(
        &mut self,
        now: Now,
        level: Durability,
        parts: &MessageParts<'_>,
        origin: Origin,
        message: Option<Message>,
    ) -> bool {
        let mut matches = std::mem::take(&mut self.matches);
        let names_publisher = self.find_matches(parts.topic, origin, &mut matches);
        // In whatever shard its publisher has a session, that may not want its own messages.
        let names_publisher = names_publisher || self.is_of_fleet_for_shards(origin);
        let any = !matches.is_empty();
        let is_retained = message.is_some();
        let anonymous;
        // A retained one may count as received later, see `fleet.rs`.
        let message = message.filter(|one| one.received_at_ms() == parts.received_at_ms);
        let (parts, message) = match (parts.publisher, names_publisher) {
            ("", _) => (parts, message),
            // What is retained does not say it.
            (_, true) => (parts, message.filter(Message::has_publisher)),
            (_, false) => {
                anonymous = MessageParts { publisher: "", ..*parts };
                (&anonymous, message)
            }
        };
        self.choose_members(parts, origin, &mut matches);
        self.frames.clear();
        let mut routing = Routing::new(level, parts, message, origin.is_provisional);
        if origin.is_provisional && is_retained {
            // Who subscribes now gets it too, and has to wait like the others.
            routing.sequence(self);
        }
        if let Some(to_all) = origin.to_all {
            self.forward_to_all(to_all, origin, &mut routing);
        }
        for found in matches.iter().filter(|found| !found.is_further) {
            self.give(now, found, &origin, &mut routing);
        }
        let message = routing.message.clone();
        self.record_routing(routing);
        for found in matches.iter().filter(|found| found.is_further) {
            let message = message.clone();
            let mut routing = Routing::new(level, parts, message, origin.is_provisional);
            self.give(now, found, &origin, &mut routing);
            self.record_routing(routing);
        }
        matches.clear();
        self.matches = matches;
        any
    }

    fn give(&mut self, now: Now, found: &Match, origin: &Origin, routing: &mut Routing<'_>) {
        routing.has_member |= found.share.is_some();
        match found.holder {
            Holder::Reader(index) => self.give_to_reader(index, routing),
            Holder::Shard(shard) => match found.group {
                Some(share) => {
                    let filter = self.shares.filter(share).clone();
                    let hash = self.share_hash(routing.parts, *origin);
                    let kind = Forwarded::Member { filter, hash, hops: 0 };
                    self.forward(shard, kind, *origin, routing);
                }
                // It has got what all shards get.
                None if origin.to_all.is_some() => {}
                None => self.forward(shard, Forwarded::Wanted, *origin, routing),
            },
            Holder::Session(key)
                if found.checked
                    && !self.sessions[key as usize].may(Access::Read, routing.parts.topic) =>
            {
                self.count_drop(now, key, DropReason::Acl);
            }
            Holder::Session(key) => self.deliver(now, key, found, routing),
            Holder::Share(_) => unreachable!("a member was put in its place"),
        }
    }

    /// Gives a message to one member of a group, of those that are in this shard.
    pub(crate) fn route_to_member(
        &mut self,
        now: Now,
        (share, hash): (ShareKey, u64),
        level: Durability,
        origin: Origin,
        message: &Message,
    ) {
        let parts = &message.parts();
        self.publish_number += 1;
        self.frames.clear();
        let mut found = Match::new(&Subscriber::of_share(share));
        if self.choose_member_for(share, parts, hash, &mut found) {
            let message = Some(message.clone());
            let mut routing = Routing::new(level, parts, message, origin.is_provisional);
            self.give(now, &found, &origin, &mut routing);
            self.record_routing(routing);
        }
    }

    /// What a rule sends upstream: one reader gets it and nobody else.
    pub(crate) fn append_for_reader(&mut self, id: ReaderId, parts: &MessageParts<'_>) {
        let Some(index) = self.reader_index(id) else { return };
        let reader = &mut self.readers[index];
        if !reader.is_here || !reader.takes(parts.topic) {
            return;
        }
        let mut routing = Routing::new(Durability::Commit, parts, None, false);
        let sequence = routing.sequence(self);
        self.readers[index].last = sequence;
        routing.targets.push(reader_target(id, parts.qos, false));
        self.record_routing(routing);
    }

    /// Merges the matching subscriptions of each holder. A mark in the session says where its
    /// match stands, so merging needs no search. Answers whether a reader is among them that wants
    /// to know the publisher.
    fn find_matches(&mut self, topic: &str, origin: Origin, matches: &mut Vec<Match>) -> bool {
        self.publish_number += 1;
        let mut names_publisher = false;
        let (number, sessions, readers) = (self.publish_number, &mut self.sessions, &self.readers);
        let has_readers = self.shard == ShardId::FIRST;
        self.subscriptions.matching(topic, |subscriber| {
            let known = match subscriber.holder {
                Holder::Shard(_) | Holder::Share(_) if origin.is_forwarded => return,
                Holder::Reader(index) if !has_readers => {
                    if origin.is_forwarded {
                        return;
                    }
                    names_publisher |= readers[usize::from(index)].config.names_publishers;
                    let subscriber = Subscriber::of_shard(ShardId::FIRST);
                    if !matches.iter().any(|found| found.holder == subscriber.holder) {
                        matches.push(Match::new(&subscriber));
                    }
                    return;
                }
                Holder::Shard(_) => {
                    matches.iter_mut().find(|found| found.holder == subscriber.holder)
                }
                Holder::Reader(index) => {
                    let config = &readers[usize::from(index)].config;
                    if origin.reader == Some(config.reader) {
                        return;
                    }
                    names_publisher |= config.names_publishers;
                    matches.iter_mut().find(|found| found.holder == subscriber.holder)
                }
                Holder::Session(key) => {
                    if subscriber.no_local && origin.session == Some(key) {
                        return;
                    }
                    let mark = &mut sessions[key as usize].matched;
                    if mark.0 == number {
                        matches.get_mut(mark.1 as usize)
                    } else {
                        *mark = (number, matches.len() as u32);
                        None
                    }
                }
                Holder::Share(_) => None,
            };
            match known {
                Some(known) => known.merge(subscriber),
                None => matches.push(Match::new(subscriber)),
            }
        });
        names_publisher
    }

    fn give_to_reader(&mut self, index: u16, routing: &mut Routing<'_>) {
        let is_held = routing.level == Durability::Upstream
            && routing.parts.qos > QoS::AtMostOnce
            && self.readers[usize::from(index)].config.kind == ReaderKind::Upstream;
        let config = &self.readers[usize::from(index)].config;
        let is_of_fleet = config.kind == ReaderKind::Fleet;
        if is_of_fleet
            && routing.level == Durability::Upstream
            && routing.parts.qos > QoS::AtMostOnce
        {
            // Nobody waits for the fleet, so what it gets has to be written.
            return self.append_for_reader(config.reader, routing.parts);
        }
        if is_held {
            routing.sequence(self);
            let reader = self.readers[usize::from(index)].config.reader;
            routing.targets.push(reader_target(reader, routing.parts.qos, true));
            return;
        }
        let logged = routing.parts.qos > QoS::AtMostOnce && routing.level.is_written();
        if logged && !self.readers[usize::from(index)].takes(routing.parts.topic) {
            return;
        }
        let sequence = logged.then(|| routing.sequence(self));
        let reader = &mut self.readers[usize::from(index)];
        if let Some(sequence) = sequence {
            reader.last = sequence;
            let target = reader_target(reader.config.reader, routing.parts.qos, true);
            routing.targets.push(target);
        }
        if !logged {
            let parts = MessageParts { qos: QoS::AtMostOnce, ..*routing.parts };
            reader.records.push(None, &parts);
        } else if reader.config.kind.takes_logged() {
            reader.records.push(sequence, routing.parts);
        }
    }

    fn record_routing(&mut self, mut routing: Routing<'_>) {
        if routing.targets.is_empty() {
            return;
        }
        let sequence = routing.sequence(self);
        let message = routing.message(self);
        if routing.level == Durability::Upstream {
            return self.hold(sequence, message, routing.targets);
        }
        if !routing.has_member {
            self.log.allow_absence(sequence);
        }
        self.record_logged(routing.level, sequence, message, routing.targets);
    }
}

impl Match {
    pub(crate) fn new(subscriber: &Subscriber) -> Self {
        let mut identifiers = SmallVec::new();
        if subscriber.identifier != 0 {
            identifiers.push(subscriber.identifier);
        }
        Self {
            holder: subscriber.holder,
            qos: subscriber.qos,
            retain_as_published: subscriber.retain_as_published,
            checked: subscriber.checked,
            identifiers,
            share: None,
            group: None,
            is_further: false,
        }
    }

    fn merge(&mut self, subscriber: &Subscriber) {
        self.qos = self.qos.max(subscriber.qos);
        self.retain_as_published |= subscriber.retain_as_published;
        self.checked &= subscriber.checked;
        if subscriber.identifier != 0 {
            self.identifiers.push(subscriber.identifier);
        }
    }
}

impl<'a> Routing<'a> {
    pub(crate) fn new(
        level: Durability,
        parts: &'a MessageParts<'a>,
        message: Option<Message>,
        is_provisional: bool,
    ) -> Self {
        Self {
            parts,
            level,
            message,
            sequence: None,
            is_provisional,
            has_member: false,
            targets: SmallVec::new(),
        }
    }

    /// One that goes on as it came.
    pub(crate) fn of(
        level: Durability,
        parts: &'a MessageParts<'a>,
        message: Message,
        origin: Origin,
    ) -> Self {
        Self::new(level, parts, Some(message), origin.is_provisional)
    }

    /// The message in its shared form.
    pub(crate) fn message(&mut self, core: &mut Core) -> Message {
        self.message.get_or_insert_with(|| Message::new(self.parts, &mut core.scratch)).clone()
    }

    /// Its position in the log.
    pub(crate) fn sequence(&mut self, core: &mut Core) -> Sequence {
        *self.sequence.get_or_insert_with(|| {
            let sequence = core.log.reserve();
            if self.is_provisional {
                core.provisional.push_back((core.turn.batch, sequence));
                core.turn.is_awaited = true;
            }
            sequence
        })
    }
}

fn reader_target(reader: ReaderId, qos: QoS, matched: bool) -> Target {
    Target {
        destination: Destination::Reader(reader),
        qos,
        retain: false,
        packet_id: None,
        // Tells the reader that its own filters brought it, not a rule that named it.
        subscription_identifiers: if matched { SmallVec::from_elem(1, 1) } else { SmallVec::new() },
    }
}
