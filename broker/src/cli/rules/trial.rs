//! `weir rules try`: runs rules over the messages of a broker and prints what they would send. The
//! broker sees a subscriber and nothing else, so it can be any broker.

use std::collections::VecDeque;
use std::future::pending;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use weir_config::{nearest, parse_duration as duration};
use weir_rules::{Emission, Engine, Plan, Source, Timestamp, compile};

use super::super::{
    Answer, CliError,
    check::count,
    client::{Client, Event, Message, connect},
    connect::ConnectArguments,
    publish::{await_connection, await_end},
    stop::Stop,
};
use super::read;
use crate::clock::unix_ms;
use crate::config::{Overrides, load};

/// The longest wait for the end of the connection.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// The calendar may be set while nothing is to be done.
const SLEEP_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    after_help = "What a rule would send is printed and not published. It knows of no message \
                  before it was started, nor of retained ones but those of topics that it joins; \
                  a rule that reads others runs with them. `client` is empty, which a \
                  subscriber is not told, and so is `retain` with -V 311.\n\n\
                  Exit code: 0 = ok, 1 = refused, or fewer results than --count in the time of \
                  --for, 2 = not connected, or the rules have errors.\n\n\
                  Examples:\n  \
                  weir rules try rules/climate.toml\n  \
                  weir rules try room-average --config weir.toml --for 2m\n  \
                  weir rules try rules/climate.toml room-average -h gateway.local --count 5"
)]
pub(crate) struct Arguments {
    /// Rule files, and names of rules; without names all rules of the files, and without files
    /// those of the configuration
    #[arg(required = true, value_name = "RULE|FILE")]
    what: Vec<String>,
    /// Configuration file that names the rule files
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// End after so long, such as 30s or 5m
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    time: Option<Duration>,
    /// End after so many results
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// The highest QoS of the subscription: 0, 1 or 2
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    #[command(flatten)]
    connect: ConnectArguments,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    let Some(plan) = plan(arguments)? else { return Ok(Answer::No) };
    super::super::runtime()?.block_on(try_rules(arguments, plan))
}

/// The rules that are meant; none when one is not there, which is told.
fn plan(arguments: &Arguments) -> Result<Option<Plan>, CliError> {
    let (files, names): (Vec<&String>, Vec<&String>) =
        arguments.what.iter().partition(|what| is_file(what));
    let files: Vec<PathBuf> = files.into_iter().map(PathBuf::from).collect();
    let sources: Vec<Source> = if files.is_empty() {
        let overrides = Overrides::of_process(Vec::new());
        load(arguments.config.as_deref(), &overrides)?.config.rules
    } else {
        read(&files)?
    };
    let plan = compile(&sources).map_err(CliError::Rules)?;
    for name in &names {
        let mut known = plan.rules().filter(|rule| rule.enabled).map(|rule| rule.name.as_str());
        if !known.any(|known| known == name.as_str()) {
            let near = nearest(name, plan.rules().map(|rule| rule.name.as_str()));
            let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            eprintln!("no rule `{name}` that runs in these files{hint}");
            return Ok(None);
        }
    }
    if names.is_empty() {
        return Ok(Some(plan));
    }
    Ok(Some(plan.only(|rule| names.iter().any(|name| *name == rule))))
}

fn is_file(what: &str) -> bool {
    what.ends_with(".toml") || Path::new(what).is_file()
}

async fn try_rules(arguments: &Arguments, plan: Plan) -> Result<Answer, CliError> {
    let properties = arguments.connect.check()?;
    if plan.filters().next().is_none() {
        eprintln!("no rule runs: all have enabled = false");
        return Ok(Answer::No);
    }
    // Before anybody can know that it listens.
    let stop = Stop::listen()?;
    let (client, mut events) = connect(&arguments.connect, properties);
    await_connection(&arguments.connect, &mut events).await?;
    let mut subscription = Subscription::new(&plan, arguments.qos);
    subscription.ask(&client).await;
    let names = arguments.what.iter().filter(|what| !is_file(what)).cloned().collect();
    let (engine, out) = (Engine::new(plan), Vec::new());
    let trial = Trial { engine, names, out, read: 0, sent: 0, errors: 0 };
    let answer = listen(arguments, (&client, subscription), trial, &mut events, stop).await?;
    client.disconnect().await;
    timeout(PATIENCE, await_end(&mut events)).await.ok();
    Ok(answer)
}

async fn listen(
    arguments: &Arguments,
    (client, mut subscription): (&Client, Subscription),
    mut trial: Trial,
    events: &mut mpsc::Receiver<Event>,
    mut stop: Stop,
) -> Result<Answer, CliError> {
    let end = arguments.time.map(|time| Instant::now() + time);
    let is_enough = |trial: &Trial| arguments.count.is_some_and(|count| trial.sent >= count);
    let answer = loop {
        if is_enough(&trial) {
            break Answer::Yes;
        }
        let left = arguments.count.map_or(u64::MAX, |count| count - trial.sent);
        let event = tokio::select! {
            event = events.recv() => event,
            () = sleep(trial.patience()) => {
                trial.engine.advance(now(), &mut trial.out);
                trial.drop_unwanted();
                trial.print(left)?;
                continue;
            }
            () = until(end) => {
                break if arguments.count.is_some() { Answer::No } else { Answer::Yes };
            }
            () = stop.requested() => break Answer::Yes,
        };
        match event {
            Some(Event::Connected { session_present: false }) => {
                subscription.ask(client).await;
            }
            Some(Event::Lost(reason)) => {
                eprintln!("lost the connection ({reason}); connecting again");
            }
            Some(Event::Message(message)) => {
                trial.handle(&message);
                trial.print(left)?;
                client.acknowledge(&message).await;
            }
            Some(Event::Subscribed(answers)) => {
                if !subscription.is_answered(&answers) {
                    break Answer::No;
                }
            }
            Some(_) => {}
            None => unreachable!("the connection lives as long as its events are wanted"),
        }
    };
    trial.sum_up();
    Ok(answer)
}

