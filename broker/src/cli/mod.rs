//! The command line. It reads arguments, calls the rest of the program and writes the answer:
//! results on stdout, everything else on stderr. Exit codes: 0 = ok, 1 = the answer is no (a
//! check failed, a message was refused), 2 = it could not be done.
#![allow(clippy::print_stderr, reason = "this is where the program speaks")]

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser, Subcommand};

mod admin;
mod bench;
mod check;
mod client;
mod completions;
mod connect;
mod dashboard;
mod demo;
mod doctor;
mod explain;
mod failure;
mod format;
mod import;
mod man;
mod page;
mod passwd;
mod programs;
mod property;
mod publish;
mod reload;
mod rules;
mod run;
mod running;
mod service;
mod status;
mod stop;
mod store;
mod subscribe;
mod token;
mod top;

use failure::CliError;
pub use page::commands_page;

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
    /// Load a broker, any broker, and check what it delivers
    Bench(Box<bench::Arguments>),
    /// Check the configuration and the rules without running them
    Check(check::Arguments),
    /// Write what a shell needs to complete commands and options
    Completions(completions::Arguments),
    /// Print the link to the dashboard of a running broker
    Dashboard(dashboard::Arguments),
    /// Show devices, rules and an upstream at work, on this machine only
    Demo(demo::Arguments),
    /// Look for what is wrong on this machine, and say how to mend it
    Doctor(doctor::Arguments),
    /// Say which line of which file decides about a message, a subscription, or what was dropped
    #[command(subcommand)]
    Explain(explain::Command),
    /// Make a configuration of a mosquitto.conf
    Import(import::Arguments),
    /// Write the manual pages
    Man(man::Arguments),
    /// Set or delete a user of a password file
    Passwd(passwd::Arguments),
    /// Publish messages, as mosquitto_pub does
    Pub(Box<publish::Arguments>),
    /// Let a running broker read its rules, users, permissions and certificates again
    Reload(reload::Arguments),
    /// Check and test stream rules, and work with those of a running broker
    #[command(subcommand)]
    Rules(Box<rules::Command>),
    /// Run a broker
    Run(run::Arguments),
    /// Show the state of a running broker
    Status(status::Arguments),
    /// Check, copy and export the store on disk
    #[command(subcommand)]
    Store(store::Command),
    /// Subscribe and print messages, as mosquitto_sub does
    Sub(Box<subscribe::Arguments>),
    /// Make and delete tokens for the admin server
    #[command(subcommand)]
    Token(token::Command),
    /// Watch a running broker
    Top(top::Arguments),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let answer = match arguments.command {
        None => help(),
        Some(Command::Bench(arguments)) => bench::run(&arguments),
        Some(Command::Check(arguments)) => check::run(&arguments),
        Some(Command::Completions(arguments)) => completions::run(&arguments),
        Some(Command::Dashboard(arguments)) => dashboard::run(&arguments),
        Some(Command::Demo(arguments)) => demo::run(&arguments),
        Some(Command::Doctor(arguments)) => doctor::run(&arguments),
        Some(Command::Explain(command)) => explain::run(&command),
        Some(Command::Import(arguments)) => import::run(&arguments),
        Some(Command::Man(arguments)) => man::run(&arguments),
        Some(Command::Passwd(arguments)) => passwd::run(&arguments),
        Some(Command::Pub(arguments)) => publish::run(*arguments),
        Some(Command::Reload(arguments)) => reload::run(&arguments),
        Some(Command::Rules(command)) => rules::run(*command),
        Some(Command::Run(arguments)) => run::run(&arguments),
        Some(Command::Status(arguments)) => status::run(&arguments),
        Some(Command::Store(command)) => store::run(&command),
        Some(Command::Sub(arguments)) => subscribe::run(*arguments),
        Some(Command::Token(command)) => token::run(&command),
        Some(Command::Top(arguments)) => top::run(&arguments),
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

/// Writes to the standard output, which may be closed by whoever reads it.
fn say(text: &str) -> Result<(), CliError> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(CliError::Output)
}

/// Writes an object of JSON in a line of its own.
fn say_json(value: &serde_json::Value) -> Result<(), CliError> {
    say(&format!("{value}\n"))
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
  weir demo                                 see it at work
  weir run                                  a broker for this machine only
  weir run --config weir.toml               a broker with a file of your own
  weir check --config weir.toml             every problem of the file and of the rules
  weir sub -t 'agg/#' -v                    print topics and payloads
  weir pub -t room/1 -m 21.5 -q 1 -r        publish a retained message
  weir rules test rules/*.toml              run the tests that stand in the rule files
  weir rules try room-average               what a rule would send, with live messages
  weir passwd passwords ann                 give a user a password
  weir token create grafana --role view     a token for the admin server
  weir status                               what a running broker does
  weir top                                  the same, live
  weir doctor --config weir.toml            what is wrong on this machine
  weir dashboard                            a link to its page
  weir reload --config weir.toml            let it read its files again
  weir bench fanin                          load it, and check what it delivers
  weir store backup copy.redb               a copy of its store, also while it runs";
