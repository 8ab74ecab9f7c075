//! What the codes in the answers of a broker mean for a message, its topic or the connection.

use std::time::Duration;

use crate::upstream::error::{LinkError, one_line};

/// What became of a batch, or what is known about a topic.
#[derive(Debug)]
pub(super) enum Answer {
    /// It passes when the brokers have agreed on something: their lists are to be asked for again.
    /// After so long somebody should know.
    Again(LinkError, Duration),
    /// Only somebody, or more time, can put it right.
    Link(LinkError),
    /// One message of the batch, or more, will never be stored.
    Message(String),
    Stored,
    /// Nothing can be stored under this topic.
    Topic(String),
}

/// What a code means, with the text that newer brokers send along.
pub(super) fn meaning(code: i16, text: Option<&str>, topic: &str) -> Answer {
    let name = NAMES.iter().find(|(known, _)| *known == code).map(|(_, name)| *name);
    let name = name.map_or_else(|| format!("error {code}"), str::to_owned);
    let told = text.map(one_line).filter(|text| !text.is_empty());
    let reason = told.map_or_else(|| name.clone(), |text| format!("{name}: {text}"));
    let of_topic = format!("topic `{topic}`: {reason}");
    let refused = |help| LinkError::Refused { reason: of_topic.clone(), help };
    match code {
        NONE => Answer::Stored,
        UNKNOWN_TOPIC_OR_PARTITION => Answer::Again(refused(HELP_TOPIC), MADE_WITHIN),
        CORRUPT_MESSAGE
        | LEADER_NOT_AVAILABLE
        | NOT_LEADER_OR_FOLLOWER
        | REQUEST_TIMED_OUT
        | BROKER_NOT_AVAILABLE
        | REPLICA_NOT_AVAILABLE
        | NETWORK_EXCEPTION
        | KAFKA_STORAGE_ERROR
        | FENCED_LEADER_EPOCH
        | UNKNOWN_LEADER_EPOCH => Answer::Again(LinkError::RefusedMessage(of_topic), MOVED_WITHIN),
        // Not at once again: after the second one the message is there already, and each attempt
        // would add another.
        NOT_ENOUGH_REPLICAS | NOT_ENOUGH_REPLICAS_AFTER_APPEND => {
            Answer::Link(refused(HELP_REPLICAS))
        }
        MESSAGE_TOO_LARGE
        | RECORD_LIST_TOO_LARGE
        | INVALID_TIMESTAMP
        | POLICY_VIOLATION
        | INVALID_RECORD => Answer::Message(reason),
        INVALID_TOPIC_EXCEPTION | TOPIC_AUTHORIZATION_FAILED => Answer::Topic(reason),
        CLUSTER_AUTHORIZATION_FAILED => Answer::Link(refused(HELP_PERMISSION)),
        UNSUPPORTED_FOR_MESSAGE_FORMAT | UNSUPPORTED_COMPRESSION_TYPE => {
            Answer::Link(refused(HELP_COMPRESSION))
        }
        _ => Answer::Link(LinkError::RefusedMessage(of_topic)),
    }
}

/// Of a topic that all messages go to: a mistake there is none of the messages.
pub(super) fn topic_refused(topic: &str, reason: &str) -> LinkError {
    LinkError::Refused { reason: format!("topic `{topic}`: {reason}"), help: HELP_PERMISSION }
}

/// Whether a code says that a batch has too many bytes: fewer may be taken.
pub(super) fn is_size(code: i16) -> bool {
    matches!(code, MESSAGE_TOO_LARGE | RECORD_LIST_TOO_LARGE)
}

/// A broker that goes hands over what it leads within seconds.
pub(super) const MOVED_WITHIN: Duration = Duration::from_secs(10);
/// A topic that brokers make by themselves is there soon.
const MADE_WITHIN: Duration = Duration::from_secs(3);

const NONE: i16 = 0;
const CORRUPT_MESSAGE: i16 = 2;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const LEADER_NOT_AVAILABLE: i16 = 5;
const NOT_LEADER_OR_FOLLOWER: i16 = 6;
const REQUEST_TIMED_OUT: i16 = 7;
const BROKER_NOT_AVAILABLE: i16 = 8;
const REPLICA_NOT_AVAILABLE: i16 = 9;
const MESSAGE_TOO_LARGE: i16 = 10;
const NETWORK_EXCEPTION: i16 = 13;
const INVALID_TOPIC_EXCEPTION: i16 = 17;
const RECORD_LIST_TOO_LARGE: i16 = 18;
const NOT_ENOUGH_REPLICAS: i16 = 19;
const NOT_ENOUGH_REPLICAS_AFTER_APPEND: i16 = 20;
const TOPIC_AUTHORIZATION_FAILED: i16 = 29;
const CLUSTER_AUTHORIZATION_FAILED: i16 = 31;
const INVALID_TIMESTAMP: i16 = 32;
pub(super) const UNSUPPORTED_SASL_MECHANISM: i16 = 33;
pub(super) const ILLEGAL_SASL_STATE: i16 = 34;
const UNSUPPORTED_FOR_MESSAGE_FORMAT: i16 = 43;
const POLICY_VIOLATION: i16 = 44;
const KAFKA_STORAGE_ERROR: i16 = 56;
const FENCED_LEADER_EPOCH: i16 = 74;
const UNKNOWN_LEADER_EPOCH: i16 = 75;
const UNSUPPORTED_COMPRESSION_TYPE: i16 = 76;
const INVALID_RECORD: i16 = 87;

