//! A client that says exactly what the test tells it to, and knows what it expects.

use std::cell::Cell;

use weir_core::ConnectionId;
use weir_mqtt::{
    Acknowledge, Auth, Packet, PacketId, PacketKind, Publish, PublishProperties, QoS, ReasonCode,
    Subscribe, SubscribeFilter, SubscribeProperties, SubscriptionOptions, TopicFilter, Unsubscribe,
    UserProperties, Version,
};

use super::world::World;

/// One connection of a client.
pub(crate) struct Client {
    pub(crate) world: World,
    pub(crate) connection: ConnectionId,
    pub(crate) version: Version,
    pub(crate) session_present: bool,
    next_id: Cell<u16>,
    /// For whoever drives it: a SUBSCRIBE is under way.
    pub(crate) asked: Cell<bool>,
}

/// A PUBLISH that arrived.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Received {
    pub(crate) topic: String,
    pub(crate) payload: String,
    pub(crate) qos: QoS,
    pub(crate) dup: bool,
    pub(crate) retain: bool,
    pub(crate) id: u16,
    pub(crate) identifiers: Vec<u32>,
    pub(crate) expiry_s: Option<u32>,
    pub(crate) user_properties: Vec<(String, String)>,
}

impl Client {
    pub(crate) fn new(world: World, connection: ConnectionId) -> Self {
        let version = Version::V311;
        Self {
            world,
            connection,
            version,
            session_present: false,
            next_id: Cell::new(0),
            asked: Cell::new(false),
        }
    }

    pub(crate) fn send_bytes(&self, bytes: &[u8]) {
        self.world.net().receive(self.connection, bytes);
    }

