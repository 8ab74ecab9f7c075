//! How long a start takes after the process was killed, and what the broker then takes of memory.
//!
//! `cargo bench --package weir-broker --bench start` fills the store of the real binary over the
//! network: 100,000 retained messages and 100,000 that wait for a session, then 1,000,000 retained
//! ones. The process is killed, some more is published first each time, and the time counts from
//! the start of the next one to the moment at which it listens, and to the CONNACK of the session
//! that has waited. `-- 20000 5000` is the first case with other numbers: of retained and of queued
//! messages. The first case fails when the median is more than five seconds. Linux only.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark speaks, or stops")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio, exit};
use std::time::{Duration, Instant};
use std::{env, fs};

use weir_mqtt::{
    Connect, Packet, PacketId, Publish, QoS, Subscribe, SubscribeFilter, SubscribeProperties,
    SubscriptionOptions, TopicFilter, Version, frame_len,
};

const CASES: [Case; 2] = [
    Case { retained: 100_000, queued: 100_000, limit: Some(Duration::from_secs(5)) },
    Case { retained: 1_000_000, queued: 0, limit: None },
];
const ROUNDS: usize = 5;
/// Published between two kills, so that each meets a file that was just written.
const MORE: u64 = 200;
/// Messages whose acknowledgements are waited for at a time.
const WINDOW: u64 = 1000;
const PAYLOAD: &[u8] =
    b"{\"value\":21.5,\"unit\":\"C\",\"quality\":\"good\",\"sensor\":\"ds18b20\"}";
const CONFIG: &str = "data_dir = \"data\"\n\
    [[listener]]\naddress = \"127.0.0.1:0\"\n\
    [auth]\nallow_anonymous = true\n\
    [log]\nlevel = \"warn\"\n\
    [limits]\nmax_queued_messages = 0\nmax_queued_bytes = 0\nmemory_limit = \"1GB\"\n";

#[derive(Clone, Copy)]
struct Case {
    retained: u64,
    queued: u64,
    limit: Option<Duration>,
}

fn main() {
    let numbers: Vec<u64> = env::args().filter_map(|argument| argument.parse().ok()).collect();
    let cases = match numbers[..] {
        [retained, queued] => vec![Case { retained, queued, limit: None }],
        _ => CASES.to_vec(),
    };
    let is_in_time: Vec<bool> = cases.into_iter().map(run).collect();
    if is_in_time.contains(&false) {
        exit(1);
    }
}

/// Whether the starts were as fast as they are to be.
fn run(case: Case) -> bool {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("start");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("weir.toml"), CONFIG).unwrap();
    let mut broker = Weir::start(&folder);
    let mut away = Client::connect(broker.address, "away");
    away.subscribe("queued/#");
    drop(away);
    let filled = Instant::now();
    let mut publisher = Client::connect(broker.address, "");
    let topics = (0..case.retained).map(|number| format!("retained/site-{}/{number}", number % 50));
    publisher.publish(topics, true);
    publisher.publish((0..case.queued).map(|number| format!("queued/{}", number % 50)), false);
    println!(
        "{} retained and {} queued messages, filled in {:.1} s, file of {:.1} MB",
        case.retained,
        case.queued,
        filled.elapsed().as_secs_f64(),
        broker.file_bytes() as f64 / 1e6
    );
    let (mut listens, mut answers, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let topics = (0..MORE).map(|number| format!("retained/site-{}/{number}", number % 50));
        publisher.publish(topics, true);
        drop(broker);
        let started = Instant::now();
        broker = Weir::start(&folder);
        listens.push(started.elapsed());
        let away = Client::connect(broker.address, "away");
        answers.push(started.elapsed());
        memory.push(broker.resident_bytes());
        drop(away);
        publisher = Client::connect(broker.address, "");
    }
    let median = report("until it listens", &mut listens);
    report("until the CONNACK of the session", &mut answers);
    memory.sort_unstable();
    println!("  {:.1} MB of resident memory", memory[ROUNDS / 2] as f64 / 1e6);
    let broker = broker.stop();
    let started = Instant::now();
    drop(Weir::start(&folder));
    println!("  {:.2} s after a clean stop", started.elapsed().as_secs_f64());
    drop(broker);
    fs::remove_dir_all(&folder).unwrap();
    case.limit.is_none_or(|limit| median <= limit)
}

