//! What is sent next, what is under way, and how far the upstream has acknowledged.
//!
//! Pure: it is told what happens on the connection and answers what to do. Not responsible for
//! reading the log nor for what a message looks like on the wire. Invariants: a record stays
//! here until it is settled, that is acknowledged, refused for good or skipped; [`Sender::done`]
//! never passes a record that is not settled; from the oldest record that is not settled to the
//! newest that was handed over there are never more than the window allows.
//!
//! The window counts settled records that wait for an older one too. That bounds the memory, and
//! packet identifiers that the client gives in turn are never in use twice.

use std::collections::VecDeque;

use weir_core::{Message, Sequence};

/// A record of the log on its way to the upstream.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Its position.
    pub(crate) sequence: Sequence,
    /// The message.
    pub(crate) message: Message,
    /// Whether a forward route brought it; otherwise a rule named the upstream.
    pub(crate) routed: bool,
}

#[derive(Debug)]
pub(crate) struct Sender {
    window_max: u16,
    /// The window of this connection; none without a connection.
    window: Option<u16>,
    /// In order of position: settled ones, ones under way, then ones that wait. The first is
    /// never settled.
    slots: VecDeque<Slot>,
    /// Index in `slots` of the next one to send.
    next: usize,
    /// What was handed over and has no packet identifier yet, in order.
    handed_over: VecDeque<Sequence>,
    done: Sequence,
    /// Nothing up to here is sent any more.
    given_up: Sequence,
    bytes: usize,
    /// What was settled since the last look, in order.
    settled: Vec<(Sequence, usize)>,
}

/// What becomes of a record that the upstream has refused.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It is settled and goes to the dead letters.
    DeadLetter(Record),
    /// Nothing was under way with that packet identifier.
    Unknown,
    /// It is to be sent again on another connection.
    TryAgain,
}

#[derive(Debug)]
struct Slot {
    record: Record,
    /// Its position, or that of the last record behind it that is not of this sender.
    up_to: Sequence,
    state: State,
    /// How often the upstream has refused it, but not for good.
    refusals: u8,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Given to the client, which has not named its packet identifier yet.
    HandedOver,
    /// Under way with this packet identifier.
    Sent(u16),
    Settled,
    Waiting,
}

impl Sender {
    /// A sender that goes on after `done`, with at most `window` records under way.
    pub(crate) fn new(done: Sequence, window: u16) -> Self {
        Self {
            window_max: window.max(1),
            window: None,
            slots: VecDeque::new(),
            next: 0,
            handed_over: VecDeque::new(),
            done,
            given_up: done,
            bytes: 0,
            settled: Vec::new(),
        }
    }

    /// Takes the next record of the log.
    pub(crate) fn push(&mut self, record: Record) {
        let last = self.slots.back().map_or(self.done, |slot| slot.up_to);
        assert!(record.sequence > last.max(self.given_up), "records come in the order of the log");
        self.bytes += record.message.len();
        let up_to = record.sequence;
        self.slots.push_back(Slot { record, up_to, state: State::Waiting, refusals: 0 });
    }

    /// The next record of the log is sent by somebody else.
    pub(crate) fn pass(&mut self, position: Sequence) {
        match self.slots.back_mut() {
            Some(slot) => slot.up_to = position,
            None => self.done = self.done.max(position),
        }
    }

    /// A connection is open that takes `window` records at a time.
    pub(crate) fn connected(&mut self, window: u16) {
        self.disconnected();
        self.window = Some(window.clamp(1, self.window_max));
    }

    /// The connection takes fewer records than it did.
    pub(crate) fn narrow(&mut self, window: u16) {
        self.window = self.window.map(|now| now.min(window.max(1)));
    }

    /// Whatever was not acknowledged is sent again on the next connection.
    pub(crate) fn disconnected(&mut self) {
        self.window = None;
        self.handed_over.clear();
        self.next = 0;
        for slot in &mut self.slots {
            if slot.state != State::Settled {
                slot.state = State::Waiting;
            }
        }
        self.advance();
    }

    /// The record just given by [`next`](Self::next) is with the client now.
    pub(crate) fn hand_over(&mut self) {
        let slot = &mut self.slots[self.next];
        assert_eq!(slot.state, State::Waiting, "only a waiting record is handed over");
        slot.state = State::HandedOver;
        self.handed_over.push_back(slot.record.sequence);
        self.advance();
    }

    /// The record just given by [`next`](Self::next) is not sent at all.
    pub(crate) fn skip(&mut self) -> Record {
        self.settle(self.next)
    }

