//! `weir bench latency`: pairs at a steady rate. A latency counts from the moment at which a
//! message was due, so that a broker that holds the sender up cannot hide it.

use std::{net::SocketAddr, time::Duration};

use clap::Args;

use super::{
    allow_connections,
    clients::Clients,
    failure::BenchError,
    net::Net,
    options::{Joining, Load, Target, parse_payload, parse_seconds},
    percentiles::Latencies,
    process::Meter,
    report::Report,
};

/// What runs before anything is counted, so that everybody has been awake.
const WARM_UP: Duration = Duration::from_millis(500);

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) target: Target,
    /// QoS of messages and subscriptions: 0, 1 or 2
    #[arg(short, long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// Bytes of each payload
    #[arg(long, default_value_t = 64, value_name = "BYTES", value_parser = parse_payload)]
    payload: usize,
    /// Seconds during which messages are sent and counted
    #[arg(long, default_value = "4", value_name = "SECONDS", value_parser = parse_seconds)]
    seconds: Duration,
    /// Messages per second of all pairs together
    #[arg(long, default_value_t = 2000, value_name = "MESSAGES", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Pairs
    #[arg(long, default_value_t = 10, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1000))]
    clients: u16,
}

pub(crate) fn run(arguments: &Arguments, address: SocketAddr) -> Result<Report, BenchError> {
    let Arguments { target, rate, clients: pairs, .. } = arguments;
    let messages = |time: Duration| (time.as_secs_f64() * f64::from(*rate)).ceil() as u64;
    let (warm, counted) = (messages(WARM_UP), messages(arguments.seconds));
    if counted > Latencies::MAX {
        let reason = format!("{counted} latencies are more than {}", Latencies::MAX);
        return Err(BenchError::TooMany { reason, help: "--rate and --seconds ask for fewer" });
    }
    allow_connections(2 * u64::from(*pairs))?;
    let (qos, payload) = (arguments.qos, arguments.payload);
    let load = Load { qos, payload, window: 0, inflight: 60_000 };
    let mut net = Net::new()?;
    let mut clients = Clients::new(target, address, load);
    for pair in 0..*pairs {
        let filter = format!("bench/latency/{pair}");
        let id = format!("bench-sub-{pair}");
        clients.add_subscriber(&mut net, Joining::clean(&id), std::slice::from_ref(&filter))?;
        clients.add_publisher(&mut net, &[(filter, pair)], false)?;
    }
    clients.ready();

    let mut lags = Latencies::default();
    let pace = Pace::new(*rate, warm, clients.now_ns());
    send(&mut net, &mut clients, pace, &mut lags)?;
    clients.settle(&mut net, target.patience, |clients| clients.ledger.received() >= warm)?;
    clients.latencies = Some(Latencies::default());
    lags = Latencies::default();
    let meter = Meter::start(target.pid)?;
    let pace = Pace::new(*rate, counted, clients.now_ns());
    send(&mut net, &mut clients, pace, &mut lags)?;
    let sent = clients.sent;
    let end = clients.settle(&mut net, target.patience, |clients| {
        clients.ledger.received() >= sent && (qos == 0 || clients.acknowledged >= sent)
    })?;
    let stretch = meter.stop_at(end)?;

    let mut report = Report::new("latency");
    target.report(&mut report);
    report.count("qos", qos.into());
    report.count("payload_bytes", payload as u64);
    report.count("publishers", (*pairs).into());
    report.count("subscribers", (*pairs).into());
    report.count("rate_per_s", (*rate).into());
    clients.latencies.take().unwrap_or_default().report("latency", &mut report);
    lags.report("send_lag", &mut report);
    stretch.report("", "message", clients.ledger.received().saturating_sub(warm), &mut report);
    clients.report(sent, &mut report);
    Ok(report)
}

/// When each of so many messages is due.
#[derive(Clone, Copy, Debug)]
struct Pace {
    start_ns: u64,
    gap_ns: f64,
    messages: u64,
}

impl Pace {
    fn new(rate: u32, messages: u64, start_ns: u64) -> Self {
        Self { start_ns, gap_ns: 1e9 / f64::from(rate), messages }
    }

    fn due_ns(&self, message: u64) -> u64 {
        self.start_ns + (message as f64 * self.gap_ns) as u64
    }
}

/// Sends each message when it is due, to one pair after the other. `lags` takes how late each left.
fn send(
    net: &mut Net,
    clients: &mut Clients,
    pace: Pace,
    lags: &mut Latencies,
) -> Result<(), BenchError> {
    let pairs = clients.publishers.len() as u64;
    let mut message = 0;
    while message < pace.messages && clients.closed == 0 {
        let (now, due) = (clients.now_ns(), pace.due_ns(message));
        if now < due {
            clients.turn(net, Duration::from_nanos(due - now))?;
            continue;
        }
        let publisher = (message % pairs) as usize;
        clients.put(net, publisher, due);
        net.flush(clients.publishers[publisher].connection);
        lags.add(clients.now_ns().saturating_sub(due));
        message += 1;
        // A generator that is late has to read all the same.
        clients.turn(net, Duration::ZERO)?;
    }
    Ok(())
}