pub(super) async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => pending().await,
    }
}

/// What is subscribed to. Topics that are joined are so with their retained values, so that the
/// retain flag says nothing else there; all others with the flag that a message is published with.
struct Subscription {
    news: Vec<String>,
    joined: Vec<String>,
    qos: u8,
    /// Requests that are not answered.
    asked: VecDeque<Vec<String>>,
    /// Filters that the broker has accepted.
    accepted: usize,
}

impl Subscription {
    fn new(plan: &Plan, qos: u8) -> Self {
        let joined: Vec<String> = plan.joined_filters().map(str::to_owned).collect();
        let news = plan.filters().map(str::to_owned).filter(|filter| !joined.contains(filter));
        let news = news.collect();
        Self { news, joined, qos, asked: VecDeque::new(), accepted: 0 }
    }

    async fn ask(&mut self, client: &Client) {
        self.asked.clear();
        self.accepted = 0;
        // Values that are joined come before the messages that want them.
        if !self.joined.is_empty() {
            client.subscribe(&self.joined, self.qos).await;
            self.asked.push_back(self.joined.clone());
        }
        if !self.news.is_empty() {
            client.subscribe_to_news(&self.news, self.qos).await;
            self.asked.push_back(self.news.clone());
        }
    }

    /// Takes in an answer; `false` if all filters are refused.
    fn is_answered(&mut self, answers: &[Result<(), String>]) -> bool {
        let filters = self.asked.pop_front().unwrap_or_default();
        for (filter, answer) in filters.iter().zip(answers) {
            match answer {
                Ok(()) => eprintln!("reads {filter}"),
                Err(reason) => eprintln!("subscription to {filter} refused: {reason}"),
            }
        }
        self.accepted += answers.iter().filter(|answer| answer.is_ok()).count();
        self.accepted > 0 || !self.asked.is_empty()
    }
}

/// An engine that nobody but the terminal hears.
struct Trial {
    engine: Engine,
    /// The rules that are tried; all if none is named.
    names: Vec<String>,
    out: Vec<Emission>,
    read: u64,
    sent: u64,
    errors: u64,
}

impl Trial {
    fn handle(&mut self, message: &Message) {
        let Ok(topic) = std::str::from_utf8(message.topic()) else { return };
        let event = weir_rules::Event {
            topic,
            payload: message.payload(),
            qos: message.qos(),
            retain: message.retain() && message.keeps_retain(),
            client: "",
            arrived: now(),
        };
        // What was retained before is no news, and rules that run do not get it either, unless
        // they join its topic.
        if message.retain() && !message.keeps_retain() {
            self.engine.seed(&event, false, &mut self.out);
        } else {
            self.read += 1;
            self.engine.handle(event.arrived, &event, &mut self.out);
        }
        self.drop_unwanted();
    }

    /// Drops results of rules that only run because others read them.
    fn drop_unwanted(&mut self) {
        let names = &self.names;
        let is_named = |rule: &str| names.is_empty() || names.iter().any(|name| name == rule);
        self.out.retain(|one| one.error.is_some() || is_named(&one.rule));
    }

    /// Prints what would be sent, at most so many results.
    fn print(&mut self, results_max: u64) -> Result<(), CliError> {
        let before = self.sent;
        let mut text = Vec::new();
        for emission in self.out.drain(..) {
            if emission.error.is_some() {
                self.errors += 1;
            } else if self.sent - before == results_max {
                break;
            } else {
                self.sent += 1;
            }
            append_line(&emission, &mut text);
        }
        let mut output = io::stdout().lock();
        output.write_all(&text).and_then(|()| output.flush()).map_err(CliError::Output)
    }

    /// How long nothing has to be done unless a message comes.
    fn patience(&self) -> Duration {
        let Some(at) = self.engine.poll_timeout() else { return SLEEP_MAX };
        let milliseconds = at.0.saturating_sub(now().0);
        Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0)).min(SLEEP_MAX)
    }

    fn sum_up(&self) {
        let number = |number: u64, what| count(usize::try_from(number).unwrap_or(usize::MAX), what);
        eprintln!(
            "{} read, {}, {}",
            number(self.read, "message"),
            number(self.sent, "result"),
            number(self.errors, "error"),
        );
        for rule in self.engine.status() {
            eprintln!(
                "  {}: {} matched, {} filtered, {} late, {}",
                rule.name,
                rule.matched,
                rule.filtered,
                rule.late,
                count(rule.keys, "group")
            );
        }
    }
}

/// Appends what a rule sends as a line, or why it could not use a message.
pub(super) fn append_line(emission: &Emission, text: &mut Vec<u8>) {
    if let Some(error) = &emission.error {
        let words = format!("error {} in {}: ", error.code, emission.rule);
        text.extend_from_slice(words.as_bytes());
        text.extend_from_slice(format!("{} ({} ", error.message, error.topic).as_bytes());
        text.extend_from_slice(&emission.payload);
        return text.extend_from_slice(b")\n");
    }
    if let Some(upstream) = &emission.upstream {
        text.extend_from_slice(format!("{upstream}: ").as_bytes());
    }
    text.extend_from_slice(emission.topic.as_bytes());
    text.push(b' ');
    text.extend_from_slice(&emission.payload);
    text.push(b'\n');
}

pub(super) fn now() -> Timestamp {
    Timestamp(i64::try_from(unix_ms()).unwrap_or(i64::MAX))
}

pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| "for example 30s, 5m or 1h".to_owned())
}
