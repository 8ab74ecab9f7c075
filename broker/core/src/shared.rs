//! Shared subscriptions: groups of sessions, each message of which goes to one member.
//!
//! A group is all that subscribe to the same `$share/name/filter`. It stands once among the
//! subscriptions, whatever the number of its members, and chooses when a message has matched.
//! Which member may get a message at all, and what becomes of one that a member cannot finish,
//! is decided by the modules above.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use slab::Slab;
use smallvec::SmallVec;
use weir_mqtt::{QoS, TopicFilter};

use crate::change::SubscriptionRecord;
use crate::forwards::Members;
use crate::identity::ShardId;
use crate::key::SessionKey;
use crate::limits::ShareStrategy;
use crate::share_mark::ShareMark;

/// The place of a group.
pub(crate) type ShareKey = u32;

/// One session of a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) session: SessionKey,
    pub(crate) qos: QoS,
    pub(crate) retain_as_published: bool,
    /// 0 = none.
    pub(crate) identifier: u32,
}

/// What the choice among members depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// A member of a lower rank is taken before every other.
    pub(crate) rank: u8,
    /// Messages that it has to deal with already.
    pub(crate) load: usize,
    /// What names it over restarts.
    pub(crate) id: u32,
}

/// The groups of a shard.
#[derive(Debug)]
pub(crate) struct Shares {
    groups: Slab<Group>,
    by_filter: HashMap<Arc<str>, ShareKey, FixedState>,
    members: usize,
}

#[derive(Debug)]
struct Group {
    /// With its `$share/` part.
    filter: Arc<str>,
    mark: ShareMark,
    /// In the order in which they joined.
    members: Vec<Member>,
    /// Whose turn it is.
    next: usize,
    last: Option<SessionKey>,
    /// Members without a connection for which messages of the group may wait.
    stranded: Vec<SessionKey>,
    /// The members that other shards have.
    elsewhere: Vec<(ShardId, Members)>,
    /// What other shards were told of those here.
    told: Members,
    /// Whose turn it is among all members of all shards.
    turn: u64,
}

/// Where the member is that gets a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// In this shard.
    Here,
    /// Nobody gets it.
    Nowhere,
    /// In another shard.
    There(ShardId),
}

impl Shares {
    /// No group; `seed` makes the hash of names that clients choose unpredictable.
    pub(crate) fn new(seed: u64) -> Self {
        let by_filter = HashMap::with_hasher(FixedState::with_seed(seed));
        Self { groups: Slab::new(), by_filter, members: 0 }
    }

    /// Makes a session a member, or changes the options of one; true when the group is new.
    pub(crate) fn join(
        &mut self,
        filter: &Arc<str>,
        session: SessionKey,
        record: &SubscriptionRecord,
    ) -> (ShareKey, bool) {
        let (key, is_new) = self.group(filter);
        let member = Member {
            session,
            qos: record.options.qos,
            retain_as_published: record.options.retain_as_published,
            identifier: record.identifier.unwrap_or(0),
        };
        let members = &mut self.groups[key as usize].members;
        match members.iter_mut().find(|known| known.session == session) {
            Some(known) => *known = member,
            None => {
                members.push(member);
                self.members += 1;
            }
        }
        (key, is_new)
    }

    /// The group of a filter; true when it is new.
    fn group(&mut self, filter: &Arc<str>) -> (ShareKey, bool) {
        if let Some(key) = self.by_filter.get(filter) {
            return (*key, false);
        }
        let group = self.groups.insert(Group::new(filter.clone()));
        let key = ShareKey::try_from(group).expect("memory ends before the groups do");
        self.by_filter.insert(filter.clone(), key);
        (key, true)
    }

