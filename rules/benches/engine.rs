//! Events a second through the whole rule path, and bytes per key.
//!
//! The reference path: match the topic, read an 85-byte JSON payload, find the key among 10,000,
//! update one of 30 panes, and give a result every 100th message. Next to it, in the same run, the
//! naive way: every message is kept, and the window is computed again with each one.
//!
//! `cargo bench -p weir-rules --bench engine`

// A benchmark reads the clock and prints: it is not part of the pure crate.
#![allow(clippy::disallowed_methods, clippy::print_stdout, missing_docs)]

use std::collections::{BTreeMap, VecDeque};
use std::hint::black_box;
use std::time::{Duration, Instant};

use weir_rules::{Emission, Engine, Event, Plan, Source, Timestamp, compile};

fn main() {
    println!("reference path: 85-byte JSON, 30 panes, a result every 100th message");
    let reference = run("engine, 10,000 keys", &sliding(), (10_000, 3_000_000));
    let naive = run_naive((10_000, 1_000_000));
    println!("  {:.1} times the naive way\n", reference / naive);
    println!("number of keys");
    for shape in [(1, 3_000_000), (100_000, 2_000_000), (1_000_000, 2_000_000)] {
        run(&format!("sliding, {} keys", shape.0), &sliding(), shape);
        run(&format!("tumbling, {} keys", shape.0), &tumbling(), shape);
    }
    println!("\nother rules, 10,000 keys");
    for (name, text) in others() {
        run(name, &text, (10_000, 1_000_000));
    }
    println!("\nother windows, 10,000 keys");
    for (name, window) in windows() {
        run(name, &sliding().replace("sliding 5m every 10s", window), (10_000, 1_000_000));
    }
    println!("\nrules on one topic, 100 keys: the payload is read once");
    for count in [1, 10, 100, 1000] {
        let rate = run(&format!("{count} rules"), &many(count), (100, 2_000_000 / count));
        println!("  {:.0} ns for each rule", 1e9 / rate / count as f64);
    }
    println!("\nstate to bytes, 10,000 keys of 30 panes");
    run_state();
}

const LIMITS: &str = "limits = { keys = 1000000, memory = \"16 GiB\", expire = \"60d\" }";
const FROM: &str =
    "from = \"site/{site}/{device}/climate\"\nby = [\"device\"]\nto = \"agg/{device}\"";

fn sliding() -> String {
    format!(
        "[rule.r]\n{FROM}\nwindow = \"sliding 5m every 10s\"\n{LIMITS}\n\
         time = {{ field = \"ts\", unit = \"ms\" }}\n\
         select = {{ avg = \"avg(temperature)\", max = \"max(temperature)\", n = \"count()\" }}"
    )
}

fn tumbling() -> String {
    sliding().replace("sliding 5m every 10s", "tumbling 1m")
}

fn others() -> Vec<(&'static str, String)> {
    let rule = |lines: &str| format!("[rule.r]\n{FROM}\n{lines}");
    vec![
        ("filter only", rule("where = \"temperature > 1000\"")),
        (
            "expression for each message",
            rule(
                "let = { f = \"temperature * 1.8 + 32\" }\nselect = { f = \"f\" }\nwhere = \"f > 1000 || humidity < 0\"",
            ),
        ),
        (
            "difference to the message before",
            rule("where = \"abs(temperature - prev.temperature) > 90\""),
        ),
        (
            "p95 and stddev, 30 panes",
            sliding()
                .replace("max(temperature)", "p95(temperature)")
                .replace("count()", "stddev(humidity)"),
        ),
        (
            "by arrival, tumbling 1m",
            tumbling().replace("time = { field = \"ts\", unit = \"ms\" }\n", ""),
        ),
    ]
}

fn windows() -> [(&'static str, &'static str); 5] {
    [
        ("count 100", "count 100"),
        ("count 100 every 10", "count 100 every 10"),
        ("session 1m", "session 1m"),
        ("while temperature > 12", "while temperature > 12"),
        ("tumbling 1d at 06:00 Europe/Berlin", "tumbling 1d at 06:00 Europe/Berlin"),
    ]
}

/// Rules that read the same topic, each with another expression.
fn many(count: u64) -> String {
    let rule = |number: u64| {
        let text = tumbling().replace("[rule.r]", &format!("[rule.r{number}]"));
        text.replace("avg(temperature)", &format!("avg(temperature + {number})"))
    };
    (0..count).map(rule).collect::<Vec<_>>().join("\n")
}

