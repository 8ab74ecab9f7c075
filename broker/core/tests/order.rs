//! The order in which messages arrive.

use crate::support::*;

/// After a reconnect, messages that were to be sent again waited for room in the buffer. When a
/// part of it was written, a new message went out before them. [MQTT-4.6.0-5]
#[test]
fn a_new_message_does_not_overtake_one_that_is_sent_again() {
    let limits = Limits { send_buffer_bytes_max: 100, ..Limits::default() };
    let world = World::with_limits(limits);
    let publisher = world.connect(v311("publisher"));
    let first = world.connect(v311("subscriber").kept());
    first.subscribe("t", QOS1);
    for n in 0..4 {
        publisher.publish_acknowledged("t", &format!("{n}{}", "x".repeat(90)));
    }
    first.hang_up();
    let again = world.open();
    again.stall();
    again.send_bytes(&v311("subscriber").kept().encode());
    again.read(60);
    publisher.publish_acknowledged("t", "4");
    again.go_on_reading();
    assert!(again.expect_connack());
    let arrived: Vec<String> = again.payloads().iter().map(|p| p[..1].to_owned()).collect();
    assert_eq!(arrived, ["0", "1", "2", "3", "4"]);
}

/// [MQTT-4.6.0-5] [MQTT-4.6.0-6], over the gate, the window, the queue and a reconnect.
#[test]
fn each_topic_keeps_its_order_at_each_qos() {
    for qos in [QOS1, QOS2] {
        let world = World::new();
        let publisher = world.connect(v311("publisher"));
        let options = || v5("subscriber").kept().receive_max(3);
        let mut subscriber = world.connect(options());
        subscriber.subscribe("t", qos);
        let mut arrived = Vec::new();
        for n in 0..60 {
            publisher.publish_acknowledged_at(qos, "t", &format!("{n:02}"));
            if n % 7 == 0 {
                arrived.extend(subscriber.payloads());
            }
            if n % 20 == 19 {
                subscriber = world.connect(options());
            }
        }
        arrived.extend(subscriber.payloads());
        let expected: Vec<String> = (0..60).map(|n| format!("{n:02}")).collect();
        assert_eq!(arrived, expected, "{qos:?}");
    }
}

/// [MQTT-4.6.0-2]: what changes nothing is not acknowledged before what waits.
#[test]
fn acknowledgements_come_in_the_order_of_the_messages() {
    let world = World::new();
    let keeper = world.connect(v311("keeper").kept());
    keeper.subscribe("durable", QOS2);
    let publisher = world.connect(v5("publisher"));
    world.hold_commits();
    let topics = ["durable", "nobody", "durable", "$SYS/no", "nobody"];
    let ids: Vec<u16> = topics.iter().map(|topic| publisher.publish(QOS1, topic, "x")).collect();
    publisher.expect_nothing();
    world.commit();
    for id in ids {
        publisher.expect_reason(PacketKind::Puback, id);
    }
}
