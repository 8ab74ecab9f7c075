//! Messages to nodes: from the broker's delivery to the node's acknowledgement.

use weir_node::mqtt_sn_1_2::{
    Delivery as NodeDelivery, MessageId, Packet, Puback, Publish, QoS, Regack, Register,
    ReturnCode, TopicId, TopicRef,
};

use super::Gateway;
use super::client::{Client, ClientKey, Phase, RequestKind, SessionState};
use super::counters::Counter;
use super::downlink::{Current, DownlinkStep, Message};
use super::events::EventKind;
use super::options::Options;
use super::topic_ids::Knowledge;
use crate::session::{Command, Delivery};

impl Gateway {
    pub(super) fn handle_delivered(&mut self, now: u64, key: ClientKey, delivery: Delivery) {
        let client = &mut self.clients[key];
        // What is not acknowledged comes again in the next session.
        if matches!(client.phase, Phase::Away) || client.session.state == SessionState::Closing {
            return;
        }
        let mut message = Message::new(delivery);
        // What can never be sent is not to take memory until its turn comes.
        if message.payload.len() > self.out.datagram_max(&client.address) {
            return self.drop_too_long(now, key, message);
        }
        // Held here without holding up the broker's window, which is for what must not be lost.
        let waits = client.sleeps() || client.unreachable;
        if message.qos == QoS::AtMostOnce && waits {
            if let Some(id) = message.unacknowledged.take() {
                self.out.command(client.session.id, Command::Acknowledge(id));
            }
            let (max, policy) = (self.options.sleep_queue_max, self.options.sleep_policy);
            if client.downlink.push_bounded(message, max, policy).is_some() {
                self.out.count(Counter::DroppedOverflow);
                self.report(now, key, EventKind::Overflow, "messages dropped while it sleeps");
            }
        } else {
            client.downlink.push(message);
        }
        self.pump(now, key);
    }

    /// Sends what can be sent.
    pub(super) fn pump(&mut self, now: u64, key: ClientKey) {
        loop {
            let client = &mut self.clients[key];
            let full = matches!(client.phase, Phase::Awake(awake)
                if awake.given >= self.options.messages_per_wake);
            // The topic id that SUBACK brings comes before the messages that carry it.
            let subscribes = client
                .requests
                .iter()
                .any(|request| matches!(request.kind, RequestKind::Subscribe { .. }));
            if full || subscribes || !client.takes_messages() {
                break;
            }
            let Some(message) = client.downlink.pop() else { break };
            match topic_reference(client, &self.options, &message.topic) {
                Some((reference, Knowledge::Known)) => {
                    self.send_message(now, key, message, reference);
                }
                Some((TopicRef::Normal(id), Knowledge::Unknown)) => {
                    self.register_topic(now, key, message, id);
                }
                Some((_, Knowledge::Rejected | Knowledge::Unknown)) => {
                    self.drop_message(key, message, Counter::DroppedTopic);
                }
                None => {
                    let text = "messages dropped: the client has no topic id left";
                    self.report(now, key, EventKind::Topic, text);
                    self.drop_message(key, message, Counter::DroppedTopic);
                }
            }
        }
        self.settle(now, key);
    }

    pub(super) fn handle_puback(&mut self, now: u64, key: ClientKey, puback: &Puback) {
        if puback.return_code != ReturnCode::Accepted {
            self.out.count(Counter::Nacks);
        }
        let client = &mut self.clients[key];
        if puback.message_id.0 == 0 {
            // The node does not know the id of a message of QoS 0, which is gone.
            if puback.return_code == ReturnCode::InvalidTopicId {
                client.topics.set(puback.topic_id, Knowledge::Unknown);
            }
            return;
        }
        let is_publish = |current: &Current| matches!(current.step, DownlinkStep::Publish(_));
        let accepted = puback.return_code == ReturnCode::Accepted;
        let current = client.downlink.take_if(puback.message_id.0, |current| {
            is_publish(current) && !(accepted && current.message.qos == QoS::ExactlyOnce)
        });
        let Some(mut current) = current else { return self.out.count(Counter::Unexpected) };
        match puback.return_code {
            ReturnCode::Accepted => self.handed_over(now, key, current.message),
            ReturnCode::Congestion => {
                current.due_at = now + self.options.wait_ms;
                client.downlink.begin(current);
                return;
            }
            ReturnCode::InvalidTopicId if current.message.misunderstood < MISUNDERSTOOD_MAX => {
                if let DownlinkStep::Publish(TopicRef::Normal(id)) = current.step {
                    client.topics.set(id, Knowledge::Unknown);
                }
                current.message.misunderstood += 1;
                client.downlink.push_front(current.message);
            }
            ReturnCode::InvalidTopicId | ReturnCode::NotSupported => {
                self.report(now, key, EventKind::Nack, "messages refused by the node");
                self.drop_message(key, current.message, Counter::DroppedNack);
            }
        }
        self.pump(now, key);
    }