fn plan(text: &str) -> Plan {
    compile(&[Source::new("bench.toml", text)]).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(ToString::to_string).collect::<String>())
    })
}

/// Messages to random keys. Each key first gets one for each of 30 panes, then one each 100 ms of
/// its time: a hundred to a step of ten seconds.
struct Stream {
    keys: u64,
    topics: Vec<String>,
    payload: String,
    number: u64,
    random: u64,
}

impl Stream {
    fn new(keys: u64) -> Self {
        let topics = (0..keys).map(|key| format!("site/b1/dev{key:07}/climate")).collect();
        Self { keys, topics, payload: String::new(), number: 0, random: 1 }
    }

    /// Messages until all panes are there.
    fn warm_up(&self) -> u64 {
        self.keys * PANES
    }

    /// The topic, the payload of 85 bytes, and the time.
    fn next(&mut self) -> (&str, &str, i64) {
        use std::fmt::Write;
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let warm = self.number < self.warm_up();
        let key = if warm { self.number % self.keys } else { (self.random >> 33) % self.keys };
        let round = self.number / self.keys;
        let time = if warm { round * 10_000 } else { PANES * 10_000 + (round - PANES) * 100 };
        self.number += 1;
        let (t, h) = (self.random >> 40, self.random >> 50);
        self.payload.clear();
        let written = write!(
            self.payload,
            "{{\"ts\":{},\"temperature\":{}.{:02},\"humidity\":{:02}.{},\"unit\":\"C\",\"seq\":{:06}}}",
            START + time as i64,
            10 + t % 80,
            t % 90 + 10,
            10 + h % 80,
            h % 10,
            100_000 + self.number % 900_000
        );
        assert!(written.is_ok());
        (&self.topics[key as usize], &self.payload, START + time as i64)
    }
}

/// Time that this thread has had a processor: other work on the machine does not count.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    match text.split(' ').next().and_then(|ns| ns.parse().ok()) {
        Some(ns) => Duration::from_nanos(ns),
        None => CLOCK.elapsed(),
    }
}

/// Memory of the process, from its number of pages.
fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .map_or(0, |pages: usize| pages * 4096)
}

static CLOCK: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);

/// What it costs to make messages, which is taken away from what is measured.
fn cost_of_making(stream: &mut Stream, events: u64) -> Duration {
    let start = processor_time();
    for _ in 0..events {
        black_box(stream.next());
    }
    processor_time() - start
}

/// Runs one rule; gives events a second.
fn run(name: &str, text: &str, (keys, events): (u64, u64)) -> f64 {
    let mut stream = Stream::new(keys);
    let mut engine = Engine::new(plan(text));
    let mut out: Vec<Emission> = Vec::new();
    let mut emitted = 0;
    let mut handle = |engine: &mut Engine, stream: &mut Stream| {
        let (topic, payload, time) = stream.next();
        let arrived = Timestamp(time);
        let (qos, retain, client) = (0, false, "bench");
        let payload = payload.as_bytes();
        let event = Event { topic, payload, qos, retain, client, arrived };
        engine.handle(arrived, &event, &mut out);
        let sent = out.len();
        out.clear();
        sent
    };
    let resident = resident_bytes();
    for _ in 0..stream.warm_up() {
        handle(&mut engine, &mut stream);
    }
    let resident = resident_bytes().saturating_sub(resident) / keys as usize;
    let making = cost_of_making(&mut Stream::new(keys), events);
    let start = processor_time();
    for _ in 0..events {
        emitted += handle(&mut engine, &mut stream);
    }
    let spent = (processor_time() - start).saturating_sub(making).as_secs_f64();
    let status = &engine.status()[0];
    assert!(status.errors.is_empty(), "{:?}", status.errors);
    let rate = events as f64 / spent;
    let bytes = status.state_bytes.checked_div(status.keys).unwrap_or(0);
    // With few keys, or memory that a run before has freed, this says nothing.
    let known = keys >= 100_000 && resident * 2 > bytes;
    let real = if known { format!(", {resident} resident") } else { String::new() };
    println!(
        "  {name:<34} {:>5.2} M/s {:>6.0} ns, {:>6} results, {bytes} bytes per key{real}",
        rate / 1e6,
        1e9 / rate,
        emitted,
    );
    rate
}

