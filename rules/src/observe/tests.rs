use proptest::prelude::*;

use super::*;
use crate::compile::compile;
use crate::source::Source;

fn observed(filter: &str, messages: &[(&str, String, i64)]) -> Observer {
    let mut observer = Observer::new(filter);
    for (topic, payload, arrived) in messages {
        observer.observe(topic, payload.as_bytes(), Timestamp(START + arrived));
    }
    observer
}

/// The rule, which must compile.
fn rule(observer: &Observer) -> String {
    let text = observer.suggest();
    if let Err(problems) = compile(&[Source::new("suggested.toml", text.clone())]) {
        panic!("{text}\n{}", problems[0]);
    }
    text
}

#[test]
fn a_site_of_sensors_gets_means_by_device_and_by_its_clock() {
    let messages: Vec<_> = (0..60)
        .map(|number: i64| {
            let ts = START + number * 1000 - (number % 3) * 1500;
            let payload = format!(
                r#"{{"ts":{ts},"temperature":{}.5,"total_kwh":{},"on":true,"unit":"C"}}"#,
                20 + number % 3,
                100 + number
            );
            ("site/b1/a1/climate", payload, number * 1000)
        })
        .collect();
    assert_eq!(
        rule(&observed("site/+/+/climate", &messages)),
        r#"# Seen on site/+/+/climate: 60 messages on 1 topics in 59 s.
#   on           true or false
#   temperature  a number from 20.5 to 22.5
#   total_kwh    a number from 100 to 159, never falling
#   ts           a time in ms
#   unit         a text: "C"
[rule.climate]
from   = "site/{site}/{level3}/climate"
time   = { field = "ts", unit = "ms", late = "2s", idle = "1m" }
by     = ["site", "level3"]
window = "tumbling 10s"
select = { on = "round(100 * avg(on ? 1 : 0))", temperature = "avg(temperature)", total_kwh = "last(total_kwh) - first(total_kwh)", unit = "last(unit)", messages = "count()" }
to     = "agg/climate/{site}/{level3}"
"#
    );
}

#[test]
fn payloads_that_are_one_value_are_read_as_such() {
    let numbers: Vec<_> =
        (0..20).map(|n| ("tank/7/level", format!("{}", 50 - n % 4), n * 60_000)).collect();
    let text = rule(&observed("tank/+/level", &numbers));
    assert!(text.contains("decode = \"number\"\n") && text.contains("value = \"avg(value)\""));
    assert!(text.contains("window = \"tumbling 15m\""));
    let switches: Vec<_> = (0..20).map(|n| ("light/1", "ON".to_owned(), n * 1000)).collect();
    let text = rule(&observed("light/+", &switches));
    assert!(text.contains("decode = \"bool\"\n") && text.contains("avg(value ? 1 : 0)"));
    let words: Vec<_> = (0..20).map(|n| ("state", "idle".to_owned(), n * 1000)).collect();
    assert!(rule(&observed("#", &words)).contains("decode = \"text\"\n"));
}

#[test]
fn what_was_never_seen_still_is_a_rule() {
    let text = rule(&Observer::new("a/b"));
    assert!(text.contains("select = { messages = \"count()\" }"));
}

proptest! {
    #[test]
    fn every_suggestion_compiles(
        names in proptest::collection::vec("[a-z_ .'\"0-9-]{0,6}|value|topic|window|now|avg", 0..8),
        values in proptest::collection::vec("[0-9]{1,3}|true|\"[a-z]{0,3}\"|null|\\[1\\]|\\{\"a\":1\\}", 8),
        filter in "([a-z]{1,4}|\\+)(/(\\+|[a-z0-9-]{0,5})){0,3}(/#)?",
    ) {
        prop_assume!(crate::topic::Filter::parse(&filter).is_ok());
        let entries: Vec<String> = names
            .iter()
            .zip(&values)
            .map(|(name, value)| format!("{}:{value}", serde_json::json!(name)))
            .collect();
        let payload = format!("{{{}}}", entries.join(","));
        rule(&observed(&filter, &[("a", payload.clone(), 0), ("b", payload, 1000)]));
    }

    #[test]
    fn arbitrary_payloads_never_panic(payload in any::<Vec<u8>>(), topic in "\\PC{0,9}") {
        let mut observer = Observer::new("#");
        observer.observe(&topic, &payload, Timestamp(0));
        rule(&observer);
    }
}

/// 2026-01-01T00:00:00Z
const START: i64 = 1_767_225_600_000;
