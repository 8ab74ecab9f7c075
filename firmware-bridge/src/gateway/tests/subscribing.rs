//! SUBSCRIBE and UNSUBSCRIBE: behaviours 16, 17 and 19.

use weir_node::mqtt_sn_1_2::{
    MessageId, Packet, Publish, QoS, Register, ReturnCode, Suback, Subscribe, SubscribeTopic,
    TopicId, TopicRef, Unsubscribe,
};

use super::super::Counter;
use super::world::{World, connect, normal, puback, publish, qos_1, regack, suback, subscribe};

const AT_LEAST_ONCE: QoS = QoS::AtLeastOnce;

fn gateway_register(topic_id: u16, message_id: u16, topic: &str) -> Packet<'_> {
    let (topic_id, message_id) = (TopicId(topic_id), MessageId(message_id));
    Packet::Register(Register { topic_id, message_id, topic })
}

fn refused(message_id: u16, return_code: ReturnCode) -> Packet<'static> {
    let (topic_id, message_id) = (TopicId(0), MessageId(message_id));
    Packet::Suback(Suback { qos: QoS::AtMostOnce, topic_id, message_id, return_code })
}

#[test]
fn subscription_brings_the_id_that_its_messages_carry() {
    let mut world = World::new();
    world.broker.retained.insert("t".into(), "kept".into());
    let node = world.connected("n");
    world.send(&node, subscribe(7, "t", AT_LEAST_ONCE));
    // The broker sends what is retained before its answer; the node sees the answer first.
    let retained = Packet::Publish(Publish {
        delivery: qos_1(1),
        retain: true,
        topic: normal(1),
        payload: b"kept",
    });
    world.expect(&node, &[suback(1, 7, AT_LEAST_ONCE), retained]);
    world.send(&node, puback(1, 1, ReturnCode::Accepted));
    world.broker.publish_text("t", "new", AT_LEAST_ONCE);
    world.run();
    world.expect(&node, &[publish(qos_1(2), normal(1), "new")]);
}

/// 19.
#[test]
fn wildcards_have_no_id_and_each_topic_is_registered_before_its_first_message() {
    let mut world = World::new();
    let node = world.connected("n");
    world.send(&node, subscribe(7, "a/#", AT_LEAST_ONCE));
    world.expect(&node, &[suback(0, 7, AT_LEAST_ONCE)]);
    for text in ["1", "2"] {
        world.broker.publish_text("a/x", text, AT_LEAST_ONCE);
    }
    world.broker.publish_text("a/y", "3", QoS::AtMostOnce);
    world.run();
    world.expect(&node, &[gateway_register(1, 1, "a/x")]);
    world.send(&node, regack(1, 1, ReturnCode::Accepted));
    world.expect(&node, &[publish(qos_1(2), normal(1), "1")]);
    world.send(&node, puback(1, 2, ReturnCode::Accepted));
    world.expect(&node, &[publish(qos_1(3), normal(1), "2")]);
    world.send(&node, puback(1, 3, ReturnCode::Accepted));
    world.expect(&node, &[gateway_register(2, 4, "a/y")]);
    world.send(&node, regack(2, 4, ReturnCode::Accepted));
    let delivery = weir_node::mqtt_sn_1_2::Delivery::AtMostOnce;
    world.expect(&node, &[publish(delivery, normal(2), "3")]);
    assert_eq!(world.broker.held("n"), 0);
}

/// 16.
#[test]
fn predefined_id_is_subscribed_to_and_delivered() {
    let mut world = World::with(|options| options.predefined.insert(None, TopicId(5), "p/5"));
    let node = world.connected("n");
    for (id, expected) in
        [(5, suback(5, 1, AT_LEAST_ONCE)), (6, refused(1, ReturnCode::InvalidTopicId))]
    {
        let topic = SubscribeTopic::Predefined(TopicId(id));
        let (qos, message_id) = (AT_LEAST_ONCE, MessageId(1));
        world.send(&node, Packet::Subscribe(Subscribe { dup: false, qos, message_id, topic }));
        world.expect(&node, &[expected]);
    }
    world.broker.publish_text("p/5", "x", AT_LEAST_ONCE);
    world.run();
    world.expect(&node, &[publish(qos_1(1), TopicRef::Predefined(TopicId(5)), "x")]);
}

