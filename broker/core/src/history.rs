//! Subscriptions to what was: `$history/<seconds>/<filter>` brings the messages of the last
//! seconds that the histories of the broker hold and the filter matches, and ends.
//!
//! The shell reads them in pages, one at a time, and the next page of a client only when it has
//! taken the one before, so a slow client takes no more memory than a fast one. The subscription
//! is not part of the session: it ends with the connection, and brings nothing new.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use weir_mqtt::{PublishProperties, QoS, ReasonCode, SubscribeFilter, TopicFilter, UserProperties};

use crate::authorize::Access;
use crate::change::SubscriptionRecord;
use crate::clock::Now;
use crate::core::Core;
use crate::durability::Durability;
use crate::effect::{Effect, HistoryRequest};
use crate::explanation::Refusal;
use crate::identity::{ConnectionId, SessionId};
use crate::key::SessionKey;
use crate::message::{Message, MessageParts};
use crate::mount;

/// The clients that read the history.
#[derive(Debug, Default)]
pub(crate) struct HistoryReads {
    /// What each of them still wants, by session.
    wanted: BTreeMap<SessionId, Wanted>,
    /// Those whose next page can be read, in the order in which they came to it.
    waiting: VecDeque<SessionId>,
    /// The client whose page is being read.
    reading: Option<(SessionId, ConnectionId)>,
}

#[derive(Debug)]
struct Wanted {
    connection: ConnectionId,
    /// As the client has said it.
    subscription: Box<str>,
    /// Of whole topics.
    filter: Arc<str>,
    record: SubscriptionRecord,
    since_ms: u64,
    /// Behind the page before; empty before the first.
    position: Vec<u64>,
    /// The client has not taken its page yet.
    has_page: bool,
}

/// The last seconds and the filter of a subscription to the history; none when it is another one.
/// An error when it is one without a number or a filter.
pub(crate) fn parse(filter: TopicFilter<'_>) -> Option<Result<(u32, TopicFilter<'_>), Refusal>> {
    let rest = filter.filter().strip_prefix(PREFIX)?;
    let parsed = || {
        let (seconds, filter) = rest.split_once('/')?;
        let is_number = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = seconds.parse().ok().filter(|seconds| is_number && *seconds > 0)?;
        let filter = TopicFilter::parse(filter).ok()?;
        filter.share_name().is_none().then_some((seconds, filter))
    };
    Some(match parsed() {
        Some(parsed) if filter.share_name().is_none() => Ok(parsed),
        _ => Err((ReasonCode::TopicFilterInvalid, NO_FORM)),
    })
}

