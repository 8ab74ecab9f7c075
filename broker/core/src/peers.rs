//! What a shard knows of the others, and what it has for them in this turn.
//!
//! Retained messages are in every shard. Of two that are published for one topic in two shards at
//! the same time, every shard has to keep the same one: each gets a version from a clock that runs
//! ahead of all versions seen (Lamport 1978), and the higher one stays. A version is remembered
//! until every other shard has shown a later clock, since none with a lower version can come then.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::change::{Link, Links};
use crate::forwards::{Census, ForwardedMessage, Forwards, Interest};
use crate::identity::{ConnectionId, Sequence, ShardId};
use crate::placement::Placement;

/// The other shards, as one of them sees them.
#[derive(Debug)]
pub(crate) struct Peers {
    shard: ShardId,
    pub(crate) placement: Placement,
    peers: Vec<Peer>,
    clock: u64,
    /// A clock has gone on that the others should know.
    clock_is_news: bool,
    /// The versions of retained messages that a lower one may still come for.
    versions: HashMap<Arc<str>, u64, FixedState>,
    /// Batches of others that were handled in this turn.
    handled: Vec<Link>,
    /// Things of this turn that are to be durable in other shards together with it.
    linked: usize,
    /// The last batch with a filter that others have to know of.
    pub(crate) interest_batch: u64,
    /// Groups whose members have changed in this turn.
    pub(crate) changed_groups: Vec<Arc<str>>,
    /// Filters of others among the subscriptions.
    pub(crate) filters: usize,
    /// Where publishers wait for upstreams of another shard.
    waiting: HashMap<Sequence, Waiting, FixedState>,
    waiting_bytes: usize,
    told: Census,
}

/// A message that upstreams of another shard have to get.
#[derive(Debug)]
struct Waiting {
    bytes: usize,
    publisher: Option<ConnectionId>,
}

#[derive(Debug, Default)]
struct Peer {
    forwards: Forwards,
    /// The number of the last linked batch to it.
    sent: u64,
    /// Its clock when it was heard of last.
    clock: u64,
    census: Census,
}

impl Peers {
    pub(crate) fn new(shard: ShardId, placement: Placement, seed: u64) -> Self {
        let hasher = FixedState::with_seed(seed);
        let count = usize::from(placement.shards());
        assert!(usize::from(shard.0) < count, "a shard is one of those that there are");
        Self {
            shard,
            peers: (0..count).map(|_| Peer::default()).collect(),
            placement,
            clock: 0,
            clock_is_news: false,
            versions: HashMap::with_hasher(hasher.clone()),
            handled: Vec::new(),
            linked: 0,
            interest_batch: 0,
            changed_groups: Vec::new(),
            filters: 0,
            waiting: HashMap::with_hasher(hasher),
            waiting_bytes: 0,
            told: Census::default(),
        }
    }

    /// Whether there is any.
    pub(crate) fn any(&self) -> bool {
        self.peers.len() > 1
    }

    /// The others.
    pub(crate) fn others(&self) -> impl Iterator<Item = ShardId> + use<> {
        let own = self.shard;
        (0..self.placement.shards()).map(ShardId).filter(move |shard| *shard != own)
    }

    /// Tells all others; nothing it rests on may be said before they know.
    pub(crate) fn tell_interest(&mut self, interest: &Interest, batch: u64) {
        if !self.any() {
            return;
        }
        self.interest_batch = batch;
        for shard in self.others() {
            self.link(shard);
            self.peers[usize::from(shard.0)].forwards.push_interest(interest.clone());
        }
    }

    /// Gives a message to another shard. `is_linked`: what becomes of it there has to be durable
    /// together with the batch of this turn.
    pub(crate) fn forward(&mut self, shard: ShardId, message: ForwardedMessage, is_linked: bool) {
        debug_assert!(shard != self.shard, "its own are not forwarded");
        if is_linked {
            self.link(shard);
        }
        self.peers[usize::from(shard.0)].forwards.push_message(message);
    }

    /// A message waits for upstreams of another shard.
    pub(crate) fn wait_for(&mut self, sequence: Sequence, bytes: usize) {
        self.waiting_bytes += bytes;
        self.waiting.insert(sequence, Waiting { bytes, publisher: None });
    }

    /// Its publisher waits on a connection; false when the message waits for nobody.
    pub(crate) fn wait_on(&mut self, sequence: Sequence, publisher: ConnectionId) -> bool {
        let waiting = self.waiting.get_mut(&sequence);
        waiting.map(|waiting| waiting.publisher = Some(publisher)).is_some()
    }

