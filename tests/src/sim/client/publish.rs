//! What a client publishes, until it is acknowledged.

use weir_core::ListenerId;
use weir_mqtt::{Acknowledge, Packet, PacketId, Publish, QoS, Version};

use super::{Client, Outgoing, Stage};
use crate::sim::model::{MessageId, Published, Publisher, payload};
use crate::sim::surroundings::Surroundings;
use crate::sim::trace::About;
use crate::sim::workload::{Draft, Role};

impl Client {
    pub(super) fn publish(&mut self, around: &mut Surroundings, draft: Draft) {
        if draft.qos > QoS::AtMostOnce && self.outgoing.len() >= self.quota(around) {
            return;
        }
        // Otherwise nobody would see what comes of it.
        if self.profile.role == Role::Sensor && !around.is_watched {
            return;
        }
        let stamp_ms = around.true_unix_ms();
        let publisher = Publisher::Client(self.number);
        let message = around.model.publish(Published {
            retain: draft.retain,
            is_removal: draft.is_removal,
            padding: draft.padding,
            expiry_s: draft.expiry_s,
            delay_s: draft.delay_s,
            ..Published::new(publisher, draft.topic, draft.qos, stamp_ms)
        });
        let payload =
            if draft.is_removal { Vec::new() } else { payload(message, stamp_ms, draft.padding) };
        if draft.qos == QoS::AtMostOnce {
            return self.send_publish(around, message, None, &payload, false);
        }
        let packet_id = self.next_id();
        let stage = if draft.qos == QoS::ExactlyOnce { Stage::Pubrec } else { Stage::Puback };
        self.send_publish(around, message, Some(packet_id), &payload, false);
        self.outgoing.push(Outgoing { packet_id, message, payload, stage });
    }

    pub(super) fn send_publish(
        &mut self,
        around: &mut Surroundings,
        message: MessageId,
        packet_id: Option<PacketId>,
        payload: &[u8],
        dup: bool,
    ) {
        around.model.sent(message, around.now);
        let published = around.model.message(message);
        let (qos, retain, expiry_s) = (published.qos, published.retain, published.expiry_s);
        let topic = match published.delay_s {
            0 => published.topic.clone(),
            delay_s => format!("$delayed/{delay_s}/{}", published.topic),
        };
        around.note(
            About::message(self.number, message),
            format_args!(
                "client {} publishes message {message} to {topic} at {}{}{}",
                self.number,
                qos as u8,
                if retain { ", retained" } else { "" },
                if dup { ", again" } else { "" },
            ),
        );
        let mut publish = Publish { dup, qos, retain, packet_id, ..Publish::new(&topic, payload) };
        publish.properties.message_expiry_interval_s = expiry_s;
        self.send(around, &Packet::Publish(publish));
    }

    pub(super) fn receive_puback(
        &mut self,
        around: &mut Surroundings,
        acknowledge: &Acknowledge<'_>,
    ) {
        let place = self
            .outgoing
            .iter()
            .position(|o| o.packet_id == acknowledge.packet_id && o.stage == Stage::Puback);
        let Some(place) = place else {
            return self
                .blame(around, format!("got PUBACK {} for nothing", acknowledge.packet_id.get()));
        };
        let message = self.outgoing.remove(place).message;
        self.acknowledged(around, message, acknowledge);
    }

    pub(super) fn receive_pubrec(
        &mut self,
        around: &mut Surroundings,
        acknowledge: &Acknowledge<'_>,
    ) {
        let id = acknowledge.packet_id;
        let known = self.outgoing.iter_mut().find(|o| o.packet_id == id);
        match known {
            Some(known) if known.stage == Stage::Pubrec => {
                known.stage = Stage::Pubcomp;
                let message = known.message;
                self.acknowledged(around, message, acknowledge);
            }
            Some(known) if known.stage == Stage::Pubcomp => {}
            _ => return self.blame(around, format!("got PUBREC {} for nothing", id.get())),
        }
        self.send(around, &Packet::Pubrel(Acknowledge::success(id)));
    }

    pub(super) fn acknowledged(
        &mut self,
        around: &mut Surroundings,
        message: MessageId,
        acknowledge: &Acknowledge<'_>,
    ) {
        around.note(
            About::message(self.number, message),
            format_args!("message {message} is acknowledged to client {}", self.number),
        );
        if acknowledge.reason.is_error() {
            let text = format!("message {message} was refused: {}", acknowledge.reason);
            return self.blame(around, text);
        }
        around.model.acknowledged(message, around.now);
    }

    pub(super) fn quota(&self, around: &Surroundings) -> usize {
        match self.profile.version {
            Version::V5 => usize::from(around.conduct.limits.inflight_window(ListenerId(0))),
            _ => 20,
        }
    }

    pub(super) fn next_id(&mut self) -> PacketId {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            let id = PacketId::new(self.last_id).expect("one or more");
            let in_use = self.outgoing.iter().any(|o| o.packet_id == id)
                || self.subscribing.contains_key(&id)
                || self.unsubscribing.contains_key(&id);
            if !in_use {
                return id;
            }
        }
    }
}
