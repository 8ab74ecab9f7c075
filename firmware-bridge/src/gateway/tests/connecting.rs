//! CONNECT, wills, keep-alive, refusals: behaviours 1 to 8, 22, 28 and 32.

use weir_node::mqtt_sn_1_2::{Connect, Packet, PacketKind, QoS, ReturnCode, WillTopic};

use super::super::topic::Filter;
use super::super::{Cidr, Counter, NodeOptions, RefusalReason};
use super::world::{
    World, connect, connect_with_will, encoded, normal, puback, publish, qos_1, regack, register,
    suback, subscribe, will_topic,
};
use crate::session::{Credentials, RefusedReason, Will};

const ACCEPTED: Packet<'static> = Packet::Connack(ReturnCode::Accepted);
const CONGESTED: Packet<'static> = Packet::Connack(ReturnCode::Congestion);
const NOT_SUPPORTED: Packet<'static> = Packet::Connack(ReturnCode::NotSupported);

fn will(topic: &str, payload: &'static str) -> Will {
    let (topic, payload) = (topic.into(), payload.into());
    Will { topic, payload, qos: QoS::AtLeastOnce, retain: true }
}

/// Connects with a will, or without asking for it if `topic` is none.
fn connect_dead(world: &mut World, client_id: &str, clean: bool, topic: Option<&str>) {
    let node = world.node(1);
    let packet = Packet::Connect(Connect {
        clean_session: clean,
        will: topic.is_some(),
        duration_s: 30,
        client_id,
    });
    world.send(&node, packet);
    if let Some(topic) = topic {
        world.expect(&node, &[Packet::WillTopicReq]);
        world.send(&node, Packet::WillTopic(Some(will_topic(topic))));
        world.expect(&node, &[Packet::WillMsgReq]);
        world.send(&node, Packet::WillMsg(b"dead"));
    }
    world.expect(&node, &[ACCEPTED]);
}

/// 1.
#[test]
fn both_forms_of_the_length_are_read_and_a_wrong_one_is_counted() {
    let mut world = World::new();
    let node = world.node(1);
    world.send_bytes(&node, b"\x07\x04\x04\x01\x00\x1en");
    world.expect(&node, &[ACCEPTED]);
    world.send_bytes(&node, b"\x01\x00\x04\x16");
    world.expect(&node, &[Packet::Pingresp]);
    for wrong in [&b"\x03\x16"[..], b"\x01\x16", b"\x01\x00\x05\x16", b"\x02\x16\x00", b""] {
        world.send_bytes(&node, wrong);
        world.expect(&node, &[]);
    }
    assert_eq!(world.count(Counter::Malformed), 5);
}

/// 2.
#[test]
fn reserved_kinds_and_those_of_gateways_are_not_answered() {
    let mut world = World::new();
    let node = world.connected("n");
    for code in 0..=u8::MAX {
        if PacketKind::from_code(code).is_none() {
            world.send_bytes(&node, &[2, code]);
        }
    }
    for packet in [Packet::Pingresp, ACCEPTED, Packet::WillTopicReq, Packet::WillMsgReq] {
        world.send(&node, packet);
        let stranger = world.node(99);
        world.send(&stranger, packet);
        world.expect(&stranger, &[]);
    }
    world.expect(&node, &[]);
    assert_eq!(world.count(Counter::Unexpected), 8);
}

/// 2. Any bytes, from someone with a session and from someone without one.
#[test]
fn no_datagram_makes_it_panic() {
    let mut world = World::new();
    let node = world.connected("n");
    let stranger = world.node(99);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..50_000 {
        let mut bytes = Vec::new();
        for _ in 0..8 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend(state.to_le_bytes());
        }
        let length = usize::from(bytes[0] % 40) + 2;
        bytes.truncate(length);
        bytes[0] = length as u8;
        bytes[1] %= 0x1f;
        world.send_bytes(&node, &bytes);
        world.send_bytes(&stranger, &bytes);
        world.sent.clear();
        if state.is_multiple_of(64) {
            world.advance(state % 100_000);
        }
    }
}

