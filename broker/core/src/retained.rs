//! The retained messages: one per topic, ordered by topic.
//!
//! The topics that begin alike stand together, so a filter is answered by walking the range that
//! its literal beginning leaves open. The topic is held once, in the message itself. Messages that
//! expire stand a second time in the order in which they do.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Bound;

use weir_mqtt::TopicFilter;

use crate::message::Message;

/// The retained messages of a shard.
#[derive(Debug, Default)]
pub(crate) struct Retained {
    messages: BTreeSet<ByTopic>,
    /// Those that expire, with when, in milliseconds since 1970.
    expiring: BTreeSet<(u64, ByTopic)>,
    bytes: usize,
}

impl Retained {
    /// Keeps `message` for its topic in place of the one before.
    pub(crate) fn put(&mut self, message: Message) {
        self.bytes += message.len();
        let expiry = expiry_of(&message);
        if let Some(before) = self.messages.replace(ByTopic(message)) {
            self.forget(&before);
        }
        self.expiring.extend(expiry);
    }

    /// Forgets the message of a topic; true when there was one.
    pub(crate) fn remove(&mut self, topic: &str) -> bool {
        let before = self.messages.take(topic);
        before.inspect(|before| self.forget(before)).is_some()
    }

    /// Takes out one whose time is over.
    pub(crate) fn take_expired(&mut self, unix_ms: u64) -> Option<Message> {
        let (_, first) = self.expiring.first().filter(|(at, _)| *at <= unix_ms)?;
        let expired = self.messages.take(first.0.topic()).expect("those that expire are there");
        self.forget(&expired);
        Some(expired.0)
    }

    /// When the first one expires, in milliseconds since 1970.
    pub(crate) fn first_expiry_ms(&self) -> Option<u64> {
        self.expiring.first().map(|(at, _)| *at)
    }

    /// Counts a message no more that is not there any more.
    fn forget(&mut self, before: &ByTopic) {
        self.bytes -= before.0.len();
        if let Some(expiry) = expiry_of(&before.0) {
            self.expiring.remove(&expiry);
        }
    }

    /// The message of a topic.
    pub(crate) fn get(&self, topic: &str) -> Option<&Message> {
        self.messages.get(topic).map(|found| &found.0)
    }

    /// True when the topic has a message.
    pub(crate) fn contains(&self, topic: &str) -> bool {
        self.messages.contains(topic)
    }

    /// Number of topics with a message.
    pub(crate) fn count(&self) -> usize {
        self.messages.len()
    }

    /// Number of those that expire.
    pub(crate) fn expiring_count(&self) -> usize {
        self.expiring.len()
    }

    /// Bytes of all messages.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counts again what the counter counts; for checks.
    pub(crate) fn check_counters(&self) {
        assert_eq!(self.bytes, self.messages.iter().map(|message| message.0.len()).sum());
        let expiring = self.messages.iter().filter_map(|message| expiry_of(&message.0));
        assert_eq!(self.expiring, expiring.collect());
    }

    /// Calls `found` for each message that `filter` matches, in the order of their topics.
    pub(crate) fn matching(&self, filter: TopicFilter<'_>, mut found: impl FnMut(&Message)) {
        self.walk(filter, None, |message| {
            if filter.matches(message.topic()) {
                found(message);
            }
            true
        });
    }

    /// Calls `look` for each message that `filter` may match, in the order of their topics and only
    /// those behind the topic `after`, for as long as it answers true. True when it did to the end.
    pub(crate) fn walk(
        &self,
        filter: TopicFilter<'_>,
        after: Option<&str>,
        mut look: impl FnMut(&Message) -> bool,
    ) -> bool {
        let text = filter.filter();
        if !filter.has_wildcards() {
            let found = self.messages.get(text).filter(|_| after.is_none_or(|after| after < text));
            return found.is_none_or(|message| look(&message.0));
        }
        let wildcard = text.find(['+', '#']).expect("a filter with a wildcard");
        let literal = text.get(..wildcard).unwrap_or_default();
        // `sport/#` also matches `sport`, which sorts before `sport/`.
        let from = literal.strip_suffix('/').unwrap_or(literal);
        let start = match after {
            Some(after) if after >= from => Bound::Excluded(after),
            _ => Bound::Included(from),
        };
        for message in self.messages.range::<str, _>((start, Bound::Unbounded)) {
            if !message.0.topic().starts_with(from) {
                break;
            }
            if !look(&message.0) {
                return false;
            }
        }
        true
    }
}

