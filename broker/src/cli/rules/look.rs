//! Looks at the messages of a broker for a while.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use weir_rules::Timestamp;

use super::super::{
    Answer, CliError,
    check::count,
    client::{Client, Event, connect},
    connect::ConnectArguments,
    publish::{await_connection, await_end},
    stop::Stop,
};
use super::trial::{PATIENCE, now};

/// What is looked at, and for how long.
pub(super) struct Look<'a> {
    pub(super) connect: &'a ConnectArguments,
    pub(super) filters: &'a [String],
    pub(super) time: Duration,
    /// It is enough when so many messages have come, if that is said.
    pub(super) count: Option<u64>,
}

/// A message that is looked at. When a retained one was published is not known; its arrival is 0.
pub(super) struct Seen<'a> {
    pub(super) topic: &'a str,
    pub(super) payload: &'a [u8],
    pub(super) arrived: Timestamp,
}

/// Shows every message to `see`; `No` if the broker refuses all filters.
pub(super) async fn look(
    look: &Look<'_>,
    mut see: impl FnMut(&Seen<'_>),
) -> Result<Answer, CliError> {
    let properties = look.connect.check()?;
    let stop = Stop::listen()?;
    let (client, mut events) = connect(look.connect, properties);
    await_connection(look.connect, &mut events).await?;
    client.subscribe(look.filters, QOS).await;
    let answer = watch(look, &client, &mut see, &mut events, stop).await;
    client.disconnect().await;
    timeout(PATIENCE, await_end(&mut events)).await.ok();
    Ok(answer)
}

async fn watch(
    look: &Look<'_>,
    client: &Client,
    see: &mut impl FnMut(&Seen<'_>),
    events: &mut mpsc::Receiver<Event>,
    mut stop: Stop,
) -> Answer {
    let end = Instant::now() + look.time;
    let mut left = look.count.unwrap_or(u64::MAX);
    while left > 0 {
        let event = tokio::select! {
            event = events.recv() => event,
            () = sleep_until(end) => break,
            () = stop.requested() => break,
        };
        match event {
            Some(Event::Connected { session_present: false }) => {
                client.subscribe(look.filters, QOS).await;
            }
            Some(Event::Lost(reason)) => {
                eprintln!("lost the connection ({reason}); connecting again");
            }
            Some(Event::Message(message)) => {
                if let Ok(topic) = std::str::from_utf8(message.topic()) {
                    let arrived = if message.retain() { Timestamp(0) } else { now() };
                    see(&Seen { topic, payload: message.payload(), arrived });
                    left -= u64::from(!message.payload().is_empty());
                }
                client.acknowledge(&message).await;
            }
            Some(Event::Subscribed(answers)) => {
                for (filter, answer) in look.filters.iter().zip(&answers) {
                    if let Err(reason) = answer {
                        eprintln!("subscription to {filter} refused: {reason}");
                    }
                }
                if answers.iter().all(Result::is_err) {
                    return Answer::No;
                }
                announce(look);
            }
            Some(_) => {}
            None => unreachable!("the connection lives as long as its events are wanted"),
        }
    }
    Answer::Yes
}

fn announce(look: &Look<'_>) {
    let what = look.filters.join(", ");
    let enough = look.count.map(|most| usize::try_from(most).unwrap_or(usize::MAX));
    let enough = enough.map(|most| format!(", or {}", count(most, "message")));
    eprintln!("looks at {what} for {} s{}", look.time.as_secs_f64(), enough.unwrap_or_default());
}

const QOS: u8 = 1;
