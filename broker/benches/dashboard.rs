//! What ten open dashboards cost a broker that has much to do: its processor time with them and
//! without, in turn in one run.
//!
//! `cargo bench --package weir-broker --bench dashboard`. Publishers send as many messages as they are
//! told, QoS 0 on many topics to one subscriber; each dashboard takes the events with all topics.
//! Linux only.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark speaks, or stops")]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

#[path = "../../tests/src/harness/ports.rs"]
mod ports;
mod served;

use ports::free_address;
use served::{Served, Site, Way, connect, has_served};

const DASHBOARDS: usize = 10;
const PUBLISHERS: usize = 4;
const TOPICS: usize = 2_000;
const PAYLOAD: &[u8] = b"{\"temperature\":21.5,\"humidity\":44,\"battery\":3.01,\"n\":123456}";
/// Of all publishers together.
const MESSAGES_PER_S: usize = 150_000;
/// A publisher sends a part of them so often.
const EVERY: Duration = Duration::from_millis(10);
const ROUNDS: usize = 6;
const ROUND: Duration = Duration::from_secs(8);
/// Until a change shows in what is measured.
const SETTLING: Duration = Duration::from_secs(2);

fn main() {
    if has_served() {
        return;
    }
    let site = Site::new();
    let admin = free_address();
    let data = site.folder.join("data");
    let served = Served::start(
        &site,
        &format!(
            "data_dir = {data:?}\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
             [auth]\nallow_anonymous = true\n[admin]\naddress = \"{admin}\"\n"
        ),
    );
    let token = token(&data.to_string_lossy(), admin);
    let received = Arc::new(AtomicU64::new(0));
    subscribe(served.addresses[0], received.clone());
    let stop = Arc::new(AtomicBool::new(false));
    let publishers: Vec<_> =
        (0..PUBLISHERS).map(|number| publish(served.addresses[0], number, stop.clone())).collect();
    let mut shares = [Vec::new(), Vec::new()];
    let mut taken = 0;
    for round in 0..ROUNDS {
        let with = round % 2 == 1;
        let open: Vec<_> = (0..DASHBOARDS).filter(|_| with).map(|_| watch(admin, &token)).collect();
        thread::sleep(SETTLING);
        let (cpu, messages, start) =
            (served.cpu(), received.load(Ordering::Relaxed), Instant::now());
        thread::sleep(ROUND);
        let passed = start.elapsed().as_secs_f64();
        let share = (served.cpu() - cpu).as_secs_f64() / passed * 100.0;
        let rate = (received.load(Ordering::Relaxed) - messages) as f64 / passed;
        println!(
            "{} {share:.1} % of a core, {rate:.0} messages/s",
            ["without:", "with:   "][usize::from(with)]
        );
        shares[usize::from(with)].push(share);
        taken += open.into_iter().map(Dashboard::close).sum::<u64>();
    }
    stop.store(true, Ordering::Relaxed);
    publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
    let mean = |shares: &[f64]| shares.iter().sum::<f64>() / shares.len() as f64;
    let [without, with] = [mean(&shares[0]), mean(&shares[1])];
    let seconds = (ROUND + SETTLING).as_secs_f64() * (ROUNDS / 2) as f64;
    println!(
        "{DASHBOARDS} dashboards with {TOPICS} topics: {:.1} % of a core more ({without:.1} without, \
         {with:.1} with), {:.0} kB/s to each",
        with - without,
        taken as f64 / 1000.0 / seconds / DASHBOARDS as f64,
    );
}

/// One that takes events until it is closed.
struct Dashboard {
    stream: TcpStream,
    reader: JoinHandle<u64>,
}

impl Dashboard {
    /// The bytes that it has taken.
    fn close(self) -> u64 {
        self.stream.shutdown(Shutdown::Both).ok();
        self.reader.join().unwrap()
    }
}

fn watch(admin: SocketAddr, token: &str) -> Dashboard {
    let mut stream = TcpStream::connect(admin).unwrap();
    let request = format!(
        "GET /api/v1/events?topics=true HTTP/1.1\r\nHost: {admin}\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut first = [0; 15];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    let mut from = stream.try_clone().unwrap();
    let reader = thread::spawn(move || {
        let (mut buffer, mut taken) = (vec![0; 64 * 1024], 0);
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            taken += count as u64;
        }
        taken
    });
    Dashboard { stream, reader }
}

fn publish(broker: SocketAddr, number: usize, stop: Arc<AtomicBool>) -> JoinHandle<()> {
    let mut stream = connect(broker, Way::PLAIN, None, &format!("p{number}"));
    let topics = (0..TOPICS).filter(move |topic| topic % PUBLISHERS == number);
    let frames: Vec<Vec<u8>> =
        topics.map(|topic| frame(&format!("plant/line{}/sensor{topic}", topic % 20))).collect();
    thread::spawn(move || {
        let portion = MESSAGES_PER_S / PUBLISHERS / (1_000 / EVERY.as_millis() as usize);
        let (mut next, mut due, mut bytes) = (0, Instant::now(), Vec::new());
        while !stop.load(Ordering::Relaxed) {
            bytes.clear();
            for _ in 0..portion {
                bytes.extend_from_slice(&frames[next % frames.len()]);
                next += 1;
            }
            stream.write_all(&bytes).unwrap();
            due = (due + EVERY).max(Instant::now() - EVERY);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    })
}

/// A PUBLISH with QoS 0, shorter than 128 bytes.
fn frame(topic: &str) -> Vec<u8> {
    let length = 2 + topic.len() + PAYLOAD.len();
    assert!(length < 128, "one byte says the length");
    let mut frame = vec![0x30, length as u8, 0, topic.len() as u8];
    frame.extend_from_slice(topic.as_bytes());
    frame.extend_from_slice(PAYLOAD);
    frame
}

/// Counts what comes, by its bytes: all messages are nearly as long.
fn subscribe(broker: SocketAddr, received: Arc<AtomicU64>) {
    let mut stream = connect(broker, Way::PLAIN, None, "s");
    stream.write_all(&[0x82, 6, 0, 1, 0, 1, b'#', 0]).unwrap();
    let each = frame(&format!("plant/line{}/sensor{}", 10, TOPICS / 2)).len() as u64;
    thread::spawn(move || {
        let (mut buffer, mut bytes) = (vec![0; 256 * 1024], 0);
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            bytes += count as u64;
            received.store(bytes / each, Ordering::Relaxed);
        }
    });
}

fn token(data_dir: &str, admin: SocketAddr) -> String {
    let told = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["dashboard", "--data-dir", data_dir, "--admin", &admin.to_string()])
        .output()
        .unwrap();
    let link = String::from_utf8(told.stdout).unwrap();
    link.trim().split_once("#token=").unwrap().1.to_owned()
}
