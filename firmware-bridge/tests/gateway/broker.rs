//! Nodes over UDP and an MQTT client at the broker.

use std::time::{Duration, Instant};

use rumqttc::QoS as WireQoS;
use weir_firmware_bridge::gateway::Counter;
use weir_node::mqtt_sn_1_2::{Connect, Packet, QoS, ReturnCode, WillTopic};

use crate::LIMIT;
use crate::node::Node;
use crate::running::{Mosquitto, Running};
use crate::watcher::Watcher;

/// Behaviour 12.
#[test]
fn messages_reach_the_broker_and_come_back_with_their_quality() {
    let Some(mosquitto) = Mosquitto::start("qualities") else { return };
    let gateway = Running::start(mosquitto.port, |_| {});
    let watcher = Watcher::subscribe(mosquitto.port, "up/#");
    let mut node = Node::connected(gateway.address, "n", true);
    let up = node.register("up/x");
    for (qos, wire) in [
        (QoS::AtMostOnce, WireQoS::AtMostOnce),
        (QoS::AtLeastOnce, WireQoS::AtLeastOnce),
        (QoS::ExactlyOnce, WireQoS::ExactlyOnce),
    ] {
        assert_eq!(node.publish(qos, up, b"21.5"), ReturnCode::Accepted);
        let message = watcher.next();
        assert_eq!(
            (&*message.topic, &message.payload[..], message.qos),
            ("up/x", &b"21.5"[..], wire)
        );
    }
    let down = node.subscribe("down/y", QoS::ExactlyOnce);
    assert_eq!(node.subscribe("down/#", QoS::ExactlyOnce), 0);
    for qos in [WireQoS::AtMostOnce, WireQoS::AtLeastOnce, WireQoS::ExactlyOnce] {
        watcher.publish("down/y", "on", qos);
    }
    watcher.publish("down/z", "off", WireQoS::AtLeastOnce);
    // Overlapping subscriptions may bring a message more than once, by the standard.
    node.take_messages(4);
    let (told, _) = node.topics[0];
    assert_eq!(node.topics, [(told, "down/z".to_owned())]);
    assert!(node.messages.contains(&(told, "off".to_owned())));
    assert!(node.messages.iter().filter(|m| **m == (down, "on".to_owned())).count() >= 3);
}

/// The Paho gateway delivered 31 % of such a burst.
#[test]
fn burst_of_5000_messages_of_qos_0_loses_none() {
    let Some(mosquitto) = Mosquitto::start("burst") else { return };
    let gateway = Running::start(mosquitto.port, |_| {});
    let watcher = Watcher::subscribe(mosquitto.port, "up/#");
    let mut node = Node::connected(gateway.address, "n", true);
    let up = node.register("up/x");
    for number in 0..5_000 {
        node.publish(QoS::AtMostOnce, up, number.to_string().as_bytes());
    }
    for number in 0..5_000 {
        assert_eq!(watcher.next_text().1, number.to_string());
    }
    assert_eq!(gateway.stop().counters().of(Counter::QoS0Lost), 0);
}

/// Behaviour 14 over a network and with a real broker.
#[test]
fn alternating_qos_1_and_2_goes_on() {
    let Some(mosquitto) = Mosquitto::start("alternating") else { return };
    let gateway = Running::start(mosquitto.port, |_| {});
    let watcher = Watcher::subscribe(mosquitto.port, "up/#");
    let mut node = Node::connected(gateway.address, "n", true);
    let up = node.register("up/x");
    let started = Instant::now();
    for number in 0..ALTERNATING {
        let qos = if number % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        assert_eq!(node.publish(qos, up, number.to_string().as_bytes()), ReturnCode::Accepted);
        assert_eq!(watcher.next_text().1, number.to_string());
    }
    eprintln!("{ALTERNATING} messages in {:?}", started.elapsed());
}

/// Behaviours 22 and 4, with real time.
#[test]
fn will_of_a_silent_node_is_published() {
    let Some(mosquitto) = Mosquitto::start("will") else { return };
    let gateway = Running::start(mosquitto.port, |_| {});
    let watcher = Watcher::subscribe(mosquitto.port, "#");
    let mut node = Node::new(gateway.address);
    watcher.wait_for("edge/gw/bridge/state", "online");
    connect_with_will(&mut node, "w/n");
    let answered = Packet::WillMsgResp(ReturnCode::Accepted);
    node.ask(Packet::WillMsgUpd(b"gone"), |packet| (*packet == answered).then_some(()));
    watcher.wait_for("w/n", "gone");
    watcher.wait_for("edge/gw/n/availability", "offline");
}

