//! What was published last on each topic, for whoever looks on.
//!
//! A table of bounded size that only exists while somebody asks for it: then every message costs a
//! look-up, and otherwise one branch. Under load the look-ups are bounded too: a chance of one in so
//! many decides which messages are looked at, and what is counted is weighed accordingly. It reads no
//! more of a payload than it keeps.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use weir_mqtt::QoS;

use crate::message::MessageParts;
use crate::random::Random;

/// What is known of one topic, and what has come since it was told last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSeen {
    /// The topic name.
    pub topic: Arc<str>,
    /// The beginning of the last payload, at most [`TopicNews::PAYLOAD_BYTES_MAX`].
    pub payload: Vec<u8>,
    /// Length of the whole payload.
    pub payload_bytes: usize,
    /// Messages since it was told last; an estimate when not every message is looked at.
    pub messages: u64,
    /// When the last one was received, milliseconds since the Unix epoch.
    pub received_at_ms: u64,
    /// The QoS with which it was published.
    pub qos: QoS,
    /// The RETAIN flag with which it was published.
    pub retain: bool,
}

/// What a watch has to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicNews {
    /// Topics with new messages, those first that have waited longest.
    pub topics: Vec<TopicSeen>,
    /// Topics with new messages that have to wait for the next time.
    pub waiting: usize,
    /// Topics in the table.
    pub known: usize,
    /// Messages on topics that the table has no room for, since the last time.
    pub others: u64,
    /// One of so many messages was looked at; 1 = all.
    pub one_of: u32,
}

/// The table, and what it has not told yet.
#[derive(Debug)]
pub(crate) struct TopicWatch {
    entries: Vec<TopicSeen>,
    places: HashMap<Arc<str>, usize, FixedState>,
    /// Places of the entries with new messages, in the order in which they became new.
    news: VecDeque<usize>,
    others: u64,
    /// Messages that were looked at since the last time.
    looks: u32,
    one_of: u32,
    /// Messages that are not looked at before the next one that is.
    skip: u32,
    random: Random,
}

impl TopicNews {
    /// Topics in the table of a shard.
    pub const TOPICS_MAX: usize = 10_000;
    /// Topics that are told at a time.
    pub const TOLD_MAX: usize = 500;
    /// Bytes of a payload that are kept.
    pub const PAYLOAD_BYTES_MAX: usize = 256;
    /// A longer topic name is not kept.
    pub const TOPIC_BYTES_MAX: usize = 512;
    /// Messages that are looked at between two times, which are to be a second apart.
    pub const LOOKS_MAX: u32 = 20_000;
}

/// At least one of so many messages is looked at.
const ONE_OF_MAX: u32 = 1 << 16;

