//! Messages from nodes: PUBLISH, PUBREL, and what becomes of them at the broker.

use weir_node::mqtt_sn_1_2::{
    Delivery, MessageId, Packet, Puback, Publish, QoS, ReturnCode, TopicId, TopicRef,
};

use super::Gateway;
use super::address::Address;
use super::age::{self, Aged};
use super::client::{Client, ClientKey};
use super::counters::Counter;
use super::options::{NodeOptions, Predefined};
use super::outbox::{Refusal, RefusalReason};
use super::topic::{Filter, check_name};
use super::uplink::{Exchange, Standing, Waiting};
use crate::session::{Command, Ticket};

impl Gateway {
    pub(super) fn handle_publish(&mut self, now: u64, key: ClientKey, publish: &Publish<'_>) {
        let client = &self.clients[key];
        let Some(topic) = topic_name(client, &self.options.predefined, publish.topic) else {
            self.out.count(Counter::UnknownTopicId);
            return self.answer_publish(key, publish, ReturnCode::InvalidTopicId);
        };
        let Some(message) = age::read(&topic, publish.payload) else {
            self.out.count(Counter::AgeMissing);
            return self.answer_dropped(key, publish);
        };
        if !self.may_publish(&client.id, message.topic) {
            self.refuse(key, RefusalReason::Publish, Some(message.topic));
            return self.answer_publish(key, publish, ReturnCode::NotSupported);
        }
        match publish.delivery {
            Delivery::AtLeastOnce { message_id, .. } | Delivery::ExactlyOnce { message_id, .. } => {
                self.publish_acknowledged(now, key, publish, message, message_id);
            }
            Delivery::AtMostOnce | Delivery::MinusOne => {
                self.publish_once(now, key, publish, message);
            }
        }
    }

    /// A message without a session (6.8), which the gateway publishes as itself. Nobody is told if
    /// it is refused: the standard has no answer to it.
    pub(super) fn handle_minus_one(&mut self, now: u64, from: &Address, publish: &Publish<'_>) {
        let client = self.by_address.get(from).map(|key| &*self.clients[*key].id);
        let topic = match publish.topic {
            TopicRef::Normal(_) => None,
            TopicRef::Predefined(id) => self.options.predefined.name(client, id).map(Box::from),
            TopicRef::Short(name) => short_name(name),
        };
        let Some(topic) = topic else { return self.out.count(Counter::UnknownTopicId) };
        let Some(message) = age::read(&topic, publish.payload) else {
            return self.out.count(Counter::AgeMissing);
        };
        let link = &self.options.links[usize::from(from.link.0)];
        let allowed = link.minus_one.as_ref().is_some_and(|filters| allows(filters, message.topic));
        if !allowed || !self.is_address_allowed(from, None) {
            let reason = RefusalReason::MinusOne;
            let client_id = client.map(Box::from);
            let refusal = Refusal { address: from.clone(), client_id, topic: Some(topic), reason };
            return self.out.refuse(refusal);
        }
        let payload = message.stamped(|age_ms| self.clock.before(now, age_ms));
        self.publish_as_bridge(message.topic.into(), payload, publish.retain);
    }

    pub(super) fn handle_pubrel(&mut self, now: u64, key: ClientKey, message_id: MessageId) {
        let client = &mut self.clients[key];
        client.uplink.release(message_id.0, now);
        // Also of what is not known any more, so that the node can end the exchange.
        self.out.send(&client.address, Packet::Pubcomp(message_id));
    }

    /// The broker has a message.
    pub(super) fn handle_published(&mut self, now: u64, key: ClientKey, ticket: Ticket) {
        let client = &mut self.clients[key];
        let Some(waiting) = client.uplink.answered(ticket, true) else { return };
        self.out.count(Counter::Published);
        let message_id = MessageId(waiting.exchange.message_id);
        if !client.is_here() {
            return;
        }
        let packet = match waiting.qos {
            QoS::ExactlyOnce => Packet::Pubrec(message_id),
            _ => puback(waiting.topic_id, message_id, ReturnCode::Accepted),
        };
        self.out.send(&client.address, packet);
        // The client had its answer, whatever else it is asked.
        debug_assert!(client.heard_at <= now, "nobody is heard in the future");
    }

    /// The broker may or may not have a message: the node is to send it again.
    pub(super) fn handle_publish_failed(&mut self, key: ClientKey, ticket: Ticket) {
        let client = &mut self.clients[key];
        let Some(waiting) = client.uplink.answered(ticket, false) else { return };
        if client.is_here() {
            let message_id = MessageId(waiting.exchange.message_id);
            self.out.count(Counter::Congested);
            let congested = puback(waiting.topic_id, message_id, ReturnCode::Congestion);
            self.out.send(&self.clients[key].address, congested);
        }
    }

    /// The broker does not take a message and never will: the node is not to send it again. PUBACK is
    /// the answer to an error at every quality (5.4.13).
    pub(super) fn handle_publish_refused(&mut self, key: ClientKey, ticket: Ticket) {
        let client = &mut self.clients[key];
        let Some(waiting) = client.uplink.answered(ticket, false) else { return };
        let is_here = client.is_here();
        self.refuse(key, RefusalReason::BrokerPublish, None);
        if is_here {
            let message_id = MessageId(waiting.exchange.message_id);
            let refused = puback(waiting.topic_id, message_id, ReturnCode::NotSupported);
            self.out.send(&self.clients[key].address, refused);
        }
    }

