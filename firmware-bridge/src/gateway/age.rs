//! Messages that say how old they are: see [`weir_node::age`].
//!
//! The age counts from when the packet was sent to when it arrives, so it is taken off here, and
//! becomes the time of the reading in a payload that has a place for it.

use bytes::Bytes;
use serde_json::{Map, Value};
use weir_node::age;

use super::clock::Stamp;

/// A message from a node as it is to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Aged<'a> {
    pub(super) topic: &'a str,
    pub(super) payload: &'a [u8],
    /// Milliseconds, if it says so.
    pub(super) age_ms: Option<u32>,
}

/// Takes the age off a message; `None` if it should have one and has not.
pub(super) fn read<'a>(topic: &'a str, message: &'a [u8]) -> Option<Aged<'a>> {
    let Some(topic) = age::topic(topic) else {
        return Some(Aged { topic, payload: message, age_ms: None });
    };
    let (age_ms, payload) = age::split(message)?;
    Some(Aged { topic, payload, age_ms: Some(age_ms) })
}

/// The topic that a message of this topic belongs to.
pub(super) fn target(topic: &str) -> &str {
    age::topic(topic).unwrap_or(topic)
}

/// Whether messages of this topic have an age, which only messages from nodes can have.
pub(super) fn has_age(topic: &str) -> bool {
    topic.starts_with(age::TOPIC_PREFIX)
}

impl Aged<'_> {
    /// What is published, with the moment that was so long ago.
    pub(super) fn stamped(&self, moment: impl FnOnce(u32) -> Stamp) -> Bytes {
        let at = self.age_ms.map(moment);
        let stamped = at.and_then(|stamp| with_time(self.payload, stamp));
        stamped.unwrap_or_else(|| Bytes::copy_from_slice(self.payload))
    }
}

/// A JSON object with its time, and otherwise byte for byte what it was; `None` if it is no object or
/// has its time.
fn with_time(payload: &[u8], stamp: Stamp) -> Option<Bytes> {
    let object: Map<String, Value> = serde_json::from_slice(payload).ok()?;
    if object.contains_key(MEMBER) {
        return None;
    }
    let end = payload.iter().rposition(|byte| *byte == b'}')?;
    let comma = if object.is_empty() { "" } else { "," };
    let mut stamped = payload[..end].trim_ascii_end().to_vec();
    let time = match stamp {
        Stamp::Uptime(ts_ms) => format!("{comma}\"{MEMBER}\":{ts_ms},\"ts_src\":\"uptime\"}}"),
        Stamp::Wall(ts_ms) => format!("{comma}\"{MEMBER}\":{ts_ms}}}"),
    };
    stamped.extend(time.bytes());
    Some(stamped.into())
}

const MEMBER: &str = "ts_ms";

#[cfg(test)]
mod tests {
    use super::super::clock::Clock;
    use super::*;

    fn stamped(message: &[u8], unix_ms: Option<u64>) -> String {
        let aged = read("$age/t", message).unwrap();
        let clock = Clock::at(0, unix_ms, 10_000);
        String::from_utf8(aged.stamped(|age_ms| clock.before(0, age_ms)).to_vec()).unwrap()
    }

    #[test]
    fn object_gets_its_time_as_the_last_member() {
        for (payload, expected) in [
            (&br#"{"temperature_c":21.50}"#[..], r#"{"temperature_c":21.50,"ts_ms":6400}"#),
            (br#"{"a":{"ts_ms":1}} "#, r#"{"a":{"ts_ms":1},"ts_ms":6400}"#),
            (b"{ }", r#"{"ts_ms":6400}"#),
            (br#"{"a":1,"ts_ms":5}"#, r#"{"a":1,"ts_ms":5}"#),
            (b"21.5", "21.5"),
            (b"[1]", "[1]"),
            (b"{\"a\"", "{\"a\""),
            (b"", ""),
        ] {
            let message = [&3_600_u32.to_be_bytes()[..], payload].concat();
            assert_eq!(stamped(&message, Some(10_000)), expected);
        }
    }

    #[test]
    fn without_a_clock_the_time_since_the_start_is_told_and_said_to_be_that() {
        let expected = r#"{"ts_ms":9999,"ts_src":"uptime"}"#;
        assert_eq!(stamped(b"\0\0\0\x01{}", None), expected);
        // It was measured a second before the machine was started.
        let message = [&11_000_u32.to_be_bytes()[..], br#"{"a":1}"#].concat();
        let expected = r#"{"a":1,"ts_ms":-1000,"ts_src":"uptime"}"#;
        assert_eq!(stamped(&message, None), expected);
        assert_eq!(stamped(b"\0\0\0\x01{\"ts_ms\":5}", None), r#"{"ts_ms":5}"#);
    }

    #[test]
    fn topic_says_whether_there_is_an_age() {
        assert_eq!(read("$age/t", b"\0\0\0"), None);
        let aged = read("t", b"\0\0\0").unwrap();
        assert_eq!((aged.topic, aged.age_ms, aged.payload), ("t", None, &b"\0\0\0"[..]));
        assert_eq!(target("$age/a/b"), "a/b");
    }
}
