//! `weir rules suggest`: looks at the messages of a filter and prints a rule for them to begin with.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use weir_rules::{Observer, Timestamp};

use super::super::{
    Answer, CliError,
    check::count,
    client::{Client, Event, connect},
    connect::ConnectArguments,
    publish::{await_connection, await_end},
    say,
    stop::Stop,
};
use super::trial::{PATIENCE, now, parse_duration};

#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    after_help = "The rule goes to standard output. Retained messages are looked at for their \
                  form, not for their time.\n\n\
                  Exit code: 0 = ok, 1 = refused, or nothing came, 2 = not connected.\n\n\
                  Examples:\n  \
                  weir rules suggest 'site/+/+/climate'\n  \
                  weir rules suggest 'tank/+/level' --for 1m -h gateway.local > rules/tank.toml"
)]
pub(crate) struct Arguments {
    /// Filter of the topics
    #[arg(value_name = "FILTER")]
    filter: String,
    /// Look for so long, such as 30s or 5m
    #[arg(long = "for", value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    time: Duration,
    /// Or until so many messages have come
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    #[command(flatten)]
    connect: ConnectArguments,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    super::super::runtime()?.block_on(suggest(arguments))
}

async fn suggest(arguments: &Arguments) -> Result<Answer, CliError> {
    let properties = arguments.connect.check()?;
    let stop = Stop::listen()?;
    let (client, mut events) = connect(&arguments.connect, properties);
    await_connection(&arguments.connect, &mut events).await?;
    let filters = [arguments.filter.clone()];
    client.subscribe(&filters, 1).await;
    let mut observer = Observer::new(&arguments.filter);
    let answer = observe(arguments, (&client, &filters), &mut observer, &mut events, stop).await;
    client.disconnect().await;
    timeout(PATIENCE, await_end(&mut events)).await.ok();
    if answer == Answer::No {
        return Ok(Answer::No);
    }
    if observer.messages() == 0 {
        eprintln!("nothing came on {}; try --for 1m, or another filter", arguments.filter);
        return Ok(Answer::No);
    }
    say(&observer.suggest())?;
    Ok(Answer::Yes)
}

/// Looks until it is enough; `No` if the broker refuses.
async fn observe(
    arguments: &Arguments,
    (client, filters): (&Client, &[String]),
    observer: &mut Observer,
    events: &mut mpsc::Receiver<Event>,
    mut stop: Stop,
) -> Answer {
    let end = Instant::now() + arguments.time;
    while observer.messages() < arguments.count {
        let event = tokio::select! {
            event = events.recv() => event,
            () = sleep_until(end) => break,
            () = stop.requested() => break,
        };
        match event {
            Some(Event::Connected { session_present: false }) => {
                client.subscribe(filters, 1).await;
            }
            Some(Event::Lost(reason)) => {
                eprintln!("lost the connection ({reason}); connecting again");
            }
            Some(Event::Message(message)) => {
                if let Ok(topic) = std::str::from_utf8(message.topic()) {
                    // When a retained message was published is not known.
                    let arrived = if message.retain() { Timestamp(0) } else { now() };
                    observer.observe(topic, message.payload(), arrived);
                }
                client.acknowledge(&message).await;
            }
            Some(Event::Subscribed(answers)) => {
                if let Some(Err(reason)) = answers.first() {
                    eprintln!("subscription to {} refused: {reason}", arguments.filter);
                    return Answer::No;
                }
                let seconds = arguments.time.as_secs();
                let most = count(usize::try_from(arguments.count).unwrap_or(usize::MAX), "message");
                eprintln!("looks at {} for {seconds} s, or {most}", arguments.filter);
            }
            Some(_) => {}
            None => unreachable!("the connection lives as long as its events are wanted"),
        }
    }
    Answer::Yes
}
