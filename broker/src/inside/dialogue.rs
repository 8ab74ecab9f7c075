//! What is said on the connection of one session: the client's side of MQTT 5, without IO.
//!
//! Bytes in and out, commands in, events out. Over several connections, one after the other, it
//! keeps what MQTT asks a client to keep: what it has published and is not answered, and what it
//! was given and has not acknowledged. A session that is to be clean is kept by the broker for
//! [`PAUSE_S`] nevertheless, so that it outlives a change of its will; it is ended when it is
//! left.
//!
//! Invariant: each ticket gets its one answer, unless the session ends before.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use bytes::Bytes;
use weir_firmware_bridge::session::{
    Command, Credentials, DELIVERIES_MAX, Delivery, DeliveryId, Event, Full, LostReason,
    PUBLISHES_MAX, QoS as SessionQoS, REQUESTS_MAX, RefusedReason, SessionOptions, Ticket,
};
use weir_mqtt::{
    Acknowledge, Connack, Connect, ConnectProperties, Disconnect, Packet, PacketId, Publish, QoS,
    ReasonCode, Suback, Subscribe, SubscribeFilter, SubscriptionOptions, TopicFilter, Unsubscribe,
    Version, Will, frame_len,
};

/// The state of one session.
#[derive(Debug)]
pub(super) struct Dialogue {
    options: SessionOptions,
    stage: Stage,
    /// Whether the broker has taken the session once.
    has_begun: bool,
    /// It is to be left as soon as it has its new will; whether the will is to be published.
    leaves: Option<bool>,
    /// To be written.
    out: Vec<u8>,
    /// The beginning of a packet.
    partial: Vec<u8>,
    last_packet_id: u16,
    publishes: BTreeMap<u16, Publishing>,
    requests: BTreeMap<u16, Request>,
    held: BTreeMap<u16, Held>,
    last_delivery: u64,
}

/// How far the connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// There is none.
    Away,
    /// It is left, so that the next one has another will.
    ChangingWill,
    /// The session ends with it.
    Closing,
    Open,
    /// CONNECT was sent.
    Opening,
    /// The session has had its last event.
    Over,
    /// The broker has ended it, for this reason.
    Parted(LostReason),
}

/// What becomes of a connection that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another one is wanted at once.
    Again,
    /// The session is over.
    Over,
    /// Another one is wanted after a pause.
    Pause,
}

#[derive(Debug)]
struct Publishing {
    ticket: Ticket,
    /// What to send again; none once the broker has said that it has it.
    message: Option<Message>,
}

#[derive(Debug)]
struct Message {
    topic: Box<str>,
    payload: Bytes,
    qos: QoS,
    retain: bool,
}

#[derive(Clone, Copy, Debug)]
enum Request {
    Subscribe(Ticket),
    Unsubscribe(Ticket),
}

/// A delivery of QoS 1 or 2 that the broker waits for.
#[derive(Debug)]
struct Held {
    id: DeliveryId,
    qos: QoS,
    /// Whether its receiver has it.
    is_acknowledged: bool,
    /// Whether it came on this connection, so that it may be acknowledged there.
    is_here: bool,
}

impl Dialogue {
    pub(super) fn new(options: SessionOptions) -> Self {
        Self {
            options,
            stage: Stage::Away,
            has_begun: false,
            leaves: None,
            out: Vec::new(),
            partial: Vec::new(),
            last_packet_id: 0,
            publishes: BTreeMap::new(),
            requests: BTreeMap::new(),
            held: BTreeMap::new(),
            last_delivery: 0,
        }
    }

    /// The user that connects.
    pub(super) fn user(&self) -> Option<&str> {
        self.options.credentials.as_ref().map(|Credentials { user, .. }| &**user)
    }

