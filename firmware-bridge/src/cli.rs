//! The command line. It reads arguments, calls the rest of the program and writes the answer:
//! results on stdout, everything else on stderr. Exit codes: 0 = ok, 1 = the answer is no (a file
//! is wrong), 2 = it could not be done.
#![allow(clippy::print_stderr, reason = "this is where the program speaks")]

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

mod check;
mod run;
mod scan;

mod print;

mod failure;

use failure::CliError;

/// What a command found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    No,
    Yes,
}

#[derive(Debug, Parser)]
#[command(
    name = "weir-bridge",
    version,
    about = "Brings devices that cannot speak MQTT to a broker",
    long_about = "Brings devices that cannot speak MQTT to a broker: sensors and outputs wired to \
                  this machine (I2C, SPI, GPIO, PWM, 1-wire), Modbus devices, and nodes that speak \
                  MQTT-SN. docs/devices.md says how things are wired.",
    after_help = EXAMPLES,
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a configuration without touching a device
    Check(check::Arguments),
    /// Run the bridge
    Run(run::Arguments),
    /// Look for devices, and print a configuration of what is there
    Scan(scan::Arguments),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let answer = match &arguments.command {
        None => help(),
        Some(Command::Check(arguments)) => check::run(arguments),
        Some(Command::Run(arguments)) => run::run(arguments),
        Some(Command::Scan(arguments)) => scan::run(arguments),
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

/// What the program understands, for those who write manuals or check documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Writes to the standard output, which may be closed by whoever reads it.
fn say(text: &str) -> Result<(), CliError> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(CliError::Output)
}

fn help() -> Result<Answer, CliError> {
    Arguments::command().print_help().map_err(CliError::Output)?;
    Ok(Answer::Yes)
}

/// "1 device", "2 devices".
fn count(number: usize, noun: &str) -> String {
    let plural = match (number, noun.ends_with("us")) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{number} {noun}{plural}")
}

const EXAMPLES: &str = "\
Examples:
  weir-bridge run --simulate --print           see it at work, without a broker or a device
  weir-bridge run --simulate                   the same, to the broker on this machine
  weir-bridge scan                             what is wired to this machine, as a configuration
  weir-bridge check --config bridge.toml       every problem of a file
  weir-bridge run --config bridge.toml         bring the devices of a file to its broker";
