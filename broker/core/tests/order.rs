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
