//! What two definitions of a rule send, compared while they run: what is equal is counted and
//! forgotten, so that memory is needed for what differs only.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::player::Sent;

/// Which definition has sent something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Before,
    After,
}

/// Results that differ.
#[derive(Debug, Default)]
pub(super) struct Difference {
    /// Those of each side that the other one has not sent, by their number.
    rest: [BTreeMap<u64, Sent>; 2],
    /// Their numbers by their text.
    numbers: [HashMap<Vec<u8>, VecDeque<u64>>; 2],
    next: u64,
    same: usize,
}

impl Side {
    pub(super) const BOTH: [Self; 2] = [Self::Before, Self::After];

    /// What a line of it begins with.
    pub(super) fn mark(self) -> &'static str {
        match self {
            Self::Before => "- ",
            Self::After => "+ ",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Before => Self::After,
            Self::After => Self::Before,
        }
    }
}

impl Difference {
    /// Takes a result that reads as `text`; false when too much differs.
    pub(super) fn take(&mut self, side: Side, sent: Sent, text: Vec<u8>) -> bool {
        let other = side.other() as usize;
        if let Some(numbers) = self.numbers[other].get_mut(&text)
            && let Some(number) = numbers.pop_front()
        {
            if numbers.is_empty() {
                self.numbers[other].remove(&text);
            }
            self.rest[other].remove(&number);
            self.same += 1;
            return true;
        }
        self.rest[side as usize].insert(self.next, sent);
        self.numbers[side as usize].entry(text).or_default().push_back(self.next);
        self.next += 1;
        self.rest.iter().map(BTreeMap::len).sum::<usize>() <= DIFFERENT_MAX
    }

    /// What differs, in the order of time.
    pub(super) fn rest(&self) -> Vec<(Side, &Sent)> {
        let of = |side: Side| self.rest[side as usize].values().map(move |sent| (side, sent));
        let mut rest: Vec<_> = of(Side::Before).chain(of(Side::After)).collect();
        rest.sort_by_key(|(side, sent)| (sent.at, *side));
        rest
    }

    /// How many results each side has alone.
    pub(super) fn counts(&self) -> [usize; 2] {
        [self.rest[0].len(), self.rest[1].len()]
    }

    /// How many results both have sent.
    pub(super) fn same(&self) -> usize {
        self.same
    }
}

/// Results that are kept; nobody reads more.
pub(super) const DIFFERENT_MAX: usize = 100_000;
