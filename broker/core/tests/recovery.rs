//! Crashes: what was acknowledged survives, and nothing arrives twice that may not.

use crate::support::*;

/// After a restart a new session got the number of one that had ended. Messages of the log that
/// still waited for others named that number, and after another restart the new client got them.
#[test]
fn a_new_session_does_not_inherit_the_messages_of_one_that_ended() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let away = world.connect(v311("away").kept());
    away.subscribe("secret", QOS1);
    away.hang_up();
    let gone = world.connect(v311("gone").kept());
    gone.subscribe("secret", QOS1);
    gone.hang_up();
    publisher.publish_acknowledged("secret", "not for strangers");
    world.connect(v311("gone").clean()).disconnect();
    world.crash();
    world.connect(v311("stranger").kept());
    world.crash();
    let stranger = world.connect(v311("stranger").kept());
    assert!(stranger.session_present);
    stranger.expect_nothing();
    assert_eq!(world.connect(v311("away").kept()).payloads(), ["not for strangers"]);
}
