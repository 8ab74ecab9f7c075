//! Keep alive, and the timers of connections in general.

use crate::support::*;

/// Each connection left its timers behind until they were due: for one that came and went with a
/// long keep alive, a long session expiry and a will delay, they piled up for days.
#[test]
fn a_client_that_comes_and_goes_leaves_no_timer_behind() {
    let world = World::new();
    let options = || v5("a").expiry(86_400).keep_alive(60_000).will("w", "x").will_delay(3600);
    for _ in 0..5 {
        world.connect(options()).hang_up();
        world.open().hang_up();
        world.advance_ms(10);
    }
    let last = world.connect(options().keep_alive(0));
    assert_eq!(world.poll_timeout(), None);
    last.disconnect();
    assert!(world.poll_timeout().is_some());
    assert!(!world.connect(v5("a")).session_present);
    assert_eq!(world.poll_timeout(), None);
}
