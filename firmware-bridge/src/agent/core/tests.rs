use serde_json::Value as Json;

use super::*;
use crate::agent::device::{Actuator, ActuatorKind, Field, Info};
use crate::config;
use crate::json::Decimal;

mod commands;
mod discovery;

const UNIX_MS: u64 = 1_780_000_000_000;

fn at(uptime_ms: u64) -> Now {
    Now::new(uptime_ms, UNIX_MS + uptime_ms)
}

fn bridge(keys: &str) -> BridgeConfig {
    let text = format!("[bridge]\nid = \"mill\"\nmetrics_s = 0\n{keys}\n");
    config::parse("test", &text, std::path::Path::new("")).unwrap().bridge
}

fn field(name: &str, unit: &str) -> Field {
    Field { name: name.to_owned(), unit: unit.to_owned(), is_flag: unit == "flag" }
}

/// A climate sensor, a door, a pump, a heating.
fn devices() -> Vec<Device> {
    let info = |hardware: &str| Info {
        hardware: hardware.to_owned(),
        link: "i2c-1".to_owned(),
        address: "0x76".to_owned(),
    };
    let number = ActuatorKind::Number { min: 5.0, max: 30.0, decimals: 1, unit: "°C".to_owned() };
    vec![
        Device::new(
            "hall",
            info("bme280"),
            vec![field("temperature_c", "°C"), field("humidity_pct", "%")],
        ),
        Device::new("door", info("gpio"), vec![field("on", "flag")]),
        Device::new("pump", info("gpio"), Vec::new()).with_actuator(Actuator::new(
            "switch",
            ActuatorKind::Switch,
            Some(0.0),
            5_000,
        )),
        Device::new("heating", info("modbus"), Vec::new()).with_actuator(Actuator::new(
            "setpoint_c",
            number,
            None,
            5_000,
        )),
    ]
}

/// An agent and what it gives.
struct Bench {
    agent: Agent,
}

impl Bench {
    fn new(keys: &str) -> Self {
        Self { agent: Agent::new(&bridge(keys), devices(), at(0)) }
    }

    /// A bench whose agent has a broker, and has said what there is to say at first.
    fn connected(keys: &str) -> Self {
        let mut bench = Self::new(keys);
        bench.answer_all(0);
        bench.handle(0, Input::Connected);
        bench
    }

    fn handle(&mut self, uptime_ms: u64, input: Input) -> Vec<Effect> {
        self.agent.handle(at(uptime_ms), input);
        self.effects()
    }

    fn poll(&mut self, uptime_ms: u64) -> Vec<Effect> {
        self.agent.poll(at(uptime_ms));
        self.effects()
    }

    fn effects(&mut self) -> Vec<Effect> {
        std::iter::from_fn(|| self.agent.next_effect()).collect()
    }

    /// Carries out all orders.
    fn answer_all(&mut self, uptime_ms: u64) -> Vec<Effect> {
        let mut all = self.effects();
        let mut place = 0;
        while let Some(effect) = all.get(place) {
            place += 1;
            if let Effect::Order { id, value, .. } = effect {
                let more = self.handle(uptime_ms, Input::Answered(*id, Ok(*value)));
                all.extend(more);
            }
        }
        all
    }

    fn report(&mut self, uptime_ms: u64, report: Report) -> Vec<Effect> {
        self.handle(uptime_ms, Input::Reported(report))
    }
}

fn sample(device: usize, uptime_ms: u64, values: &[(usize, i64)]) -> Report {
    let values = values
        .iter()
        .map(|(place, milli)| (*place, Value::Decimal(Decimal { milli: *milli, decimals: 2 })));
    Report {
        device: DeviceId(device),
        at: at(uptime_ms),
        values: values.collect(),
        change: None,
        troubles: Vec::new(),
        counters: Vec::new(),
    }
}

