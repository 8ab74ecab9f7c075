//! `weir demo`: the simulated devices of the bridge, a broker with rules and a second broker that plays the upstream, all in
//! this process and on this machine. What it writes is in a temporary directory that it removes.

use std::{
    fs,
    io::{self, IsTerminal},
    net::TcpListener,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use weir_firmware_bridge::simulate::{Fleet, Sample};
use weir_rules::Source;

use super::{
    Answer, CliError,
    client::{Client, Event, connect},
    connect::ConnectArguments,
    dashboard,
    property::Properties,
    publish::await_connection,
    say,
    stop::Stop,
};
use crate::{
    admin::AdminKey,
    broker::Broker,
    clock::unix_ms,
    config::{
        AdminConfig, Config, HostPort, ListenerConfig, LogLevel, Priority, Route, TopicTemplate,
        UpstreamConfig,
    },
    logging,
};

mod view;

use view::{Places, Side, View};

/// The demo listens where only this machine can reach it.
const HOST: &str = "127.0.0.1";

const PORT: u16 = 1883;
const ADMIN_PORT: u16 = 8080;

/// How many ports are tried.
const PORTS: u16 = 100;

const SEED: u64 = 2026;

const RULES: &str = include_str!("rules.toml");

/// How often the devices are asked.
const STEP: Duration = Duration::from_millis(50);

/// How often the table is drawn.
const REDRAW: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// First port to try for the broker
    #[arg(short, long, default_value_t = PORT, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    logging::start(LogLevel::Error)?;
    let folder = Folder::new()?;
    let port = free_port(arguments.port)?;
    let upstream_port = free_port(port.saturating_add(1))?;
    let admin_port = free_port(ADMIN_PORT)?;
    for (wanted, found) in [(arguments.port, port), (ADMIN_PORT, admin_port)] {
        if wanted != found {
            say(&format!("Port {wanted} is taken: using {found} instead.\n\n"))?;
        }
    }
    let upstream = Broker::start(upstream_config(folder.path(), upstream_port))?;
    let broker = Broker::start(broker_config(folder.path(), port, upstream_port, admin_port))?;
    let key = AdminKey::read(&broker_dir(folder.path())).ok();
    let view = View::new(Places {
        broker: HostPort::new(HOST, port).to_string(),
        upstream: HostPort::new(HOST, upstream_port).to_string(),
        upstream_port,
        port,
        admin: HostPort::new(HOST, admin_port).to_string(),
        dashboard: dashboard::link(&HostPort::new(HOST, admin_port), false, key.as_ref()),
    });
    let shown = super::runtime()?.block_on(show(view, port, upstream_port));
    broker.shutdown();
    upstream.shutdown();
    shown?;
    say("\nThe demo has ended.\n")?;
    Ok(Answer::Yes)
}

/// A temporary directory, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, CliError> {
        let path = std::env::temp_dir().join(format!("weir-demo-{}", std::process::id()));
        match fs::create_dir(&path) {
            Ok(()) => Ok(Self(path)),
            Err(source) => Err(CliError::Folder { path, source }),
        }
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(reason) = fs::remove_dir_all(&self.0) {
            eprintln!("{} is left behind: {reason}", self.0.display());
        }
    }
}

/// The first port from `first` on that nobody listens on.
fn free_port(first: u16) -> Result<u16, CliError> {
    let mut ports = first..=first.saturating_add(PORTS);
    ports.find(|port| TcpListener::bind((HOST, *port)).is_ok()).ok_or(CliError::NoPort { first })
}

fn broker_dir(folder: &Path) -> PathBuf {
    folder.join("broker")
}

fn upstream_config(folder: &Path, port: u16) -> Config {
    Config {
        data_dir: folder.join("upstream"),
        listeners: vec![ListenerConfig::new(HostPort::new(HOST, port))],
        ..Config::default()
    }
}

fn broker_config(folder: &Path, port: u16, upstream_port: u16, admin_port: u16) -> Config {
    let filter = "agg/#";
    let to = TopicTemplate::parse("site/demo/{topic}", filter).expect("a template of our own");
    let upstream = UpstreamConfig {
        forward: vec![Route { from: filter.to_owned(), to, qos: 1, priority: Priority::Normal }],
        remote_clientid: Some("weir-demo".to_owned()),
        ..UpstreamConfig::new("cloud", HostPort::new(HOST, upstream_port))
    };
    Config {
        data_dir: broker_dir(folder),
        rules: vec![Source::new("demo/rules.toml", RULES)],
        listeners: vec![ListenerConfig::new(HostPort::new(HOST, port))],
        admin: AdminConfig {
            address: Some(HostPort::new(HOST, admin_port)),
            ..AdminConfig::default()
        },
        upstreams: vec![upstream],
        ..Config::default()
    }
}

/// Plays the devices and shows what happens until the process is told to end.
async fn show(mut view: View, port: u16, upstream_port: u16) -> Result<(), CliError> {
    let is_live = io::stdout().is_terminal();
    let (devices, mut device_events) = join(port, "demo-devices").await?;
    let (watcher, mut results) = join(upstream_port, "demo-watcher").await?;
    watcher.subscribe(&["#".to_owned()], 1).await;
    let mut stop = Stop::listen()?;
    say(&view.introduction())?;

    let mut fleet = Fleet::new(SEED, unix_ms());
    let mut due = Vec::new();
    let mut step = interval(STEP);
    step.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut redraw = interval(REDRAW);
    loop {
        tokio::select! {
            () = stop.requested() => return Ok(()),
            _ = step.tick() => {
                fleet.poll(unix_ms(), &mut due);
                for Sample { topic, payload, .. } in due.drain(..) {
                    note(&mut view, is_live, Side::Device, &topic, &payload)?;
                    devices.publish(&topic, 1, false, payload.into()).await;
                }
            }
            event = device_events.recv() => check(event)?,
            event = results.recv() => match event {
                Some(Event::Message(message)) => {
                    let topic = String::from_utf8_lossy(message.topic()).into_owned();
                    let payload = String::from_utf8_lossy(message.payload()).into_owned();
                    note(&mut view, is_live, Side::Upstream, &topic, &payload)?;
                    watcher.acknowledge(&message).await;
                }
                other => check(other)?,
            },
            _ = redraw.tick(), if is_live => say(&view.table())?,
        }
    }
}

async fn join(port: u16, id: &str) -> Result<(Client, mpsc::Receiver<Event>), CliError> {
    let arguments = ConnectArguments::to(HOST, port, id);
    let (client, mut events) = connect(&arguments, Properties::none());
    await_connection(&arguments, &mut events).await?;
    Ok((client, events))
}

fn note(
    view: &mut View,
    is_live: bool,
    side: Side,
    topic: &str,
    payload: &str,
) -> Result<(), CliError> {
    view.note(side, topic, payload);
    if is_live { Ok(()) } else { say(&View::line(side, topic, payload)) }
}

/// Both brokers are in this process: a connection that breaks will not come back.
fn check(event: Option<Event>) -> Result<(), CliError> {
    match event {
        Some(Event::Lost(reason)) => Err(CliError::Lost { address: "the demo".to_owned(), reason }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_the_demo_compile() {
        let plan = weir_rules::compile(&[Source::new("rules.toml", RULES)]).unwrap();
        assert_eq!(plan.warnings().len(), 0);
    }

    #[test]
    fn a_port_that_is_taken_is_passed_over() {
        let listener = TcpListener::bind((HOST, 0)).unwrap();
        let taken = listener.local_addr().unwrap().port();
        assert!(free_port(taken).unwrap() > taken);
    }
}