/// 3.
#[test]
fn connect_without_will_is_accepted_at_once() {
    let mut world = World::new();
    let node = world.node(1);
    world.send(&node, connect("n", true));
    world.expect(&node, &[ACCEPTED]);
    assert_eq!(world.broker.options("n").will, None);
    assert_eq!(world.availability("n"), "online");
    let info: serde_json::Value =
        serde_json::from_slice(&world.broker.retained["edge/gw/n/info"]).unwrap();
    assert_eq!(info["link"], "udp0");
    assert_eq!(info["address"], "127.0.0.1:10000");
}

/// 4.
#[test]
fn will_is_asked_for_and_lost_steps_are_retried() {
    let mut world = World::new();
    let node = world.node(1);
    world.send(&node, connect_with_will("n", true));
    world.expect(&node, &[Packet::WillTopicReq]);
    world.advance(10_000);
    world.expect(&node, &[Packet::WillTopicReq]);
    // The node has not seen it, and begins again.
    world.send(&node, connect_with_will("n", true));
    world.expect(&node, &[Packet::WillTopicReq]);
    world.send(&node, Packet::WillTopic(Some(will_topic("w"))));
    world.expect(&node, &[Packet::WillMsgReq]);
    world.advance(10_000);
    world.expect(&node, &[Packet::WillMsgReq]);
    world.send(&node, Packet::WillTopic(Some(will_topic("w"))));
    world.expect(&node, &[Packet::WillMsgReq]);
    assert!(!world.broker.is_connected("n"));
    world.send(&node, Packet::WillMsg(b"dead"));
    world.expect(&node, &[ACCEPTED]);
    assert_eq!(world.broker.options("n").will, Some(will("w", "dead")));
}

#[test]
fn connect_that_never_gets_its_will_is_given_up() {
    let mut world = World::new();
    let node = world.node(1);
    world.send(&node, connect_with_will("n", true));
    world.advance(120_000);
    world.expect(&node, &[Packet::WillTopicReq; 6]);
    assert_eq!(world.gateway.gauges().clients, 0);
}

/// 5.
#[test]
fn empty_will_topic_clears_the_will() {
    let mut world = World::new();
    connect_dead(&mut world, "n", false, Some("w"));
    let node = world.node(1);
    world.send(&node, connect_with_will("n", false));
    world.expect(&node, &[Packet::WillTopicReq]);
    world.send(&node, Packet::WillTopic(None));
    world.expect(&node, &[ACCEPTED]);
    assert_eq!(world.broker.options("n").will, None);
}

/// 6.
#[test]
fn will_updates_are_answered_and_take_effect() {
    let mut world = World::new();
    connect_dead(&mut world, "n", true, Some("w"));
    let node = world.node(1);
    world.send(&node, Packet::WillMsgUpd(b"gone"));
    world.expect(&node, &[Packet::WillMsgResp(ReturnCode::Accepted)]);
    world.send(&node, Packet::WillTopicUpd(Some(will_topic("v"))));
    world.expect(&node, &[Packet::WillTopicResp(ReturnCode::Accepted)]);
    assert_eq!(world.broker.options("n").will, Some(will("v", "gone")));
    world.send(&node, Packet::WillTopicUpd(None));
    world.expect(&node, &[Packet::WillTopicResp(ReturnCode::Accepted)]);
    assert_eq!(world.broker.options("n").will, None);
    world.send(&node, Packet::WillMsgUpd(b"again"));
    world.expect(&node, &[Packet::WillMsgResp(ReturnCode::NotSupported)]);
    world.advance(60_000);
    assert!(world.broker.texts("v").is_empty());
}

#[test]
fn will_that_no_broker_takes_is_refused() {
    let mut world = World::new();
    let node = world.node(1);
    // Nor can the age of a will be known in advance.
    for topic in ["a/#", "$age/a"] {
        world.send(&node, connect_with_will("n", true));
        world.expect(&node, &[Packet::WillTopicReq]);
        let topic = WillTopic { qos: QoS::AtMostOnce, retain: false, topic };
        world.send(&node, Packet::WillTopic(Some(topic)));
        world.expect(&node, &[NOT_SUPPORTED]);
        assert_eq!(world.gateway.gauges().clients, 0);
    }
}

