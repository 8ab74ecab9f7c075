//! `weir store info`: what a store holds.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::{Answer, Any, CliError, failure, say, size};
use crate::store::{Examination, examine, kept};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    store: Any,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

/// The answer as JSON.
#[derive(Serialize)]
struct Info<'a> {
    file: &'a Path,
    /// Damaged files that were put aside.
    put_aside: &'a [PathBuf],
    #[serde(flatten)]
    found: &'a Examination,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    let path = arguments.store.file()?;
    let found = examine(&path).map_err(|error| failure(&path, error))?;
    let put_aside = path.parent().map(kept).unwrap_or_default();
    let info = Info { file: &path, put_aside: &put_aside, found: &found };
    if arguments.json {
        let json = serde_json::to_string(&info).expect("names and numbers are JSON");
        say(&format!("{json}\n"))?;
    } else {
        say(&text(&info, now_ms()))?;
    }
    Ok(if found.is_whole() { Answer::Yes } else { Answer::No })
}

fn text(info: &Info<'_>, now_ms: u64) -> String {
    let found = info.found;
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        writeln!(text, "{name:<16} {value}").expect("a String takes everything");
    };
    line("file", info.file.display().to_string());
    line("format version", found.format_version.map_or("?".to_owned(), |v| v.to_string()));
    line("starts", found.starts.map_or("?".to_owned(), |starts| starts.to_string()));
    line("size", format!("{}, {} of it spare", size(found.file_bytes), size(found.spare_bytes)));
    let age = |at: Option<u64>| at.map(|at| age(now_ms.saturating_sub(at)));
    if let (Some(oldest), Some(newest)) = (age(found.oldest_at_ms), age(found.newest_at_ms)) {
        line("queued messages", format!("received {oldest} to {newest} ago"));
    }
    if found.journal.records > 0 {
        let (records, bytes) = (found.journal.records, size(found.journal.bytes));
        line("journal", format!("{bytes}; {records} groups are not in the tables below yet"));
    }
    for problem in &found.problems {
        line("problem", problem.clone());
    }
    for path in info.put_aside {
        line("put aside", path.display().to_string());
    }
    writeln!(text, "\n{:<14} {:>10} {:>12}", "table", "rows", "bytes").expect("as above");
    for table in &found.tables {
        let (name, rows, bytes) = (table.table, table.rows, table.bytes);
        writeln!(text, "{name:<14} {rows:>10} {bytes:>12}").expect("as above");
    }
    let mut sessions: Vec<_> = found.sessions.iter().collect();
    sessions.sort_by_key(|session| std::cmp::Reverse(session.queued));
    if !sessions.is_empty() {
        writeln!(text, "\n{:>10} {:>12} {:>13}  session", "queued", "bytes", "subscriptions")
            .expect("as above");
    }
    for session in sessions.iter().take(SESSIONS_MAX) {
        let (queued, bytes) = (session.queued, session.queued_bytes);
        let (subscriptions, client_id) = (session.subscriptions, session.client_id.escape_debug());
        writeln!(text, "{queued:>10} {bytes:>12} {subscriptions:>13}  {client_id}")
            .expect("as above");
    }
    if let Some(more @ 1..) = sessions.len().checked_sub(SESSIONS_MAX) {
        writeln!(text, "{more} more sessions; --json has all").expect("as above");
    }
    text
}

/// The largest of its units, rounded down.
fn age(ms: u64) -> String {
    match ms / 1000 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The sessions with the longest queues come first; the rest is for programs.
const SESSIONS_MAX: usize = 20;
