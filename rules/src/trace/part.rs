//! Which messages a result was made of.

use super::{Outcome, Place, ResultWindow, Step};

/// What tells which results a message is part of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) place: Place,
    /// Its time, as its window has it.
    pub(crate) time: i64,
    /// Which group of its name it is in: one that was forgotten can come again.
    pub(crate) life: u64,
    /// Of a `while` window: in which order it came.
    pub(crate) number: u64,
}

/// What tells the messages of a window from others, beside its start and its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Members {
    /// See [`Mark::life`].
    pub(crate) life: u64,
    /// Of a session: the time of the last one.
    pub(crate) last: i64,
    /// Of a count window the numbers of the first message and of the one after the last; of a
    /// `while` window the order in which the first message came, and the one that ended it.
    pub(crate) numbers: (u64, u64),
}

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
        let Some(Mark { place, time, life, number }) = self.mark else { return false };
        let ResultWindow { start, end, members: Members { numbers: (from, to), .. }, .. } = *window;
        let is_of_group = self.key.as_ref() == Some(&window.key) && life == window.members.life;
        if self.rule != made.rule || !is_of_group {
            return false;
        }
        match place {
            Place::Clock { first, last } => first.1 <= end && end <= last.1,
            Place::Count { number, .. } => from <= number && number < to,
            Place::Each(..) => start < time && time <= end,
            Place::Session(..) => start <= time && time <= window.members.last,
            Place::While { holds } => {
                holds && (start, from) <= (time, number) && (time, number) < (end, to)
            }
        }
    }
}
