//! The tables of the page: which figure of which run stands in which row.

use crate::results::Figure;

/// A table with a heading and what has to be known about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Section {
    pub(crate) title: &'static str,
    pub(crate) text: &'static str,
    pub(crate) rows: &'static [Row],
}

/// A row: what is measured, in which run, and what is shown of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) label: &'static str,
    pub(crate) run: &'static str,
    pub(crate) figure: Figure,
}

const fn row(label: &'static str, run: &'static str, key: &'static str) -> Row {
    Row { label, run, figure: Figure { key, unit: 1.0 } }
}

const fn scaled(label: &'static str, run: &'static str, key: &'static str, unit: f64) -> Row {
    Row { label, run, figure: Figure { key, unit } }
}

const MIB: f64 = 1_048_576.0;
const CPU: &str = "broker_cpu_us_per_message";
const RATE: &str = "messages_per_s";

/// What the README shows.
pub(crate) const SHORT: &[Row] = &[
    row("QoS 0, 10 publishers to 1 subscriber, us", "fanin 0", CPU),
    row("QoS 1, the same, us", "fanin 1", CPU),
    row("QoS 0, 1 publisher to 50 subscribers, us", "fanout 0", CPU),
    row("QoS 1, the same, us", "fanout 1", CPU),
    row("QoS 0, among 50,000 subscriptions, us", "subs", CPU),
    row(
        "QoS 1, queued for a session that is away, us",
        "persist",
        "queue_broker_cpu_us_per_message",
    ),
    row("a client that comes and goes, us", "connect", "broker_cpu_us_per_connection"),
    row("an idle client, bytes", "idle", "bytes_per_connection"),
    row("durable: bytes to the disk for each message", "durable", "queue_disk_bytes_per_message"),
];

