//! MQTT 3.1.1 as the client of one session, without IO.
//!
//! Bytes of the broker and commands of the owner in, bytes for the broker and events for the owner
//! out. Packets are those of rumqttc's codec; what is done about them is decided here, because a
//! gateway needs what its client does not give: which message was acknowledged, exchanges that go
//! on when a kept session finds its broker again, and little memory for each of many sessions.
//!
//! Invariant: a packet identifier is not used again before its exchange is over.

use bytes::BytesMut;
use rumqttc::{
    ConnAck, Disconnect, Packet, PingReq, PubAck, PubComp, PubRec, PubRel, Publish, Subscribe,
    Unsubscribe,
};
use thiserror::Error;

use super::incoming::{Incoming, Taken};
use super::packets::{self, Declined};
use crate::session::{
    Command, Event, LostReason, QoS, RefusedReason, SessionOptions, Ticket, Will,
};

/// The client's side of one session.
#[derive(Debug)]
pub(super) struct Protocol {
    pub(super) options: SessionOptions,
    state: State,
    last_packet_id: u16,
    /// Of QoS 1 and 2, in the order they were sent in.
    outgoing: Vec<Outgoing>,
    requests: Vec<Request>,
    incoming: Incoming,
    /// PINGREQ was sent, and nothing has come since.
    pinged: bool,
    /// Messages of QoS 0 that were dropped because the owner did not take them.
    pub(super) dropped: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connected,
    /// CONNECT was sent.
    Connecting,
    Disconnected,
}

#[derive(Debug)]
struct Outgoing {
    ticket: Ticket,
    publish: Publish,
    /// PUBREC has come.
    released: bool,
}

#[derive(Debug)]
struct Request {
    packet_id: u16,
    ticket: Ticket,
    unsubscribes: bool,
}

/// Why a connection cannot go on.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error("the broker is away")]
    Lost(LostReason),
    #[error("the broker refuses the session")]
    Refused(RefusedReason),
}

/// What a command asks of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Close it, for good. `publish_will`: without DISCONNECT.
    Close { publish_will: bool },
    /// Nothing.
    GoOn,
    /// Close it and open the next one at once.
    Reconnect,
}

