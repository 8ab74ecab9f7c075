//! Messages that an upstream sends back, because it does not know that they came from here.
//!
//! MQTT 5 subscribes with `no local`, and messages say how often they were forwarded. 3.1.1 has
//! neither: where the same topics go both ways, each message that was forwarded comes back once. So
//! it is remembered until it does, for a while: what is the same comes from nobody else in that
//! time but once too often.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};

use weir_core::Instant;

use super::outgoing::matching;
use crate::config::Route;

/// What was forwarded and may come back, in the order in which it was forwarded. It comes back in
/// about that order, so what is looked for stands near the front.
#[derive(Debug, Default)]
pub(super) struct Echoes {
    hasher: RandomState,
    sent: VecDeque<(Instant, u64)>,
}

impl Echoes {
    /// A message was forwarded to a topic there; it comes back if one of the routes fetches it.
    pub(super) fn sent(&mut self, now: Instant, routes: &[Route], topic: &str, payload: &[u8]) {
        if matching(routes, topic).is_none() {
            return;
        }
        self.forget(now);
        self.sent.push_back((now, self.hasher.hash_one((topic, payload))));
    }

    /// Whether a message from there is one that was forwarded and has not come back yet.
    pub(super) fn takes_back(&mut self, now: Instant, topic: &str, payload: &[u8]) -> bool {
        self.forget(now);
        let digest = self.hasher.hash_one((topic, payload));
        let found = self.sent.iter().position(|(_, sent)| *sent == digest);
        found.is_some_and(|index| self.sent.remove(index).is_some())
    }

    fn forget(&mut self, now: Instant) {
        let is_over = |(at, _): &(Instant, u64)| now.0.saturating_sub(at.0) > REMEMBERED_MS;
        while self.sent.len() >= REMEMBERED_MAX || self.sent.front().is_some_and(is_over) {
            self.sent.pop_front();
        }
    }
}

const REMEMBERED_MS: u64 = 60_000;
const REMEMBERED_MAX: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Priority, TopicTemplate};

    #[test]
    fn what_was_forwarded_comes_back_once() {
        let to = TopicTemplate::parse("{topic}", "cmd/#").expect("a template");
        let routes = [Route { from: "cmd/#".to_owned(), to, qos: 1, priority: Priority::Normal }];
        let mut echoes = Echoes::default();
        let at = |second: u64| Instant(second * 1_000);
        echoes.sent(at(0), &routes, "cmd/a", b"on");
        echoes.sent(at(0), &routes, "other", b"on");
        assert!(!echoes.takes_back(at(1), "other", b"on"), "nobody fetches that");
        assert!(!echoes.takes_back(at(1), "cmd/a", b"off"));
        assert!(echoes.takes_back(at(1), "cmd/a", b"on"));
        assert!(!echoes.takes_back(at(1), "cmd/a", b"on"), "somebody there has sent the same");
        // The same again and again, for longer than it is remembered.
        for second in 0..200 {
            echoes.sent(at(second), &routes, "cmd/a", b"on");
            assert!(echoes.takes_back(at(second), "cmd/a", b"on"), "second {second}");
        }
        echoes.sent(at(300), &routes, "cmd/a", b"on");
        assert!(!echoes.takes_back(at(361), "cmd/a", b"on"), "it was lost there");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let to = TopicTemplate::parse("{topic}", "#").expect("a template");
        let routes = [Route { from: "#".to_owned(), to, qos: 1, priority: Priority::Normal }];
        let mut echoes = Echoes::default();
        for number in 0..2 * REMEMBERED_MAX {
            echoes.sent(Instant(0), &routes, "a", &number.to_le_bytes());
        }
        assert_eq!(echoes.sent.len(), REMEMBERED_MAX);
        assert!(echoes.takes_back(Instant(0), "a", &(2 * REMEMBERED_MAX - 1).to_le_bytes()));
    }
}