    /// The node has a message of QoS 2, and so the broker need not keep it.
    pub(super) fn handle_pubrec(&mut self, now: u64, key: ClientKey, message_id: MessageId) {
        let client = &mut self.clients[key];
        let received = client.downlink.take_if(message_id.0, |current| {
            current.message.qos == QoS::ExactlyOnce
                && matches!(current.step, DownlinkStep::Publish(_))
        });
        if let Some(mut current) = received {
            current.step = DownlinkStep::Release;
            current.tries_left = self.options.retries;
            current.due_at = now + self.options.retry_ms;
            let unacknowledged = current.message.unacknowledged.take();
            client.downlink.begin(current);
            if let Some(id) = unacknowledged {
                self.out.command(client.session.id, Command::Acknowledge(id));
            }
        }
        // Also for what is over, so that the node can end the exchange.
        self.out.send(&self.clients[key].address, Packet::Pubrel(message_id));
    }

    pub(super) fn handle_pubcomp(&mut self, now: u64, key: ClientKey, message_id: MessageId) {
        let is_release = |current: &Current| current.step == DownlinkStep::Release;
        match self.clients[key].downlink.take_if(message_id.0, is_release) {
            Some(current) => {
                self.handed_over(now, key, current.message);
                self.pump(now, key);
            }
            None => self.out.count(Counter::Unexpected),
        }
    }

    pub(super) fn handle_regack(&mut self, now: u64, key: ClientKey, regack: &Regack) {
        let client = &mut self.clients[key];
        let is_it = |current: &Current| current.step == DownlinkStep::Register(regack.topic_id);
        let Some(mut current) = client.downlink.take_if(regack.message_id.0, is_it) else {
            return self.out.count(Counter::Unexpected);
        };
        match regack.return_code {
            ReturnCode::Accepted => client.topics.set(regack.topic_id, Knowledge::Known),
            ReturnCode::Congestion => {
                self.out.count(Counter::Nacks);
                current.due_at = now + self.options.wait_ms;
                client.downlink.begin(current);
                return;
            }
            ReturnCode::InvalidTopicId | ReturnCode::NotSupported => {
                client.topics.set(regack.topic_id, Knowledge::Rejected);
                self.out.count(Counter::Nacks);
                self.report(now, key, EventKind::Topic, "topics refused by the node");
            }
        }
        self.clients[key].downlink.push_front(current.message);
        self.pump(now, key);
    }

    /// What is not acknowledged in time is sent again, or the node is given up.
    pub(super) fn retry_current(&mut self, now: u64, key: ClientKey) {
        let client = &mut self.clients[key];
        let awake = matches!(client.phase, Phase::Awake(_));
        let Some(current) = client.downlink.current_mut() else { return };
        if current.tries_left == 0 {
            return if awake {
                self.fall_asleep(now, key, false)
            } else {
                self.lose_silent(now, key)
            };
        }
        current.tries_left -= 1;
        current.due_at = now + self.options.retry_ms;
        current.message.dup = true;
        self.out.count(Counter::Retries);
        self.send_current(now, key);
    }

    /// Begins again with what a node that comes back has not acknowledged.
    pub(super) fn restart_current(&mut self, now: u64, key: ClientKey) {
        let client = &mut self.clients[key];
        if let Some(current) = client.downlink.current_mut() {
            current.tries_left = self.options.retries;
            current.due_at = now + self.options.retry_ms;
            current.message.dup = true;
            self.send_current(now, key);
        }
    }

    fn send_message(&mut self, now: u64, key: ClientKey, message: Message, topic: TopicRef) {
        let client = &mut self.clients[key];
        if message.qos != QoS::AtMostOnce {
            let message_id = client.downlink.message_id();
            let step = DownlinkStep::Publish(topic);
            return self.begin(
                now,
                key,
                Current { message, message_id, step, tries_left: 0, due_at: 0 },
            );
        }
        let packet = publish(&message, topic, MessageId(0));
        match self.out.try_send(&client.address, packet) {
            Ok(()) => self.handed_over(now, key, message),
            Err(_) => self.drop_too_long(now, key, message),
        }
    }

