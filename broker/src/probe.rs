//! What a running broker can be asked from outside its threads.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use serde_json::Value;
use weir_core::{Memory, Metrics, RuleFacts, StoreFacts, Surroundings, UpstreamFacts};
use weir_firmware_bridge::Asker;
use weir_firmware_bridge::serve::Askers;

use crate::auth::ServiceFigures;
use crate::bridge::BridgeSeat;
use crate::clock::{self, Clock, ClockWatch};
use crate::fleet::FleetHandle;
use crate::history::HistoryHandle;
use crate::inside::Door;
use crate::listener::Refused;
use crate::mailbox::{Mail, Mailbox, Mailboxes};
use crate::memory;
use crate::pipeline::{PipelineHandle, RuleFigures};
use crate::status::{
    AuthStatus, BridgeStatus, FleetStatus, MessageStatus, RuleStatus, ServiceStatus, Status,
    StoreStatus, UpstreamState, UpstreamStatus,
};
use crate::store::{
    BatchSender, Condition, RoomWatch, Store, StoreError, WriterState, WriterStatus, free_disk,
};
use crate::times::Times;
use crate::upstream::Roster;

/// How long a shard may take to answer; it does so once per turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a part of the bridge may take; it waits for nothing but its disk.
const BRIDGE_PATIENCE: Duration = Duration::from_millis(200);

/// All that a broker has counted, at one moment.
pub(crate) struct Figures {
    pub(crate) status: Status,
    pub(crate) metrics: Metrics,
    pub(crate) rules: Vec<RuleTimes>,
    /// How long commits have taken.
    pub(crate) commit_us: Times,
    pub(crate) memory: Option<Memory>,
    /// What the process has taken of processors.
    pub(crate) cpu: Duration,
    /// What is free on the disk of the store; none for one in memory.
    pub(crate) free_disk_bytes: Option<u64>,
}

/// How long a rule takes.
pub(crate) struct RuleTimes {
    pub(crate) rule: String,
    pub(crate) handling_ns: Times,
    pub(crate) commit_lag_ms: Times,
}

/// Asks every part of the broker how it is.
pub(crate) struct Probe {
    pub(crate) clock: Clock,
    pub(crate) clock_watch: Arc<ClockWatch>,
    pub(crate) mailboxes: Mailboxes,
    pub(crate) store: Arc<Store>,
    pub(crate) writer: BatchSender,
    pub(crate) pipeline: PipelineHandle,
    pub(crate) upstreams: Arc<Roster>,
    pub(crate) fleet: Option<FleetHandle>,
    pub(crate) bridge: Arc<BridgeSeat>,
    /// By which the API subscribes.
    pub(crate) door: Door,
    pub(crate) history: Option<HistoryHandle>,
    /// Whether the store is on disk.
    pub(crate) persistence: bool,
    /// Where it is then.
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) room: Arc<RoomWatch>,
    pub(crate) service: Option<Arc<ServiceFigures>>,
    pub(crate) refused: Arc<Refused>,
    /// The names of the listeners, by their numbers; the last one is inside.
    pub(crate) listeners: Vec<Box<str>>,
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

    /// The number of the first shard that does not answer within this time, if there is one.
    pub(crate) fn silent_shard(&self, patience: Duration) -> Option<usize> {
        let until = Instant::now() + patience;
        let answers = ask_metrics(self.mailboxes.all());
        answers.iter().position(|answer| {
            answer.recv_timeout(until.saturating_duration_since(Instant::now())).is_err()
        })
    }

    fn surroundings(&self) -> Surroundings {
        let upstreams = self.upstreams.status().into_iter();
        Surroundings {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: self.clock.uptime().as_secs(),
            memory: memory::of_process(),
            store: self.persistence.then(|| self.store_facts()),
            upstreams: upstreams.map(upstream_facts).collect(),
            fleet: self.fleet.as_ref().map(|fleet| fleet_facts(fleet.status())).unwrap_or_default(),
            bridge: self.bridge_status().map(bridge_facts).unwrap_or_default(),
            rules: rules(self.pipeline.status()).into_iter().map(rule_facts).collect(),
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
        self.status_of(metrics_of(self.mailboxes.all()), self.pipeline.status())
    }

    /// All that is counted, for whoever draws it.
    pub(crate) fn figures(&self) -> Figures {
        let metrics = metrics_of(self.mailboxes.all());
        let rules = self.pipeline.status();
        let times = rules.iter().map(|rule| RuleTimes {
            rule: rule.status.name.to_string(),
            handling_ns: rule.handling.clone(),
            commit_lag_ms: rule.commit_lag.clone(),
        });
        Figures {
            rules: times.collect(),
            status: self.status_of(metrics, rules),
            metrics: metrics.unwrap_or_default(),
            commit_us: self.writer.commit_times(),
            memory: memory::of_process(),
            cpu: clock::cpu_of_process(),
            free_disk_bytes: self.data_dir.as_deref().and_then(free_disk),
        }
    }

    fn status_of(&self, metrics: Option<Metrics>, figures: Vec<RuleFigures>) -> Status {
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
            rules: rules(figures),
            upstreams: self.upstreams.status(),
            history: self.history.as_ref().map(HistoryHandle::status).unwrap_or_default(),
            fleet: self.fleet.as_ref().map(FleetHandle::status),
            bridge: self.bridge_status(),
        }
    }

    fn bridge_status(&self) -> Option<BridgeStatus> {
        let Askers { agent, gateway } = self.bridge.askers()?;
        let ask = |part: &Asker| {
            let numbers = part.ask(BRIDGE_PATIENCE).unwrap_or_default().into_iter();
            numbers.map(|(name, number)| (name.to_owned(), number)).collect()
        };
        let gateway = gateway.as_ref().map(ask).unwrap_or_default();
        Some(BridgeStatus { agent: ask(&agent), gateway })
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
            max_bytes: self.room.store_bytes_max(),
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
    let answers = ask_metrics(mailboxes);
    let until = Instant::now() + PATIENCE;
    answers.into_iter().try_fold(Metrics::default(), |sum, answer| {
        let left = until.saturating_duration_since(Instant::now());
        Some(sum.plus(&answer.recv_timeout(left).ok()?))
    })
}

