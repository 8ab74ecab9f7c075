//! What is shown in each pane, as tables and lines of a name and a value.

use super::clients::{Client, Clients};
use super::rates::{ClientRates, Rates, bridge_counters};
use super::table::{Cell, Column, Table, number, short, text, time};
use crate::cli::store::size;
use crate::status::{RuleStatus, Status, UpstreamState, UpstreamStatus};

/// A part of the broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Pane {
    #[default]
    Overview,
    Clients,
    Rules,
    Upstreams,
    Store,
    Bridge,
}

/// A name and a value; what somebody should look at is marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fact {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) is_bad: bool,
}

impl Pane {
    pub(super) const ALL: [Self; 6] =
        [Self::Overview, Self::Clients, Self::Rules, Self::Upstreams, Self::Store, Self::Bridge];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Clients => "clients",
            Self::Rules => "rules",
            Self::Upstreams => "upstreams",
            Self::Store => "store",
            Self::Bridge => "bridge",
        }
    }

    /// The pane `steps` further on, around the end.
    pub(super) fn moved(self, steps: usize) -> Self {
        let at = Self::ALL.iter().position(|pane| *pane == self).unwrap_or(0);
        Self::ALL[(at + steps) % Self::ALL.len()]
    }

    /// What stands alone in a pane, or below its table.
    pub(super) fn facts(self, status: &Status) -> Vec<Fact> {
        match self {
            Self::Overview => overview(status),
            Self::Clients => sessions(status),
            Self::Store => store(status),
            Self::Upstreams => errors(status),
            Self::Bridge | Self::Rules => Vec::new(),
        }
    }

    pub(super) fn table(self, status: &Status, rates: &Rates, unix_ms: u64) -> Option<Table> {
        match self {
            Self::Bridge => Some(bridge(status, rates)),
            Self::Rules => Some(rules(status, rates)),
            Self::Upstreams => Some(upstreams(status, rates, unix_ms)),
            Self::Clients | Self::Overview | Self::Store => None,
        }
    }
}

fn fact(name: impl Into<String>, value: impl Into<String>) -> Fact {
    Fact { name: name.into(), value: value.into(), is_bad: false }
}

fn bad_if(is_bad: bool, fact: Fact) -> Fact {
    Fact { is_bad, ..fact }
}

fn overview(status: &Status) -> Vec<Fact> {
    let works =
        |one: &&UpstreamStatus| matches!(one.state, UpstreamState::Connected | UpstreamState::Idle);
    let connected = status.upstreams.iter().filter(works).count();
    let upstreams = format!("{connected} of {} connected", status.upstreams.len());
    let waiting: u64 = status.upstreams.iter().map(|one| one.depth).sum();
    let errors: u64 = status.rules.iter().map(|rule| rule.errors).sum();
    let dropped: u64 = status.messages.dropped.values().sum();
    let store = &status.store;
    vec![
        fact("connections", format!("{}, sessions {}", status.connections, status.sessions)),
        fact("subscribed", format!("{}, retained {}", status.subscriptions, status.retained)),
        bad_if(dropped > 0, fact("dropped", short(dropped))),
        bad_if(errors > 0, fact("rules", format!("{}, errors {errors}", status.rules.len()))),
        bad_if(
            connected < status.upstreams.len(),
            fact("upstreams", format!("{upstreams}, waiting {}", short(waiting))),
        ),
        bad_if(
            store.status != "ok",
            fact("store", format!("{}, {}", store.status, size(store.used_bytes))),
        ),
        fact("commits", commits(status)),
    ]
}

fn commits(status: &Status) -> String {
    let ms = |us: u64| format!("{:.1} ms", us as f64 / 1e3);
    let store = &status.store;
    format!("half within {}, 99 % within {}", ms(store.commit_p50_us), ms(store.commit_p99_us))
}

fn sessions(status: &Status) -> Vec<Fact> {
    let auth = &status.auth;
    let mut facts = vec![
        fact("connections", status.connections.to_string()),
        fact("sessions", status.sessions.to_string()),
        fact("subscriptions", status.subscriptions.to_string()),
        fact("retained", status.retained.to_string()),
    ];
    let numbers = [("wrong credentials", auth.refused), ("revoked", auth.revoked)];
    facts.extend(numbers.map(|(name, number)| bad_if(number > 0, fact(name, number.to_string()))));
    let counted = [
        ("refused", &status.refused),
        ("too fast", &status.throttled),
        ("dropped", &status.messages.dropped),
    ];
    for (what, counts) in counted {
        for (reason, number) in counts.iter().filter(|(_, number)| **number > 0) {
            facts.push(bad_if(true, fact(format!("{what}: {reason}"), number.to_string())));
        }
    }
    facts
}

fn store(status: &Status) -> Vec<Fact> {
    let store = &status.store;
    let mut facts = vec![bad_if(store.status != "ok", fact("condition", &*store.status))];
    facts.extend(store.problem.iter().map(|problem| bad_if(true, fact("problem", &**problem))));
    facts.extend([
        fact("records", format!("{}, in a file of {}", size(store.used_bytes), size(store.bytes))),
        fact("queued", format!("{} messages in the log", short(store.log_records))),
        fact(
            "written",
            format!("{} in {} flushes", size(store.bytes_written), short(store.flushes)),
        ),
        fact("commits", short(store.commits)),
        fact("take", commits(status)),
    ]);
    for one in &status.history {
        let missed: u64 = one.dropped.values().sum();
        let value =
            format!("{} messages, {}, missed {missed}", short(one.messages), size(one.bytes));
        facts.push(bad_if(missed > 0, fact(format!("history {}", one.filter), value)));
    }
    facts
}

