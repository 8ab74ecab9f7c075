//! The client's side of a session against packets of a broker, without a network.

use rumqttc::{ConnectReturnCode, SubAck, SubscribeReasonCode, UnsubAck};

use super::*;
use crate::session::{Credentials, DELIVERIES_MAX, Delivery, DeliveryId};

struct World {
    protocol: Protocol,
    events: Vec<Event>,
}

impl World {
    fn new(clean_session: bool) -> Self {
        let options = SessionOptions {
            client_id: "n".into(),
            clean_session,
            keep_alive_s: 60,
            will: None,
            credentials: None,
        };
        Self { protocol: Protocol::new(options), events: Vec::new() }
    }

    fn connected(clean_session: bool) -> Self {
        let mut world = Self::new(clean_session);
        world.connect(false);
        world
    }

    /// Connects and gives what is sent after CONNECT.
    fn connect(&mut self, session_present: bool) -> Vec<Packet> {
        let mut out = BytesMut::new();
        self.protocol.connect(&mut out);
        assert!(matches!(written(out)[..], [Packet::Connect(_)]));
        let packets = self.receive(connack(ConnectReturnCode::Success, session_present)).unwrap();
        assert!(self.events.contains(&Event::Connected { session_present }));
        self.events.clear();
        packets
    }

    fn receive(&mut self, packet: Packet) -> Result<Vec<Packet>, Failure> {
        let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
        packet.write(&mut input, usize::MAX).unwrap();
        self.protocol.read(&mut input, &mut out, &mut self.events)?;
        Ok(written(out))
    }

    fn command(&mut self, command: Command) -> (Outcome, Vec<Packet>) {
        let mut out = BytesMut::new();
        let outcome = self.protocol.command(command, &mut out, &mut self.events);
        (outcome, written(out))
    }

    fn publish(&mut self, ticket: u64, qos: QoS) -> Publish {
        let ticket = Some(Ticket(ticket));
        let (topic, payload) = ("t".into(), "x".into());
        let sent = self.command(Command::Publish { ticket, topic, payload, qos, retain: true }).1;
        let [Packet::Publish(publish)] = &sent[..] else { panic!("{sent:?}") };
        publish.clone()
    }

    fn lose(&mut self) {
        self.protocol.lost(&mut self.events);
    }

    fn delivered(&mut self) -> Vec<Delivery> {
        let delivered = self.events.drain(..).filter_map(|event| match event {
            Event::Delivered(delivery) => Some(delivery),
            _ => None,
        });
        delivered.collect()
    }

    fn acknowledge(&mut self, id: DeliveryId) -> Vec<Packet> {
        self.command(Command::Acknowledge(id)).1
    }
}

fn connack(code: ConnectReturnCode, session_present: bool) -> Packet {
    Packet::ConnAck(ConnAck { session_present, code })
}

fn message(packet_id: u16, qos: rumqttc::QoS, payload: &str) -> Packet {
    let mut publish = Publish::new("t", qos, payload);
    publish.pkid = packet_id;
    Packet::Publish(publish)
}

fn written(mut out: BytesMut) -> Vec<Packet> {
    let mut packets = Vec::new();
    while !out.is_empty() {
        packets.push(Packet::read(&mut out, usize::MAX).unwrap());
    }
    packets
}

#[test]
fn connect_says_what_the_options_say() {
    let mut world = World::new(false);
    let credentials = Credentials { user: "u".into(), password: Some("p".into()) };
    world.protocol.options.credentials = Some(credentials);
    let (topic, payload) = ("w".into(), "gone".into());
    let will = Will { topic, payload, qos: QoS::AtLeastOnce, retain: true };
    world.protocol.options.will = Some(will);
    let mut out = BytesMut::new();
    world.protocol.connect(&mut out);
    let packets = written(out);
    let [Packet::Connect(connect)] = &packets[..] else { panic!("{packets:?}") };
    assert!(!connect.clean_session);
    assert_eq!((&*connect.client_id, connect.keep_alive), ("n", 60));
    let login = connect.login.as_ref().unwrap();
    assert_eq!((&*login.username, &*login.password), ("u", "p"));
    let will = connect.last_will.as_ref().unwrap();
    assert_eq!((&*will.topic, &will.message[..], will.retain), ("w", &b"gone"[..], true));
}

