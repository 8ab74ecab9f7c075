//! How nodes find the gateway, forwarders and links: behaviours 29, 30 and 34.

use weir_node::mqtt_sn_1_2::{Advertise, GwInfo, Packet, QoS, ReturnCode};

use super::super::{Address, LinkId, Peer};
use super::world::{World, connect, encoded, normal, puback, publish, qos_1, suback, subscribe};

const CONNACK: Packet<'static> = Packet::Connack(ReturnCode::Accepted);

/// 29.
#[test]
fn gateway_is_advertised_and_found_only_while_there_is_a_broker() {
    let mut world = World::with(|options| {
        options.gw_id = 7;
        options.links[0].advertise_s = Some(60);
        options.links[1].advertise_s = None;
    });
    let advertise = (LinkId(0), encoded(Packet::Advertise(Advertise { gw_id: 7, duration_s: 60 })));
    assert_eq!(world.broadcast, std::slice::from_ref(&advertise));
    world.advance(59_999);
    assert_eq!(world.broadcast.len(), 1);
    world.advance(1);
    assert_eq!(world.broadcast, [advertise.clone(), advertise]);
    let node = world.node(1);
    world.send(&node, Packet::SearchGw(1));
    world.expect(&node, &[Packet::GwInfo(GwInfo { gw_id: 7, gw_address: &[] })]);
    world.broker.go_away();
    world.run();
    world.advance(600_000);
    world.send(&node, Packet::SearchGw(1));
    world.expect(&node, &[]);
    assert_eq!(world.broadcast.len(), 2);
    world.broker.come_back(true);
    world.run();
    assert_eq!(world.broadcast.len(), 3);
}

/// 30.
#[test]
fn nodes_behind_one_forwarder_are_clients_of_their_own() {
    let mut world = World::new();
    let forwarder = world.node(1);
    let behind = |name: &[u8]| Address { node: Some(name.into()), ..forwarder.clone() };
    let (first, second) = (behind(b"\x01"), behind(b"\x02"));
    world.send(&first, connect("first", true));
    world.send(&second, connect("second", true));
    // And the forwarder itself may be a node.
    world.send(&forwarder, connect("third", true));
    let envelope = b"\x04\xfe\x00\x01\x03\x05\x00";
    assert_eq!(world.received(&first), [envelope.to_vec()]);
    assert_eq!(world.received(&second), [b"\x04\xfe\x00\x02\x03\x05\x00".to_vec()]);
    world.expect(&forwarder, &[CONNACK]);
    assert_eq!(world.gateway.gauges().clients, 3);
    world.send(&second, Packet::Disconnect(None));
    assert!(world.broker.is_connected("first") && !world.broker.is_connected("second"));
    // An envelope in an envelope could not be answered.
    let nested = [&b"\x04\xfe\x00\x01"[..], envelope].concat();
    world.send_bytes(&forwarder, &nested);
    world.expect(&forwarder, &[]);
}

/// 34. A serial line that is pulled and put back.
#[test]
fn nodes_of_a_link_that_is_down_are_offline_until_they_are_heard_again() {
    let mut world = World::new();
    let node = Address::direct(LinkId(1), Peer::Line);
    world.send(&node, connect("n", true));
    world.send(&node, subscribe(1, "t", QoS::AtLeastOnce));
    world.expect(&node, &[CONNACK, suback(1, 1, QoS::AtLeastOnce)]);
    let other = world.connected("other");
    world.gateway.handle(world.now, super::super::Input::LinkDown(LinkId(1)));
    world.run();
    assert_eq!(world.availability("n"), "offline");
    assert_eq!(world.availability("other"), "online");
    world.broker.publish_text("t", "1", QoS::AtLeastOnce);
    world.run();
    world.advance(20_000);
    world.expect(&node, &[]);
    world.send(&node, Packet::Pingreq(None));
    world.expect(&node, &[publish(qos_1(1), normal(1), "1"), Packet::Pingresp]);
    assert_eq!(world.availability("n"), "online");
    world.send(&node, puback(1, 1, ReturnCode::Accepted));
    assert_eq!(world.broker.held("n"), 0);
    world.send(&other, Packet::Pingreq(None));
}
