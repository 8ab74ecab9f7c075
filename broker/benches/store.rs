//! What a durable message costs, next to the least that any store could do.
//!
//! `cargo bench -p weir-broker --bench store` prints, for groups of several sizes: records a
//! second, CPU time and bytes written per record, and the same for a plain append with a flush
//! per group on the same disk in the same run. Queueing appends only; passing also acknowledges
//! what the group before brought, moves a cursor and trims, as a session that keeps up does.
//!
//! Then what wears flash: at the pace of an edge, where each message is a commit of its own, and
//! at 1,000 messages a second with commits further and further apart. The pace is virtual: it
//! says how many messages a commit has, nobody waits.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use smallvec::smallvec;
use weir_broker::store::{Store, StoreOptions, StoreStats};
use weir_core::{
    Batch, Change, Cursor, Destination, Links, Message, MessageParts, Sequence, SessionId, ShardId,
    Target,
};
use weir_mqtt::QoS;

const PAYLOAD_BYTES: usize = 64;
const RESIDENT: u64 = 20_000;
const SESSION: SessionId = SessionId(1);
/// Half an hour at the pace of an edge.
const WEAR_MESSAGES: u64 = 20_000;
const WEAR_DEVICES: u64 = 10;
const TIME_PER_GROUP: Duration = Duration::from_secs(5);

fn main() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("store-bench");
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("the target directory can be written");
    println!("{PAYLOAD_BYTES} bytes of payload, {RESIDENT} messages queued before");
    println!(
        "{:>8} {:>6} {:>12} {:>12} {:>12} {:>9} {:>14}",
        "way", "group", "records/s", "CPU us/rec", "bytes/rec", "syncs", "of raw rate"
    );
    for group in [1, 16, 256, 4096] {
        let mut raw = Raw::new(&path, group);
        let mut queueing = Loaded::new(&path.join("queueing"), Way::Queueing);
        let mut passing = Loaded::new(&path.join("passing"), Way::Passing);
        let started = Instant::now();
        // In turn, because disks are fast and slow by the second.
        while started.elapsed() < TIME_PER_GROUP {
            raw.turn();
            queueing.turn(group);
            passing.turn(group);
        }
        let raw = raw.figures;
        raw.print("raw", group, &raw);
        queueing.figures().print("queueing", group, &raw);
        passing.figures().print("passing", group, &raw);
    }
    wear(&path.join("wear"));
    opening(&path.join("opening"));
    fs::remove_dir_all(&path).expect("it was made above");
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Passing,
    Queueing,
}

#[derive(Clone, Copy, Default)]
struct Figures {
    records: u64,
    taken: Duration,
    cpu: Duration,
    longest: Duration,
    bytes: u64,
    syncs: u64,
}

impl Figures {
    fn measure(&mut self, records: u64, work: impl FnOnce()) {
        let (started, cpu) = (Instant::now(), cpu_time());
        work();
        self.taken += started.elapsed();
        self.longest = self.longest.max(started.elapsed());
        self.cpu += cpu_time() - cpu;
        self.records += records;
    }

    fn rate(&self) -> f64 {
        self.records as f64 / self.taken.as_secs_f64()
    }

    fn print(&self, way: &str, group: u64, raw: &Self) {
        println!(
            "{way:>8} {group:>6} {:>12.0} {:>12.2} {:>12.0} {:>9} {:>14.2}",
            self.rate(),
            self.cpu.as_secs_f64() * 1e6 / self.records as f64,
            self.bytes as f64 / self.records as f64,
            self.syncs,
            self.rate() / raw.rate(),
        );
    }
}

/// A plain append of as many bytes as the keys and values of the store have.
struct Raw {
    file: File,
    bytes: Vec<u8>,
    group: u64,
    figures: Figures,
}

impl Raw {
    fn new(path: &Path, group: u64) -> Self {
        let file = File::create(path.join("raw")).expect("the target directory can be written");
        let record = vec![7; message(0).len() + 15];
        Self { file, bytes: record.repeat(group as usize), group, figures: Figures::default() }
    }

    fn turn(&mut self) {
        self.figures.measure(self.group, || {
            self.file
                .write_all(&self.bytes)
                .and_then(|()| self.file.sync_data())
                .expect("a working disk");
        });
        self.figures.bytes += self.bytes.len() as u64;
        self.figures.syncs += 1;
    }
}

/// A store with messages in it.
struct Loaded {
    store: Store,
    load: Load,
    way: Way,
    before: StoreStats,
    figures: Figures,
}

impl Loaded {
    fn new(path: &Path, way: Way) -> Self {
        let _ = fs::remove_dir_all(path);
        let store = Store::open(path, StoreOptions::default()).expect("an empty directory");
        let mut load = Load::new();
        store.commit(&[load.batch(RESIDENT, Way::Queueing)]).expect("a working disk");
        let before = store.stats().expect("a working disk");
        Self { store, load, way, before, figures: Figures::default() }
    }

    fn turn(&mut self, group: u64) {
        // Made before the clock runs, as shards make them on threads of their own.
        let batch = [self.load.batch(group, self.way)];
        self.figures.measure(group, || {
            self.store.commit(&batch).expect("a working disk");
        });
    }

    /// The figures at the end, with everything in the database.
    fn into_stats(self) -> StoreStats {
        self.store.checkpoint().expect("a working disk");
        self.store.stats().expect("a working disk")
    }

    fn figures(&self) -> Figures {
        let after = self.store.stats().expect("a working disk");
        Figures {
            bytes: after.bytes_written - self.before.bytes_written,
            syncs: after.syncs - self.before.syncs,
            ..self.figures
        }
    }
}

