//! How long it takes until what a rule has sent is durable, from the arrival of the message that it
//! was made from. Only of messages that promise something: QoS 1 and 2, and retained ones.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::histogram::Histogram;
use crate::inner_turn::Made;
use crate::times::Times;

/// The lags of all rules, in milliseconds. The rules ask for them, and whoever stores a turn tells
/// when that is done.
#[derive(Clone, Debug, Default)]
pub(super) struct CommitLag(Arc<Mutex<BTreeMap<Arc<str>, Histogram>>>);

impl CommitLag {
    /// What a turn holds is durable.
    pub(super) fn record(&self, made: Made, now_ms: u64) {
        if made.0.is_empty() {
            return;
        }
        let mut rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (rule, since) in made.0 {
            // Somebody may have set the calendar back since then.
            rules.entry(rule).or_default().record(now_ms.saturating_sub(since));
        }
    }

    /// Forgets rules that run no more.
    pub(super) fn keep(&self, runs: impl Fn(&str) -> bool) {
        let mut rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rules.retain(|rule, _| runs(rule));
    }

    /// All lags of a rule.
    pub(super) fn times(&self, rule: &str) -> Times {
        let rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rules.get(rule).map_or_else(Times::default, Histogram::times)
    }

    /// What half of the lags of a rule do not exceed, and 99 of 100.
    pub(super) fn usual(&self, rule: &str) -> [Option<u64>; 2] {
        let rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rules.get(rule).map_or([None; 2], Histogram::usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_counts_once_for_each_rule_from_its_oldest_message() {
        let (lag, mut made) = (CommitLag::default(), Made::default());
        let [tank, room] = ["tank", "room"].map(Arc::from);
        for (rule, since) in [(&tank, 1_050), (&room, 1_900), (&tank, 1_000), (&tank, 1_990)] {
            made.add(rule, since);
        }
        lag.record(made, 2_000);
        let [half, most] = lag.usual("tank");
        assert_eq!(half, most);
        assert!(half.is_some_and(|lag| (1_000..=1_250).contains(&lag)), "{half:?}");
        assert!(lag.usual("room")[0].is_some_and(|lag| (100..=125).contains(&lag)));
        assert_eq!(lag.usual("other"), [None; 2]);
    }

    #[test]
    fn a_clock_that_was_set_back_gives_no_lag() {
        let (lag, mut made) = (CommitLag::default(), Made::default());
        made.add(&Arc::from("tank"), 5_000);
        lag.record(made, 2_000);
        assert!(lag.usual("tank")[1].is_some_and(|lag| lag <= 2));
    }
}
