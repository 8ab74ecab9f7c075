//! Tells a failure with as little as possible: clients, kinds of trouble, time and single deeds
//! are left out of the run as long as it still fails in the same way.

use super::outcome::Failure;
use super::reduction::{Reduction, Trouble};
use super::setup::Setup;
use super::world::{attempt, run};

/// A run that fails in the same way with less happening in it, after at most `attempts` runs.
#[must_use]
pub fn shrink(failure: Failure, attempts: u32) -> Failure {
    let mut search = Search { kind: kind_of(&failure.problem), best: failure, left: attempts };
    loop {
        let before = search.best.setup.reduction.clone();
        search.leave_out_rules();
        search.shorten();
        search.leave_out_clients();
        search.leave_out_troubles();
        search.leave_out_deeds();
        if search.best.setup.reduction == before || search.left == 0 {
            break;
        }
    }
    // Once more, to tell what happened.
    let told = run(&search.best.setup).err();
    told.map_or(search.best, |told| *told)
}

struct Search {
    /// What the failure is about.
    kind: String,
    best: Failure,
    /// Runs that are left.
    left: u32,
}

impl Search {
    /// Whether the run still fails, and not later than before; then that is the best.
    fn takes(&mut self, reduction: Reduction) -> bool {
        if self.left == 0 || reduction == self.best.setup.reduction {
            return false;
        }
        self.left -= 1;
        let setup = Setup { reduction, ..self.best.setup.clone() };
        let failed = attempt(&setup).err();
        let is_less = |found: &Failure| {
            found.events <= self.best.events && kind_of(&found.problem) == self.kind
        };
        let Some(failure) = failed.filter(|found| is_less(found)) else { return false };
        self.best = *failure;
        true
    }

    /// Before all else: every run after that is shorter.
    fn leave_out_rules(&mut self) {
        let less = self.best.setup.reduction.without_rules();
        self.takes(less);
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

    /// Leaves out halves of what each does, then quarters, and so on to single deeds.
    fn leave_out_deeds(&mut self) {
        for (actor, count) in self.best.deeds.clone() {
            let is_there =
                |best: &Failure, deed: &u32| !best.setup.reduction.has_no_deed(actor, *deed);
            let mut length = count;
            while length > 0 && self.left > 0 {
                let there: Vec<u32> =
                    (1..=count).filter(|deed| is_there(&self.best, deed)).collect();
                for part in there.chunks(length as usize) {
                    let less = self.best.setup.reduction.without_deeds(actor, part);
                    self.takes(less);
                }
                length /= 2;
            }
        }
    }
}

/// A problem without the numbers and the details in it.
fn kind_of(problem: &str) -> String {
    let words = problem.split_whitespace().filter(|word| word.chars().all(char::is_alphabetic));
    words.take(WORDS).collect::<Vec<_>>().join(" ")
}

/// The trouble is not shortened by less than that.
const SHORTEST_STEP_MS: u64 = 20;
/// So many words tell one kind of problem from another.
const WORDS: usize = 6;
