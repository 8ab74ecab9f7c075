//! What a rule keeps stays within its limits, whatever comes, and says whose limits they are.

mod common;

use common::plan;
use weir_rules::{DeadLetter, Emission, Engine, Event, Timestamp};

/// Messages of ever new groups; gives the dead letters.
fn explode(engine: &mut Engine, groups: u32) -> Vec<DeadLetter> {
    let mut out: Vec<Emission> = Vec::new();
    let mut letters = Vec::new();
    for group in 0..groups {
        let (topic, payload) = (format!("site/s{}/d{group}/climate", group % 7), "{\"t\":21.5}");
        let arrived = Timestamp(1_767_225_600_000 + i64::from(group));
        let (qos, retain, client) = (0, false, "sensor");
        let payload = payload.as_bytes();
        let event = Event { topic: &topic, payload, qos, retain, client, arrived };
        engine.handle(arrived, &event, &mut out);
        letters.extend(out.drain(..).filter_map(|emission| emission.error));
    }
    letters
}

fn rule(limits: &str) -> String {
    format!(
        r#"
        [rule.climate]
        from   = "site/{{site}}/{{device}}/climate"
        by     = ["site", "device"]
        window = "sliding 1h every 1m"
        select = {{ p95 = "p95(t)", n = "count()" }}
        limits = {limits}
        to     = "agg"
        "#
    )
}

#[test]
fn memory_stays_below_its_limit_when_groups_explode() {
    let mut engine = Engine::new(plan(&rule("{ memory = \"1 MiB\" }")));
    let letters = explode(&mut engine, 50_000);
    let status = &engine.status()[0];
    assert!(status.state_bytes <= 1 << 20, "{} bytes", status.state_bytes);
    assert!(status.keys > 1000, "{} groups", status.keys);
    assert_eq!(letters.len(), 50_000 - status.keys);
    let expected = format!(
        "rule `climate` uses {} of 1048576 bytes, limits.memory, for {} groups of site, device",
        status.state_bytes, status.keys
    );
    let last = letters.last().expect("most groups were refused");
    assert_eq!((last.code, last.message.as_str()), ("R106", expected.as_str()));
}

#[test]
fn a_group_too_many_is_refused_by_name() {
    let mut engine = Engine::new(plan(&rule("{ keys = 100, memory = \"16 MiB\" }")));
    let letters = explode(&mut engine, 1000);
    assert_eq!((engine.status()[0].keys, letters.len()), (100, 900));
    let expected = "rule `climate` has 100 groups of site, device, limits.keys";
    assert_eq!((letters[0].code, letters[0].message.as_str()), ("R105", expected));
}
