//! Messages of shared subscriptions on their way to a member, and from one member to another.
//!
//! A message waits for a member without a connection only while nobody else of the group can
//! take it: members with room take it over, oldest first. What a member leaves behind when its
//! session ends goes to the others, but for a QoS 2 message that it has begun to receive: nobody
//! but the receiver knows whether it has arrived [MQTT-4.8.2-4] [MQTT-4.8.2-5].
//!
//! A message that moves takes a new position in the log, in the batch that moves the cursor of
//! the session it leaves, so a crash finds it with exactly one of the two.

use std::cell::Cell;
use std::sync::Arc;

use smallvec::SmallVec;
use weir_mqtt::QoS;

use crate::authorize::Access;
use crate::change::{Destination, SubscriptionRecord, Target};
use crate::clock::Now;
use crate::core::Core;
use crate::durability::Durability;
use crate::forwards::{Interest, Members};
use crate::identity::ShardId;
use crate::inflight::{Delivered, Inflight, Progress};
use crate::key::SessionKey;
use crate::limits::ShareStrategy;
use crate::message::{Message, MessageParts};
use crate::router::{Match, Origin};
use crate::session::Session;
use crate::share_mark::{ShareMark, hash};
use crate::shared::{Candidate, Member, Place, ShareKey, inner_filter};
use crate::subscriptions::{Holder, Subscriber};

/// A message that a member leaves behind.
pub(crate) struct Legacy {
    share: ShareKey,
    message: Message,
    /// The store has it, or is about to.
    logged: bool,
    /// The batch with what it came from, if that is not durable yet.
    rests_on: Option<u64>,
}

impl Legacy {
    fn new(core: &Core, share: ShareKey, delivered: &Delivered) -> Self {
        Self {
            share,
            message: core.shared_message(delivered),
            logged: delivered.logged,
            rests_on: core.rests_on(delivered.sequence),
        }
    }
}

/// A member that is there.
const ONLINE: u8 = 0;
/// A member without a connection, whose queue takes the message.
const AWAY: u8 = 1;
/// A member that is there, but would get at QoS 0 what was accepted at a higher one.
const UNACKNOWLEDGED: u8 = 2;

/// A session gives messages away past no more than this many that wait before them: the cursor
/// has to name each of those. What stands behind waits for its own session.
const PASSED_OVER_MAX: usize = 1024;

impl Core {
    /// Makes a session's subscription known to the router.
    pub(crate) fn enter_subscription(
        &mut self,
        key: SessionKey,
        filter: &Arc<str>,
        record: &SubscriptionRecord,
    ) {
        let Some(inner) = inner_filter(filter) else {
            let holder = Holder::Session(key);
            let checked = self.sessions[key as usize].checks(filter);
            let subscriber = Subscriber::new(holder, record.options, record.identifier);
            let subscriber = Subscriber { checked, ..subscriber };
            let is_told = self.peers.any() || self.tells_interest;
            let is_news = is_told && !self.subscriptions.has_session(filter);
            self.subscriptions.insert(filter, subscriber);
            if is_news {
                self.tell_interest(&Interest::Wanted(filter.clone()));
            }
            return;
        };
        self.group_changed(filter);
        let (share, is_new) = self.shares.join(filter, key, record);
        let shares = &mut self.sessions[key as usize].shares;
        if !shares.contains(&share) {
            shares.push(share);
            self.note_own_interest(&inner.into(), true);
        }
        if is_new {
            self.subscriptions.insert(&inner.into(), Subscriber::of_share(share));
        }
    }

    /// Makes the router forget a session's subscription.
    pub(crate) fn leave_subscription(&mut self, key: SessionKey, filter: &str) {
        let (Some(inner), Some(share)) = (inner_filter(filter), self.shares.find(filter)) else {
            let is_removed = self.subscriptions.remove(filter, Holder::Session(key));
            let is_told = self.peers.any() || self.tells_interest;
            if is_removed && is_told && !self.subscriptions.has_session(filter) {
                self.tell_interest(&Interest::Unwanted(filter.into()));
            }
            return;
        };
        let whole = self.shares.filter(share).clone();
        self.group_changed(&whole);
        let session = self.sessions.get_mut(key as usize);
        let was_member = session.is_none_or(|session| {
            let before = session.shares.len();
            session.shares.retain(|known| *known != share);
            session.shares.len() < before
        });
        if was_member {
            self.note_own_interest(&inner.into(), false);
        }
        if self.shares.leave(share, key) {
            self.subscriptions.remove(inner, Holder::Share(share));
        }
    }