#[test]
fn broker_that_declines_is_told_from_one_that_is_away() {
    use ConnectReturnCode as Code;
    for (code, refused) in [
        (Code::BadClientId, Some(RefusedReason::ClientId)),
        (Code::BadUserNamePassword, Some(RefusedReason::Credentials)),
        (Code::NotAuthorized, Some(RefusedReason::NotAuthorized)),
        (Code::RefusedProtocolVersion, Some(RefusedReason::Protocol)),
        (Code::ServiceUnavailable, None),
    ] {
        let mut world = World::new(true);
        world.protocol.connect(&mut BytesMut::new());
        match world.receive(connack(code, false)) {
            Err(Failure::Refused(reason)) => assert_eq!(Some(reason), refused),
            Err(Failure::Lost(_)) => assert_eq!(refused, None),
            Ok(_) => panic!("{code:?} is not an acceptance"),
        }
        assert!(!world.protocol.is_connected());
    }
}

#[test]
fn publish_is_done_when_the_broker_says_so() {
    let mut world = World::connected(true);
    let first = world.publish(1, QoS::AtLeastOnce);
    let second = world.publish(2, QoS::ExactlyOnce);
    assert!(first.retain && first.pkid != second.pkid);
    world.receive(Packet::PubAck(PubAck { pkid: first.pkid })).unwrap();
    assert_eq!(world.events, [Event::Published(Ticket(1))]);
    let pkid = second.pkid;
    let release = world.receive(Packet::PubRec(PubRec { pkid })).unwrap();
    assert_eq!(release, [Packet::PubRel(PubRel { pkid })]);
    world.receive(Packet::PubComp(PubComp { pkid })).unwrap();
    assert_eq!(world.events[1..], [Event::Published(Ticket(2))]);
}

#[test]
fn kept_session_goes_on_with_its_exchanges() {
    let mut world = World::connected(false);
    let first = world.publish(1, QoS::AtLeastOnce);
    let second = world.publish(2, QoS::ExactlyOnce);
    world.receive(Packet::PubRec(PubRec { pkid: second.pkid })).unwrap();
    world.lose();
    assert_eq!(world.events, []);
    let again = world.connect(true);
    let repeated = Publish { dup: true, ..first };
    let expected = [Packet::Publish(repeated), Packet::PubRel(PubRel { pkid: second.pkid })];
    assert_eq!(again, expected);
}

#[test]
fn exchanges_of_a_session_that_is_gone_have_failed() {
    for clean_session in [true, false] {
        let mut world = World::connected(clean_session);
        world.publish(1, QoS::AtLeastOnce);
        world.lose();
        let failed = vec![Event::PublishFailed(Ticket(1))];
        if clean_session {
            assert_eq!(world.events, failed);
            world.events.clear();
            assert_eq!(world.connect(false), []);
        } else {
            let mut out = BytesMut::new();
            world.protocol.connect(&mut out);
            world.receive(connack(ConnectReturnCode::Success, false)).unwrap();
            assert_eq!(world.events[..1], failed);
        }
    }
}

#[test]
fn packet_identifier_in_use_is_not_given_again() {
    let mut world = World::connected(true);
    let kept = world.publish(0, QoS::ExactlyOnce).pkid;
    for ticket in 1..=70_000 {
        let pkid = world.publish(ticket, QoS::AtLeastOnce).pkid;
        assert!(pkid != kept && pkid != 0);
        world.receive(Packet::PubAck(PubAck { pkid })).unwrap();
    }
}

