//! The topics that the shards have seen, put together, each as it is sent.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use serde_json::{Map, Value};
use weir_core::{TopicNews, TopicSeen};

use super::event::{framed, put_payload};

/// Topics of a part of the whole table.
const PART: usize = TopicNews::TOLD_MAX;

/// What was seen since somebody began to look.
#[derive(Debug, Default)]
pub(super) struct Topics {
    rows: BTreeMap<Arc<str>, Row>,
    is_watched: bool,
    /// Messages on topics that there was no room for.
    others: u64,
    one_of: u32,
    waiting: usize,
}

#[derive(Debug)]
struct Row {
    messages: u64,
    told: Instant,
    received_at_ms: u64,
    json: String,
}

impl Topics {
    /// The event of what is new.
    pub(super) fn event(&mut self, news: Vec<TopicNews>, now: Instant) -> Bytes {
        self.is_watched = true;
        self.one_of = news.iter().map(|news| news.one_of).max().unwrap_or(1);
        self.waiting = news.iter().map(|news| news.waiting).sum();
        let mut told = Vec::new();
        for news in news {
            self.others = self.others.saturating_add(news.others);
            for seen in news.topics {
                let topic = seen.topic.clone();
                if self.take(seen, now) {
                    told.push(topic);
                }
            }
        }
        told.sort();
        // Of several shards.
        told.dedup();
        let rows = told.iter().filter_map(|topic| self.rows.get(topic));
        self.framed(rows.map(|row| &*row.json))
    }

    /// A part of all topics, those after this one, and the last of them; none after the last part.
    pub(super) fn part(&self, after: Option<&Arc<str>>) -> Option<(Bytes, Arc<str>)> {
        let from = after.map_or(Bound::Unbounded, |topic| Bound::Excluded(topic.clone()));
        let rows = || self.rows.range((from.clone(), Bound::Unbounded)).take(PART);
        let last = rows().last()?.0.clone();
        Some((self.framed(rows().map(|(_, row)| &*row.json)), last))
    }

    /// Forgets everything; true when anybody had looked.
    pub(super) fn clear(&mut self) -> bool {
        std::mem::take(self).is_watched
    }

    /// False when there is no room.
    fn take(&mut self, seen: TopicSeen, now: Instant) -> bool {
        let before = self.rows.get(&seen.topic);
        if before.is_none() && self.rows.len() >= TopicNews::TOPICS_MAX {
            self.others = self.others.saturating_add(seen.messages);
            return false;
        }
        let messages = before.map_or(0, |row| row.messages).saturating_add(seen.messages);
        let passed = before.map(|row| now.duration_since(row.told));
        // Another shard may have told of a later one.
        let is_later = before.is_none_or(|row| row.received_at_ms <= seen.received_at_ms);
        let rate = passed.map(|passed| rate(seen.messages, passed));
        let received_at_ms = before.map_or(0, |row| row.received_at_ms).max(seen.received_at_ms);
        let json = match before {
            Some(row) if !is_later => row.json.clone(),
            _ => json(&seen, messages, rate),
        };
        self.rows.insert(seen.topic, Row { messages, told: now, received_at_ms, json });
        true
    }

    fn framed<'a>(&self, rows: impl Iterator<Item = &'a str>) -> Bytes {
        let rows: Vec<&str> = rows.collect();
        let (known, others) = (self.rows.len(), self.others);
        let (one_of, waiting) = (self.one_of.max(1), self.waiting);
        let data = format!(
            "{{\"known\":{known},\"known_max\":{},\"others\":{others},\"one_of\":{one_of},\
             \"waiting\":{waiting},\"topics\":[{}]}}",
            TopicNews::TOPICS_MAX,
            rows.join(",")
        );
        framed("topics", &data)
    }
}

fn json(seen: &TopicSeen, messages: u64, rate: Option<f64>) -> String {
    let mut fields = Map::new();
    fields.insert("topic".into(), (*seen.topic).into());
    put_payload(&mut fields, &seen.payload, seen.payload_bytes);
    fields.insert("messages".into(), messages.into());
    if let Some(rate) = rate {
        fields.insert("rate".into(), rate.into());
    }
    fields.insert("received_at_ms".into(), seen.received_at_ms.into());
    fields.insert("qos".into(), u8::from(seen.qos).into());
    fields.insert("retain".into(), seen.retain.into());
    Value::Object(fields).to_string()
}

/// Hundredths: many topics come once in a minute. Two shards may tell in the same moment.
fn rate(messages: u64, passed: Duration) -> f64 {
    let per_second = messages as f64 / passed.as_secs_f64().max(1.0);
    (per_second * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use weir_mqtt::QoS;

    use super::*;

    fn seen(topic: &str, payload: &str, received_at_ms: u64, messages: u64) -> TopicSeen {
        TopicSeen {
            topic: topic.into(),
            payload: payload.into(),
            payload_bytes: payload.len(),
            messages,
            received_at_ms,
            qos: QoS::AtLeastOnce,
            retain: false,
        }
    }

    fn news(topics: Vec<TopicSeen>) -> TopicNews {
        TopicNews { topics, one_of: 1, ..TopicNews::default() }
    }

    fn data(event: &Bytes) -> Value {
        let text = str::from_utf8(event).expect("an event is text");
        let data = text.lines().find_map(|line| line.strip_prefix("data: "));
        serde_json::from_str(data.expect("it has data")).expect("they are JSON")
    }

    #[test]
    fn a_topic_of_two_shards_is_one_with_the_later_value() {
        let (mut topics, start) = (Topics::default(), Instant::now());
        topics.event(vec![news(vec![seen("a", "1", 10, 1)])], start);
        let later = start + Duration::from_secs(2);
        let both = vec![news(vec![seen("a", "3", 30, 4)]), news(vec![seen("a", "2", 20, 1)])];
        let told = data(&topics.event(both, later));
        let rows = told["topics"].as_array().expect("a list");
        assert_eq!((rows.len(), &rows[0]["payload"]), (1, &Value::from("3")));
        assert_eq!((&rows[0]["messages"], &rows[0]["rate"]), (&5.into(), &2.0.into()));
    }

    #[test]
    fn whoever_comes_is_told_of_all_topics_in_parts() {
        let mut topics = Topics::default();
        let all = (0..PART + 3).map(|number| seen(&format!("t/{number:04}"), "x", 1, 1));
        topics.event(vec![news(all.collect())], Instant::now());
        let (first, last) = topics.part(None).expect("there are some");
        let (second, end) = topics.part(Some(&last)).expect("there are more");
        let count = |event| data(event)["topics"].as_array().map(Vec::len);
        assert_eq!((count(&first), count(&second)), (Some(PART), Some(3)));
        assert_eq!(topics.part(Some(&end)), None);
    }

    #[test]
    fn the_table_has_an_end_and_says_so() {
        let mut topics = Topics::default();
        let all = (0..TopicNews::TOPICS_MAX).map(|number| seen(&number.to_string(), "x", 1, 1));
        topics.event(vec![news(all.collect())], Instant::now());
        let told = data(&topics.event(vec![news(vec![seen("more", "x", 1, 5)])], Instant::now()));
        assert_eq!((&told["others"], &told["topics"]), (&5.into(), &Value::Array(Vec::new())));
        assert!(topics.clear(), "somebody has looked");
        assert!(!topics.clear());
    }
}
