//! `weir sub`: prints messages. One is acknowledged after it was written, so that nothing is lost
//! to a reader that goes away.

use std::{
    io::{self, Write},
    time::Duration,
};

use clap::Args;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use weir_mqtt::TopicFilter;

use super::{
    Answer, CliError,
    client::{Client, Event, Message, connect},
    connect::ConnectArguments,
    format::Format,
    publish::{await_connection, await_end},
    stop::Stop,
};

/// The longest wait for the end of the connection.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "Exit code: 0 = ok, 1 = refused, or fewer messages than -C in the time of -W, \
                  2 = not connected.\n\n\
                  Examples:\n  \
                  weir sub -t 'agg/#' -v\n  \
                  weir sub -t room/1 -C 1 -W 5\n  \
                  weir sub -t 'room/+' -F '%t is %p'"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    connect: ConnectArguments,
    /// Topic filter; may be given several times
    #[arg(short, long, required = true)]
    topic: Vec<String>,
    /// The highest QoS: 0, 1 or 2
    #[arg(short, long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// End after so many messages
    #[arg(short = 'C', value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after so many seconds
    #[arg(short = 'W', value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Print the topic before the payload
    #[arg(short, long, conflicts_with = "format")]
    verbose: bool,
    /// Print so: %t topic, %p payload, %q QoS, %r retain, %l length, %x payload in hexadecimal
    #[arg(short = 'F', value_name = "FORMAT", value_parser = Format::parse)]
    format: Option<Format>,
    /// No line end after a payload
    #[arg(short = 'N', conflicts_with = "format")]
    no_line_end: bool,
    /// Do not print what was retained before
    #[arg(short = 'R')]
    no_retained: bool,
}

pub(crate) fn run(arguments: Arguments) -> Result<Answer, CliError> {
    for filter in &arguments.topic {
        TopicFilter::parse(filter).map_err(|reason| CliError::Argument {
            argument: "-t",
            reason: format!("`{filter}` {reason}"),
            help: "`+` is one level, `#` the rest, for example room/+/temperature or room/#"
                .to_owned(),
        })?;
    }
    super::runtime()?.block_on(subscribe(arguments))
}

async fn subscribe(arguments: Arguments) -> Result<Answer, CliError> {
    let properties = arguments.connect.check()?;
    let (client, mut events) = connect(&arguments.connect, properties);
    await_connection(&arguments.connect, &mut events).await?;
    client.subscribe(&arguments.topic, arguments.qos).await;
    let printer = Printer {
        format: arguments
            .format
            .clone()
            .unwrap_or_else(|| Format::simple(arguments.verbose, !arguments.no_line_end)),
        client: client.clone(),
        pending: Vec::new(),
        printed: 0,
    };
    let answer = print(&arguments, printer, &mut events).await?;
    client.disconnect().await;
    timeout(PATIENCE, await_end(&mut events)).await.ok();
    Ok(answer)
}

async fn print(
    arguments: &Arguments,
    mut printer: Printer,
    events: &mut mpsc::Receiver<Event>,
) -> Result<Answer, CliError> {
    let end = arguments.timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let end = async {
        match end {
            Some(end) => sleep_until(end).await,
            None => std::future::pending().await,
        }
    };
    let mut stop = Stop::listen()?;
    tokio::pin!(end);
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = &mut end => {
                return Ok(if arguments.count.is_some() { Answer::No } else { Answer::Yes });
            }
            () = stop.requested() => return Ok(Answer::Yes),
        };
        match event {
            Some(Event::Connected { session_present: false }) => {
                printer.client.subscribe(&arguments.topic, arguments.qos).await;
            }
            Some(Event::Lost(reason)) => {
                eprintln!("lost the connection ({reason}); connecting again");
            }
            Some(Event::Message(message)) => {
                let is_wanted = !(arguments.no_retained && message.retain());
                printer.print(message, is_wanted, events.is_empty()).await?;
                if arguments.count.is_some_and(|count| printer.printed >= count) {
                    printer.flush().await?;
                    return Ok(Answer::Yes);
                }
            }
            Some(Event::Subscribed(answers)) => {
                if let Some(answer) = refusals(arguments, &answers) {
                    return Ok(answer);
                }
            }
            Some(_) => {}
            None => unreachable!("the connection lives as long as its events are wanted"),
        }
    }
}

/// Tells which filters were refused. With none left there is nothing to wait for.
fn refusals(arguments: &Arguments, answers: &[Result<(), String>]) -> Option<Answer> {
    for (filter, answer) in arguments.topic.iter().zip(answers) {
        if let Err(reason) = answer {
            eprintln!("subscription to {filter} refused: {reason}");
        }
    }
    answers.iter().all(Result::is_err).then_some(Answer::No)
}

/// Messages on their way to the standard output.
struct Printer {
    format: Format,
    client: Client,
    /// Written, perhaps not yet flushed, not acknowledged.
    pending: Vec<Message>,
    printed: u64,
}

impl Printer {
    async fn print(
        &mut self,
        message: Message,
        is_wanted: bool,
        is_last: bool,
    ) -> Result<(), CliError> {
        if is_wanted {
            let mut text = Vec::new();
            self.format.write(&message, &mut text);
            io::stdout().write_all(&text).map_err(CliError::Output)?;
            self.printed += 1;
        }
        self.pending.push(message);
        if is_last || self.pending.len() >= PENDING_MAX { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), CliError> {
        io::stdout().flush().map_err(CliError::Output)?;
        for message in self.pending.drain(..) {
            self.client.acknowledge(&message).await;
        }
        Ok(())
    }
}

/// Messages between two flushes.
const PENDING_MAX: usize = 16;
