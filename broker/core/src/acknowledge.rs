//! PUBACK, PUBREC and PUBCOMP from a client: the progress of what was sent to it.
//!
//! PUBREL may be said only when the store knows that PUBREC came: a message that came back to
//! life after its PUBREL would be a second one to the client.

use weir_mqtt::{Acknowledge, PacketId, QoS, ReasonCode};

use crate::change::{Change, InflightState};
use crate::clock::Now;
use crate::core::Core;
use crate::identity::ConnectionId;
use crate::inflight::{Delivered, Progress};
use crate::key::SessionKey;
use crate::metrics::DropReason;
use crate::reply::Reply;

impl Core {
    pub(crate) fn handle_puback(
        &mut self,
        now: Now,
        key: SessionKey,
        acknowledge: &Acknowledge<'_>,
    ) {
        let session = &mut self.sessions[key as usize];
        let Some(entry) = session.inflight.find(acknowledge.packet_id).copied() else { return };
        if entry.delivery.qos == QoS::AtLeastOnce && entry.progress == Progress::Sent {
            session.inflight.finish(entry.packet_id);
            self.forget_identifier(key, entry.packet_id, entry.delivery);
            if acknowledge.reason.is_error() {
                self.lose_held(now, key, DropReason::Refused, entry.delivery);
            }
            self.settle(key, entry.delivery);
            self.pump(now, key);
        }
    }

    pub(crate) fn handle_pubrec(
        &mut self,
        now: Now,
        id: ConnectionId,
        key: SessionKey,
        acknowledge: &Acknowledge<'_>,
    ) {
        let packet_id = acknowledge.packet_id;
        let session = &mut self.sessions[key as usize];
        let entry = session.inflight.find(packet_id).copied();
        let Some(entry) = entry.filter(|entry| {
            entry.delivery.qos == QoS::ExactlyOnce
                && matches!(entry.progress, Progress::Sent | Progress::Released)
        }) else {
            let reason = ReasonCode::PacketIdentifierNotFound;
            return self.reply(id, Reply::Pubrel, packet_id, reason, false);
        };
        if entry.progress == Progress::Released {
            return self.reply(id, Reply::Pubrel, packet_id, ReasonCode::Success, false);
        }
        if acknowledge.reason.is_error() {
            // Refused: the exchange ends here [MQTT-4.3.3-4].
            session.inflight.finish(packet_id);
            self.forget_identifier(key, entry.packet_id, entry.delivery);
            self.lose_held(now, key, DropReason::Refused, entry.delivery);
            self.settle(key, entry.delivery);
            return self.pump(now, key);
        }
        session.inflight.advance(packet_id, Progress::Released);
        let session = session.id;
        let durable = entry.delivery.logged;
        if durable {
            let state = InflightState::Released;
            self.record(Change::InflightPut { session, packet_id, state });
        }
        self.settle(key, entry.delivery);
        self.reply(id, Reply::Pubrel, packet_id, ReasonCode::Success, durable);
    }

    pub(crate) fn handle_pubcomp(
        &mut self,
        now: Now,
        key: SessionKey,
        acknowledge: &Acknowledge<'_>,
    ) {
        let session = &mut self.sessions[key as usize];
        let Some(entry) = session.inflight.find(acknowledge.packet_id).copied() else { return };
        if entry.progress == Progress::Released {
            session.inflight.finish(entry.packet_id);
            self.forget_identifier(key, entry.packet_id, entry.delivery);
            self.pump(now, key);
        }
    }

    /// The store may use a packet identifier for something else, if it knows of its use.
    pub(crate) fn forget_identifier(
        &mut self,
        key: SessionKey,
        packet_id: PacketId,
        delivered: Delivered,
    ) {
        if delivered.logged {
            let session = self.sessions[key as usize].id;
            self.record_unawaited(Change::InflightRemoved { session, packet_id });
        }
    }
}