    /// Ends a membership; true when the group ended with it.
    pub(crate) fn leave(&mut self, key: ShareKey, session: SessionKey) -> bool {
        let group = &mut self.groups[key as usize];
        let place = group.members.iter().position(|member| member.session == session);
        group.members.remove(place.expect("only members leave"));
        self.members -= 1;
        if place.is_some_and(|place| place < group.next) {
            group.next -= 1;
        }
        group.last = group.last.filter(|last| *last != session);
        group.stranded.retain(|stranded| *stranded != session);
        self.end_unused(key)
    }

    /// Ends a group that has no member any more, here or elsewhere; true when that was so.
    pub(crate) fn end_unused(&mut self, key: ShareKey) -> bool {
        let group = &self.groups[key as usize];
        if !group.members.is_empty() || !group.elsewhere.is_empty() {
            return false;
        }
        let group = self.groups.remove(key as usize);
        self.by_filter.remove(&group.filter);
        true
    }

    /// Notes the members of a group in another shard; true when the group is new.
    pub(crate) fn note_elsewhere(
        &mut self,
        filter: &Arc<str>,
        shard: ShardId,
        members: Members,
    ) -> (ShareKey, bool) {
        let (key, is_new) = self.group(filter);
        let group = &mut self.groups[key as usize];
        group.elsewhere.retain(|(known, _)| *known != shard);
        if members.all > 0 {
            group.elsewhere.push((shard, members));
            // Every shard goes through them in one order.
            group.elsewhere.sort_unstable_by_key(|(shard, _)| *shard);
        }
        (key, is_new)
    }

    /// What other shards are to be told of the members here; true when that is news.
    pub(crate) fn tell(&mut self, filter: &str, members: Members) -> bool {
        let Some(key) = self.find(filter) else { return true };
        let told = &mut self.groups[key as usize].told;
        std::mem::replace(told, members) != members
    }

    /// Whether other shards have members of a group.
    pub(crate) fn is_spread(&self, key: ShareKey) -> bool {
        self.groups.get(key as usize).is_some_and(|group| !group.elsewhere.is_empty())
    }

    /// A shard with members that are connected.
    pub(crate) fn online_elsewhere(&self, key: ShareKey) -> Option<(ShardId, Members)> {
        let group = &self.groups[key as usize];
        group.elsewhere.iter().copied().find(|(_, members)| members.online > 0)
    }

    /// The shard of the member that gets a message, by how many each has: of those that are
    /// connected, or of all when nobody is. `own` are those of this shard.
    pub(crate) fn place(
        &mut self,
        key: ShareKey,
        strategy: ShareStrategy,
        hash: u64,
        shard: ShardId,
        own: Members,
    ) -> Place {
        let group = &mut self.groups[key as usize];
        let mut places: SmallVec<[(ShardId, Members); 8]> =
            group.elsewhere.iter().copied().collect();
        places.push((shard, own));
        places.sort_unstable_by_key(|(shard, _)| *shard);
        let is_anybody_there = places.iter().any(|(_, members)| members.online > 0);
        let weight = |members: &Members| {
            u64::from(if is_anybody_there { members.online } else { members.all })
        };
        let total: u64 = places.iter().map(|(_, members)| weight(members)).sum();
        if total == 0 {
            return Place::Nowhere;
        }
        let mut place = match strategy {
            ShareStrategy::HashClient | ShareStrategy::HashTopic => mix(hash) % total,
            ShareStrategy::LeastInflight | ShareStrategy::RoundRobin => {
                group.turn = group.turn.wrapping_add(1);
                group.turn % total
            }
            ShareStrategy::Sticky => 0,
        };
        for (found, members) in &places {
            let weight = weight(members);
            if place < weight {
                return if *found == shard { Place::Here } else { Place::There(*found) };
            }
            place -= weight;
        }
        unreachable!("a place below the sum is with one of them")
    }

    /// The whole filter of a group.
    pub(crate) fn filter(&self, key: ShareKey) -> &Arc<str> {
        &self.groups[key as usize].filter
    }

    /// Members without a connection for which messages of the group may wait.
    pub(crate) fn stranded(&self, key: ShareKey) -> Vec<SessionKey> {
        self.groups[key as usize].stranded.clone()
    }

