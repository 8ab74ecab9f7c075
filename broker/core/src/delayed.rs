//! Delayed publishing: `$delayed/<seconds>/<topic>` is taken now and published then.
//!
//! A message is acknowledged when the store has it, and published in the turn in which it leaves
//! the store, so that a crash does not lose it. Whoever gets it with QoS 1 or 2 gets it when that
//! turn is durable, so that a crash does not double it; with QoS 0 it may, in that moment.

use weir_mqtt::{Publish, ReasonCode, Version};

use crate::change::Change;
use crate::clock::Now;
use crate::core::Core;
use crate::identity::{ConnectionId, SessionId};
use crate::message::{Message, MessageParts};
use crate::pressure::MemoryPressure;
use crate::recovered::RecoveredSession;
use crate::reply::Reply;
use crate::router::Origin;
use crate::schedule::{self, Delay};
use crate::timer::Timer;

impl Core {
    /// The delay that a topic asks for, and the topic that is meant.
    pub(crate) fn delay_of<'a>(&self, topic: &'a str) -> Result<(u32, &'a str), ReasonCode> {
        match Delay::parse(topic) {
            Ok(None) => Ok((0, topic)),
            Ok(Some(delay)) if delay.seconds <= self.limits.delay_s_max => {
                Ok((delay.seconds, delay.topic))
            }
            _ => Err(ReasonCode::TopicNameInvalid),
        }
    }

    /// Refuses a PUBLISH for its topic: where its acknowledgement can say so with that, otherwise
    /// by the end of the connection.
    pub(crate) fn refuse_topic(
        &mut self,
        now: Now,
        id: ConnectionId,
        publish: &Publish<'_>,
        reason: ReasonCode,
    ) {
        let version = self.connections.get(id).map(|connection| connection.version);
        let Some(packet_id) = publish.packet_id.filter(|_| version == Some(Version::V5)) else {
            return self.violation(now, id, reason);
        };
        if self.begin_exchange(now, id) {
            self.refuse_publish(id, Reply::to(publish.qos), packet_id, reason);
        }
    }

    /// Whether one more message may wait for its time.
    pub(crate) fn has_room_for_delayed(&self, publish: &Publish<'_>) -> bool {
        let bytes = self.log.bytes_in_memory() + self.schedule.bytes() + publish.payload.len();
        self.pressure < MemoryPressure::LeavesOnDisk
            && self.schedule.count() < self.limits.delayed_messages_max
            && bytes <= self.limits.queued_memory_max
    }

    /// Lets a message wait for its time.
    pub(crate) fn delay(
        &mut self,
        now: Now,
        parts: &MessageParts<'_>,
        seconds: u32,
        expiry_interval_s: Option<u32>,
    ) {
        let id = self.next_session_id();
        let message = Message::new(parts, &mut self.scratch);
        let record = schedule::record(id, message, seconds, expiry_interval_s, now);
        let waiting = record.will.clone().expect("the message is the will");
        self.record(Change::SessionPut { session: id, record });
        self.schedule.insert(id, waiting);
        self.timers.arm(now.monotonic + u64::from(seconds) * 1000, Timer::Delayed(id));
    }

    /// Takes up a message that waited when the process ended.
    pub(crate) fn recover_delayed(&mut self, now: Now, recovered: RecoveredSession) {
        let (id, record) = (recovered.session, recovered.record);
        self.next_session = self.next_session.max(id.0.checked_add(1).unwrap_or(1));
        let Some(waiting) = record.will else {
            return self.record(Change::SessionRemoved { session: id });
        };
        let since_ms = record.disconnected_at_ms.unwrap_or(now.unix_ms);
        let waited_ms = now.unix_ms.saturating_sub(since_ms);
        let left_ms = (u64::from(waiting.delay_interval_s) * 1000).saturating_sub(waited_ms);
        self.schedule.insert(id, waiting);
        self.timers.arm(now.monotonic + left_ms, Timer::Delayed(id));
    }

    /// The time of a message has come.
    pub(crate) fn publish_delayed(&mut self, now: Now, id: SessionId) {
        let Some(waiting) = self.schedule.remove(id) else { return };
        self.record(Change::SessionRemoved { session: id });
        let seconds = waiting.expiry_interval_s;
        let expires_at_ms = seconds.map(|seconds| now.unix_ms + u64::from(seconds) * 1000);
        let parts = waiting.message.parts();
        let parts = MessageParts { expires_at_ms, received_at_ms: now.unix_ms, ..parts };
        self.publish(now, &parts, Origin { is_provisional: true, ..Origin::default() });
    }
}
