use std::fs;
use std::path::Path;

use proptest::prelude::{Just, ProptestConfig, Strategy};
use proptest::{prop_oneof, proptest};

use super::super::testing::Folder;
use super::*;

const UNIX_MS: u64 = 1_780_000_000_000;
const LIMITS: OutboxLimits = OutboxLimits { bytes_max: 64 << 20, age_max_ms: 3_600_000 };

fn at(uptime_ms: u64) -> Now {
    Now::new(uptime_ms, UNIX_MS + uptime_ms)
}

fn kept(number: u32) -> Message {
    Message {
        topic: "edge/mill/hall/state".into(),
        payload: Bytes::from(number.to_string()),
        qos: QoS::AtLeastOnce,
        retain: true,
        is_kept: true,
    }
}

fn on_disk(folder: &Path) -> Outbox {
    let (disk, aside) = DiskQueue::open(folder).unwrap();
    assert_eq!(aside, None);
    Outbox::new(LIMITS, Some(disk))
}

/// Takes everything there is room for; the payloads and their tickets.
fn take_all(outbox: &mut Outbox, now: Now) -> Vec<(Ticket, u32)> {
    let mut taken = Vec::new();
    while let Some((ticket, message)) = outbox.take(now) {
        let number = std::str::from_utf8(&message.payload).unwrap().parse().unwrap();
        taken.push((ticket.unwrap(), number));
    }
    taken
}

/// Publishes everything; the payloads in their order.
fn publish_all(outbox: &mut Outbox, now: Now) -> Vec<u32> {
    let mut published = Vec::new();
    loop {
        let taken = take_all(outbox, now);
        if taken.is_empty() {
            return published;
        }
        for (ticket, number) in taken {
            outbox.handle_published(ticket);
            published.push(number);
        }
        outbox.flush(now, false).unwrap();
    }
}

#[test]
fn messages_wait_in_order_for_a_broker_that_is_away() {
    let folder = Folder::new();
    for mut outbox in [Outbox::new(LIMITS, None), on_disk(folder.path())] {
        for number in 0..1_000 {
            let now = at(u64::from(number) * 10);
            outbox.push(now, kept(number));
            outbox.flush(now, false).unwrap();
        }
        assert_eq!(outbox.take(at(10_000)), None, "nobody is there");
        assert_eq!(outbox.counters().waiting, 1_000);
        outbox.handle_connected();
        assert_eq!(publish_all(&mut outbox, at(10_000)), (0..1_000).collect::<Vec<_>>());
        outbox.flush(at(10_000), true).unwrap();
        assert!(outbox.is_empty());
        assert_eq!(outbox.counters().published, 1_000);
        assert_eq!((outbox.counters().waiting, outbox.counters().waiting_bytes), (0, 0));
    }
}

#[test]
fn no_more_are_under_way_than_a_session_takes() {
    let mut outbox = Outbox::new(LIMITS, None);
    outbox.handle_connected();
    (0..100).for_each(|number| outbox.push(at(0), kept(number)));
    let taken = take_all(&mut outbox, at(0));
    assert_eq!(taken.len(), PUBLISHES_MAX);
    outbox.handle_published(taken[5].0);
    assert_eq!(take_all(&mut outbox, at(0)).len(), 1);
}

#[test]
fn what_was_under_way_comes_again_before_what_is_newer() {
    let folder = Folder::new();
    for mut outbox in [Outbox::new(LIMITS, None), on_disk(folder.path())] {
        outbox.handle_connected();
        (0..5).for_each(|number| outbox.push(at(0), kept(number)));
        let taken = take_all(&mut outbox, at(0));
        outbox.handle_published(taken[1].0);
        outbox.handle_lost();
        (5..8).for_each(|number| outbox.push(at(1), kept(number)));
        outbox.flush(at(2_000), false).unwrap();
        outbox.handle_published(taken[0].0);
        outbox.handle_connected();
        assert_eq!(publish_all(&mut outbox, at(2_000)), [0, 2, 3, 4, 5, 6, 7]);
    }
}