/// The same without panes: keeps every message, computes each window from all of them.
fn run_naive((keys, events): (u64, u64)) -> f64 {
    let mut stream = Stream::new(keys);
    let mut windows: BTreeMap<String, VecDeque<(i64, f64)>> = BTreeMap::new();
    let mut handle = |stream: &mut Stream| {
        let (topic, payload, _) = stream.next();
        let body: serde_json::Value = serde_json::from_str(payload).expect("the payload is JSON");
        let time = body["ts"].as_i64().expect("it has a time");
        let value = body["temperature"].as_f64().expect("it has a temperature");
        let device = topic.split('/').nth(2).expect("it has a device");
        if !windows.contains_key(device) {
            windows.insert(device.to_owned(), VecDeque::new());
        }
        let window = windows.get_mut(device).expect("it was inserted");
        while window.front().is_some_and(|(at, _)| *at <= time - 300_000) {
            window.pop_front();
        }
        window.push_back((time, value));
        let n = window.len() as f64;
        let sum: f64 = window.iter().map(|(_, value)| value).sum();
        let max = window.iter().map(|(_, value)| *value).fold(f64::MIN, f64::max);
        black_box((sum / n, max, n));
    };
    for _ in 0..stream.warm_up() {
        handle(&mut stream);
    }
    let making = cost_of_making(&mut Stream::new(keys), events);
    let start = processor_time();
    for _ in 0..events {
        handle(&mut stream);
    }
    let spent = (processor_time() - start).saturating_sub(making).as_secs_f64();
    let rate = events as f64 / spent;
    let kept: usize = windows.values().map(VecDeque::len).sum();
    println!(
        "  {:<34} {:>5.2} M/s {:>6.0} ns, {} bytes per key so far, growing to 48000",
        "naive way, 10,000 keys",
        rate / 1e6,
        1e9 / rate,
        kept * size_of::<(i64, f64)>() / windows.len(),
    );
    rate
}

/// How long deltas, snapshots and a restart take.
fn run_state() {
    let (text, keys) = (sliding(), 10_000);
    let mut stream = Stream::new(keys);
    let mut engine = Engine::new(plan(&text));
    let (mut out, mut delta) = (Vec::new(), Vec::new());
    let mut handle = |engine: &mut Engine| {
        let (topic, payload, time) = stream.next();
        let arrived = Timestamp(time);
        let (qos, retain, client) = (0, false, "bench");
        let payload = payload.as_bytes();
        let event = Event { topic, payload, qos, retain, client, arrived };
        engine.handle(arrived, &event, &mut out);
        out.clear();
    };
    (0..keys * PANES).for_each(|_| handle(&mut engine));
    engine.take_delta(&mut delta);
    delta.clear();
    let (mut spent, mut bytes) = (Duration::ZERO, 0);
    for _ in 0..200 {
        (0..512).for_each(|_| handle(&mut engine));
        let start = processor_time();
        engine.take_delta(&mut delta);
        spent += processor_time() - start;
        bytes += delta.len();
        delta.clear();
    }
    let each = 200.0 * 512.0;
    let (ns, bytes) = (spent.as_secs_f64() * 1e9 / each, bytes as f64 / each);
    println!("  delta of 512 messages: {ns:.0} ns and {bytes:.0} bytes a message");
    let mut shards: Vec<Vec<u8>> = Vec::new();
    let start = processor_time();
    engine.snapshot(64 << 10, &mut |shard| shards.push(shard.to_vec()));
    let ms = (processor_time() - start).as_secs_f64() * 1e3;
    let bytes: usize = shards.iter().map(Vec::len).sum::<usize>() / keys as usize;
    println!("  snapshot: {ms:.1} ms, {} shards, {bytes} bytes per key", shards.len());
    let start = processor_time();
    let restored = Engine::restore(plan(&text), shards.iter(), std::iter::empty::<Vec<u8>>());
    let ms = (processor_time() - start).as_secs_f64() * 1e3;
    assert_eq!(restored.expect("it was just written").status()[0].keys, keys as usize);
    println!("  restart: {ms:.1} ms");
}

const PANES: u64 = 30;
const START: i64 = 1_767_225_600_000;