/// Connections were once closed with messages unread, which resets them: a broker that hears of the
/// reset before it has read DISCONNECT takes the node for lost.
#[test]
fn node_that_leaves_while_messages_come_leaves_no_will() {
    let Some(mosquitto) = Mosquitto::start("leaving") else { return };
    let gateway = Running::start(mosquitto.port, |_| {});
    let watcher = Watcher::subscribe(mosquitto.port, "w/#");
    let mut node = Node::connected(gateway.address, "first", true);
    for _ in 0..20 {
        connect_with_will(&mut node, "w/n");
        node.subscribe("flood", QoS::AtMostOnce);
        for _ in 0..200 {
            watcher.publish("flood", "x", WireQoS::AtMostOnce);
        }
        // Each costs a reconnect, too.
        for message in [b"1", b"2"] {
            let answered = Packet::WillMsgResp(ReturnCode::Accepted);
            node.ask(Packet::WillMsgUpd(message), |p| (*p == answered).then_some(()));
        }
        node.ask(Packet::Disconnect(None), |packet| {
            (*packet == Packet::Disconnect(None)).then_some(())
        });
        node.messages.clear();
    }
    node.connect("last", true, 60);
    let ready = node.register("w/ready");
    node.publish(QoS::AtLeastOnce, ready, b"x");
    let first = watcher.next();
    assert_eq!(first.topic, "w/ready", "a will was published: {first:?}");
}

/// Behaviour 31, and what comes after it.
#[test]
fn broker_that_is_away_is_congestion_and_all_goes_on_when_it_is_back() {
    let Some(mut mosquitto) = Mosquitto::start("away") else { return };
    let gateway = Running::start(mosquitto.port, |_| {});
    let mut node = Node::connected(gateway.address, "n", false);
    let up = node.register("up/x");
    let down = node.subscribe("down/x", QoS::ExactlyOnce);
    mosquitto.stop();
    let end = Instant::now() + LIMIT;
    while node.publish(QoS::AtLeastOnce, up, b"x") != ReturnCode::Congestion {
        assert!(Instant::now() < end, "it is away");
    }
    mosquitto.start_again();
    let watcher = Watcher::subscribe(mosquitto.port, "#");
    watcher.publish("down/x", "queued", WireQoS::ExactlyOnce);
    while node.publish(QoS::ExactlyOnce, up, b"again") != ReturnCode::Accepted {
        assert!(Instant::now() < end, "it is back");
        std::thread::sleep(Duration::from_millis(50));
    }
    watcher.wait_for("up/x", "again");
    node.take_messages(1);
    assert_eq!(node.messages, [(down, "queued".to_owned())]);
    let gateway = gateway.stop();
    assert!(gateway.counters().of(Counter::BrokerLost) >= 2);
    watcher.wait_for("edge/gw/bridge/state", "offline");
}

/// Behaviour 36.
#[test]
fn stopping_takes_less_than_two_seconds_and_says_offline() {
    let Some(mosquitto) = Mosquitto::start("stopping") else { return };
    let gateway = Running::start(mosquitto.port, |_| {});
    let watcher = Watcher::subscribe(mosquitto.port, "edge/#");
    let nodes: Vec<_> = (0..20)
        .map(|number| Node::connected(gateway.address, &format!("n{number}"), true))
        .collect();
    watcher.wait_for("edge/gw/n19/availability", "online");
    let started = Instant::now();
    gateway.stop();
    assert!(started.elapsed() < Duration::from_secs(2));
    let last = watcher.rest();
    let offline = |topic: &str| {
        last.iter().any(|message| message.topic == topic && message.payload == "offline")
    };
    assert!(offline("edge/gw/bridge/state"));
    for number in 0..nodes.len() {
        assert!(offline(&format!("edge/gw/n{number}/availability")), "n{number}");
    }
}

/// With a keep-alive time of a second, after which it is lost.
fn connect_with_will(node: &mut Node, topic: &str) {
    let connect =
        Packet::Connect(Connect { clean_session: true, will: true, duration_s: 1, client_id: "n" });
    let topic = WillTopic { qos: QoS::AtLeastOnce, retain: false, topic };
    let steps = [
        (connect, Packet::WillTopicReq),
        (Packet::WillTopic(Some(topic)), Packet::WillMsgReq),
        (Packet::WillMsg(b"dead"), Packet::Connack(ReturnCode::Accepted)),
    ];
    for (packet, answer) in steps {
        node.ask(packet, |packet| (*packet == answer).then_some(()));
    }
}

/// More than there are message identifiers.
const ALTERNATING: u32 = 100_000;
