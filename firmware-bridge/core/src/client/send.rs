//! From a request to the octets of its packet.

use super::config::TopicIndex;
use super::moment::{Moment, SPAN_MAX_MS};
use super::request::{InFlight, Outstanding, Reply, Request};
use super::topics::Subscription;
use super::{Client, Output};
use crate::age;
use crate::features::{EXACTLY_ONCE, SEARCH, SLEEP, WILL};
use crate::mqtt_sn_1_2::{
    Connect, Delivery, MessageId, Packet, Publish, QoS, Register, Subscribe, TopicId, Unsubscribe,
};

impl<const MTU: usize, const TOPICS: usize> Client<'_, MTU, TOPICS> {
    pub(super) fn send_reply(&mut self, reply: Reply, now: Moment) -> Output<'_> {
        let packet = match (reply.packet(), self.will()) {
            (Some(packet), _) => packet,
            (None, Some(will)) if WILL && matches!(reply, Reply::WillMessage) => {
                Packet::WillMsg(will.message)
            }
            (None, will) if WILL => Packet::WillTopic(will.map(|will| will.topic)),
            (None, _) => Packet::Pingresp,
        };
        let length = encoded(&packet, &mut self.datagram);
        self.sent(length, now)
    }

    /// Sends a request, for the first time or again.
    pub(super) fn send_request(&mut self, outstanding: Outstanding, now: Moment) -> Output<'_> {
        let Outstanding { request, message_id, sent, .. } = outstanding;
        if sent > 0 {
            self.counters.repeated = self.counters.repeated.saturating_add(1);
        }
        self.outstanding = Some(Outstanding {
            due: now.after(self.config.timing.retry_ms.into()),
            sent: sent.saturating_add(1),
            ..outstanding
        });
        let length = match request {
            Request::Publish => self.encode_publish(message_id, now),
            _ => self.encode_request(request, message_id, sent > 0),
        };
        if SEARCH && let Request::Search(_) = request {
            return Output::Broadcast(self.datagram.get(..length).unwrap_or_default());
        }
        self.sent(length, now)
    }

    fn encode_request(&mut self, request: Request, message_id: MessageId, dup: bool) -> usize {
        let will = self.will();
        let packet = match request {
            Request::Connect => Packet::Connect(Connect {
                clean_session: self.begins_clean(),
                will: will.is_some(),
                duration_s: self.config.keep_alive_s,
                client_id: self.config.client_id,
            }),
            Request::Disconnect => Packet::Disconnect(None),
            Request::Ping => Packet::Pingreq(None),
            // Encoded elsewhere.
            Request::Publish => return 0,
            Request::Register(index) => {
                let Some(topic) = self.topics.name(index) else { return 0 };
                Packet::Register(Register { topic_id: TopicId(0), message_id, topic })
            }
            Request::Release if EXACTLY_ONCE => Packet::Pubrel(message_id),
            Request::Search(radius) if SEARCH => Packet::SearchGw(radius),
            Request::Sleep if SLEEP => Packet::Disconnect(Some(self.sleep_s)),
            Request::Subscribe(index) => {
                let Some(topic) = self.topics.subscribe_topic(index) else { return 0 };
                let Some(Subscription::Wanted(qos)) = self.topics.subscription(index).copied()
                else {
                    return 0;
                };
                Packet::Subscribe(Subscribe { dup, qos, message_id, topic })
            }
            Request::Unsubscribe(index) => {
                let Some(topic) = self.topics.subscribe_topic(index) else { return 0 };
                Packet::Unsubscribe(Unsubscribe { message_id, topic })
            }
            Request::Wake if SLEEP => Packet::Pingreq(Some(self.config.client_id)),
            Request::WillMessage if WILL => Packet::WillMsg(will.map_or(&[], |will| will.message)),
            Request::WillMessageUpdate if WILL => {
                Packet::WillMsgUpd(will.map_or(&[], |will| will.message))
            }
            Request::WillTopic if WILL => Packet::WillTopic(will.map(|will| will.topic)),
            Request::WillTopicUpdate if WILL => Packet::WillTopicUpd(will.map(|will| will.topic)),
            // Nothing asks for what is left out.
            _ => return 0,
        };
        encoded(&packet, &mut self.datagram)
    }

    /// The message in flight, or one of QoS 0, which leaves the queue with this.
    fn encode_publish(&mut self, message_id: MessageId, now: Moment) -> usize {
        let in_flight = self.in_flight;
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.was_sent = true;
        }
        let dup = in_flight.is_some_and(|in_flight| in_flight.was_sent);
        if let Some(InFlight { report: Some(dropped), .. }) = in_flight {
            return self.encode_report(Delivery::AtLeastOnce { message_id, dup }, dropped);
        }
        let Some(entry) = self.queue.front() else { return 0 };
        let delivery = match entry.qos {
            QoS::AtMostOnce => Delivery::AtMostOnce,
            QoS::AtLeastOnce => Delivery::AtLeastOnce { message_id, dup },
            QoS::ExactlyOnce => Delivery::ExactlyOnce { message_id, dup },
        };
        let age_ms = entry.published.age_ms(now).unwrap_or(SPAN_MAX_MS);
        let length = usize::from(entry.length);
        let head = Head { topic: entry.topic, delivery, retain: entry.retain, age_ms };
        let Some(start) = self.encode_head(head, length) else { return 0 };
        let place = self.datagram.get_mut(start..start + length).unwrap_or_default();
        self.queue.copy_payload(place);
        if entry.qos == QoS::AtMostOnce {
            self.queue.pop();
            self.outstanding = None;
        }
        start + length
    }

    /// `{"kind":"overflow","count":12}`
    fn encode_report(&mut self, delivery: Delivery, dropped: u32) -> usize {
        let Some(topic) = self.config.drops_topic else { return 0 };
        let mut digits = [0; DIGITS_MAX];
        let pieces = [REPORT_START, decimal(dropped, &mut digits), REPORT_END];
        let payload_length = pieces.iter().map(|piece| piece.len()).sum();
        let head = Head { topic, delivery, retain: false, age_ms: 0 };
        let Some(mut length) = self.encode_head(head, payload_length) else { return 0 };
        for piece in pieces {
            put(&mut self.datagram, length, piece);
            length += piece.len();
        }
        length
    }

    /// Writes everything of a PUBLISH before its payload, and gives the place where that begins.
    pub(super) fn encode_head(&mut self, head: Head, payload_length: usize) -> Option<usize> {
        let topic = self.topics.publish_ref(head.topic)?;
        let age = head.age_ms.to_be_bytes();
        let is_aged = self.topics.declared(head.topic)?.is_aged();
        let age = if is_aged { &age[..] } else { &[] };
        let Head { delivery, retain, .. } = head;
        let publish = Publish { delivery, retain, topic, payload: &[] };
        let length = age.len().saturating_add(payload_length);
        let start = publish.encode_start(length, &mut self.datagram).ok()?;
        put(&mut self.datagram, start, age);
        Some(start + age.len())
    }

    fn sent(&mut self, length: usize, now: Moment) -> Output<'_> {
        self.last_sent = now;
        Output::Send(self.datagram.get(..length).unwrap_or_default())
    }
}

