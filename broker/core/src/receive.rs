//! Bytes become frames, frames become packets, packets go to the module of their kind.
//!
//! A frame is handled where it lies in the shell's read buffer; only one that was cut off is
//! copied. A packet that is too long is refused by its fixed header, before its body is buffered.

use weir_mqtt::{Packet, ReasonCode, frame_len};

use crate::clock::Now;
use crate::connection::State;
use crate::core::Core;
use crate::effect::Effect;
use crate::identity::ConnectionId;
use crate::timer::Timer;

/// Longest packet of a client that is not known yet, bytes: the five fields of CONNECT that may
/// be long, and as much again for properties. Otherwise anybody could have the longest packet
/// that a client may send kept, on each connection.
const UNKNOWN_BYTES_MAX: usize = 6 * 65_536;
/// First byte of a CONNECT packet.
const CONNECT: u8 = 0x10;

impl Core {
    pub(crate) fn handle_received(&mut self, now: Now, id: ConnectionId, bytes: &[u8]) {
        self.metrics.bytes_received += bytes.len() as u64;
        self.take_bytes(now, id, bytes);
    }

    /// Handles bytes that are counted already.
    pub(crate) fn take_bytes(&mut self, now: Now, id: ConnectionId, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.last_received = now.monotonic;
        if connection.unhandled.is_empty() {
            let handled = self.handle_frames(now, id, bytes);
            self.keep_unhandled(id, bytes.get(handled..).unwrap_or_default());
        } else {
            connection.unhandled.extend_from_slice(bytes);
            self.handle_unhandled(now, id);
        }
        self.count_buffers(id);
        // What is sent behind a CONNECT that waits is kept, but not without end.
        if let Some(connection) = self.connections.get(id)
            && matches!(connection.state, State::Authenticating | State::Connecting(_))
            && !connection.unhandled.is_empty()
        {
            self.pause(id);
        }
    }

    /// Goes on with what had to wait.
    pub(crate) fn handle_unhandled(&mut self, now: Now, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let mut bytes = std::mem::take(&mut connection.unhandled);
        let handled = self.handle_frames(now, id, &bytes);
        if handled == bytes.len() {
            return;
        }
        if let Some(connection) = self.connections.get_mut(id)
            && connection.state != State::Closing
        {
            bytes.drain(..handled);
            connection.unhandled = bytes;
        }
    }

