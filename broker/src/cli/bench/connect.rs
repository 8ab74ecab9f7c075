//! `weir bench connect`: clients that come and go. So many at a time connect, wait for CONNACK, say
//! goodbye and begin again.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use clap::Args;
use weir_mqtt::{Packet, ReasonCode};

use super::{
    allow_connections,
    failure::BenchError,
    net::{Closed, Net, Receiver},
    options::{Joining, Target},
    percentiles::Latencies,
    process::Meter,
    report::Report,
};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Connections in all
    #[arg(long, default_value_t = 20_000, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    count: u64,
    /// Connections at a time
    #[arg(long, default_value_t = 64, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    clients: u16,
}

pub(crate) fn run(arguments: &Arguments, address: SocketAddr) -> Result<Report, BenchError> {
    let Arguments { target, count, clients } = arguments;
    allow_connections((*clients).into())?;
    let mut net = Net::new()?;
    let mut storm = Storm::new(target);
    let meter = Meter::start(target.pid)?;
    let (mut begun, mut seen, mut last) = (0, 0, Instant::now());
    while storm.ended() < *count && last.elapsed() < target.patience {
        while begun < *count && begun - storm.ended() < u64::from(*clients) {
            storm.begin(&mut net, address, begun)?;
            begun += 1;
        }
        net.turn(Duration::from_millis(50), &mut storm)?;
        storm.problem.take().map_or(Ok(()), Err)?;
        if storm.ended() > seen {
            (seen, last) = (storm.ended(), Instant::now());
        }
    }
    // The broker has handled the last goodbye when it has answered who came after it.
    let stretch_end = last;
    storm.begin(&mut net, address, begun)?;
    let asked = storm.ended();
    while storm.ended() == asked && last.elapsed() < target.patience {
        net.turn(Duration::from_millis(50), &mut storm)?;
    }
    let stretch = meter.stop_at(stretch_end)?;
    let accepted = storm.accepted.min(*count);

    let mut report = Report::new("connect");
    target.report(&mut report);
    report.count("at_a_time", (*clients).into());
    stretch.report("", "connection", accepted, &mut report);
    storm.latencies.report("latency", &mut report);
    report.count("expected", *count);
    report.count("accepted", accepted);
    report.count("refused", storm.refused);
    report.count("closed", storm.closed);
    report.flag("ok", accepted == *count && storm.refused + storm.closed == 0);
    Ok(report)
}

struct Storm<'a> {
    target: &'a Target,
    accepted: u64,
    refused: u64,
    closed: u64,
    /// When the connection with that number began.
    begun_at: Vec<Instant>,
    latencies: Latencies,
    problem: Option<BenchError>,
}

impl<'a> Storm<'a> {
    fn new(target: &'a Target) -> Self {
        Self {
            target,
            accepted: 0,
            refused: 0,
            closed: 0,
            begun_at: Vec::new(),
            latencies: Latencies::default(),
            problem: None,
        }
    }

    fn begin(&mut self, net: &mut Net, address: SocketAddr, id: u64) -> Result<(), BenchError> {
        let number = net.connect(address, None)?;
        let id = format!("bench-{id}");
        self.target.put_connect(Joining::clean(&id), &mut net.connections[number].out)?;
        self.begun_at.resize(self.begun_at.len().max(number + 1), Instant::now());
        self.begun_at[number] = Instant::now();
        Ok(())
    }

    fn ended(&self) -> u64 {
        self.accepted + self.refused + self.closed
    }
}

impl Receiver for Storm<'_> {
    fn receive(&mut self, net: &mut Net, number: usize, packet: &[u8]) {
        match Packet::decode(packet, self.target.version()) {
            Ok(Packet::Connack(connack)) if connack.reason == ReasonCode::Success => {
                self.accepted += 1;
                self.latencies.add(self.begun_at[number].elapsed().as_nanos() as u64);
                let said = self.target.put_disconnect(&mut net.connections[number].out);
                self.problem = said.err();
                net.flush(number);
            }
            Ok(Packet::Connack(_)) => self.refused += 1,
            _ => self.closed += 1,
        }
        net.close(number);
    }

    fn closed(&mut self, _: &mut Net, _: usize, _: Closed) {
        self.closed += 1;
    }
}
