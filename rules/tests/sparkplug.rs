//! Sparkplug in rules: aliases are learned from births, and outlive a power cut.

mod common;

use std::collections::BTreeMap;

use common::{START, body, plan};
use proptest::prelude::*;
use serde_json::json;
use weir_rules::{Emission, Engine, Event, Timestamp};

const RULE: &str = r#"
[rule.r]
from   = "spBv1.0/{group}/DDATA/{node}/{device}"
decode = "sparkplug"
select = { node = "node", device = "device", metric = "metric", value = "value", kind = "datatype", at = "timestamp" }
to     = "out"
[rule.n]
from   = "spBv1.0/{group}/NDATA/{node}"
decode = "sparkplug"
by     = ["node", "metric"]
window = "tumbling 10s"
select = { last = "last(value)", n = "count()" }
to     = "nodes"
"#;

/// A metric to be written.
#[derive(Clone, Debug, Default)]
struct Metric {
    name: Option<String>,
    alias: Option<u64>,
    kind: Option<u32>,
    /// As an Int32.
    value: Option<i32>,
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn sized(field: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(field << 3 | 2);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn number(field: u8, number: u64, out: &mut Vec<u8>) {
    out.push(field << 3);
    varint(number, out);
}

fn payload(metrics: &[Metric]) -> Vec<u8> {
    let mut out = Vec::new();
    number(1, 1_700_000_000_000, &mut out);
    for metric in metrics {
        let mut bytes = Vec::new();
        if let Some(name) = &metric.name {
            sized(1, name.as_bytes(), &mut bytes);
        }
        for (field, value) in [(2, metric.alias), (4, metric.kind.map(u64::from))] {
            if let Some(value) = value {
                number(field, value, &mut bytes);
            }
        }
        if let Some(value) = metric.value {
            number(10, u64::from(value as u32), &mut bytes);
        }
        sized(2, &bytes, &mut out);
    }
    out
}

fn born(name: &str, alias: Option<u64>, kind: u32, value: i32) -> Metric {
    Metric { name: Some(name.to_owned()), alias, kind: Some(kind), value: Some(value) }
}

fn aliased(alias: u64, value: i32) -> Metric {
    Metric { alias: Some(alias), value: Some(value), ..Metric::default() }
}

fn named(name: &str, value: i32) -> Metric {
    Metric { name: Some(name.to_owned()), value: Some(value), ..Metric::default() }
}

fn send(engine: &mut Engine, at: i64, topic: &str, metrics: &[Metric], out: &mut Vec<Emission>) {
    let payload = payload(metrics);
    let arrived = Timestamp(START + at);
    let (qos, retain, client) = (0, false, "edge");
    engine.handle(arrived, &Event { topic, payload: &payload, qos, retain, client, arrived }, out);
}

fn restart(engine: &mut Engine, rules: &str, deltas: &mut Vec<Vec<u8>>) {
    let mut delta = Vec::new();
    if engine.take_delta(&mut delta) {
        deltas.push(delta);
    }
    let none = std::iter::empty::<Vec<u8>>();
    let known = engine.status();
    *engine = Engine::restore(plan(rules), none, deltas.iter()).expect("it was just written");
    for (before, after) in known.iter().zip(engine.status()) {
        assert_eq!((before.state_bytes, before.keys), (after.state_bytes, after.keys));
    }
}

#[test]
fn births_of_devices_are_read_in_addition_to_the_filters() {
    let plan = plan(RULE);
    let filters: Vec<&str> = plan.filters().collect();
    let expected =
        ["spBv1.0/+/DDATA/+/+", "spBv1.0/+/NBIRTH/+", "spBv1.0/+/DBIRTH/+/+", "spBv1.0/+/NDATA/+"];
    assert_eq!(filters, expected);
}

#[test]
fn names_and_signs_come_from_births_and_outlive_a_restart() {
    let mut engine = Engine::new(plan(RULE));
    let (mut out, mut deltas) = (Vec::new(), Vec::new());
    let birth = [born("temp", Some(7), 3, 20), born("count", None, 7, 1)];
    send(&mut engine, 0, "spBv1.0/g/DBIRTH/n/d", &birth, &mut out);
    assert!(out.is_empty(), "a birth is not what the rule reads");
    restart(&mut engine, RULE, &mut deltas);
    let data = [aliased(7, -5), named("count", -1), aliased(9, 1)];
    send(&mut engine, 1, "spBv1.0/g/DDATA/n/d", &data, &mut out);
    let bodies: Vec<String> = out[..2].iter().map(|one| body(one).to_string()).collect();
    assert!(bodies[0].contains(r#""metric":"temp""#) && bodies[0].contains(r#""value":-5"#));
    assert!(bodies[0].contains(r#""kind":"Int32""#) && bodies[0].contains("1700000000000"));
    assert!(bodies[1].contains(r#""value":4294967295"#), "UInt32 has no sign: {}", bodies[1]);
    let error = out[2].error.as_ref().expect("alias 9 is not known");
    let message = "name of alias 9 not known: no DBIRTH of n/d was seen; publish \
        `Node Control/Rebirth` = true to spBv1.0/g/NCMD/n";
    assert_eq!((error.code, error.message.as_str()), ("R115", message));
    assert_eq!(out[2].payload, payload(&data), "the payload is unchanged");
    assert_eq!(out.len(), 3);
}

/// A device that announces itself anew may give its aliases to other metrics.
#[test]
fn a_paused_rule_learns_what_devices_announce() {
    let mut engine = Engine::new(plan(RULE));
    let mut out = Vec::new();
    let (birth, data) = ("spBv1.0/g/DBIRTH/n/d", "spBv1.0/g/DDATA/n/d");
    send(&mut engine, 0, birth, &[born("temp", Some(1), 3, 20)], &mut out);
    engine.set_paused("r", true);
    send(&mut engine, 1, birth, &[born("pressure", Some(1), 3, 900)], &mut out);
    send(&mut engine, 2, data, &[aliased(1, 901)], &mut out);
    assert!(out.is_empty(), "{out:?}");
    restart(&mut engine, RULE, &mut Vec::new());
    engine.set_paused("r", false);
    send(&mut engine, 3, data, &[aliased(1, 902)], &mut out);
    assert_eq!(
        (&body(&out[0])["metric"], &body(&out[0])["value"]),
        (&json!("pressure"), &json!(902))
    );
}

#[test]
fn what_cannot_be_known_is_one_dead_letter_and_the_rest_counts() {
    let mut engine = Engine::new(plan(RULE));
    let mut out = Vec::new();
    let kind = |metric: Metric| Metric { kind: Some(3), ..metric };
    let data =
        [named("a", 5), named("b", -5), aliased(1, 1), kind(named("c", -5)), Metric::default()];
    send(&mut engine, 0, "spBv1.0/g/DDATA/n/d", &data, &mut out);
    let found: Vec<String> = out
        .iter()
        .map(|one| match &one.error {
            None => body(one)["value"].to_string(),
            Some(error) => format!("{} {}", error.code, error.message),
        })
        .collect();
    assert_eq!(found[..2], ["5", "-5"]);
    assert_eq!(found[2], "R101 metric 5: neither a name nor an alias");
    assert!(found[3].starts_with("R115 kind of `b` and 1 more not known: no DBIRTH of n/d"));
    assert_eq!(found.len(), 4);
    let status = &engine.status()[0];
    assert_eq!((status.matched, status.emitted), (5, 2));
    send(&mut engine, 1, "spBv1.0/g/DDATA/n", &data, &mut out);
    let broken = Event {
        topic: "spBv1.0/g/DBIRTH/n/d",
        payload: b"\x12\x05",
        qos: 0,
        retain: false,
        client: "edge",
        arrived: Timestamp(START + 2),
    };
    engine.handle(broken.arrived, &broken, &mut out);
    assert_eq!(out.len(), 5);
    assert_eq!(out[4].error.as_ref().map(|error| error.code), Some("R101"));
}

#[test]
fn births_without_room_are_refused_as_a_whole() {
    let rule = "[rule.r]\nfrom = \"spBv1.0/{g}/#\"\ndecode = \"sparkplug\"\nto = \"out\"\n\
        select = { m = \"metric\" }\nlimits = { memory = \"4 KiB\" }\n";
    let mut engine = Engine::new(plan(rule));
    let mut out = Vec::new();
    let many: Vec<Metric> = (0..40).map(|n| born(&format!("m{n}"), Some(n), 3, 0)).collect();
    send(&mut engine, 0, "spBv1.0/g/NBIRTH/n", &many[..10], &mut out);
    assert_eq!(out.len(), 10, "a birth that the filter matches is data as well");
    assert!(engine.status()[0].state_bytes > 1280);
    out.clear();
    send(&mut engine, 1, "spBv1.0/g/NBIRTH/n", &many, &mut out);
    assert_eq!(out.remove(0).error.map(|error| error.code), Some("R106"));
    assert_eq!((out.len(), engine.status()[0].state_bytes), (40, 0));
    send(&mut engine, 2, "spBv1.0/STATE/host", &[], &mut out);
    send(&mut engine, 2, "spBv1.0/g/DDATA/n/d/e", &many, &mut out);
    assert_eq!(out.len(), 40);
    assert_eq!(engine.status()[0].filtered, 2);
}

/// What a node or device does.
#[derive(Clone, Debug)]
enum Act {
    Birth(Vec<(u64, u32)>),
    Data(Vec<(u64, i32)>),
    /// Nothing since the last restart was stored.
    PowerCut,
    Restart,
}

fn acts() -> impl Strategy<Value = Vec<(u8, u8, Act)>> {
    let act = prop_oneof![
        2 => proptest::collection::vec((0u64..6, prop_oneof![Just(3u32), Just(7)]), 0..6)
            .prop_map(Act::Birth),
        5 => proptest::collection::vec((0u64..6, any::<i32>()), 1..5).prop_map(Act::Data),
        1 => Just(Act::PowerCut),
        1 => Just(Act::Restart),
    ];
    proptest::collection::vec((0u8..2, 0u8..3, act), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn aliases_are_those_of_the_last_birth(acts in acts()) {
        let rule = "[rule.r]\nfrom = [\"spBv1.0/g/NDATA/{n}\", \"spBv1.0/g/DDATA/{n}/+\"]\n\
            decode = \"sparkplug\"\nto = \"out\"\nselect = { m = \"metric\", v = \"value\" }\n";
        let mut engine = Engine::new(plan(rule));
        let (mut out, mut deltas) = (Vec::new(), Vec::new());
        // Name and kind by node, device (0 is the node itself) and alias.
        let mut known: BTreeMap<(u8, u8, u64), (String, u32)> = BTreeMap::new();
        let mut expected = Vec::new();
        // What is played again after a power cut.
        let mut pending: Vec<(i64, String, Vec<Metric>)> = Vec::new();
        for (at, (node, device, act)) in acts.into_iter().enumerate() {
            let topic = |kind: &str| match device {
                0 => format!("spBv1.0/g/N{kind}/n{node}"),
                _ => format!("spBv1.0/g/D{kind}/n{node}/d{device}"),
            };
            match act {
                Act::Birth(list) => {
                    known.retain(|(n, d, _), _| *n != node || (device > 0 && *d != device));
                    let mut metrics = Vec::new();
                    for (alias, kind) in list {
                        let name = format!("{at}-{alias}");
                        metrics.push(born(&name, Some(alias), kind, 0));
                        known.insert((node, device, alias), (name, kind));
                    }
                    send(&mut engine, at as i64, &topic("BIRTH"), &metrics, &mut out);
                    pending.push((at as i64, topic("BIRTH"), metrics));
                }
                Act::Data(list) => {
                    let mut unknown = false;
                    for (alias, value) in &list {
                        let Some((name, kind)) = known.get(&(node, device, *alias)) else {
                            unknown = true;
                            continue;
                        };
                        let value =
                            if *kind == 3 { i64::from(*value) } else { i64::from(*value as u32) };
                        expected.push(format!("{name} {value}"));
                    }
                    expected.extend(unknown.then(|| "R115".to_owned()));
                    let metrics: Vec<Metric> =
                        list.into_iter().map(|(alias, value)| aliased(alias, value)).collect();
                    send(&mut engine, at as i64, &topic("DATA"), &metrics, &mut out);
                    pending.push((at as i64, topic("DATA"), metrics));
                }
                Act::PowerCut => {
                    let none = std::iter::empty::<Vec<u8>>();
                    engine = Engine::restore(plan(rule), none, deltas.iter()).unwrap();
                    let mut again = Vec::new();
                    for (at, topic, metrics) in &pending {
                        send(&mut engine, *at, topic, metrics, &mut again);
                    }
                    let start = out.len() - again.len();
                    prop_assert_eq!(&out[start..], &again[..]);
                }
                Act::Restart => {
                    restart(&mut engine, rule, &mut deltas);
                    pending.clear();
                }
            }
        }
        let found: Vec<String> = out
            .iter()
            .map(|one| match &one.error {
                None => {
                    let body = body(one);
                    format!("{} {}", body["m"].as_str().unwrap_or_default(), body["v"])
                }
                Some(error) => error.code.to_owned(),
            })
            .collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn arbitrary_payloads_never_panic(
        payloads in proptest::collection::vec(
            (0usize..4, proptest::collection::vec(any::<u8>(), 0..60)), 1..10),
    ) {
        let mut engine = Engine::new(plan(RULE));
        let topics =
            ["spBv1.0/g/DDATA/n/d", "spBv1.0/g/DBIRTH/n/d", "spBv1.0/g/NBIRTH/n", "spBv1.0/g/NDATA/n"];
        let mut out = Vec::new();
        for (at, (topic, payload)) in payloads.iter().enumerate() {
            let event = Event {
                topic: topics[*topic],
                payload,
                qos: 0,
                retain: false,
                client: "edge",
                arrived: Timestamp(START + at as i64),
            };
            engine.handle(event.arrived, &event, &mut out);
        }
    }
}
