//! The end of the gateway and what comes after it: behaviours 27, 36 and 47.

use weir_node::mqtt_sn_1_2::{Packet, QoS, ReturnCode};

use super::super::Counter;
use super::world::{
    World, connect, connect_with_will, normal, puback, publish, qos_1, regack, register, suback,
    subscribe, will_topic,
};

const ACCEPTED: ReturnCode = ReturnCode::Accepted;

/// 27.
#[test]
fn kept_sessions_ids_and_messages_survive_a_kill() {
    let mut world = World::new();
    let node = world.connected_with("n", false);
    let clean = world.connected("clean");
    world.send(&node, register(1, "a"));
    world.send(&node, subscribe(2, "t", QoS::AtLeastOnce));
    world.expect(&node, &[regack(1, 1, ACCEPTED), suback(2, 2, QoS::AtLeastOnce)]);
    world.send(&node, Packet::Disconnect(Some(600)));
    world.received(&node);
    for number in 0..1_000 {
        world.broker.publish_text("t", &number.to_string(), QoS::AtLeastOnce);
        world.run();
    }
    world.restart();
    // Nothing was said to the node, which goes on as before.
    world.send(&node, publish(qos_1(3), normal(1), "x"));
    world.expect(&node, &[puback(1, 3, ACCEPTED)]);
    assert_eq!(world.broker.texts("a"), ["x"]);
    assert_eq!(world.availability("n"), "sleeping");
    assert_eq!(world.broker.held("n"), 1_000);
    world.send(&node, Packet::Pingreq(Some("n")));
    // Whether it still knows the id is not known any more.
    let Ok(Packet::Register(told)) = Packet::decode(&world.received(&node)[0]).map(|packet| {
        let Packet::Register(register) = packet else { panic!("{packet:?}") };
        Packet::Register(weir_node::mqtt_sn_1_2::Register { topic: "t", ..register })
    }) else {
        panic!("it is told the id")
    };
    assert_eq!(told.topic_id.0, 2);
    world.send(&node, regack(2, told.message_id.0, ACCEPTED));
    let mut given = 0;
    loop {
        let received = world.received(&node);
        match received.first().map(|bytes| Packet::decode(bytes).unwrap()) {
            Some(Packet::Publish(publish)) => {
                assert_eq!(publish.payload, given.to_string().as_bytes());
                given += 1;
                let weir_node::mqtt_sn_1_2::Delivery::AtLeastOnce { message_id, .. } =
                    publish.delivery
                else {
                    panic!()
                };
                world.send(&node, puback(2, message_id.0, ACCEPTED));
            }
            Some(Packet::Pingresp) => break,
            None => world.advance(10),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(given, 1_000);
    // A clean session did not survive, and its node is told.
    world.send(&clean, Packet::Pingreq(None));
    world.expect(&clean, &[Packet::Disconnect(None)]);
}

/// 27 and 47.
#[test]
fn will_and_keep_alive_hold_after_a_kill() {
    let mut world = World::new();
    let node = world.node(1);
    world.send(&node, connect_with_will("n", false));
    world.send(&node, Packet::WillTopic(Some(will_topic("w"))));
    world.send(&node, Packet::WillMsg(b"dead"));
    world.restart();
    // The broker has seen a connection break.
    assert_eq!(world.broker.texts("w"), ["dead"]);
    assert_eq!(world.broker.texts("edge/gw/bridge/state"), ["online", "offline", "online"]);
    assert_eq!(world.availability("n"), "online");
    world.advance(44_999);
    assert_eq!(world.broker.texts("w").len(), 1);
    world.advance(1);
    assert_eq!(world.broker.texts("w").len(), 2);
    assert_eq!(world.availability("n"), "offline");
    // It is away for the next gateway too.
    world.restart();
    assert_eq!(world.availability("n"), "offline");
    assert!(!world.broker.is_connected("n"));
}

#[test]
fn session_that_becomes_clean_is_deleted_from_the_file() {
    let mut world = World::new();
    let node = world.connected_with("n", false);
    assert_eq!(world.file.len(), 1);
    world.send(&node, connect("n", true));
    world.expect(&node, &[Packet::Connack(ACCEPTED)]);
    assert!(world.file.is_empty());
}

#[test]
fn sleep_is_written_only_when_it_changes() {
    let mut world = World::new();
    let node = world.connected_with("n", false);
    world.send(&node, Packet::Disconnect(Some(600)));
    world.file.clear();
    for _ in 0..5 {
        world.send(&node, Packet::Pingreq(Some("n")));
        world.send(&node, Packet::Disconnect(Some(600)));
    }
    assert!(world.file.is_empty());
    world.send(&node, Packet::Disconnect(Some(300)));
    assert_eq!(world.file.len(), 1);
}

/// 36.
#[test]
fn shutting_down_announces_everything_offline_and_publishes_no_will() {
    let mut world = World::new();
    let node = world.node(1);
    world.send(&node, connect_with_will("n", true));
    world.send(&node, Packet::WillTopic(Some(will_topic("w"))));
    world.send(&node, Packet::WillMsg(b"dead"));
    let sleeper = world.connected_with("s", false);
    world.send(&sleeper, Packet::Disconnect(Some(600)));
    for number in 0..40 {
        let node = world.node(100 + number);
        world.send(&node, connect(&number.to_string(), true));
    }
    world.sent.clear();
    world.gateway.shut_down(world.now);
    world.gateway.handle(world.now, super::super::Input::Timeout);
    assert!(!world.gateway.is_closed());
    world.run();
    assert!(world.gateway.is_closed());
    assert_eq!(world.broker.texts("edge/gw/bridge/state").last(), Some(&"offline"));
    for device in ["n", "s", "0", "39"] {
        assert_eq!(world.availability(device), "offline");
    }
    assert!(world.broker.texts("w").is_empty());
    assert!(world.broker.connections.is_empty());
    world.expect(&node, &[Packet::Disconnect(None)]);
    world.expect(&sleeper, &[]);
    assert_eq!(world.count(Counter::NodesLost), 0);
    // The sleeper does not notice that there is another gateway.
    world.restart();
    assert_eq!(world.availability("s"), "sleeping");
    world.send(&sleeper, Packet::Pingreq(Some("s")));
    world.expect(&sleeper, &[Packet::Pingresp]);
}

#[test]
fn shutting_down_without_a_broker_ends_too() {
    let mut world = World::new();
    world.connected("n");
    world.broker.go_away();
    world.run();
    world.gateway.shut_down(world.now);
    world.run();
    assert!(world.gateway.is_closed());
}
