//! The account of what has arrived: whether each subscriber got every message that was meant for
//! it once and in the order of its publisher.
//!
//! Numbers that only rise, none that was never sent, and as many as there should be: together
//! they leave no room for a message that is lost, repeated, exchanged or invented.

use super::wire::Mark;

/// In which order messages may come.
#[derive(Clone, Debug)]
enum Order {
    /// In any: which numbers have come. For one publisher and one subscriber.
    Any { seen: Vec<bool> },
    /// The least number that may come next, for each publisher at each subscriber.
    Rising { due: Vec<u32> },
}

/// What has arrived where.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    publishers: usize,
    payload_bytes: usize,
    order: Order,
    received: Vec<u64>,
    total: u64,
    disordered: u64,
    misdirected: u64,
}

impl Ledger {
    pub(crate) fn new(publishers: usize, subscribers: usize, payload_bytes: usize) -> Self {
        Self {
            publishers,
            payload_bytes,
            order: Order::Rising { due: vec![0; publishers * subscribers] },
            received: vec![0; subscribers],
            total: 0,
            disordered: 0,
            misdirected: 0,
        }
    }

    /// For one subscriber to whom so many messages of one publisher come in any order, because each
    /// has a topic of its own.
    pub(crate) fn any_order(messages: usize, payload_bytes: usize) -> Self {
        let order = Order::Any { seen: vec![false; messages] };
        Self { order, ..Self::new(1, 1, payload_bytes) }
    }

    /// Enters a message that has come to a subscriber.
    #[inline]
    pub(crate) fn enter(&mut self, subscriber: usize, payload: &[u8]) {
        self.received[subscriber] += 1;
        self.total += 1;
        let mark = Mark::read(payload).filter(|_| payload.len() == self.payload_bytes);
        let is_meant = |mark: &Mark| {
            usize::from(mark.from) < self.publishers
                && (mark.to == Mark::ALL || usize::from(mark.to) == subscriber)
        };
        let Some(mark) = mark.filter(is_meant) else {
            self.misdirected += 1;
            return;
        };
        let number = mark.number as usize;
        match &mut self.order {
            Order::Any { seen } => match seen.get_mut(number) {
                Some(seen) => self.disordered += u64::from(std::mem::replace(seen, true)),
                None => self.misdirected += 1,
            },
            Order::Rising { due } => {
                let due = &mut due[subscriber * self.publishers + usize::from(mark.from)];
                match mark.number >= *due {
                    true => *due = mark.number + 1,
                    false => self.disordered += 1,
                }
            }
        }
    }

    /// All messages, at all subscribers.
    pub(crate) fn received(&self) -> u64 {
        self.total
    }

    pub(crate) fn received_by(&self, subscriber: usize) -> u64 {
        self.received[subscriber]
    }

    /// How it comes out, when so many were to arrive and each publisher has sent so many.
    pub(crate) fn balance(&self, expected: u64, sent: &[u32]) -> Balance {
        let received = self.received();
        let invented = match &self.order {
            // More than were sent have no place there.
            Order::Any { .. } => 0,
            Order::Rising { due } => {
                let sent = sent.iter().cycle();
                due.iter().zip(sent).filter(|(due, sent)| due > sent).count()
            }
        };
        Balance {
            expected,
            received,
            lost: expected.saturating_sub(received),
            surplus: received.saturating_sub(expected),
            disordered: self.disordered,
            misdirected: self.misdirected + invented as u64,
        }
    }
}

/// How the account comes out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Balance {
    pub(crate) expected: u64,
    pub(crate) received: u64,
    pub(crate) lost: u64,
    pub(crate) surplus: u64,
    /// Came after a later message of its publisher, or again.
    pub(crate) disordered: u64,
    /// Came to somebody else, changed, or was never sent.
    pub(crate) misdirected: u64,
}

impl Balance {
    pub(crate) fn is_right(&self) -> bool {
        self.lost + self.surplus == 0 && self.is_in_order()
    }

    /// Right as far as it came.
    pub(crate) fn is_in_order(&self) -> bool {
        self.disordered + self.misdirected == 0
    }
}

#[cfg(test)]
mod tests {
    use weir_mqtt::{QoS, Version};

    use super::*;
    use crate::cli::bench::wire::{Arrival, Shape, Template};

    const SHAPE: Shape =
        Shape { qos: QoS::AtMostOnce, retain: false, payload_bytes: 20, version: Version::V311 };

    fn balance(to: u16, numbers: &[u32], expected: u64) -> Balance {
        let mut ledger = Ledger::new(2, 2, SHAPE.payload_bytes);
        let template = Template::new("a", to, SHAPE).unwrap();
        for &number in numbers {
            let mut packet = Vec::new();
            template.append(None, Mark { number, from: 1, ..Mark::default() }, &mut packet);
            let arrival = Arrival::read(&packet, SHAPE.version).unwrap();
            ledger.enter(1, arrival.payload);
        }
        ledger.balance(expected, &[0, 4])
    }

    #[test]
    fn all_messages_once_and_in_order_are_right() {
        assert!(balance(Mark::ALL, &[0, 1, 2, 3], 4).is_right());
        assert!(balance(1, &[0, 1, 2, 3], 4).is_right());
    }

    #[test]
    fn a_message_that_is_missing_is_lost() {
        let balance = balance(Mark::ALL, &[0, 1, 3], 4);
        assert_eq!((balance.lost, balance.is_in_order(), balance.is_right()), (1, true, false));
    }

    #[test]
    fn two_messages_in_the_wrong_order_are_seen() {
        let balance = balance(Mark::ALL, &[0, 2, 1, 3], 4);
        assert_eq!((balance.lost, balance.disordered, balance.is_right()), (0, 1, false));
    }

    #[test]
    fn a_repeated_message_does_not_stand_for_a_lost_one() {
        let balance = balance(Mark::ALL, &[0, 1, 1, 3], 4);
        assert_eq!((balance.lost, balance.disordered, balance.is_right()), (0, 1, false));
    }

    #[test]
    fn a_message_for_somebody_else_is_seen() {
        let balance = balance(0, &[0], 1);
        assert_eq!((balance.misdirected, balance.is_right()), (1, false));
    }

    #[test]
    fn a_message_that_nobody_sent_is_seen() {
        let balance = balance(Mark::ALL, &[0, 1, 2, 9], 4);
        assert_eq!((balance.misdirected, balance.is_right()), (1, false));
    }

    #[test]
    fn in_any_order_each_message_comes_once() {
        let template = Template::new("a", Mark::ALL, SHAPE).unwrap();
        let balance = |numbers: &[u32]| {
            let mut ledger = Ledger::any_order(3, SHAPE.payload_bytes);
            for &number in numbers {
                let mut packet = Vec::new();
                template.append(None, Mark { number, ..Mark::default() }, &mut packet);
                ledger.enter(0, Arrival::read(&packet, SHAPE.version).unwrap().payload);
            }
            ledger.balance(3, &[3])
        };
        assert!(balance(&[2, 0, 1]).is_right());
        assert_eq!(balance(&[2, 0, 2]).disordered, 1);
        assert_eq!(balance(&[2, 0, 3]).misdirected, 1);
    }

    #[test]
    fn a_payload_of_another_length_is_seen() {
        let mut ledger = Ledger::new(1, 1, 20);
        ledger.enter(0, &[0; 19]);
        ledger.enter(0, &[]);
        assert_eq!(ledger.balance(2, &[2]).misdirected, 2);
    }
}
