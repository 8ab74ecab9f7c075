//! The path of a message through a rule.

use std::hint::black_box;

use weir_rules::{Engine, Event, Source, Timestamp, compile};

const RULE: &str = r#"
[rule.climate]
from = "site/{site}/{device}/climate"
by = ["device"]
to = "agg/{device}"
window = "sliding 5m every 10s"
time = { field = "ts", unit = "ms" }
select = { avg = "avg(temperature)", max = "max(temperature)", n = "count()" }
"#;
const START_MS: i64 = 1_767_225_600_000;
/// One message after the other comes from another device.
const DEVICES: u64 = 100;

pub(crate) fn window(times: u64) {
    let plan = compile(&[Source::new("rules.toml", RULE)]).expect("a valid rule");
    let mut engine = Engine::new(plan);
    let topics: Vec<String> =
        (0..DEVICES).map(|device| format!("site/hall/d{device}/climate")).collect();
    let mut out = Vec::new();
    for number in 0..times {
        let ts = START_MS + number as i64 * 10;
        let payload = format!(
            "{{\"ts\":{ts},\"temperature\":{}.5,\"humidity\":45.25,\"battery\":97,\"unit\":\"C\",\"ok\":true}}",
            number % 40
        );
        let event = Event {
            topic: &topics[(number % DEVICES) as usize],
            payload: payload.as_bytes(),
            qos: 0,
            retain: false,
            client: "bench",
            arrived: Timestamp(ts),
        };
        engine.handle(Timestamp(ts), &event, &mut out);
        black_box(&out);
        out.clear();
    }
}
