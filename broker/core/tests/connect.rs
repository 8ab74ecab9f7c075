//! CONNECT and CONNACK.

use crate::support::*;

/// [MQTT-3.1.4-5] [MQTT-3.2.0-1]
#[test]
fn an_accepted_connect_is_answered_with_success() {
    let world = World::new();
    for options in [v31("a"), v311("b"), v5("c")] {
        let client = world.connect(options);
        assert!(!client.session_present);
        client.expect_nothing();
    }
}
