//! `weir bench persist`: messages for a session that is away, which then comes back for them.

use std::net::SocketAddr;

use clap::Args;

use super::{
    allow_connections,
    clients::Clients,
    failure::BenchError,
    flood::Flood,
    net::Net,
    options::{Joining, Length, Load, Target},
    process::Meter,
    report::Report,
};

const ID: &str = "bench-away";

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    load: Load,
    /// Messages
    #[arg(long, default_value_t = 50_000, value_name = "MESSAGES", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    count: u64,
    /// Publishers
    #[arg(long, default_value_t = 1, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    clients: u16,
}

pub(crate) fn run(arguments: &Arguments, address: SocketAddr) -> Result<Report, BenchError> {
    let Arguments { target, load, count, clients: publishers } = arguments;
    allow_connections((*publishers).into())?;
    let mut net = Net::new()?;
    let mut clients = Clients::new(target, address, *load);
    let kept = Joining { is_clean: false, ..Joining::clean(ID) };
    // Nothing may be left of a run that was broken off.
    forget(&mut net, &mut clients)?;
    let connection = clients.join(&mut net, kept)?;
    clients.subscribe(&mut net, connection, &["bench/persist/+".to_owned()])?;
    clients.leave(&mut net, connection)?;
    for publisher in 0..*publishers {
        let topic = (format!("bench/persist/{publisher}"), 0);
        clients.add_publisher(&mut net, &[topic], false)?;
    }
    // Nobody is there yet, but who comes back has a place in the account.
    clients.reserve_subscriber();
    clients.ready();
    let flood = Flood { deliveries: 0, ..Flood::new(target, *load, Length::messages(*count)) };
    let meter = Meter::start(target.pid)?;
    let brought = flood.run(&mut net, &mut clients)?;
    let queued = meter.stop_at(brought.end)?;

    let meter = Meter::start(target.pid)?;
    let connection = clients.begin(&mut net, kept)?;
    clients.take_reserved(connection);
    let sent = brought.sent;
    let end =
        clients.settle(&mut net, target.patience, |clients| clients.ledger.received() >= sent)?;
    let drained = meter.stop_at(end)?;
    let is_present = clients.is_session_present();

    let mut report = Report::new("persist");
    target.report(&mut report);
    load.report(&mut report);
    report.count("publishers", (*publishers).into());
    queued.report("queue_", "message", clients.acknowledged, &mut report);
    if let Some(bytes) = queued.growth_bytes_each(sent) {
        report.number("bytes_per_queued", bytes);
    }
    drained.report("drain_", "message", clients.ledger.received(), &mut report);
    report.flag("session_present", is_present);
    clients.report(sent, &mut report);
    clients.leave(&mut net, connection)?;
    forget(&mut net, &mut clients)?;
    Ok(report)
}

/// A clean connection ends the session.
fn forget(net: &mut Net, clients: &mut Clients) -> Result<(), BenchError> {
    let connection = clients.join(net, Joining::clean(ID))?;
    clients.leave(net, connection)
}
