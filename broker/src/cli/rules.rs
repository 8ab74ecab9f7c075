//! `weir rules`: work on rule files, and with the rules of a running broker.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use weir_rules::{CaseResult, Diagnostic, SCHEMA, Severity, Source, run_cases, trace_cases};

use crate::config::read_tables;

use super::{Answer, CliError, check::count, say, say_json};
use crate::{RuleCommand, diagnostic_json};

mod check;
mod control;
mod explain;
mod look;
mod replay;
mod suggestion;
mod trace;
mod trial;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Compile rule files and show every problem
    Check(Box<check::Arguments>),
    /// Tell what a rule reads, keeps and sends, and what that takes
    Explain(explain::Arguments),
    /// Stop a rule of a running broker until it is resumed
    Pause(control::OneRule),
    /// Run a rule over the history of messages, and compare it with another definition
    Replay(Box<replay::Arguments>),
    /// Let a rule of a running broker forget all that it knows
    Reset(control::OneRule),
    /// Let a paused rule go on
    Resume(control::OneRule),
    /// Show how the rules of a running broker are
    Status(control::StatusArguments),
    /// Print the JSON Schema of rule files, with which editors complete and check them
    Schema,
    /// Look at the messages of a filter and print a rule for them to begin with
    Suggest(Box<suggestion::Arguments>),
    /// Run the tests that stand in rule files, on a virtual clock
    Test {
        /// Rule files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Tell what became of each message
        #[arg(long)]
        trace: bool,
        /// Print what came of the tests as JSON
        #[arg(long, conflicts_with = "trace")]
        json: bool,
    },
    /// Tell what becomes of each message in a rule of a running broker
    Trace(trace::Arguments),
    /// Run rules over the messages of a broker, and print what they would send
    Try(Box<trial::Arguments>),
}

pub(crate) fn run(command: Command) -> Result<Answer, CliError> {
    match command {
        Command::Check(arguments) => check::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Pause(arguments) => control::command(&arguments, RuleCommand::Pause),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Reset(arguments) => control::command(&arguments, RuleCommand::Reset),
        Command::Resume(arguments) => control::command(&arguments, RuleCommand::Resume),
        Command::Status(arguments) => control::show(&arguments),
        Command::Schema => {
            say(SCHEMA)?;
            Ok(Answer::Yes)
        }
        Command::Suggest(arguments) => suggestion::run(&arguments),
        Command::Test { files, trace, json } => test(&read(&files)?, trace, json),
        Command::Trace(arguments) => trace::run(&arguments),
        Command::Try(arguments) => trial::run(&arguments),
    }
}

fn read(files: &[PathBuf]) -> Result<Vec<Source>, CliError> {
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path)
            .map_err(|source| CliError::File { path: path.clone(), source })?;
        let mut source = Source::new(path.display().to_string(), text);
        read_tables(&mut source);
        Ok(source)
    };
    files.iter().map(read).collect()
}

fn test(sources: &[Source], trace: bool, json: bool) -> Result<Answer, CliError> {
    let report = if trace { trace_cases(sources) } else { run_cases(sources) };
    let report = report.map_err(CliError::Rules)?;
    let answer = if report.passed() { Answer::Yes } else { Answer::No };
    if json {
        let case = |case: &CaseResult| {
            let failures = diagnostic_json::all(&case.failures);
            json!({ "rule": &*case.rule, "name": &*case.name, "failures": failures })
        };
        let cases: Value = report.cases.iter().map(case).collect();
        return say_json(&json!({ "ok": report.passed(), "cases": cases })).map(|()| answer);
    }
    let failed = report.cases.iter().filter(|case| !case.failures.is_empty()).count();
    let tests = count(report.cases.len(), "test");
    say(&format!("{report}{tests}, {failed} failed\n"))?;
    Ok(answer)
}

fn show(problems: &[Diagnostic]) {
    problems.iter().for_each(|problem| eprint!("{problem}"));
    let errors = problems.iter().filter(|problem| problem.severity() == Severity::Error).count();
    eprintln!("{}", count(errors, "error"));
}
