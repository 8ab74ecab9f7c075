//! The will: when it is published, when it is not, and what it is then.

use crate::support::*;

/// A client that said goodbye because of an error lost its will, as if it had left in peace.
/// [MQTT-3.1.2-8] [MQTT-3.14.4-3]
#[test]
fn only_the_normal_goodbye_deletes_the_will() {
    let world = World::new();
    let watcher = world.connect(v5("watcher"));
    watcher.subscribe("w", QOS0);
    let leave = |code: u8| {
        let client = world.connect(v5("leaver").will("w", "gone"));
        client.send_bytes(&[0xe0, 1, code]);
        client.expect_closed();
    };
    leave(0x00);
    watcher.expect_nothing();
    for code in [0x04, 0x80, 0x81, 0x83, 0x97, 0x98] {
        leave(code);
        assert_eq!(watcher.payloads(), ["gone"], "{code:#x}");
    }
}

/// A will was published to a topic that its client could not publish to itself.
#[test]
fn a_will_for_a_topic_of_the_broker_is_refused() {
    let world = World::new();
    let v5_refused = world.dial(&v5("a").will("$SYS/broker/version", "mine"));
    v5_refused.expect_refused(ReasonCode::NotAuthorized);
    let v311_refused = world.dial(&v311("a").will("$SYS/broker/version", "mine"));
    v311_refused.expect_refused(ReasonCode::NotAuthorized);
    assert_eq!(world.metrics().sessions, 0);
}