#[test]
fn queue_on_disk_outlives_the_process_and_is_lost_again_and_again() {
    let folder = Folder::new();
    let mut outbox = on_disk(folder.path());
    (0..100).for_each(|number| outbox.push(at(0), kept(number)));
    outbox.flush(at(1_000), false).unwrap();
    drop(outbox);
    let mut outbox = on_disk(folder.path());
    assert_eq!(outbox.counters().waiting, 100);
    outbox.push(at(2_000), kept(100));
    outbox.handle_connected();
    let taken = take_all(&mut outbox, at(2_000));
    outbox.handle_published(taken[0].0);
    outbox.handle_published(taken[2].0);
    outbox.handle_lost();
    outbox.flush(at(4_000), true).unwrap();
    drop(outbox);
    let mut outbox = on_disk(folder.path());
    outbox.handle_connected();
    let expected: Vec<u32> = [1].into_iter().chain(3..101).collect();
    assert_eq!(publish_all(&mut outbox, at(5_000)), expected);
}

#[test]
fn what_was_under_way_comes_before_what_has_gone_to_disk_since() {
    let folder = Folder::new();
    let mut outbox = on_disk(folder.path());
    outbox.handle_connected();
    (0..400).for_each(|number| outbox.push(at(0), kept(number)));
    assert_eq!(take_all(&mut outbox, at(0)).len(), PUBLISHES_MAX);
    outbox.flush(at(1_000), false).unwrap();
    assert!(outbox.memory.is_empty(), "a long backlog goes to disk");
    outbox.handle_lost();
    outbox.handle_connected();
    assert_eq!(publish_all(&mut outbox, at(2_000)), (0..400).collect::<Vec<_>>());
}

#[test]
fn refused_message_is_tried_again_in_its_place() {
    let mut outbox = Outbox::new(LIMITS, None);
    outbox.handle_connected();
    (0..3).for_each(|number| outbox.push(at(0), kept(number)));
    let (ticket, _) = outbox.take(at(0)).unwrap();
    outbox.handle_failed(ticket.unwrap());
    assert_eq!(publish_all(&mut outbox, at(0)), [0, 1, 2]);
}

#[test]
fn oldest_go_when_too_much_waits_and_are_counted() {
    let folder = Folder::new();
    let limits = OutboxLimits { bytes_max: 4_000, ..LIMITS };
    let (disk, _) = DiskQueue::open(folder.path()).unwrap();
    for mut outbox in [Outbox::new(limits, None), Outbox::new(limits, Some(disk))] {
        for number in 0..500 {
            outbox.push(at(0), kept(number));
            outbox.flush(at(0), true).unwrap();
        }
        assert!(outbox.counters().waiting_bytes <= 4_000);
        outbox.handle_connected();
        let published = publish_all(&mut outbox, at(0));
        assert_eq!(*published.last().unwrap(), 499);
        assert!(published.is_sorted() && published.len() > 20, "{published:?}");
        assert_eq!(outbox.counters().dropped, 500 - published.len() as u64);
    }
}

#[test]
fn what_has_waited_too_long_is_dropped_and_counted() {
    let folder = Folder::new();
    for mut outbox in [Outbox::new(LIMITS, None), on_disk(folder.path())] {
        outbox.push(at(0), kept(0));
        outbox.push(at(1_800_000), kept(1));
        outbox.flush(at(1_800_000), true).unwrap();
        outbox.handle_connected();
        assert_eq!(publish_all(&mut outbox, at(3_600_001)), [1]);
        assert_eq!(outbox.counters().expired, 1);
    }
}

#[test]
fn what_tells_how_things_are_is_not_kept() {
    let mut outbox = Outbox::new(LIMITS, None);
    let passing = Message { is_kept: false, ..kept(1) };
    outbox.push(at(0), passing.clone());
    outbox.handle_connected();
    assert_eq!(outbox.take(at(0)), None, "it is told anew with the connection");
    outbox.push(at(0), passing.clone());
    outbox.push(at(0), Message { qos: QoS::AtMostOnce, ..passing.clone() });
    assert_eq!(outbox.take(at(0)).unwrap().1, passing);
    assert_eq!(outbox.take(at(0)).unwrap().0, None, "QoS 0 has no answer");
}

#[test]
fn damaged_queue_is_put_aside() {
    let folder = Folder::new();
    fs::write(folder.path().join("bridge.redb"), [7; 5_000]).unwrap();
    let (queue, aside) = DiskQueue::open(folder.path()).unwrap();
    assert!(queue.is_empty());
    assert_eq!(fs::read(aside.unwrap()).unwrap(), [7; 5_000]);
    assert!(matches!(DiskQueue::open(folder.path()), Err(QueueError::InUse { .. })));
}

