//! `weir doctor`: what is wrong on this machine, or will be, and how to mend it. It looks and changes
//! nothing: the one thing that it writes is a file beside the store to time the disk with, and that
//! is removed. It needs no running broker, and asks one if there is one.

mod certificates;
mod clock;
mod disk;
mod finding;
mod limits;
mod network;
mod permissions;
mod ports;
mod running;

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use super::admin::Access;
use super::check::count;
use super::{Answer, CliError, say, status};
use crate::clock::unix_ms;
use crate::config::{Config, ConfigError, HostPort, Overrides, load};
use crate::status::Status;
use finding::{Finding, Verdict};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Run it as the user that runs weir, or as root, who may look at everything.

Exit code: 0 = no problem, 1 = problems, 2 = it could not look.")]
pub(crate) struct Arguments {
    /// Configuration file; without it what `weir run` does without one is looked at
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Value that goes before the file, such as limits.max_packet_size=1MB
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Directory of the store; goes before every other place that names one
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,
    /// Address of the admin server; without it that of the configuration, or 127.0.0.1:8080
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<HostPort>,
    #[command(flatten)]
    access: Access,
    /// Also connect to the upstreams, each address once
    #[arg(long)]
    network: bool,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

/// The answer as JSON.
#[derive(Serialize)]
struct Report<'a> {
    version: &'static str,
    problems: usize,
    warnings: usize,
    findings: &'a [Finding],
}

pub(crate) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    let findings = look(arguments)?;
    let count = |verdict| findings.iter().filter(|found| found.verdict == verdict).count();
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        problems: count(Verdict::Problem),
        warnings: count(Verdict::Warning),
        findings: &findings,
    };
    say(&match arguments.json {
        true => format!("{}\n", serde_json::to_string(&report).expect("texts are JSON")),
        false => text(&report),
    })?;
    Ok(if report.problems == 0 { Answer::Yes } else { Answer::No })
}

fn look(arguments: &Arguments) -> Result<Vec<Finding>, CliError> {
    let overrides = Overrides::of_process(arguments.set.clone());
    let loaded = match load(arguments.config.as_deref(), &overrides) {
        Ok(loaded) => loaded,
        // What else there is to look at depends on what is wrong here.
        Err(ConfigError::Invalid { problems }) => {
            return Ok(problems.iter().map(Finding::of_file).collect());
        }
        Err(error) => return Err(error.into()),
    };
    let mut config = loaded.config;
    if let Some(data_dir) = &arguments.data_dir {
        config.data_dir.clone_from(data_dir);
    }
    let mut findings: Vec<Finding> = loaded.warnings.iter().map(Finding::of_file).collect();
    if findings.is_empty() {
        let rules = count(loaded.plan.rules().count(), "rule");
        findings.push(Finding::ok("config", format!("the configuration and {rules} are right")));
    }
    let status = running(arguments, &config);
    findings.extend(permissions::look(arguments.config.as_deref(), &config));
    findings.extend(clock::look(&config, unix_ms()));
    findings.extend(disk::look(&config, status.as_ref()));
    let holders = ports::holders(&config);
    findings.extend(ports::look(&holders, status.is_some()));
    findings.extend(limits::look(&config, ports::broker(&holders)));
    findings.extend(certificates::look(&config, unix_ms() / 1000));
    findings.extend(network::look(&config, arguments.network));
    findings.extend(running::look(&config, status.as_ref()));
    Ok(findings)
}

/// How a broker of this configuration is, if one runs.
fn running(arguments: &Arguments, config: &Config) -> Option<Status> {
    let default = || HostPort::new("127.0.0.1", 8080);
    let admin = arguments.admin.clone().or_else(|| config.admin.address.clone());
    // Port 0 is for tests: nobody knows which one it became.
    let admin = Some(admin.unwrap_or_else(default)).filter(|admin| admin.port() != 0)?;
    status::fetch(&admin, &arguments.access).ok().map(|(status, _)| status)
}

fn text(report: &Report<'_>) -> String {
    let mut text = String::new();
    for found in report.findings {
        let (verdict, check) = (found.verdict.name(), found.check);
        writeln!(text, "{verdict:<8} {check:<12} {}", found.what)
            .expect("a String takes everything");
        for (label, words) in [("where", &found.place), ("help", &found.help)] {
            if let Some(words) = words {
                writeln!(text, "{:<8} {label:>12} {words}", "").expect("as above");
            }
        }
    }
    let (problems, warnings) =
        (count(report.problems, "problem"), count(report.warnings, "warning"));
    writeln!(text, "{problems}, {warnings}").expect("as above");
    text
}

#[cfg(test)]
mod tests;