/// Where a message stands that expires.
fn expiry_of(message: &Message) -> Option<(u64, ByTopic)> {
    message.expires_at_ms().map(|at| (at, ByTopic(message.clone())))
}

/// A message that is found by its topic.
#[derive(Debug)]
struct ByTopic(Message);

impl Borrow<str> for ByTopic {
    fn borrow(&self) -> &str {
        self.0.topic()
    }
}

impl PartialEq for ByTopic {
    fn eq(&self, other: &Self) -> bool {
        self.0.topic() == other.0.topic()
    }
}

impl Eq for ByTopic {}

impl PartialOrd for ByTopic {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByTopic {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.topic().cmp(other.0.topic())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MessageParts;
    use weir_mqtt::QoS;

    fn message(topic: &str, expires_at_ms: Option<u64>) -> Message {
        let parts = MessageParts {
            qos: QoS::AtMostOnce,
            retain: true,
            expires_at_ms,
            received_at_ms: 0,
            publisher: "",
            topic,
            properties: &[],
            payload: b"x",
        };
        Message::new(&parts, &mut Vec::new())
    }

    fn retained(topics: &[&str]) -> Retained {
        let mut retained = Retained::default();
        topics.iter().for_each(|topic| retained.put(message(topic, None)));
        retained
    }

    fn matching(retained: &Retained, filter: &str) -> Vec<String> {
        let mut found = Vec::new();
        let filter = TopicFilter::parse(filter).expect("a valid filter");
        retained.matching(filter, |message| found.push(message.topic().to_owned()));
        found
    }

    #[test]
    fn filters_find_what_they_match_and_nothing_else() {
        let topics = ["$SYS/x", "sport", "sport-x", "sport/a", "sport/a/b", "sportx", "z/a"];
        let retained = retained(&topics);
        assert_eq!(matching(&retained, "sport/#"), ["sport", "sport/a", "sport/a/b"]);
        assert_eq!(matching(&retained, "sport/+"), ["sport/a"]);
        assert_eq!(matching(&retained, "sport"), ["sport"]);
        assert_eq!(matching(&retained, "+/a"), ["sport/a", "z/a"]);
        assert_eq!(matching(&retained, "#").len(), topics.len() - 1);
        assert_eq!(matching(&retained, "$SYS/#"), ["$SYS/x"]);
    }

    #[test]
    fn replacing_and_removing_keep_the_bytes_right() {
        let mut retained = retained(&["a", "b", "a"]);
        assert_eq!(retained.count(), 2);
        assert!(retained.remove("a"));
        assert!(!retained.remove("a"));
        assert!(retained.remove("b"));
        assert_eq!((retained.count(), retained.bytes()), (0, 0));
    }

    #[test]
    fn what_expires_is_taken_in_the_order_in_which_it_does() {
        let mut retained = Retained::default();
        for (topic, at) in [("a", Some(30)), ("b", None), ("c", Some(10)), ("d", Some(20))] {
            retained.put(message(topic, at));
        }
        retained.put(message("d", Some(40)));
        retained.put(message("c", Some(15)));
        assert_eq!(retained.first_expiry_ms(), Some(15));
        assert!(retained.take_expired(14).is_none());
        let taken: Vec<String> = std::iter::from_fn(|| retained.take_expired(30))
            .map(|message| message.topic().to_owned())
            .collect();
        assert_eq!(taken, ["c", "a"]);
        retained.put(message("d", None));
        assert_eq!((retained.first_expiry_ms(), retained.count()), (None, 2));
        retained.check_counters();
    }
}
