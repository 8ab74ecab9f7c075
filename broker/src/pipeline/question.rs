//! Answers to clients that ask for the current value of a window: a message to `$rules/RULE/GROUP`
//! with a response topic, or one to `$rules/RULE/GROUP/get`, which is answered at
//! `$rules/RULE/GROUP/value`.

use std::borrow::Cow;

use weir_core::{MessageParts, Route};
use weir_mqtt::{PublishProperties, TopicName, UserProperties};

use super::{Pipeline, timestamp};
use crate::inner_turn::OwnedPublication;

/// What questions begin with.
const RULES: &str = "$rules/";
/// What those end with that name no topic for the answer, and what that ends with.
const GET: &str = "/get";
const VALUE: &str = "/value";

impl Pipeline {
    /// Answers a message if it is a question.
    pub(super) fn answer(&mut self, unix_ms: u64, parts: &MessageParts<'_>) -> bool {
        let Some(asked) = parts.topic.strip_prefix(RULES) else { return false };
        // What comes from elsewhere may hold anything.
        let Ok(properties) = PublishProperties::decode_end_to_end(parts.properties) else {
            return false;
        };
        let (asked, topic) = match (properties.response_topic, asked.strip_suffix(GET)) {
            (Some(topic), _) => (asked, Cow::Borrowed(topic)),
            (None, Some(asked)) => (asked, Cow::Owned(format!("{RULES}{asked}{VALUE}"))),
            (None, None) => return false,
        };
        if TopicName::parse(&topic).is_err() {
            return false;
        }
        let (rule, group) = asked.split_once('/').unwrap_or((asked, ""));
        let found = self.engine.peek(timestamp(unix_ms), rule, group);
        let error = found.as_ref().err().map(ToString::to_string);
        let mut user = vec![("rule", rule)];
        user.extend(error.as_deref().map(|error| ("error", error)));
        let properties = PublishProperties {
            correlation_data: properties.correlation_data,
            user_properties: UserProperties::from(user.as_slice()),
            ..PublishProperties::default()
        };
        let mut encoded = Vec::new();
        if properties.encode_end_to_end(&mut encoded).is_err() {
            encoded.clear();
        }
        let answer = MessageParts {
            qos: parts.qos,
            retain: false,
            expires_at_ms: None,
            received_at_ms: unix_ms,
            publisher: "",
            topic: &topic,
            properties: &encoded,
            payload: found.as_deref().unwrap_or(b"null"),
        };
        let mut record = Vec::new();
        answer.append_to(&mut record);
        self.publications
            .push(OwnedPublication { record, route: Route::Subscribers { origin: None } });
        true
    }
}
