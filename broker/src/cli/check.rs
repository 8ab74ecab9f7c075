//! `weir check`: what `weir run` would say about the configuration and the rules, without
//! opening a socket or a store.

use std::path::PathBuf;

use serde_json::json;

use super::{Answer, CliError, say, say_json};
use crate::config::{ConfigError, Loaded, Overrides, load};
use crate::diagnostic_json;

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code: 0 = right, 1 = wrong, 2 = a file cannot be read.")]
pub(crate) struct Arguments {
    /// Configuration file; without it the defaults are checked
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Value that goes before the file, such as limits.max_packet_size=1MB
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    let overrides = Overrides::of_process(arguments.set.clone());
    match load(arguments.config.as_deref(), &overrides) {
        Ok(loaded) if arguments.json => {
            say_json(&json!({
                "ok": true,
                "listeners": loaded.config.listeners.len(),
                "rules": loaded.plan.rules().count(),
                "rule_files": loaded.config.rules.len(),
                "upstreams": loaded.config.upstreams.len(),
                "problems": diagnostic_json::all(&loaded.warnings),
            }))?;
            Ok(Answer::Yes)
        }
        Err(ConfigError::Invalid { problems }) if arguments.json => {
            say_json(&json!({ "ok": false, "problems": diagnostic_json::all(&problems) }))?;
            Ok(Answer::No)
        }
        Ok(loaded) => {
            loaded.warnings.iter().for_each(|warning| eprint!("{warning}"));
            say(&format!("{}\n", summary(arguments, &loaded)))?;
            Ok(Answer::Yes)
        }
        Err(ConfigError::Invalid { problems }) => {
            problems.iter().for_each(|problem| eprint!("{problem}"));
            eprintln!("{}", count(problems.len(), "problem"));
            Ok(Answer::No)
        }
        Err(failure) => Err(failure.into()),
    }
}

fn summary(arguments: &Arguments, loaded: &Loaded) -> String {
    let Loaded { config, plan, warnings, .. } = loaded;
    let name = match &arguments.config {
        Some(path) => path.display().to_string(),
        None => "defaults".to_owned(),
    };
    let rules = plan.rules().count();
    format!(
        "{name}: ok ({}, {} in {}, {}, {})",
        count(config.listeners.len(), "listener"),
        count(rules, "rule"),
        count(config.rules.len(), "file"),
        count(config.upstreams.len(), "upstream"),
        count(warnings.len(), "warning"),
    )
}

/// "1 rule", "2 rules".
pub(crate) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