    /// A message waits no longer. Answers where its publisher waits.
    pub(crate) fn end_wait(&mut self, sequence: Sequence) -> Option<ConnectionId> {
        let waiting = self.waiting.remove(&sequence)?;
        self.waiting_bytes -= waiting.bytes;
        waiting.publisher
    }

    /// Bytes of the messages that wait for upstreams of another shard.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Nobody waits any more for a message that the other shard waits for.
    pub(crate) fn release(&mut self, shard: ShardId, waits: Sequence) {
        self.peers[usize::from(shard.0)].forwards.released.push(waits);
    }

    fn link(&mut self, shard: ShardId) {
        self.linked += 1;
        let peer = &mut self.peers[usize::from(shard.0)];
        peer.forwards.number.get_or_insert(peer.sent + 1);
    }

    /// How much of this turn is to be durable together with what comes of it in other shards.
    pub(crate) fn linked(&self) -> usize {
        self.linked + self.handled.len()
    }

    /// Notes what came with a batch of another shard.
    pub(crate) fn heard(&mut self, from: ShardId, forwards: &Forwards) {
        let peer = &mut self.peers[usize::from(from.0)];
        peer.clock = peer.clock.max(forwards.clock);
        if let Some(census) = forwards.census {
            peer.census = census;
        }
        self.clock = self.clock.max(forwards.clock);
        if let Some(number) = forwards.number {
            self.handled.push(Link { shard: from, number });
        }
    }

    /// What the others have, together.
    pub(crate) fn census(&self) -> Census {
        let sum = |sum: Census, peer: &Peer| Census {
            connections: sum.connections + peer.census.connections,
            sessions: sum.sessions + peer.census.sessions,
        };
        self.peers.iter().fold(Census::default(), sum)
    }

    /// Tells the others how many this shard has, if that has changed.
    pub(crate) fn tell_census(&mut self, census: Census) {
        if census == self.told {
            return;
        }
        self.told = census;
        for shard in self.others() {
            self.peers[usize::from(shard.0)].forwards.census = Some(census);
        }
    }

    /// The version of a retained message that is published here.
    pub(crate) fn next_version(&mut self, topic: &str) -> u64 {
        self.clock += 1;
        self.clock_is_news = true;
        let version = (self.clock << u8::BITS) | u64::from(self.shard.0);
        self.versions.insert(topic.into(), version);
        version
    }

    /// Whether a retained message that was published in another shard takes the place of the one
    /// that is here.
    pub(crate) fn supersedes(&mut self, topic: &str, version: u64) -> bool {
        self.clock = self.clock.max(version >> u8::BITS);
        self.clock_is_news = true;
        match self.versions.get_mut(topic) {
            Some(known) if *known > version => false,
            Some(known) => {
                *known = version;
                true
            }
            None => {
                self.versions.insert(topic.into(), version);
                true
            }
        }
    }

    /// Forgets versions that nothing older can come for, once what came with a clock is handled.
    pub(crate) fn forget_versions(&mut self) {
        if self.versions.is_empty() {
            return;
        }
        let own = self.shard;
        let others = self.peers.iter().enumerate();
        let others = others.filter(|(index, _)| *index != usize::from(own.0));
        let shown = others.map(|(_, peer)| peer.clock).min().unwrap_or(u64::MAX);
        self.versions.retain(|_, version| *version >> u8::BITS > shown);
    }

    /// Ends the turn: what there is for each of the others, and how the batch of the turn hangs
    /// together with theirs.
    pub(crate) fn drain(&mut self, mut forward: impl FnMut(ShardId, Forwards)) -> Links {
        let mut links = Links { sent: Vec::new(), handled: std::mem::take(&mut self.handled) };
        self.linked = 0;
        let news = std::mem::take(&mut self.clock_is_news);
        for shard in self.others() {
            let peer = &mut self.peers[usize::from(shard.0)];
            if peer.forwards.is_empty() && !news {
                continue;
            }
            let mut forwards = std::mem::take(&mut peer.forwards);
            forwards.clock = self.clock;
            if let Some(number) = forwards.number {
                peer.sent = number;
                links.sent.push(Link { shard, number });
            }
            forward(shard, forwards);
        }
        links
    }

    /// Versions of retained messages that are remembered; for checks.
    pub(crate) fn versions(&self) -> usize {
        self.versions.len()
    }
}
