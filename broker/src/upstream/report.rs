//! What an upstream tells the shard: how far it is done, and which messages were refused.
//!
//! Pure. Gathers for [`PAUSE_MS`], so that a lone acknowledgement does not cost a commit of its
//! own. A dead letter and the position that passes its record go in one turn, so none is lost
//! and the record is not sent again beside it.

use weir_core::{Instant, Message, MessageParts, ReaderId, Route, Sequence};
use weir_mqtt::{PublishProperties, QoS, TopicName};

use crate::inner_turn::{InnerTurn, OwnedPublication};

#[derive(Debug)]
pub(crate) struct Report {
    reader: ReaderId,
    /// The name of the upstream.
    name: String,
    dead_letters: Vec<OwnedPublication>,
    /// The position that was told last.
    told: Sequence,
    due: Option<Instant>,
}

impl Report {
    /// For `reader`, which is done up to `done`.
    pub(crate) fn new(reader: ReaderId, name: &str, done: Sequence) -> Self {
        Self { reader, name: name.to_owned(), dead_letters: Vec::new(), told: done, due: None }
    }

    /// The upstream will not get `message`, for this reason: it is published here instead. What
    /// is a dead letter already stays where it is; two upstreams could go on for ever.
    pub(crate) fn dead_letter(&mut self, message: &Message, reason: &str, unix_ms: u64) {
        let parts = message.parts();
        if parts.topic.starts_with(DEAD_LETTERS) {
            return;
        }
        let mut topic = format!("{DEAD_LETTERS}{}/{}", self.name, parts.topic);
        if TopicName::parse(&topic).is_err() {
            topic.truncate(topic.len() - parts.topic.len() - 1);
        }
        let stored = PublishProperties::decode_end_to_end(parts.properties)
            .expect("stored properties were encoded by this broker");
        let mut user: Vec<(&str, &str)> = stored.user_properties.iter().collect();
        user.extend([("error", reason), ("upstream", &self.name)]);
        let properties = PublishProperties { user_properties: user.as_slice().into(), ..stored };
        let mut encoded = Vec::new();
        if properties.encode_end_to_end(&mut encoded).is_err() {
            encoded.clear();
        }
        let letter = MessageParts {
            qos: QoS::AtLeastOnce,
            retain: false,
            expires_at_ms: None,
            received_at_ms: unix_ms,
            publisher: "",
            topic: &topic,
            properties: &encoded,
            payload: parts.payload,
        };
        let mut record = Vec::new();
        letter.append_to(&mut record);
        let route = Route::Subscribers { origin: Some(self.reader) };
        self.dead_letters.push(OwnedPublication { record, route });
    }

    /// What is to be told now. `done` is how far the upstream is; `at_once` does not wait.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        done: Sequence,
        at_once: bool,
    ) -> Option<InnerTurn> {
        if done <= self.told && self.dead_letters.is_empty() {
            return None;
        }
        let due = *self.due.get_or_insert(now + PAUSE_MS);
        if now < due && !at_once && self.dead_letters.len() < DEAD_LETTERS_MAX {
            return None;
        }
        self.due = None;
        self.told = self.told.max(done);
        Some(InnerTurn {
            publications: std::mem::take(&mut self.dead_letters),
            done: Some((self.reader, self.told)),
            ..InnerTurn::default()
        })
    }

    /// When there is something to be told.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }
}

/// Where dead letters are published.
const DEAD_LETTERS: &str = "dead/upstream/";
/// How long acknowledgements gather.
const PAUSE_MS: u64 = 50;
/// How many dead letters gather.
const DEAD_LETTERS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &str, properties: &[u8]) -> Message {
        let parts = MessageParts {
            qos: QoS::ExactlyOnce,
            retain: true,
            expires_at_ms: None,
            received_at_ms: 1,
            publisher: "",
            topic,
            properties,
            payload: b"21.5",
        };
        Message::new(&parts, &mut Vec::new())
    }

    #[test]
    fn acknowledgements_gather_before_they_are_told() {
        let mut report = Report::new(ReaderId(2), "cloud", Sequence(5));
        assert!(report.take(Instant(0), Sequence(5), true).is_none());
        assert!(report.take(Instant(100), Sequence(6), false).is_none());
        assert_eq!(report.due(), Some(Instant(150)));
        assert!(report.take(Instant(149), Sequence(9), false).is_none());
        let turn = report.take(Instant(150), Sequence(9), false).expect("it is due");
        assert_eq!(turn.done, Some((ReaderId(2), Sequence(9))));
        assert_eq!(report.due(), None);
        assert!(report.take(Instant(151), Sequence(10), true).is_some(), "at once");
    }

    #[test]
    fn a_dead_letter_says_why_and_goes_with_the_position() {
        let mut report = Report::new(ReaderId(2), "cloud", Sequence(5));
        let mut properties = Vec::new();
        let user = [("unit", "celsius")];
        PublishProperties { user_properties: user[..].into(), ..PublishProperties::default() }
            .encode_end_to_end(&mut properties)
            .unwrap();
        report.dead_letter(&message("a/b", &properties), "NotAuthorized", 7);
        let turn = report.take(Instant(0), Sequence(6), true).expect("at once");
        assert_eq!(turn.done, Some((ReaderId(2), Sequence(6))));
        let letter = turn.publications[0].borrow();
        assert_eq!(letter.route, Route::Subscribers { origin: Some(ReaderId(2)) });
        let parts = letter.message;
        assert_eq!((parts.topic, parts.payload), ("dead/upstream/cloud/a/b", &b"21.5"[..]));
        assert_eq!((parts.qos, parts.retain), (QoS::AtLeastOnce, false));
        let stored = PublishProperties::decode_end_to_end(parts.properties).unwrap();
        let user: Vec<_> = stored.user_properties.iter().collect();
        let expected = [("unit", "celsius"), ("error", "NotAuthorized"), ("upstream", "cloud")];
        assert_eq!(user, expected);
    }

    #[test]
    fn a_dead_letter_that_is_refused_does_not_become_another() {
        let mut report = Report::new(ReaderId(2), "cloud", Sequence(0));
        report.dead_letter(&message("dead/upstream/other/a", &[]), "NotAuthorized", 7);
        let turn = report.take(Instant(0), Sequence(1), true).expect("it is done");
        assert!(turn.publications.is_empty());
    }

    #[test]
    fn a_topic_that_gets_too_long_is_left_out() {
        let mut report = Report::new(ReaderId(2), "cloud", Sequence(0));
        report.dead_letter(&message(&"a".repeat(65_530), &[]), "too long", 7);
        let turn = report.take(Instant(0), Sequence(1), true).expect("at once");
        assert_eq!(turn.publications[0].borrow().message.topic, "dead/upstream/cloud");
    }
}