pub(crate) const ALL: &[Section] = &[
    Section {
        title: "Processor time",
        text: "Microseconds of the broker, in user and system mode, for each message that was \
               delivered. This is the figure to trust on a machine that does other things too.",
        rows: &[
            row("fan-in, QoS 0, 10 publishers", "fanin 0", CPU),
            row("fan-in, QoS 1, 20 in flight each", "fanin 1", CPU),
            row("fan-in, QoS 2, 10 in flight each", "fanin 2", CPU),
            row("fan-in, QoS 0, payload of 4096 bytes", "fanin 4096", CPU),
            row("fan-out, QoS 0, 50 subscribers", "fanout 0", CPU),
            row("fan-out, QoS 1, 50 subscribers", "fanout 1", CPU),
            row("fan-out, QoS 0, 500 subscribers", "fanout 500", CPU),
            row("50 pairs, QoS 0", "pairs 0", CPU),
            row("50 pairs, QoS 1", "pairs 1", CPU),
            row("50,000 subscriptions, a fifth with wildcards", "subs", CPU),
            row("2,000 messages a second, QoS 0", "latency 0", CPU),
            row("2,000 messages a second, QoS 1", "latency 1", CPU),
            row("retained, stored, QoS 0", "retained 0", "store_broker_cpu_us_per_message"),
            row(
                "retained, to a new subscriber of `#`, QoS 0",
                "retained 0",
                "all_broker_cpu_us_per_message",
            ),
            row(
                "retained, to a new subscriber of `#`, QoS 1",
                "retained 1",
                "all_broker_cpu_us_per_message",
            ),
            row(
                "queued for a session that is away, QoS 1",
                "persist",
                "queue_broker_cpu_us_per_message",
            ),
            row("a client that comes and goes", "connect", "broker_cpu_us_per_connection"),
        ],
    },
    Section {
        title: "Rates",
        text: "Messages, or clients, per second. Load and broker share the processors, so a rate \
               says as much of the machine as of the broker.",
        rows: &[
            row("fan-in, QoS 0, 10 publishers", "fanin 0", RATE),
            row("fan-in, QoS 1, 20 in flight each", "fanin 1", RATE),
            row("fan-in, QoS 2, 10 in flight each", "fanin 2", RATE),
            row("fan-in, QoS 0, payload of 4096 bytes", "fanin 4096", RATE),
            row("fan-out, QoS 0, 50 subscribers", "fanout 0", RATE),
            row("fan-out, QoS 1, 50 subscribers", "fanout 1", RATE),
            row("fan-out, QoS 0, 500 subscribers", "fanout 500", RATE),
            row("50 pairs, QoS 0", "pairs 0", RATE),
            row("50 pairs, QoS 1", "pairs 1", RATE),
            row("50,000 subscriptions, a fifth with wildcards", "subs", RATE),
            row("queued for a session that is away, QoS 1", "persist", "queue_messages_per_s"),
            row("drained by that session", "persist", "drain_messages_per_s"),
            row("clients that come and go", "connect", "connections_per_s"),
        ],
    },
    Section {
        title: "Latency",
        text: "Microseconds from the moment at which a message is due to its arrival, 2,000 \
               messages a second over 10 pairs. How late the load itself was is in it, and is \
               most of the tail on a machine that does other things too; the last rows say it.",
        rows: &[
            row("QoS 0, p50", "latency 0", "latency_p50_us"),
            row("QoS 0, p99", "latency 0", "latency_p99_us"),
            row("QoS 0, p99.9", "latency 0", "latency_p99_9_us"),
            row("QoS 1, p50", "latency 1", "latency_p50_us"),
            row("QoS 1, p99", "latency 1", "latency_p99_us"),
            row("QoS 1, p99.9", "latency 1", "latency_p99_9_us"),
            row("QoS 0, the load alone, p50", "latency 0", "send_lag_p50_us"),
            row("QoS 0, the load alone, p99", "latency 0", "send_lag_p99_us"),
            row("QoS 0, the load alone, p99.9", "latency 0", "send_lag_p99_9_us"),
        ],
    },
    Section {
        title: "Memory",
        text: "Resident, as the kernel counts it; bytes for each are what the broker has grown by.",
        rows: &[
            scaled("empty, MiB", "idle", "broker_bytes_before", MIB),
            row("an idle client, bytes", "idle", "bytes_per_connection"),
            row(
                "the same with a subscription, bytes",
                "idle",
                "bytes_per_connection_with_subscription",
            ),
            row("processor with idle clients, percent", "idle", "broker_cpu_percent"),
            row("a subscription, 20 clients hold them, bytes", "subs", "bytes_per_subscription"),
            row("a retained message, bytes", "retained 0", "bytes_per_retained"),
            row("a queued message, QoS 1, bytes", "persist", "bytes_per_queued"),
        ],
    },
    Section {
        title: "Durability",
        text: "QoS 1 to a session that is away, 20 publishers with 20 in flight each, then drained. \
               The rows with many messages: weir acknowledges each after the commit to disk, the \
               others keep it in memory. The durable rows: few messages, and every broker does what \
               it can: mosquitto writes its whole store whenever something has changed, and still \
               does not wait for it.",
        rows: &[
            row("many, queued, messages per second", "persist", "queue_messages_per_s"),
            row("many, queued, bytes to the disk each", "persist", "queue_disk_bytes_per_message"),
            row("many, drained, bytes to the disk each", "persist", "drain_disk_bytes_per_message"),
            row("durable, queued, messages per second", "durable", "queue_messages_per_s"),
            row(
                "durable, queued, us of processor each",
                "durable",
                "queue_broker_cpu_us_per_message",
            ),
            row(
                "durable, queued, bytes to the disk each",
                "durable",
                "queue_disk_bytes_per_message",
            ),
            row("durable, drained, messages per second", "durable", "drain_messages_per_s"),
        ],
    },
    Section {
        title: "A subscriber that stops reading",
        text: "Two subscribers of one topic, one of which stops reading while messages come as fast \
               as the other takes them, and reads again at the end. Every broker has its own \
               limits here; what the stalled one did not get is no fault at QoS 0, and at QoS 1 it \
               was acknowledged and dropped.",
        rows: &[
            row("QoS 0, rate of the other, with and without, ratio", "slow 0", "fast_rate_kept"),
            scaled("QoS 0, growth, MiB", "slow 0", "broker_growth_bytes", MIB),
            row("QoS 0, sent", "slow 0", "expected"),
            row("QoS 0, not delivered to the stalled one", "slow 0", "stalled_lost"),
            row("QoS 1, rate of the other, with and without, ratio", "slow 1", "fast_rate_kept"),
            scaled("QoS 1, growth, MiB", "slow 1", "broker_growth_bytes", MIB),
            row("QoS 1, sent", "slow 1", "expected"),
            row("QoS 1, not delivered to the stalled one", "slow 1", "stalled_lost"),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::{self, Size};

    #[test]
    fn every_row_has_a_run_and_every_run_a_row() {
        let runs: Vec<&str> = runs::all(&Size::QUICK).iter().map(|run| run.name).collect();
        let rows = || ALL.iter().flat_map(|section| section.rows).chain(SHORT);
        for row in rows() {
            assert!(runs.contains(&row.run), "{}", row.label);
        }
        for run in runs {
            assert!(rows().any(|row| row.run == run), "{run}");
        }
    }
}
