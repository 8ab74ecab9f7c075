//! `weir bench subs`: many subscriptions of few clients. One in ten has a `+`, one in ten a `#`; each
//! message matches exactly one, and they are visited far apart, so that no cache helps.

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

/// Filters of one SUBSCRIBE.
const AT_A_TIME: usize = 50;
/// From one subscription to the next; it has no factor in common with usual numbers of them.
const STRIDE: usize = 7919;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    load: Load,
    #[command(flatten)]
    length: Length,
    /// Subscriptions
    #[arg(long, default_value_t = 50_000, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    subscriptions: u32,
    /// Clients that hold them
    #[arg(long, default_value_t = 20, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    clients: u16,
}

pub(crate) fn run(arguments: &Arguments, address: SocketAddr) -> Result<Report, BenchError> {
    let Arguments { target, load, length, subscriptions, clients: holders } = arguments;
    let (subscriptions, holders) = (*subscriptions as usize, usize::from(*holders));
    allow_connections(holders as u64)?;
    let mut net = Net::new()?;
    let mut clients = Clients::new(target, address, *load);
    let connections = (0..holders).map(|holder| {
        let id = format!("bench-sub-{holder}");
        let connection = clients.join(&mut net, Joining::clean(&id))?;
        clients.take_as_subscriber(connection);
        Ok(connection)
    });
    let connections: Vec<usize> = connections.collect::<Result<_, BenchError>>()?;
    let meter = Meter::start(target.pid)?;
    for (holder, connection) in connections.into_iter().enumerate() {
        let filters: Vec<_> = (holder..subscriptions).step_by(holders).map(filter).collect();
        for filters in filters.chunks(AT_A_TIME) {
            clients.subscribe(&mut net, connection, filters)?;
        }
    }
    let loaded = meter.stop()?;
    let topics = (0..subscriptions).map(|step| {
        let place = step * STRIDE % subscriptions;
        (topic(place), (place % holders) as u16)
    });
    clients.add_publisher(&mut net, &topics.collect::<Vec<_>>(), false)?;
    clients.ready();
    let flood = Flood::new(target, *load, *length);
    let meter = Meter::start(target.pid)?;
    let brought = flood.run(&mut net, &mut clients)?;
    let stretch = meter.stop_at(brought.end)?;

    let mut report = Report::new("subs");
    target.report(&mut report);
    load.report(&mut report);
    report.count("subscriptions", subscriptions as u64);
    report.count("subscribers", holders as u64);
    loaded.report("subscribe_", "subscription", subscriptions as u64, &mut report);
    if let Some(bytes) = loaded.growth_bytes_each(subscriptions as u64) {
        report.number("bytes_per_subscription", bytes);
    }
    stretch.report("", "message", clients.ledger.received(), &mut report);
    clients.report(brought.sent, &mut report);
    Ok(report)
}

fn filter(place: usize) -> String {
    match place % 10 {
        0 => format!("bench/subs/+/m{place}"),
        1 => format!("bench/subs/d{place}/#"),
        _ => format!("bench/subs/d{place}/temperature"),
    }
}

/// A topic that only the filter of that place matches.
fn topic(place: usize) -> String {
    match place % 10 {
        0 => format!("bench/subs/d{}/m{place}", place + 3),
        _ => format!("bench/subs/d{place}/temperature"),
    }
}

#[cfg(test)]
mod tests {
    use weir_mqtt::TopicFilter;

    use super::*;

    #[test]
    fn a_topic_matches_its_own_filter_and_no_other() {
        let filters: Vec<String> = (0..40).map(filter).collect();
        for place in 0..40 {
            let matching = filters
                .iter()
                .enumerate()
                .filter(|(_, filter)| TopicFilter::parse(filter).unwrap().matches(&topic(place)));
            assert_eq!(matching.map(|(at, _)| at).collect::<Vec<_>>(), [place]);
        }
    }
}
