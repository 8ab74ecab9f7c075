//! `weir rules status`, `pause`, `resume` and `reset`: rules of a running broker, by its admin
//! server.

use std::fmt::Display;

use serde_json::json;

use super::super::{Answer, CliError, admin::Access, running::Running, say, say_json, status};
use crate::{RuleCommand, admin::RULES_PATH, config::HostPort, status::RuleStatus};

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code: 0 = ok, 1 = no such rule, 2 = no answer.")]
pub(crate) struct OneRule {
    /// Name of the rule
    #[arg(value_name = "RULE")]
    pub(super) rule: String,
    #[command(flatten)]
    broker: Running,
    /// Print the answer as JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StatusArguments {
    /// Only these rules
    #[arg(value_name = "RULE")]
    rules: Vec<String>,
    /// Address of the admin server
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    admin: HostPort,
    #[command(flatten)]
    access: Access,
    /// Print what the server says of the rules as it is
    #[arg(long)]
    json: bool,
}

/// Does something to a rule.
pub(super) fn command(arguments: &OneRule, command: RuleCommand) -> Result<Answer, CliError> {
    let rule = &arguments.rule;
    check_name(rule)?;
    let path = format!("{RULES_PATH}/{rule}/{}", command.word());
    let response = arguments.broker.server()?.post(&path, "")?;
    let is_done = match response.code() {
        Some(200) => true,
        Some(404) => false,
        _ => return Err(response.unexpected()),
    };
    let text = response.message()?;
    match is_done {
        _ if arguments.json => say_json(&json!({ "ok": is_done, "rule": rule, "text": text }))?,
        true => say(&format!("{text}\n"))?,
        false => eprintln!("{text}"),
    }
    Ok(if is_done { Answer::Yes } else { Answer::No })
}

/// The server would not know a rule with another name either, nor find its way to it.
pub(super) fn check_name(rule: &str) -> Result<(), CliError> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !rule.is_empty() && rule.chars().all(is_name) {
        return Ok(());
    }
    Err(CliError::Argument {
        argument: "RULE",
        reason: format!("`{rule}` cannot be the name of a rule"),
        help: "a name has letters, digits, - and _; `weir rules status` lists them".to_owned(),
    })
}

/// Shows how rules are.
pub(super) fn show(arguments: &StatusArguments) -> Result<Answer, CliError> {
    let (found, _) = status::fetch(&arguments.admin, &arguments.access)?;
    let wanted =
        |rule: &&RuleStatus| arguments.rules.is_empty() || arguments.rules.contains(&rule.name);
    let rules: Vec<&RuleStatus> = found.rules.iter().filter(wanted).collect();
    let mut answer = Answer::Yes;
    for name in &arguments.rules {
        if !found.rules.iter().any(|rule| rule.name == *name) {
            eprintln!("no rule `{name}` runs there");
            answer = Answer::No;
        }
    }
    let text = if arguments.json {
        let json = serde_json::to_string_pretty(&rules);
        json.expect("numbers and texts are JSON") + "\n"
    } else if rules.is_empty() {
        "no rules\n".to_owned()
    } else {
        let mut text = String::new();
        status::push_grid(&mut text, &rows(&rules));
        text.trim_start().to_owned()
    };
    say(&text)?;
    Ok(answer)
}

fn rows(rules: &[&RuleStatus]) -> Vec<Vec<String>> {
    let head = [
        "rule", "matched", "filtered", "late", "dropped", "errors", "emitted", "keys", "state",
        "in", "out", "lag", "p50", "p99", "commit", "paused",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for rule in rules {
        let numbers = [
            rule.matched,
            rule.filtered,
            rule.late,
            rule.dropped,
            rule.errors,
            rule.emitted,
            rule.keys,
        ];
        let sizes = [rule.state_bytes, rule.bytes_in, rule.bytes_out].map(status::size);
        let lag = milliseconds(rule.watermark_lag_ms);
        let times = [rule.handling_p50_ns, rule.handling_p99_ns].map(nanoseconds);
        let commit = milliseconds(rule.commit_lag_p99_ms);
        let paused = if rule.paused { "paused" } else { "" };
        let row = std::iter::once(rule.name.clone()).chain(numbers.iter().map(u64::to_string));
        let row = row.chain(sizes).chain([lag]).chain(times);
        rows.push(row.chain([commit, paused.to_owned()]).collect());
    }
    rows
}

fn milliseconds(time: Option<impl Display>) -> String {
    time.map_or("-".to_owned(), |time| format!("{time} ms"))
}

/// Two or three digits and a unit.
fn nanoseconds(time: Option<u64>) -> String {
    match time {
        None => "-".to_owned(),
        Some(time @ 0..1_000) => format!("{time} ns"),
        Some(time @ 1_000..1_000_000) => format!("{:.1} us", time as f64 / 1e3),
        Some(time) => format!("{:.1} ms", time as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_for_each_rule() {
        let tank = RuleStatus {
            name: "tank".into(),
            paused: true,
            matched: 12,
            state_bytes: 15_400,
            watermark_lag_ms: Some(250),
            handling_p50_ns: Some(800),
            handling_p99_ns: Some(2_150),
            commit_lag_p99_ms: Some(8),
            ..RuleStatus::default()
        };
        let mut text = String::new();
        status::push_grid(&mut text, &rows(&[&tank]));
        let expected = "
rule  matched  filtered  late  dropped  errors  emitted  keys  state       in      out     lag     p50     p99  commit  paused
tank       12         0     0        0       0        0     0  15 KB  0 bytes  0 bytes  250 ms  800 ns  2.1 us    8 ms  paused
";
        assert_eq!(text, expected, "{text}");
    }
}