/// 7. The table of 6.3.
#[test]
fn clean_and_kept_sessions_keep_what_the_standard_says() {
    // Clean session and will of the second connect, and what there is after it.
    for (clean, again, subscribed, left) in [
        (true, Some("v"), false, Some("v")),
        (true, None, false, None),
        (false, Some("v"), true, Some("v")),
        (false, None, true, Some("w")),
    ] {
        let mut world = World::new();
        connect_dead(&mut world, "n", false, Some("w"));
        let node = world.node(1);
        world.send(&node, subscribe(1, "t", QoS::AtLeastOnce));
        world.expect(&node, &[suback(1, 1, QoS::AtLeastOnce)]);
        world.send(&node, Packet::Disconnect(None));
        world.expect(&node, &[Packet::Disconnect(None)]);
        connect_dead(&mut world, "n", clean, again);
        let case = format!("clean {clean}, will {again:?}");
        let expected = left.map(|topic| will(topic, "dead"));
        assert_eq!(world.broker.options("n").will, expected, "{case}");
        world.broker.publish_text("t", "x", QoS::AtLeastOnce);
        world.run();
        assert_eq!(!world.received(&node).is_empty(), subscribed, "{case}");
    }
}

/// 7.
#[test]
fn kept_session_that_the_broker_has_lost_is_subscribed_again() {
    let mut world = World::new();
    let node = world.connected_with("n", false);
    world.send(&node, subscribe(1, "t", QoS::AtLeastOnce));
    world.expect(&node, &[suback(1, 1, QoS::AtLeastOnce)]);
    world.broker.go_away();
    world.run();
    world.broker.come_back(false);
    world.run();
    world.broker.publish_text("t", "x", QoS::AtLeastOnce);
    world.run();
    world.expect(&node, &[publish(qos_1(1), normal(1), "x")]);
}

/// 8.
#[test]
fn client_id_may_be_as_long_as_configured() {
    let mut world = World::with(|options| options.client_id_characters_max = 30);
    for (length, expected) in [(1, ACCEPTED), (23, ACCEPTED), (30, ACCEPTED), (31, NOT_SUPPORTED)] {
        let node = world.node(length);
        world.send(&node, connect(&"ä".repeat(length.into()), true));
        world.expect(&node, &[expected]);
    }
    let node = world.node(40);
    world.send(&node, connect("", true));
    world.expect(&node, &[NOT_SUPPORTED]);
    let reasons: Vec<_> = world.refused.iter().map(|refused| refused.reason).collect();
    assert_eq!(reasons, [RefusalReason::ClientIdLength; 2]);
}

/// A node that took over the gateway's own session would end it again and again.
#[test]
fn client_ids_of_others_are_refused() {
    let mut world = World::with(|options| options.reserved_client_ids = vec!["agent".into()]);
    let node = world.node(1);
    for client_id in ["gw-gateway", "agent"] {
        world.send(&node, connect(client_id, true));
        world.expect(&node, &[NOT_SUPPORTED]);
    }
    let reasons: Vec<_> = world.refused.iter().map(|refused| refused.reason).collect();
    assert_eq!(reasons, [RefusalReason::ClientIdReserved; 2]);
    assert!(world.broker.is_connected("gw-gateway"));
}