    /// A connection is there.
    pub(super) fn open(&mut self) {
        self.out.clear();
        self.partial.clear();
        self.stage = Stage::Opening;
        let Self { options, has_begun, .. } = self;
        let is_clean = options.clean_session;
        let will = options.will.as_ref().map(|will| Will {
            topic: &will.topic,
            payload: &will.payload,
            qos: qos(will.qos),
            retain: will.retain,
            properties: Default::default(),
        });
        let connect = Connect {
            clean_start: is_clean && !*has_begun,
            will,
            username: options.credentials.as_ref().map(|credentials| &*credentials.user),
            properties: ConnectProperties {
                session_expiry_interval_s: Some(if is_clean { PAUSE_S } else { NEVER }),
                receive_maximum: NonZeroU16::new(DELIVERIES_MAX as u16),
                ..ConnectProperties::default()
            },
            ..Connect::new(Version::V5, &options.client_id)
        };
        put(&mut self.out, Packet::Connect(connect));
    }

    /// Something to do.
    ///
    /// # Errors
    /// There is no room.
    pub(super) fn command(
        &mut self,
        command: Command,
        events: &mut Vec<Event>,
    ) -> Result<(), Full> {
        match command {
            Command::Acknowledge(id) => self.acknowledge(id),
            Command::Disconnect { publish_will } => self.disconnect(publish_will, events),
            Command::Publish { ticket, topic, payload, qos: level, retain } => {
                let message = Message { topic, payload, qos: qos(level), retain };
                return self.publish(ticket, message);
            }
            Command::SetWill(will) => {
                self.options.will = will;
                if self.stage == Stage::Open {
                    self.stage = Stage::ChangingWill;
                    let reason = ReasonCode::Success;
                    put(&mut self.out, Packet::Disconnect(Disconnect::with_reason(reason)));
                }
            }
            Command::Subscribe { ticket, filter, qos: level } => {
                return self.request(Request::Subscribe(ticket), &filter, qos(level));
            }
            Command::Unsubscribe { ticket, filter } => {
                return self.request(Request::Unsubscribe(ticket), &filter, QoS::AtMostOnce);
            }
        }
        Ok(())
    }

    /// Bytes have come. What follows a packet that is not understood is not looked at.
    pub(super) fn receive(&mut self, bytes: &[u8], events: &mut Vec<Event>) {
        let mut partial = std::mem::take(&mut self.partial);
        let mut rest = match partial.is_empty() {
            true => bytes,
            false => {
                partial.extend_from_slice(bytes);
                &partial
            }
        };
        while let Ok(Some(length)) = frame_len(rest)
            && let Some((frame, behind)) = rest.split_at_checked(length)
        {
            if let Ok(packet) = Packet::decode(frame, Version::V5) {
                self.handle(packet, events);
            }
            rest = behind;
        }
        self.partial = rest.to_vec();
    }

    /// The connection has ended, or could not be opened for this reason.
    pub(super) fn closed(&mut self, reason: LostReason, events: &mut Vec<Event>) -> Next {
        let stage = std::mem::replace(&mut self.stage, Stage::Away);
        for request in std::mem::take(&mut self.requests).into_values() {
            events.push(match request {
                Request::Subscribe(ticket) => Event::Subscribed { ticket, granted: None },
                Request::Unsubscribe(ticket) => Event::Unsubscribed(ticket),
            });
        }
        // What was not given again on the connection before is not known there any more.
        self.held.retain(|_, held| held.is_here);
        self.held.values_mut().for_each(|held| held.is_here = false);
        match stage {
            Stage::ChangingWill => return Next::Again,
            Stage::Over => return Next::Over,
            Stage::Closing => {
                events.push(Event::Closed);
                return Next::Over;
            }
            Stage::Parted(reason) => events.push(Event::Lost(reason)),
            Stage::Away | Stage::Open | Stage::Opening => events.push(Event::Lost(reason)),
        }
        Next::Pause
    }

