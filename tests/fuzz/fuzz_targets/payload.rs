//! Any bytes, as the payload of a rule with any decoder.
//!
//! The first byte chooses the decoder, the second the topic; then a payload follows, its length
//! before it, and the next. What the rules send must be what an engine sends that was restored
//! before the last payload.
//!
//! ```text
//! cargo +nightly fuzz run --fuzz-dir tests/fuzz payload
//! ```
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use weir_rules::{Emission, Engine, Event, Plan, Source, Timestamp, compile};

/// A plan for each decoder.
static PLANS: LazyLock<Vec<Plan>> = LazyLock::new(|| {
    let decoders = [
        "'json'",
        "'number'",
        "'text'",
        "'bool'",
        "'cbor'",
        "'msgpack'",
        "'influx'",
        "'csv'",
        "{ csv = ['a', '', 'value'], separator = ';', decimal = ',' }",
        "{ bytes = { a = 'i24be@0', value = 'f32cdab@2', b = 'bool@1.7' } }",
        "'sparkplug'",
    ];
    decoders.into_iter().map(plan).collect()
});

fn plan(decode: &str) -> Plan {
    let value = if decode.contains("sparkplug") { "metric" } else { "value" };
    let text = format!(
        "[rule.each]\nfrom = 'spBv1.0/{{g}}/#'\ndecode = {decode}\n\
         select = {{ value = 'value', other = '{value}' }}\nto = 'each'\n\
         [rule.window]\nfrom = 'spBv1.0/{{g}}/DDATA/{{n}}/{{d}}'\ndecode = {decode}\nby = ['d']\n\
         window = 'tumbling 1s'\nselect = {{ last = 'last(value)', n = 'count()' }}\nto = 'window'\n"
    );
    compile(&[Source::new("fuzz.toml", text)]).expect("the rules are correct")
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, mut rest)) = data.split_first() else { return };
    let plan = &PLANS[usize::from(choice) % PLANS.len()];
    let mut engine = Engine::new(plan.clone());
    let mut delta = Vec::new();
    let (mut out, mut sent) = (Vec::new(), Vec::new());
    let mut at = START_MS;
    while let Some((&[topic, length], more)) = rest.split_first_chunk() {
        let (payload, more) = more.split_at(more.len().min(usize::from(length)));
        rest = more;
        at += 300;
        // The engine that was restored must do as the other does.
        let mut part = Vec::new();
        engine.take_delta(&mut part);
        delta.extend((!part.is_empty()).then_some(part));
        let none = std::iter::empty::<Vec<u8>>();
        let mut again = Engine::restore(plan.clone(), none, delta.iter()).expect("just written");
        sent.clear();
        handle(&mut again, topic, payload, at, &mut sent);
        let start = out.len();
        handle(&mut engine, topic, payload, at, &mut out);
        assert_eq!(out[start..], sent[..]);
        assert_eq!(engine.status()[0].state_bytes, again.status()[0].state_bytes);
    }
});

fn handle(engine: &mut Engine, topic: u8, payload: &[u8], at: i64, out: &mut Vec<Emission>) {
    let topic = TOPICS[usize::from(topic) % TOPICS.len()];
    let (qos, retain, client, arrived) = (1, false, "fuzz", Timestamp(at));
    engine.handle(arrived, &Event { topic, payload, qos, retain, client, arrived }, out);
}

const TOPICS: [&str; 5] = [
    "spBv1.0/g/DDATA/n/d",
    "spBv1.0/g/DBIRTH/n/d",
    "spBv1.0/g/NBIRTH/n",
    "spBv1.0/g/NDATA/n",
    "spBv1.0/STATE/host",
];
const START_MS: i64 = 1_767_225_600_000;