    /// The member that gets a message. `look` says what there is to know of one, and nothing of
    /// one that must not get it; `hash` is what the hashing strategies go by.
    pub(crate) fn choose(
        &mut self,
        key: ShareKey,
        strategy: ShareStrategy,
        hash: u64,
        look: impl Fn(&Member) -> Option<Candidate>,
    ) -> Option<Member> {
        let group = self.groups.get_mut(key as usize)?;
        let (before, from) = group.members.split_at(group.next.min(group.members.len()));
        let places = (before.len()..).zip(from).chain((0..).zip(before));
        let mut best: Option<((u8, u64), usize)> = None;
        for (place, member) in places {
            let Some(candidate) = look(member) else { continue };
            let cost = match strategy {
                ShareStrategy::HashClient | ShareStrategy::HashTopic => {
                    mix(hash ^ u64::from(candidate.id))
                }
                ShareStrategy::LeastInflight => candidate.load as u64,
                ShareStrategy::RoundRobin => 0,
                ShareStrategy::Sticky => u64::from(group.last != Some(member.session)),
            };
            let cost = (candidate.rank, cost);
            if best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, place));
            }
            if cost == (0, 0) {
                break;
            }
        }
        let (_, place) = best?;
        let member = group.members[place];
        group.next = place + 1;
        group.last = Some(member.session);
        Some(member)
    }

    /// Notes that messages of the group may wait for a member without a connection.
    pub(crate) fn strand(&mut self, key: ShareKey, session: SessionKey) {
        let stranded = &mut self.groups[key as usize].stranded;
        if !stranded.contains(&session) {
            stranded.push(session);
        }
    }

    /// A member that was stranded and of which that was not taken back.
    pub(crate) fn first_stranded(&self, key: ShareKey) -> Option<SessionKey> {
        self.groups[key as usize].stranded.first().copied()
    }

    /// Nothing of the group waits for the first stranded member any more.
    pub(crate) fn unstrand_first(&mut self, key: ShareKey) {
        self.groups[key as usize].stranded.remove(0);
    }

    /// What a session subscribed with.
    pub(crate) fn member(&self, key: ShareKey, session: SessionKey) -> Option<Member> {
        self.members(key).find(|member| member.session == session)
    }

    /// The members of a group; none of one that has ended.
    pub(crate) fn members(&self, key: ShareKey) -> impl Iterator<Item = Member> {
        self.groups.get(key as usize).into_iter().flat_map(|group| group.members.iter().copied())
    }

    /// The group of a filter with its `$share/` part.
    pub(crate) fn find(&self, filter: &str) -> Option<ShareKey> {
        self.by_filter.get(filter).copied()
    }

    /// What marks the messages of a group.
    pub(crate) fn mark(&self, key: ShareKey) -> ShareMark {
        self.groups[key as usize].mark
    }

    /// Number of groups.
    pub(crate) fn count(&self) -> usize {
        self.groups.len()
    }

    /// Number of memberships.
    pub(crate) fn member_count(&self) -> usize {
        self.members
    }
}

impl Group {
    fn new(filter: Arc<str>) -> Self {
        let mark = ShareMark::of(&filter);
        Self {
            filter,
            mark,
            members: Vec::new(),
            next: 0,
            last: None,
            stranded: Vec::new(),
            elsewhere: Vec::new(),
            told: Members::default(),
            turn: 0,
        }
    }
}

/// The text without `$share/name/`, if it is a shared filter.
pub(crate) fn inner_filter(filter: &str) -> Option<&str> {
    let parsed = TopicFilter::parse(filter).ok()?;
    parsed.share_name().map(|_| parsed.filter())
}

