//! A map of bounded size: when it is full, it forgets the eighth that is oldest in one go, so that
//! making room costs little for each entry.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Instant;

/// Entries with the time that decides which go first.
#[derive(Debug)]
pub(crate) struct Forgetful<K, V> {
    entries: HashMap<K, (Instant, V)>,
    max: usize,
}

impl<K: Eq + Hash, V> Forgetful<K, V> {
    /// Room for `max` entries.
    pub(crate) fn new(max: usize) -> Self {
        Self { entries: HashMap::new(), max }
    }

    /// An entry and its time.
    pub(crate) fn get(&self, key: &K) -> Option<(Instant, &V)> {
        self.entries.get(key).map(|(at, value)| (*at, value))
    }

    /// Puts an entry in, in the place of one of the same name.
    pub(crate) fn put(&mut self, key: K, at: Instant, value: V) {
        if self.max == 0 {
            return;
        }
        if self.entries.len() >= self.max && !self.entries.contains_key(&key) {
            self.make_room();
        }
        self.entries.insert(key, (at, value));
    }

    /// Number of entries.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn make_room(&mut self) {
        let mut times: Vec<Instant> = self.entries.values().map(|(at, _)| *at).collect();
        let going = (times.len() / 8).max(1);
        let (_, last, _) = times.select_nth_unstable(going - 1);
        let last = *last;
        // Many may have the same time: then no more than the eighth goes.
        let mut left = going;
        self.entries.retain(|_, (at, _)| {
            let goes = left > 0 && *at <= last;
            left -= usize::from(goes);
            !goes
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_oldest_eighth_goes_when_it_is_full() {
        let (mut map, start) = (Forgetful::new(800), Instant::now());
        for number in 0..800u32 {
            map.put(number, start + Duration::from_secs(u64::from(number)), number);
        }
        map.put(799, start + Duration::from_secs(900), 1);
        assert_eq!(map.len(), 800, "another value needs no room");
        map.put(800, start, 2);
        assert_eq!(map.len(), 701);
        assert!(map.get(&99).is_none() && map.get(&100).is_some() && map.get(&800).is_some());
        assert_eq!(map.get(&799), Some((start + Duration::from_secs(900), &1)));
    }

    #[test]
    fn entries_of_the_same_time_and_the_smallest_rooms_stay_bounded() {
        let start = Instant::now();
        for max in [0, 1, 2, 7, 8, 100] {
            let mut map = Forgetful::new(max);
            for number in 0..1000 {
                map.put(number, start, ());
                assert!(map.len() <= max);
            }
            assert!(map.get(&999).is_some() || max == 0);
        }
    }
}
