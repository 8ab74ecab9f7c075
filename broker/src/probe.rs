//! What a running broker can be asked from outside its threads.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use serde_json::Value;
use weir_core::{Metrics, RuleFacts, StoreFacts, Surroundings, UpstreamFacts};

use crate::auth::ServiceFigures;
use crate::clock::{Clock, ClockWatch};
use crate::history::HistoryHandle;
use crate::listener::Refused;
use crate::mailbox::{Mail, Mailbox, Mailboxes};
use crate::memory;
use crate::pipeline::{PipelineHandle, RuleFigures};
use crate::status::{
    AuthStatus, MessageStatus, RuleStatus, ServiceStatus, Status, StoreStatus, UpstreamState,
    UpstreamStatus,
};
use crate::store::{
    BatchSender, Condition, RoomWatch, Store, StoreError, WriterState, WriterStatus,
};
use crate::upstream::Roster;

/// How long a shard may take to answer; it does so once per turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks every part of the broker how it is.
pub(crate) struct Probe {
    pub(crate) clock: Clock,
    pub(crate) clock_watch: Arc<ClockWatch>,
    pub(crate) mailboxes: Mailboxes,
    pub(crate) store: Arc<Store>,
    pub(crate) writer: BatchSender,
    pub(crate) pipeline: PipelineHandle,
    pub(crate) upstreams: Arc<Roster>,
    pub(crate) history: Option<HistoryHandle>,
    /// Whether the store is on disk.
    pub(crate) persistence: bool,
    pub(crate) room: Arc<RoomWatch>,
    pub(crate) service: Option<Arc<ServiceFigures>>,
    pub(crate) refused: Arc<Refused>,
}

impl Probe {
    /// Tells the first shard how it stands around its core.
    pub(crate) fn tell_surroundings(&self) {
        self.mailboxes.first().send(Mail::Surroundings(Box::new(self.surroundings())));
    }

    /// Tells the shards that the certificates of a listener are others.
    pub(crate) fn tell_certificates(&self) {
        self.mailboxes.send_all(|| Mail::Certificates);
    }

    fn surroundings(&self) -> Surroundings {
        let upstreams = self.upstreams.status().into_iter();
        Surroundings {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: self.clock.uptime().as_secs(),
            memory: memory::of_process(),
            store: self.persistence.then(|| self.store_facts()),
            upstreams: upstreams.map(upstream_facts).collect(),
            rules: rules(&self.pipeline).into_iter().map(rule_facts).collect(),
            elsewhere: metrics_of(&self.mailboxes.all()[1..]).unwrap_or_default(),
        }
    }

    fn store_facts(&self) -> StoreFacts {
        let writer = self.writer.status();
        let stats = self.store.stats();
        let (status, _) = self.store_state(&writer, stats.as_ref().err());
        // What cannot be read is shown as nothing; the status says why.
        let stats = stats.ok();
        StoreFacts {
            status,
            bytes: stats.as_ref().map_or(0, |stats| stats.file_bytes),
            used_bytes: self.store.used_bytes(),
            bytes_written: stats.as_ref().map_or(0, |stats| stats.bytes_written),
            flushes: stats.as_ref().map_or(0, |stats| stats.syncs),
            commit_p50_us: microseconds(writer.commit_p50),
            commit_p99_us: microseconds(writer.commit_p99),
        }
    }

    /// In what condition the store is, in one word, and if it is not a good one, what the matter
    /// is and what to do.
    fn store_state(
        &self,
        writer: &WriterStatus,
        unreadable: Option<&StoreError>,
    ) -> (&'static str, Option<String>) {
        if let WriterState::Failed { error } = &writer.state {
            return ("failed", Some(error.clone()));
        }
        if let Some(error) = unreadable {
            return ("failed", Some(error.to_string()));
        }
        if let Some(shortage) = self.room.shortage() {
            return ("full", Some(format!("{shortage}; {}", shortage.help())));
        }
        match self.store.condition() {
            Condition::Damaged => {
                let text = "it was damaged at the start and holds what could be repaired";
                ("repaired", Some(text.to_owned()))
            }
            Condition::Salvaged => {
                let text = "it was damaged at the start; a report beside it says what was lost";
                ("salvaged", Some(text.to_owned()))
            }
            Condition::Clean | Condition::Interrupted => ("ok", None),
        }
    }

    pub(crate) fn status(&self) -> Status {
        let metrics = metrics_of(self.mailboxes.all());
        let ready = metrics.is_some();
        let metrics = metrics.unwrap_or_default();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: self.clock.uptime().as_secs(),
            ready,
            clock_unset: !self.clock_watch.is_set(),
            shards: u32::try_from(self.mailboxes.all().len()).unwrap_or(u32::MAX),
            connections: metrics.connections,
            refused: self.refused.counts(),
            auth: AuthStatus {
                refused: metrics.refused,
                revoked: metrics.revoked,
                reauthenticated: metrics.reauthenticated,
                service: self.service.as_deref().map(service),
            },
            throttled: counts(metrics.throttled.by_limit()),
            sessions: metrics.sessions,
            subscriptions: metrics.subscriptions,
            retained: metrics.retained,
            messages: messages(&metrics),
            store: self.store_status(),
            rules: rules(&self.pipeline),
            upstreams: self.upstreams.status(),
            history: self.history.as_ref().map(HistoryHandle::status).unwrap_or_default(),
        }
    }

    fn store_status(&self) -> StoreStatus {
        let writer = self.writer.status();
        let stats = self.store.stats();
        let (status, problem) = self.store_state(&writer, stats.as_ref().err());
        // The counters of a store that cannot be read are the last thing that matters.
        let stats = stats.unwrap_or_default();
        StoreStatus {
            status: status.to_owned(),
            problem,
            bytes: stats.file_bytes,
            used_bytes: self.store.used_bytes(),
            bytes_written: stats.bytes_written,
            flushes: stats.syncs,
            commits: writer.groups,
            commit_p50_us: microseconds(writer.commit_p50),
            commit_p99_us: microseconds(writer.commit_p99),
            log_records: stats.log_records,
        }
    }
}

