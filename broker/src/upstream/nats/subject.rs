//! What the topic of a message is called at NATS.
//!
//! As the MQTT of nats-server itself has it: levels become tokens, an empty level is the token `/`,
//! and a `.` in a level is `//`. What it refuses (spaces, wildcards, control characters) is written
//! as %XX, and so is `%`. No two topics have the same subject.

use std::fmt::Write as _;

use super::Unfit;

/// The subject for a topic.
pub(super) fn of(topic: &str) -> Result<String, Unfit> {
    if topic.starts_with('$') {
        return Err(Unfit::OfServer);
    }
    let mut subject = String::with_capacity(topic.len() + 8);
    for (place, level) in topic.split('/').enumerate() {
        if place > 0 {
            subject.push('.');
        }
        if level.is_empty() {
            subject.push('/');
        }
        for c in level.chars() {
            match c {
                '.' => subject.push_str("//"),
                ' ' | '%' | '*' | '>' | '\0'..='\x1f' | '\x7f' => {
                    write!(subject, "%{:02X}", u32::from(c)).expect("a string takes everything");
                }
                _ => subject.push(c),
            }
        }
    }
    if subject.len() > BYTES_MAX { Err(Unfit::SubjectTooLong) } else { Ok(subject) }
}

/// A server takes 4,096 bytes on the line that holds subject, inbox and lengths.
const BYTES_MAX: usize = 3_800;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_becomes_the_subject_that_the_server_itself_would_make_of_it() {
        for (topic, subject) in [
            ("site/agg/a", "site.agg.a"),
            ("/a//b/", "/.a./.b./"),
            ("/", "/./"),
            ("a.b/.", "a//b.//"),
            ("ä/€", "ä.€"),
        ] {
            assert_eq!(of(topic), Ok(subject.to_owned()), "{topic}");
        }
    }

    #[test]
    fn what_a_subject_cannot_have_is_escaped() {
        assert_eq!(of("Living Room/50%").as_deref(), Ok("Living%20Room.50%25"));
        assert_eq!(of("a*/>/\t").as_deref(), Ok("a%2A.%3E.%09"));
    }

    #[test]
    fn no_two_topics_have_the_same_subject() {
        let parts = ["", "/", ".", " ", "%20", "%", "a", "//", "*", "%2A"];
        let mut topics = std::collections::BTreeSet::new();
        for place in 0..parts.len().pow(3) {
            let (a, b, c) = (place / 100, place / 10 % 10, place % 10);
            topics.insert([parts[a], parts[b], parts[c]].concat());
        }
        topics.remove("");
        let subjects = topics.iter().map(|topic| of(topic).expect("it has a subject"));
        let different: std::collections::BTreeSet<_> = subjects.collect();
        assert_eq!(different.len(), topics.len());
    }

    #[test]
    fn what_belongs_to_the_server_or_is_too_long_has_no_subject() {
        assert_eq!(of("$JS/API/STREAM/DELETE/PLANT"), Err(Unfit::OfServer));
        assert_eq!(of(&"a".repeat(3_801)), Err(Unfit::SubjectTooLong));
    }
}
