//! What a client receives, and what it answers.

use weir_mqtt::{Acknowledge, Packet, PacketId, Publish, QoS, ReasonCode, Version};

use super::{Client, State};
use crate::sim::model::{Delivered, MessageId, message_of};
use crate::sim::surroundings::Surroundings;
use crate::sim::trace::About;
use crate::sim::workload::Role;

impl Client {
    /// The message that an acknowledgement with this identifier is about.
    pub(crate) fn message_of(&self, packet_id: PacketId) -> Option<MessageId> {
        self.outgoing.iter().find(|o| o.packet_id == packet_id).map(|o| o.message)
    }

    pub(super) fn receive_publish(&mut self, around: &mut Surroundings, publish: &Publish<'_>) {
        let Some(session) = self.session.filter(|_| self.state == State::Online) else {
            return self.blame(around, "got a message before CONNACK".to_owned());
        };
        let id = message_of(publish.payload);
        let about = About { client: Some(self.number), message: id };
        around.note(
            about,
            format_args!(
                "client {} gets message {} from {} at {}{}{}, identifier {}",
                self.number,
                id.map_or_else(|| "-".to_owned(), |id| id.to_string()),
                publish.topic,
                publish.qos as u8,
                if publish.dup { ", again" } else { "" },
                if publish.retain { ", retained" } else { "" },
                publish.packet_id.map_or(0, PacketId::get),
            ),
        );
        let is_new = match (publish.qos, publish.packet_id) {
            (QoS::ExactlyOnce, Some(packet_id)) => self.incoming.insert(packet_id),
            _ => true,
        };
        if self.profile.role == Role::Watcher && id.is_none() {
            let text = String::from_utf8_lossy(publish.payload);
            around.note(about, format_args!("  result {text}"));
        }
        // A retained one came before, or will: in its order.
        if is_new
            && !publish.retain
            && self.profile.role == Role::Watcher
            && let Some(text) = receive_result(around, publish)
        {
            self.blame(around, format!("got a result of a rule: {text}"));
        }
        if let Some(about) = publish.topic.strip_prefix("dead/") {
            if is_new && self.profile.role == Role::Mourner {
                self.receive_letter(around, publish, about);
            }
        } else if is_new && let Some(message) = id {
            let left_s = publish.properties.message_expiry_interval_s;
            let is_told = self.profile.version == Version::V5;
            let delivered = Delivered {
                payload: publish.payload,
                expiry_s: if is_told { left_s } else { Some(0) },
                now_ms: around.now,
                doubt_ms: around.doubt_ms(),
                message,
                topic: publish.topic,
                qos: publish.qos,
                dup: publish.dup,
                retain: publish.retain,
                life: self.crashes_at_connect,
            };
            around.model.delivered(session, &delivered);
        }
        let Some(packet_id) = publish.packet_id else { return };
        self.unanswered.insert(packet_id);
        let max = self.profile.receive_max.unwrap_or(u16::MAX);
        if self.unanswered.len() > usize::from(max) {
            self.blame(around, format!("got more than {max} messages at a time"));
        }
        let acknowledge = Acknowledge::success(packet_id);
        if publish.qos == QoS::ExactlyOnce {
            self.say_later(around, &Packet::Pubrec(acknowledge), None);
        } else {
            self.say_later(around, &Packet::Puback(acknowledge), Some(packet_id));
        }
    }

    /// A dead letter: `about` is the client that has lost the message, and its topic.
    fn receive_letter(&self, around: &mut Surroundings, publish: &Publish<'_>, about: &str) {
        let property = |name: &str| {
            let mut pairs = publish.properties.user_properties.iter();
            pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
        };
        let Some((client, topic)) = about.split_once('/') else {
            return self.blame(around, "got a dead letter of nobody".to_owned());
        };
        let Some(id) = message_of(publish.payload) else {
            let is_known = topic.starts_with("out/") || publish.payload.is_empty();
            if !is_known {
                self.denounce(around, &format!("a dead letter of nothing, {about}"));
            }
            return;
        };
        let reason = property("dead-letter-reason");
        let message = around.model.messages.get(id as usize).cloned();
        let is_of_message = message.as_ref().is_some_and(|message| message.topic == topic);
        if !is_of_message || property("dead-letter-client") != Some(client) {
            return self.denounce(around, &format!("a dead letter that cannot be, of {about}"));
        }
        let expiry_s = message.as_ref().and_then(|message| message.expiry_s);
        let sent_ms = message.map_or(0, |message| message.first_sent_ms);
        let is_true = match (reason, expiry_s) {
            (Some("expired"), Some(expiry_s)) => {
                around.now + around.doubt_ms() >= sent_ms + u64::from(expiry_s) * 1000
            }
            (Some("queue_full"), _) => around.conduct.has_small_queues(),
            _ => false,
        };
        if !is_true {
            let text = format!("got a dead letter of {about}, message {id}, for {reason:?}");
            return self.blame(around, text);
        }
        around.model.lost(client, id);
    }

    pub(super) fn receive_pubrel(
        &mut self,
        around: &mut Surroundings,
        acknowledge: &Acknowledge<'_>,
    ) {
        let id = acknowledge.packet_id;
        let reason = if self.incoming.remove(&id) || self.profile.version != Version::V5 {
            ReasonCode::Success
        } else {
            ReasonCode::PacketIdentifierNotFound
        };
        let pubcomp = Packet::Pubcomp(Acknowledge::with_reason(id, reason));
        self.say_later(around, &pubcomp, Some(id));
    }
}

fn receive_result(around: &mut Surroundings, publish: &Publish<'_>) -> Option<String> {
    let mut properties = publish.properties.user_properties.iter();
    let id = properties.find(|(name, _)| *name == "id").map(|(_, id)| id);
    around.outputs.receive(id, publish.topic, publish.payload)
}