/// 22.
#[test]
fn silent_node_is_lost_half_as_long_again_below_a_minute() {
    for (duration_s, lost_after_ms) in [(30, 45_000), (59, 88_500), (60, 66_000), (600, 660_000)] {
        let mut world = World::new();
        let node = world.node(1);
        world.send(&node, connect_with_will("n", true));
        world.send(&node, Packet::WillTopic(Some(will_topic("w"))));
        world.send(&node, Packet::WillMsg(b"dead"));
        // The will was set up with a keep-alive of 30 s; the node changes its mind.
        let packet = Packet::Connect(Connect {
            clean_session: false,
            will: true,
            duration_s,
            client_id: "n",
        });
        world.send(&node, packet);
        world.send(&node, Packet::WillTopic(Some(will_topic("w"))));
        world.send(&node, Packet::WillMsg(b"dead"));
        world.advance(lost_after_ms - 1);
        world.send(&node, Packet::Pingreq(None));
        world.advance(lost_after_ms - 1);
        assert!(world.broker.texts("w").is_empty(), "{duration_s}");
        world.advance(1);
        assert_eq!(world.broker.texts("w"), ["dead"], "{duration_s}");
        assert_eq!(world.availability("n"), "offline");
        assert_eq!(world.count(Counter::NodesLost), 1);
        assert!(!world.broker.is_connected("n"));
        // It has no session any more, and is told so.
        world.received(&node);
        world.send(&node, Packet::Pingreq(None));
        world.expect(&node, &[Packet::Disconnect(None)]);
    }
}

#[test]
fn node_that_says_goodbye_leaves_no_will() {
    let mut world = World::new();
    connect_dead(&mut world, "n", true, Some("w"));
    let node = world.node(1);
    world.send(&node, Packet::Disconnect(None));
    world.expect(&node, &[Packet::Disconnect(None)]);
    assert!(world.broker.texts("w").is_empty());
    assert_eq!(world.availability("n"), "offline");
    assert_eq!(world.gateway.gauges().clients, 0);
}

/// 28.
#[test]
fn unknown_sender_is_told_to_connect() {
    let mut world = World::new();
    let stranger = world.node(9);
    for packet in [
        Packet::Pingreq(None),
        Packet::Pingreq(Some("n")),
        register(1, "t"),
        publish(qos_1(1), normal(1), "x"),
        subscribe(1, "t", QoS::AtMostOnce),
        puback(1, 1, ReturnCode::Accepted),
    ] {
        world.send(&stranger, packet);
        world.expect(&stranger, &[Packet::Disconnect(None)]);
    }
    // Two gateways that tell each other so would not stop.
    world.send(&stranger, Packet::Disconnect(None));
    world.expect(&stranger, &[]);
    assert_eq!(world.count(Counter::UnknownSender), 7);
}

#[test]
fn only_connect_takes_a_client_to_another_address() {
    let mut world = World::new();
    let first = world.connected("n");
    let second = world.node(2);
    world.send(&second, Packet::Pingreq(Some("n")));
    world.expect(&second, &[Packet::Disconnect(None)]);
    world.send(&second, connect("n", true));
    world.expect(&second, &[ACCEPTED]);
    world.send(&first, Packet::Pingreq(None));
    world.expect(&first, &[Packet::Disconnect(None)]);
    assert_eq!(world.gateway.gauges().clients, 1);
}

#[test]
fn another_client_at_the_same_address_ends_the_one_before() {
    let mut world = World::new();
    connect_dead(&mut world, "n", true, Some("w"));
    let node = world.node(1);
    world.send(&node, connect("m", true));
    world.expect(&node, &[ACCEPTED]);
    assert_eq!(world.broker.texts("w"), ["dead"]);
    assert!(!world.broker.is_connected("n"));
}

/// 32.
#[test]
fn node_that_is_not_listed_or_elsewhere_is_refused_and_logged() {
    let mut world = World::with(|options| {
        options.unlisted_nodes = false;
        options.links[0].allow_from = vec![Cidr::parse("127.0.0.0/24").unwrap()];
        let allow_from = vec![Cidr::parse("127.0.0.7").unwrap()];
        options.nodes.insert("listed".into(), NodeOptions::default());
        let node = NodeOptions { allow_from, ..NodeOptions::default() };
        options.nodes.insert("tied".into(), node);
    });
    for (place, client_id, expected) in [
        (1, "listed", ACCEPTED),
        (2, "unlisted", NOT_SUPPORTED),
        (3, "tied", NOT_SUPPORTED),
        (7, "tied", ACCEPTED),
    ] {
        let node = world.node(place);
        world.send(&node, connect(client_id, true));
        world.expect(&node, &[expected]);
    }
    let mut outside = world.node(1);
    outside.peer = super::super::Peer::Udp("192.0.2.1:1".parse().unwrap());
    world.send(&outside, connect("listed", true));
    world.expect(&outside, &[NOT_SUPPORTED]);
    world.send(&outside, Packet::SearchGw(0));
    world.expect(&outside, &[]);
    let reasons: Vec<_> = world.refused.iter().map(|refused| refused.reason).collect();
    use RefusalReason::{Address, ClientIdUnlisted};
    assert_eq!(reasons, [ClientIdUnlisted, Address, Address]);
    assert_eq!(world.count(Counter::Refused), 3);
}