/// Topics and payloads of the messages among effects.
fn published(effects: &[Effect]) -> Vec<(String, String)> {
    let messages = effects.iter().filter_map(|effect| match effect {
        Effect::Publish(message) => Some(message),
        _ => None,
    });
    let text = |message: &Message| String::from_utf8(message.payload.to_vec()).unwrap();
    messages.map(|message| (message.topic.to_string(), text(message))).collect()
}

fn payload<'a>(published: &'a [(String, String)], topic: &str) -> &'a str {
    let found = published.iter().find(|(found, _)| found == topic);
    &found.unwrap_or_else(|| panic!("{topic} is not in {published:?}")).1
}

#[test]
fn sample_is_one_message_with_all_quantities_and_its_time() {
    let mut bench = Bench::connected("");
    let effects = bench.report(1_500, sample(0, 1_000, &[(0, 21_504), (1, 44_200)]));
    assert_eq!(
        published(&effects),
        [(
            "edge/mill/hall/state".to_owned(),
            format!(
                r#"{{"temperature_c":21.50,"humidity_pct":44.20,"ts_ms":{},"seq":1}}"#,
                UNIX_MS + 1_000
            )
        )]
    );
    let Effect::Publish(message) = &effects[0] else { panic!() };
    assert!(message.retain && message.is_kept && message.qos == QoS::AtLeastOnce);
    let effects = bench.report(2_000, sample(0, 2_000, &[(1, 44_000)]));
    assert!(published(&effects)[0].1.starts_with(r#"{"humidity_pct":44.00,"ts_ms""#));
}

#[test]
fn flat_layout_has_a_plain_value_for_each_quantity() {
    let mut bench = Bench::connected("layout = \"flat\"\nstate_qos = 0\nstate_retain = false");
    let effects = bench.report(0, sample(0, 0, &[(0, 21_500), (1, 44_200)]));
    let expected =
        [("edge/mill/hall/temperature_c", "21.50"), ("edge/mill/hall/humidity_pct", "44.20")];
    assert_eq!(published(&effects), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    let Effect::Publish(message) = &effects[0] else { panic!() };
    assert!(!message.retain && !message.is_kept && message.qos == QoS::AtMostOnce);
    let mut edge = sample(1, 0, &[]);
    edge.values = vec![(0, Value::Flag(true))];
    assert_eq!(published(&bench.report(0, edge))[0].1, "ON");
}

#[test]
fn everything_is_told_when_the_broker_comes_and_nothing_old_is_believed() {
    let mut bench = Bench::new("");
    bench.answer_all(0);
    let effects = bench.handle(10, Input::Connected);
    assert_eq!(effects[0], Effect::Subscribe("edge/mill/+/+/set".to_owned()));
    let told = published(&effects);
    assert_eq!(payload(&told, "edge/mill/bridge/state"), "online");
    // An `online` of before a crash may be retained: nobody knows yet.
    assert_eq!(payload(&told, "edge/mill/hall/availability"), "offline");
    assert_eq!(payload(&told, "edge/mill/pump/switch"), "OFF", "its safe state");
    let info: Json = serde_json::from_str(payload(&told, "edge/mill/hall/info")).unwrap();
    assert_eq!(
        (&info["hw"], &info["link"], &info["address"]),
        (&"bme280".into(), &"i2c-1".into(), &"0x76".into())
    );
    assert!(effects.iter().all(|effect| match effect {
        Effect::Publish(message) => message.retain && !message.is_kept,
        _ => true,
    }));
}

/// Behaviour 39.
#[test]
fn device_that_goes_offline_is_told_once_with_one_event() {
    let mut bench = Bench::connected("");
    let change = |change, kind: Option<&'static str>| Report {
        change: Some(change),
        troubles: kind
            .map(|kind| Trouble { kind, text: "no acknowledge".to_owned() })
            .into_iter()
            .collect(),
        ..sample(0, 1_000, &[])
    };
    let told = published(&bench.report(1_000, change(Availability::Offline, Some("nack"))));
    assert_eq!(payload(&told, "edge/mill/hall/availability"), "offline");
    let event: Json = serde_json::from_str(payload(&told, "edge/mill/hall/event")).unwrap();
    assert_eq!((&event["kind"], &event["count"]), (&"nack".into(), &1.into()));
    assert_eq!(told.len(), 2);
    let told = published(&bench.report(5_000, change(Availability::Online, None)));
    assert_eq!(told, [("edge/mill/hall/availability".to_owned(), "online".to_owned())]);
    let told = published(&bench.report(9_000, change(Availability::Offline, Some("nack"))));
    assert_eq!(told.len(), 1, "events of one kind are told once a minute: {told:?}");
    assert_eq!((bench.agent.counters().events, bench.agent.counters().events_untold), (1, 1));
}

#[test]
fn sample_from_before_the_clock_was_set_is_published_with_its_true_time() {
    let early = Now::new(1_000, 1_000);
    let mut agent = Agent::new(&bridge("clock_wait_s = 60"), devices(), early);
    agent.handle(early, Input::Connected);
    while agent.next_effect().is_some() {}
    agent.handle(early, Input::Reported(Report { at: early, ..sample(0, 0, &[(0, 21_500)]) }));
    assert_eq!(agent.next_effect(), None);
    let set = Now::new(21_000, UNIX_MS);
    agent.poll(set);
    let effects: Vec<_> = std::iter::from_fn(|| agent.next_effect()).collect();
    assert!(published(&effects)[0].1.contains(&format!("\"ts_ms\":{},", UNIX_MS - 20_000)));
}

#[test]
fn without_a_clock_samples_say_that_their_time_is_since_the_start() {
    let early = Now::new(1_000, 1_000);
    let mut agent = Agent::new(&bridge("clock_wait_s = 60"), devices(), early);
    agent.handle(early, Input::Connected);
    while agent.next_effect().is_some() {}
    agent.handle(early, Input::Reported(Report { at: early, ..sample(0, 0, &[(0, 21_500)]) }));
    assert_eq!(agent.next_due_ms(), Some(6_000), "an order is answered by then");
    agent.poll(Now::new(61_000, 61_000));
    let effects: Vec<_> = std::iter::from_fn(|| agent.next_effect()).collect();
    let told = published(&effects);
    let state = payload(&told, "edge/mill/hall/state");
    assert!(state.contains("\"ts_ms\":1000,\"ts_src\":\"uptime\""), "{state}");
}

#[test]
fn farewell_says_that_the_bridge_and_its_devices_are_offline() {
    let bench = Bench::connected("");
    let farewell: Vec<_> = bench.agent.farewell().into_iter().map(Effect::Publish).collect();
    let told = published(&farewell);
    assert_eq!(payload(&told, "edge/mill/pump/availability"), "offline");
    assert_eq!(told.last().unwrap(), &("edge/mill/bridge/state".into(), "offline".into()));
}

/// Behaviour 50.
#[test]
fn every_counter_is_published() {
    let mut bench = Bench::new("");
    bench.agent = Agent::new(
        &BridgeConfig { metrics_every: Some(std::time::Duration::from_secs(10)), ..bridge("") },
        devices(),
        at(0),
    );
    bench.handle(0, Input::Connected);
    let counters = vec![("crc", 3), ("nack", 1)];
    bench.report(0, Report { counters, ..sample(0, 0, &[(0, 1_000)]) });
    assert!(bench.agent.next_due_ms().unwrap() <= 10_000);
    let told = published(&bench.poll(10_000));
    let metrics: Json = serde_json::from_str(payload(&told, "edge/mill/bridge/devices")).unwrap();
    assert_eq!(metrics["samples"], 1);
    assert_eq!(metrics["hall"]["crc"], 3);
    for name in ["commands", "commands_failed", "events", "events_untold", "broker_losses"] {
        assert!(metrics[name].is_u64(), "{name}: {metrics}");
    }
    assert!(published(&bench.poll(19_999)).is_empty());
    assert_eq!(published(&bench.poll(20_000)).len(), 1);
}