/// What may happen to an outbox.
#[derive(Clone, Debug)]
enum Step {
    Connect,
    Lose,
    Push(usize),
    /// The broker takes so many of those under way, the oldest first.
    Publish(usize),
    /// The session has no room for the next message.
    Refuse,
    /// Time passes, and what is due is written.
    Pass(u64),
    /// The process ends in order, and starts anew.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => Just(Step::Connect),
        1 => Just(Step::Lose),
        4 => (1..400usize).prop_map(Step::Push),
        4 => (1..80usize).prop_map(Step::Publish),
        1 => Just(Step::Refuse),
        2 => (1..3_000u64).prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..40)
}

/// An outbox, what the broker has, and what must still come.
struct Play {
    outbox: Outbox,
    folder: Option<Folder>,
    now_ms: u64,
    next: u32,
    under_way: VecDeque<(Ticket, u32)>,
    /// The last one that was sent over this connection.
    last: Option<u32>,
    published: std::collections::BTreeSet<u32>,
}

impl Play {
    fn new(folder: Option<Folder>) -> Self {
        let outbox = match &folder {
            Some(folder) => on_disk(folder.path()),
            None => Outbox::new(LIMITS, None),
        };
        Self {
            outbox,
            folder,
            now_ms: 0,
            next: 0,
            under_way: VecDeque::new(),
            last: None,
            published: std::collections::BTreeSet::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Connect => self.outbox.handle_connected(),
            Step::Lose => self.lose(),
            Step::Push(count) => {
                for _ in 0..*count {
                    self.outbox.push(at(self.now_ms), kept(self.next));
                    self.next += 1;
                }
            }
            Step::Publish(count) => self.publish(*count),
            Step::Refuse => {
                if let Some((ticket, _)) = self.outbox.take(at(self.now_ms)) {
                    self.outbox.handle_failed(ticket.unwrap());
                }
            }
            Step::Pass(ms) => {
                self.now_ms += ms;
                self.outbox.flush(at(self.now_ms), false).unwrap();
            }
            Step::Restart => self.restart(),
        }
    }

    fn publish(&mut self, count: usize) {
        for (ticket, number) in take_all(&mut self.outbox, at(self.now_ms)) {
            assert!(self.last.is_none_or(|last| last < number), "{number} after {:?}", self.last);
            // Everything before it has been published, or is under way before it.
            let first = self.under_way.front().map_or(number, |(_, first)| *first);
            assert!(
                (0..first).all(|before| self.published.contains(&before)),
                "a gap before {first}"
            );
            self.last = Some(number);
            self.under_way.push_back((ticket, number));
        }
        for _ in 0..count {
            let Some((ticket, number)) = self.under_way.pop_front() else { return };
            self.outbox.handle_published(ticket);
            self.published.insert(number);
        }
    }

    fn lose(&mut self) {
        self.outbox.handle_lost();
        self.under_way.clear();
        self.last = None;
    }

    fn restart(&mut self) {
        let Some(folder) = &self.folder else { return };
        self.outbox.handle_lost();
        self.outbox.flush(at(self.now_ms), true).unwrap();
        // The file is closed before it is opened.
        self.outbox = Outbox::new(LIMITS, None);
        self.outbox = on_disk(folder.path());
        self.under_way.clear();
        self.last = None;
    }

    fn end(&mut self) {
        self.outbox.handle_connected();
        while self.published.len() < self.next as usize {
            let before = self.published.len();
            self.publish(80);
            self.outbox.flush(at(self.now_ms), false).unwrap();
            assert!(self.published.len() > before, "{} of {} came", before, self.next);
        }
        self.outbox.flush(at(self.now_ms), true).unwrap();
        assert!(self.outbox.is_empty());
        assert_eq!(self.outbox.counters().dropped, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_every_message_comes_and_none_out_of_order(steps in steps()) {
        for folder in [None, Some(Folder::new())] {
            let mut play = Play::new(folder);
            steps.iter().for_each(|step| play.step(step));
            play.end();
        }
    }
}
