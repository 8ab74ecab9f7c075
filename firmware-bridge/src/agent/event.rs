//! Events of devices, and how many of them are told.

use std::collections::BTreeMap;

/// Lets one event of a kind through in a minute, and counts the others.
#[derive(Debug, Default)]
pub(crate) struct EventLimiter {
    kinds: BTreeMap<&'static str, Told>,
    pub(crate) told: u64,
    pub(crate) untold: u64,
}

#[derive(Debug)]
struct Told {
    at_ms: u64,
    /// Events since, this one too once it is told.
    waiting: u64,
}

impl EventLimiter {
    /// How many events of this kind are to be told now as one, if any.
    pub(crate) fn handle(&mut self, kind: &'static str, now_ms: u64) -> Option<u64> {
        match self.kinds.get_mut(kind) {
            Some(told) if now_ms < told.at_ms + QUIET_MS => {
                told.waiting += 1;
                self.untold += 1;
                None
            }
            Some(told) => {
                let count = told.waiting + 1;
                *told = Told { at_ms: now_ms, waiting: 0 };
                self.told += 1;
                Some(count)
            }
            None => {
                // Kinds are written in this program: there are a dozen.
                self.kinds.insert(kind, Told { at_ms: now_ms, waiting: 0 });
                self.told += 1;
                Some(1)
            }
        }
    }
}

const QUIET_MS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_of_a_kind_is_told_in_a_minute_and_says_how_many_there_were() {
        let mut limiter = EventLimiter::default();
        assert_eq!(limiter.handle("nack", 0), Some(1));
        assert_eq!(limiter.handle("nack", 10_000), None);
        assert_eq!(limiter.handle("crc", 10_000), Some(1));
        assert_eq!(limiter.handle("nack", 59_999), None);
        assert_eq!(limiter.handle("nack", 60_000), Some(3));
        assert_eq!((limiter.told, limiter.untold), (3, 2));
    }
}
