//! What the store may let go of behind a message that somebody still waits for.
//!
//! The log is trimmed from its front. As long as that goes on nothing is noted here. When the front
//! stays, because a session or a reader is away, the log is swept once behind it, and from then on
//! each position that nobody waits for any more is named to the store. Readers are not looked at:
//! the store knows from a record which readers it is for and from their cursors whether they are
//! done with it.
//!
//! Nothing of this has to survive a crash, because the first sweep after a start finds it again. So
//! when there is too much to note, the sweep just begins anew at a lower position.

use std::ops::Range;

use crate::identity::Sequence;

/// A front behind which there is more than this, about, is pinned however many positions it is.
const PINNED_BYTES: u64 = 1024 * 1024;
/// Positions and ranges that are noted until the next batch.
const NOTED_MAX: usize = 4096;

/// What was said to the store so far, and what is still to be said.
#[derive(Debug)]
pub(crate) struct Released {
    /// A front that is further behind the end of the log is pinned.
    pinned_positions: u64,
    /// The store was told of everything below it that nobody waited for then.
    swept: Sequence,
    /// Positions below that, of which the last session has let go since.
    positions: Vec<Sequence>,
    /// Positions that a reader is done with since.
    read: Vec<Range<Sequence>>,
    /// Where the front was at the last batch, and about how many bytes were logged behind it.
    front: Sequence,
    bytes_behind: u64,
}

impl Released {
    pub(crate) fn new(pinned_positions: u64) -> Self {
        Self {
            pinned_positions,
            swept: Sequence(0),
            positions: Vec::new(),
            read: Vec::new(),
            front: Sequence(0),
            bytes_behind: 0,
        }
    }

    /// Nobody in a session waits for this position any more.
    pub(crate) fn let_go(&mut self, sequence: Sequence) {
        if sequence < self.swept {
            self.name(sequence);
        }
    }

    /// The same, and the store is told even when no front is pinned.
    pub(crate) fn name(&mut self, sequence: Sequence) {
        self.positions.push(sequence);
        if self.positions.len() > NOTED_MAX {
            let lowest = self.positions.iter().min().copied();
            self.positions.clear();
            self.sweep_again(lowest.unwrap_or(sequence));
        }
    }

    /// A reader is done with the positions above `before`, up to and with `done`.
    pub(crate) fn read(&mut self, before: Sequence, done: Sequence) {
        let first = before.next();
        if first >= self.swept {
            return;
        }
        self.read.push(first..done.next());
        if self.read.len() > NOTED_MAX {
            let lowest = self.read.iter().map(|range| range.start).min();
            self.read.clear();
            self.sweep_again(lowest.unwrap_or(first));
        }
    }

    /// A message of so many bytes was logged.
    pub(crate) fn logged(&mut self, bytes: usize) {
        self.bytes_behind += bytes as u64;
    }

    /// Whether the front, which is at `start`, holds up a log that ends at `next`.
    pub(crate) fn is_pinned(&mut self, start: Sequence, next: Sequence) -> bool {
        let behind = next.0 - start.0;
        if start > self.front {
            let before = u128::from((next.0 - self.front.0).max(1));
            let share = u128::from(self.bytes_behind) * u128::from(behind) / before;
            self.bytes_behind = u64::try_from(share).unwrap_or(u64::MAX);
        }
        self.front = start;
        behind > self.pinned_positions || self.bytes_behind > PINNED_BYTES
    }

    /// Where the next sweep begins.
    pub(crate) fn swept(&self) -> Sequence {
        self.swept
    }

    /// Everything below this position is said.
    pub(crate) fn sweep_ended(&mut self, at: Sequence) {
        self.swept = at;
    }

    /// What is at or above this position is looked at again by the next sweep.
    pub(crate) fn sweep_again(&mut self, from: Sequence) {
        self.swept = self.swept.min(from);
    }

    /// Takes the positions that are noted, as ranges in order, without those below `start`, which
    /// are trimmed as always.
    pub(crate) fn take_positions(&mut self, start: Sequence, ranges: &mut Vec<Range<Sequence>>) {
        self.positions.sort_unstable();
        for sequence in self.positions.drain(..) {
            if sequence < start {
                continue;
            }
            match ranges.last_mut() {
                Some(last) if last.end >= sequence => last.end = last.end.max(sequence.next()),
                _ => ranges.push(sequence..sequence.next()),
            }
        }
    }

    /// Takes what readers are done with.
    pub(crate) fn take_read(&mut self) -> Vec<Range<Sequence>> {
        std::mem::take(&mut self.read)
    }

    /// Whether anything is noted.
    pub(crate) fn is_empty(&self) -> bool {
        self.positions.is_empty() && self.read.is_empty()
    }
}
