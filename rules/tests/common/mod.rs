//! What the property tests share: messages as data, and engines that are driven by them.

// Each test uses a part of this.
#![allow(dead_code, unreachable_pub)]

use proptest::prelude::*;
use serde_json::Value;
use weir_rules::{Emission, Engine, Event, Plan, Source, Timestamp, compile};

/// A message. Times are milliseconds; a missing value is null in the payload.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) arrived: i64,
    pub(crate) time: i64,
    pub(crate) key: u8,
    pub(crate) value: Option<f64>,
    pub(crate) word: u8,
    pub(crate) client: u8,
}

impl Input {
    pub(crate) fn payload(&self) -> String {
        let value = self.value.map_or("null".to_owned(), |value| format!("{value:?}"));
        format!(r#"{{"ts":{},"v":{value},"w":"w{}"}}"#, self.time, self.word)
    }
}

/// Messages in order of arrival: gaps, duplicates, and stamps that jump back and forth.
pub(crate) fn inputs(len: usize) -> impl Strategy<Value = Vec<Input>> {
    let step = prop_oneof![5 => 0i64..2000, 1 => 0i64..40_000, 2 => Just(0i64)];
    let back = prop_oneof![3 => Just(0i64), 3 => 0i64..3000, 1 => 0i64..60_000];
    let value = prop_oneof![
        8 => (-1000i32..1000).prop_map(|number| Some(f64::from(number) / 8.0)),
        1 => Just(None),
        1 => (-1e9f64..1e9).prop_map(Some),
    ];
    let one = (step, back, 0u8..3, value, 0u8..5, 0u8..2);
    proptest::collection::vec(one, 1..len).prop_map(|list| {
        let mut arrived = START;
        let make = |(step, back, key, value, word, client): (i64, i64, u8, _, u8, u8)| {
            arrived += step;
            Input { arrived, time: arrived - back, key, value, word, client }
        };
        list.into_iter().map(make).collect()
    })
}

/// A plan from one rule.
pub(crate) fn plan(text: &str) -> Plan {
    match compile(&[Source::new("test.toml", text)]) {
        Ok(plan) => plan,
        Err(problems) => {
            let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
            panic!("{}", texts.join("\n"));
        }
    }
}

pub(crate) fn handle(engine: &mut Engine, input: &Input, out: &mut Vec<Emission>) {
    let (topic, payload) = (format!("in/{}", input.key), input.payload());
    let client = format!("client{}", input.client);
    let arrived = Timestamp(input.arrived);
    let event = Event {
        topic: &topic,
        payload: payload.as_bytes(),
        qos: 1,
        retain: false,
        client: &client,
        arrived,
    };
    engine.handle(arrived, &event, out);
}

/// Lets the clock run until nothing is left to do, or for a year: reminders never end.
pub(crate) fn finish(engine: &mut Engine, out: &mut Vec<Emission>) {
    let end = Timestamp(START + 365 * 86_400_000);
    while let Some(next) = engine.poll_timeout().filter(|next| *next <= end) {
        engine.advance(next, out);
    }
}

/// Everything that an engine sends.
pub(crate) fn run(text: &str, inputs: &[Input]) -> Vec<Emission> {
    let mut engine = Engine::new(plan(text));
    let mut out = Vec::new();
    for input in inputs {
        handle(&mut engine, input, &mut out);
    }
    finish(&mut engine, &mut out);
    out
}

pub(crate) fn body(emission: &Emission) -> Value {
    serde_json::from_slice(&emission.payload).expect("results are JSON")
}

/// 2026-01-10T00:00:00Z
pub(crate) const START: i64 = 1_768_003_200_000;