/// A PUBLISH without its payload.
pub(super) struct Head {
    pub(super) topic: TopicIndex,
    pub(super) delivery: Delivery,
    pub(super) retain: bool,
    /// Sent if messages of the topic carry it.
    pub(super) age_ms: u32,
}

pub(super) fn put(out: &mut [u8], start: usize, bytes: &[u8]) {
    // Byte by byte: a copy of slices has a panic for lengths that differ.
    let places = out.get_mut(start..).unwrap_or_default();
    places.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
}

/// What has a length of its own was checked when it was given, so all packets fit.
fn encoded(packet: &Packet<'_>, out: &mut [u8]) -> usize {
    packet.encode(out).unwrap_or_default()
}

/// Without a division, which is half a kilobyte of code where the processor has none.
fn decimal(mut number: u32, digits: &mut [u8; DIGITS_MAX]) -> &[u8] {
    let mut used = 0;
    for (index, power) in POWERS_OF_TEN.iter().enumerate() {
        let mut digit = b'0';
        while number >= *power {
            number -= power;
            digit += 1;
        }
        let is_leading = digit == b'0' && used == 0 && index + 1 < DIGITS_MAX;
        if !is_leading && let Some(place) = digits.get_mut(used) {
            *place = digit;
            used += 1;
        }
    }
    digits.get(..used).unwrap_or_default()
}

const REPORT_START: &[u8] = b"{\"kind\":\"overflow\",\"count\":";
const REPORT_END: &[u8] = b"}";
const DIGITS_MAX: usize = 10;
const POWERS_OF_TEN: [u32; DIGITS_MAX] =
    [1_000_000_000, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];

/// The longest payload of a report of dropped messages.
pub(super) const REPORT_LENGTH_MAX: usize =
    age::LENGTH + REPORT_START.len() + DIGITS_MAX + REPORT_END.len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_write_them() {
        for number in [0, 7, 10, 4_294_967_295] {
            let mut digits = [0; DIGITS_MAX];
            let written = core::str::from_utf8(decimal(number, &mut digits)).unwrap();
            assert_eq!(written.parse(), Ok(number));
            assert_eq!(written.len(), std::format!("{number}").len());
        }
    }
}
