//! Which messages a result was made of.

use super::{Fate, Outcome, Place, ResultWindow, Step};

impl Step {
    /// What was sent in this step with an identifier.
    pub fn outcome_of(&self, id: u128) -> Option<&Outcome> {
        let is_it =
            |outcome: &&Outcome| outcome.sent.as_ref().is_ok_and(|emission| emission.id == id);
        self.outcomes.iter().find(is_it)
    }

    /// Whether the message of this step is one of those in `window`, whose result was sent in the
    /// step `made`, which is this one or a later one of the same run. A message that came too late
    /// is in none.
    pub fn is_part_of(&self, made: &Step, window: &ResultWindow) -> bool {
        let Fate::Taken { place, .. } = self.fate else { return false };
        if self.rule != made.rule || (self.key != made.key && made.key.is_some()) {
            return false;
        }
        let time = self.time.unwrap_or(self.at).0;
        match (place, &made.fate) {
            (Place::Count { number, .. }, Fate::Taken { place, .. }) => match place {
                Place::Count { number: last, size } => number <= *last && number + size > *last,
                _ => false,
            },
            (Place::Clock { first, last }, _) => first.1 <= window.end && window.end <= last.1,
            (Place::Each(..), _) => window.start < time && time <= window.end,
            _ => window.start <= time && time <= window.end,
        }
    }
}
