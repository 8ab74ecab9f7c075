//! The command line. It reads arguments, calls the rest of the program and writes the answer:
//! results on stdout, everything else on stderr. Exit codes: 0 = ok, 1 = the answer is no (a
//! check failed, a message was refused), 2 = it could not be done.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "this is where the program speaks")]

use std::{io, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};

mod check;
mod client;
mod connect;
mod failure;
mod format;
mod property;
mod publish;
mod rules;
mod status;
mod subscribe;

use failure::CliError;

/// What a command found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    No,
    Yes,
}

#[derive(Debug, Parser)]
#[command(
    name = "weir",
    version,
    about = "An MQTT broker with stream rules for edge gateways",
    after_help = EXAMPLES,
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check the configuration and the rules without running them
    Check(check::Arguments),
    /// Publish messages, as mosquitto_pub does
    Pub(Box<publish::Arguments>),
    /// Check and test stream rules
    #[command(subcommand)]
    Rules(rules::Command),
    /// Show the state of a running broker
    Status(status::Arguments),
    /// Subscribe and print messages, as mosquitto_sub does
    Sub(Box<subscribe::Arguments>),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let answer = match arguments.command {
        None => help(),
        Some(Command::Check(arguments)) => check::run(&arguments),
        Some(Command::Pub(arguments)) => publish::run(*arguments),
        Some(Command::Rules(command)) => rules::run(&command),
        Some(Command::Status(arguments)) => status::run(&arguments),
        Some(Command::Sub(arguments)) => subscribe::run(*arguments),
    };
    match answer {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        // Whoever read our output has seen enough, as `head` has.
        Err(CliError::Output(reason)) if reason.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprint!("{}", failure.report());
            ExitCode::from(2)
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)
}

fn help() -> Result<Answer, CliError> {
    Arguments::command().print_help().map_err(CliError::Output)?;
    Ok(Answer::Yes)
}

const EXAMPLES: &str = "\
Examples:
  weir check --config weir.toml             every problem of the file and of the rules
  weir sub -t 'agg/#' -v                    print topics and payloads
  weir pub -t room/1 -m 21.5 -q 1 -r        publish a retained message
  weir rules test rules/*.toml              run the tests that stand in the rule files
  weir status                               what a running broker does";