/// What some shards count, together; none when one of them does not answer.
fn metrics_of(mailboxes: &[Mailbox]) -> Option<Metrics> {
    let ask = |mailbox: &Mailbox| {
        let (reply, answer) = mpsc::sync_channel(1);
        mailbox.send(Mail::Metrics(reply));
        answer
    };
    let answers: Vec<_> = mailboxes.iter().map(ask).collect();
    let until = Instant::now() + PATIENCE;
    answers.into_iter().try_fold(Metrics::default(), |sum, answer| {
        let left = until.saturating_duration_since(Instant::now());
        Some(sum.plus(&answer.recv_timeout(left).ok()?))
    })
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn messages(metrics: &Metrics) -> MessageStatus {
    MessageStatus {
        received: metrics.publish_received,
        sent: metrics.publish_sent,
        dropped: counts(metrics.drops.by_reason()),
    }
}

fn counts(counts: impl Iterator<Item = (&'static str, u64)>) -> BTreeMap<String, u64> {
    counts.map(|(name, count)| (name.to_owned(), count)).collect()
}

fn upstream_facts(upstream: UpstreamStatus) -> UpstreamFacts {
    UpstreamFacts {
        is_connected: upstream.state == UpstreamState::Connected,
        status: serde_json::to_string(&upstream).expect("its keys are texts"),
        name: upstream.name,
    }
}

fn service(figures: &ServiceFigures) -> ServiceStatus {
    ServiceStatus {
        requests: figures.requests.load(Ordering::Relaxed),
        failures: figures.failures.load(Ordering::Relaxed),
        remembered: figures.remembered.load(Ordering::Relaxed),
    }
}

fn rules(pipeline: &PipelineHandle) -> Vec<RuleStatus> {
    let rules = pipeline.status().into_iter();
    rules
        .map(|RuleFigures { status: rule, handling_ns, commit_lag_ms }| RuleStatus {
            name: rule.name.to_string(),
            paused: rule.paused,
            matched: rule.matched,
            filtered: rule.filtered,
            emitted: rule.emitted,
            late: rule.late,
            dropped: rule.dropped,
            errors: rule.errors.iter().map(|(_, count)| count).sum(),
            errors_by_code: counts(rule.errors.iter().copied()),
            keys: rule.keys as u64,
            state_bytes: rule.state_bytes as u64,
            bytes_in: rule.bytes_in,
            bytes_out: rule.bytes_out,
            last_sent_at_ms: rule.last_sent.and_then(|at| u64::try_from(at.0).ok()),
            watermark_lag_ms: rule.lag_ms,
            handling_p50_ns: handling_ns[0],
            handling_p99_ns: handling_ns[1],
            commit_lag_p50_ms: commit_lag_ms[0],
            commit_lag_p99_ms: commit_lag_ms[1],
        })
        .collect()
}

/// What the `$SYS` tree says of a rule: whatever its status does, under the same names.
fn rule_facts(rule: RuleStatus) -> RuleFacts {
    let name = rule.name.clone();
    let Ok(Value::Object(mut fields)) = serde_json::to_value(rule) else {
        unreachable!("numbers and texts are JSON");
    };
    fields.remove("name");
    let mut figures = Vec::new();
    for (field, value) in fields {
        match value {
            Value::Null => {}
            Value::Object(parts) => figures.extend(
                parts.iter().map(|(part, value)| (format!("{field}/{part}"), value.to_string())),
            ),
            value => figures.push((field, value.to_string())),
        }
    }
    RuleFacts { name, figures }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_rule_have_the_names_of_its_status() {
        let rule = RuleStatus {
            name: "tank".into(),
            paused: true,
            matched: 12,
            errors: 3,
            errors_by_code: [("R101".to_owned(), 2), ("R102".to_owned(), 1)].into(),
            watermark_lag_ms: Some(-5),
            ..RuleStatus::default()
        };
        let facts = rule_facts(rule);
        assert_eq!(facts.name, "tank");
        let value = |name: &str| {
            let found = facts.figures.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str())
        };
        let expected = [
            ("matched", Some("12")),
            ("errors", Some("3")),
            ("errors_by_code/R101", Some("2")),
            ("paused", Some("true")),
            ("watermark_lag_ms", Some("-5")),
            ("last_sent_at_ms", None),
            ("name", None),
        ];
        for (name, figure) in expected {
            assert_eq!(value(name), figure, "{name}");
        }
    }
}
