//! Messages from the upstream: what becomes of them here, and when they are acknowledged.
//!
//! Pure. A message is acknowledged to the upstream once it is durable here, and on the
//! connection on which it came; on a later connection the upstream sends it again. A QoS 2
//! message that comes again is not published again as long as the process lives; after a restart
//! of this broker it may be. What is published and not yet durable is bounded.

use std::collections::BTreeMap;

use weir_core::{MessageParts, ReaderId, Route as Destination};
use weir_mqtt::{PublishProperties, QoS, TopicName};

use super::crossings::Crossings;
use super::outgoing::matching;
use crate::config::Route;
use crate::inner_turn::OwnedPublication;

/// A PUBLISH from the upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) topic: String,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    /// There exactly above QoS 0.
    pub(crate) packet_id: Option<u16>,
    /// End-to-end properties as they are stored.
    pub(crate) properties: Vec<u8>,
    pub(crate) message_expiry_interval_s: Option<u32>,
    pub(crate) payload: bytes::Bytes,
}

/// Why a message from the upstream goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unwanted {
    BadTopic,
    HopLimit,
    NoRoute,
}

/// What is to be done about a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is durable here already.
    Acknowledge,
    /// It is on its way to be durable; that will be acknowledged.
    Ignore,
    Publish(Receipt),
}

/// What is remembered until a message is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) packet_id: Option<u16>,
    pub(crate) qos: QoS,
    connection: u64,
    number: u64,
    bytes: usize,
}

/// Messages from the upstream that are not done with.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// Counts the connections.
    connection: u64,
    /// Counts the messages.
    number: u64,
    /// QoS 2 messages that the upstream has not released, by packet identifier.
    held: BTreeMap<u16, Held>,
    /// Messages that are not durable yet.
    messages: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Held {
    number: u64,
    /// The last connection on which it came.
    connection: u64,
    durable: bool,
}

impl Received {
    /// The message as it is published here.
    pub(crate) fn publication(
        &self,
        routes: &[Route],
        reader: ReaderId,
        unix_ms: u64,
    ) -> Result<OwnedPublication, Unwanted> {
        let route = matching(routes, &self.topic).ok_or(Unwanted::NoRoute)?;
        let topic = route.to.render(&self.topic, &route.from);
        // Whatever is `$`-something belongs to this broker.
        if TopicName::parse(&topic).is_err() || topic.starts_with('$') {
            return Err(Unwanted::BadTopic);
        }
        let properties = PublishProperties::decode_end_to_end(&self.properties)
            .expect("the connection has encoded them");
        let crossings = Crossings::of(properties.user_properties);
        if !crossings.may_be_received() {
            return Err(Unwanted::HopLimit);
        }
        let properties = crossings.once_more_received(properties);
        let expiry_s = self.message_expiry_interval_s;
        let parts = MessageParts {
            qos: self.qos.min(QoS::try_from(route.qos).unwrap_or(QoS::ExactlyOnce)),
            retain: self.retain,
            expires_at_ms: expiry_s.map(|seconds| unix_ms + u64::from(seconds) * 1000),
            received_at_ms: unix_ms,
            publisher: "",
            topic: &topic,
            properties: &properties,
            payload: &self.payload,
        };
        let mut record = Vec::new();
        parts.append_to(&mut record);
        Ok(OwnedPublication { record, route: Destination::Subscribers { origin: Some(reader) } })
    }
}

impl Inbox {
    /// A connection is open, with the session of the one before or with a new one.
    pub(crate) fn connected(&mut self, session_present: bool) {
        self.connection += 1;
        if !session_present {
            self.held.clear();
        }
    }

    pub(crate) fn handle_received(&mut self, received: &Received) -> Verdict {
        let connection = self.connection;
        if let (QoS::ExactlyOnce, Some(packet_id)) = (received.qos, received.packet_id) {
            let held = self.held.get_mut(&packet_id).filter(|_| received.dup);
            if let Some(held) = held {
                held.connection = connection;
                return if held.durable { Verdict::Acknowledge } else { Verdict::Ignore };
            }
            let held = Held { number: self.number, connection, durable: false };
            self.held.insert(packet_id, held);
        }
        let bytes = received.topic.len() + received.properties.len() + received.payload.len();
        let (packet_id, qos, number) = (received.packet_id, received.qos, self.number);
        self.number += 1;
        self.messages += 1;
        self.bytes += bytes;
        Verdict::Publish(Receipt { packet_id, qos, connection, number, bytes })
    }

    /// A message is durable; true when it is to be acknowledged now.
    pub(crate) fn handle_durable(&mut self, receipt: &Receipt) -> bool {
        self.messages -= 1;
        self.bytes -= receipt.bytes;
        let Some(packet_id) = receipt.packet_id else { return false };
        if receipt.qos != QoS::ExactlyOnce {
            return receipt.connection == self.connection;
        }
        let held = self.held.get_mut(&packet_id).filter(|held| held.number == receipt.number);
        held.is_some_and(|held| {
            held.durable = true;
            held.connection == self.connection
        })
    }

    /// The upstream will not send the QoS 2 message with this packet identifier again.
    pub(crate) fn handle_released(&mut self, packet_id: u16) {
        self.held.remove(&packet_id);
    }

