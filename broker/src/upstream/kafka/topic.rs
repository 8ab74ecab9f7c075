//! A topic at Kafka: which brokers lead its partitions, and what waits for each of them.
//!
//! Pure: it is told what the brokers say and asked what to send. Of a partition one batch is under
//! way at a time, so its records stay in the order in which the messages came. What was not stored
//! goes back to where it was.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::partitioner::partition;
use super::record::Record;
use crate::upstream::desk::Numbered;
use crate::upstream::error::LinkError;

/// A message on its way.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Without its payload, which is in the record.
    pub(super) message: Numbered,
    pub(super) record: Record,
    /// It was in a batch of which one message is wrong.
    pub(super) is_alone: bool,
}

#[derive(Debug)]
pub(super) struct Topic {
    /// The leader of each partition; empty as long as nobody has said.
    leaders: Vec<Option<i32>>,
    partitions: BTreeMap<i32, Partition>,
    /// What came before it was known how many partitions there are.
    unassigned: VecDeque<Waiting>,
    /// The partition for what has no key.
    turn: usize,
    /// When the brokers are to be asked about it again.
    ask_at: Instant,
    /// Whether nothing is sent before they have answered.
    is_stale: bool,
    trouble: Option<Trouble>,
    /// Why nothing is stored under it, and until when that is believed.
    forbidden: Option<(String, Instant)>,
    /// Bytes in a batch: less after one was too large.
    batch_bytes: usize,
}

#[derive(Debug, Default)]
struct Partition {
    waiting: VecDeque<Waiting>,
    is_under_way: bool,
}

/// Something that passes, for a while.
#[derive(Clone, Copy, Debug)]
struct Trouble {
    since: Instant,
    pause: Duration,
}

/// What a broker is to store in one partition.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) partition: i32,
    pub(super) leader: i32,
    pub(super) messages: Vec<Waiting>,
    pub(super) bytes: usize,
}