    /// Puts the chosen member in the place of each group that matches.
    pub(crate) fn choose_members(
        &mut self,
        parts: &MessageParts<'_>,
        origin: Origin,
        matches: &mut Vec<Match>,
    ) {
        if self.shares.count() == 0 {
            return;
        }
        matches.retain_mut(|found| {
            let Holder::Share(share) = found.holder else { return true };
            let hash = self.share_hash(parts, origin);
            match self.place_for(share, hash) {
                Place::Here => self.choose_member_for(share, parts, hash, found),
                Place::There(shard) => {
                    (found.holder, found.group) = (Holder::Shard(shard), Some(share));
                    found.is_further = true;
                    true
                }
                Place::Nowhere => false,
            }
        });
    }

    /// Where the member is that gets a message: the shard is chosen first, by how many members
    /// each has.
    pub(crate) fn place_for(&mut self, share: ShareKey, hash: u64) -> Place {
        if !self.shares.is_spread(share) {
            return Place::Here;
        }
        let own = self.count_members(share);
        let strategy = self.limits.share_strategy;
        self.shares.place(share, strategy, hash, self.shard, own)
    }

    /// Puts the chosen member in the place of a group; false when there is none.
    pub(crate) fn choose_member_for(
        &mut self,
        share: ShareKey,
        parts: &MessageParts<'_>,
        hash: u64,
        found: &mut Match,
    ) -> bool {
        let Some(member) = self.choose_member(share, parts, hash, ONLINE) else {
            return false;
        };
        let mark = &mut self.sessions[member.session as usize].matched;
        found.is_further = mark.0 == self.publish_number;
        *mark = (self.publish_number, 0);
        found.holder = Holder::Session(member.session);
        found.qos = member.qos;
        found.retain_as_published = member.retain_as_published;
        found.identifiers.extend(Some(member.identifier).filter(|one| *one != 0));
        found.share = Some(self.shares.mark(share));
        true
    }

    /// What the strategies that hash go by.
    pub(crate) fn share_hash(&self, parts: &MessageParts<'_>, origin: Origin) -> u64 {
        match self.limits.share_strategy {
            ShareStrategy::HashClient => {
                origin.session.map_or(0, |key| hash(&self.sessions[key as usize].client_id))
            }
            ShareStrategy::HashTopic => hash(parts.topic),
            _ => 0,
        }
    }

    /// The members of a group that are in this shard.
    pub(crate) fn count_members(&self, share: ShareKey) -> Members {
        let mut members = Members::default();
        for member in self.shares.members(share) {
            let session = &self.sessions[member.session as usize];
            let is_online = session.connection.is_some();
            members.all += 1;
            members.online += u32::from(is_online);
            members.online_kept += u32::from(is_online && session.stored);
        }
        members
    }

    /// Takes over what waits for members without a connection, as far as the client has room;
    /// true when that was anything.
    pub(crate) fn take_over(&mut self, key: SessionKey) -> bool {
        for index in 0..self.sessions[key as usize].shares.len() {
            let share = self.sessions[key as usize].shares[index];
            while let Some(from) = self.shares.first_stranded(share) {
                let (taker, giver) = (&self.sessions[key as usize], &self.sessions[from as usize]);
                let member = self.shares.member(share, key).expect("a member of its shares");
                // A message that is kept over a restart stays where it is, if it would not be
                // kept with the other: to lose none goes before to be quick.
                let is_unkept = giver.stored && !taker.stored;
                let room = usize::from(taker.window.saturating_sub(taker.inflight.len()));
                let is_back = giver.connection.is_some();
                if !is_back && (room == 0 || is_unkept || member.qos == QoS::AtMostOnce) {
                    break;
                }
                let mark = self.shares.mark(share);
                let taken = match is_back {
                    true => Vec::new(),
                    false => self.take_waiting(from, mark, room, Some(key)),
                };
                if taken.is_empty() {
                    self.shares.unstrand_first(share);
                    continue;
                }
                for delivered in taken {
                    let legacy = Legacy::new(self, share, &delivered);
                    let level = self.level_again(legacy.message.topic(), legacy.logged);
                    self.settle(from, delivered);
                    // The queue is empty and the window bounds what comes in.
                    let delivered = self.handed_over(level, member, mark, &legacy);
                    let message = &legacy.message;
                    self.push_waiting(key, delivered, message.len());
                    self.log.hold(delivered.sequence, message, message.len());
                    self.record_handover(level, member, mark, delivered, message);
                }
                return true;
            }
        }
        false
    }

