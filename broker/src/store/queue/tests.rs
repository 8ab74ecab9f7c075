use super::*;

use weir_core::{Link, Links, Sequence, ShardId};

const SPACING: Duration = Duration::from_millis(50);
const INTERVAL: Duration = Duration::from_secs(1);
const LIMITS: QueueLimits = QueueLimits { batches: 100, bytes: 100_000 };
const PACE: Pace =
    Pace { spacing: Duration::ZERO, flush_interval: INTERVAL, group_bytes_max: 10_000 };
const SPACED: Pace = Pace { spacing: SPACING, ..PACE };

fn batch(number: u64, is_awaited: bool) -> Batch {
    let changes = vec![Change::RetainedRemoved { topic: "t".into() }];
    let links = Links::default();
    Batch { shard: ShardId(0), number, changes, log_start: Sequence(0), is_awaited, links }
}

/// A queue on virtual time.
struct Virtual {
    waiting: Waiting,
    pace: Pace,
    now: Instant,
}

impl Virtual {
    fn new(pace: Pace) -> Self {
        Self { waiting: Waiting::default(), pace, now: Instant::now() }
    }

    fn put(&mut self, number: u64, is_awaited: bool) {
        self.waiting.push(batch(number, is_awaited), 100, self.now);
    }

    /// How long until a group is due; none when nothing is.
    fn left(&self) -> Option<Duration> {
        match self.waiting.due(&self.pace, &LIMITS) {
            Due::At(at) => Some(at.saturating_duration_since(self.now)),
            Due::Never => None,
            Due::Now => Some(Duration::ZERO),
        }
    }

    fn take(&mut self) -> Vec<u64> {
        let mut group = Vec::new();
        self.waiting.take(self.pace.group_bytes_max, self.now, &mut group);
        group.iter().map(|batch| batch.number).collect()
    }

    /// Lets time pass until a group is due, and takes it.
    fn next(&mut self) -> Vec<u64> {
        self.now += self.left().expect("something waits");
        self.take()
    }
}

#[test]
fn what_somebody_waits_for_goes_at_once() {
    let mut queue = Virtual::new(PACE);
    assert_eq!(queue.left(), None);
    for number in 1..4 {
        queue.put(number, true);
        assert_eq!(queue.left(), Some(Duration::ZERO));
        assert_eq!(queue.take(), [number]);
    }
}

#[test]
fn what_nobody_waits_for_goes_after_the_interval_from_the_oldest_on() {
    let mut queue = Virtual::new(PACE);
    queue.put(1, false);
    assert_eq!(queue.left(), Some(INTERVAL));
    queue.now += INTERVAL / 2;
    queue.put(2, false);
    assert_eq!(queue.left(), Some(INTERVAL / 2));
    assert_eq!(queue.next(), [1, 2]);
    assert_eq!(queue.left(), None);
    queue.put(3, false);
    assert_eq!(queue.left(), Some(INTERVAL), "the interval begins with the batch");
}

#[test]
fn one_that_is_awaited_takes_the_earlier_ones_with_it_in_order() {
    let mut queue = Virtual::new(PACE);
    queue.put(1, false);
    queue.put(2, false);
    queue.put(3, true);
    queue.put(4, false);
    assert_eq!(queue.left(), Some(Duration::ZERO));
    assert_eq!(queue.take(), [1, 2, 3, 4]);
    queue.put(5, false);
    assert_eq!(queue.left(), Some(INTERVAL), "nobody is waited for any more");
}

/// A message that comes alone waits for nothing; a stream is cut into groups.
#[test]
fn a_group_begins_a_spacing_after_the_one_before_has_begun() {
    let mut queue = Virtual::new(SPACED);
    queue.put(1, true);
    assert_eq!(queue.left(), Some(Duration::ZERO), "nothing was before");
    assert_eq!(queue.take(), [1]);
    queue.now += SPACING / 2;
    queue.put(2, true);
    assert_eq!(queue.left(), Some(SPACING / 2));
    assert_eq!(queue.next(), [2]);
    queue.now += SPACING * 3;
    queue.put(3, true);
    assert_eq!(queue.left(), Some(Duration::ZERO), "the spacing is over");
}

/// 1,000 messages a second and a spacing of 50 ms make groups of 50.
#[test]
fn a_thousand_messages_a_second_make_groups_of_fifty() {
    let mut queue = Virtual::new(SPACED);
    let mut groups = Vec::new();
    for number in 0..1000 {
        queue.put(number, true);
        queue.now += Duration::from_millis(1);
        if queue.left() == Some(Duration::ZERO) {
            groups.push(queue.take().len());
        }
    }
    assert_eq!(groups[0], 1, "the first waits for nothing");
    assert_eq!(groups[1..], [50; 19]);
}

#[test]
fn a_full_group_waits_for_nothing() {
    let mut queue = Virtual::new(SPACED);
    queue.put(1, true);
    queue.take();
    for number in 0..99 {
        queue.waiting.push(batch(number, false), 101, queue.now);
        assert!(queue.left().is_some_and(|left| left > Duration::ZERO), "{number}");
        if queue.waiting.batches.len() == 49 {
            break;
        }
    }
    queue.waiting.push(batch(100, false), 10_000, queue.now);
    assert_eq!(queue.left(), Some(Duration::ZERO));
    assert_eq!(queue.take().len(), 49, "up to its bytes");
    assert_eq!(queue.take(), [100], "one is taken however large it is");
}

/// Batches that nobody waits for fill the queue, and then the shards would have to wait.
#[test]
fn a_crowded_queue_waits_for_nothing() {
    let mut queue = Virtual::new(PACE);
    for number in 0..49 {
        queue.waiting.push(batch(number, false), 1, queue.now);
        assert_eq!(queue.left(), Some(INTERVAL));
    }
    queue.waiting.push(batch(49, false), 1, queue.now);
    assert_eq!(queue.left(), Some(Duration::ZERO));
}

#[test]
fn a_closed_queue_gives_what_is_left_at_once() {
    let queue = Queue::new(LIMITS, SPACED);
    queue.put(batch(1, false)).expect("there is room");
    queue.put(batch(2, false)).expect("there is room");
    queue.close();
    let mut group = Vec::new();
    assert!(queue.take(&mut group));
    assert_eq!(group.len(), 2);
    assert!(!queue.take(&mut Vec::new()));
    assert!(matches!(queue.put(batch(3, true)), Err(Refused::Stopped(_))));
}

/// A partner that is still to come holds its own shard and nobody else, and is never waited for by
/// looking again and again.
#[test]
fn batches_of_two_shards_that_hang_together_go_as_one() {
    let mut queue = Virtual::new(PACE);
    let link = |shard| Link { shard: ShardId(shard), number: 1 };
    let mut sends = batch(1, true);
    sends.links.sent.push(link(1));
    queue.waiting.push(sends, 100, queue.now);
    assert_eq!(queue.left(), None, "nothing can be committed");
    let other = Batch { shard: ShardId(2), ..batch(7, true) };
    queue.waiting.push(other, 100, queue.now);
    assert_eq!(queue.next(), [7]);
    queue.put(2, true);
    assert_eq!(queue.left(), None, "it comes behind the first of its shard");
    let mut handles = Batch { shard: ShardId(1), ..batch(9, true) };
    handles.links.handled.push(link(0));
    queue.waiting.push(handles, 20_000, queue.now);
    assert_eq!(queue.next(), [1, 2, 9], "although that is more than a group takes");
    assert_eq!((queue.waiting.bytes, queue.waiting.awaited, queue.waiting.linked), (0, 0, 0));
}
