//! Messages that are published later: what their topics say, and what waits.
//!
//! Each has a number of those that sessions have, because the store keeps it as one: a session
//! that nobody can claim, which has no connection and ends when the time has come, and whose will
//! is the message. So a delay is as exact over a restart as that of a will.

use std::collections::BTreeMap;

use weir_mqtt::Version;

use crate::change::{SessionRecord, WillRecord};
use crate::clock::Now;
use crate::identity::SessionId;
use crate::message::Message;

/// What a topic of the form `$delayed/<seconds>/<topic>` says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Delay<'a> {
    pub(crate) seconds: u32,
    /// Where the message goes then.
    pub(crate) topic: &'a str,
}

/// A topic that begins like one with a delay and goes on otherwise.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct NotADelay;

impl<'a> Delay<'a> {
    /// None for every other topic.
    pub(crate) fn parse(name: &'a str) -> Result<Option<Self>, NotADelay> {
        let Some(rest) = name.strip_prefix(ROOT) else { return Ok(None) };
        if !rest.is_empty() && !rest.starts_with('/') {
            return Ok(None);
        }
        let rest = rest.strip_prefix('/').ok_or(NotADelay)?;
        let (seconds, topic) = rest.split_once('/').ok_or(NotADelay)?;
        let is_number = seconds.bytes().all(|byte| byte.is_ascii_digit());
        let is_delayed_again = topic == ROOT || topic.starts_with("$delayed/");
        if !is_number || topic.is_empty() || is_delayed_again {
            return Err(NotADelay);
        }
        Ok(Some(Self { seconds: seconds.parse().map_err(|_| NotADelay)?, topic }))
    }
}

/// The messages that wait for their time.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    waiting: BTreeMap<SessionId, WillRecord>,
    bytes: usize,
}

impl Schedule {
    pub(crate) fn insert(&mut self, id: SessionId, message: WillRecord) {
        self.bytes += message.message.len();
        let before = self.waiting.insert(id, message);
        assert!(before.is_none(), "a number is given once");
    }

    pub(crate) fn remove(&mut self, id: SessionId) -> Option<WillRecord> {
        let message = self.waiting.remove(&id)?;
        self.bytes -= message.message.len();
        Some(message)
    }

    pub(crate) fn contains(&self, id: SessionId) -> bool {
        self.waiting.contains_key(&id)
    }

    /// Number of messages.
    pub(crate) fn count(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes of the messages.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counts again what the counter counts; for checks.
    pub(crate) fn check_counters(&self) {
        assert_eq!(self.bytes, self.waiting.values().map(|record| record.message.len()).sum());
    }
}

/// What the store keeps of a message that is to be published `seconds` from now.
pub(crate) fn record(
    id: SessionId,
    message: Message,
    seconds: u32,
    expiry_interval_s: Option<u32>,
    now: Now,
) -> SessionRecord {
    SessionRecord {
        client_id: format!("{CLIENT_ID}{}", id.0).into(),
        version: Version::V5,
        expiry_interval_s: seconds,
        disconnected_at_ms: Some(now.unix_ms),
        will: Some(WillRecord { message, delay_interval_s: seconds, expiry_interval_s }),
    }
}

/// Whether a record of the store is of such a message, not of a session.
pub(crate) fn is_delayed(record: &SessionRecord) -> bool {
    record.client_id.starts_with(CLIENT_ID)
}

/// Where messages with a delay are published.
const ROOT: &str = "$delayed";
/// What their records have in the place of a client identifier; no client can have one with
/// U+0000 [MQTT-1.5.4-2].
const CLIENT_ID: &str = "\0delayed/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_digits_and_a_topic() {
        let delay = |seconds, topic| Ok(Some(Delay { seconds, topic }));
        assert_eq!(Delay::parse("$delayed/5/a"), delay(5, "a"));
        assert_eq!(Delay::parse("$delayed/0/a/b"), delay(0, "a/b"));
        assert_eq!(Delay::parse("$delayed/4294967295//"), delay(u32::MAX, "/"));
        assert_eq!(Delay::parse("$delayed/007/$mine"), delay(7, "$mine"));
    }

    #[test]
    fn what_is_no_delay_is_told_from_other_topics() {
        let malformed = [
            "$delayed",
            "$delayed/",
            "$delayed/5",
            "$delayed/5/",
            "$delayed//a",
            "$delayed/+5/a",
            "$delayed/-5/a",
            "$delayed/5s/a",
            "$delayed/1.5/a",
            "$delayed/ 5/a",
            "$delayed/4294967296/a",
            "$delayed/99999999999999999999999/a",
            "$delayed/5/$delayed/5/a",
            "$delayed/5/$delayed",
        ];
        for topic in malformed {
            assert_eq!(Delay::parse(topic), Err(NotADelay), "{topic}");
        }
        for topic in ["a", "$delayedly/5/a", "a/$delayed/5/a", "$SYS/x", "/$delayed/5/a"] {
            assert_eq!(Delay::parse(topic), Ok(None), "{topic}");
        }
    }
}