    /// A member has lost its connection: the others take what waits for it.
    pub(crate) fn strand(&mut self, now: Now, key: SessionKey) {
        let session = &self.sessions[key as usize];
        if session.queue.is_empty() {
            return;
        }
        for share in Vec::clone(&session.shares) {
            self.shares.strand(share, key);
            let members: Vec<Member> = self.shares.members(share).collect();
            members.iter().for_each(|member| self.pump(now, member.session));
            self.give_stranded(now, share, key);
        }
    }

    /// Gives what waits for a member without a connection to other shards, if somebody is there
    /// and nobody here.
    pub(crate) fn give_stranded(&mut self, now: Now, share: ShareKey, key: SessionKey) {
        if self.count_members(share).online > 0 {
            return;
        }
        let Some((shard, members)) = self.shares.online_elsewhere(share) else { return };
        let session = &self.sessions[key as usize];
        if session.connection.is_some() {
            return;
        }
        // To lose none goes before to be quick.
        if session.stored && members.online_kept < members.online {
            return;
        }
        let mark = self.shares.mark(share);
        for delivered in self.take_waiting(key, mark, usize::MAX, None) {
            let legacy = Legacy::new(self, share, &delivered);
            self.settle(key, delivered);
            self.send_legacy(now, shard, &legacy);
        }
    }

    /// Gives a message that a member has left behind to another shard.
    fn send_legacy(&mut self, now: Now, shard: ShardId, legacy: &Legacy) {
        let Legacy { share, message, logged, rests_on } = legacy;
        if message.is_expired(now.unix_ms) {
            self.metrics.drops.expired += 1;
            return;
        }
        let level = self.level_again(message.topic(), *logged);
        self.forward_to_member(shard, *share, message, level, rests_on.is_some());
    }

    /// What a session that ends owes to the other members of its groups.
    pub(crate) fn legacy(&self, session: &Session) -> Vec<Legacy> {
        if session.shares.is_empty() {
            return Vec::new();
        }
        let has_not_begun = |entry: &&Inflight| match entry.progress {
            Progress::Gated => true,
            Progress::Released => false,
            Progress::Sent | Progress::Waiting => {
                entry.delivery.qos == QoS::AtLeastOnce || !entry.sent_before
            }
        };
        let under_way = session.inflight.iter().filter(has_not_begun).map(|entry| &entry.delivery);
        under_way
            .chain(&*session.queue)
            .filter_map(|delivered| {
                let mark = session.share_of(delivered)?;
                let share = session.shares.iter().find(|share| self.shares.mark(**share) == mark);
                Some(Legacy::new(self, *share?, delivered))
            })
            .collect()
    }

    /// Gives what a member left behind to the others.
    pub(crate) fn bequeath(&mut self, now: Now, legacy: Vec<Legacy>) {
        let mut heirs: Vec<SessionKey> = Vec::new();
        for legacy in legacy {
            let Legacy { share, message, logged, .. } = &legacy;
            if message.is_expired(now.unix_ms) {
                self.metrics.drops.expired += 1;
                continue;
            }
            let parts = message.parts();
            let hash = hash(parts.topic);
            if let Place::There(shard) = self.place_for(*share, hash) {
                self.send_legacy(now, shard, &legacy);
                continue;
            }
            let Some(member) = self.choose_member(*share, &parts, hash, UNACKNOWLEDGED) else {
                continue;
            };
            let mark = self.shares.mark(*share);
            let level = self.level_again(parts.topic, *logged);
            let delivered = self.handed_over(level, member, mark, &legacy);
            if self.enqueue_held(now, member.session, delivered, message) {
                self.record_handover(level, member, mark, delivered, message);
            }
            if !heirs.contains(&member.session) {
                heirs.push(member.session);
            }
        }
        heirs.into_iter().for_each(|heir| self.pump(now, heir));
    }

    /// A session does not share any more: what waits for it goes to the others. What was begun
    /// is finished with it [MQTT-3.10.4-3].
    pub(crate) fn leave_share(&mut self, now: Now, key: SessionKey, filter: &str) {
        let share = self.shares.find(filter);
        let share = share.map(|share| (share, self.shares.mark(share)));
        self.leave_subscription(key, filter);
        let Some((share, mark)) = share else { return };
        if self.shares.members(share).next().is_none() && !self.shares.is_spread(share) {
            return;
        }
        let taken = self.take_waiting(key, mark, usize::MAX, None);
        let legacy = taken.iter().map(|left| Legacy::new(self, share, left)).collect();
        taken.into_iter().for_each(|delivered| self.settle(key, delivered));
        self.bequeath(now, legacy);
    }

    /// A message that waits for a member: it stays in memory, because others may take it over.
    fn shared_message(&self, delivered: &Delivered) -> Message {
        self.log.message(delivered.sequence).expect("shared messages stay in memory").clone()
    }