/// What is written for messages that come at a pace.
fn wear(path: &Path) {
    println!(
        "\n{WEAR_MESSAGES} messages at a pace, {WEAR_DEVICES} topics, bytes that go to the disk:"
    );
    println!(
        "{:>8} {:>6} {:>6} {:>10} {:>9} {:>10} {:>11} {:>12} {:>8}",
        "way",
        "msg/s",
        "group",
        "bytes/msg",
        "MB a day",
        "syncs/msg",
        "of journal",
        "checkpoints",
        "longest"
    );
    // How much is written depends on how many messages a commit has, not on the time between.
    let of_group: [(u64, &[u64]); 6] = [
        (1, &[10, 1000]),
        (5, &[1000]),
        (10, &[1000]),
        (25, &[1000]),
        (50, &[1000]),
        (100, &[1000]),
    ];
    for (group, paces) in of_group {
        for way in [Way::Queueing, Way::Passing] {
            let mut loaded = Loaded::new(path, way);
            for _ in 0..WEAR_MESSAGES / group {
                loaded.turn(group);
            }
            // What is in the journal only has to go to the database as well.
            let name = if way == Way::Queueing { "queueing" } else { "passing" };
            let (before, longest) = (loaded.before, loaded.figures.longest);
            let after = loaded.into_stats();
            for pace in paces {
                print_wear(name, *pace, group, longest, before, after);
            }
        }
    }
}

fn print_wear(
    way: &str,
    pace: u64,
    group: u64,
    longest: Duration,
    before: StoreStats,
    after: StoreStats,
) {
    let messages = WEAR_MESSAGES as f64;
    let bytes = (after.bytes_written - before.bytes_written) as f64;
    let journal = (after.journal_bytes_written - before.journal_bytes_written) as f64;
    let day = bytes / messages * pace as f64 * 86_400.0 / 1e6;
    println!(
        "{way:>8} {pace:>6} {group:>6} {:>10.0} {day:>9.0} {:>10.3} {:>10.0}% {:>12} {longest:>8.1?}",
        bytes / messages,
        (after.syncs - before.syncs) as f64 / messages,
        100.0 * journal / bytes,
        after.checkpoints - before.checkpoints,
    );
}

/// How long a start takes with and without the check of the file, after a clean stop.
fn opening(path: &Path) {
    let store = Store::open(path, StoreOptions::default()).expect("an empty directory");
    let mut load = Load::new();
    for _ in 0..25 {
        store.commit(&[load.batch(4_000, Way::Queueing)]).expect("a working disk");
    }
    let bytes = store.stats().expect("a working disk").file_bytes;
    drop(store);
    println!("\n100,000 messages queued, a file of {} KiB:", bytes / 1024);
    for verify in [true, false] {
        let started = Instant::now();
        let options = StoreOptions { verify, ..StoreOptions::default() };
        let store = Store::open(path, options).expect("a working disk");
        let opened = started.elapsed();
        let recovered = store.recover(ShardId(0), usize::MAX).expect("a working disk");
        println!(
            "verify = {verify}: opened in {opened:.1?}, {} messages read in {:.1?}",
            recovered.log.len(),
            started.elapsed() - opened,
        );
    }
}

struct Load {
    next: u64,
    /// One of each device.
    messages: Vec<Message>,
}

impl Load {
    fn new() -> Self {
        Self { next: 1, messages: (0..WEAR_DEVICES).map(message).collect() }
    }

    fn batch(&mut self, count: u64, way: Way) -> Batch {
        let first = self.next;
        let mut changes: Vec<_> = (first..first + count)
            .map(|sequence| Change::LogAppended {
                sequence: Sequence(sequence),
                message: self.messages[(sequence % WEAR_DEVICES) as usize].clone(),
                targets: smallvec![Target {
                    destination: Destination::Session(SESSION),
                    qos: QoS::AtLeastOnce,
                    retain: false,
                    packet_id: None,
                    subscription_identifiers: smallvec![],
                }],
            })
            .collect();
        self.next += count;
        let start = match way {
            Way::Passing => Sequence(first),
            Way::Queueing => Sequence(0),
        };
        if way == Way::Passing {
            let cursor = Cursor { start, inflight: Vec::new() };
            changes.push(Change::CursorMoved { session: SESSION, cursor });
        }
        // Recovery passes over messages for a session that does not exist.
        if first == 1 {
            changes.push(session());
        }
        Batch {
            shard: ShardId(0),
            number: first,
            changes,
            log_start: start,
            is_awaited: true,
            links: Links::default(),
        }
    }
}

fn session() -> Change {
    let record = weir_core::SessionRecord {
        client_id: "bench".into(),
        version: weir_mqtt::Version::V5,
        expiry_interval_s: u32::MAX,
        disconnected_at_ms: Some(1),
        will: None,
    };
    Change::SessionPut { session: SESSION, record }
}

fn message(device: u64) -> Message {
    let topic = format!("site/{device}/temperature");
    let parts = MessageParts {
        qos: QoS::AtLeastOnce,
        retain: false,
        expires_at_ms: None,
        received_at_ms: 0,
        publisher: "",
        topic: &topic,
        properties: &[],
        payload: &[7; PAYLOAD_BYTES],
    };
    Message::new(&parts, &mut Vec::new())
}

/// CPU time of this thread, of the user and of the system.
fn cpu_time() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux has it");
    let nanos = text.split_whitespace().next().and_then(|field| field.parse().ok());
    Duration::from_nanos(nanos.expect("its first field is a number"))
}