    /// Whether no more is to be taken from the connection for now.
    pub(crate) fn is_full(&self) -> bool {
        self.messages >= MESSAGES_MAX || self.bytes >= BYTES_MAX
    }
}

/// Messages that wait for a commit.
const MESSAGES_MAX: usize = 1024;
/// Their bytes.
const BYTES_MAX: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Priority, TopicTemplate};

    fn received(qos: QoS, packet_id: u16, dup: bool) -> Received {
        let packet_id = (qos > QoS::AtMostOnce).then_some(packet_id);
        Received { topic: "cmd/a".into(), qos, packet_id, dup, ..Received::default() }
    }

    fn receipt(inbox: &mut Inbox, qos: QoS, packet_id: u16) -> Receipt {
        match inbox.handle_received(&received(qos, packet_id, false)) {
            Verdict::Publish(receipt) => receipt,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_acknowledgement_goes_to_the_connection_that_asked() {
        let mut inbox = Inbox::default();
        inbox.connected(true);
        let first = receipt(&mut inbox, QoS::AtLeastOnce, 1);
        let second = receipt(&mut inbox, QoS::AtLeastOnce, 2);
        assert!(inbox.handle_durable(&first));
        inbox.connected(true);
        assert!(!inbox.handle_durable(&second));
        assert!(!inbox.is_full() && inbox.messages == 0 && inbox.bytes == 0);
    }

    #[test]
    fn a_qos_2_message_that_comes_again_is_not_published_again() {
        let mut inbox = Inbox::default();
        inbox.connected(true);
        let first = receipt(&mut inbox, QoS::ExactlyOnce, 7);
        inbox.connected(true);
        let again = received(QoS::ExactlyOnce, 7, true);
        assert_eq!(inbox.handle_received(&again), Verdict::Ignore);
        assert!(inbox.handle_durable(&first), "for the connection that asked again");
        assert_eq!(inbox.handle_received(&again), Verdict::Acknowledge);
        inbox.handle_released(7);
        receipt(&mut inbox, QoS::ExactlyOnce, 7);
    }

    #[test]
    fn a_new_session_forgets_what_the_old_one_held() {
        let mut inbox = Inbox::default();
        inbox.connected(false);
        let old = receipt(&mut inbox, QoS::ExactlyOnce, 7);
        inbox.connected(false);
        let again = received(QoS::ExactlyOnce, 7, true);
        assert!(matches!(inbox.handle_received(&again), Verdict::Publish(_)));
        assert!(!inbox.handle_durable(&old));
    }

    #[test]
    fn what_is_not_durable_is_bounded() {
        let mut inbox = Inbox::default();
        inbox.connected(true);
        let receipts: Vec<_> =
            (0..MESSAGES_MAX).map(|_| receipt(&mut inbox, QoS::AtMostOnce, 0)).collect();
        assert!(inbox.is_full());
        assert!(!inbox.handle_durable(&receipts[0]) && !inbox.is_full());
    }

    #[test]
    fn the_topic_is_mapped_and_the_message_does_not_go_back() {
        let to = TopicTemplate::parse("local/{rest}", "cmd/#").unwrap();
        let routes = [Route { from: "cmd/#".into(), to, qos: 1, priority: Priority::Normal }];
        let message = Received {
            message_expiry_interval_s: Some(2),
            retain: true,
            ..received(QoS::ExactlyOnce, 1, false)
        };
        let publication = message.publication(&routes, ReaderId(4), 1_000).unwrap();
        assert_eq!(publication.route, Destination::Subscribers { origin: Some(ReaderId(4)) });
        let parts = weir_core::parse_message(&publication.record).unwrap();
        assert_eq!((parts.topic, parts.qos, parts.retain), ("local/a", QoS::AtLeastOnce, true));
        assert_eq!((parts.expires_at_ms, parts.received_at_ms), (Some(3_000), 1_000));
    }

    #[test]
    fn a_message_that_has_gone_from_broker_to_broker_twice_is_not_received() {
        let to = TopicTemplate::parse("{topic}", "cmd/#").unwrap();
        let routes = [Route { from: "cmd/#".into(), to, qos: 1, priority: Priority::Normal }];
        let mut message = received(QoS::AtLeastOnce, 1, false);
        for _ in 0..2 {
            let publication = message.publication(&routes, ReaderId(4), 0).unwrap();
            let parts = weir_core::parse_message(&publication.record).unwrap();
            message.properties = parts.properties.to_vec();
        }
        let again = message.publication(&routes, ReaderId(4), 0);
        assert_eq!(again.err(), Some(Unwanted::HopLimit));
    }

    #[test]
    fn topics_without_a_route_and_topics_of_the_broker_are_unwanted() {
        let route = |to: &str| {
            let to = TopicTemplate::parse(to, "cmd/#").unwrap();
            [Route { from: "cmd/#".into(), to, qos: 1, priority: Priority::Normal }]
        };
        let message = received(QoS::AtLeastOnce, 1, false);
        let unwanted = |routes: &[Route]| message.publication(routes, ReaderId(0), 0).err();
        assert_eq!(unwanted(&[]), Some(Unwanted::NoRoute));
        assert_eq!(unwanted(&route("$SYS/{rest}")), Some(Unwanted::BadTopic));
    }
}
