//! Which of the batches that wait can be committed together.
//!
//! A batch that has sent something to another shard, and the batch of the turn in which that was
//! handled there, are committed as one or not at all; and those of one shard in their order. So a
//! batch has to wait while its partner, or that of an earlier one of its shard, is still to come.
//!
//! The writer sees to it. Whoever commits without it asks here.

use std::collections::BTreeMap;

use weir_core::{Batch, ShardId};

/// What was sent and what was handled, by sender and receiver, in the batches that were taken.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    sent: BTreeMap<(ShardId, ShardId), u64>,
    handled: BTreeMap<(ShardId, ShardId), u64>,
}

impl Taken {
    /// Takes note of a batch that is committed, or about to be.
    pub fn note(&mut self, batch: &Batch) {
        for link in &batch.links.sent {
            let last = self.sent.entry((batch.shard, link.shard)).or_default();
            *last = link.number.max(*last);
        }
        for link in &batch.links.handled {
            let last = self.handled.entry((link.shard, batch.shard)).or_default();
            *last = link.number.max(*last);
        }
    }

    /// Whether the partners of a batch are among those that were taken.
    fn has_partners_of(&self, batch: &Batch) -> bool {
        let reaches = |last: Option<&u64>, number: u64| last.is_some_and(|last| *last >= number);
        let of_sent = |to| self.handled.get(&(batch.shard, to));
        let of_handled = |from| self.sent.get(&(from, batch.shard));
        batch.links.sent.iter().all(|link| reaches(of_sent(link.shard), link.number))
            && batch.links.handled.iter().all(|link| reaches(of_handled(link.shard), link.number))
    }
}

/// Which of `batches`, in the order in which they wait, can be committed as one group after those
/// that were taken: all of them but for those that miss somebody.
#[must_use]
pub fn ready<'a>(batches: impl Iterator<Item = &'a Batch>, taken: &Taken) -> Vec<bool> {
    let batches: Vec<&Batch> = batches.collect();
    let mut ready = vec![true; batches.len()];
    loop {
        let mut with_ready = taken.clone();
        let those = || batches.iter().zip(&ready).filter(|(_, ready)| **ready);
        those().for_each(|(batch, _)| with_ready.note(batch));
        let mut held: Vec<ShardId> = Vec::new();
        let mut has_changed = false;
        for (batch, ready) in batches.iter().zip(&mut ready) {
            let waits = held.contains(&batch.shard) || !with_ready.has_partners_of(batch);
            if waits {
                held.push(batch.shard);
                has_changed |= std::mem::replace(ready, false);
            }
        }
        if !has_changed {
            return ready;
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_core::{Link, Links, Sequence};

    use super::*;

    fn batch(shard: u8, sent: &[(u8, u64)], handled: &[(u8, u64)]) -> Batch {
        let link = |(shard, number): &(u8, u64)| Link { shard: ShardId(*shard), number: *number };
        Batch {
            shard: ShardId(shard),
            number: 1,
            changes: Vec::new(),
            log_start: Sequence(0),
            is_awaited: true,
            links: Links {
                sent: sent.iter().map(link).collect(),
                handled: handled.iter().map(link).collect(),
            },
        }
    }

    fn ready_of(batches: &[Batch]) -> Vec<bool> {
        ready(batches.iter(), &Taken::default())
    }

    #[test]
    fn a_batch_waits_for_its_partner_and_holds_the_later_ones_of_its_shard() {
        let alone = [batch(0, &[], &[]), batch(0, &[(1, 1)], &[]), batch(0, &[], &[])];
        assert_eq!(ready_of(&alone), [true, false, false]);
        let handled = batch(1, &[], &[(0, 1)]);
        let with = [alone.as_slice(), &[handled]].concat();
        assert_eq!(ready_of(&with), [true; 4]);
    }

    #[test]
    fn what_was_handled_waits_for_who_sent_it() {
        let handled = [batch(1, &[], &[(0, 1)]), batch(1, &[], &[])];
        assert_eq!(ready_of(&handled), [false, false]);
        let sent = batch(0, &[(1, 1)], &[]);
        assert_eq!(ready_of(&[handled[0].clone(), sent]), [true, true]);
    }

    #[test]
    fn one_that_misses_somebody_keeps_all_that_hang_together_with_it() {
        // The first shard has sent to both others, of which only one has handled it.
        let group = [
            batch(0, &[(1, 1), (2, 1)], &[]),
            batch(1, &[(2, 1)], &[(0, 1)]),
            batch(2, &[], &[(1, 1)]),
        ];
        assert_eq!(ready_of(&group), [false; 3]);
        let whole = [group.as_slice(), &[batch(2, &[], &[(0, 1)])]].concat();
        assert_eq!(ready_of(&whole), [true; 4]);
    }

    #[test]
    fn several_that_were_sent_may_be_handled_in_one_turn() {
        let group =
            [batch(0, &[(1, 1)], &[]), batch(0, &[(1, 2)], &[]), batch(1, &[], &[(0, 1), (0, 2)])];
        assert_eq!(ready_of(&group), [true; 3]);
        assert_eq!(ready_of(&group[1..]), [true, true], "the first was taken");
        let mut taken = Taken::default();
        group.iter().for_each(|batch| taken.note(batch));
        let late = [batch(0, &[(1, 3)], &[])];
        assert_eq!(ready(late.iter(), &taken), [false]);
    }
}
