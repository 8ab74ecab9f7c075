//! What is given up when memory is short, and in which order.

use crate::support::*;

/// Retained messages of about a kilobyte fill it.
const MEMORY: usize = 200_000;

fn limits() -> Limits {
    Limits { memory_max: MEMORY, ..Limits::default() }
}

/// Retains messages until there is some pressure.
fn fill_until(world: &World, pressure: MemoryPressure) {
    let publisher = world.connect(v5("filler"));
    for n in 0.. {
        if world.net().pressure >= pressure {
            break;
        }
        assert!(n < 1000, "{pressure:?} never comes");
        publisher.publish_retained(QOS0, &format!("retained/{n}"), &"x".repeat(1000));
    }
    publisher.disconnect();
}

/// What takes memory whatever is given up: connections.
fn crowd(world: &World) -> Vec<Client> {
    let mut clients = Vec::new();
    while world.net().pressure < MemoryPressure::RefusesClients {
        clients.push(world.connect(v5(&format!("crowd-{}", clients.len())).expiry(100)));
        assert!(clients.len() < 1000);
    }
    clients
}

#[test]
fn qos0_for_clients_that_do_not_read_goes_first() {
    let world = World::with_limits(limits());
    let publisher = world.connect(v5("publisher"));
    let slow = world.connect(v5("slow"));
    slow.subscribe("t", QOS0);
    fill_until(&world, MemoryPressure::ShedsQos0);
    slow.stall();
    for _ in 0..100 {
        publisher.publish(QOS0, "t", &"x".repeat(500));
    }
    let dropped = world.drops_of("slow").slow_qos0;
    assert!((60..70).contains(&dropped), "{dropped} of 100, with 16 KiB in its buffer");
    slow.go_on_reading();
    assert_eq!(slow.receive_all().len() as u64 + dropped, 100);
    publisher.publish(QOS0, "t", "still");
    assert_eq!(slow.receive().payload, "still", "who reads gets them");
}

#[test]
fn then_messages_stay_on_the_disk_and_nothing_new_is_remembered() {
    let world = World::with_limits(limits());
    let publisher = world.connect(v5("publisher"));
    let slow = world.connect(v5("slow").kept().receive_max(1000));
    slow.subscribe("t", QOS1);
    fill_until(&world, MemoryPressure::LeavesOnDisk);
    slow.stall();
    for _ in 0..100 {
        publisher.publish_acknowledged("t", &"x".repeat(500));
    }
    assert_eq!(world.metrics().queued_bytes_in_memory, 0);
    assert_eq!(world.drops_of("slow").total(), 0);
    slow.go_on_reading();
    assert_eq!(slow.receive_all().len(), 100);

    let retained = world.metrics().retained;
    publisher.publish_retained(QOS0, "retained/new", "x");
    publisher.publish_retained(QOS0, "retained/0", "known");
    assert_eq!((world.metrics().retained, world.metrics().drops.retained_full), (retained, 1));
    publisher.send_subscribe("u", QOS1, None, |_| {});
    assert_eq!(publisher.expect_suback(), [0x97]);
    let id = publisher.publish(QOS1, "$delayed/5/t", "x");
    assert_eq!(publisher.expect_reason(PacketKind::Puback, id), ReasonCode::QuotaExceeded);
}

#[test]
fn then_clients_are_refused_until_there_is_memory_again() {
    let world = World::with_limits(limits());
    fill_until(&world, MemoryPressure::LeavesOnDisk);
    let clients = crowd(&world);
    world.dial(&v5("late")).expect_refused(ReasonCode::QuotaExceeded);
    let metrics = world.metrics();
    assert!((200_000..202_000).contains(&metrics.memory_bytes), "{}", metrics.memory_bytes);
    clients.into_iter().for_each(|client| client.hang_up());
    world.advance_s(200);
    world.connect(v5("late"));
}

/// What was acknowledged is never given up.
#[test]
fn a_queue_on_the_disk_comes_whole_whatever_the_pressure() {
    let world = World::with_limits(limits());
    let away = world.connect(v5("away").kept());
    away.subscribe("t", QOS1);
    away.hang_up();
    let publisher = world.connect(v5("publisher"));
    for _ in 0..300 {
        publisher.publish_acknowledged("t", &"x".repeat(1000));
    }
    assert_eq!(world.drops_of("away").total(), 0);
    assert!(world.metrics().memory_bytes < MEMORY as u64);
    assert_eq!(world.connect(v5("away").kept()).receive_all().len(), 300);
}
