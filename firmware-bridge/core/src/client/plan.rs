//! What the client does when, and what it does next.

use super::config::TopicIndex;
use super::event::{Event, LostReason};
use super::moment::Moment;
use super::request::{InFlight, Outstanding, Request};
use super::{Client, Output, Phase, WillChanges};
use crate::features::{EXACTLY_ONCE, SEARCH, SLEEP, WILL};
use crate::mqtt_sn_1_2::{MessageId, QoS};

impl<const MTU: usize, const TOPICS: usize> Client<'_, MTU, TOPICS> {
    /// Says what to do next. To be called after every datagram that was handled, after everything
    /// the application asks for, at the time it names, and again after each datagram it sends and
    /// each event.
    pub fn poll(&mut self, now_ms: u32) -> Output<'_> {
        let now = Moment(now_ms);
        if let Some(reply) = self.reply.take() {
            return self.send_reply(reply, now);
        }
        self.drop_expired(now);
        self.follow_clock(now);
        self.drop_unnamed();
        if self.outstanding.is_none()
            && let Some((request, message_id)) = self.next_request(now)
        {
            self.outstanding = Some(Outstanding::new(request, message_id, now));
        }
        match self.outstanding {
            Some(outstanding) if outstanding.due.is_reached(now) => {
                if outstanding.sent > self.config.timing.retries {
                    return Output::Event(self.give_up(outstanding.request, now));
                }
                self.send_request(outstanding, now)
            }
            _ => self.next_due(now).map_or(Output::Idle, |due| Output::WaitUntil(due.0)),
        }
    }

    pub(super) fn begin_connecting(&mut self, keeps: bool, now: Moment) {
        self.phase = Phase::Connecting { keeps };
        self.hold_until = None;
        // The gateway is about to be given the will as it is now.
        self.will_changes = WillChanges::default();
        self.request(Request::Connect, now);
    }

    /// Whether the CONNECT under way begins a new session.
    pub(super) fn begins_clean(&self) -> bool {
        self.config.clean_session && self.phase != Phase::Connecting { keeps: true }
    }

    /// Begins a request that has no message identifier, in place of the one under way.
    pub(super) fn request(&mut self, request: Request, now: Moment) {
        self.outstanding = Some(Outstanding::new(request, MessageId(0), now));
    }

    /// The connection is lost; another one is tried after a while.
    pub(super) fn lose(&mut self, reason: LostReason, now: Moment) -> Event<'static> {
        let longest_ms = u32::from(self.config.timing.reconnect_max_s) * 1_000;
        let doubled_ms = RECONNECT_MIN_MS << self.failures;
        let pause_ms = match reason {
            LostReason::Refused(_) => longest_ms,
            _ => doubled_ms.min(longest_ms),
        };
        // Not in step with the other nodes that have lost the same gateway.
        let pause_ms = pause_ms - self.random_ms(pause_ms / 4);
        self.failures = self.failures.saturating_add(1).min(FAILURES_MAX);
        self.outstanding = None;
        self.reply = None;
        self.phase = Phase::Pausing(now.after(pause_ms));
        Event::Lost(reason)
    }

    /// The gateway has too much to do, and is left alone for a while.
    pub(super) fn hold(&mut self, now: Moment) {
        self.outstanding = None;
        self.hold_until = Some(now.after(self.wait_ms()));
    }

    /// Twait.
    pub(super) fn wait_ms(&self) -> u32 {
        u32::from(self.config.timing.wait_s) * 1_000
    }

    /// A number below `bound_ms`, about as often each.
    pub(super) fn random_ms(&mut self, bound_ms: u32) -> u32 {
        self.random = self.random.wrapping_mul(25_173).wrapping_add(13_849);
        (bound_ms >> 8) * u32::from(self.random >> 8)
    }

    pub(super) fn fall_asleep(&mut self, now: Moment) -> Event<'static> {
        self.outstanding = None;
        self.phase = Phase::Asleep(now.after(u32::from(self.sleep_s) * 1_000));
        Event::Asleep
    }

    fn give_up(&mut self, request: Request, now: Moment) -> Event<'static> {
        match request {
            Request::Disconnect => {
                self.outstanding = None;
                self.phase = Phase::Offline;
                Event::Disconnected
            }
            Request::Search(_) if SEARCH => {
                self.outstanding = None;
                Event::Lost(LostReason::NoAnswer)
            }
            _ => self.lose(LostReason::NoAnswer, now),
        }
    }

    /// An age of more than the clock can tell would be a wrong one.
    fn drop_expired(&mut self, now: Moment) {
        if self.in_flight.is_some() {
            return;
        }
        while self.queue.front().is_some_and(|entry| entry.published.age_ms(now).is_none()) {
            self.queue.pop();
            self.count_dropped(1);
        }
    }

    fn follow_clock(&mut self, now: Moment) {
        match self.phase {
            Phase::Pausing(until) if until.is_reached(now) => self.begin_connecting(false, now),
            Phase::Asleep(until)
                if SLEEP && until.is_reached(now) && self.outstanding.is_none() =>
            {
                self.request(Request::Wake, now);
            }
            _ => {}
        }
        if self.hold_until.is_some_and(|until| until.is_reached(now)) {
            self.hold_until = None;
        }
    }

    fn next_request(&mut self, now: Moment) -> Option<(Request, MessageId)> {
        if self.phase != Phase::Active {
            return None;
        }
        if self.ping_due().is_some_and(|due| due.is_reached(now)) {
            return Some((Request::Ping, MessageId(0)));
        }
        if self.hold_until.is_some() {
            return None;
        }
        if WILL && self.will_changes.topic {
            return Some((Request::WillTopicUpdate, MessageId(0)));
        }
        if WILL && self.will_changes.message {
            return Some((Request::WillMessageUpdate, MessageId(0)));
        }
        if let Some((index, qos)) = self.topics.subscription_due() {
            let request = qos.map_or(Request::Unsubscribe(index), |_| Request::Subscribe(index));
            return Some((request, self.next_message_id()));
        }
        self.next_message()
    }

    /// The message in flight goes on; else the number of dropped messages goes before the queue.
    fn next_message(&mut self) -> Option<(Request, MessageId)> {
        if EXACTLY_ONCE && let Some(InFlight { is_received: true, message_id, .. }) = self.in_flight
        {
            return Some((Request::Release, message_id));
        }
        let (topic, qos) = self.next_topic()?;
        if self.topics.publish_ref(topic).is_none() {
            return Some((Request::Register(topic), self.next_message_id()));
        }
        if qos == QoS::AtMostOnce {
            return Some((Request::Publish, MessageId(0)));
        }
        let in_flight = match self.in_flight {
            Some(in_flight) => in_flight,
            None => {
                let (message_id, report) = (self.next_message_id(), self.report_due());
                InFlight { message_id, was_sent: false, is_received: false, report }
            }
        };
        self.in_flight = Some(in_flight);
        Some((Request::Publish, in_flight.message_id))
    }

    /// Topic and quality of the message in flight, or of the next one.
    pub(super) fn next_topic(&self) -> Option<(TopicIndex, QoS)> {
        let is_report = match self.in_flight {
            Some(in_flight) => in_flight.report.is_some(),
            None => self.report_due().is_some(),
        };
        match self.config.drops_topic {
            Some(topic) if is_report => Some((topic, QoS::AtLeastOnce)),
            _ => self.queue.front().map(|entry| (entry.topic, entry.qos)),
        }
    }

    /// A message cannot be sent again whose topic has lost its id meanwhile: that comes first.
    fn drop_unnamed(&mut self) {
        let is_publish = |outstanding: Outstanding| outstanding.request == Request::Publish;
        let topic = self.next_topic().and_then(|(topic, _)| self.topics.publish_ref(topic));
        if self.outstanding.is_some_and(is_publish) && topic.is_none() {
            self.outstanding = None;
        }
    }

    /// How many messages were dropped and not reported, if there is a topic for that.
    fn report_due(&self) -> Option<u32> {
        let dropped = self.counters.dropped.wrapping_sub(self.drops_reported);
        (dropped > 0 && self.config.drops_topic.is_some()).then_some(dropped)
    }

    fn next_message_id(&mut self) -> MessageId {
        self.last_message_id = self.last_message_id.checked_add(1).unwrap_or(1);
        MessageId(self.last_message_id)
    }

    /// When the gateway has to be asked whether it is there, and told that the client is. That is
    /// before the keep-alive time is over, so that a lost packet can be sent again.
    fn ping_due(&self) -> Option<Moment> {
        let keep_alive_ms = u32::from(self.config.keep_alive_s) * 1_000;
        let idle_since = self.last_sent.earlier(self.last_heard);
        (keep_alive_ms > 0).then(|| idle_since.after(keep_alive_ms / 4 * 3))
    }

    fn next_due(&self, now: Moment) -> Option<Moment> {
        if let Some(outstanding) = self.outstanding {
            return Some(outstanding.due);
        }
        let due = match self.phase {
            Phase::Active => self.ping_due(),
            Phase::Asleep(until) | Phase::Pausing(until) => Some(until),
            Phase::Connecting { .. } | Phase::Offline => None,
        };
        let due = match (due, self.hold_until) {
            (Some(due), Some(hold)) => Some(due.earlier(hold)),
            (due, hold) => due.or(hold),
        };
        due.filter(|due| !due.is_reached(now))
    }
}

const RECONNECT_MIN_MS: u32 = 1_000;
/// The longest pause is 65,535 s at most, and shorter than this power of two.
const FAILURES_MAX: u8 = 17;
