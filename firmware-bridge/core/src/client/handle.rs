//! What a datagram from the gateway means.

use super::config::TopicIndex;
use super::event::{Event, Incoming, LostReason};
use super::moment::Moment;
use super::received::Memory;
use super::request::{InFlight, Outstanding, Reply, Request};
use super::topics::{Assigned, Subscription};
use super::{Client, Phase};
use crate::features::{EXACTLY_ONCE, SEARCH, SLEEP, WILL};
use crate::frame::crc16;
use crate::mqtt_sn_1_2::{
    Delivery, MessageId, Packet, Puback, Publish, QoS, Regack, Register, ReturnCode, Suback,
    TopicId, TopicRef,
};

impl<const MTU: usize, const TOPICS: usize> Client<'_, MTU, TOPICS> {
    /// Takes a datagram from the gateway, and says what it means for the application. Then
    /// [`poll`](Self::poll) has to be called, since it may have to be answered: there is room for
    /// one answer only.
    pub fn handle_datagram<'d>(&mut self, datagram: &'d [u8], now_ms: u32) -> Option<Event<'d>> {
        let now = Moment(now_ms);
        let Ok(packet) = Packet::decode_from_gateway(datagram) else {
            self.counters.malformed = self.counters.malformed.saturating_add(1);
            return None;
        };
        // What other clients send to all, for example.
        match packet? {
            Packet::Advertise(advertise) if SEARCH => {
                Some(Event::Advertised { gw_id: advertise.gw_id, duration_s: advertise.duration_s })
            }
            Packet::GwInfo(info) if SEARCH => {
                // Also if another client has asked, and this one not yet (6.1).
                let request = self.outstanding.map(|outstanding| outstanding.request);
                if let Some(Request::Search(_)) = request {
                    self.outstanding = None;
                }
                Some(Event::GatewayFound { gw_id: info.gw_id, address: info.gw_address })
            }
            Packet::Connack(code) => self.handle_connack(code, now),
            Packet::WillTopicReq if WILL => self.handle_will_topic_request(now),
            Packet::WillMsgReq if WILL => self.handle_will_message_request(now),
            packet => match self.phase {
                Phase::Active | Phase::Asleep(_) => self.handle_in_session(packet, now),
                Phase::Connecting { .. } | Phase::Offline | Phase::Pausing(_) => None,
            },
        }
    }

    fn handle_in_session<'d>(&mut self, packet: Packet<'d>, now: Moment) -> Option<Event<'d>> {
        self.last_heard = now;
        match packet {
            Packet::Register(register) => self.handle_register(register),
            Packet::Regack(regack) => self.handle_regack(regack, now),
            Packet::Publish(publish) => self.handle_publish(publish, now),
            Packet::Puback(puback) => self.handle_puback(puback, now),
            Packet::Pubrec(id) if EXACTLY_ONCE => self.handle_pubrec(id, now),
            Packet::Pubrel(id) if EXACTLY_ONCE => {
                self.received.release(id, now);
                self.reply = Some(Reply::Pubcomp(id));
                None
            }
            Packet::Pubcomp(id) if EXACTLY_ONCE => {
                if self.under_way_with(id) != Some(Request::Release) {
                    return None;
                }
                self.complete()
            }
            Packet::Suback(suback) => self.handle_suback(suback, now),
            Packet::Unsuback(id) => self.handle_unsuback(id),
            Packet::Pingreq(_) => {
                self.reply = Some(Reply::Pingresp);
                None
            }
            Packet::Pingresp => self.handle_pingresp(now),
            Packet::Disconnect(_) => self.handle_disconnect(now),
            Packet::WillTopicResp(code) if WILL => {
                self.handle_will_response(Request::WillTopicUpdate, code)
            }
            Packet::WillMsgResp(code) if WILL => {
                self.handle_will_response(Request::WillMessageUpdate, code)
            }
            // Handled before, or sent only by clients.
            _ => None,
        }
    }

    fn handle_connack(&mut self, code: ReturnCode, now: Moment) -> Option<Event<'static>> {
        let is_clean = self.begins_clean();
        let Phase::Connecting { .. } = self.phase else {
            // A late copy of the CONNECT has begun the session anew.
            if self.phase == Phase::Active
                && self.config.clean_session
                && code == ReturnCode::Accepted
            {
                self.begin_session(true);
            }
            return None;
        };
        if code != ReturnCode::Accepted {
            let lost = self.lose(LostReason::Refused(code), now);
            if code == ReturnCode::Congestion {
                self.phase = Phase::Pausing(now.after(self.wait_ms()));
            }
            return Some(lost);
        }
        self.outstanding = None;
        self.failures = 0;
        self.last_heard = now;
        self.phase = Phase::Active;
        self.begin_session(is_clean);
        Some(Event::Connected)
    }

    fn begin_session(&mut self, is_clean: bool) {
        self.topics.begin_connection(is_clean);
        if is_clean {
            self.received.clear();
            // The gateway has forgotten that it has this message, and perhaps the message.
            if let Some(in_flight) = &mut self.in_flight {
                in_flight.is_received = false;
            }
        }
    }

    fn handle_will_topic_request(&mut self, now: Moment) -> Option<Event<'static>> {
        if self.under_way() == Some(Request::Connect) {
            self.request(Request::WillTopic, now);
        } else if matches!(self.phase, Phase::Active | Phase::Connecting { .. }) {
            // A late one, or that of a late copy of the CONNECT: an answer does no harm.
            self.reply = Some(Reply::WillTopic);
        }
        None
    }

    fn handle_will_message_request(&mut self, now: Moment) -> Option<Event<'static>> {
        if let Some(Request::Connect | Request::WillTopic) = self.under_way() {
            self.request(Request::WillMessage, now);
        } else if matches!(self.phase, Phase::Active | Phase::Connecting { .. })
            && self.will.is_some()
        {
            self.reply = Some(Reply::WillMessage);
        }
        None
    }

    fn handle_will_response(
        &mut self,
        request: Request,
        code: ReturnCode,
    ) -> Option<Event<'static>> {
        if self.under_way() != Some(request) {
            return None;
        }
        self.outstanding = None;
        match request {
            Request::WillTopicUpdate => self.will_changes.topic = false,
            _ => self.will_changes.message = false,
        }
        Some(Event::WillUpdated(code))
    }

    fn handle_pingresp(&mut self, now: Moment) -> Option<Event<'static>> {
        match self.under_way() {
            Some(Request::Ping) => self.outstanding = None,
            Some(Request::Wake) if SLEEP => return Some(self.fall_asleep(now)),
            _ => {}
        }
        None
    }

    fn handle_disconnect(&mut self, now: Moment) -> Option<Event<'static>> {
        Some(match self.outstanding.map(|outstanding| outstanding.request) {
            Some(Request::Disconnect) => {
                self.outstanding = None;
                self.phase = Phase::Offline;
                Event::Disconnected
            }
            Some(Request::Sleep) if SLEEP => self.fall_asleep(now),
            // A copy of the answer to going to sleep, or a gateway that has given the client up,
            // which it says again when it is asked for messages.
            None if matches!(self.phase, Phase::Asleep(_)) => return None,
            _ => self.lose(LostReason::Closed, now),
        })
    }

    fn handle_register<'d>(&mut self, register: Register<'d>) -> Option<Event<'d>> {
        let Register { topic_id, message_id, topic } = register;
        let assigned = self.topics.assign(topic, topic_id);
        let code = match assigned {
            Assigned::Declared | Assigned::Other => ReturnCode::Accepted,
            Assigned::NoRoom => {
                self.counters.topics_refused = self.counters.topics_refused.saturating_add(1);
                ReturnCode::NotSupported
            }
        };
        self.reply = Some(Reply::Regack(topic_id, message_id, code));
        (assigned == Assigned::Other).then_some(Event::TopicAssigned { id: topic_id, name: topic })
    }

    fn handle_regack(&mut self, regack: Regack, now: Moment) -> Option<Event<'static>> {
        let Some(Request::Register(index)) = self.under_way_with(regack.message_id) else {
            return None;
        };
        self.outstanding = None;
        match regack.return_code {
            ReturnCode::Accepted => {
                self.topics.register(index, regack.topic_id);
                None
            }
            ReturnCode::Congestion => {
                self.hold(now);
                None
            }
            code => self.reject_topic(index, code),
        }
    }

    fn handle_publish<'d>(&mut self, publish: Publish<'d>, now: Moment) -> Option<Event<'d>> {
        let message_id = match publish.delivery {
            Delivery::AtMostOnce | Delivery::MinusOne => MessageId(0),
            Delivery::AtLeastOnce { message_id, .. } | Delivery::ExactlyOnce { message_id, .. } => {
                message_id
            }
        };
        let id = match publish.topic {
            TopicRef::Normal(id) | TopicRef::Predefined(id) => id,
            TopicRef::Short(name) => TopicId(u16::from_be_bytes(name)),
        };
        let Some(topic) = self.topics.incoming(publish.topic) else {
            self.reply = Some(Reply::Puback(id, message_id, ReturnCode::InvalidTopicId));
            return None;
        };
        let qos = match publish.delivery {
            Delivery::AtMostOnce | Delivery::MinusOne => QoS::AtMostOnce,
            Delivery::AtLeastOnce { .. } => {
                self.reply = Some(Reply::Puback(id, message_id, ReturnCode::Accepted));
                QoS::AtLeastOnce
            }
            // It was not asked for: SUBSCRIBE wants less.
            Delivery::ExactlyOnce { .. } if !EXACTLY_ONCE => {
                self.reply = Some(Reply::Puback(id, message_id, ReturnCode::NotSupported));
                return None;
            }
            Delivery::ExactlyOnce { .. } => {
                self.reply = Some(Reply::Pubrec(message_id));
                let checksum = crc16(publish.payload) ^ id.0;
                let memory = Memory { now, ms: self.config.timing.retry_ms.into() };
                if !self.received.is_new(message_id, checksum, memory) {
                    return None;
                }
                QoS::ExactlyOnce
            }
        };
        let Publish { retain, payload, .. } = publish;
        Some(Event::Message(Incoming { topic, qos, retain, payload }))
    }

    fn handle_puback(&mut self, puback: Puback, now: Moment) -> Option<Event<'static>> {
        let Puback { topic_id, message_id, return_code } = puback;
        if message_id == MessageId(0) {
            // One of QoS 0 is lost by this; the next one finds its topic registered.
            if return_code == ReturnCode::InvalidTopicId {
                self.topics.forget(topic_id);
            }
            return None;
        }
        let is_exactly_once = self.sends_exactly_once();
        if return_code == ReturnCode::Accepted && is_exactly_once {
            return None;
        }
        if self.under_way_with(message_id) != Some(Request::Publish) {
            return None;
        }
        self.outstanding = None;
        match return_code {
            ReturnCode::Accepted => self.complete(),
            ReturnCode::Congestion => {
                self.hold(now);
                None
            }
            ReturnCode::InvalidTopicId => self.register_again(topic_id),
            ReturnCode::NotSupported => self.reject(return_code),
        }
    }

    /// The gateway has forgotten the topic of the message in flight, or never knew it.
    fn register_again(&mut self, topic_id: TopicId) -> Option<Event<'static>> {
        self.unknown_topic = self.unknown_topic.saturating_add(1);
        let topic = self.next_topic();
        let has_name = topic.is_some_and(|(index, _)| self.topics.name(index).is_some());
        if !has_name || self.unknown_topic > UNKNOWN_TOPIC_MAX {
            return self.reject(ReturnCode::InvalidTopicId);
        }
        self.topics.forget(topic_id);
        None
    }

    fn handle_pubrec(&mut self, id: MessageId, now: Moment) -> Option<Event<'static>> {
        if self.under_way_with(id) != Some(Request::Publish) || !self.sends_exactly_once() {
            return None;
        }
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.is_received = true;
        }
        self.outstanding = Some(Outstanding::new(Request::Release, id, now));
        None
    }

    fn handle_suback(&mut self, suback: Suback, now: Moment) -> Option<Event<'static>> {
        let Some(Request::Subscribe(index)) = self.under_way_with(suback.message_id) else {
            return None;
        };
        self.outstanding = None;
        let subscription = self.topics.subscription(index)?;
        let Subscription::Wanted(_) = *subscription else {
            // It is no longer wanted as it was asked for, and comes up again.
            return None;
        };
        match suback.return_code {
            ReturnCode::Accepted => {
                *subscription = Subscription::Held(suback.qos);
                self.topics.register(index, suback.topic_id);
                Some(Event::Subscribed(index, suback.qos))
            }
            ReturnCode::Congestion => {
                self.hold(now);
                None
            }
            code => {
                *subscription = Subscription::None;
                Some(Event::SubscriptionRefused(index, code))
            }
        }
    }

    fn handle_unsuback(&mut self, id: MessageId) -> Option<Event<'static>> {
        let Some(Request::Unsubscribe(index)) = self.under_way_with(id) else { return None };
        self.outstanding = None;
        let subscription = self.topics.subscription(index)?;
        if *subscription == Subscription::Unwanted {
            *subscription = Subscription::None;
        }
        Some(Event::Unsubscribed(index))
    }

    /// Whether the message in flight is of QoS 2.
    fn sends_exactly_once(&self) -> bool {
        if !EXACTLY_ONCE {
            return false;
        }
        let is_report = self.in_flight.is_none_or(|in_flight| in_flight.report.is_some());
        !is_report && self.queue.front().is_some_and(|entry| entry.qos == QoS::ExactlyOnce)
    }

    /// The gateway has the message in flight.
    fn complete(&mut self) -> Option<Event<'static>> {
        self.unknown_topic = 0;
        self.outstanding = None;
        let in_flight = self.in_flight.take()?;
        if let Some(dropped) = in_flight.report {
            self.drops_reported = self.drops_reported.wrapping_add(dropped);
            return None;
        }
        let entry = self.queue.front()?;
        self.queue.pop();
        Some(Event::Delivered(entry.ticket))
    }

    /// The gateway does not want a topic: the message that it was registered for cannot be sent.
    fn reject_topic(&mut self, index: TopicIndex, code: ReturnCode) -> Option<Event<'static>> {
        let is_first = self.queue.front().is_some_and(|entry| entry.topic == index);
        if self.in_flight.is_some() || is_first {
            return self.reject(code);
        }
        // It was for the number of dropped messages, or for one that was dropped meanwhile.
        if self.config.drops_topic == Some(index) {
            self.drops_reported = self.counters.dropped;
        }
        None
    }

    /// The gateway does not want the message that is in flight, or else the first one.
    fn reject(&mut self, code: ReturnCode) -> Option<Event<'static>> {
        self.unknown_topic = 0;
        if let Some(InFlight { report: Some(_), .. }) = self.in_flight.take() {
            // Nobody wants to know; the counter says it still.
            self.drops_reported = self.counters.dropped;
            return None;
        }
        let entry = self.queue.front()?;
        self.queue.pop();
        Some(Event::Rejected(entry.ticket, code))
    }

    /// The request that the gateway may have had and not answered yet.
    fn under_way(&self) -> Option<Request> {
        let is_sent = |outstanding: &Outstanding| outstanding.sent > 0;
        self.outstanding.filter(is_sent).map(|outstanding| outstanding.request)
    }

    /// The same, if it has this message identifier.
    fn under_way_with(&self, id: MessageId) -> Option<Request> {
        let has_id = self.outstanding.is_some_and(|outstanding| outstanding.message_id == id);
        if has_id { self.under_way() } else { None }
    }
}

/// How often a topic is registered again for the same message. More would go on for ever.
const UNKNOWN_TOPIC_MAX: u8 = 3;
