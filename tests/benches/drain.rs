//! A day without an upstream: a backlog is filled while the far end is away, and drains when it is
//! back, once for each kind of upstream. How fast that is, what it takes, and how much later local
//! messages arrive meanwhile, in one run.
//!
//! `cargo bench --package weir-tests --bench drain` has 864,000 messages of 100 bytes, a day of ten
//! a second; `-- 100000 --kind nats` has fewer, and one kind only. Every message has to be at the far
//! end, once for its `id`; else there are no figures. Linux only.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark speaks, or stops")]

// A module uses modules listed below it, never above.
#[path = "drain/gateway.rs"]
mod gateway;

#[path = "drain/latency.rs"]
mod latency;

#[path = "drain/far_end.rs"]
mod far_end;
#[path = "drain/ledger.rs"]
mod ledger;
#[path = "drain/process.rs"]
mod process;

use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use weir_tests::harness::folder::Folder;
use weir_tests::harness::wait::pass;

use far_end::{AmqpEnd, FarEnd, HttpEnd, KafkaEnd, MqttEnd, NatsEnd};
use gateway::Gateway;
use latency::Latency;
use ledger::Ledger;

#[derive(Debug, Parser)]
#[command(about = "Drain a backlog to each kind of upstream")]
struct Arguments {
    /// Messages in the backlog
    #[arg(
        default_value_t = 864_000,
        value_name = "MESSAGES",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    messages: u64,
    /// This kind only; may be given several times
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<Kind>,
    /// Messages that are sent in a second; 0 is as fast as the far end acknowledges them
    #[arg(long, default_value_t = 0, value_name = "MESSAGES")]
    drain_rate: u32,
    /// Seconds of each measurement of latency
    #[arg(long, default_value_t = 4.0, value_name = "SECONDS")]
    seconds: f64,
    /// Compress what goes to Kafka
    #[arg(long)]
    gzip: bool,
    /// Said by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Amqp,
    Http,
    Kafka,
    Mqtt,
    Nats,
}

/// What one kind has shown.
struct Figures {
    rate_per_s: f64,
    cpu_us: f64,
    /// What of it is of the control thread.
    control_us: f64,
    repeated: u64,
    resident_bytes: u64,
    peak_bytes: u64,
    disk_bytes: u64,
    quiet: Latency,
    draining: Latency,
    /// Whether the backlog was empty before the end of the measurement of latency.
    is_short: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let kinds = match arguments.kinds.is_empty() {
        true => Kind::value_variants().to_vec(),
        false => arguments.kinds.clone(),
    };
    println!("{} messages of {} bytes", arguments.messages, gateway::PAYLOAD_BYTES);
    println!(
        "| | messages/s | CPU us each, the control thread | repeated | resident MB, full, most | disk MB | \
         local p50, p99 us | while it drains |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    for kind in kinds {
        let Some(figures) = measure(kind, &arguments) else {
            println!("| {kind:?} | not installed |");
            continue;
        };
        print(kind, &figures);
    }
}

fn measure(kind: Kind, arguments: &Arguments) -> Option<Figures> {
    let folder = Folder::new("drain");
    let mut far_end: Box<dyn FarEnd> = match kind {
        Kind::Amqp => Box::new(AmqpEnd::start(&folder)?),
        Kind::Http => Box::new(HttpEnd::new()),
        Kind::Kafka => Box::new(KafkaEnd::start(arguments.gzip)),
        Kind::Mqtt => Box::new(MqttEnd::start(&folder)?),
        Kind::Nats => Box::new(NatsEnd::start(&folder)?),
    };
    far_end.leave();
    let mut gateway = Gateway::start(&folder, &*far_end, arguments.drain_rate);
    gateway.fill(arguments.messages);
    let disk_bytes = gateway.disk_bytes();
    let quiet = Latency::measure(&gateway, arguments.seconds).finish();
    let before = gateway.process();
    gateway.forget_peak();
    far_end.come_back();
    gateway.wait_for("the first acknowledgement", |upstream| upstream.acknowledged > 0);
    let start = Instant::now();
    let first = gateway.upstream().acknowledged;
    let mut ledger = Ledger::new(arguments.messages);
    let draining = Latency::measure(&gateway, arguments.seconds);
    loop {
        let upstream = gateway.upstream();
        assert_eq!(upstream.dropped, 0, "{upstream:?}");
        if upstream.depth == 0 {
            break;
        }
        far_end.take_early(&mut ledger);
        pass(Duration::from_millis(20));
    }
    let took = start.elapsed();
    let is_short = !draining.has_ended();
    let draining = draining.finish();
    let after = gateway.process();
    far_end.take_all(&mut ledger);
    ledger.check();
    Some(Figures {
        rate_per_s: (arguments.messages - first) as f64 / took.as_secs_f64(),
        cpu_us: (after.cpu_s - before.cpu_s) * 1e6 / arguments.messages as f64,
        control_us: (after.control_s - before.control_s) * 1e6 / arguments.messages as f64,
        repeated: ledger.repeated(),
        resident_bytes: before.resident_bytes,
        peak_bytes: after.peak_bytes,
        disk_bytes,
        quiet,
        draining,
        is_short,
    })
}

fn print(kind: Kind, figures: &Figures) {
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    println!(
        "| {kind:?} | {:.0} | {:.1}, {:.1} | {} | {:.0}, {:.0} | {:.0} | {:.0}, {:.0} | {:.0}, {:.0}{} |",
        figures.rate_per_s,
        figures.cpu_us,
        figures.control_us,
        figures.repeated,
        megabytes(figures.resident_bytes),
        megabytes(figures.peak_bytes),
        megabytes(figures.disk_bytes),
        figures.quiet.p50_us,
        figures.quiet.p99_us,
        figures.draining.p50_us,
        figures.draining.p99_us,
        if figures.is_short { " (empty before the end)" } else { "" },
    );
}