const CLIENTS: &[Column] = &[
    text("client", 16),
    text("here", 4),
    number("in/s", 6),
    number("out/s", 6),
    number("waiting", 7),
    number("dropped", 7),
    number("filters", 7),
    number("in", 7),
    number("out", 7),
    text("address", 21),
];

/// The clients that were told.
pub(super) fn clients(clients: &[Client], rates: &ClientRates) -> Table {
    let row = |client: &Client| {
        let [received, sent] = rates.get(&client.client_id).copied().unwrap_or_default();
        vec![
            Cell::text(&*client.client_id),
            Cell::text(if client.connected { "yes" } else { "no" }),
            Cell::number(received),
            Cell::number(sent),
            Cell::number(client.queued_messages),
            Cell::number(client.dropped.values().sum()),
            Cell::number(client.subscriptions),
            Cell::number(client.received),
            Cell::number(client.sent),
            Cell::text(client.address.as_deref().unwrap_or("-")),
        ]
    };
    let rows = clients.iter().map(row).collect();
    Table { columns: CLIENTS, rows, nothing: "there are no clients" }
}

/// That these are not all.
pub(super) fn more(found: &Clients) -> Vec<Fact> {
    let count = found.clients.len();
    let note = || fact("more:", format!("only the first {count} are shown, by name"));
    found.next.is_some().then(note).into_iter().collect()
}

/// Why there is no list.
pub(super) fn untold(reason: &str) -> Fact {
    bad_if(true, fact("no list", reason))
}

const RULES: &[Column] = &[
    text("rule", 16),
    number("in/s", 6),
    number("out/s", 6),
    number("errors", 6),
    number("late", 6),
    number("dropped", 7),
    number("keys", 6),
    number("in", 7),
    number("out", 7),
    number("p99 us", 7),
    text("state", 7),
];

fn rules(status: &Status, rates: &Rates) -> Table {
    let row = |rule: &RuleStatus| {
        let [read, sent] = rates.rules.get(&rule.name).copied().unwrap_or_default();
        let p99 = rule.handling_p99_ns.unwrap_or(0) as f64 / 1e3;
        vec![
            Cell::text(&*rule.name),
            Cell::number(read),
            Cell::number(sent),
            Cell::number(rule.errors),
            Cell::number(rule.late),
            Cell::number(rule.dropped),
            Cell::number(rule.keys),
            Cell::number(rule.matched),
            Cell::number(rule.emitted),
            Cell::shown(format!("{p99:.1}"), p99),
            Cell::text(if rule.paused { "paused" } else { "runs" }),
        ]
    };
    let rows = status.rules.iter().map(row).collect();
    Table { columns: RULES, rows, nothing: "there are no rules" }
}

const UPSTREAMS: &[Column] = &[
    text("upstream", 12),
    text("state", 10),
    number("waiting", 7),
    number("ack/s", 6),
    number("oldest", 7),
    number("empty in", 8),
    number("dropped", 7),
    number("sent", 7),
];

fn upstreams(status: &Status, rates: &Rates, unix_ms: u64) -> Table {
    let row = |one: &UpstreamStatus| {
        let oldest = one.oldest_at_ms.map(|at| unix_ms.saturating_sub(at) / 1000);
        let or_dash = |seconds: Option<u64>| match seconds {
            Some(seconds) => Cell::shown(time(seconds), seconds as f64),
            None => Cell::shown("-", -1.0),
        };
        vec![
            Cell::text(&*one.name),
            Cell::text(state(one.state)),
            Cell::number(one.depth),
            Cell::number(rates.upstreams.get(&one.name).copied().unwrap_or(0)),
            or_dash(oldest),
            or_dash(one.empty_in_s),
            Cell::number(one.dropped.values().sum()),
            Cell::number(one.sent),
        ]
    };
    let rows = status.upstreams.iter().map(row).collect();
    Table { columns: UPSTREAMS, rows, nothing: "there are no upstreams" }
}

/// What went wrong last, for each.
fn errors(status: &Status) -> Vec<Fact> {
    let error = |one: &UpstreamStatus| {
        Some(bad_if(true, fact(format!("{}:", one.name), one.last_error.as_deref()?)))
    };
    status.upstreams.iter().filter_map(error).collect()
}

fn state(state: UpstreamState) -> &'static str {
    match state {
        UpstreamState::Connected => "connected",
        UpstreamState::Connecting => "connecting",
        UpstreamState::Idle => "idle",
        UpstreamState::Stopped => "stopped",
        UpstreamState::Waiting => "waiting",
    }
}

const BRIDGE: &[Column] = &[text("counter", 24), number("per s", 7), number("since start", 12)];

fn bridge(status: &Status, rates: &Rates) -> Table {
    let counters = bridge_counters(status).into_iter();
    let row = |(name, count): (String, u64)| {
        let rate = Cell::number(rates.bridge.get(&name).copied().unwrap_or(0));
        vec![Cell::text(name), rate, Cell::shown(count.to_string(), count as f64)]
    };
    let rows = counters.map(row).collect();
    Table { columns: BRIDGE, rows, nothing: "there is no bridge in this broker" }
}