    /// The client has written the oldest record that was handed over; `packet_id` is none for
    /// one that is not acknowledged.
    pub(crate) fn handle_sent(&mut self, packet_id: Option<u16>) {
        let Some(sequence) = self.handed_over.pop_front() else { return };
        let Some(index) = self.find(|slot| slot.record.sequence == sequence) else { return };
        match packet_id {
            Some(packet_id) => self.slots[index].state = State::Sent(packet_id),
            None => drop(self.settle(index)),
        }
    }

    /// The upstream has taken the record with this packet identifier; false when there is none.
    pub(crate) fn handle_acknowledged(&mut self, packet_id: u16) -> bool {
        match self.find(|slot| slot.state == State::Sent(packet_id)) {
            Some(index) => {
                self.settle(index);
                true
            }
            None => false,
        }
    }

    /// The upstream has refused the record with this packet identifier, for good or for now.
    /// After [`REFUSALS_MAX`] refusals for now a record is given up too.
    pub(crate) fn handle_refused(&mut self, packet_id: u16, for_good: bool) -> Refused {
        let Some(index) = self.find(|slot| slot.state == State::Sent(packet_id)) else {
            return Refused::Unknown;
        };
        let refusals = &mut self.slots[index].refusals;
        *refusals += 1;
        if for_good || *refusals >= REFUSALS_MAX {
            return Refused::DeadLetter(self.settle(index));
        }
        Refused::TryAgain
    }

    /// Gives up every record up to and with `position` that is not under way, also those that
    /// were never pushed.
    pub(crate) fn give_up(&mut self, position: Sequence) {
        self.given_up = self.given_up.max(position);
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            if slot.record.sequence > position {
                break;
            }
            if slot.state == State::Waiting {
                self.mark_settled(index);
            }
        }
        self.advance();
    }

    /// The record to send now, if there is one and the window has room.
    pub(crate) fn next(&self) -> Option<&Record> {
        let room = self.window.is_some_and(|window| self.next < usize::from(window));
        self.slots.get(self.next).filter(|_| room).map(|slot| &slot.record)
    }

    /// Everything up to and with this position is settled.
    pub(crate) fn done(&self) -> Sequence {
        self.done
    }

    /// The position and the length of each record that was settled since the last call.
    pub(crate) fn drain_settled(&mut self) -> impl Iterator<Item = (Sequence, usize)> + '_ {
        self.settled.drain(..)
    }

    /// The oldest record that is not settled.
    pub(crate) fn oldest(&self) -> Option<&Record> {
        self.slots.front().map(|slot| &slot.record)
    }

    /// Whether records up to `bytes` and the window are there to be sent.
    pub(crate) fn has_ahead(&self, bytes: usize) -> bool {
        let waiting = self.slots.len() - self.next;
        waiting >= RECORDS_AHEAD_MAX || (waiting > 0 && self.bytes >= bytes)
    }

    /// Whether it has no record that is not settled.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Records that are with the client or the upstream.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way_up_to(Sequence(u64::MAX))
    }

    /// Records up to and with `position` that are with the client or the upstream.
    pub(crate) fn under_way_up_to(&self, position: Sequence) -> usize {
        let under_way = |slot: &&Slot| matches!(slot.state, State::HandedOver | State::Sent(_));
        let up_to = self.slots.iter().take_while(|slot| slot.record.sequence <= position);
        up_to.filter(under_way).count()
    }

    fn find(&self, is: impl Fn(&Slot) -> bool) -> Option<usize> {
        self.slots.iter().take(self.next).position(is)
    }

    fn settle(&mut self, index: usize) -> Record {
        let record = self.mark_settled(index);
        self.advance();
        record
    }

    fn mark_settled(&mut self, index: usize) -> Record {
        let slot = &mut self.slots[index];
        assert_ne!(slot.state, State::Settled, "a record is settled once");
        slot.state = State::Settled;
        self.bytes -= slot.record.message.len();
        self.settled.push((slot.record.sequence, slot.record.message.len()));
        slot.record.clone()
    }

    /// Restores the invariants: the first slot is not settled, and `next` waits.
    fn advance(&mut self) {
        while self.slots.front().is_some_and(|slot| slot.state == State::Settled) {
            let slot = self.slots.pop_front().expect("there is a first one");
            self.done = slot.up_to;
            self.next = self.next.saturating_sub(1);
        }
        let first = self.slots.front().map(|slot| slot.record.sequence);
        if first.is_none_or(|first| first > self.given_up) {
            self.done = self.done.max(self.given_up);
        }
        while self.slots.get(self.next).is_some_and(|slot| slot.state != State::Waiting) {
            self.next += 1;
        }
    }
}

/// How often a record is sent to an upstream that refuses it, but not for good.
const REFUSALS_MAX: u8 = 3;
/// How many records wait in memory, however small they are.
const RECORDS_AHEAD_MAX: usize = 512;

#[cfg(test)]
mod tests;