    /// Ends one QoS 1 or 2 exchange that the client began. There may be none: one that was begun
    /// on an earlier connection does not count on this one.
    pub(crate) fn end_exchange(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.exchanges = connection.exchanges.saturating_sub(1);
        }
    }

    /// An answer waits no longer; reads on if that was the brake.
    pub(crate) fn reply_left_gate(&mut self, now: Now, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.gated -= 1;
        self.read_on(now, id);
    }

    /// Reads on when few enough answers are left.
    pub(crate) fn read_on(&mut self, now: Now, id: ConnectionId) {
        let Some(connection) = self.connections.get(id) else { return };
        let is_throttled =
            connection.allowance.as_ref().is_some_and(|allowance| allowance.waits_until.is_some());
        if connection.paused
            && !is_throttled
            && matches!(connection.state, State::Open(_))
            && connection.unanswered() <= self.limits.unacknowledged_inbound_max / 2
        {
            self.resume(now, id);
        }
    }

    /// Handles what was held back and lets the shell read again.
    pub(crate) fn resume(&mut self, now: Now, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if std::mem::take(&mut connection.paused) {
            // Before that it could not be heard.
            connection.last_received = now.monotonic;
            self.turn.effects.push(Effect::Resume { connection: id });
        }
        self.handle_unhandled(now, id);
    }

    /// Tells the shell to stop reading a connection whose packets have to wait.
    pub(crate) fn pause(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if !std::mem::replace(&mut connection.paused, true) {
            self.turn.effects.push(Effect::Pause { connection: id });
        }
    }

    fn keep_unhandled(&mut self, id: ConnectionId, rest: &[u8]) {
        if let Some(connection) = self.connections.get_mut(id)
            && connection.state != State::Closing
            && !rest.is_empty()
        {
            connection.unhandled.extend_from_slice(rest);
        }
    }

    /// Handles whole frames from the front; answers how many bytes they were.
    fn handle_frames(&mut self, now: Now, id: ConnectionId, bytes: &[u8]) -> usize {
        let mut handled = 0;
        while let Some(rest) = bytes.get(handled..).filter(|rest| !rest.is_empty()) {
            let Some(connection) = self.connections.get(id) else { return bytes.len() };
            match connection.state {
                State::Closing => return bytes.len(),
                State::Authenticating | State::Connecting(_) | State::Moving => return handled,
                State::AwaitingConnect | State::Challenged | State::Open(_) => {}
            }
            if connection.paused {
                return handled;
            }
            match frame_len(rest) {
                Ok(None) => return handled,
                Ok(Some(length)) if length > self.packet_bytes_max(connection.state) => {
                    self.violation(now, id, ReasonCode::PacketTooLarge);
                }
                Ok(Some(length)) => {
                    let Some(frame) = rest.get(..length) else { return handled };
                    if !self.admit(now, id, frame) {
                        return handled;
                    }
                    self.handle_frame(now, id, frame);
                    self.metrics.packets_received += 1;
                    let is_connect = frame.first().is_some_and(|byte| byte & 0xf0 == CONNECT);
                    self.metrics.connects_received += u64::from(is_connect);
                    handled += length;
                }
                Err(error) => self.violation(now, id, error.reason()),
            }
        }
        handled
    }

    fn packet_bytes_max(&self, state: State) -> usize {
        match state {
            State::Open(_) => self.limits.packet_bytes_max,
            _ => self.limits.packet_bytes_max.min(UNKNOWN_BYTES_MAX),
        }
    }

    pub(crate) fn handle_frame(&mut self, now: Now, id: ConnectionId, frame: &[u8]) {
        let Some(connection) = self.connections.get(id) else { return };
        let (state, version) = (connection.state, connection.version);
        let packet = match Packet::decode(frame, version) {
            Ok(packet) => packet,
            Err(error) if state == State::AwaitingConnect => {
                return self.refuse_frame(now, id, frame, &error);
            }
            Err(error) => return self.violation(now, id, error.reason()),
        };
        let session = match (state, &packet) {
            (State::AwaitingConnect, Packet::Connect(connect)) => {
                if let Some(home) = self.home_elsewhere(connect.client_id) {
                    return self.move_away(id, home, frame);
                }
                self.handle_connect(now, id, connect);
                return self.keep_connect(id, frame);
            }
            (State::Challenged, Packet::Auth(auth)) => {
                return self.handle_challenged_auth(id, auth);
            }
            (State::Challenged, Packet::Disconnect(_)) => return self.close(id),
            (State::Open(session), _) => session,
            // The first packet is CONNECT, and nothing else [MQTT-3.1.0-1]; while it waits for
            // AUTH, nothing else either [MQTT-3.1.2-30].
            _ => return self.violation(now, id, ReasonCode::ProtocolError),
        };
        match packet {
            Packet::Publish(publish) => self.handle_publish(now, id, session, &publish),
            Packet::Puback(acknowledge) => self.handle_puback(now, session, &acknowledge),
            Packet::Pubrec(acknowledge) => self.handle_pubrec(now, id, session, &acknowledge),
            Packet::Pubrel(acknowledge) => self.handle_pubrel(id, session, &acknowledge),
            Packet::Pubcomp(acknowledge) => self.handle_pubcomp(now, session, &acknowledge),
            Packet::Subscribe(subscribe) => self.handle_subscribe(now, id, session, &subscribe),
            Packet::Unsubscribe(unsubscribe) => {
                self.handle_unsubscribe(now, id, session, &unsubscribe);
            }
            Packet::Auth(auth) => self.handle_auth(now, id, session, &auth),
            Packet::Pingreq => self.write(id, &[0xd0, 0]),
            Packet::Disconnect(disconnect) => {
                self.handle_disconnect(now, id, session, &disconnect);
            }
            // A second CONNECT [MQTT-3.1.0-2], or what only a server sends.
            _ => self.violation(now, id, ReasonCode::ProtocolError),
        }
    }

    pub(crate) fn check_keep_alive(&mut self, now: Now, id: ConnectionId) {
        let Some(connection) = self.connections.get(id) else { return };
        if connection.silence_ms_max == 0 || connection.state == State::Closing {
            return;
        }
        let due = connection.last_received + u64::from(connection.silence_ms_max);
        if due > now.monotonic || connection.paused {
            let again = due.max(now.monotonic + 1000);
            self.arm(id, Some((again, Timer::KeepAlive(id))));
        } else {
            self.disconnect(now, id, ReasonCode::KeepAliveTimeout);
        }
    }
}