    /// The member that gets a message, of those that may read it; it is counted when that is
    /// nobody. `without_acknowledgement` is the rank of one that is there but takes it at QoS 0.
    fn choose_member(
        &mut self,
        share: ShareKey,
        parts: &MessageParts<'_>,
        hash: u64,
        without_acknowledgement: u8,
    ) -> Option<Member> {
        let (sessions, qos) = (&self.sessions, parts.qos);
        let is_denied = Cell::new(false);
        let look = |member: &Member| {
            let session = &sessions[member.session as usize];
            if !session.may(Access::Read, parts.topic) {
                is_denied.set(true);
                return None;
            }
            let is_acknowledged = member.qos.min(qos) > QoS::AtMostOnce;
            let rank = match (session.connection.is_some(), is_acknowledged) {
                (true, true) => ONLINE,
                (true, false) if qos == QoS::AtMostOnce => ONLINE,
                (true, false) => without_acknowledgement,
                (false, true) => AWAY,
                (false, false) => return None,
            };
            let load = session.queue.len() + usize::from(session.inflight.len());
            Some(Candidate { rank, load, id: session.id.0 })
        };
        let chosen = self.shares.choose(share, self.limits.share_strategy, hash, look);
        if chosen.is_none() && is_denied.get() {
            self.metrics.drops.acl += 1;
        }
        let member = chosen?;
        if self.sessions[member.session as usize].connection.is_none() {
            self.shares.strand(share, member.session);
        }
        Some(member)
    }

    /// How a message that was accepted earlier waits for a member.
    fn handed_over(
        &mut self,
        level: Durability,
        member: Member,
        mark: ShareMark,
        legacy: &Legacy,
    ) -> Delivered {
        let parts = legacy.message.parts();
        let qos = self.outgoing_qos(member.session, member.qos, parts.qos);
        let qos = self.qos_at(level, member.session, qos);
        let identifiers = identifiers_of(Some(mark), &[member.identifier]);
        let sequence = self.log.reserve();
        if let Some(batch) = legacy.rests_on {
            self.provisional.push_back((batch, sequence));
        }
        Delivered {
            sequence,
            identifier: self.keep_identifiers(member.session, sequence, &identifiers),
            qos,
            retain: member.retain_as_published && parts.retain,
            logged: self.is_logged(level, member.session, qos),
            replay: false,
        }
    }

    /// Tells the store for whom a message waits now.
    fn record_handover(
        &mut self,
        level: Durability,
        member: Member,
        mark: ShareMark,
        delivered: Delivered,
        message: &Message,
    ) {
        if delivered.logged {
            let target = Target {
                destination: Destination::Session(self.sessions[member.session as usize].id),
                qos: delivered.qos,
                retain: delivered.retain,
                packet_id: None,
                subscription_identifiers: identifiers_of(Some(mark), &[member.identifier]),
            };
            let targets = SmallVec::from_iter([target]);
            self.record_logged(level, delivered.sequence, message.clone(), targets);
        }
    }

    /// Takes messages of a share out of a queue, oldest first; they still hold their places in
    /// the log. What `taker` may not read stays.
    fn take_waiting(
        &mut self,
        key: SessionKey,
        mark: ShareMark,
        count_max: usize,
        taker: Option<SessionKey>,
    ) -> Vec<Delivered> {
        let mut taken = Vec::new();
        let mut passed_over = 0;
        while taken.len() < count_max && passed_over < PASSED_OVER_MAX {
            let session = &self.sessions[key as usize];
            let Some(delivered) = session.queue.get(passed_over).copied() else { break };
            let is_shared = session.share_of(&delivered) == Some(mark);
            let may_read = |taker: SessionKey| {
                let message = self.shared_message(&delivered);
                self.sessions[taker as usize].may(Access::Read, message.topic())
            };
            if !is_shared || delivered.qos == QoS::AtMostOnce || !taker.is_none_or(may_read) {
                passed_over += 1;
                continue;
            }
            if delivered.logged {
                let session = &mut self.sessions[key as usize];
                session.passed_over = session.passed_over.max(delivered.sequence);
            }
            self.dequeue(key, passed_over);
            taken.push(delivered);
        }
        taken
    }
}

/// The identifiers that a message waits with: the mark of its share, then those of its
/// subscriptions, of which zero is none.
pub(crate) fn identifiers_of(share: Option<ShareMark>, identifiers: &[u32]) -> SmallVec<[u32; 1]> {
    let mark = share.map(|mark| mark.0);
    mark.into_iter().chain(identifiers.iter().copied().filter(|one| *one != 0)).collect()
}
