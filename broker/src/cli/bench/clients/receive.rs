//! What clients do with a packet: they enter a message in the ledger, answer it, and count the rest.

use std::num::NonZero;

use weir_mqtt::{Acknowledge, Packet, PacketKind, ReasonCode};

use super::{
    super::{
        failure::BenchError,
        net::{Closed, Net, Receiver},
        wire::{Arrival, Mark},
    },
    Clients, Role,
};

impl Receiver for Clients {
    #[inline]
    fn receive(&mut self, net: &mut Net, connection: usize, packet: &[u8]) {
        match packet.first().is_some_and(|first| first >> 4 == PacketKind::Publish as u8) {
            true => self.receive_publish(net, connection, packet),
            false => self.receive_other(net, connection, packet),
        }
    }

    fn closed(&mut self, _: &mut Net, connection: usize, reason: Closed) {
        let is_expected = self.roles[connection] == Role::Leaving;
        self.closed += usize::from(!is_expected);
        if let Closed::NotMqtt(error) = reason {
            self.problem = Some(BenchError::Protocol(error.to_string()));
        }
    }
}

impl Clients {
    fn receive_publish(&mut self, net: &mut Net, connection: usize, packet: &[u8]) {
        let Some(arrival) = Arrival::read(packet, self.version) else {
            self.problem = Some(BenchError::Protocol("a PUBLISH that is cut off".to_owned()));
            return;
        };
        if let Role::Subscriber(subscriber) = self.roles[connection] {
            self.ledger.enter(subscriber, arrival.payload);
            if let Some(latencies) = &mut self.latencies
                && let Some(mark) = Mark::read(arrival.payload)
            {
                let now = self.start.elapsed().as_nanos() as u64;
                latencies.add(now.saturating_sub(mark.at_ns));
            }
        }
        let answer = match arrival.qos {
            0 => return,
            1 => PacketKind::Puback,
            _ => PacketKind::Pubrec,
        };
        acknowledge(net, connection, answer, arrival.packet_id);
    }

    fn receive_other(&mut self, net: &mut Net, connection: usize, packet: &[u8]) {
        match Packet::decode(packet, self.version) {
            Ok(Packet::Puback(ack) | Packet::Pubcomp(ack)) => self.done(connection, &ack),
            Ok(Packet::Pubrec(ack)) if ack.reason.is_error() => self.done(connection, &ack),
            Ok(Packet::Pubrec(ack)) => {
                acknowledge(net, connection, PacketKind::Pubrel, ack.packet_id.get());
            }
            Ok(Packet::Pubrel(ack)) => {
                acknowledge(net, connection, PacketKind::Pubcomp, ack.packet_id.get());
            }
            Ok(Packet::Connack(connack)) if connack.reason == ReasonCode::Success => {
                self.answers.connacks += 1;
                self.answers.session_present = connack.session_present;
                self.answers.receive_maximum = connack.properties.receive_maximum.map(NonZero::get);
            }
            Ok(Packet::Connack(connack)) => {
                let reason = connack.reason.to_string();
                self.problem = Some(BenchError::Refused { reason });
            }
            Ok(Packet::Suback(suback)) => {
                self.answers.subacks += 1;
                let qos = self.load.qos();
                if suback.reasons.iter().any(|reason| reason as u8 != u8::from(qos)) {
                    self.problem = Some(BenchError::Granted { qos });
                }
            }
            Ok(Packet::Pingresp) => self.answers.pingresps += 1,
            // The connection ends after it, which is counted then.
            Ok(Packet::Disconnect(_)) => {}
            Ok(other) => {
                let reason = format!("{:?} is nothing for a client", other.kind());
                self.problem = Some(BenchError::Protocol(reason));
            }
            Err(error) => self.problem = Some(BenchError::Protocol(error.to_string())),
        }
    }

    /// A message is acknowledged for good.
    fn done(&mut self, connection: usize, acknowledge: &Acknowledge<'_>) {
        if let Role::Publisher(publisher) = self.roles[connection] {
            let publisher = &mut self.publishers[publisher];
            publisher.in_flight = publisher.in_flight.saturating_sub(1);
            self.acknowledged += 1;
            self.refused += u64::from(acknowledge.reason.is_error());
        }
    }
}

/// Puts an acknowledgement, which is the same in every version, into the output.
#[inline]
fn acknowledge(net: &mut Net, connection: usize, kind: PacketKind, packet_id: u16) {
    let flags = if kind == PacketKind::Pubrel { 2 } else { 0 };
    let [high, low] = packet_id.to_be_bytes();
    let packet = [(kind as u8) << 4 | flags, 2, high, low];
    net.connections[connection].out.extend_from_slice(&packet);
    net.mark(connection);
}
