//! `weir status`: asks the admin server of a running broker.

use std::fmt::Write as _;

mod fleet;

use super::{
    Answer, CliError,
    admin::{self, Access},
    say,
};
use crate::{
    admin::STATUS_PATH,
    clock::unix_ms,
    config::HostPort,
    status::{BridgeStatus, Status, UpstreamStatus},
};

/// From when on a pace is told.
const PACE_SECONDS_MIN: u64 = 60;

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code: 0 = ready, 1 = running but not ready, 2 = no answer.")]
pub(crate) struct Arguments {
    /// Address of the admin server
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    admin: HostPort,
    #[command(flatten)]
    access: Access,
    /// Print the answer of the server as it is
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    let (status, body) = fetch(&arguments.admin, &arguments.access)?;
    let text = if arguments.json { format!("{body}\n") } else { table(&status, unix_ms()) };
    say(&text)?;
    Ok(if status.ready { Answer::Yes } else { Answer::No })
}

/// The status of a broker, and the text in which it came.
pub(crate) fn fetch(admin: &HostPort, access: &Access) -> Result<(Status, String), CliError> {
    admin::get(admin, access, STATUS_PATH)?.ok()?.json()
}

fn table(status: &Status, unix_ms: u64) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        writeln!(text, "{name:<14} {value}").expect("a String takes everything");
    };
    let ready = if status.ready { "" } else { ", not ready" };
    line("version", format!("{}{ready}", status.version));
    line("uptime", uptime(status.uptime_s));
    if status.clock_unset {
        line("clock", "not set yet: rules do not hold time stamps against it".to_owned());
    }
    line("shards", status.shards.to_string());
    line("connections", status.connections.to_string());
    let auth = &status.auth;
    for (what, number) in [("refused", auth.refused), ("revoked", auth.revoked)] {
        if number > 0 {
            line("  clients", format!("{number} {what}"));
        }
    }
    if let Some(service) = &auth.service {
        let (requests, failures) = (service.requests, service.failures);
        line("auth.http", format!("{requests} requests, {failures} without an answer"));
    }
    line("sessions", status.sessions.to_string());
    line("subscriptions", status.subscriptions.to_string());
    line("retained", status.retained.to_string());
    let messages = &status.messages;
    line("messages", format!("{} received, {} sent", messages.received, messages.sent));
    for (reason, number) in messages.dropped.iter().filter(|(_, number)| **number > 0) {
        line("  dropped", format!("{number} {reason}"));
    }
    for (rate, number) in status.throttled.iter().filter(|(_, number)| **number > 0) {
        line("throttled", format!("{number} times for {rate}"));
    }
    let store = &status.store;
    line(
        "store",
        format!(
            "{} bytes written, {} commits, {} queued messages",
            store.bytes_written, store.commits, store.log_records
        ),
    );
    if let Some(problem) = &store.problem {
        line(&format!("  {}", store.status), problem.clone());
    }
    if let Some(bytes) = bytes_per_day(status) {
        let flushes = store.flushes;
        line("  flash", format!("{} a day at this pace, {flushes} flushes", size(bytes)));
    }
    if !status.rules.is_empty() {
        push_grid(&mut text, &rule_rows(status));
    }
    if !status.upstreams.is_empty() {
        push_grid(&mut text, &upstream_rows(status, unix_ms));
    }
    if !status.history.is_empty() {
        push_grid(&mut text, &history_rows(status, unix_ms));
    }
    if let Some(fleet) = &status.fleet {
        fleet::push(&mut text, fleet, unix_ms);
    }
    if let Some(bridge) = &status.bridge {
        push_bridge(&mut text, bridge);
    }
    text
}