    pub(crate) fn encode(&self, packet: &Packet<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes).expect("a valid packet");
        bytes
    }

    pub(crate) fn send(&self, packet: Packet<'_>) {
        let bytes = self.encode(&packet);
        self.send_bytes(&bytes);
    }

    pub(crate) fn next_id(&self) -> u16 {
        self.next_id.set(self.next_id.get() + 1);
        self.next_id.get()
    }

    /// Sends a PUBLISH under an identifier of its own and answers that.
    pub(crate) fn publish(&self, qos: QoS, topic: &str, payload: &str) -> u16 {
        let id = if qos == QoS::AtMostOnce { 0 } else { self.next_id() };
        self.publish_with(qos, topic, payload, |publish| publish.packet_id = PacketId::new(id));
        id
    }

    /// Sends a PUBLISH that was changed first.
    pub(crate) fn publish_with<'a>(
        &self,
        qos: QoS,
        topic: &'a str,
        payload: &'a str,
        change: impl FnOnce(&mut Publish<'a>),
    ) {
        let mut publish = Publish { qos, ..Publish::new(topic, payload.as_bytes()) };
        change(&mut publish);
        self.send(Packet::Publish(publish));
    }

    pub(crate) fn publish_retained(&self, qos: QoS, topic: &str, payload: &str) {
        let id = if qos == QoS::AtMostOnce { 0 } else { self.next_id() };
        self.publish_with(qos, topic, payload, |publish| {
            publish.retain = true;
            publish.packet_id = PacketId::new(id);
        });
    }

    /// Sends a QoS 1 PUBLISH; PUBACK must follow at once.
    pub(crate) fn publish_acknowledged(&self, topic: &str, payload: &str) {
        let id = self.publish(QoS::AtLeastOnce, topic, payload);
        self.expect(PacketKind::Puback, id);
    }

    /// Sends a PUBLISH and ends its exchange.
    pub(crate) fn publish_acknowledged_at(&self, qos: QoS, topic: &str, payload: &str) {
        match qos {
            QoS::AtMostOnce => {
                self.publish(qos, topic, payload);
            }
            QoS::AtLeastOnce => self.publish_acknowledged(topic, payload),
            QoS::ExactlyOnce => self.publish_exactly_once(topic, payload),
        }
    }

    /// Does a whole QoS 2 exchange.
    pub(crate) fn publish_exactly_once(&self, topic: &str, payload: &str) {
        let id = self.publish(QoS::ExactlyOnce, topic, payload);
        self.expect(PacketKind::Pubrec, id);
        self.pubrel(id);
        self.expect(PacketKind::Pubcomp, id);
    }

    pub(crate) fn puback(&self, id: u16) {
        self.send(Packet::Puback(acknowledge(id)));
    }

    pub(crate) fn pubrec(&self, id: u16) {
        self.send(Packet::Pubrec(acknowledge(id)));
    }

    /// Refuses a delivery.
    pub(crate) fn refuse(&self, qos: QoS, id: u16) {
        let acknowledge = Acknowledge::with_reason(
            PacketId::new(id).expect("not zero"),
            ReasonCode::ImplementationSpecificError,
        );
        self.send(match qos {
            QoS::ExactlyOnce => Packet::Pubrec(acknowledge),
            _ => Packet::Puback(acknowledge),
        });
    }

    pub(crate) fn pubrel(&self, id: u16) {
        self.send(Packet::Pubrel(acknowledge(id)));
    }

    pub(crate) fn pubcomp(&self, id: u16) {
        self.send(Packet::Pubcomp(acknowledge(id)));
    }

    pub(crate) fn ping(&self) {
        self.send(Packet::Pingreq);
    }

    /// Subscribes and expects the QoS to be granted.
    pub(crate) fn subscribe(&self, filter: &str, qos: QoS) {
        self.subscribe_with(filter, qos, |_| {});
    }

    /// Subscribes with changed options and expects the QoS to be granted.
    pub(crate) fn subscribe_with(
        &self,
        filter: &str,
        qos: QoS,
        change: impl FnOnce(&mut SubscriptionOptions),
    ) {
        self.send_subscribe(filter, qos, None, change);
        assert_eq!(self.expect_suback(), [qos as u8]);
    }

    /// Subscribes with a subscription identifier.
    pub(crate) fn subscribe_identified(&self, filter: &str, qos: QoS, identifier: u32) {
        self.send_subscribe(filter, qos, Some(identifier), |_| {});
        assert_eq!(self.expect_suback(), [qos as u8]);
    }

    pub(crate) fn send_subscribe(
        &self,
        filter: &str,
        qos: QoS,
        identifier: Option<u32>,
        change: impl FnOnce(&mut SubscriptionOptions),
    ) -> u16 {
        let mut options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
        change(&mut options);
        let filter = TopicFilter::parse(filter).expect("a valid filter");
        let id = self.next_id();
        self.send(Packet::Subscribe(Subscribe {
            packet_id: PacketId::new(id).expect("not zero"),
            properties: SubscribeProperties {
                subscription_identifier: identifier,
                user_properties: UserProperties::default(),
            },
            filters: (&[SubscribeFilter { filter, options }][..]).into(),
        }));
        id
    }

    pub(crate) fn unsubscribe(&self, filter: &str) {
        let id = self.send_unsubscribe(filter);
        self.expect(PacketKind::Unsuback, id);
    }

    pub(crate) fn send_unsubscribe(&self, filter: &str) -> u16 {
        let id = self.next_id();
        let filter = TopicFilter::parse(filter).expect("a valid filter");
        self.send(Packet::Unsubscribe(Unsubscribe {
            packet_id: PacketId::new(id).expect("not zero"),
            user_properties: UserProperties::default(),
            filters: (&[filter][..]).into(),
        }));
        id
    }

    /// Sends a step of extended authentication.
    pub(crate) fn auth(&self, reason: ReasonCode, method: &str, data: &[u8]) {
        let authentication_method = Some(method);
        let authentication_data = Some(data);
        let auth = Auth { reason, authentication_method, authentication_data, ..Auth::default() };
        self.send(Packet::Auth(auth));
    }

    /// The next packet must be AUTH with this reason and method; answers its data.
    pub(crate) fn expect_auth(&self, reason: ReasonCode, method: &str) -> Vec<u8> {
        self.look(|packet| match packet {
            Packet::Auth(auth) => {
                assert_eq!((auth.reason, auth.authentication_method), (reason, Some(method)));
                auth.authentication_data.unwrap_or_default().to_vec()
            }
            other => panic!("{other:?} instead of AUTH"),
        })
    }

    /// Says goodbye.
    pub(crate) fn disconnect(&self) {
        self.send_bytes(&[0xe0, 0]);
    }

    /// The connection is gone without a word.
    pub(crate) fn hang_up(&self) {
        self.world.net().hang_up(self.connection);
    }

    pub(crate) fn stall(&self) {
        self.world.net().stall(self.connection);
    }

    pub(crate) fn read(&self, bytes_max: usize) {
        self.world.net().read(self.connection, bytes_max);
    }

    pub(crate) fn go_on_reading(&self) {
        self.world.net().go_on_reading(self.connection);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.world.net().link(self.connection).paused
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.world.net().link(self.connection).closed
    }

    /// The next packet, if one has arrived.
    pub(crate) fn next_frame(&self) -> Option<Vec<u8>> {
        self.world.net().link(self.connection).frames.pop_front()
    }

    /// The next packet, which must be there, given to `look`.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Packet<'_>) -> T) -> T {
        let frame = self.next_frame().expect("a packet should have arrived");
        look(&Packet::decode(&frame, self.version).expect("the core sends valid packets"))
    }

    /// The next packet must be an acknowledgement of this kind for this identifier, and say that
    /// all is well.
    pub(crate) fn expect(&self, kind: PacketKind, id: u16) {
        let reason = self.expect_reason(kind, id);
        assert!(!reason.is_error(), "{kind} says {reason}");
    }

    /// The next packet must be an acknowledgement of this kind for this identifier.
    pub(crate) fn expect_reason(&self, kind: PacketKind, id: u16) -> ReasonCode {
        self.look(|packet| {
            assert_eq!(packet.kind(), kind, "{packet:?}");
            let (found, reason) = match packet {
                Packet::Puback(a) | Packet::Pubrec(a) | Packet::Pubrel(a) | Packet::Pubcomp(a) => {
                    (a.packet_id, a.reason)
                }
                Packet::Unsuback(unsuback) => {
                    (unsuback.packet_id, unsuback.reasons.iter().next().unwrap_or_default())
                }
                Packet::Suback(suback) => {
                    (suback.packet_id, suback.reasons.iter().next().unwrap_or_default())
                }
                other => panic!("{other:?} acknowledges nothing"),
            };
            assert_eq!(found.get(), id, "{packet:?}");
            reason
        })
    }

    /// The next packet must be CONNACK without an error; answers session present.
    pub(crate) fn expect_connack(&self) -> bool {
        self.look(|packet| match packet {
            Packet::Connack(connack) => {
                assert_eq!(connack.reason, ReasonCode::Success);
                connack.session_present
            }
            other => panic!("{other:?} instead of CONNACK"),
        })
    }

    /// CONNECT must be refused with this reason and the connection closed.
    pub(crate) fn expect_refused(&self, reason: ReasonCode) {
        self.look(|packet| match packet {
            Packet::Connack(connack) => {
                assert_eq!(connack.reason, reason);
                assert!(!connack.session_present);
            }
            other => panic!("{other:?} instead of CONNACK"),
        });
        self.expect_closed();
    }

    pub(crate) fn expect_suback(&self) -> Vec<u8> {
        self.look(|packet| match packet {
            Packet::Suback(suback) => suback.reasons.iter().map(u8::from).collect(),
            other => panic!("{other:?} instead of SUBACK"),
        })
    }

    /// The next packet must be a PUBLISH.
    pub(crate) fn receive(&self) -> Received {
        self.look(|packet| match packet {
            Packet::Publish(publish) => Received::new(publish),
            other => panic!("{other:?} instead of PUBLISH"),
        })
    }

    /// Like [`Client::receive`], and acknowledges it by the book.
    pub(crate) fn receive_and_acknowledge(&self) -> Received {
        let received = self.receive();
        match received.qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => self.puback(received.id),
            QoS::ExactlyOnce => {
                self.pubrec(received.id);
                self.expect(PacketKind::Pubrel, received.id);
                self.pubcomp(received.id);
            }
        }
        received
    }

    /// All messages that have arrived and that arrive because of their acknowledgement.
    pub(crate) fn receive_all(&self) -> Vec<Received> {
        let mut all = Vec::new();
        while let Some(frame) = self.next_frame() {
            match Packet::decode(&frame, self.version).expect("the core sends valid packets") {
                Packet::Publish(publish) => {
                    let received = Received::new(&publish);
                    match received.qos {
                        QoS::AtMostOnce => {}
                        QoS::AtLeastOnce => self.puback(received.id),
                        QoS::ExactlyOnce => self.pubrec(received.id),
                    }
                    all.push(received);
                }
                // Messages may arrive before the answer to the subscription.
                Packet::Suback(_) => {}
                Packet::Pubrel(pubrel) => self.pubcomp(pubrel.packet_id.get()),
                other => panic!("{other:?} instead of PUBLISH"),
            }
        }
        all
    }

    /// The payloads of [`Client::receive_all`].
    pub(crate) fn payloads(&self) -> Vec<String> {
        self.receive_all().into_iter().map(|received| received.payload).collect()
    }

    pub(crate) fn has_arrived(&self) -> bool {
        !self.world.net().link(self.connection).frames.is_empty()
    }

    pub(crate) fn expect_nothing(&self) {
        if let Some(frame) = self.next_frame() {
            panic!("nothing should have arrived: {:?}", Packet::decode(&frame, self.version));
        }
        assert!(!self.is_closed(), "the connection should be open");
    }

    /// Nothing more was said, and the connection is closed.
    pub(crate) fn expect_closed(&self) {
        if let Some(frame) = self.next_frame() {
            panic!("nothing should have arrived: {:?}", Packet::decode(&frame, self.version));
        }
        assert!(self.is_closed(), "the connection should be closed");
    }

    /// DISCONNECT with this reason was the last word (3.x: none), and the connection is closed.
    pub(crate) fn expect_disconnected(&self, reason: ReasonCode) {
        if self.version == Version::V5 {
            self.look(|packet| match packet {
                Packet::Disconnect(disconnect) => {
                    assert_eq!(disconnect.reason, reason);
                    assert_eq!(disconnect.session_expiry_interval_s, None);
                }
                other => panic!("{other:?} instead of DISCONNECT"),
            });
        }
        self.expect_closed();
    }
}

impl Received {
    pub(crate) fn new(publish: &Publish<'_>) -> Self {
        let PublishProperties {
            subscription_identifiers,
            message_expiry_interval_s,
            user_properties,
            ..
        } = publish.properties;
        let pairs = user_properties.iter();
        Self {
            topic: publish.topic.to_owned(),
            payload: String::from_utf8_lossy(publish.payload).into_owned(),
            qos: publish.qos,
            dup: publish.dup,
            retain: publish.retain,
            id: publish.packet_id.map_or(0, PacketId::get),
            identifiers: subscription_identifiers.iter().collect(),
            expiry_s: message_expiry_interval_s,
            user_properties: pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
        }
    }
}

fn acknowledge(id: u16) -> Acknowledge<'static> {
    Acknowledge::success(PacketId::new(id).expect("not zero"))
}
