use std::collections::BTreeSet;

use weir_core::{Message, MessageParts};
use weir_mqtt::QoS;

use super::*;

fn record(sequence: u64) -> Record {
    let parts = MessageParts {
        qos: QoS::AtLeastOnce,
        retain: false,
        expires_at_ms: None,
        received_at_ms: sequence,
        publisher: "",
        topic: "a",
        properties: &[],
        payload: b"1",
    };
    let message = Message::new(&parts, &mut Vec::new());
    Record { sequence: Sequence(sequence), message, routed: true }
}

fn sender(window: u16, records: u64) -> Sender {
    let mut sender = Sender::new(Sequence(0), window);
    (1..=records).for_each(|sequence| sender.push(record(sequence)));
    sender.connected(u16::MAX);
    sender
}

/// Sends all that the window allows; packet identifiers count up from `first`.
fn send(sender: &mut Sender, first: u16) -> Vec<u64> {
    let mut sent = Vec::new();
    while let Some(next) = sender.next() {
        sent.push(next.sequence.0);
        sender.hand_over();
        sender.handle_sent(Some(first + sent.len() as u16 - 1));
    }
    sent
}

#[test]
fn the_window_is_the_smaller_of_both_ends() {
    let mut sender = sender(4, 9);
    assert_eq!(send(&mut sender, 1), [1, 2, 3, 4]);
    sender.connected(2);
    assert_eq!(send(&mut sender, 1), [1, 2]);
    sender.connected(0);
    assert_eq!(send(&mut sender, 1), [1]);
}

#[test]
fn nothing_is_sent_without_a_connection() {
    let mut sender = sender(4, 1);
    sender.disconnected();
    assert!(sender.next().is_none());
}

#[test]
fn the_position_moves_only_over_acknowledged_records() {
    let mut sender = sender(3, 5);
    send(&mut sender, 1);
    assert!(sender.handle_acknowledged(2));
    assert!(sender.handle_acknowledged(3));
    assert_eq!(sender.done(), Sequence(0));
    assert!(sender.next().is_none(), "the window reaches from the oldest");
    assert!(sender.handle_acknowledged(1));
    assert_eq!(sender.done(), Sequence(3));
    assert!(!sender.handle_acknowledged(1));
    assert_eq!(send(&mut sender, 4), [4, 5]);
}

#[test]
fn what_was_not_acknowledged_is_sent_again_in_order() {
    let mut sender = sender(4, 5);
    send(&mut sender, 1);
    sender.handle_acknowledged(2);
    sender.disconnected();
    sender.connected(4);
    assert_eq!(send(&mut sender, 1), [1, 3, 4]);
    assert!(sender.handle_acknowledged(1));
    assert_eq!(sender.done(), Sequence(2));
}

#[test]
fn a_record_without_acknowledgement_is_done_once_it_is_written() {
    let mut sender = sender(2, 2);
    sender.hand_over();
    assert_eq!(sender.done(), Sequence(0));
    sender.handle_sent(None);
    assert_eq!(sender.done(), Sequence(1));
}

#[test]
fn a_record_refused_for_good_does_not_block_the_others() {
    let mut sender = sender(2, 3);
    send(&mut sender, 1);
    let Refused::DeadLetter(dead) = sender.handle_refused(1, true) else { panic!("it is dead") };
    assert_eq!((dead.sequence, sender.done()), (Sequence(1), Sequence(1)));
    assert_eq!(send(&mut sender, 3), [3]);
}

#[test]
fn a_record_refused_for_now_has_three_tries() {
    let mut sender = sender(1, 1);
    for _ in 0..2 {
        send(&mut sender, 1);
        assert!(matches!(sender.handle_refused(1, false), Refused::TryAgain));
        assert_eq!(sender.done(), Sequence(0));
        sender.connected(1);
    }
    send(&mut sender, 1);
    assert!(matches!(sender.handle_refused(1, false), Refused::DeadLetter(_)));
    assert_eq!(sender.done(), Sequence(1));
}

#[test]
fn what_is_given_up_is_passed_over_but_not_what_is_under_way() {
    let mut sender = sender(1, 3);
    send(&mut sender, 1);
    sender.give_up(Sequence(7));
    assert_eq!(sender.done(), Sequence(0));
    sender.push(record(8));
    assert!(sender.handle_acknowledged(1));
    assert_eq!(sender.done(), Sequence(7));
    assert_eq!(sender.next().map(|record| record.sequence), Some(Sequence(8)));
    sender.disconnected();
    sender.give_up(Sequence(9));
    assert_eq!(sender.done(), Sequence(9));
}

#[test]
fn settled_records_are_told_once() {
    let mut sender = sender(2, 2);
    send(&mut sender, 1);
    sender.handle_acknowledged(1);
    let bytes = record(1).message.len();
    assert_eq!(sender.drain_settled().collect::<Vec<_>>(), [(Sequence(1), bytes)]);
    assert_eq!(sender.drain_settled().count(), 0);
}

