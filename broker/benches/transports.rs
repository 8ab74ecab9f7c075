//! What a connection costs on each way into the broker: memory while it is idle, and processor
//! time and connections per second while it is made.
//!
//! `cargo bench --package weir-broker --bench transports`, with `ulimit -n 8000` or more. Linux
//! only.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark speaks, or stops")]

use std::thread;
use std::time::{Duration, Instant};

mod served;

use served::{Served, Site, Way, connect, has_served};

/// Connections at which memory is looked at.
const STEPS: [usize; 4] = [500, 1500, 2500, 3500];
const ROUND: Duration = Duration::from_secs(3);
const CLIENT_THREADS: usize = 2;

fn main() {
    if has_served() {
        return;
    }
    let site = Site::new();
    println!("bytes of memory for each idle connection, between {STEPS:?} connections");
    for way in [Way::PLAIN, Way::WEBSOCKET, Way::TLS, Way::MUTUAL, Way::SECURE_WEBSOCKET] {
        println!("  {:<30} {:?}", way.name, idle_bytes(&site, way));
    }
    println!("connections one after the other, by {CLIENT_THREADS} threads for {ROUND:?}");
    for way in
        [Way::PLAIN, Way::WEBSOCKET, Way::TLS, Way::TLS_12, Way::MUTUAL, Way::RESUMED, Way::PLAIN]
    {
        let (per_s, cpu_us) = connects(&site, way);
        println!("  {:<30} {per_s:>6} /s  {cpu_us:>5} us of the broker's time", way.name);
    }
}

/// What each connection adds, between every two steps.
fn idle_bytes(site: &Site, way: Way) -> Vec<u64> {
    let served = Served::start(site, &way.config());
    let tls = site.client(way);
    let mut open = Vec::new();
    let mut seen = Vec::new();
    for step in STEPS {
        while open.len() < step {
            let name = format!("c{}", open.len());
            open.push(connect(served.addresses[0], way, tls.as_ref(), &name));
        }
        seen.push((step as u64, served.anonymous_bytes()));
    }
    let between = seen.windows(2);
    between.map(|pair| (pair[1].1 - pair[0].1) / (pair[1].0 - pair[0].0)).collect()
}

/// Connections per second, and the broker's time for each in microseconds.
fn connects(site: &Site, way: Way) -> (u64, u64) {
    let served = Served::start(site, &way.config());
    let tls = site.client(way);
    drop(connect(served.addresses[0], way, tls.as_ref(), "first"));
    let (before, since) = (served.cpu(), Instant::now());
    let count: u64 = thread::scope(|scope| {
        let (address, tls) = (served.addresses[0], tls.as_ref());
        let work = move |number: usize| {
            let mut count = 0;
            while since.elapsed() < ROUND {
                drop(connect(address, way, tls, &format!("c{number}")));
                count += 1;
            }
            count
        };
        let threads: Vec<_> =
            (0..CLIENT_THREADS).map(|number| scope.spawn(move || work(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let cpu = served.cpu().saturating_sub(before);
    let per_s = count * 1000 / u64::try_from(since.elapsed().as_millis()).unwrap();
    (per_s, u64::try_from(cpu.as_micros()).unwrap() / count)
}
