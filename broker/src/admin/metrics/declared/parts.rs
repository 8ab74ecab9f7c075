//! Rules, upstreams, histories, the fleet and the bridge, each with its name.

use super::super::Metric;
use super::{age, counter, gauge, histogram, seconds};
use crate::status::UpstreamState;

pub(super) static METRICS: &[Metric] = &[
    gauge("weir_rule_paused", "Whether a rule takes no messages for now", &["rule"], |it, out| {
        for rule in &it.figures.status.rules {
            out.of(&[&rule.name], rule.paused);
        }
    }),
    counter("weir_rule_matched", "Messages that a rule read", &["rule"], |it, out| {
        for rule in &it.figures.status.rules {
            out.of(&[&rule.name], rule.matched);
        }
    }),
    counter(
        "weir_rule_filtered",
        "Messages that where of a rule did not let pass",
        &["rule"],
        |it, out| {
            for rule in &it.figures.status.rules {
                out.of(&[&rule.name], rule.filtered);
            }
        },
    ),
    counter("weir_rule_emitted", "Messages that a rule sent", &["rule"], |it, out| {
        for rule in &it.figures.status.rules {
            out.of(&[&rule.name], rule.emitted);
        }
    }),
    counter(
        "weir_rule_late",
        "Messages that came after their window was closed",
        &["rule"],
        |it, out| {
            for rule in &it.figures.status.rules {
                out.of(&[&rule.name], rule.late);
            }
        },
    ),
    counter(
        "weir_rule_dropped",
        "Messages that went into no result, because they were too late or a limit was reached",
        &["rule"],
        |it, out| {
            for rule in &it.figures.status.rules {
                out.of(&[&rule.name], rule.dropped);
            }
        },
    ),
    counter(
        "weir_rule_errors",
        "Messages that a rule could not use, by code",
        &["rule", "code"],
        |it, out| {
            for rule in &it.figures.status.rules {
                for (code, count) in &rule.errors_by_code {
                    out.of(&[&rule.name, code], *count);
                }
            }
        },
    ),
    gauge("weir_rule_keys", "Keys that a rule holds state for", &["rule"], |it, out| {
        for rule in &it.figures.status.rules {
            out.of(&[&rule.name], rule.keys);
        }
    }),
    gauge("weir_rule_state_bytes", "Estimate of the memory of its state", &["rule"], |it, out| {
        for rule in &it.figures.status.rules {
            out.of(&[&rule.name], rule.state_bytes);
        }
    }),
    counter(
        "weir_rule_received_payload_bytes",
        "Bytes of the payloads that a rule read",
        &["rule"],
        |it, out| {
            for rule in &it.figures.status.rules {
                out.of(&[&rule.name], rule.bytes_in);
            }
        },
    ),
    counter(
        "weir_rule_sent_payload_bytes",
        "Bytes of the payloads that a rule sent",
        &["rule"],
        |it, out| {
            for rule in &it.figures.status.rules {
                out.of(&[&rule.name], rule.bytes_out);
            }
        },
    ),
    gauge(
        "weir_rule_last_sent_timestamp_seconds",
        "When a rule has sent a message last, since 1970",
        &["rule"],
        |it, out| {
            for rule in &it.figures.status.rules {
                if let Some(value) = rule.last_sent_at_ms.map(seconds) {
                    out.of(&[&rule.name], value);
                }
            }
        },
    ),
    gauge(
        "weir_rule_watermark_lag_seconds",
        "How far the watermark was behind the arrival of the last message",
        &["rule"],
        |it, out| {
            for rule in &it.figures.status.rules {
                if let Some(value) = rule.watermark_lag_ms.map(|lag| lag as f64 / 1000.0) {
                    out.of(&[&rule.name], value);
                }
            }
        },
    ),
    histogram(
        "weir_rule_handling_seconds",
        "How long a rule takes with a message, of a sample",
        &["rule"],
        |it, out| {
            for rule in &it.figures.rules {
                out.times(&[&rule.rule], &rule.handling_ns, 1e-9, 8..26);
            }
        },
    ),
    histogram(
        "weir_rule_commit_lag_seconds",
        "From the arrival of a message until what a rule made from it is durable",
        &["rule"],
        |it, out| {
            for rule in &it.figures.rules {
                out.times(&[&rule.rule], &rule.commit_lag_ms, 1e-3, 0..14);
            }
        },
    ),
    gauge(
        "weir_upstream_connected",
        "Whether an upstream is connected",
        &["upstream"],
        |it, out| {
            for one in &it.figures.status.upstreams {
                out.of(&[&one.name], one.state == UpstreamState::Connected);
            }
        },
    ),
    gauge(
        "weir_upstream_idle",
        "Whether an upstream is not connected because nothing waits for it",
        &["upstream"],
        |it, out| {
            for one in &it.figures.status.upstreams {
                out.of(&[&one.name], one.state == UpstreamState::Idle);
            }
        },
    ),
    gauge(
        "weir_upstream_backlog_messages",
        "Messages that wait for an upstream",
        &["upstream"],
        |it, out| {
            for one in &it.figures.status.upstreams {
                out.of(&[&one.name], one.depth);
            }
        },
    ),
    gauge(
        "weir_upstream_backlog_priority_messages",
        "The same by priority, those only of which some wait",
        &["upstream", "priority"],
        |it, out| {
            for one in &it.figures.status.upstreams {
                for (priority, count) in &one.depth_by_priority {
                    out.of(&[&one.name, priority], *count);
                }
            }
        },
    ),
    gauge(
        "weir_upstream_backlog_bytes",
        "Bytes that wait for an upstream",
        &["upstream"],
        |it, out| {
            for one in &it.figures.status.upstreams {
                out.of(&[&one.name], one.depth_bytes);
            }
        },
    ),
    gauge(
        "weir_upstream_backlog_oldest_age_seconds",
        "How long the oldest of them has waited; 0 when none waits",
        &["upstream"],
        |it, out| {
            for one in &it.figures.status.upstreams {
                out.of(&[&one.name], age(one.oldest_at_ms, it.unix_ms));
            }
        },
    ),
    gauge(
        "weir_upstream_backlog_empty_in_seconds",
        "When nothing will wait, if it goes on as in the last half minute",
        &["upstream"],
        |it, out| {
            for one in &it.figures.status.upstreams {
                if let Some(value) = one.empty_in_s {
                    out.of(&[&one.name], value);
                }
            }
        },
    ),
    counter(
        "weir_upstream_sent",
        "Messages that were sent to an upstream, repetitions included",
        &["upstream"],
        |it, out| {
            for one in &it.figures.status.upstreams {
                out.of(&[&one.name], one.sent);
            }
        },
    ),
    counter(
        "weir_upstream_acknowledged",
        "Messages that an upstream has acknowledged",
        &["upstream"],
        |it, out| {
            for one in &it.figures.status.upstreams {
                out.of(&[&one.name], one.acknowledged);
            }
        },
    ),
    counter(
        "weir_upstream_received",
        "Messages that came from an upstream",
        &["upstream"],
        |it, out| {
            for one in &it.figures.status.upstreams {
                out.of(&[&one.name], one.received);
            }
        },
    ),
    counter(
        "weir_upstream_dropped",
        "Messages for or from an upstream that were dropped, by reason",
        &["upstream", "reason"],
        |it, out| {
            for one in &it.figures.status.upstreams {
                for (reason, count) in &one.dropped {
                    out.of(&[&one.name, reason], *count);
                }
            }
        },
    ),
    gauge("weir_history_messages", "Messages that a history holds", &["history"], |it, out| {
        for one in &it.figures.status.history {
            out.of(&[&one.filter], one.messages);
        }
    }),
    gauge("weir_history_bytes", "What they take on disk", &["history"], |it, out| {
        for one in &it.figures.status.history {
            out.of(&[&one.filter], one.bytes);
        }
    }),
    gauge(
        "weir_history_oldest_age_seconds",
        "How old the oldest of them is; 0 when there is none",
        &["history"],
        |it, out| {
            for one in &it.figures.status.history {
                out.of(&[&one.filter], age(one.oldest_at_ms, it.unix_ms));
            }
        },
    ),
    counter(
        "weir_history_dropped",
        "Messages that a history misses, by reason",
        &["history", "reason"],
        |it, out| {
            for one in &it.figures.status.history {
                for (reason, count) in &one.dropped {
                    out.of(&[&one.filter, reason], *count);
                }
            }
        },
    ),
    gauge(
        "weir_fleet_connected",
        "Whether the server of the fleet is reached and the other boxes are known",
        &[],
        |it, out| {
            out.maybe(it.figures.status.fleet.as_ref().map(|fleet| fleet.is_connected));
        },
    ),
    gauge("weir_fleet_box_here", "Whether another box was heard of lately", &["box"], |it, out| {
        for one in it.figures.status.fleet.iter().flat_map(|fleet| &fleet.boxes) {
            out.of(&[&one.name], one.is_here);
        }
    }),
    gauge("weir_fleet_filters", "Filters that this box asks the others for", &[], |it, out| {
        out.maybe(it.figures.status.fleet.as_ref().map(|fleet| fleet.filters));
    }),
    gauge("weir_fleet_retained", "Retained messages of all boxes together", &[], |it, out| {
        out.maybe(it.figures.status.fleet.as_ref().map(|fleet| fleet.retained));
    }),
    gauge("weir_fleet_backlog_messages", "Messages that wait for other boxes", &[], |it, out| {
        out.maybe(it.figures.status.fleet.as_ref().map(|fleet| fleet.depth));
    }),
    gauge("weir_fleet_backlog_bytes", "Bytes that wait for them", &[], |it, out| {
        out.maybe(it.figures.status.fleet.as_ref().map(|fleet| fleet.depth_bytes));
    }),
    gauge(
        "weir_fleet_backlog_oldest_age_seconds",
        "How long the oldest of them has waited; 0 when none waits",
        &[],
        |it, out| {
            out.maybe(
                it.figures.status.fleet.as_ref().map(|fleet| age(fleet.oldest_at_ms, it.unix_ms)),
            );
        },
    ),
    counter(
        "weir_fleet_sent",
        "Messages that were sent, one for each box that wants it, repetitions included",
        &[],
        |it, out| {
            out.maybe(it.figures.status.fleet.as_ref().map(|fleet| fleet.sent));
        },
    ),
    counter(
        "weir_fleet_acknowledged",
        "Those of them that are stored for their box",
        &[],
        |it, out| {
            out.maybe(it.figures.status.fleet.as_ref().map(|fleet| fleet.acknowledged));
        },
    ),
    counter("weir_fleet_received", "Messages that came from other boxes", &[], |it, out| {
        out.maybe(it.figures.status.fleet.as_ref().map(|fleet| fleet.received));
    }),
    counter(
        "weir_fleet_repeated",
        "Messages that came more than once and were published once",
        &[],
        |it, out| {
            out.maybe(it.figures.status.fleet.as_ref().map(|fleet| fleet.repeated));
        },
    ),
    counter(
        "weir_fleet_retained_sent",
        "Values that were written for all boxes",
        &[],
        |it, out| {
            out.maybe(it.figures.status.fleet.as_ref().map(|fleet| fleet.retained_sent));
        },
    ),
    counter("weir_fleet_retained_received", "Values that came from other boxes", &[], |it, out| {
        out.maybe(it.figures.status.fleet.as_ref().map(|fleet| fleet.retained_received));
    }),
    counter(
        "weir_fleet_without_room",
        "Times that the server had no room for a message or a value",
        &[],
        |it, out| {
            out.maybe(it.figures.status.fleet.as_ref().map(|fleet| fleet.without_room));
        },
    ),
    counter(
        "weir_fleet_dropped",
        "Messages that were dropped, by reason",
        &["reason"],
        |it, out| {
            for (reason, count) in it.figures.status.fleet.iter().flat_map(|fleet| &fleet.dropped) {
                out.of(&[reason], *count);
            }
        },
    ),
    gauge(
        "weir_bridge_agent",
        "What the agent of the bridge counts or holds, by name",
        &["figure"],
        |it, out| {
            for (name, number) in it.figures.status.bridge.iter().flat_map(|it| &it.agent) {
                out.of(&[name], *number);
            }
        },
    ),
    gauge(
        "weir_bridge_gateway",
        "What the MQTT-SN gateway of the bridge counts or holds, by name",
        &["figure"],
        |it, out| {
            for (name, number) in it.figures.status.bridge.iter().flat_map(|it| &it.gateway) {
                out.of(&[name], *number);
            }
        },
    ),
];