fn rule_rows(status: &Status) -> Vec<Vec<String>> {
    let head = ["rule", "matched", "emitted", "late", "errors", "keys"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for rule in &status.rules {
        let numbers = [rule.matched, rule.emitted, rule.late, rule.errors, rule.keys];
        let numbers = numbers.iter().map(u64::to_string);
        rows.push(std::iter::once(rule.name.clone()).chain(numbers).collect());
    }
    rows
}

fn upstream_rows(status: &Status, unix_ms: u64) -> Vec<Vec<String>> {
    let head = [
        "upstream",
        "waiting",
        "bytes",
        "oldest",
        "empty in",
        "sent",
        "acknowledged",
        "received",
        "dropped",
        "state",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for upstream in &status.upstreams {
        let age = |since: u64| uptime(unix_ms.saturating_sub(since) / 1000);
        let oldest = upstream.oldest_at_ms.map_or("-".to_owned(), age);
        let dropped: u64 = upstream.dropped.values().sum();
        let numbers = [upstream.sent, upstream.acknowledged, upstream.received, dropped];
        let empty_in = upstream.empty_in_s.map_or("-".to_owned(), uptime);
        let waiting = [waiting(upstream), size(upstream.depth_bytes), oldest, empty_in];
        let mut state = format!("{:?}", upstream.state).to_lowercase();
        if let Some(error) = &upstream.last_error {
            state.push_str(&format!(" (last error: {error})"));
        }
        let row = std::iter::once(upstream.name.clone()).chain(waiting);
        rows.push(row.chain(numbers.map(|number| number.to_string())).chain([state]).collect());
    }
    rows
}

/// What each part of the bridge has counted, without what is zero.
fn push_bridge(text: &mut String, bridge: &BridgeStatus) {
    text.push_str("\nbridge\n");
    for (part, numbers) in [("agent", &bridge.agent), ("gateway", &bridge.gateway)] {
        let numbers = numbers.iter().filter(|(_, number)| **number > 0);
        let numbers: Vec<String> =
            numbers.map(|(name, number)| format!("{number} {}", name.replace('_', " "))).collect();
        if !numbers.is_empty() {
            writeln!(text, "  {part:<12} {}", numbers.join(", "))
                .expect("a String takes everything");
        }
    }
}

/// How many messages wait, and how many of them with another priority than most.
fn waiting(upstream: &UpstreamStatus) -> String {
    let depth = upstream.depth;
    let others = upstream.depth_by_priority.iter().filter(|(name, _)| *name != "normal");
    let others: Vec<String> = others.map(|(name, count)| format!("{count} {name}")).collect();
    match others.is_empty() {
        true => depth.to_string(),
        false => format!("{depth} ({})", others.join(", ")),
    }
}

fn history_rows(status: &Status, unix_ms: u64) -> Vec<Vec<String>> {
    let head = ["history", "messages", "bytes", "oldest", "missed"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for history in &status.history {
        let age = |since: u64| uptime(unix_ms.saturating_sub(since) / 1000);
        let oldest = history.oldest_at_ms.map_or("-".to_owned(), age);
        // Some are messages and some are parts of files, so they have no sum.
        let missed = history.dropped.iter().map(|(why, count)| format!("{count} {why}"));
        let missed: Vec<String> = missed.collect();
        let missed = if missed.is_empty() { "-".to_owned() } else { missed.join(", ") };
        let held = [history.messages.to_string(), size(history.bytes), oldest, missed];
        rows.push(std::iter::once(history.filter.clone()).chain(held).collect());
    }
    rows
}

/// Writes rows with aligned columns: the first to the left, numbers to the right.
pub(crate) fn push_grid(text: &mut String, rows: &[Vec<String>]) {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    text.push('\n');
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            match cell.parse::<u64>().is_ok() || (column > 0 && column + 1 < columns) {
                true => format!("{cell:>width$}"),
                false => format!("{cell:<width$}"),
            }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
}

/// What the store writes to the disk in a day, if it goes on as it has since the start; none while
/// the start itself counts for most of it.
fn bytes_per_day(status: &Status) -> Option<u64> {
    let written = u128::from(status.store.bytes_written) * 86_400;
    let is_long_enough = status.uptime_s >= PACE_SECONDS_MIN && written > 0;
    let per_day = is_long_enough.then(|| written / u128::from(status.uptime_s))?;
    Some(u64::try_from(per_day).unwrap_or(u64::MAX))
}

/// Two or three digits and a unit.
pub(crate) fn size(bytes: u64) -> String {
    let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "KB")];
    let bytes = bytes as f64;
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) if bytes < 10.0 * unit => format!("{:.1} {name}", bytes / unit),
        Some((unit, name)) => format!("{:.0} {name}", bytes / unit),
        None => format!("{bytes} bytes"),
    }
}

