//! `weir bench`: loads any MQTT broker and checks what it delivers.
//!
//! Every scenario keeps account of every message: a figure of a broker that loses, repeats or
//! reorders something is no figure, so such a run ends with exit code 1.

use std::net::SocketAddr;

use clap::{Arg, Args, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

// A module uses modules listed below it, never above.
mod connect;
mod flow;
mod idle;
mod latency;
mod persist;
mod retained;
mod slow;
mod subs;

mod flood;

mod clients;

mod net;
mod options;
mod process;

mod percentiles;
mod report;

mod ledger;
mod publisher;

mod timer;
mod wire;

mod failure;

pub(crate) use failure::BenchError;
use options::Target;
use report::Report;

use super::{Answer, CliError, say};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
enum Scenario {
    /// Many publishers, one subscriber
    #[command(disable_help_flag = true, mut_arg("clients", |arg| clients(arg, "10", "Publishers")))]
    Fanin(flow::Arguments),
    /// One publisher, many subscribers
    #[command(disable_help_flag = true, mut_arg("clients", |arg| clients(arg, "50", "Subscribers")))]
    Fanout(flow::Arguments),
    /// Each publisher has a subscriber of its own
    #[command(disable_help_flag = true, mut_arg("clients", |arg| clients(arg, "50", "Pairs")))]
    Pairs(flow::Arguments),
    /// Pairs at a steady rate: how long a message takes from the moment at which it is due
    #[command(disable_help_flag = true)]
    Latency(latency::Arguments),
    /// Clients that come and go: CONNECT, CONNACK, DISCONNECT
    #[command(disable_help_flag = true)]
    Connect(connect::Arguments),
    /// Connections that do nothing, first without and then with a subscription
    #[command(disable_help_flag = true)]
    Idle(idle::Arguments),
    /// Store retained messages, then read them through wildcards
    #[command(disable_help_flag = true)]
    Retained(retained::Arguments),
    /// Many subscriptions, one in five with a wildcard; each message matches one of them
    #[command(disable_help_flag = true)]
    Subs(subs::Arguments),
    /// Queue for a session that is away, then drain it
    #[command(disable_help_flag = true, mut_arg("qos", at_least_once))]
    Persist(persist::Arguments),
    /// One of two subscribers stops reading: what becomes of the other, and of the memory
    #[command(disable_help_flag = true)]
    Slow(slow::Arguments),
}

impl Scenario {
    fn target(&self) -> &Target {
        match self {
            Self::Fanin(arguments) | Self::Fanout(arguments) | Self::Pairs(arguments) => {
                &arguments.target
            }
            Self::Latency(arguments) => &arguments.target,
            Self::Connect(arguments) => &arguments.target,
            Self::Idle(arguments) => &arguments.target,
            Self::Retained(arguments) => &arguments.target,
            Self::Subs(arguments) => &arguments.target,
            Self::Persist(arguments) => &arguments.target,
            Self::Slow(arguments) => &arguments.target,
        }
    }

    fn run(&self, address: SocketAddr) -> Result<Report, BenchError> {
        match self {
            Self::Fanin(arguments) => flow::run(arguments, flow::Shape::Fanin, address),
            Self::Fanout(arguments) => flow::run(arguments, flow::Shape::Fanout, address),
            Self::Pairs(arguments) => flow::run(arguments, flow::Shape::Pairs, address),
            Self::Latency(arguments) => latency::run(arguments, address),
            Self::Connect(arguments) => connect::run(arguments, address),
            Self::Idle(arguments) => idle::run(arguments, address),
            Self::Retained(arguments) => retained::run(arguments, address),
            Self::Subs(arguments) => subs::run(arguments, address),
            Self::Persist(arguments) => persist::run(arguments, address),
            Self::Slow(arguments) => slow::run(arguments, address),
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<Answer, CliError> {
    let target = arguments.scenario.target();
    let address = target.find()?;
    let report = arguments.scenario.run(address)?;
    say(&if target.json { report.json() } else { report.table() })?;
    Ok(if report.is_right() { Answer::Yes } else { Answer::No })
}

/// Sees to it that so many connections can be open.
fn allow_connections(connections: u64) -> Result<(), BenchError> {
    let needed = connections + OTHER_DESCRIPTORS;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|limit| limit >= needed) {
        return Ok(());
    }
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = if raised.is_ok() { maximum } else { current };
    match limit {
        Some(limit) if limit < needed => Err(BenchError::Descriptors { needed, limit }),
        _ => Ok(()),
    }
}

/// What the same number means in another scenario.
fn clients(clients: Arg, default: &'static str, help: &'static str) -> Arg {
    clients.required(false).default_value(default).help(help)
}

/// Nothing is kept of QoS 0.
fn at_least_once(qos: Arg) -> Arg {
    qos.default_value("1")
        .value_parser(clap::value_parser!(u8).range(1..=2))
        .help("QoS of messages and subscription: 1 or 2")
}

/// Standard streams, the poll, its timer and files of `/proc`.
const OTHER_DESCRIPTORS: u64 = 16;

const EXAMPLES: &str = "\
Exit code: 0 = every message arrived once and in order, 1 = something was wrong, 2 = no run.

`weir bench SCENARIO --help` shows the options of a scenario. Topics begin with bench/, client
identifiers with bench-; two runs at a time against one broker disturb each other.

Examples:
  weir bench fanin --pid $(pidof weir)              ten publishers, one subscriber
  weir bench fanout -p 1884 -q 1 --clients 500      against another broker
  weir bench latency --rate 2000 --seconds 10       percentiles
  weir bench persist -q 2 --count 20000 --json      for a program to read";