/// As Kafka itself calls them.
const NAMES: [(i16, &str); 24] = [
    (CORRUPT_MESSAGE, "CORRUPT_MESSAGE"),
    (UNKNOWN_TOPIC_OR_PARTITION, "UNKNOWN_TOPIC_OR_PARTITION"),
    (LEADER_NOT_AVAILABLE, "LEADER_NOT_AVAILABLE"),
    (NOT_LEADER_OR_FOLLOWER, "NOT_LEADER_OR_FOLLOWER"),
    (REQUEST_TIMED_OUT, "REQUEST_TIMED_OUT"),
    (BROKER_NOT_AVAILABLE, "BROKER_NOT_AVAILABLE"),
    (REPLICA_NOT_AVAILABLE, "REPLICA_NOT_AVAILABLE"),
    (MESSAGE_TOO_LARGE, "MESSAGE_TOO_LARGE"),
    (NETWORK_EXCEPTION, "NETWORK_EXCEPTION"),
    (INVALID_TOPIC_EXCEPTION, "INVALID_TOPIC_EXCEPTION"),
    (RECORD_LIST_TOO_LARGE, "RECORD_LIST_TOO_LARGE"),
    (NOT_ENOUGH_REPLICAS, "NOT_ENOUGH_REPLICAS"),
    (NOT_ENOUGH_REPLICAS_AFTER_APPEND, "NOT_ENOUGH_REPLICAS_AFTER_APPEND"),
    (TOPIC_AUTHORIZATION_FAILED, "TOPIC_AUTHORIZATION_FAILED"),
    (CLUSTER_AUTHORIZATION_FAILED, "CLUSTER_AUTHORIZATION_FAILED"),
    (INVALID_TIMESTAMP, "INVALID_TIMESTAMP"),
    (UNSUPPORTED_SASL_MECHANISM, "UNSUPPORTED_SASL_MECHANISM"),
    (ILLEGAL_SASL_STATE, "ILLEGAL_SASL_STATE"),
    (UNSUPPORTED_FOR_MESSAGE_FORMAT, "UNSUPPORTED_FOR_MESSAGE_FORMAT"),
    (POLICY_VIOLATION, "POLICY_VIOLATION"),
    (KAFKA_STORAGE_ERROR, "KAFKA_STORAGE_ERROR"),
    (FENCED_LEADER_EPOCH, "FENCED_LEADER_EPOCH"),
    (UNSUPPORTED_COMPRESSION_TYPE, "UNSUPPORTED_COMPRESSION_TYPE"),
    (INVALID_RECORD, "INVALID_RECORD"),
];

const HELP_COMPRESSION: &str =
    "the brokers do not know this compression: choose another `compression` in `kafka`";
const HELP_PERMISSION: &str =
    "give this user the right to write to the topic, at the upstream (ACL `Write`, `Describe`)";
const HELP_REPLICAS: &str =
    "fewer brokers have the topic than its `min.insync.replicas` asks for: look at the brokers";
const HELP_TOPIC: &str = "create the topic at the upstream (`kafka-topics.sh --create`), or let its \
                          brokers do so (`auto.create.topics.enable`)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_of_a_message_a_topic_or_the_brokers() {
        assert!(matches!(meaning(0, None, "t"), Answer::Stored));
        let large = meaning(MESSAGE_TOO_LARGE, None, "t");
        assert!(matches!(large, Answer::Message(reason) if reason == "MESSAGE_TOO_LARGE"));
        let invalid = meaning(INVALID_RECORD, Some("no\r\nkey"), "t");
        assert!(matches!(invalid, Answer::Message(reason) if reason == "INVALID_RECORD: no key"));
        let foreign = meaning(TOPIC_AUTHORIZATION_FAILED, None, "t");
        assert!(matches!(foreign, Answer::Topic(reason) if reason == "TOPIC_AUTHORIZATION_FAILED"));
        for code in [NOT_LEADER_OR_FOLLOWER, UNKNOWN_TOPIC_OR_PARTITION, REQUEST_TIMED_OUT] {
            assert!(matches!(meaning(code, None, "t"), Answer::Again(..)), "{code}");
        }
        for code in [-1, NOT_ENOUGH_REPLICAS_AFTER_APPEND, 12_345] {
            assert!(matches!(meaning(code, None, "t"), Answer::Link(_)), "{code}");
        }
    }

    #[test]
    fn what_is_told_names_the_topic_and_what_to_do() {
        let Answer::Again(error, _) = meaning(UNKNOWN_TOPIC_OR_PARTITION, None, "agg") else {
            panic!("a topic may be made any moment")
        };
        let expected = "the upstream refused the connection: topic `agg`: \
                        UNKNOWN_TOPIC_OR_PARTITION";
        assert_eq!(error.to_string(), expected);
        assert!(error.help().contains("--create"));
    }
}