impl Core {
    /// Begins to send what the histories hold; answers the QoS that is granted.
    pub(crate) fn subscribe_to_history(
        &mut self,
        now: Now,
        key: SessionKey,
        subscription: &SubscribeFilter<'_>,
        (seconds, filter): (u32, TopicFilter<'_>),
        record: SubscriptionRecord,
    ) -> Result<QoS, Refusal> {
        let session = &self.sessions[key as usize];
        let whole = session.mount_point.as_ref().map(|mount| mount::filter(mount, filter));
        let invalid = |_| (ReasonCode::TopicFilterInvalid, NO_FORM);
        let filter = whole.as_deref().map_or(Ok(filter), TopicFilter::parse).map_err(invalid)?;
        let wanted = SubscribeFilter { filter, ..*subscription };
        self.check_filter(key, &wanted).map_err(|reason| (reason, ""))?;
        let has_some =
            |kept: &str| TopicFilter::parse(kept).is_ok_and(|kept| kept.overlaps(filter));
        if !self.limits.history.iter().any(|kept| has_some(kept)) {
            return Err((ReasonCode::TopicFilterInvalid, NOT_KEPT));
        }
        let session = &self.sessions[key as usize];
        let (id, connection) = (session.id, session.connection);
        let Some(connection) = connection else { return Err((ReasonCode::UnspecifiedError, "")) };
        if self.history.wanted.contains_key(&id) {
            return Err((ReasonCode::QuotaExceeded, ONE_AT_A_TIME));
        }
        if self.history.wanted.len() >= READS_MAX {
            return Err((ReasonCode::QuotaExceeded, TOO_MANY));
        }
        let wanted = Wanted {
            connection,
            subscription: subscription.filter.as_str().into(),
            filter: filter.as_str().into(),
            record,
            since_ms: now.unix_ms.saturating_sub(u64::from(seconds) * 1000),
            position: Vec::new(),
            has_page: false,
        };
        self.history.wanted.insert(id, wanted);
        self.history.waiting.push_back(id);
        Ok(record.options.qos)
    }

    /// Ends a subscription to the history early; true when there was one.
    pub(crate) fn unsubscribe_from_history(&mut self, key: SessionKey, subscription: &str) -> bool {
        let id = self.sessions[key as usize].id;
        let is_it = |wanted: &Wanted| *wanted.subscription == *subscription;
        if self.history.wanted.get(&id).is_some_and(is_it) {
            self.end_history(id);
            return true;
        }
        false
    }

    /// A client has gone, or wants nothing of the history any more.
    pub(crate) fn end_history(&mut self, session: SessionId) {
        if self.history.wanted.remove(&session).is_some() {
            self.history.waiting.retain(|waiting| *waiting != session);
        }
    }

    /// A client has taken all that waited for it.
    pub(crate) fn go_on_with_history(&mut self, key: SessionKey) {
        if self.history.wanted.is_empty() {
            return;
        }
        let id = self.sessions[key as usize].id;
        if let Some(wanted) = self.history.wanted.get_mut(&id).filter(|wanted| wanted.has_page) {
            wanted.has_page = false;
            self.history.waiting.push_back(id);
        }
    }

    /// Begins to read the next page, unless one is being read.
    pub(crate) fn read_history(&mut self) {
        if self.history.reading.is_some() {
            return;
        }
        let Some(id) = self.history.waiting.pop_front() else { return };
        let wanted = self.history.wanted.get(&id).expect("who waits wants something");
        self.history.reading = Some((id, wanted.connection));
        let request = HistoryRequest {
            filter: wanted.filter.clone(),
            since_ms: wanted.since_ms,
            position: wanted.position.clone(),
        };
        self.turn.effects.push(Effect::ReadHistory(Box::new(request)));
    }

    /// A page was read; `next` is the position behind it, none at the end.
    pub(crate) fn handle_history_read(
        &mut self,
        now: Now,
        messages: &[Message],
        next: Option<Vec<u64>>,
    ) {
        let Some((id, connection)) = self.history.reading.take() else { return };
        let Some(&key) = self.session_keys.get(&id) else { return };
        let Some(wanted) = self.history.wanted.get_mut(&id) else { return };
        if wanted.connection != connection {
            return;
        }
        let (filter, record) = (wanted.filter.clone(), wanted.record);
        match next {
            Some(position) => (wanted.position, wanted.has_page) = (position, true),
            None => self.end_history(id),
        }
        let session = &self.sessions[key as usize];
        let checked = session.checks(&filter);
        let may_read = |message: &&Message| {
            !checked || self.sessions[key as usize].may(Access::Read, message.topic())
        };
        let readable: Vec<Message> = messages.iter().filter(may_read).map(as_history).collect();
        for message in &readable {
            self.replay(now, key, message, record, Durability::None, false);
        }
        self.pump(now, key);
    }
}

/// A message as it is sent again: it says when it came, and does not expire any more.
fn as_history(message: &Message) -> Message {
    let parts = message.parts();
    let received = rfc3339(parts.received_at_ms);
    let user = [(RECEIVED, received.as_str())];
    let own = PublishProperties {
        user_properties: UserProperties::from(user.as_slice()),
        ..PublishProperties::default()
    };
    let mut properties = parts.properties.to_vec();
    own.encode_end_to_end(&mut properties).expect("a short property can be encoded");
    let (expires_at_ms, publisher) = (None, "");
    let parts =
        MessageParts { retain: false, expires_at_ms, publisher, properties: &properties, ..parts };
    Message::new(&parts, &mut Vec::new())
}

/// A time as RFC 3339 writes it, in UTC with milliseconds; later than the year 9999 as that.
fn rfc3339(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    format!("{:.3}", time.unwrap_or(Timestamp::MAX))
}

/// What subscriptions to the history begin with.
const PREFIX: &str = "$history/";
/// The user property with the time at which a message came.
const RECEIVED: &str = "received";
/// Clients of a shard that read the history at a time, each of which has a page in memory.
const READS_MAX: usize = 32;

const NO_FORM: &str = "the history is subscribed to as $history/<seconds>/<filter>";
const NOT_KEPT: &str = "no [[history]] of the broker keeps messages that match the filter";
const ONE_AT_A_TIME: &str = "the client still reads a history: one at a time";
const TOO_MANY: &str = "too many clients read the history: try again later";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_has_them() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (u64::MAX, "9999-12-30T22:00:00.999Z"),
        ] {
            assert_eq!(rfc3339(unix_ms), text);
        }
    }

    #[test]
    fn a_subscription_to_the_history_has_a_number_and_a_filter() {
        let parsed = |text| parse(TopicFilter::parse(text).expect("a filter"));
        assert_eq!(parsed("history/5/a"), None);
        assert_eq!(parsed("$historyx/5/a"), None);
        let filter = TopicFilter::parse("a/+/#").expect("a filter");
        assert_eq!(parsed("$history/60/a/+/#"), Some(Ok((60, filter))));
        for text in [
            "$history/60",
            "$history/60/",
            "$history/0/a",
            "$history/+/a",
            "$history/-5/a",
            "$history/5s/a",
            "$history/4294967296/a",
            "$history/#",
            "$history//a",
            "$history/5/$share/g/a",
            "$share/g/$history/5/a",
        ] {
            let refusal = (ReasonCode::TopicFilterInvalid, NO_FORM);
            assert_eq!(parsed(text), Some(Err(refusal)), "{text}");
        }
    }
}