impl Topic {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            leaders: Vec::new(),
            partitions: BTreeMap::new(),
            unassigned: VecDeque::new(),
            turn: 0,
            ask_at: now,
            is_stale: true,
            trouble: None,
            forbidden: None,
            batch_bytes: BATCH_BYTES_MAX,
        }
    }

    /// Takes a message, behind the others.
    pub(super) fn push(&mut self, waiting: Waiting) {
        if self.leaders.is_empty() {
            self.unassigned.push_back(waiting);
            return;
        }
        let place = match &waiting.record.key {
            Some(key) => partition(key.as_bytes(), self.leaders.len()),
            None => self.keyless(),
        };
        // A list of the brokers is far shorter than that.
        let place = i32::try_from(place).unwrap_or(i32::MAX);
        self.partitions.entry(place).or_default().waiting.push_back(waiting);
    }

    /// The brokers say who leads its partitions; there is at least one.
    ///
    /// # Errors
    /// What waits for a partition without a leader.
    pub(super) fn set_leaders(
        &mut self,
        leaders: Vec<Option<i32>>,
        now: Instant,
    ) -> Result<(), i32> {
        self.leaders = leaders;
        self.is_stale = false;
        self.ask_at = now + LEADERS_AGE_MAX;
        for waiting in std::mem::take(&mut self.unassigned) {
            self.push(waiting);
        }
        let led = |number: &i32| self.leader(*number).is_some();
        let waits = |partition: &Partition| !partition.waiting.is_empty();
        let mut waiting = self.partitions.iter().filter(|(_, partition)| waits(partition));
        waiting.find(|(number, _)| !led(number)).map_or(Ok(()), |(number, _)| Err(*number))
    }

    /// Something is wrong that passes: the brokers are asked again after a pause.
    ///
    /// # Errors
    /// It has not passed within the time after which somebody should know.
    pub(super) fn trouble(
        &mut self,
        error: LinkError,
        within: Duration,
        now: Instant,
    ) -> Result<(), LinkError> {
        let first = Trouble { since: now, pause: PAUSE_MIN };
        let trouble = self
            .trouble
            .map_or(first, |before| Trouble { pause: (before.pause * 2).min(PAUSE_MAX), ..before });
        self.trouble = Some(trouble);
        self.is_stale = true;
        self.ask_at = now + trouble.pause;
        if now.duration_since(trouble.since) < within { Ok(()) } else { Err(error) }
    }

    /// When the brokers are to be asked about it; none while nothing waits.
    pub(super) fn ask_at(&self) -> Option<Instant> {
        (!self.is_idle()).then_some(self.ask_at)
    }

    /// The brokers are being asked; without a word about it they are asked again.
    pub(super) fn asked(&mut self, now: Instant) {
        self.ask_at = now + QUESTION_AGE_MAX;
    }

    /// The brokers have changed: they are asked again before anything is sent.
    pub(super) fn ask_again(&mut self, now: Instant) {
        (self.is_stale, self.ask_at) = (true, now);
    }

    /// Nothing is stored under it, and that will not change in the next moment.
    pub(super) fn forbid(&mut self, reason: String, now: Instant) {
        self.forbidden = Some((reason, now + FORBIDDEN_AGE_MAX));
        self.ask_at = now;
    }

    /// Why nothing is stored under it.
    pub(super) fn forbidden(&self, now: Instant) -> Option<&str> {
        let (reason, until) = self.forbidden.as_ref()?;
        (now < *until).then_some(reason)
    }

    /// What can be sent, at most one batch for each partition whose leader `takes` so many bytes.
    pub(super) fn take(&mut self, mut takes: impl FnMut(i32, usize) -> bool) -> Vec<Taken> {
        let mut all = Vec::new();
        if self.is_stale {
            return all;
        }
        let leaders = &self.leaders;
        for (number, partition) in &mut self.partitions {
            let place = usize::try_from(*number).ok();
            let leader = place.and_then(|place| leaders.get(place).copied().flatten());
            let Some(leader) = leader else { continue };
            if partition.is_under_way {
                continue;
            }
            let (count, bytes) = partition.batch(self.batch_bytes);
            if count > 0 && takes(leader, bytes) {
                partition.is_under_way = true;
                let messages = partition.waiting.drain(..count).collect();
                all.push(Taken { partition: *number, leader, messages, bytes });
            }
        }
        if !all.is_empty() {
            self.turn = self.turn.wrapping_add(1);
        }
        all
    }

    /// A batch is stored.
    pub(super) fn stored(&mut self, partition: i32) {
        self.trouble = None;
        self.batch_bytes = (self.batch_bytes * 2).min(BATCH_BYTES_MAX);
        self.settle(partition);
    }

    /// A batch of so many bytes was too large: the next ones are smaller.
    pub(super) fn too_large(&mut self, bytes: usize) {
        self.batch_bytes = (bytes / 2).clamp(1, BATCH_BYTES_MAX);
    }

    /// A batch is not under way any more.
    pub(super) fn settle(&mut self, partition: i32) {
        if let Some(partition) = self.partitions.get_mut(&partition) {
            partition.is_under_way = false;
        }
    }

    /// Takes back messages that were taken, to where they were.
    pub(super) fn give_back(&mut self, partition: i32, messages: Vec<Waiting>) {
        let waiting = &mut self.partitions.entry(partition).or_default().waiting;
        messages.into_iter().rev().for_each(|message| waiting.push_front(message));
    }

    /// Everything that waits.
    pub(super) fn drain(&mut self) -> Vec<Waiting> {
        let mut all: Vec<Waiting> = self.unassigned.drain(..).collect();
        for partition in self.partitions.values_mut() {
            all.extend(partition.waiting.drain(..));
        }
        all
    }

    /// Whether nothing waits and nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        let is_idle =
            |partition: &Partition| partition.waiting.is_empty() && !partition.is_under_way;
        self.unassigned.is_empty() && self.partitions.values().all(is_idle)
    }

    fn leader(&self, partition: i32) -> Option<i32> {
        let place = usize::try_from(partition).ok()?;
        self.leaders.get(place).copied().flatten()
    }

    /// The same one until a batch has gone there, of those that have a leader.
    fn keyless(&self) -> usize {
        let count = self.leaders.len();
        let places = (0..count).map(|step| (self.turn % count + step) % count);
        let mut led = places.filter(|place| self.leaders[*place].is_some());
        led.next().unwrap_or(self.turn % count)
    }
}

impl Partition {
    /// How many messages go into the next batch, and their bytes.
    fn batch(&self, bytes_max: usize) -> (usize, usize) {
        let (mut count, mut bytes) = (0, 0);
        for waiting in &self.waiting {
            let more = waiting.record.bytes();
            if count > 0 && (waiting.is_alone || bytes + more > bytes_max) {
                break;
            }
            (count, bytes) = (count + 1, bytes + more);
            if waiting.is_alone {
                break;
            }
        }
        (count, bytes)
    }
}

