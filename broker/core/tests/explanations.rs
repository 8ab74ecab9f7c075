//! Reason Strings: what was refused is explained, within what the client wants and takes.

use crate::support::*;

/// The kind, reason and Reason String of the next packet.
fn reason(client: &Client) -> (PacketKind, ReasonCode, Option<String>) {
    client.look(|packet| {
        let (reason, text) = match packet {
            Packet::Puback(a) | Packet::Pubrec(a) | Packet::Pubrel(a) | Packet::Pubcomp(a) => {
                (a.reason, a.reason_string)
            }
            Packet::Connack(connack) => (connack.reason, connack.properties.reason_string),
            Packet::Disconnect(disconnect) => (disconnect.reason, disconnect.reason_string),
            Packet::Suback(suback) => {
                (suback.reasons.iter().last().unwrap_or_default(), suback.reason_string)
            }
            Packet::Unsuback(unsuback) => {
                (unsuback.reasons.iter().last().unwrap_or_default(), unsuback.reason_string)
            }
            other => panic!("{other:?}"),
        };
        (packet.kind(), reason, text.map(str::to_owned))
    })
}

/// Makes the broker refuse something with each kind of acknowledgement.
fn refusals(client: &Client) -> Vec<(PacketKind, ReasonCode, Option<String>)> {
    client.publish(QOS1, "$SYS/x", "x");
    client.publish(QOS2, "$SYS/x", "x");
    client.pubrec(500);
    client.pubrel(500);
    client.send_subscribe("a/b/c/d/e", QOS0, None, |_| {});
    (0..5).map(|_| reason(client)).collect()
}

const KINDS: [(PacketKind, ReasonCode); 5] = [
    (PacketKind::Puback, ReasonCode::NotAuthorized),
    (PacketKind::Pubrec, ReasonCode::NotAuthorized),
    (PacketKind::Pubrel, ReasonCode::PacketIdentifierNotFound),
    (PacketKind::Pubcomp, ReasonCode::PacketIdentifierNotFound),
    (PacketKind::Suback, ReasonCode::TopicFilterInvalid),
];

fn world() -> World {
    World::with_limits(Limits { topic_levels_max: 4, ..Limits::default() })
}

#[test]
fn what_is_refused_is_explained() {
    let world = world();
    for options in [v5("a"), v5("b").problem_information(true)] {
        let client = world.connect(options);
        for ((kind, code, text), expected) in refusals(&client).into_iter().zip(KINDS) {
            assert_eq!((kind, code), expected);
            assert!(text.is_some_and(|text| !text.is_empty()), "{kind}");
        }
        client.send_unsubscribe("never");
        assert_eq!(reason(&client).2, None, "that is no error");
        client.subscribe("t", QOS1);
        client.send_bytes(&[0xf0, 0]);
        let (kind, code, text) = reason(&client);
        assert_eq!((kind, code), (PacketKind::Disconnect, ReasonCode::ProtocolError));
        assert!(text.is_some());
        client.expect_closed();
    }
}

/// [MQTT-3.1.2-29]: with Request Problem Information 0 only CONNACK and DISCONNECT explain
/// themselves; PUBLISH keeps its user properties.
#[test]
fn a_client_that_wants_no_explanations_gets_none() {
    let world = world();
    let client = world.connect(v5("a").problem_information(false));
    for ((kind, code, text), expected) in refusals(&client).into_iter().zip(KINDS) {
        assert_eq!((kind, code, text), (expected.0, expected.1, None));
    }
    client.subscribe("t", QOS0);
    let pairs = [("a", "1"), ("b", "2")];
    client.publish_with(QOS0, "t", "x", |publish| {
        publish.properties.user_properties = pairs[..].into();
    });
    client.look(|packet| {
        let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
        assert!(publish.properties.user_properties.iter().eq(pairs));
    });
    client.send_bytes(&[0xf0, 0]);
    let (kind, _, text) = reason(&client);
    assert_eq!(kind, PacketKind::Disconnect);
    assert!(text.is_some());
}

/// [MQTT-3.1.2-24] [MQTT-3.2.2-19] [MQTT-3.4.2-2] [MQTT-3.5.2-2] [MQTT-3.6.2-2] [MQTT-3.7.2-2]
/// [MQTT-3.9.2-1] [MQTT-3.14.2-3]
#[test]
fn an_explanation_that_is_too_long_for_the_client_is_left_out() {
    let world = world();
    let client = world.connect(v5("a").packet_max(30));
    for ((kind, code, text), expected) in refusals(&client).into_iter().zip(KINDS) {
        assert_eq!((kind, code, text), (expected.0, expected.1, None));
    }
    client.send_bytes(&[0xf0, 0]);
    assert_eq!(reason(&client), (PacketKind::Disconnect, ReasonCode::ProtocolError, None));
    let refused = |max: u32| {
        let options = v5("b").packet_max(max).will("$SYS/x", "x");
        reason(&world.dial(&options))
    };
    assert_eq!(refused(30), (PacketKind::Connack, ReasonCode::NotAuthorized, None));
    assert!(refused(300).2.is_some());
}

/// 3.x has no place for them.
#[test]
fn older_clients_get_the_packets_they_know() {
    let world = world();
    let client = world.connect(v311("a"));
    client.publish(QOS1, "$SYS/x", "x");
    client.send_subscribe("a/b/c/d/e", QOS0, None, |_| {});
    client.send_bytes(&[0xf0, 0]);
    assert_eq!(client.next_frame().as_deref(), Some(&b"\x40\x02\x00\x01"[..]));
    assert_eq!(client.next_frame().as_deref(), Some(&b"\x90\x03\x00\x02\x80"[..]));
    client.expect_closed();
}