#[test]
fn delivery_is_acknowledged_to_the_broker_when_its_owner_has_done_so() {
    let mut world = World::connected(true);
    assert_eq!(world.receive(message(7, rumqttc::QoS::AtLeastOnce, "1")).unwrap(), []);
    assert_eq!(world.receive(message(8, rumqttc::QoS::ExactlyOnce, "2")).unwrap(), []);
    let delivered = world.delivered();
    let payloads: Vec<_> = delivered.iter().map(|delivery| &delivery.payload[..]).collect();
    assert_eq!(payloads, [b"1", b"2"]);
    assert_eq!(world.acknowledge(delivered[1].id), [Packet::PubRec(PubRec { pkid: 8 })]);
    assert_eq!(world.acknowledge(delivered[0].id), [Packet::PubAck(PubAck { pkid: 7 })]);
    assert_eq!(world.acknowledge(delivered[0].id), []);
    // Whatever is sent again before it is released was here before.
    let again = world.receive(message(8, rumqttc::QoS::ExactlyOnce, "2")).unwrap();
    assert_eq!(again, [Packet::PubRec(PubRec { pkid: 8 })]);
    let complete = world.receive(Packet::PubRel(PubRel { pkid: 8 })).unwrap();
    assert_eq!(complete, [Packet::PubComp(PubComp { pkid: 8 })]);
    assert_eq!(world.delivered(), []);
    world.receive(message(8, rumqttc::QoS::ExactlyOnce, "3")).unwrap();
    assert_eq!(world.delivered().len(), 1);
}

#[test]
fn delivery_that_its_owner_has_is_not_given_again_after_a_loss() {
    let mut world = World::connected(false);
    for packet_id in 1..=3 {
        let text = packet_id.to_string();
        world.receive(message(packet_id, rumqttc::QoS::ExactlyOnce, &text)).unwrap();
    }
    let delivered = world.delivered();
    world.lose();
    // One is acknowledged while the broker is away, one before it is sent again.
    assert_eq!(world.acknowledge(delivered[0].id), []);
    world.connect(true);
    assert_eq!(world.acknowledge(delivered[1].id), []);
    for packet_id in 1..=2 {
        let text = packet_id.to_string();
        let packet = message(packet_id, rumqttc::QoS::ExactlyOnce, &text);
        let answer = world.receive(packet).unwrap();
        assert_eq!(answer, [Packet::PubRec(PubRec { pkid: packet_id })]);
    }
    let third = world.receive(message(3, rumqttc::QoS::ExactlyOnce, "3")).unwrap();
    assert_eq!((third, world.delivered()), (vec![], vec![]));
    assert_eq!(world.acknowledge(delivered[2].id), [Packet::PubRec(PubRec { pkid: 3 })]);
}

#[test]
fn number_that_the_broker_uses_for_another_message_is_another_message() {
    let mut world = World::connected(false);
    world.receive(message(1, rumqttc::QoS::AtLeastOnce, "old")).unwrap();
    let old = world.delivered();
    world.lose();
    world.connect(true);
    world.receive(message(1, rumqttc::QoS::AtLeastOnce, "new")).unwrap();
    let new = world.delivered();
    assert_eq!(&new[0].payload[..], b"new");
    assert_eq!(world.acknowledge(old[0].id), []);
    assert_eq!(world.acknowledge(new[0].id), [Packet::PubAck(PubAck { pkid: 1 })]);
}

#[test]
fn owner_is_given_no_more_than_it_takes_and_the_rest_waits() {
    let mut world = World::connected(true);
    for packet_id in 1..=300 {
        world.receive(message(packet_id, rumqttc::QoS::AtLeastOnce, "x")).unwrap();
    }
    let mut given = world.delivered();
    assert_eq!(given.len(), DELIVERIES_MAX);
    assert!(world.protocol.is_full(), "the connection is not read any more");
    let mut count = 0;
    while let Some(delivery) = given.pop() {
        count += 1;
        world.acknowledge(delivery.id);
        given.extend(world.delivered());
    }
    // One was left in the input, which this test throws away.
    assert!(count >= 256 + DELIVERIES_MAX && !world.protocol.is_full(), "{count}");
}

