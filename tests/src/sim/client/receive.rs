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
        if is_new
            && self.profile.role == Role::Watcher
            && let Some(text) = receive_result(around, publish)
        {
            self.blame(around, format!("got a result of a rule: {text}"));
        }
        if is_new && let Some(message) = id {
            let delivered = Delivered {
                message,
                topic: publish.topic,
                qos: publish.qos,
                dup: publish.dup,
                retain: publish.retain,
                life: self.life,
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
