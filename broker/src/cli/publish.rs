//! `weir pub`: publishes, waits until the broker has taken every message, and disconnects.

use std::{
    fs,
    io::{self, BufRead, Read},
    path::PathBuf,
    thread,
    time::Duration,
};

use bytes::Bytes;
use clap::{ArgGroup, Args};
use tokio::{sync::mpsc, time::timeout};
use weir_mqtt::TopicName;

use super::{
    Answer, CliError,
    client::{Client, Event, connect},
    connect::ConnectArguments,
};

/// Lines that were read and not yet published.
const LINES: usize = 64;

/// The longest wait for the end of the connection.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    group = ArgGroup::new("payload").required(true),
    after_help = "Exit code: 0 = taken by the broker, 1 = refused, 2 = not connected.\n\n\
                  Examples:\n  \
                  weir pub -t room/1 -m 21.5\n  \
                  weir pub -t room/1 -q 1 -r -f value.json\n  \
                  tail -f values.txt | weir pub -t values -l"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    connect: ConnectArguments,
    /// Topic
    #[arg(short, long)]
    topic: String,
    /// Payload
    #[arg(short, long, group = "payload")]
    message: Option<String>,
    /// File that is the payload
    #[arg(short, long, group = "payload")]
    file: Option<PathBuf>,
    /// Publish each line of the standard input
    #[arg(short = 'l', long, group = "payload")]
    stdin_line: bool,
    /// Publish the whole standard input
    #[arg(short = 's', long, group = "payload")]
    stdin_file: bool,
    /// Publish an empty payload, which clears a retained message
    #[arg(short, long, group = "payload")]
    null_message: bool,
    /// QoS: 0, 1 or 2
    #[arg(short, long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// Let the broker keep the message for later subscribers
    #[arg(short, long)]
    retain: bool,
    /// Publish so many times
    #[arg(long, default_value_t = 1, value_name = "COUNT", conflicts_with = "stdin_line")]
    repeat: u64,
    /// Pause between repetitions, in seconds
    #[arg(long, default_value_t = 0.0, value_name = "SECONDS", value_parser = parse_seconds)]
    repeat_delay: f64,
}

pub(crate) fn run(arguments: Arguments) -> Result<Answer, CliError> {
    TopicName::parse(&arguments.topic).map_err(|reason| CliError::Argument {
        argument: "-t",
        reason: format!("`{}` {reason}", arguments.topic),
        help: "a topic is levels between slashes, for example room/1/temperature".to_owned(),
    })?;
    super::runtime()?.block_on(publish(arguments))
}

async fn publish(arguments: Arguments) -> Result<Answer, CliError> {
    let properties = arguments.connect.check()?;
    let payload = payload(&arguments)?;
    let (client, mut events) = connect(&arguments.connect, properties);
    await_connection(&arguments.connect, &mut events).await?;
    let feeder = tokio::spawn(feed(
        client.clone(),
        arguments.topic,
        Feed {
            payload,
            qos: arguments.qos,
            retain: arguments.retain,
            repeat: arguments.repeat,
            pause: Duration::from_secs_f64(arguments.repeat_delay),
        },
    ));
    let refused = await_acknowledgements(&arguments.connect, feeder, &mut events).await?;
    client.disconnect().await;
    timeout(PATIENCE, await_end(&mut events)).await.ok();
    match refused {
        0 => Ok(Answer::Yes),
        number => {
            eprintln!("{number} refused by the broker");
            Ok(Answer::No)
        }
    }
}

/// What is published and how.
struct Feed {
    payload: Payload,
    qos: u8,
    retain: bool,
    repeat: u64,
    pause: Duration,
}

enum Payload {
    Lines(mpsc::Receiver<io::Result<Vec<u8>>>),
    Whole(Bytes),
}

fn payload(arguments: &Arguments) -> Result<Payload, CliError> {
    if arguments.stdin_line {
        return Ok(Payload::Lines(lines()));
    }
    let whole = if let Some(message) = &arguments.message {
        message.clone().into_bytes()
    } else if let Some(path) = &arguments.file {
        fs::read(path).map_err(|source| CliError::File { path: path.clone(), source })?
    } else if arguments.stdin_file {
        let mut whole = Vec::new();
        io::stdin().read_to_end(&mut whole).map_err(CliError::Input)?;
        whole
    } else {
        debug_assert!(arguments.null_message, "the group needs one of its members");
        Vec::new()
    };
    Ok(Payload::Whole(whole.into()))
}

/// Reads lines on a thread: a terminal can only be waited for by blocking.
fn lines() -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel(LINES);
    thread::spawn(move || {
        for line in io::stdin().lock().split(b'\n') {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Publishes everything and answers how much it was.
async fn feed(client: Client, topic: String, feed: Feed) -> Result<u64, CliError> {
    let Feed { payload, qos, retain, repeat, pause } = feed;
    match payload {
        Payload::Lines(mut lines) => {
            let mut published = 0;
            while let Some(line) = lines.recv().await {
                let line = line.map_err(CliError::Input)?;
                client.publish(&topic, qos, retain, line.into()).await;
                published += 1;
            }
            Ok(published)
        }
        Payload::Whole(payload) => {
            for round in 0..repeat {
                if round > 0 && !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                client.publish(&topic, qos, retain, payload.clone()).await;
            }
            Ok(repeat)
        }
    }
}

/// Waits until the broker has accepted the connection.
pub(crate) async fn await_connection(
    connection: &ConnectArguments,
    events: &mut mpsc::Receiver<Event>,
) -> Result<(), CliError> {
    let address = connection.address();
    match events.recv().await {
        Some(Event::Connected { .. }) => Ok(()),
        Some(Event::Lost(reason)) => Err(CliError::Connect { address, reason }),
        other => unreachable!("nothing comes before the connection, and not {other:?}"),
    }
}

/// Waits until every message that was fed is done, and answers how many were refused.
async fn await_acknowledgements(
    connection: &ConnectArguments,
    mut feeder: tokio::task::JoinHandle<Result<u64, CliError>>,
    events: &mut mpsc::Receiver<Event>,
) -> Result<u64, CliError> {
    let (mut published, mut done, mut refused) = (None, 0, 0);
    while published.is_none_or(|published| done < published) {
        tokio::select! {
            fed = &mut feeder, if published.is_none() => {
                published = Some(fed.expect("the feeder does not panic")?);
            }
            event = events.recv() => match event {
                Some(Event::Acknowledged(Ok(())) | Event::Sent) => done += 1,
                Some(Event::Acknowledged(Err(reason))) => {
                    eprintln!("refused: {reason}");
                    (done, refused) = (done + 1, refused + 1);
                }
                Some(Event::Lost(reason)) => {
                    return Err(CliError::Lost { address: connection.address(), reason });
                }
                Some(_) => {}
                None => unreachable!("the connection lives as long as its events are wanted"),
            },
        }
    }
    Ok(refused)
}

/// Waits until DISCONNECT was sent.
pub(crate) async fn await_end(events: &mut mpsc::Receiver<Event>) {
    while let Some(event) = events.recv().await {
        if matches!(event, Event::Disconnected | Event::Lost(_)) {
            return;
        }
    }
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("must be a number from 0 to 86400".to_owned()),
    }
}