    /// What is to be written. What was not written when the connection ends is dropped.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Whether it has had its last event.
    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    fn handle(&mut self, packet: Packet<'_>, events: &mut Vec<Event>) {
        match packet {
            Packet::Connack(connack) => self.handle_connack(&connack, events),
            Packet::Publish(publish) => self.handle_publish(&publish, events),
            Packet::Puback(ack) => self.handle_published(&ack, events),
            Packet::Pubcomp(ack) => self.handle_published(&ack, events),
            Packet::Pubrec(ack) => self.handle_pubrec(&ack, events),
            Packet::Pubrel(ack) => {
                self.held.remove(&ack.packet_id.get());
                put(&mut self.out, Packet::Pubcomp(Acknowledge::success(ack.packet_id)));
            }
            Packet::Suback(suback) => self.handle_suback(&suback, events),
            Packet::Unsuback(unsuback) => {
                let request = self.requests.remove(&unsuback.packet_id.get());
                if let Some(Request::Unsubscribe(ticket)) = request {
                    events.push(Event::Unsubscribed(ticket));
                }
            }
            Packet::Disconnect(disconnect) if self.stage == Stage::Open => {
                self.stage = Stage::Parted(match disconnect.reason {
                    ReasonCode::SessionTakenOver => LostReason::TakenOver,
                    _ => LostReason::Closed,
                });
            }
            // Nothing else comes to a client that asks for nothing else.
            _ => {}
        }
    }

    fn handle_connack(&mut self, connack: &Connack<'_>, events: &mut Vec<Event>) {
        if self.stage != Stage::Opening {
            return;
        }
        if connack.reason != ReasonCode::Success {
            self.handle_refusal(connack.reason, events);
            return;
        }
        self.stage = Stage::Open;
        self.has_begun = true;
        let session_present = connack.session_present;
        if session_present {
            self.send_again();
        } else {
            let publishes = std::mem::take(&mut self.publishes).into_values();
            events.extend(publishes.map(|one| Event::PublishFailed(one.ticket)));
            self.held.clear();
        }
        events.push(Event::Connected { session_present });
        if let Some(publish_will) = self.leaves.take() {
            self.disconnect(publish_will, events);
        }
    }

    fn handle_refusal(&mut self, reason: ReasonCode, events: &mut Vec<Event>) {
        let refused = match reason {
            ReasonCode::BadUserNameOrPassword => RefusedReason::Credentials,
            ReasonCode::Banned | ReasonCode::NotAuthorized => RefusedReason::NotAuthorized,
            ReasonCode::ClientIdentifierNotValid => RefusedReason::ClientId,
            _ => {
                let text = format!("the broker does not take the session now: {reason:?}");
                self.stage = Stage::Parted(LostReason::Unreachable(text.into()));
                return;
            }
        };
        self.stage = Stage::Over;
        events.push(Event::Refused(refused));
    }

    /// What the broker may not have heard on the connection before.
    fn send_again(&mut self) {
        for (number, publishing) in &self.publishes {
            let id = PacketId::new(*number).expect("only packet identifiers are kept");
            let packet = match &publishing.message {
                Some(message) => Packet::Publish(message.packet(Some(id), true)),
                None => Packet::Pubrel(Acknowledge::success(id)),
            };
            put(&mut self.out, packet);
        }
    }

    fn handle_publish(&mut self, publish: &Publish<'_>, events: &mut Vec<Event>) {
        let Some(packet_id) = publish.packet_id else {
            let id = self.next_delivery();
            events.push(Event::Delivered(delivery(publish, id)));
            return;
        };
        if publish.dup
            && let Some(held) = self.held.get_mut(&packet_id.get())
        {
            held.is_here = true;
            if held.is_acknowledged {
                self.confirm(packet_id.get());
            }
            return;
        }
        let (id, qos) = (self.next_delivery(), publish.qos);
        let held = Held { id, qos, is_acknowledged: false, is_here: true };
        self.held.insert(packet_id.get(), held);
        events.push(Event::Delivered(delivery(publish, id)));
    }