fn report(what: &str, times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    let [least, .., most] = times else { unreachable!("there are several rounds") };
    let (least, most) = (least.as_secs_f64(), most.as_secs_f64());
    let median = times[times.len() / 2];
    println!("  {:.2} s {what} ({least:.2} to {most:.2})", median.as_secs_f64());
    median
}

/// The real binary; dropping it kills it.
struct Weir {
    child: Child,
    folder: PathBuf,
    address: SocketAddr,
}

impl Weir {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["run", "--config", "weir.toml"])
            .current_dir(folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
        Self { child, folder: folder.to_owned(), address }
    }

    /// Ends it as a service manager does.
    fn stop(mut self) -> Self {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        self.child.wait().unwrap();
        self
    }

    fn resident_bytes(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }

    /// All files of the store.
    fn file_bytes(&self) -> u64 {
        let files = fs::read_dir(self.folder.join("data")).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
    }
}

impl Drop for Weir {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A client of 3.1.1.
struct Client {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Client {
    /// With a session that is kept, if it has a name.
    fn connect(address: SocketAddr, client_id: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Self { stream, bytes: Vec::new() };
        let clean_start = client_id.is_empty();
        let connect = Connect { clean_start, ..Connect::new(Version::V311, client_id) };
        client.send(&[Packet::Connect(connect)]);
        client.wait_for(1, |packet| matches!(packet, Packet::Connack(_)));
        client
    }

    fn subscribe(&mut self, filter: &str) {
        let options = SubscriptionOptions::new(QoS::AtLeastOnce);
        let filters = [SubscribeFilter { filter: TopicFilter::parse(filter).unwrap(), options }];
        self.send(&[Packet::Subscribe(Subscribe {
            packet_id: PacketId::new(1).unwrap(),
            properties: SubscribeProperties::default(),
            filters: (&filters[..]).into(),
        })]);
        self.wait_for(1, |packet| matches!(packet, Packet::Suback(_)));
    }

    /// Publishes with QoS 1, and waits until that is acknowledged.
    fn publish(&mut self, topics: impl Iterator<Item = String>, retain: bool) {
        let topics: Vec<String> = topics.collect();
        for window in topics.chunks(WINDOW as usize) {
            let packets: Vec<Packet<'_>> = (1..)
                .zip(window)
                .map(|(id, topic)| {
                    let packet_id = PacketId::new(id);
                    let publish = Publish::new(topic, PAYLOAD);
                    Packet::Publish(Publish { qos: QoS::AtLeastOnce, packet_id, retain, ..publish })
                })
                .collect();
            self.send(&packets);
            self.wait_for(window.len(), |packet| matches!(packet, Packet::Puback(_)));
        }
    }

    fn send(&mut self, packets: &[Packet<'_>]) {
        let mut bytes = Vec::new();
        packets.iter().for_each(|packet| {
            packet.encode(Version::V311, &mut bytes).unwrap();
        });
        self.stream.write_all(&bytes).unwrap();
    }

    /// Waits for so many packets of a kind; others are passed over.
    fn wait_for(&mut self, count: usize, is_it: impl Fn(&Packet<'_>) -> bool) {
        let mut seen = 0;
        loop {
            let mut rest = &self.bytes[..];
            while let Some(length) = frame_len(rest).unwrap().filter(|length| *length <= rest.len())
            {
                let (frame, after) = rest.split_at(length);
                seen += usize::from(is_it(&Packet::decode(frame, Version::V311).unwrap()));
                rest = after;
            }
            self.bytes = rest.to_vec();
            if seen >= count {
                return;
            }
            let mut buffer = [0; 64 * 1024];
            let count = self.stream.read(&mut buffer).unwrap();
            assert!(count > 0, "the broker has closed the connection");
            self.bytes.extend_from_slice(&buffer[..count]);
        }
    }
}
