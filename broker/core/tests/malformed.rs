//! What breaks the rules is answered with the right reason, and the connection closed.

use crate::support::*;

/// A client could send the subscription identifiers that only a server sends. [MQTT-3.3.4-6]
#[test]
fn a_subscription_identifier_from_a_client_is_a_protocol_error() {
    let world = World::new();
    let client = world.connect(v5("a"));
    client.publish_with(QOS0, "t", "x", |publish| {
        publish.properties.subscription_identifiers = (&[7_u32][..]).into();
    });
    client.expect_disconnected(ReasonCode::ProtocolError);
}
