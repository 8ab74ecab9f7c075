//! `weir bench idle`: connections that do nothing, and what each of them costs the broker.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use clap::Args;

use super::{
    allow_connections,
    clients::Clients,
    failure::BenchError,
    net::Net,
    options::{CLIENTS_MAX, Joining, Load, Target, parse_seconds},
    process::{Meter, Reading},
    report::Report,
};

/// Connections that are begun before their answers are waited for.
const AT_A_TIME: usize = 100;
/// The broker puts its things in order before its memory is looked at.
const REST: Duration = Duration::from_millis(500);

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Seconds during which nothing is done and the processor time of the broker is measured
    #[arg(long, default_value = "4", value_name = "SECONDS", value_parser = parse_seconds)]
    seconds: Duration,
    /// Connections
    #[arg(long, default_value_t = 5000, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=CLIENTS_MAX))]
    clients: u16,
}

pub(crate) fn run(arguments: &Arguments, address: SocketAddr) -> Result<Report, BenchError> {
    let Arguments { target, seconds, clients: number } = arguments;
    allow_connections((*number).into())?;
    let number = usize::from(*number);
    let load = Load { qos: 0, payload: 0, window: 0, inflight: 1 };
    let mut net = Net::new()?;
    let mut clients = Clients::new(target, address, load);
    let resident = || target.pid.map(|pid| Reading::take(pid).map(|read| read.resident_bytes));
    let before = resident().transpose()?;

    let mut connections = Vec::with_capacity(number);
    while connections.len() < number {
        for _ in 0..AT_A_TIME.min(number - connections.len()) {
            let id = format!("bench-idle-{}", connections.len());
            connections.push(clients.begin(&mut net, Joining::clean(&id))?);
        }
        let begun = connections.len();
        clients.wait(&mut net, "CONNACK", |clients| clients.answers.connacks >= begun)?;
    }
    rest(&mut net, &mut clients, REST)?;
    let connected = resident().transpose()?;

    for (place, connection) in connections.iter().enumerate() {
        let filter = format!("bench/idle/{}/{place}", place % AT_A_TIME);
        clients.put_subscribe(&[filter], &mut net.connections[*connection].out)?;
        net.flush(*connection);
        if (place + 1).is_multiple_of(AT_A_TIME) || place + 1 == number {
            clients.wait(&mut net, "SUBACK", |clients| clients.answers.subacks > place)?;
        }
    }
    rest(&mut net, &mut clients, REST)?;
    let subscribed = resident().transpose()?;

    let meter = Meter::start(target.pid)?;
    rest(&mut net, &mut clients, *seconds)?;
    let stretch = meter.stop()?;

    let mut report = Report::new("idle");
    target.report(&mut report);
    report.count("connections", number as u64);
    report.number("seconds", stretch.seconds);
    if let (Some(before), Some(connected), Some(subscribed)) = (before, connected, subscribed) {
        let each = |after: u64| (after as f64 - before as f64) / number as f64;
        report.count("broker_bytes_before", before);
        report.count("broker_bytes_connected", connected);
        report.count("broker_bytes_subscribed", subscribed);
        report.number("bytes_per_connection", each(connected));
        report.number("bytes_per_connection_with_subscription", each(subscribed));
    }
    if let Some(percent) = stretch.cpu_percent() {
        report.number("broker_cpu_percent", percent);
    }
    report.count("closed", clients.closed as u64);
    report.flag("ok", clients.closed == 0);
    Ok(report)
}

fn rest(net: &mut Net, clients: &mut Clients, time: Duration) -> Result<(), BenchError> {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        clients.turn(net, left.max(Duration::from_millis(1)))?;
    }
    Ok(())
}