/// Records of one batch together, before they are compressed; half of what a broker takes unless it
/// was told otherwise.
const BATCH_BYTES_MAX: usize = 512 * 1024;
/// So long a list of partitions is believed, as by other producers.
const LEADERS_AGE_MAX: Duration = Duration::from_secs(300);
/// So long the brokers may think about a question.
const QUESTION_AGE_MAX: Duration = Duration::from_secs(60);
/// So long a topic that is not for this user is not asked for again.
const FORBIDDEN_AGE_MAX: Duration = Duration::from_secs(10);
/// Between two questions about a topic with which something is wrong.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::outgoing::Outgoing;

    fn waiting(key: Option<&str>, value: &str) -> Waiting {
        Waiting {
            message: Numbered { outgoing: Outgoing::default(), number: Some(1) },
            record: Record {
                timestamp_ms: None,
                key: key.map(str::to_owned),
                value: value.as_bytes().to_vec(),
                headers: Vec::new(),
            },
            is_alone: false,
        }
    }

    fn values(taken: &Taken) -> Vec<String> {
        let values = taken.messages.iter().map(|waiting| waiting.record.value.clone());
        values.map(|value| String::from_utf8(value).unwrap()).collect()
    }

    fn known(partitions: usize) -> Topic {
        let mut topic = Topic::new(Instant::now());
        topic.set_leaders(vec![Some(1); partitions], Instant::now()).unwrap();
        topic
    }

    #[test]
    fn messages_wait_until_the_partitions_are_known() {
        let now = Instant::now();
        let mut topic = Topic::new(now);
        assert_eq!(topic.ask_at(), None, "nobody wants to know");
        ["1", "2", "3"].iter().for_each(|value| topic.push(waiting(Some("a"), value)));
        assert_eq!(topic.ask_at(), Some(now));
        assert!(topic.take(|_, _| true).is_empty());
        topic.set_leaders(vec![Some(4), Some(4)], now).unwrap();
        let taken = topic.take(|leader, _| leader == 4);
        assert_eq!(taken.len(), 1, "one key is in one partition");
        assert_eq!(values(&taken[0]), ["1", "2", "3"]);
    }

    #[test]
    fn a_partition_has_one_batch_under_way_and_keeps_its_order() {
        let mut topic = known(1);
        ["1", "2"].iter().for_each(|value| topic.push(waiting(Some("a"), value)));
        let mut first = topic.take(|_, _| true);
        topic.push(waiting(Some("a"), "3"));
        assert!(topic.take(|_, _| true).is_empty());
        topic.give_back(0, first.remove(0).messages);
        topic.settle(0);
        assert_eq!(values(&topic.take(|_, _| true)[0]), ["1", "2", "3"]);
        topic.stored(0);
        assert!(topic.is_idle());
    }

    #[test]
    fn a_batch_that_was_too_large_is_followed_by_smaller_ones() {
        let mut topic = known(1);
        let large = "x".repeat(1_000);
        (0..8).for_each(|_| topic.push(waiting(Some("a"), &large)));
        let sizes = |topic: &mut Topic| {
            let mut taken = topic.take(|_, _| true).remove(0);
            let count = taken.messages.len();
            let bytes = taken.bytes;
            topic.give_back(0, std::mem::take(&mut taken.messages));
            topic.too_large(bytes);
            topic.settle(0);
            count
        };
        assert_eq!([(); 5].map(|()| sizes(&mut topic)), [8, 4, 2, 1, 1]);
        topic.take(|_, _| true);
        topic.stored(0);
        topic.push(waiting(Some("a"), &large));
        assert_eq!(topic.take(|_, _| true)[0].messages.len(), 1, "as large as what was stored");
    }

    #[test]
    fn a_message_that_is_suspected_goes_alone() {
        let mut topic = known(1);
        ["1", "2", "3"].iter().for_each(|value| topic.push(waiting(Some("a"), value)));
        let mut messages = topic.take(|_, _| true).remove(0).messages;
        messages.iter_mut().for_each(|waiting| waiting.is_alone = true);
        topic.give_back(0, messages);
        topic.push(waiting(Some("a"), "4"));
        for value in ["1", "2", "3", "4"] {
            topic.settle(0);
            assert_eq!(values(&topic.take(|_, _| true)[0]), [value]);
        }
    }

    #[test]
    fn what_has_no_key_goes_from_partition_to_partition_with_a_leader() {
        let mut topic = known(3);
        topic.set_leaders(vec![Some(1), None, Some(1)], Instant::now()).unwrap();
        let mut partitions = Vec::new();
        for _ in 0..6 {
            ["1", "2"].iter().for_each(|value| topic.push(waiting(None, value)));
            let taken = topic.take(|_, _| true);
            assert_eq!(taken[0].messages.len(), 2);
            partitions.push(taken[0].partition);
            topic.stored(taken[0].partition);
        }
        partitions.sort_unstable();
        partitions.dedup();
        assert_eq!(partitions, [0, 2]);
    }

    #[test]
    fn a_partition_without_a_leader_holds_back_its_messages_only_until_somebody_should_know() {
        let mut topic = Topic::new(Instant::now());
        topic.push(waiting(Some("a"), "1"));
        let now = Instant::now();
        assert_eq!(topic.set_leaders(vec![None], now), Err(0));
        let error = || LinkError::RefusedMessage("no leader".to_owned());
        let within = Duration::from_secs(10);
        assert!(topic.trouble(error(), within, now).is_ok());
        assert_eq!(topic.ask_at(), Some(now + PAUSE_MIN));
        assert!(topic.trouble(error(), within, now + PAUSE_MIN).is_ok());
        assert_eq!(topic.ask_at(), Some(now + PAUSE_MIN * 3), "less and less often");
        assert!(topic.trouble(error(), within, now + within).is_err());
        assert_eq!(topic.drain().len(), 1);
        assert!(topic.is_idle());
    }
}
