//! A client connects while its earlier connection is still open.

use crate::support::*;

/// The CONNACK that waited for the commit was sent together with the DISCONNECT of the takeover:
/// a client was told of a session that a crash would have undone. [MQTT-3.14.0-1]
#[test]
fn a_connection_that_is_taken_over_before_its_connack_hears_nothing() {
    let world = World::new();
    world.hold_commits();
    let first = world.dial(&v5("a").kept());
    let second = world.dial(&v5("a").kept());
    first.expect_closed();
    second.expect_nothing();
    world.release_commits();
    assert!(second.expect_connack());
    second.publish_acknowledged("t", "x");
}
