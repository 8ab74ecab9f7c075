//! `weir bench slow`: two subscribers of the same topic, one of which stops reading. Whether the
//! other notices, what the broker keeps for the one, and what that one gets when it reads again.

use std::net::SocketAddr;

use clap::Args;

use super::{
    clients::Clients,
    failure::BenchError,
    flood::Flood,
    net::Net,
    options::{Joining, Length, Load, Target},
    process::Meter,
    report::Report,
    wire::Mark,
};

const TOPIC: &str = "bench/slow";
/// So that the broker feels it soon.
const STALLED_RECEIVE_BYTES: usize = 4096;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    load: Load,
    #[command(flatten)]
    length: Length,
}

pub(crate) fn run(arguments: &Arguments, address: SocketAddr) -> Result<Report, BenchError> {
    let Arguments { target, load, length } = arguments;
    let mut net = Net::new()?;
    let mut clients = Clients::new(target, address, *load);
    let filters = [TOPIC.to_owned()];
    clients.add_subscriber(&mut net, Joining::clean("bench-sub-0"), &filters)?;
    clients.add_publisher(&mut net, &[(TOPIC.to_owned(), Mark::ALL)], false)?;
    clients.ready();
    // The broker may get rid of the stalled one.
    let flood = Flood { closed_max: 1, ..Flood::new(target, *load, *length) };
    let meter = Meter::start(target.pid)?;
    let alone = flood.run(&mut net, &mut clients)?;
    let alone_took = meter.stop_at(alone.end)?;
    let alone_balance = clients.balance(alone.sent);

    let stalled = Joining {
        receive_buffer_bytes: Some(STALLED_RECEIVE_BYTES),
        ..Joining::clean("bench-sub-1")
    };
    let stalled = clients.add_subscriber(&mut net, stalled, &filters)?;
    clients.ready();
    net.connections[stalled].is_paused = true;
    let meter = Meter::start(target.pid)?;
    let both = flood.run(&mut net, &mut clients)?;
    let both_took = meter.stop_at(both.end)?;
    let fast_received = clients.ledger.received_by(0);
    net.resume(stalled);
    let all = 2 * both.sent;
    clients.settle(&mut net, target.patience, |clients| clients.ledger.received() >= all)?;
    let stalled_received = clients.ledger.received_by(1);

    let mut report = Report::new("slow");
    target.report(&mut report);
    load.report(&mut report);
    alone_took.report("alone_", "message", alone_balance.received, &mut report);
    both_took.report("both_", "message", fast_received, &mut report);
    let kept = both_took.rate(fast_received) / alone_took.rate(alone_balance.received);
    report.number("fast_rate_kept", kept);
    if let Some(bytes) = both_took.growth_bytes_each(1) {
        report.number("broker_growth_bytes", bytes);
    }
    report.count("expected", both.sent);
    report.count("received", fast_received);
    report.count("lost", both.sent.saturating_sub(fast_received));
    report.count("stalled_received", stalled_received);
    report.count("stalled_lost", both.sent.saturating_sub(stalled_received));
    report.flag("stalled_closed", clients.closed > 0);
    let balance = clients.balance(all);
    report.count("disordered", balance.disordered);
    report.count("misdirected", balance.misdirected);
    // What the stalled one does not get is told and is no mistake; that it gets something twice,
    // or in another order, is one.
    let is_right = fast_received == both.sent && balance.is_in_order();
    report.flag("ok", is_right && alone_balance.is_right() && clients.refused == 0);
    Ok(report)
}