fn ask_metrics(mailboxes: &[Mailbox]) -> Vec<mpsc::Receiver<Metrics>> {
    let ask = |mailbox: &Mailbox| {
        let (reply, answer) = mpsc::sync_channel(1);
        mailbox.send(Mail::Metrics(reply));
        answer
    };
    mailboxes.iter().map(ask).collect()
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

fn rules(figures: Vec<RuleFigures>) -> Vec<RuleStatus> {
    let rules = figures.into_iter();
    rules
        .map(|RuleFigures { status: rule, handling_ns, commit_lag_ms, .. }| RuleStatus {
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

/// What the `$SYS` tree says of the fleet: what its status does, and whether each box is there.
fn fleet_facts(fleet: FleetStatus) -> Vec<(String, String)> {
    let mut figures = vec![
        ("state".to_owned(), if fleet.is_connected { "1" } else { "0" }.to_owned()),
        ("name".to_owned(), fleet.name),
    ];
    let numbers = [
        ("acknowledged", fleet.acknowledged),
        ("depth", fleet.depth),
        ("depth_bytes", fleet.depth_bytes),
        ("filters", fleet.filters),
        ("received", fleet.received),
        ("repeated", fleet.repeated),
        ("retained", fleet.retained),
        ("retained_received", fleet.retained_received),
        ("retained_sent", fleet.retained_sent),
        ("sent", fleet.sent),
        ("without_room", fleet.without_room),
    ];
    figures.extend(numbers.map(|(name, number)| (name.to_owned(), number.to_string())));
    let dropped = fleet.dropped.into_iter();
    figures.extend(dropped.map(|(reason, count)| (format!("dropped/{reason}"), count.to_string())));
    for one in fleet.boxes {
        figures.push((format!("boxes/{}/state", one.name), u8::from(one.is_here).to_string()));
        figures.push((format!("boxes/{}/filters", one.name), one.filters.to_string()));
    }
    figures
}

/// What the `$SYS` tree says of the bridge: what its status does.
fn bridge_facts(bridge: BridgeStatus) -> Vec<(String, String)> {
    let BridgeStatus { agent, gateway } = bridge;
    let facts = |part, numbers: BTreeMap<String, u64>| {
        let fact =
            move |(name, number): (String, u64)| (format!("{part}/{name}"), number.to_string());
        numbers.into_iter().map(fact)
    };
    facts("agent", agent).chain(facts("gateway", gateway)).collect()
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
