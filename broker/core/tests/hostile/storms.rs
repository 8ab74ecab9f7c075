//! Connections that come and go all the time.

use super::*;

#[test]
fn a_name_that_is_taken_over_a_thousand_times_leaves_one_session() {
    let world = World::new();
    let mut neighbours = Neighbours::new(&world);
    let options = || v5("same").kept().keep_alive(60).will("w", "gone").will_delay(5);
    let mut last = world.connect(options());
    last.subscribe("t", QOS1);
    let taken = memory_of(|| {
        for _ in 0..1_000 {
            let next = world.connect(options());
            assert!(next.session_present);
            last.expect_disconnected(ReasonCode::SessionTakenOver);
            last = next;
        }
    });
    assert!(taken < 1_000_000, "{taken} bytes");
    let metrics = world.metrics();
    assert_eq!((metrics.sessions, metrics.connections, metrics.subscriptions), (3, 3, 2));
    neighbours.publisher.publish_acknowledged("t", "still there");
    assert_eq!(last.receive_and_acknowledge().payload, "still there");
    neighbours.check();
}

/// Two clients that both believe the name is theirs.
#[test]
fn a_fight_over_a_name_within_one_turn_ends_with_the_last() {
    let world = World::new();
    let mut neighbours = Neighbours::new(&world);
    world.hold_commits();
    let mut clients = Vec::new();
    world.in_one_turn(|| {
        for n in 0..100 {
            let options = if n % 2 == 0 { v5("same").kept() } else { v311("same").kept() };
            clients.push(world.dial(&options));
        }
    });
    world.release_commits();
    let last = clients.pop().unwrap();
    last.expect_connack();
    assert!(clients.iter().all(Client::is_closed));
    last.publish(QOS0, "t", "x");
    last.expect_nothing();
    assert_eq!(world.metrics().clients_connected, 3);
    neighbours.check();
}

#[test]
fn a_thousand_connections_that_are_reset_leave_nothing_behind() {
    let world = World::new();
    let mut neighbours = Neighbours::new(&world);
    let before = world.metrics();
    let options = |n: usize| v5(&format!("client-{n}")).keep_alive(60).will("w", "gone");
    for cut in [0, 5, usize::MAX] {
        let clients: Vec<Client> = (0..1_000).map(|_| world.open()).collect();
        for (n, client) in clients.iter().enumerate() {
            let connect = options(n).encode();
            client.send_bytes(&connect[..cut.min(connect.len())]);
        }
        clients.iter().for_each(Client::hang_up);
        neighbours.check();
    }
    let after = world.metrics();
    assert_eq!((after.sessions, after.connections), (before.sessions, before.connections));
    assert_eq!((after.queued_bytes, after.outbound_bytes), (0, 0));
    assert_eq!(after.clients_connected_max, 1_002);
    // Only the timers of those that are there.
    world.advance_s(3_600);
    neighbours.check();
    assert_eq!(world.poll_timeout(), None);
}

/// A CONNECT that waits for its commit holds no more than itself.
#[test]
fn connections_that_wait_for_a_slow_store_are_not_read() {
    let world = World::new();
    let mut neighbours = Neighbours::new(&world);
    world.hold_commits();
    let clients: Vec<Client> =
        (0..100).map(|n| world.dial(&v5(&format!("eager-{n}")).kept())).collect();
    let flood = packet(0x30, &[text("t"), vec![0; 1_000]].concat());
    let taken = memory_of(|| {
        for _ in 0..100 {
            clients.iter().for_each(|client| client.send_bytes(&flood));
        }
    });
    // What is not read waits on this side of the wire, in this test.
    assert!(clients.iter().all(Client::is_paused), "{taken}");
    assert_eq!(world.metrics().publish_received, 0);
    world.release_commits();
    assert_eq!(world.metrics().publish_received, 100 * 100);
    neighbours.check();
}