/// 32.
#[test]
fn topics_that_a_node_may_not_use_are_refused_and_logged() {
    let filters = |text: &str| Some(vec![Filter::parse(text).unwrap()]);
    let mut world = World::with(|options| {
        let node = NodeOptions {
            publish: filters("own/#"),
            subscribe: filters("own/+"),
            ..NodeOptions::default()
        };
        options.nodes.insert("n".into(), node);
    });
    let node = world.connected("n");
    world.send(&node, register(1, "other"));
    world.expect(&node, &[regack(1, 1, ReturnCode::Accepted)]);
    world.send(&node, publish(qos_1(2), normal(1), "x"));
    world.expect(&node, &[puback(1, 2, ReturnCode::NotSupported)]);
    assert!(world.broker.texts("other").is_empty());
    world.send(&node, subscribe(3, "own/#", QoS::AtMostOnce));
    let refused = world.received(&node);
    let Ok(Packet::Suback(suback)) = Packet::decode(&refused[0]) else { panic!("{refused:?}") };
    assert_eq!(suback.return_code, ReturnCode::NotSupported);
    world.send(&node, connect_with_will("n", true));
    world.send(&node, Packet::WillTopic(Some(will_topic("other"))));
    world.expect(&node, &[Packet::WillTopicReq, NOT_SUPPORTED]);
    let reasons: Vec<_> = world.refused.iter().map(|refused| refused.reason).collect();
    use RefusalReason::{Publish, Subscribe};
    assert_eq!(reasons, [Publish, Subscribe, Publish]);
}

/// 32.
#[test]
fn broker_that_refuses_a_user_is_not_hidden() {
    let credentials = Credentials { user: "u".into(), password: Some("p".into()) };
    let own = credentials.clone();
    let mut world = World::with(move |options| {
        let node = NodeOptions { credentials: Some(own), ..NodeOptions::default() };
        options.nodes.insert("n".into(), node);
    });
    let node = world.connected("n");
    assert_eq!(world.broker.options("n").credentials, Some(credentials));
    world.broker.refuses = Some(RefusedReason::NotAuthorized);
    world.send(&node, connect("n", true));
    world.expect(&node, &[NOT_SUPPORTED]);
    assert_eq!(world.refused.len(), 1);
    assert_eq!(world.availability("n"), "offline");
}

#[test]
fn connect_is_congested_while_the_broker_is_away_or_the_table_is_full() {
    let mut world = World::with(|options| options.clients_max = 1);
    let kept = world.connected_with("kept", false);
    let node = world.node(9);
    world.send(&node, connect("n", true));
    world.expect(&node, &[CONGESTED]);
    // One that is away makes room.
    world.send(&kept, Packet::Disconnect(None));
    world.send(&node, connect("n", true));
    world.expect(&node, &[ACCEPTED]);
    assert!(world.file.is_empty(), "what is forgotten is forgotten on disk");
    world.broker.go_away();
    world.run();
    world.send(&node, connect("n", true));
    world.expect(&node, &[CONGESTED]);
}

#[test]
fn broker_that_does_not_answer_connect_is_given_up() {
    let mut world = World::new();
    let node = world.node(1);
    // A broker that takes the connection and says nothing.
    world.gateway.handle(
        0,
        super::super::Input::Datagram {
            link: node.link,
            peer: node.peer,
            bytes: &encoded(connect("n", true)),
        },
    );
    let mut opened = 0;
    world.gateway.drain_effects(|_| opened += 1);
    assert_eq!(opened, 1);
    world.advance(10_000);
    world.expect(&node, &[CONGESTED]);
}
