//! `weir bench retained`: stores retained messages, each with a topic of its own, reads them
//! through wildcards, and removes them.

use std::net::SocketAddr;

use clap::Args;

use super::{
    clients::Clients,
    failure::BenchError,
    flood::Flood,
    ledger::{Balance, Ledger},
    net::Net,
    options::{Joining, Length, Load, Target},
    process::{Meter, Stretch},
    report::Report,
    wire::Mark,
};

/// Messages of QoS 0 that are sent before the broker is asked whether it has them.
const AT_A_TIME: usize = 1000;
/// Topics of one branch.
const BRANCH: usize = 100;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    load: Load,
    /// Messages
    #[arg(long, default_value_t = 50_000, value_name = "MESSAGES", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    count: u32,
}

pub(crate) fn run(arguments: &Arguments, address: SocketAddr) -> Result<Report, BenchError> {
    let Arguments { target, load, count } = arguments;
    let count = *count as usize;
    let topic = |place: usize| format!("bench/retained/{}/{}", place / BRANCH, place % BRANCH);
    let topics: Vec<_> = (0..count).map(|place| (topic(place), Mark::ALL)).collect();
    let mut net = Net::new()?;
    let mut clients = Clients::new(target, address, *load);
    let connection = clients.add_publisher(&mut net, &topics, true)?;
    clients.ready();
    let meter = Meter::start(target.pid)?;
    store(&mut net, &mut clients, arguments, (connection, count))?;
    let stored = meter.stop()?;

    let reader = Reader { arguments, address, count };
    let (all, all_took) = reader.read(&mut net, "bench/retained/#", count)?;
    let one_of_branch = count / BRANCH + usize::from(count % BRANCH > 7);
    let (some, some_took) = reader.read(&mut net, "bench/retained/+/7", one_of_branch)?;

    let mut report = Report::new("retained");
    target.report(&mut report);
    load.report(&mut report);
    stored.report("store_", "message", count as u64, &mut report);
    if let Some(bytes) = stored.growth_bytes_each(count as u64) {
        report.number("bytes_per_retained", bytes);
    }
    all_took.report("all_", "message", all.received, &mut report);
    some_took.report("plus_", "message", some.received, &mut report);
    report.count("plus_expected", some.expected);
    report.count("plus_received", some.received);
    report.count("sent", clients.sent);
    report.count("refused", clients.refused);
    report.balance(&all);
    let is_taken = load.qos == 0 || clients.acknowledged == clients.sent;
    let is_right = all.is_right() && some.is_right() && is_taken;
    report.flag("ok", is_right && clients.refused == 0 && clients.closed == 0);

    clients.leave(&mut net, connection)?;
    let nothing = Load { qos: 0, payload: 0, ..*load };
    let mut cleaner = Clients::new(target, address, nothing);
    let connection = cleaner.add_publisher(&mut net, &topics, true)?;
    send(&mut net, &mut cleaner, (connection, count))?;
    Ok(report)
}

fn store(
    net: &mut Net,
    clients: &mut Clients,
    arguments: &Arguments,
    (connection, count): (usize, usize),
) -> Result<(), BenchError> {
    if arguments.load.qos == 0 {
        return send(net, clients, (connection, count));
    }
    let length = Length::messages(count as u64);
    let flood = Flood::new(&arguments.target, arguments.load, length);
    let flood = Flood { deliveries: 0, ..flood };
    flood.run(net, clients).map(|_| ())
}

/// Without acknowledgements, a PINGREQ now and then keeps the pace.
fn send(
    net: &mut Net,
    clients: &mut Clients,
    (connection, count): (usize, usize),
) -> Result<(), BenchError> {
    for place in 0..count {
        clients.put(net, 0, 0);
        if (place + 1).is_multiple_of(AT_A_TIME) || place + 1 == count {
            clients.ping(net, connection)?;
        }
    }
    Ok(())
}

/// Those who come later and want to know.
struct Reader<'a> {
    arguments: &'a Arguments,
    address: SocketAddr,
    count: usize,
}

impl Reader<'_> {
    fn read(
        &self,
        net: &mut Net,
        filter: &str,
        expected: usize,
    ) -> Result<(Balance, Stretch), BenchError> {
        let Arguments { target, load, .. } = self.arguments;
        let mut clients = Clients::new(target, self.address, *load);
        let connection = clients.join(net, Joining::clean("bench-reader"))?;
        clients.take_as_subscriber(connection);
        clients.ledger = Ledger::any_order(self.count, load.payload);
        let meter = Meter::start(target.pid)?;
        clients.put_subscribe(&[filter.to_owned()], &mut net.connections[connection].out)?;
        net.flush(connection);
        let expected = expected as u64;
        let end = clients
            .settle(net, target.patience, |clients| clients.ledger.received() >= expected)?;
        let stretch = meter.stop_at(end)?;
        clients.leave(net, connection)?;
        Ok((clients.ledger.balance(expected, &[]), stretch))
    }
}
