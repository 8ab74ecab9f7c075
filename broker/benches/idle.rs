//! What many idle clients cost: memory for each, and how often they wake the broker.
//!
//! `cargo bench --package weir-broker --bench idle`, with `ulimit -n 11000` or more. Plain TCP,
//! clean sessions without a subscription, no keep alive, nothing stored. Linux only.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark speaks, or stops")]

use std::thread;
use std::time::Duration;

mod served;

use served::{Served, Site, Way, connect, has_served};

const CONNECTIONS: usize = 10_000;
/// Before anything is counted: whatever the first clients make the broker keep, it has.
const WARM_UP: usize = 100;
const WATCHED: Duration = Duration::from_secs(30);

fn main() {
    if has_served() {
        return;
    }
    let site = Site::new();
    let served = Served::start(&site, &Way::PLAIN.config());
    println!("{:.1} wake-ups per second with no client", wake_ups_per_s(&served));
    let dial =
        |number: usize| connect(served.addresses[0], Way::PLAIN, None, &format!("c{number}"));
    let mut open: Vec<_> = (0..WARM_UP).map(dial).collect();
    let before = (served.resident_bytes(), served.anonymous_bytes());
    open.extend((WARM_UP..WARM_UP + CONNECTIONS).map(dial));
    let after = (served.resident_bytes(), served.anonymous_bytes());
    let each = |bytes: u64| bytes / CONNECTIONS as u64;
    println!(
        "{} bytes of resident memory for each of {CONNECTIONS} connections, {} of it anonymous; \
         {} KB in all",
        each(after.0 - before.0),
        each(after.1 - before.1),
        after.0 / 1000,
    );
    println!("{:.1} wake-ups per second with all of them", wake_ups_per_s(&served));
}

/// Counted over all threads.
fn wake_ups_per_s(served: &Served) -> f64 {
    let before = served.sleeps();
    thread::sleep(WATCHED);
    (served.sleeps() - before) as f64 / WATCHED.as_secs_f64()
}