/// 17.
#[test]
fn short_name_is_subscribed_to_and_delivered() {
    let mut world = World::new();
    let node = world.connected("n");
    let (qos, message_id) = (AT_LEAST_ONCE, MessageId(1));
    let topic = SubscribeTopic::Short(*b"ab");
    world.send(&node, Packet::Subscribe(Subscribe { dup: false, qos, message_id, topic }));
    world.expect(&node, &[suback(0, 1, AT_LEAST_ONCE)]);
    world.broker.publish_text("ab", "x", AT_LEAST_ONCE);
    world.run();
    world.expect(&node, &[publish(qos_1(1), TopicRef::Short(*b"ab"), "x")]);
    world.send(&node, puback(0x6162, 1, ReturnCode::Accepted));
    assert_eq!(world.broker.held("n"), 0);
}

#[test]
fn unsubscribing_ends_it_also_for_later_connections() {
    let mut world = World::new();
    let node = world.connected_with("n", false);
    world.send(&node, subscribe(1, "t", AT_LEAST_ONCE));
    let (message_id, topic) = (MessageId(2), SubscribeTopic::Name("t"));
    for _ in 0..2 {
        world.send(&node, Packet::Unsubscribe(Unsubscribe { message_id, topic }));
    }
    let unsuback = Packet::Unsuback(MessageId(2));
    world.expect(&node, &[suback(1, 1, AT_LEAST_ONCE), unsuback, unsuback]);
    world.broker.go_away();
    world.run();
    world.broker.come_back(false);
    world.run();
    world.broker.publish_text("t", "x", AT_LEAST_ONCE);
    world.run();
    world.expect(&node, &[]);
}

#[test]
fn repeated_subscribe_is_answered_once_for_each_answer_of_the_broker() {
    let mut world = World::new();
    let node = world.connected("n");
    world.broker.silent = true;
    world.send(&node, subscribe(1, "t", AT_LEAST_ONCE));
    world.send(&node, subscribe(1, "t", AT_LEAST_ONCE));
    world.expect(&node, &[]);
    world.broker.speak();
    world.run();
    world.expect(&node, &[suback(1, 1, AT_LEAST_ONCE)]);
    assert_eq!(world.count(Counter::Duplicates), 1);
}

#[test]
fn subscription_that_the_broker_refuses_is_refused() {
    let mut world = World::new();
    let node = world.connected("n");
    world.broker.refused_filters.push("secret".into());
    world.send(&node, subscribe(1, "secret", AT_LEAST_ONCE));
    world.send(&node, subscribe(2, "a#", AT_LEAST_ONCE));
    world.send(&node, subscribe(3, "$age/a", AT_LEAST_ONCE));
    let code = ReturnCode::NotSupported;
    world.expect(&node, &[refused(1, code), refused(2, code), refused(3, code)]);
}

#[test]
fn subscriptions_have_a_limit_and_need_a_broker() {
    let mut world = World::with(|options| options.subscriptions_max = 1);
    let node = world.connected("n");
    world.send(&node, subscribe(1, "a", AT_LEAST_ONCE));
    world.send(&node, subscribe(2, "b", AT_LEAST_ONCE));
    world.send(&node, subscribe(3, "a", AT_LEAST_ONCE));
    let congested = refused(2, ReturnCode::Congestion);
    let (first, second) = (suback(1, 1, AT_LEAST_ONCE), suback(1, 3, AT_LEAST_ONCE));
    world.expect(&node, &[first, congested, second]);
    world.broker.go_away();
    world.run();
    world.send(&node, subscribe(4, "a", AT_LEAST_ONCE));
    world.expect(&node, &[refused(4, ReturnCode::Congestion)]);
}

#[test]
fn session_of_a_gateway_before_is_served_without_being_known() {
    let mut world = World::new();
    let node = world.connected_with("n", false);
    world.send(&node, subscribe(1, "t", AT_LEAST_ONCE));
    // The state file is lost, the broker has the session.
    world.file.clear();
    world.restart();
    world.broker.publish_text("t", "x", AT_LEAST_ONCE);
    world.send(&node, connect("n", false));
    let accepted = Packet::Connack(ReturnCode::Accepted);
    world.expect(&node, &[accepted, gateway_register(1, 1, "t")]);
    world.send(&node, regack(1, 1, ReturnCode::Accepted));
    world.expect(&node, &[publish(qos_1(2), normal(1), "x")]);
}