    /// Whether the configuration lets a node publish there. The broker has a say of its own.
    pub(super) fn may_publish(&self, client_id: &str, topic: &str) -> bool {
        let node: Option<&NodeOptions> = self.options.nodes.get(client_id);
        let filters = node.and_then(|node| node.publish.as_ref());
        filters.is_none_or(|filters| allows(filters, topic))
    }

    fn publish_once(&mut self, now: u64, key: ClientKey, publish: &Publish<'_>, message: Aged<'_>) {
        let client = &self.clients[key];
        if !client.is_open() {
            return self.out.count(Counter::QoS0Lost);
        }
        self.out.count(Counter::Published);
        let session = client.session.id;
        let command = self.command(now, None, QoS::AtMostOnce, publish, message);
        self.out.command(session, command);
    }

    fn publish_acknowledged(
        &mut self,
        now: u64,
        key: ClientKey,
        publish: &Publish<'_>,
        message: Aged<'_>,
        message_id: MessageId,
    ) {
        let qos = match publish.delivery {
            Delivery::ExactlyOnce { .. } => QoS::ExactlyOnce,
            _ => QoS::AtLeastOnce,
        };
        // Sent again, it is older.
        let exchange = Exchange::new(message_id.0, message.topic, message.payload);
        let memory_ms = self.options.retry_ms * 2;
        let client = &mut self.clients[key];
        match client.uplink.standing(exchange, qos, memory_ms, now) {
            Standing::Acknowledged => {
                self.out.count(Counter::Duplicates);
                self.out.send(&client.address, Packet::Pubrec(message_id));
            }
            // While the broker is away, the node is told to wait longer than it does by itself.
            Standing::Waiting if !client.is_open() => {
                self.out.count(Counter::Duplicates);
                self.answer_publish(key, publish, ReturnCode::Congestion);
            }
            Standing::Waiting => self.out.count(Counter::Duplicates),
            Standing::New if !client.is_open() || !client.uplink.has_room() => {
                self.answer_publish(key, publish, ReturnCode::Congestion);
            }
            Standing::New => {
                let ticket = client.ticket();
                let topic_id = topic_id_on_wire(publish.topic);
                client.uplink.wait(Waiting { ticket, exchange, qos, topic_id });
                let session = client.session.id;
                let command = self.command(now, Some(ticket), qos, publish, message);
                self.out.command(session, command);
            }
        }
    }

    fn command(
        &self,
        now: u64,
        ticket: Option<Ticket>,
        qos: QoS,
        publish: &Publish<'_>,
        message: Aged<'_>,
    ) -> Command {
        let payload = message.stamped(|age_ms| self.clock.before(now, age_ms));
        let topic = message.topic.into();
        Command::Publish { ticket, topic, payload, qos, retain: publish.retain }
    }

    /// Answers a PUBLISH that can never be published as if it was, so that it is not sent again.
    fn answer_dropped(&mut self, key: ClientKey, publish: &Publish<'_>) {
        let to = &self.clients[key].address;
        match publish.delivery {
            Delivery::AtLeastOnce { message_id, .. } => {
                let topic_id = topic_id_on_wire(publish.topic);
                self.out.send(to, puback(topic_id, message_id, ReturnCode::Accepted));
            }
            Delivery::ExactlyOnce { message_id, .. } => {
                self.out.send(to, Packet::Pubrec(message_id));
            }
            Delivery::AtMostOnce | Delivery::MinusOne => {}
        }
    }

    /// Refuses a PUBLISH, of any QoS.
    fn answer_publish(&mut self, key: ClientKey, publish: &Publish<'_>, return_code: ReturnCode) {
        let message_id = match publish.delivery {
            Delivery::AtLeastOnce { message_id, .. } | Delivery::ExactlyOnce { message_id, .. } => {
                message_id
            }
            Delivery::AtMostOnce | Delivery::MinusOne => MessageId(0),
        };
        if return_code == ReturnCode::Congestion {
            self.out.count(Counter::Congested);
        }
        let answer = puback(topic_id_on_wire(publish.topic), message_id, return_code);
        self.out.send(&self.clients[key].address, answer);
    }
}

/// Whether one of the filters matches.
pub(super) fn allows(filters: &[Filter], topic: &str) -> bool {
    filters.iter().any(|filter| filter.matches(topic))
}

/// The topic that a short name stands for; `None` if it cannot be one.
pub(super) fn short_name(octets: [u8; 2]) -> Option<Box<str>> {
    let name = str::from_utf8(&octets).ok()?;
    check_name(name).is_ok().then(|| name.into())
}

fn topic_name(client: &Client, predefined: &Predefined, topic: TopicRef) -> Option<Box<str>> {
    match topic {
        TopicRef::Normal(id) => client.topics.name(id).map(Box::from),
        TopicRef::Predefined(id) => predefined.name(Some(&client.id), id).map(Box::from),
        TopicRef::Short(octets) => short_name(octets),
    }
}

fn topic_id_on_wire(topic: TopicRef) -> TopicId {
    match topic {
        TopicRef::Normal(id) | TopicRef::Predefined(id) => id,
        TopicRef::Short(octets) => TopicId(u16::from_be_bytes(octets)),
    }
}

fn puback(topic_id: TopicId, message_id: MessageId, return_code: ReturnCode) -> Packet<'static> {
    Packet::Puback(Puback { topic_id, message_id, return_code })
}