    /// With this answer it is over. A PUBCOMP for an identifier that the broker does not know says
    /// that it has let go of the message before.
    fn handle_published(&mut self, answer: &Acknowledge<'_>, events: &mut Vec<Event>) {
        let Some(publishing) = self.publishes.remove(&answer.packet_id.get()) else { return };
        let ticket = publishing.ticket;
        let is_taken = answer.reason < ReasonCode::UnspecifiedError
            || answer.reason == ReasonCode::PacketIdentifierNotFound;
        events.push(match is_taken {
            true => Event::Published(ticket),
            false => Event::PublishRefused { ticket, reason: answer.reason as u8 },
        });
    }

    fn handle_pubrec(&mut self, pubrec: &Acknowledge<'_>, events: &mut Vec<Event>) {
        if pubrec.reason >= ReasonCode::UnspecifiedError {
            self.handle_published(pubrec, events);
            return;
        }
        if let Some(publishing) = self.publishes.get_mut(&pubrec.packet_id.get()) {
            publishing.message = None;
        }
        put(&mut self.out, Packet::Pubrel(Acknowledge::success(pubrec.packet_id)));
    }

    fn handle_suback(&mut self, suback: &Suback<'_>, events: &mut Vec<Event>) {
        let request = self.requests.remove(&suback.packet_id.get());
        let Some(Request::Subscribe(ticket)) = request else { return };
        let granted = match suback.reasons.iter().next() {
            Some(ReasonCode::Success) => Some(SessionQoS::AtMostOnce),
            Some(ReasonCode::GrantedQoS1) => Some(SessionQoS::AtLeastOnce),
            Some(ReasonCode::GrantedQoS2) => Some(SessionQoS::ExactlyOnce),
            _ => None,
        };
        events.push(Event::Subscribed { ticket, granted });
    }

    fn publish(&mut self, ticket: Option<Ticket>, message: Message) -> Result<(), Full> {
        if self.stage != Stage::Open || self.out.len() > OUT_BYTES_MAX {
            return Err(Full);
        }
        let Some(ticket) = ticket.filter(|_| message.qos > QoS::AtMostOnce) else {
            put(&mut self.out, Packet::Publish(message.packet(None, false)));
            return Ok(());
        };
        if self.publishes.len() >= PUBLISHES_MAX {
            return Err(Full);
        }
        let id = self.next_packet_id();
        put(&mut self.out, Packet::Publish(message.packet(Some(id), false)));
        self.publishes.insert(id.get(), Publishing { ticket, message: Some(message) });
        Ok(())
    }

    fn request(&mut self, request: Request, filter: &str, qos: QoS) -> Result<(), Full> {
        if self.stage != Stage::Open || self.requests.len() >= REQUESTS_MAX {
            return Err(Full);
        }
        let Ok(filter) = TopicFilter::parse(filter) else { return Err(Full) };
        let packet_id = self.next_packet_id();
        match request {
            Request::Subscribe(_) => {
                let filters = [SubscribeFilter { filter, options: SubscriptionOptions::new(qos) }];
                let (properties, filters) = (Default::default(), filters.as_slice().into());
                let subscribe = Subscribe { packet_id, properties, filters };
                put(&mut self.out, Packet::Subscribe(subscribe));
            }
            Request::Unsubscribe(_) => {
                let (user_properties, filters) = (Default::default(), [filter]);
                let filters = filters.as_slice().into();
                let unsubscribe = Unsubscribe { packet_id, user_properties, filters };
                put(&mut self.out, Packet::Unsubscribe(unsubscribe));
            }
        }
        self.requests.insert(packet_id.get(), request);
        Ok(())
    }

