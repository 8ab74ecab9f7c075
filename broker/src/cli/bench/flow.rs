//! `weir bench fanin`, `fanout` and `pairs`: messages flow from publishers to subscribers.

use std::net::SocketAddr;

use clap::Args;

use super::{
    allow_connections,
    clients::Clients,
    failure::BenchError,
    flood::Flood,
    net::Net,
    options::{CLIENTS_MAX, Joining, Length, Load, Target},
    process::Meter,
    report::Report,
    wire::Mark,
};

/// Each has a place in the account for each of the others.
const PAIRS_MAX: u64 = 3_000;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    load: Load,
    #[command(flatten)]
    length: Length,
    /// Publishers, subscribers or pairs
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=CLIENTS_MAX))]
    clients: u16,
}

/// Who sends to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Fanin,
    Fanout,
    Pairs,
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Self::Fanin => "fanin",
            Self::Fanout => "fanout",
            Self::Pairs => "pairs",
        }
    }

    /// Publishers and subscribers.
    fn sides(self, clients: u16) -> (u16, u16) {
        match self {
            Self::Fanin => (clients, 1),
            Self::Fanout => (1, clients),
            Self::Pairs => (clients, clients),
        }
    }

    fn topic(self, publisher: u16) -> (String, u16) {
        match self {
            Self::Fanin => (format!("bench/fanin/{publisher}"), 0),
            Self::Fanout => ("bench/fanout".to_owned(), Mark::ALL),
            Self::Pairs => (format!("bench/pairs/{publisher}"), publisher),
        }
    }

    fn filter(self, subscriber: u16) -> String {
        match self {
            Self::Fanin => "bench/fanin/+".to_owned(),
            Self::Fanout => "bench/fanout".to_owned(),
            Self::Pairs => format!("bench/pairs/{subscriber}"),
        }
    }
}

pub(crate) fn run(
    arguments: &Arguments,
    shape: Shape,
    address: SocketAddr,
) -> Result<Report, BenchError> {
    let Arguments { target, load, length, clients: number } = arguments;
    if shape == Shape::Pairs && u64::from(*number) > PAIRS_MAX {
        let reason = format!("{number} pairs are more than {PAIRS_MAX}");
        return Err(BenchError::TooMany { reason, help: "--clients asks for fewer" });
    }
    let (publishers, subscribers) = shape.sides(*number);
    allow_connections(u64::from(publishers) + u64::from(subscribers))?;
    let mut net = Net::new()?;
    let mut clients = Clients::new(target, address, *load);
    for subscriber in 0..subscribers {
        let id = format!("bench-sub-{subscriber}");
        clients.add_subscriber(&mut net, Joining::clean(&id), &[shape.filter(subscriber)])?;
    }
    for publisher in 0..publishers {
        clients.add_publisher(&mut net, &[shape.topic(publisher)], false)?;
    }
    clients.ready();
    let deliveries = if shape == Shape::Fanout { subscribers.into() } else { 1 };
    let flood = Flood { deliveries, ..Flood::new(target, *load, *length) };
    let meter = Meter::start(target.pid)?;
    let brought = flood.run(&mut net, &mut clients)?;
    let stretch = meter.stop_at(brought.end)?;

    let mut report = Report::new(shape.name());
    target.report(&mut report);
    load.report(&mut report);
    report.count("publishers", publishers.into());
    report.count("subscribers", subscribers.into());
    stretch.report("", "message", clients.ledger.received(), &mut report);
    clients.report(brought.sent * deliveries, &mut report);
    Ok(report)
}
