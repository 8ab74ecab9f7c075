//! Connections, sessions, messages, the store, the admin server and the process.

use super::super::Metric;
use super::{counter, counts, gauge, histogram};

/// The conditions that a store may be in.
const STORE: [&str; 5] = ["failed", "full", "ok", "repaired", "salvaged"];

pub(super) static METRICS: &[Metric] = &[
    gauge("weir_build", "The version that runs; always 1", &["version"], |it, out| {
        out.of(&[&it.figures.status.version], 1);
    }),
    gauge("weir_uptime_seconds", "Since the start of the process", &[], |it, out| {
        out.one(it.figures.status.uptime_s);
    }),
    gauge(
        "weir_ready",
        "Whether the store is recovered and clients can connect",
        &[],
        |it, out| {
            out.one(it.figures.status.ready);
        },
    ),
    gauge("weir_clock_set", "Whether the clock of the machine is set", &[], |it, out| {
        out.one(!it.figures.status.clock_unset);
    }),
    gauge("weir_shards", "Threads that serve connections", &[], |it, out| {
        out.one(u64::from(it.figures.status.shards));
    }),
    gauge("weir_connections", "Connections that are open", &[], |it, out| {
        out.one(it.figures.metrics.connections);
    }),
    counter("weir_connections_opened", "Connections that were opened", &[], |it, out| {
        out.one(it.figures.metrics.connections_opened);
    }),
    counter(
        "weir_connections_refused",
        "Connections that ended before they could speak MQTT, by reason",
        &["reason"],
        |it, out| {
            counts(&it.figures.status.refused, out);
        },
    ),
    gauge("weir_clients_connected", "Clients that are connected", &[], |it, out| {
        out.one(it.figures.metrics.clients_connected);
    }),
    counter(
        "weir_clients_expired",
        "Sessions whose time was over while their client was away",
        &[],
        |it, out| {
            out.one(it.figures.metrics.clients_expired);
        },
    ),
    counter(
        "weir_violations",
        "Connections that ended because of what the client sent",
        &[],
        |it, out| {
            out.one(it.figures.metrics.violations);
        },
    ),
    gauge("weir_sessions", "Sessions, connected or not", &[], |it, out| {
        out.one(it.figures.metrics.sessions);
    }),
    gauge(
        "weir_subscriptions",
        "Subscriptions of all sessions and of what reads the log inside the broker",
        &[],
        |it, out| {
            out.one(it.figures.metrics.subscriptions);
        },
    ),
    gauge("weir_shared_subscriptions", "Memberships of shared subscriptions", &[], |it, out| {
        out.one(it.figures.metrics.shared_subscriptions);
    }),
    counter(
        "weir_auth_refused",
        "Clients that were refused for their credentials",
        &[],
        |it, out| {
            out.one(it.figures.status.auth.refused);
        },
    ),
    counter(
        "weir_auth_revoked",
        "Clients that were connected and whose credentials did not hold any more",
        &[],
        |it, out| {
            out.one(it.figures.status.auth.revoked);
        },
    ),
    counter(
        "weir_auth_reauthenticated",
        "Clients that have shown again who they are",
        &[],
        |it, out| {
            out.one(it.figures.status.auth.reauthenticated);
        },
    ),
    counter(
        "weir_auth_service_requests",
        "Questions that were put to the service of auth.http",
        &[],
        |it, out| {
            out.maybe(it.figures.status.auth.service.as_ref().map(|one| one.requests));
        },
    ),
    counter("weir_auth_service_failures", "Questions that it did not answer", &[], |it, out| {
        out.maybe(it.figures.status.auth.service.as_ref().map(|one| one.failures));
    }),
    counter(
        "weir_auth_service_remembered",
        "Questions that had an answer already",
        &[],
        |it, out| {
            out.maybe(it.figures.status.auth.service.as_ref().map(|one| one.remembered));
        },
    ),
    counter(
        "weir_throttled",
        "Clients and listeners that had to wait for having been too fast, by rate",
        &["rate"],
        |it, out| {
            counts(&it.figures.status.throttled, out);
        },
    ),
    counter(
        "weir_admin_refused",
        "Requests to the admin server that were refused, by reason",
        &["reason"],
        |it, out| {
            for (reason, count) in &it.refused {
                out.of(&[reason], *count);
            }
        },
    ),
    counter("weir_packets_received", "Packets from clients, of every kind", &[], |it, out| {
        out.one(it.figures.metrics.packets_received);
    }),
    counter("weir_packets_sent", "Packets to clients, of every kind", &[], |it, out| {
        out.one(it.figures.metrics.packets_sent);
    }),
    counter("weir_received_bytes", "Bytes from connections", &[], |it, out| {
        out.one(it.figures.metrics.bytes_received);
    }),
    counter("weir_sent_bytes", "Bytes to connections", &[], |it, out| {
        out.one(it.figures.metrics.bytes_sent);
    }),
    counter("weir_messages_received", "PUBLISH packets from clients", &[], |it, out| {
        out.one(it.figures.metrics.publish_received);
    }),
    counter("weir_messages_sent", "PUBLISH packets to clients", &[], |it, out| {
        out.one(it.figures.metrics.publish_sent);
    }),
    counter(
        "weir_messages_received_payload_bytes",
        "Payload of the PUBLISH packets from clients",
        &[],
        |it, out| {
            out.one(it.figures.metrics.publish_bytes_received);
        },
    ),
    counter(
        "weir_messages_sent_payload_bytes",
        "Payload of the PUBLISH packets to clients",
        &[],
        |it, out| {
            out.one(it.figures.metrics.publish_bytes_sent);
        },
    ),
    counter(
        "weir_messages_dropped",
        "Messages that did not reach somebody, by reason",
        &["reason"],
        |it, out| {
            counts(&it.figures.status.messages.dropped, out);
        },
    ),
    counter(
        "weir_messages_acknowledged_early",
        "Messages that were acknowledged before they were durable, as the level of their topics has it",
        &[],
        |it, out| {
            out.one(it.figures.metrics.publish_acknowledged_early);
        },
    ),
    gauge(
        "weir_messages_inflight",
        "QoS 1 and 2 messages that are under way to clients",
        &[],
        |it, out| {
            out.one(it.figures.metrics.inflight);
        },
    ),
    gauge(
        "weir_messages_queued",
        "Messages in queues and in flight, each counted once",
        &[],
        |it, out| {
            out.one(it.figures.metrics.queued_messages);
        },
    ),
    gauge("weir_messages_queued_bytes", "Their bytes", &[], |it, out| {
        out.one(it.figures.metrics.queued_bytes);
    }),
    gauge(
        "weir_messages_queued_memory_bytes",
        "Those of them that are in memory",
        &[],
        |it, out| {
            out.one(it.figures.metrics.queued_bytes_in_memory);
        },
    ),
    gauge("weir_messages_retained", "Retained messages", &[], |it, out| {
        out.one(it.figures.metrics.retained);
    }),
    gauge("weir_messages_retained_bytes", "Their bytes", &[], |it, out| {
        out.one(it.figures.metrics.retained_bytes);
    }),
    gauge("weir_messages_delayed", "Messages that wait for their time", &[], |it, out| {
        out.one(it.figures.metrics.delayed);
    }),
    gauge("weir_messages_delayed_bytes", "Their bytes", &[], |it, out| {
        out.one(it.figures.metrics.delayed_bytes);
    }),
    gauge("weir_messages_held", "Messages that wait in memory for upstreams", &[], |it, out| {
        out.one(it.figures.metrics.held);
    }),
    gauge("weir_messages_held_bytes", "Their bytes", &[], |it, out| {
        out.one(it.figures.metrics.held_bytes);
    }),
    counter(
        "weir_messages_held_full",
        "Messages that would have waited there and were written, for want of room",
        &[],
        |it, out| {
            out.one(it.figures.metrics.held_full);
        },
    ),
    counter("weir_dead_letters", "Dead letters that were published", &[], |it, out| {
        out.one(it.figures.metrics.dead_letters);
    }),
    counter(
        "weir_dead_letters_missed",
        "Dead letters that were not made, because there were too many at a time",
        &[],
        |it, out| {
            out.one(it.figures.metrics.dead_letters_missed);
        },
    ),
    gauge("weir_outbound_bytes", "Bytes that wait to be written to connections", &[], |it, out| {
        out.one(it.figures.metrics.outbound_bytes);
    }),
    gauge(
        "weir_core_memory_bytes",
        "Memory of the sessions, the queues and the retained messages, about",
        &[],
        |it, out| {
            out.one(it.figures.metrics.memory_bytes);
        },
    ),
    gauge(
        "weir_store_ok",
        "Whether the store is whole, has room and can be written",
        &[],
        |it, out| {
            out.one(it.figures.status.store.status == "ok");
        },
    ),
    gauge(
        "weir_store_status",
        "In what condition the store is: 1 for that one",
        &["status"],
        |it, out| {
            for status in STORE {
                out.of(&[status], it.figures.status.store.status == status);
            }
        },
    ),
    gauge("weir_store_file_bytes", "Length of the file of the store", &[], |it, out| {
        out.one(it.figures.status.store.bytes);
    }),
    gauge(
        "weir_store_used_bytes",
        "What the records take, which max_store_bytes limits",
        &[],
        |it, out| {
            out.one(it.figures.status.store.used_bytes);
        },
    ),
    gauge("weir_store_free_disk_bytes", "What is free on the disk of the store", &[], |it, out| {
        out.maybe(it.figures.free_disk_bytes);
    }),
    counter("weir_store_written_bytes", "Bytes written to the disk", &[], |it, out| {
        out.one(it.figures.status.store.bytes_written);
    }),
    counter("weir_store_flushes", "Flushes of the disk", &[], |it, out| {
        out.one(it.figures.status.store.flushes);
    }),
    gauge(
        "weir_store_log_messages",
        "Messages in the log: queued for sessions and upstreams",
        &[],
        |it, out| {
            out.one(it.figures.status.store.log_records);
        },
    ),
    histogram("weir_store_commit_seconds", "How long commits take", &[], |it, out| {
        out.times(&[], &it.figures.commit_us, 1e-6, 6..23);
    }),
    gauge("weir_process_resident_memory_bytes", "Memory of the process", &[], |it, out| {
        out.maybe(it.figures.memory.as_ref().map(|memory| memory.bytes));
    }),
    gauge("weir_process_resident_memory_max_bytes", "The most that it had", &[], |it, out| {
        out.maybe(it.figures.memory.as_ref().map(|memory| memory.bytes_max));
    }),
    counter(
        "weir_process_cpu_seconds",
        "Time of processors that the process has taken",
        &[],
        |it, out| {
            out.one(it.figures.cpu.as_secs_f64());
        },
    ),
];
