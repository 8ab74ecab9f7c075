//! What it costs the messages of clients that somebody lists 10,000 sessions, or scrapes the metrics,
//! all the time.
//!
//! `cargo bench --package weir-broker --bench watching`, with `ulimit -n 11000` or more. One message
//! a millisecond, QoS 0, from a publisher to a subscriber; in turns with nothing else, with pages of
//! 1,000 clients one after the other, and with scrapes one after the other. Linux only.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark speaks, or stops")]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

mod served;

use served::{Connection, Served, Site, Way, connect, has_served};

const SESSIONS: usize = 10_000;
const ROUNDS: usize = 3;
const MESSAGES: usize = 5_000;
const PAUSE: Duration = Duration::from_millis(1);
/// Its digest stands in the file of tokens.
const TOKEN: &str = "weir_bench";
const TOKENS: &str = "bench:view:sha256:\
                      248777e387cf8da4e76ee08c1c83a903f8d7a7ef76c02c4c367e8f898700e3d5\n";
const WATCHERS: [(&str, &str); 3] = [
    ("nothing else", ""),
    ("GET clients", "/api/v1/clients?limit=1000"),
    ("GET /metrics", "/metrics"),
];

fn main() {
    if has_served() {
        return;
    }
    let site = Site::new();
    fs::write(site.folder.join("tokens"), TOKENS).unwrap();
    let admin = "[admin]\naddress = \"127.0.0.1:0\"\ntokens_file = \"tokens\"\n";
    let served = Served::start(&site, &(Way::PLAIN.config() + admin));
    let [mqtt, admin] = served.addresses[..] else { panic!("{:?}", served.addresses) };
    let dial = |name: &str| connect(mqtt, Way::PLAIN, None, name);
    let _open: Vec<_> = (0..SESSIONS).map(|number| dial(&format!("c{number:05}"))).collect();
    let (mut publisher, mut subscriber) = (dial("publisher"), dial("subscriber"));
    subscriber.write_all(b"\x82\x06\0\x01\0\x01t\0").unwrap();
    subscriber.read_exact(&mut [0; 5]).unwrap();
    let mut latencies = WATCHERS.map(|_| Vec::new());
    let mut answers = WATCHERS.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for (index, (_, path)) in WATCHERS.iter().enumerate() {
            let ends = AtomicBool::new(path.is_empty());
            thread::scope(|scope| {
                let watcher = scope.spawn(|| watch(admin, path, &ends));
                latencies[index].extend(measure(&mut *publisher, &mut *subscriber));
                ends.store(true, Ordering::Release);
                answers[index].extend(watcher.join().unwrap());
            });
        }
    }
    println!(
        "{:<14} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "", "p50 us", "p99 us", "p99.9 us", "answers", "each us"
    );
    for (((name, _), latencies), answers) in WATCHERS.iter().zip(latencies).zip(answers) {
        let [p50, p99, p999] = [500, 990, 999].map(|part| percentile(&latencies, part));
        let each = if answers.is_empty() { 0 } else { percentile(&answers, 500) };
        let count = answers.len();
        println!("{name:<14} {p50:>10} {p99:>10} {p999:>10} {count:>10} {each:>10}");
    }
}

/// How long each message took, microseconds.
fn measure(publisher: &mut dyn Connection, subscriber: &mut dyn Connection) -> Vec<u64> {
    let once = |_| {
        thread::sleep(PAUSE);
        let since = Instant::now();
        publisher.write_all(b"\x30\x04\0\x01tx").unwrap();
        subscriber.read_exact(&mut [0; 6]).unwrap();
        since.elapsed().as_micros() as u64
    };
    (0..MESSAGES).map(once).collect()
}

/// Asks for something again and again, and how long each answer took, microseconds. A list is read
/// page by page.
fn watch(admin: SocketAddr, path: &str, ends: &AtomicBool) -> Vec<u64> {
    let (mut taken, mut after) = (Vec::new(), String::new());
    while !ends.load(Ordering::Acquire) {
        let since = Instant::now();
        let mut stream = TcpStream::connect(admin).unwrap();
        write!(
            stream,
            "GET {path}{after} HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
        taken.push(since.elapsed().as_micros() as u64);
        let next = answer.split("\"next\":\"").nth(1).and_then(|rest| rest.split('"').next());
        after = next.map_or_else(String::new, |next| format!("&after={next}"));
    }
    taken
}

fn percentile(times: &[u64], per_mille: usize) -> u64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[(times.len() - 1) * per_mille / 1000]
}
