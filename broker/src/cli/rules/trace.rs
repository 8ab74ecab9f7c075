//! `weir rules trace`: what becomes of each message in a rule of a running broker, by its admin
//! server.

use std::io::{self, BufRead, BufReader, Write};
use std::thread;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::{
    Answer, CliError,
    admin::{self, Wire},
    running::Running,
    stop::Stop,
};
use super::control::check_name;
use super::trial::{parse_duration, until};
use crate::admin::RULES_PATH;

/// Lines that wait to be printed.
const LINES_WAITING_MAX: usize = 64;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "One line for each message: when it came, its topic, its group in brackets, \
                        and what became of it. Below it, what was sent because of it (->), and \
                        results of windows that were not (--). Ends with Ctrl-C.\n\n\
                        Exit code: 0 = ok, 1 = no such rule, 2 = no answer, or the broker has \
                        ended.\n\n\
                        Examples:\n  \
                        weir rules trace room-average --config weir.toml\n  \
                        weir rules trace room-average --key b1/a1 --for 5m --json"
)]
pub(crate) struct Arguments {
    /// Name of the rule
    #[arg(value_name = "RULE")]
    rule: String,
    /// Only this group, written as the values of `by` with slashes between them, and messages
    /// whose group cannot be told
    #[arg(long, value_name = "GROUP")]
    key: Option<String>,
    /// End after so long, such as 30s or 5m
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    time: Option<Duration>,
    /// Print a JSON object for each message
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    broker: Running,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    check_name(&arguments.rule)?;
    let path = format!("{RULES_PATH}/{}/trace", arguments.rule);
    let body = json!({ "key": arguments.key, "json": arguments.json }).to_string();
    let server = arguments.broker.server()?;
    let response = server.post(&path, &body)?;
    if response.code() == Some(404) {
        eprintln!("{}", response.message()?);
        return Ok(Answer::No);
    }
    let body = response.ok()?.body;
    super::super::runtime()?.block_on(print(arguments, body)).map_err(|error| match error {
        PrintError::Broker(source) => admin::wrong(&server.address, source),
        PrintError::Own(error) => error,
    })
}

enum PrintError {
    Broker(io::Error),
    Own(CliError),
}

/// Prints lines until it is told to end.
async fn print(arguments: &Arguments, body: BufReader<Wire>) -> Result<Answer, PrintError> {
    let mut stop = Stop::listen().map_err(PrintError::Own)?;
    let end = arguments.time.map(|time| Instant::now() + time);
    let mut lines = lines(body).map_err(PrintError::Broker)?;
    eprintln!("traces rule {}", arguments.rule);
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            () = until(end) => return Ok(Answer::Yes),
            () = stop.requested() => return Ok(Answer::Yes),
        };
        let line = line.unwrap_or_else(|| Err(io::Error::other("the broker has ended the trace")));
        let line = line.map_err(PrintError::Broker)?;
        let mut output = io::stdout().lock();
        let written = writeln!(output, "{line}").and_then(|()| output.flush());
        written.map_err(|error| PrintError::Own(CliError::Output(error)))?;
    }
}

/// The lines of an answer as they come, read by a thread that ends with the process.
fn lines(body: BufReader<Wire>) -> io::Result<mpsc::Receiver<io::Result<String>>> {
    // A rule may see nothing for days.
    body.get_ref().set_read_timeout(None)?;
    let (sender, receiver) = mpsc::channel(LINES_WAITING_MAX);
    thread::Builder::new().name("weir-trace".to_owned()).spawn(move || {
        for line in body.lines() {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}