impl Protocol {
    pub(super) fn new(options: SessionOptions) -> Self {
        Self {
            options,
            state: State::Disconnected,
            last_packet_id: 0,
            outgoing: Vec::new(),
            requests: Vec::new(),
            incoming: Incoming::default(),
            pinged: false,
            dropped: 0,
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.state == State::Connected
    }

    /// Begins a connection.
    pub(super) fn connect(&mut self, out: &mut BytesMut) {
        self.state = State::Connecting;
        self.pinged = false;
        write(Packet::Connect(packets::connect(&self.options)), out);
    }

    /// Takes packets out of `input` until none is whole or the owner takes no more.
    pub(super) fn read(
        &mut self,
        input: &mut BytesMut,
        out: &mut BytesMut,
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        while !self.incoming.is_full() {
            match Packet::read(input, PACKET_BYTES_MAX) {
                Ok(packet) => self.handle(packet, out, events)?,
                Err(rumqttc::mqttbytes::Error::InsufficientBytes(_)) => break,
                Err(error) => return Err(broken(&error.to_string())),
            }
        }
        self.give(events);
        Ok(())
    }

    /// Whether packets are left in the input until the owner has acknowledged something.
    pub(super) fn is_full(&self) -> bool {
        self.incoming.is_full()
    }

    pub(super) fn command(
        &mut self,
        command: Command,
        out: &mut BytesMut,
        events: &mut Vec<Event>,
    ) -> Outcome {
        match command {
            Command::Acknowledge(id) => {
                if let Some((packet_id, qos)) = self.incoming.acknowledge(id) {
                    acknowledge(packet_id, qos, out);
                }
                self.give(events);
            }
            Command::Disconnect { publish_will } => {
                // Also behind a CONNECT that is not answered yet.
                if self.state != State::Disconnected && !publish_will {
                    write(Packet::Disconnect, out);
                }
                return Outcome::Close { publish_will };
            }
            Command::Publish { ticket, topic, payload, qos, retain } => {
                let publish = packets::publish(topic, payload, qos, retain);
                self.publish(ticket, publish, out, events);
            }
            Command::SetWill(will) => return self.set_will(will, out, events),
            Command::Subscribe { ticket, filter, qos } => {
                let filter = packets::subscribe_filter(filter, qos);
                self.request(ticket, false, out, events, |packet_id| {
                    let mut subscribe = Subscribe::new_many([filter]);
                    subscribe.pkid = packet_id;
                    Packet::Subscribe(subscribe)
                });
            }
            Command::Unsubscribe { ticket, filter } => {
                self.request(ticket, true, out, events, |packet_id| {
                    let mut unsubscribe = Unsubscribe::new(filter);
                    unsubscribe.pkid = packet_id;
                    Packet::Unsubscribe(unsubscribe)
                });
            }
        }
        Outcome::GoOn
    }

    /// The connection is gone.
    pub(super) fn lost(&mut self, events: &mut Vec<Event>) {
        self.state = State::Disconnected;
        for request in self.requests.drain(..) {
            events.push(Event::Subscribed { ticket: request.ticket, granted: None });
        }
        self.incoming.lost();
        if self.options.clean_session {
            self.forget(events);
        }
    }

    /// Half of the keep-alive time has passed: asks the broker whether it is there.
    ///
    /// # Errors
    /// It has not answered the question before.
    pub(super) fn ping(&mut self, out: &mut BytesMut) -> Result<(), Failure> {
        // What is not read cannot be seen to be an answer.
        if self.pinged && !self.incoming.is_full() {
            return Err(Failure::Lost(LostReason::TimedOut));
        }
        self.pinged = true;
        let written = PingReq.write(out);
        debug_assert!(written.is_ok(), "two bytes can be written");
        Ok(())
    }

    fn handle(
        &mut self,
        packet: Packet,
        out: &mut BytesMut,
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        self.pinged = false;
        match (self.state, packet) {
            (State::Connecting, Packet::ConnAck(connack)) => {
                return self.handle_connack(connack, out, events);
            }
            (State::Connected, packet) => self.handle_connected(packet, out, events)?,
            (_, other) => return Err(broken(&format!("CONNACK expected, not {other:?}"))),
        }
        Ok(())
    }

    fn handle_connack(
        &mut self,
        connack: ConnAck,
        out: &mut BytesMut,
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        match packets::declined(connack.code) {
            Some(Declined::Away(reason)) => return Err(Failure::Lost(reason)),
            Some(Declined::Refused(reason)) => return Err(Failure::Refused(reason)),
            None => {}
        }
        self.state = State::Connected;
        let session_present = connack.session_present && !self.options.clean_session;
        if session_present {
            self.send_again(out);
        } else {
            self.forget(events);
        }
        events.push(Event::Connected { session_present });
        Ok(())
    }

    fn handle_connected(
        &mut self,
        packet: Packet,
        out: &mut BytesMut,
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        match packet {
            Packet::PingResp => {}
            Packet::PubAck(PubAck { pkid }) | Packet::PubComp(PubComp { pkid }) => {
                if let Some(place) = self.outgoing_place(pkid) {
                    let outgoing = self.outgoing.remove(place);
                    events.push(Event::Published(outgoing.ticket));
                }
            }
            Packet::PubRec(PubRec { pkid }) => {
                if let Some(place) = self.outgoing_place(pkid) {
                    self.outgoing[place].released = true;
                }
                write(Packet::PubRel(PubRel { pkid }), out);
            }
            Packet::PubRel(PubRel { pkid }) => {
                self.incoming.released(pkid);
                write(Packet::PubComp(PubComp { pkid }), out);
            }
            Packet::Publish(publish) => match self.incoming.take(publish) {
                Taken::Acknowledge(packet_id, qos) => acknowledge(packet_id, qos, out),
                Taken::Dropped => self.dropped += 1,
                Taken::Kept => self.give(events),
            },
            Packet::SubAck(suback) => {
                if let Some(request) = self.take_request(suback.pkid) {
                    let granted = packets::granted(suback.return_codes.first());
                    events.push(Event::Subscribed { ticket: request.ticket, granted });
                }
            }
            Packet::UnsubAck(unsuback) => {
                if let Some(request) = self.take_request(unsuback.pkid) {
                    debug_assert!(request.unsubscribes, "packet identifiers do not overlap");
                    events.push(Event::Unsubscribed(request.ticket));
                }
            }
            other => return Err(broken(&format!("unexpected {other:?}"))),
        }
        Ok(())
    }

    /// Gives the owner what it takes.
    fn give(&mut self, events: &mut Vec<Event>) {
        while let Some(delivery) = self.incoming.next() {
            events.push(Event::Delivered(delivery));
        }
    }

    fn publish(
        &mut self,
        ticket: Option<Ticket>,
        mut publish: Publish,
        out: &mut BytesMut,
        events: &mut Vec<Event>,
    ) {
        match ticket {
            Some(ticket) if self.is_connected() => {
                publish.pkid = self.packet_id();
                let outgoing = Outgoing { ticket, publish: publish.clone(), released: false };
                self.outgoing.push(outgoing);
                write(Packet::Publish(publish), out);
            }
            Some(ticket) => events.push(Event::PublishFailed(ticket)),
            None if self.is_connected() => write(Packet::Publish(publish), out),
            None => self.dropped += 1,
        }
    }

    fn set_will(
        &mut self,
        will: Option<Will>,
        out: &mut BytesMut,
        events: &mut Vec<Event>,
    ) -> Outcome {
        if self.options.will == will {
            return Outcome::GoOn;
        }
        self.options.will = will;
        if self.state == State::Disconnected {
            return Outcome::GoOn;
        }
        // The will is in CONNECT; without DISCONNECT the old one would be published.
        write(Packet::Disconnect, out);
        self.lost(events);
        Outcome::Reconnect
    }

    fn request(
        &mut self,
        ticket: Ticket,
        unsubscribes: bool,
        out: &mut BytesMut,
        events: &mut Vec<Event>,
        packet: impl FnOnce(u16) -> Packet,
    ) {
        if !self.is_connected() {
            return events.push(Event::Subscribed { ticket, granted: None });
        }
        let packet_id = self.packet_id();
        self.requests.push(Request { packet_id, ticket, unsubscribes });
        write(packet(packet_id), out);
    }

    /// What the broker has not acknowledged, in the order it was sent in (3.1.1, 4.6).
    fn send_again(&mut self, out: &mut BytesMut) {
        for outgoing in &mut self.outgoing {
            if outgoing.released {
                write(Packet::PubRel(PubRel { pkid: outgoing.publish.pkid }), out);
            } else {
                outgoing.publish.dup = true;
                write(Packet::Publish(outgoing.publish.clone()), out);
            }
        }
    }

    /// The broker does not know the session, or will not.
    fn forget(&mut self, events: &mut Vec<Event>) {
        self.incoming.forget();
        for outgoing in self.outgoing.drain(..) {
            events.push(Event::PublishFailed(outgoing.ticket));
        }
    }

    fn outgoing_place(&self, packet_id: u16) -> Option<usize> {
        self.outgoing.iter().position(|outgoing| outgoing.publish.pkid == packet_id)
    }

    fn take_request(&mut self, packet_id: u16) -> Option<Request> {
        let place = self.requests.iter().position(|request| request.packet_id == packet_id)?;
        Some(self.requests.swap_remove(place))
    }

    /// The next one that is not in use. The limits of a session leave most of them free.
    fn packet_id(&mut self) -> u16 {
        loop {
            self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
            let id = self.last_packet_id;
            let requested = self.requests.iter().any(|request| request.packet_id == id);
            if !requested && self.outgoing_place(id).is_none() {
                return id;
            }
        }
    }
}

fn acknowledge(packet_id: u16, qos: QoS, out: &mut BytesMut) {
    match qos {
        QoS::AtMostOnce => {}
        QoS::AtLeastOnce => write(Packet::PubAck(PubAck { pkid: packet_id }), out),
        QoS::ExactlyOnce => write(Packet::PubRec(PubRec { pkid: packet_id }), out),
    }
}

fn write(packet: Packet, out: &mut BytesMut) {
    let written = match packet {
        Packet::Disconnect => Disconnect.write(out),
        packet => packet.write(out, PACKET_BYTES_MAX),
    };
    debug_assert!(written.is_ok(), "what came in a datagram fits a packet");
}

fn broken(text: &str) -> Failure {
    Failure::Lost(LostReason::Unreachable(format!("not understood: {text}").into()))
}

/// The longest packet that is read. What no link can carry is dropped later, by the gateway, which
/// also says so.
const PACKET_BYTES_MAX: usize = 16 << 20;

#[cfg(test)]
mod tests;