    fn register_topic(&mut self, now: u64, key: ClientKey, message: Message, id: TopicId) {
        // The id is kept before the node hears of it.
        self.save(key);
        let message_id = self.clients[key].downlink.message_id();
        let step = DownlinkStep::Register(id);
        self.begin(now, key, Current { message, message_id, step, tries_left: 0, due_at: 0 });
    }

    fn begin(&mut self, now: u64, key: ClientKey, mut current: Current) {
        current.tries_left = self.options.retries;
        current.due_at = now + self.options.retry_ms;
        self.clients[key].downlink.begin(current);
        self.send_current(now, key);
    }

    /// Sends what is current. If it does not fit the link, it is dropped.
    fn send_current(&mut self, now: u64, key: ClientKey) {
        let client = &mut self.clients[key];
        let Some(current) = client.downlink.current() else { return };
        let message_id = MessageId(current.message_id);
        let packet = match current.step {
            DownlinkStep::Publish(topic) => publish(&current.message, topic, message_id),
            DownlinkStep::Register(topic_id) => {
                let topic = &current.message.topic;
                Packet::Register(Register { topic_id, message_id, topic })
            }
            DownlinkStep::Release => Packet::Pubrel(message_id),
        };
        if self.out.try_send(&client.address, packet).is_err()
            && let Some(current) = client.downlink.take_current()
        {
            self.drop_too_long(now, key, current.message);
        }
    }

    fn handed_over(&mut self, now: u64, key: ClientKey, message: Message) {
        self.out.count(Counter::Delivered);
        let client = &mut self.clients[key];
        if let Phase::Awake(awake) = &mut client.phase {
            awake.given += 1;
            awake.quiet_at = now + self.options.linger_ms;
        }
        self.acknowledge(key, &message);
    }

    fn drop_too_long(&mut self, now: u64, key: ClientKey, message: Message) {
        let text = "messages dropped: longer than the link can carry";
        self.report(now, key, EventKind::TooLong, text);
        self.drop_message(key, message, Counter::DroppedTooLong);
    }

    /// Drops a message for good: the broker is not to send it again.
    fn drop_message(&mut self, key: ClientKey, message: Message, why: Counter) {
        self.out.count(why);
        self.acknowledge(key, &message);
    }

    fn acknowledge(&mut self, key: ClientKey, message: &Message) {
        if let Some(id) = message.unacknowledged {
            self.out.command(self.clients[key].session.id, Command::Acknowledge(id));
        }
    }
}

/// How a topic is named to a node: by an id that it knows, by a predefined id, by its own two
/// octets, or by an id that it is to be told. `None` if there is no id left.
fn topic_reference(
    client: &mut Client,
    options: &Options,
    topic: &str,
) -> Option<(TopicRef, Knowledge)> {
    if let Some((id, knowledge @ (Knowledge::Known | Knowledge::Rejected))) =
        client.topics.find(topic)
    {
        return Some((TopicRef::Normal(id), knowledge));
    }
    if let Some(id) = options.predefined.id(&client.id, topic) {
        return Some((TopicRef::Predefined(id), Knowledge::Known));
    }
    if let Ok(short) = <[u8; 2]>::try_from(topic.as_bytes()) {
        return Some((TopicRef::Short(short), Knowledge::Known));
    }
    let id = client.topics.assign(topic, options.topic_ids_max)?;
    Some((TopicRef::Normal(id), Knowledge::Unknown))
}

fn publish(message: &Message, topic: TopicRef, message_id: MessageId) -> Packet<'_> {
    let dup = message.dup;
    let delivery = match message.qos {
        QoS::AtMostOnce => NodeDelivery::AtMostOnce,
        QoS::AtLeastOnce => NodeDelivery::AtLeastOnce { message_id, dup },
        QoS::ExactlyOnce => NodeDelivery::ExactlyOnce { message_id, dup },
    };
    let (retain, payload) = (message.retain, &message.payload);
    Packet::Publish(Publish { delivery, retain, topic, payload })
}

/// A node that says so once more after it was told the id does not want the message.
const MISUNDERSTOOD_MAX: u8 = 1;