fn uptime(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {seconds} s"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{
        AuthStatus, HistoryStatus, RuleStatus, ServiceStatus, StoreStatus, UpstreamState,
    };

    const NOW_MS: u64 = 1_800_000_000_000;

    #[test]
    fn the_table_is_aligned() {
        let status = Status {
            version: "0.1.0".into(),
            uptime_s: 3_700,
            ready: true,
            auth: AuthStatus {
                revoked: 2,
                service: Some(ServiceStatus { requests: 9, failures: 1, remembered: 4 }),
                ..AuthStatus::default()
            },
            store: StoreStatus {
                status: "full".into(),
                problem: Some("the disk is full; make room".into()),
                ..StoreStatus::default()
            },
            rules: vec![
                RuleStatus { name: "room-average".into(), matched: 1200, ..RuleStatus::default() },
                RuleStatus { name: "tank".into(), emitted: 7, ..RuleStatus::default() },
            ],
            upstreams: vec![UpstreamStatus {
                name: "cloud".into(),
                state: UpstreamState::Waiting,
                depth: 3,
                depth_by_priority: [("normal".to_owned(), 1), ("high".to_owned(), 2)].into(),
                depth_bytes: 1_500,
                oldest_at_ms: Some(NOW_MS - 125_000),
                empty_in_s: Some(100),
                dropped: [("qos0".to_owned(), 2)].into(),
                sent: 10,
                acknowledged: 7,
                received: 5,
                last_error: Some("connection refused".into()),
            }],
            history: vec![
                HistoryStatus {
                    filter: "alarms/#".into(),
                    messages: 12,
                    bytes: 1_500,
                    oldest_at_ms: Some(NOW_MS - 90_000_000),
                    dropped: [("damaged".to_owned(), 1), ("failed".to_owned(), 20)].into(),
                },
                HistoryStatus { filter: "#".into(), ..HistoryStatus::default() },
            ],
            ..Status::default()
        };
        let expected = "\
version        0.1.0
uptime         1 h 1 min
shards         0
connections    0
  clients      2 revoked
auth.http      9 requests, 1 without an answer
sessions       0
subscriptions  0
retained       0
messages       0 received, 0 sent
store          0 bytes written, 0 commits, 0 queued messages
  full         the disk is full; make room

rule          matched  emitted  late  errors  keys
room-average     1200        0     0       0     0
tank                0        7     0       0     0

upstream     waiting   bytes     oldest    empty in  sent  acknowledged  received  dropped  state
cloud     3 (2 high)  1.5 KB  2 min 5 s  1 min 40 s    10             7         5        2  waiting (last error: connection refused)

history   messages    bytes   oldest  missed
alarms/#        12   1.5 KB  1 d 1 h  1 damaged, 20 failed
#                0  0 bytes        -  -
";
        let table = table(&status, NOW_MS);
        assert_eq!(table, expected, "{table}");
    }

    #[test]
    fn the_pace_of_writing_is_told_after_a_minute() {
        let store = StoreStatus { bytes_written: 41_700_000, flushes: 90, ..Default::default() };
        let mut status = Status { uptime_s: 3_000, store, ..Status::default() };
        let line = "\n  flash        1.2 GB a day at this pace, 90 flushes\n";
        assert!(table(&status, NOW_MS).contains(line), "{}", table(&status, NOW_MS));
        status.uptime_s = 59;
        assert!(!table(&status, NOW_MS).contains("flash"));
    }

    #[test]
    fn sizes_have_two_or_three_digits() {
        let sizes = [999, 1_000, 15_400, 999_000, 1_240_000_000, u64::MAX].map(size);
        assert_eq!(sizes, ["999 bytes", "1.0 KB", "15 KB", "999 KB", "1.2 GB", "18446744 TB"]);
    }

    #[test]
    fn uptime_shows_two_units() {
        assert_eq!(uptime(5), "5 s");
        assert_eq!(uptime(125), "2 min 5 s");
        assert_eq!(uptime(90_000), "1 d 1 h");
    }

    #[test]
    fn the_bridge_has_a_line_for_each_part_that_has_something_to_say() {
        let numbers = |numbers: &[(&str, u64)]| {
            numbers.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
        };
        let bridge = BridgeStatus {
            agent: numbers(&[("samples", 12), ("samples_dropped", 0)]),
            gateway: numbers(&[("clients", 3), ("frames_in", 40)]),
        };
        let mut text = String::new();
        push_bridge(&mut text, &bridge);
        let expected =
            "\nbridge\n  agent        12 samples\n  gateway      3 clients, 40 frames in\n";
        assert_eq!(text, expected);
        let mut quiet = String::new();
        push_bridge(&mut quiet, &BridgeStatus::default());
        assert_eq!(quiet, "\nbridge\n");
    }
}
