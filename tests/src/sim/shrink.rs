//! Tells a failure with as little as possible: clients, kinds of trouble, time and single deeds
//! are left out of the run as long as it still fails in the same way.

use super::outcome::Failure;
use super::reduction::{Reduction, Trouble};
use super::rule_set;
use super::setup::Setup;
use super::world::{attempt, run};

/// A run that fails in the same way with less happening in it, after at most `attempts` runs.
#[must_use]
pub fn shrink(failure: Failure, attempts: u32) -> Failure {
    let (kind, events_max) = (kind_of(&failure.problem), failure.events);
    let mut search = Search { kind, events_max, best: failure, left: attempts };
    // Single deeds only when nothing else can be left out any more.
    while search.improves(|search| {
        while search.improves(Search::leave_out_parts) {}
        search.leave_out_deeds();
    }) {}
    // Once more, to tell what happened.
    let told = run(&search.best.setup).err();
    told.map_or(search.best, |told| *told)
}

struct Search {
    /// What the failure is about.
    kind: String,
    /// What is told is never longer than what was found.
    events_max: u64,
    best: Failure,
    /// Runs that are left.
    left: u32,
}

impl Search {
    /// Whether a step leaves something out.
    fn improves(&mut self, step: impl FnOnce(&mut Self)) -> bool {
        let before = self.best.setup.reduction.clone();
        step(self);
        self.left > 0 && self.best.setup.reduction != before
    }

    fn leave_out_parts(&mut self) {
        self.shorten();
        self.leave_out_rules();
        self.leave_out_clients();
        self.leave_out_troubles();
    }

    /// Whether the run still fails, and not much later than before; then that is the best.
    fn takes(&mut self, reduction: Reduction) -> bool {
        if self.left == 0 || reduction == self.best.setup.reduction {
            return false;
        }
        self.left -= 1;
        let setup = Setup { reduction, ..self.best.setup.clone() };
        // What is left happens at other times, so a little more of it may happen.
        let events_max = self.events_max.min(self.best.events + self.best.events / SLACK);
        let failed = attempt(&setup, events_max).err();
        let is_less =
            |found: &Failure| found.events <= events_max && kind_of(&found.problem) == self.kind;
        let Some(failure) = failed.filter(|found| is_less(found)) else { return false };
        self.best = *failure;
        true
    }

    /// Ends the trouble as early as possible.
    fn shorten(&mut self) {
        let reduction = &self.best.setup.reduction;
        let (mut good, mut bad) = (reduction.until_ms().unwrap_or(self.best.at_ms), 0);
        while good > bad + SHORTEST_STEP_MS {
            let middle = bad.midpoint(good);
            let shorter = self.best.setup.reduction.until(middle);
            if self.takes(shorter) {
                good = middle;
            } else {
                bad = middle;
            }
        }
    }

    fn leave_out_clients(&mut self) {
        for client in 0..self.best.clients {
            let less = self.best.setup.reduction.without_client(client);
            self.takes(less);
        }
    }

    fn leave_out_troubles(&mut self) {
        for trouble in Trouble::ALL {
            let less = self.best.setup.reduction.without_trouble(trouble);
            self.takes(less);
        }
    }

    /// Leaves out all rules, then halves of them, and so on to single ones.
    fn leave_out_rules(&mut self) {
        let mut length = rule_set::names().count();
        while length > 0 {
            let is_there = |name: &&str| !self.best.setup.reduction.has_no_rule(name);
            let there: Vec<&str> = rule_set::names().filter(is_there).collect();
            for part in there.chunks(length) {
                let less = self.best.setup.reduction.without_rules(part);
                self.takes(less);
            }
            length /= 2;
        }
    }

    /// Leaves out all of what each does, then halves of it, and so on to single deeds.
    fn leave_out_deeds(&mut self) {
        let actors = self.best.deeds.clone();
        let mut length = actors.iter().map(|(_, count)| *count).max().unwrap_or(0);
        while length > 0 && self.left > 0 {
            for (actor, count) in &actors {
                let is_there = |deed: &u32| !self.best.setup.reduction.has_no_deed(*actor, *deed);
                let there: Vec<u32> = (1..=*count).filter(is_there).collect();
                for part in there.chunks(length as usize) {
                    let less = self.best.setup.reduction.without_deeds(*actor, part);
                    self.takes(less);
                }
            }
            length /= 2;
        }
    }
}

/// A problem without the numbers and the details in it.
fn kind_of(problem: &str) -> String {
    let words = problem.split_whitespace().filter(|word| word.chars().all(char::is_alphabetic));
    words.take(WORDS).collect::<Vec<_>>().join(" ")
}

/// A run with less in it may be longer by one part in so many.
const SLACK: u64 = 8;
/// The trouble is not shortened by less than that.
const SHORTEST_STEP_MS: u64 = 20;
/// So many words tell one kind of problem from another.
const WORDS: usize = 6;