    fn acknowledge(&mut self, id: DeliveryId) {
        let found = self.held.iter_mut().find(|(_, held)| held.id == id && !held.is_acknowledged);
        let Some((packet_id, held)) = found else { return };
        held.is_acknowledged = true;
        if held.is_here && self.stage == Stage::Open {
            let packet_id = *packet_id;
            self.confirm(packet_id);
        }
    }

    /// Tells the broker that a delivery is acknowledged.
    fn confirm(&mut self, number: u16) {
        let id = PacketId::new(number).expect("only packet identifiers are kept");
        let Some(held) = self.held.get(&number) else { return };
        if held.qos == QoS::ExactlyOnce {
            // It stays until the broker lets go of it, so that it is known when it comes again.
            put(&mut self.out, Packet::Pubrec(Acknowledge::success(id)));
        } else {
            self.held.remove(&number);
            put(&mut self.out, Packet::Puback(Acknowledge::success(id)));
        }
    }

    fn disconnect(&mut self, publish_will: bool, events: &mut Vec<Event>) {
        match self.stage {
            Stage::Away => {
                self.stage = Stage::Over;
                events.push(Event::Closed);
                return;
            }
            Stage::ChangingWill => {
                self.leaves = Some(publish_will);
                return;
            }
            Stage::Closing | Stage::Over => return,
            Stage::Open | Stage::Opening | Stage::Parted(_) => {}
        }
        let reason = match publish_will {
            true => ReasonCode::DisconnectWithWill,
            false => ReasonCode::Success,
        };
        let session_expiry_interval_s = self.options.clean_session.then_some(0);
        let disconnect =
            Disconnect { session_expiry_interval_s, ..Disconnect::with_reason(reason) };
        put(&mut self.out, Packet::Disconnect(disconnect));
        self.stage = Stage::Closing;
    }

    fn next_delivery(&mut self) -> DeliveryId {
        self.last_delivery += 1;
        DeliveryId(self.last_delivery)
    }

    /// One that is not in use; there are far fewer in use than there are.
    fn next_packet_id(&mut self) -> PacketId {
        loop {
            self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
            let number = self.last_packet_id;
            let is_used =
                self.publishes.contains_key(&number) || self.requests.contains_key(&number);
            if !is_used && let Some(id) = PacketId::new(number) {
                return id;
            }
        }
    }
}

impl Message {
    fn packet(&self, packet_id: Option<PacketId>, dup: bool) -> Publish<'_> {
        let Self { topic, payload, qos, retain } = self;
        Publish { dup, qos: *qos, retain: *retain, packet_id, ..Publish::new(topic, payload) }
    }
}

fn delivery(publish: &Publish<'_>, id: DeliveryId) -> Delivery {
    let qos = match publish.qos {
        QoS::AtMostOnce => SessionQoS::AtMostOnce,
        QoS::AtLeastOnce => SessionQoS::AtLeastOnce,
        QoS::ExactlyOnce => SessionQoS::ExactlyOnce,
    };
    Delivery {
        id,
        topic: publish.topic.into(),
        payload: Bytes::copy_from_slice(publish.payload),
        qos,
        retain: publish.retain,
        dup: publish.dup,
    }
}

fn qos(level: SessionQoS) -> QoS {
    match level {
        SessionQoS::AtMostOnce => QoS::AtMostOnce,
        SessionQoS::AtLeastOnce => QoS::AtLeastOnce,
        SessionQoS::ExactlyOnce => QoS::ExactlyOnce,
    }
}

/// What cannot be written is longer than any packet may be, and is not sent.
fn put(out: &mut Vec<u8>, packet: Packet<'_>) {
    if let Err(error) = packet.encode(Version::V5, out) {
        tracing::error!(%error, "a packet of the bridge cannot be written");
    }
}

/// The longest session expiry: the session never ends by itself.
const NEVER: u32 = u32::MAX;
/// How long a clean session may be without a connection, in seconds.
const PAUSE_S: u32 = 60;
/// What waits to be written before a message is refused.
const OUT_BYTES_MAX: usize = 64 * 1024;
