//! Time of a message through a rule with each decoder: decode, find the group, update a pane.
//!
//! A message of a payload of many is a row, line or metric. Beside them, how long serde takes to
//! pass over the same values without keeping any.
//!
//! `cargo bench -p weir-rules --bench decode`

// A benchmark reads the clock and prints: it is not part of the pure crate.
#![allow(clippy::disallowed_methods, clippy::print_stdout, missing_docs)]

use std::hint::black_box;
use std::time::Instant;

use serde::de::IgnoredAny;
use weir_rules::{Engine, Event, Source, Timestamp, compile};

fn main() {
    let json =
        br#"{"ts":1767225600000,"temperature":21.57,"humidity":45.25,"unit":"C","seq":123456}"#;
    let value: serde_json::Value = serde_json::from_slice(json).expect("JSON");
    let mut cbor = Vec::new();
    ciborium::into_writer(&value, &mut cbor).expect("CBOR");
    let pack = rmp_serde::to_vec_named(&value).expect("MessagePack");

    println!("a message through a rule");
    let select = "t = 'avg(temperature)', h = 'max(humidity)'";
    run("json", ("'json'", select), json, 1);
    run("cbor", ("'cbor'", select), &cbor, 1);
    run("msgpack", ("'msgpack'", select), &pack, 1);
    let bytes = "{ bytes = { temperature = 'f32le@0', humidity = 'u16le@4' } }";
    run("bytes", (bytes, select), &[0, 0, 0xac, 0x41, 1, 0, 9, 9], 1);
    let row = |n: u64| format!("1767225600000,21.{n:02},45.25,C,{n}\n");
    let columns = "{ csv = ['ts', 'temperature', 'humidity', 'unit', 'seq'] }";
    run("csv", (columns, select), (0..100).map(row).collect::<String>().as_bytes(), 100);
    let line = |n: u64| {
        let fields = format!("temperature=21.{n:02},humidity=45.25,seq={n}i");
        format!("climate,site=b1,device=d7 {fields} 1767225600000000000\n")
    };
    run("influx", ("'influx'", select), (0..100).map(line).collect::<String>().as_bytes(), 100);
    let float = |alias| [0x12, 7, 0x10, alias, 0x65, 0, 0, 0xac, 0x41];
    let metrics: Vec<u8> = (0..METRICS).flat_map(float).collect();
    let select = "t = 'avg(value)', m = 'last(metric)'";
    run("sparkplug", ("'sparkplug'", select), &metrics, METRICS.into());

    println!("serde, keeping nothing");
    time("json", || {
        black_box(serde_json::from_slice::<IgnoredAny>(black_box(json)).is_ok());
    });
    time("cbor", || {
        black_box(ciborium::from_reader::<IgnoredAny, _>(black_box(cbor.as_slice())).is_ok());
    });
    time("msgpack", || {
        black_box(rmp_serde::from_slice::<IgnoredAny>(black_box(&pack)).is_ok());
    });
}

/// Plays a payload that holds `messages`.
fn run(name: &str, (decode, select): (&str, &str), payload: &[u8], messages: u64) {
    let rule = format!(
        "[rule.r]\nfrom = 'spBv1.0/{{g}}/DDATA/{{n}}/{{d}}'\ndecode = {decode}\nby = ['d']\n\
         window = 'tumbling 1m'\nselect = {{ {select} }}\nto = 'o'\n"
    );
    let plan = compile(&[Source::new("bench.toml", rule)]).expect("a valid rule");
    let mut engine = Engine::new(plan);
    let mut out = Vec::new();
    let mut at = 1_767_225_600_000;
    let mut send = |topic, payload: &[u8]| {
        at += 1;
        let arrived = Timestamp(at);
        let (qos, retain, client) = (0, false, "bench");
        engine.handle(arrived, &Event { topic, payload, qos, retain, client, arrived }, &mut out);
        assert!(black_box(&out).iter().all(|one| one.error.is_none()));
        out.clear();
    };
    send("spBv1.0/g/DBIRTH/n/d", &birth());
    let best = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        let times = MESSAGES / messages;
        (0..times).for_each(|_| send("spBv1.0/g/DDATA/n/d", payload));
        start.elapsed().as_nanos() as f64 / (times * messages) as f64
    });
    let best = best.fold(f64::INFINITY, f64::min);
    println!("  {name:10}{best:6.0} ns, {:3} bytes", payload.len() as u64 / messages);
}

fn time(name: &str, mut read: impl FnMut()) {
    let best = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        (0..MESSAGES).for_each(|_| read());
        start.elapsed().as_nanos() as f64 / MESSAGES as f64
    });
    println!("  {name:10}{:6.0} ns", best.fold(f64::INFINITY, f64::min));
}

/// Names for all aliases.
fn birth() -> Vec<u8> {
    let metric = |alias: u8| {
        let name = format!("Inputs/Value{alias:02}");
        let length = name.len() as u8;
        let name = [&[0x12, length + 6, 0x0a, length], name.as_bytes()].concat();
        [name, vec![0x10, alias, 0x20, 9]].concat()
    };
    (0..METRICS).flat_map(metric).collect()
}

const METRICS: u8 = 20;
const MESSAGES: u64 = 300_000;
const ROUNDS: u64 = 7;
