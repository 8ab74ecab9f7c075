//! How fast clients may be: the rates that they may have, and what is left of them.
//!
//! Nothing here acts; see `throttle` for what happens to a client that is too fast.

use crate::bucket::Bucket;
use crate::clock::Instant;
use crate::episode::Episode;

/// What one client may do in a second; 0 = no limit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ClientRates {
    /// Bytes of its packets.
    pub bytes: u32,
    /// Messages that it publishes.
    pub messages: u32,
    /// Topic filters that it subscribes to, or unsubscribes from.
    pub subscriptions: u32,
}

/// One of the rates that are limited.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum RateLimit {
    /// See [`ClientRates::bytes`].
    Bytes,
    /// Connections of one listener.
    Connects,
    /// See [`ClientRates::messages`].
    Messages,
    /// See [`ClientRates::subscriptions`].
    Subscriptions,
}

/// How often somebody had to wait for having been too fast.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Throttles {
    /// A client was not read, for its bytes.
    pub bytes: u64,
    /// A listener took no connections.
    pub connects: u64,
    /// A client was not read, for its messages.
    pub messages: u64,
    /// A client was not read, for its subscriptions.
    pub subscriptions: u64,
}

impl RateLimit {
    /// Every limit, in the order of their names.
    pub const ALL: [Self; 4] = [Self::Bytes, Self::Connects, Self::Messages, Self::Subscriptions];

    /// Its name, as the operator reads it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Connects => "connects",
            Self::Messages => "messages",
            Self::Subscriptions => "subscriptions",
        }
    }
}

impl Throttles {
    /// What happened here and there.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            bytes: self.bytes + other.bytes,
            connects: self.connects + other.connects,
            messages: self.messages + other.messages,
            subscriptions: self.subscriptions + other.subscriptions,
        }
    }

    /// Each limit with its count, in the order of their names.
    pub fn by_limit(&self) -> impl Iterator<Item = (&'static str, u64)> {
        RateLimit::ALL.into_iter().map(|limit| (limit.name(), self.of(limit)))
    }

    /// How often one of the limits made somebody wait.
    #[must_use]
    pub fn of(&self, limit: RateLimit) -> u64 {
        match limit {
            RateLimit::Bytes => self.bytes,
            RateLimit::Connects => self.connects,
            RateLimit::Messages => self.messages,
            RateLimit::Subscriptions => self.subscriptions,
        }
    }

    pub(crate) fn count(&mut self, limit: RateLimit) {
        *match limit {
            RateLimit::Bytes => &mut self.bytes,
            RateLimit::Connects => &mut self.connects,
            RateLimit::Messages => &mut self.messages,
            RateLimit::Subscriptions => &mut self.subscriptions,
        } += 1;
    }
}

/// What is left of one limit.
#[derive(Debug)]
struct Meter {
    limit: RateLimit,
    bucket: Bucket,
    episode: Episode,
}

impl Meter {
    fn new(limit: RateLimit, per_second: u32, now: Instant) -> Option<Self> {
        Some(Self { limit, bucket: Bucket::new(per_second, now)?, episode: Episode::default() })
    }
}

/// What is left of the rates of one connection, or of one listener.
#[derive(Debug)]
pub(crate) struct Allowance {
    meters: Vec<Meter>,
    /// It waits until then, and a timer is armed for that.
    pub(crate) waits_until: Option<Instant>,
}

impl Allowance {
    /// Of a client; none when nothing is limited.
    pub(crate) fn of_client(rates: ClientRates, now: Instant) -> Option<Box<Self>> {
        Self::new(
            [
                (RateLimit::Bytes, rates.bytes),
                (RateLimit::Messages, rates.messages),
                (RateLimit::Subscriptions, rates.subscriptions),
            ],
            now,
        )
    }

    /// Of a listener; none when nothing is limited.
    pub(crate) fn of_listener(connects: u32, now: Instant) -> Option<Box<Self>> {
        Self::new([(RateLimit::Connects, connects)], now)
    }

    fn new(rates: impl IntoIterator<Item = (RateLimit, u32)>, now: Instant) -> Option<Box<Self>> {
        let meters = rates.into_iter().filter_map(|(limit, rate)| Meter::new(limit, rate, now));
        let meters: Vec<Meter> = meters.collect();
        (!meters.is_empty()).then(|| Box::new(Self { meters, waits_until: None }))
    }

    /// Takes what something costs, also if there is less.
    pub(crate) fn take(&mut self, limit: RateLimit, cost: usize, now: Instant) {
        if let Some(meter) = self.meters.iter_mut().find(|meter| meter.limit == limit) {
            meter.bucket.take(cost, now);
        }
    }

    /// Which of these limits has to be waited for longest, and until when; none when all have
    /// something left.
    pub(crate) fn lacks_until(
        &mut self,
        limits: &[RateLimit],
        now: Instant,
    ) -> Option<(Instant, RateLimit)> {
        let meters = self.meters.iter_mut().filter(|meter| limits.contains(&meter.limit));
        meters.filter_map(|meter| Some((meter.bucket.lacks_until(now)?, meter.limit))).max()
    }

    /// It has to wait for a limit; true when that begins an episode.
    pub(crate) fn begins_episode(&mut self, limit: RateLimit, now: Instant) -> bool {
        let meter = self.meters.iter_mut().find(|meter| meter.limit == limit);
        meter.is_some_and(|meter| meter.episode.begins(now))
    }
}