#[test]
fn qos_0_beyond_what_waits_is_dropped_and_counted() {
    let mut world = World::connected(true);
    for _ in 0..2_000 {
        world.receive(message(0, rumqttc::QoS::AtMostOnce, "x")).unwrap();
    }
    assert_eq!(world.delivered().len(), DELIVERIES_MAX);
    assert_eq!(world.protocol.dropped, 2_000 - 1_024 - DELIVERIES_MAX as u64);
    assert!(!world.protocol.is_full());
}

#[test]
fn subscriptions_are_answered_also_when_the_broker_is_lost() {
    let mut world = World::connected(true);
    let mut subscribe = |ticket| {
        let (filter, qos) = ("t/#".into(), QoS::AtLeastOnce);
        let sent = world.command(Command::Subscribe { ticket: Ticket(ticket), filter, qos }).1;
        let [Packet::Subscribe(subscribe)] = &sent[..] else { panic!("{sent:?}") };
        subscribe.pkid
    };
    let (granted, refused, _lost) = (subscribe(1), subscribe(2), subscribe(3));
    let code = SubscribeReasonCode::Success(rumqttc::QoS::AtMostOnce);
    world.receive(Packet::SubAck(SubAck::new(granted, vec![code]))).unwrap();
    let code = SubscribeReasonCode::Failure;
    world.receive(Packet::SubAck(SubAck::new(refused, vec![code]))).unwrap();
    let filter = "t/#".into();
    let sent = world.command(Command::Unsubscribe { ticket: Ticket(4), filter }).1;
    let [Packet::Unsubscribe(unsubscribe)] = &sent[..] else { panic!("{sent:?}") };
    world.receive(Packet::UnsubAck(UnsubAck::new(unsubscribe.pkid))).unwrap();
    world.lose();
    let answered = |ticket, granted| Event::Subscribed { ticket: Ticket(ticket), granted };
    let expected = [
        answered(1, Some(QoS::AtMostOnce)),
        answered(2, None),
        Event::Unsubscribed(Ticket(4)),
        answered(3, None),
    ];
    assert_eq!(world.events, expected);
}

#[test]
fn new_will_costs_a_reconnect_without_publishing_the_old_one() {
    let mut world = World::connected(false);
    let (topic, payload) = ("w".into(), "gone".into());
    let will = Some(Will { topic, payload, qos: QoS::AtMostOnce, retain: false });
    let (outcome, sent) = world.command(Command::SetWill(will.clone()));
    assert_eq!((outcome, sent), (Outcome::Reconnect, vec![Packet::Disconnect]));
    world.connect(true);
    let (outcome, sent) = world.command(Command::SetWill(will));
    assert_eq!((outcome, sent), (Outcome::GoOn, vec![]));
}

#[test]
fn end_with_the_will_says_nothing_to_the_broker() {
    for publish_will in [false, true] {
        let mut world = World::connected(true);
        let (outcome, sent) = world.command(Command::Disconnect { publish_will });
        assert_eq!(outcome, Outcome::Close { publish_will });
        assert_eq!(sent.is_empty(), publish_will);
    }
}

#[test]
fn broker_that_does_not_answer_a_ping_is_lost() {
    let mut world = World::connected(true);
    let mut out = BytesMut::new();
    world.protocol.ping(&mut out).unwrap();
    assert_eq!(written(out), [Packet::PingReq]);
    world.receive(Packet::PingResp).unwrap();
    world.protocol.ping(&mut BytesMut::new()).unwrap();
    let silent = world.protocol.ping(&mut BytesMut::new());
    assert!(matches!(silent, Err(Failure::Lost(LostReason::TimedOut))));
}

#[test]
fn what_is_not_mqtt_ends_the_connection() {
    let mut world = World::new(true);
    world.protocol.connect(&mut BytesMut::new());
    let page = format!("HTTP/1.1 400 Bad Request\r\n\r\n{}", " ".repeat(100));
    for garbage in [page.as_bytes(), b"\xd0\x00"] {
        let (mut input, mut out) = (BytesMut::from(garbage), BytesMut::new());
        let read = world.protocol.read(&mut input, &mut out, &mut world.events);
        assert!(matches!(read, Err(Failure::Lost(LostReason::Unreachable(_)))));
    }
}