/// A network and a far end that lose, delay, reorder and refuse, driven by a seed.
struct World {
    random: u64,
    sender: Sender,
    window: u16,
    next_packet_id: u16,
    /// Handed over, not written.
    written: Vec<u64>,
    /// With the far end, or on the way there or back.
    under_way: Vec<(u16, u64)>,
    delivered: BTreeSet<u64>,
    dead: BTreeSet<u64>,
    newest: u64,
    pushed: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let window = 1 + (seed % 7) as u16;
        Self {
            random: seed,
            sender: Sender::new(Sequence(0), window),
            window,
            next_packet_id: 0,
            written: Vec::new(),
            under_way: Vec::new(),
            delivered: BTreeSet::new(),
            dead: BTreeSet::new(),
            newest: 0,
            pushed: 0,
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.random >> 33) as usize % limit
    }

    fn step(&mut self, faults: bool) {
        match self.below(if faults { 12 } else { 8 }) {
            0 | 1 => self.hand_over(),
            2 | 3 => self.write(),
            4..=7 => self.answer(faults),
            8 => self.reconnect(),
            9 => self.sender.disconnected(),
            _ if self.pushed < RECORDS => {
                self.pushed += 1 + self.below(3) as u64;
                self.sender.push(record(self.pushed));
            }
            _ => {}
        }
        self.check();
    }

    fn reconnect(&mut self) {
        self.sender.connected(self.window);
        self.written.clear();
        self.under_way.clear();
        self.next_packet_id = 0;
    }

    fn hand_over(&mut self) {
        let Some(next) = self.sender.next().map(|record| record.sequence.0) else { return };
        // First sendings are in order, whatever was sent again in between.
        if next > self.newest {
            let before = self.sender.slots.iter().filter(|slot| {
                let sequence = slot.record.sequence.0;
                sequence > self.newest && sequence < next && slot.state == State::Waiting
            });
            assert_eq!(before.count(), 0, "{next} overtakes");
            self.newest = next;
        }
        self.written.push(next);
        self.sender.hand_over();
    }

    fn write(&mut self) {
        if self.written.is_empty() || self.sender.handed_over.is_empty() {
            return;
        }
        let sequence = self.written.remove(0);
        self.next_packet_id += 1;
        self.sender.handle_sent(Some(self.next_packet_id));
        self.under_way.push((self.next_packet_id, sequence));
    }

    fn answer(&mut self, faults: bool) {
        if self.under_way.is_empty() {
            return;
        }
        let index = self.below(self.under_way.len());
        let (packet_id, sequence) = self.under_way.remove(index);
        if !faults || self.below(10) > 0 {
            self.delivered.insert(sequence);
            self.sender.handle_acknowledged(packet_id);
            return;
        }
        let for_good = self.below(2) == 0;
        match self.sender.handle_refused(packet_id, for_good) {
            Refused::DeadLetter(dead) => drop(self.dead.insert(dead.sequence.0)),
            Refused::TryAgain => self.reconnect(),
            Refused::Unknown => {}
        }
    }

    fn check(&self) {
        let done = self.sender.done();
        for slot in &self.sender.slots {
            assert!(slot.record.sequence > done, "the position passes a record");
        }
        let front = self.sender.slots.front();
        assert!(front.is_none_or(|slot| slot.state != State::Settled));
        assert!(
            self.sender.under_way_up_to(Sequence(u64::MAX)) <= usize::from(self.window),
            "the window is exceeded"
        );
        if let Some(newest) = self.sender.next() {
            assert!(newest.sequence > done);
        }
    }
}

#[test]
fn every_record_arrives_or_is_a_dead_letter_whatever_is_lost() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        let mut pushed = BTreeSet::new();
        for _ in 0..STEPS {
            world.step(true);
            pushed.insert(world.pushed);
        }
        world.reconnect();
        while world.sender.oldest().is_some() {
            world.step(false);
        }
        pushed.remove(&0);
        let lost: Vec<_> = pushed
            .iter()
            .filter(|s| !world.delivered.contains(s) && !world.dead.contains(s))
            .collect();
        assert!(lost.is_empty(), "seed {seed}: lost {lost:?}");
        assert_eq!(world.sender.done(), Sequence(world.pushed), "seed {seed}");
    }
}

const RECORDS: u64 = 200;
const SEEDS: u64 = 500;
const STEPS: usize = 1_000;

#[test]
fn the_position_also_moves_over_what_others_send() {
    let mut sender = sender(20, 1);
    sender.pass(Sequence(2));
    sender.push(record(3));
    sender.pass(Sequence(4));
    sender.pass(Sequence(5));
    assert_eq!((send(&mut sender, 1), sender.done()), (vec![1, 3], Sequence(0)));
    sender.handle_acknowledged(2);
    assert_eq!(sender.done(), Sequence(0));
    sender.handle_acknowledged(1);
    assert_eq!(sender.done(), Sequence(5));
    sender.pass(Sequence(6));
    assert_eq!(sender.done(), Sequence(6), "at once when nothing is before it");
    sender.push(record(7));
    assert_eq!(send(&mut sender, 3), [7]);
}
