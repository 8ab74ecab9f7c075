//! Clients that do not read what they asked for.

use super::*;

#[test]
fn a_client_that_wants_everything_and_reads_nothing_hurts_only_itself() {
    for (qos, options) in [
        (QOS0, v5("deaf")),
        (QOS1, v5("deaf")),
        (QOS1, v311("deaf").kept()),
        (QOS2, v5("deaf").kept()),
    ] {
        let world = World::with_limits(Limits {
            inflight_messages_max: 20,
            queued_bytes_max: 1_000_000,
            queued_messages_max: 5_000,
            ..Limits::default()
        });
        let mut neighbours = Neighbours::new(&world);
        let deaf = world.connect(options);
        deaf.subscribe("#", qos);
        deaf.stall();
        let publisher = world.connect(v311("publisher"));
        let payload = "x".repeat(1_000);
        let taken = memory_of(|| {
            for round in 0..10_000 {
                publisher.publish_acknowledged("t", &payload);
                if round % 100 == 0 {
                    neighbours.check();
                }
            }
        });
        // The buffer, which grows by doubling, the queue, and the places in it.
        assert!(taken < 3_000_000, "{taken} bytes at {qos:?}");
        let metrics = world.metrics();
        assert!(metrics.outbound_bytes <= 256_000 + 2_000, "{}", metrics.outbound_bytes);
        assert!(metrics.queued_bytes <= 1_000_000 + 30_000, "{}", metrics.queued_bytes);
        let lost = world.drops_of("deaf");
        assert!(lost.total() > 8_000 && lost.queue_full + lost.slow_qos0 == lost.total());
        deaf.hang_up();
        neighbours.check();
    }
}