impl TopicWatch {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            entries: Vec::new(),
            places: HashMap::with_hasher(FixedState::with_seed(seed)),
            news: VecDeque::new(),
            others: 0,
            looks: 0,
            one_of: 1,
            skip: 0,
            random: Random(seed),
        }
    }

    /// Notes a message, if it is one that is looked at.
    pub(crate) fn note(&mut self, parts: &MessageParts<'_>) {
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        self.looks += 1;
        if self.looks >= TopicNews::LOOKS_MAX {
            // There is more than was to be expected: half of it has to do until the next time.
            self.looks = TopicNews::LOOKS_MAX / 2;
            self.one_of = (self.one_of * 2).min(ONE_OF_MAX);
        }
        let weight = u64::from(self.one_of);
        self.skip = self.next_skip();
        let Some(place) = self.place(parts.topic) else {
            self.others += weight;
            return;
        };
        let entry = &mut self.entries[place];
        if entry.messages == 0 {
            self.news.push_back(place);
        }
        let kept = parts.payload.len().min(TopicNews::PAYLOAD_BYTES_MAX);
        entry.payload.clear();
        entry.payload.extend_from_slice(&parts.payload[..kept]);
        entry.payload_bytes = parts.payload.len();
        entry.messages += weight;
        entry.received_at_ms = parts.received_at_ms;
        entry.qos = parts.qos;
        entry.retain = parts.retain;
    }

    /// What has come since the last time, as much of it as is told at a time.
    pub(crate) fn take(&mut self) -> TopicNews {
        let told = self.news.len().min(TopicNews::TOLD_MAX);
        let entries = &mut self.entries;
        let tell = |place: usize| {
            let entry = &mut entries[place];
            let told = entry.clone();
            entry.messages = 0;
            told
        };
        let topics = self.news.drain(..told).map(tell).collect();
        let one_of = self.one_of;
        let seen = u64::from(self.looks) * u64::from(one_of);
        let needed = seen.div_ceil(u64::from(TopicNews::LOOKS_MAX)).max(1);
        self.one_of = u32::try_from(needed).unwrap_or(ONE_OF_MAX).min(ONE_OF_MAX);
        self.skip = self.skip.min(2 * (self.one_of - 1));
        self.looks = 0;
        TopicNews {
            topics,
            waiting: self.news.len(),
            known: self.entries.len(),
            others: std::mem::take(&mut self.others),
            one_of,
        }
    }

    /// On average one less than `one_of`, and never in step with whoever publishes in turn.
    fn next_skip(&mut self) -> u32 {
        if self.one_of == 1 {
            return 0;
        }
        let span = u64::from(2 * self.one_of - 1);
        u32::try_from(self.random.next() % span).expect("it is below a number of 32 bits")
    }

    fn place(&mut self, topic: &str) -> Option<usize> {
        if let Some(place) = self.places.get(topic) {
            return Some(*place);
        }
        if self.entries.len() >= TopicNews::TOPICS_MAX || topic.len() > TopicNews::TOPIC_BYTES_MAX {
            return None;
        }
        let place = self.entries.len();
        let topic: Arc<str> = topic.into();
        self.places.insert(topic.clone(), place);
        self.entries.push(TopicSeen {
            topic,
            payload: Vec::new(),
            payload_bytes: 0,
            messages: 0,
            received_at_ms: 0,
            qos: QoS::AtMostOnce,
            retain: false,
        });
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(watch: &mut TopicWatch, topic: &str, payload: &[u8]) {
        watch.note(&MessageParts {
            qos: QoS::AtLeastOnce,
            retain: true,
            expires_at_ms: None,
            received_at_ms: 1_800_000_000_000,
            publisher: "",
            topic,
            properties: &[],
            payload,
        });
    }

    #[test]
    fn the_last_value_and_the_number_of_messages_are_told_once() {
        let mut watch = TopicWatch::new(1);
        note(&mut watch, "a", b"1");
        note(&mut watch, "b", &[7; 1000]);
        note(&mut watch, "a", b"22");
        let news = watch.take();
        assert_eq!((news.known, news.others, news.one_of, news.waiting), (2, 0, 1, 0));
        let [a, b] = &news.topics[..] else { panic!("two topics: {news:?}") };
        assert_eq!((&*a.topic, &*a.payload, a.messages, a.retain), ("a", &b"22"[..], 2, true));
        assert_eq!((b.payload.len(), b.payload_bytes), (TopicNews::PAYLOAD_BYTES_MAX, 1000));
        assert_eq!(watch.take().topics, []);
        note(&mut watch, "b", b"");
        let again = watch.take().topics;
        assert_eq!((&*again[0].topic, again[0].messages, again[0].payload_bytes), ("b", 1, 0));
    }

    #[test]
    fn topics_beyond_the_room_of_the_table_are_counted_together() {
        let mut watch = TopicWatch::new(1);
        (0..TopicNews::TOPICS_MAX + 7).for_each(|topic| note(&mut watch, &topic.to_string(), b"x"));
        note(&mut watch, &"long".repeat(200), b"x");
        let news = watch.take();
        assert_eq!((news.known, news.others), (TopicNews::TOPICS_MAX, 8));
    }

    #[test]
    fn topics_that_have_waited_longest_are_told_first_and_all_of_them_in_time() {
        let mut watch = TopicWatch::new(1);
        let topics = 3 * TopicNews::TOLD_MAX;
        let mut told = std::collections::BTreeSet::new();
        for round in 0..3 {
            (0..topics).for_each(|topic| note(&mut watch, &topic.to_string(), b"x"));
            let news = watch.take();
            assert_eq!(news.topics.len(), TopicNews::TOLD_MAX);
            told.extend(news.topics.into_iter().map(|one| one.topic));
            assert_eq!(told.len(), (round + 1) * TopicNews::TOLD_MAX);
        }
    }

    /// Also when topics come in turn, so that every so many messages are of the same one.
    #[test]
    fn under_load_few_messages_are_looked_at_and_the_count_is_near_the_truth() {
        let mut watch = TopicWatch::new(7);
        let messages = 20 * TopicNews::LOOKS_MAX;
        let mut looked = Vec::new();
        for _ in 0..4 {
            for message in 0..messages {
                note(&mut watch, ["a", "b", "c", "d", "e"][message as usize % 5], b"x");
            }
            looked.push(watch.looks);
            let news = watch.take();
            assert!(news.one_of > 1, "{news:?}");
            assert_eq!(news.topics.len(), 5);
            for topic in news.topics {
                let truth = f64::from(messages / 5);
                let error = (topic.messages as f64 - truth).abs() / truth;
                assert!(error < 0.1, "{topic:?}: {truth}");
            }
        }
        assert!(looked.iter().all(|looks| *looks <= TopicNews::LOOKS_MAX), "{looked:?}");
        // With less to do it looks at everything again.
        note(&mut watch, "a", b"x");
        watch.take();
        note(&mut watch, "a", b"x");
        assert_eq!(watch.take().topics[0].messages, 1);
    }
}