/// The end of SplitMix64 (Steele et al. 2014), which spreads every bit over all others.
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::share_mark::hash;
    use weir_mqtt::SubscriptionOptions;

    fn group_of(sessions: &[SessionKey]) -> (Shares, ShareKey) {
        let mut shares = Shares::new(1);
        let record =
            SubscriptionRecord { options: SubscriptionOptions::default(), identifier: None };
        let filter: Arc<str> = "$share/g/t".into();
        let keys = sessions.iter().map(|session| shares.join(&filter, *session, &record).0);
        let key = keys.last().expect("a group has members");
        (shares, key)
    }

    fn choices(
        shares: &mut Shares,
        key: ShareKey,
        strategy: ShareStrategy,
        hashes: impl Iterator<Item = u64>,
        look: impl Fn(&Member) -> Option<Candidate>,
    ) -> Vec<SessionKey> {
        hashes
            .map(|hash| shares.choose(key, strategy, hash, &look).expect("a member").session)
            .collect()
    }

    fn alike(member: &Member) -> Option<Candidate> {
        Some(Candidate { rank: 0, load: 0, id: member.session })
    }

    #[test]
    fn round_robin_goes_round_also_when_members_leave() {
        let (mut shares, key) = group_of(&[1, 2, 3]);
        let robin = ShareStrategy::RoundRobin;
        assert_eq!(choices(&mut shares, key, robin, 0..5, alike), [1, 2, 3, 1, 2]);
        assert!(!shares.leave(key, 1));
        assert_eq!(choices(&mut shares, key, robin, 0..3, alike), [3, 2, 3]);
    }

    #[test]
    fn a_lower_rank_goes_before_every_strategy() {
        let strategies = [
            ShareStrategy::HashClient,
            ShareStrategy::HashTopic,
            ShareStrategy::LeastInflight,
            ShareStrategy::RoundRobin,
            ShareStrategy::Sticky,
        ];
        for strategy in strategies {
            let (mut shares, key) = group_of(&[1, 2, 3]);
            let look = |member: &Member| {
                let rank = u8::from(member.session != 2);
                Some(Candidate { rank, load: 9 - 3 * usize::from(rank), id: member.session })
            };
            assert_eq!(choices(&mut shares, key, strategy, 0..9, look), [2; 9], "{strategy:?}");
        }
    }

    #[test]
    fn the_least_loaded_member_is_taken() {
        let (mut shares, key) = group_of(&[1, 2, 3]);
        let look = |member: &Member| {
            let load = if member.session == 3 { 1 } else { 5 };
            Some(Candidate { rank: 0, load, id: 0 })
        };
        let chosen = choices(&mut shares, key, ShareStrategy::LeastInflight, 0..3, look);
        assert_eq!(chosen, [3, 3, 3]);
    }

    #[test]
    fn a_hash_moves_only_the_messages_of_the_member_that_left() {
        let (mut shares, key) = group_of(&[1, 2, 3, 4]);
        let hashes = || (0..200).map(|n| hash(&format!("device-{n}")));
        let strategy = ShareStrategy::HashClient;
        let before = choices(&mut shares, key, strategy, hashes(), alike);
        for session in 1..=4 {
            let share = before.iter().filter(|chosen| **chosen == session).count();
            assert!((25..=75).contains(&share), "{session} got {share} of 200");
        }
        shares.leave(key, 2);
        let after = choices(&mut shares, key, strategy, hashes(), alike);
        for (before, after) in before.iter().zip(&after) {
            assert!(before == after || *before == 2);
        }
    }

    #[test]
    fn a_group_ends_with_its_last_member() {
        let (mut shares, key) = group_of(&[1, 2]);
        shares.strand(key, 1);
        assert!(!shares.leave(key, 1));
        assert_eq!(shares.first_stranded(key), None);
        assert!(shares.leave(key, 2));
        assert_eq!((shares.count(), shares.member_count()), (0, 0));
        assert!(shares.choose(key, ShareStrategy::RoundRobin, 0, alike).is_none());
        assert_eq!(shares.find("$share/g/t"), None);
    }
}
