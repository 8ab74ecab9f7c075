use super::*;
use crate::compile::compile;
use crate::source::Source;

/// An engine with what it has sent.
struct Bench {
    engine: Engine,
    out: Vec<Emission>,
}

impl Bench {
    fn new(rules: &str) -> Self {
        let plan = compile(&[Source::new("r.toml", rules)]).unwrap_or_else(|problems| {
            panic!("{}", problems.iter().map(ToString::to_string).collect::<String>())
        });
        Self { engine: Engine::new(plan), out: Vec::new() }
    }

    fn send_as(&mut self, client: &str, at: i64, topic: &str, payload: &str) {
        let arrived = Timestamp(START + at);
        let (qos, retain, payload) = (1, false, payload.as_bytes());
        let event = Event { topic, payload, qos, retain, client, arrived };
        self.engine.handle(arrived, &event, &mut self.out);
    }

    fn send(&mut self, at: i64, topic: &str, payload: &str) {
        self.send_as("c", at, topic, payload);
    }

    fn advance(&mut self, at: i64) {
        self.engine.advance(Timestamp(START + at), &mut self.out);
    }

    /// What was sent since the last call: topic and payload.
    fn sent(&mut self) -> Vec<String> {
        let texts = self.out.drain(..).map(|emission| {
            let payload = String::from_utf8(emission.payload).unwrap();
            let payload = payload.split(",\"window\"").next().unwrap_or_default();
            format!("{} {payload}", emission.topic)
        });
        texts.collect()
    }

    fn status(&self) -> RuleStatus {
        self.engine.status().remove(0)
    }

    fn timeout(&self) -> Option<i64> {
        self.engine.poll_timeout().map(|at| at.0 - START)
    }
}

const START: i64 = 1_767_225_600_000;

#[test]
fn windows_by_arrival_close_with_the_clock() {
    let mut bench = Bench::new(
        "[rule.r]\nfrom=\"t/{k}\"\nby=[\"k\"]\nwindow=\"tumbling 10s\"\n\
         select={ n=\"count()\", s=\"sum(v)\" }\nto=\"o/{k}\"",
    );
    bench.send(1000, "t/a", r#"{"v":1}"#);
    bench.send(9999, "t/a", r#"{"v":2}"#);
    bench.send(9999, "t/b", r#"{"v":"x"}"#);
    assert_eq!(bench.timeout(), Some(10_000));
    assert_eq!(bench.sent(), ["$rules/r/errors {\"v\":\"x\"}"]);
    bench.send(10_000, "t/a", r#"{"v":5}"#);
    assert_eq!(bench.sent(), ["o/a {\"k\":\"a\",\"n\":2,\"s\":3"]);
    bench.advance(19_999);
    assert!(bench.sent().is_empty());
    bench.advance(25_000);
    assert_eq!(bench.sent(), ["o/a {\"k\":\"a\",\"n\":1,\"s\":5"]);
    assert_eq!(bench.timeout(), Some(30_000));
    bench.advance(30_000);
    assert_eq!((bench.status().keys, bench.status().state_bytes), (0, 0));
    assert_eq!(bench.timeout(), None);
}

#[test]
fn a_clock_that_goes_back_loses_nothing() {
    let mut bench = Bench::new(
        "[rule.r]\nfrom=\"t\"\nwindow=\"tumbling 10s\"\nselect={ n=\"count()\" }\nto=\"o\"\ndecode=\"number\"",
    );
    bench.send(5000, "t", "1");
    bench.advance(10_000);
    bench.send(7000, "t", "2");
    bench.advance(20_000);
    assert_eq!(bench.sent(), ["o {\"n\":1", "o {\"n\":1"]);
    assert_eq!(bench.status().late, 0);
}

#[test]
fn late_messages_are_dropped_and_counted() {
    let mut bench = Bench::new(
        "[rule.r]\nfrom=\"t\"\nwindow=\"tumbling 10s\"\nselect={ n=\"count()\" }\nto=\"o\"\n\
         time={ field=\"ts\", unit=\"s\", late=\"1s\" }",
    );
    let stamp = |at: i64| format!("{{\"ts\":{}}}", START / 1000 + at);
    bench.send(30_000, "t", &stamp(5));
    bench.send(30_000, "t", &stamp(10));
    assert!(bench.sent().is_empty(), "the watermark is one second behind");
    bench.send(30_000, "t", &stamp(11));
    assert_eq!(bench.sent(), ["o {\"n\":1"]);
    bench.send(30_000, "t", &stamp(9));
    let status = bench.status();
    assert_eq!((status.late, status.dropped, status.matched), (1, 1, 4));
}

/// Also when other rules have taken over meanwhile.
#[test]
fn stamps_are_not_held_against_a_clock_before_it_is_set() {
    let rule = "[rule.r]\nfrom=\"in\"\nto=\"out\"\nwindow=\"count 1\"\nselect={n=\"count()\"}\n\
                time={ field=\"ts\", unit=\"ms\", ahead=\"1m\" }\nerrors=\"dead\"";
    let plan = |text: &str| compile(&[Source::new("r.toml", text)]).expect("a rule");
    let (mut engine, mut out) = (Engine::new(plan(rule)), Vec::new());
    engine.set_clock_at(Timestamp(i64::MAX));
    let start = 1_800_000_000_000;
    let mut send = |engine: &mut Engine, second: i64| {
        let arrived = Timestamp(start + second * 1000);
        let payload = format!("{{\"ts\":{}}}", arrived.0 + 3_600_000);
        let payload = payload.as_bytes();
        let event = Event { topic: "in", payload, qos: 1, retain: false, client: "", arrived };
        engine.handle(arrived, &event, &mut out);
        out.pop().expect("a result or a letter").topic
    };
    assert_eq!(send(&mut engine, 1), "out");
    engine.exchange(plan(rule));
    assert_eq!(send(&mut engine, 2), "out");
    engine.set_clock_at(Timestamp(start + 10_000));
    assert_eq!(send(&mut engine, 9), "out", "it came before, and waited");
    assert_eq!(send(&mut engine, 10), "dead");
}

#[test]
fn stamps_that_cannot_be_used_are_dead_letters() {
    let rules = "[rule.r]\nfrom=\"t\"\nwindow=\"tumbling 10s\"\nselect={ n=\"count()\" }\nto=\"o\"\n\
        time={ field=\"ts\", ahead=\"1m\" }\nerrors=\"dead/r\"";
    let mut bench = Bench::new(rules);
    bench.send(0, "t", &format!("{{\"ts\":{}}}", START + 60_000));
    bench.send(0, "t", &format!("{{\"ts\":{}}}", START + 60_001));
    bench.send(0, "t", "{}");
    bench.send(0, "t", "{\"ts\":\"soon\"}");
    bench.send(0, "t", "{\"ts\":\"2026-01-01T00:00:30+00:00\"}");
    let errors: Vec<_> = bench.out.iter().map(|one| one.error.clone().unwrap()).collect();
    assert_eq!(errors[0].code, "R104");
    assert_eq!(errors[0].message, "time field `ts` is 60001 ms ahead of the clock");
    assert_eq!((errors[1].code, errors[1].topic.as_str()), ("R103", "t"));
    assert_eq!(errors[2].message, "time field `ts` cannot be read as a time");
    assert_eq!(bench.out[0].topic, "dead/r");
    assert_eq!(bench.status().errors, [("R103", 2), ("R104", 1)]);
    // A clock that was never set cannot judge.
    let mut bench = Bench::new(rules);
    let payload = format!("{{\"ts\":{START}}}");
    let event = Event {
        topic: "t",
        payload: payload.as_bytes(),
        qos: 0,
        retain: false,
        client: "",
        arrived: Timestamp(5000),
    };
    bench.engine.handle(Timestamp(5000), &event, &mut bench.out);
    assert!(bench.out.is_empty());
}

#[test]
fn a_silent_key_is_closed_by_the_clock() {
    let mut bench = Bench::new(
        "[rule.r]\nfrom=\"t\"\nwindow=\"tumbling 10s\"\nselect={ n=\"count()\" }\nto=\"o\"\n\
         time={ field=\"ts\", late=\"2s\", idle=\"5s\" }",
    );
    bench.send(3000, "t", &format!("{{\"ts\":{}}}", START + 3000));
    // The watermark stands at 1 s and moves with the clock: it is at 10 s nine seconds later.
    assert_eq!(bench.timeout(), Some(12_000));
    bench.advance(11_999);
    assert!(bench.sent().is_empty());
    bench.advance(12_000);
    assert_eq!(bench.sent(), ["o {\"n\":1"]);
}

#[test]
fn keys_of_one_source_share_a_watermark() {
    let mut bench = Bench::new(
        "[rule.r]\nfrom=\"t/{k}\"\nby=[\"k\"]\nwindow=\"tumbling 10s\"\nselect={ n=\"count()\" }\n\
         to=\"o/{k}\"\ntime={ field=\"ts\", per=\"source\" }",
    );
    let stamp = |at: i64| format!("{{\"ts\":{}}}", START + at);
    bench.send_as("gateway", 20_000, "t/a", &stamp(1000));
    bench.send_as("other", 20_000, "t/c", &stamp(1000));
    bench.send_as("gateway", 20_000, "t/b", &stamp(12_000));
    assert_eq!(bench.sent(), ["o/a {\"k\":\"a\",\"n\":1"]);
    // A new key of the same gateway does not begin before the watermark of the gateway.
    bench.send_as("gateway", 20_000, "t/d", &stamp(2000));
    assert_eq!((bench.status().late, bench.status().dropped, bench.status().keys), (1, 1, 3));
}

#[test]
fn limits_refuse_new_keys_and_memory() {
    let mut bench = Bench::new(
        "[rule.r]\nfrom=\"t/{k}\"\nby=[\"k\"]\nwindow=\"tumbling 10s\"\nselect={ n=\"count()\" }\n\
         to=\"o/{k}\"\nlimits={ keys=2 }",
    );
    for key in ["a", "b", "c", "a"] {
        bench.send(0, &format!("t/{key}"), "{}");
    }
    let status = bench.status();
    assert_eq!((status.keys, status.dropped, &status.errors[..]), (2, 1, &[("R105", 1)][..]));
    let mut bench = Bench::new(
        "[rule.r]\nfrom=\"t\"\nwindow=\"tumbling 10s\"\nselect={ n=\"p50(v)\" }\nto=\"o\"\n\
         limits={ memory=\"4 KiB\" }",
    );
    for number in 0..1000 {
        bench.send(number, "t", &format!("{{\"v\":{number}}}"));
    }
    let status = bench.status();
    assert!(status.state_bytes <= 4096 + 16, "{}", status.state_bytes);
    assert_eq!(status.errors[0].0, "R106");
    bench.out.clear();
    bench.advance(30_000);
    assert_eq!(bench.sent().len(), 1, "what fitted gives a result");
}

#[test]
fn a_window_with_many_values_is_counted_and_stays_within_one_percent() {
    let mut bench = Bench::new(
        "[rule.r]\nfrom=\"t\"\nwindow=\"sliding 20s every 10s\"\nselect={ p=\"p90(v)\" }\nto=\"o\"",
    );
    for number in 0..6000 {
        bench.send(number * 3, "t", &format!("{{\"v\":{number}}}"));
    }
    bench.advance(20_000);
    let bodies = bench.sent();
    let value = |text: &String| -> f64 {
        text.split("\"p\":").nth(1).unwrap().trim_end_matches('}').parse().unwrap()
    };
    assert!((value(&bodies[0]) - 3333.0 * 0.9).abs() < 0.6, "{bodies:?}");
    assert!((value(&bodies[1]) / 5400.0 - 1.0).abs() < 0.01, "{bodies:?}");
    assert!(bench.status().state_bytes < 20_000);
}

#[test]
fn results_and_faults_of_results_have_a_place() {
    let mut bench = Bench::new(
        "[rule.r]\nfrom=\"t/{k}\"\nby=[\"k\"]\nwindow=\"tumbling 10s\"\ndecode=\"text\"\n\
         select={ w=\"last(value)\", double=\"2 * w\" }\nto=\"o/{w}\"",
    );
    bench.send(0, "t/a", "x");
    bench.advance(10_000);
    let error = bench.out[0].error.clone().unwrap();
    assert_eq!((error.code, error.topic.as_str()), ("R102", ""));
    assert_eq!(bench.sent(), ["$rules/r/errors {\"k\":\"a\""]);
}

#[test]
fn topics_are_made_from_values_or_refused() {
    let mut bench = Bench::new(
        "[rule.r]\nfrom=\"in/{rest...}\"\nto=\"out/{rest}/{a.b}\"\n\
         [rule.s]\nfrom=\"scalar/{x}\"\ndecode=\"number\"\nto=[\"n/{value}\", \"m/{x}\"]",
    );
    bench.send(0, "in/x/y", r#"{"a":{"b":"z"}}"#);
    bench.send(0, "in", r#"{"a":{"b":7}}"#);
    bench.send(0, "scalar/1", "1.50");
    assert_eq!(
        bench.sent(),
        [r#"out/x/y/z {"a":{"b":"z"}}"#, r#"out//7 {"a":{"b":7}}"#, "n/1.5 1.50", "m/1 1.50"]
    );
    for payload in [r#"{"a":{"b":"x/y"}}"#, r#"{"a":{"b":"+"}}"#, "{}", r#"{"a":{"b":[1]}}"#] {
        bench.send(0, "in/x", payload);
        let error = bench.out.pop().unwrap().error.unwrap();
        assert_eq!(error.code, "R107", "{payload}");
    }
}

#[test]
fn identifiers_are_different_unless_the_message_is_the_same() {
    let rules = "[rule.r]\nfrom=\"t\"\nselect={ x=\"1\" }\nto=[{ topic=\"a\", meta=true }, \"b\"]";
    let run = || {
        let mut bench = Bench::new(rules);
        bench.send(0, "t", "{}");
        bench.send(0, "t", "{}");
        bench.out
    };
    let (first, again) = (run(), run());
    assert_eq!(first, again);
    let mut ids: Vec<u128> = first.iter().map(|one| one.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4);
    let expected = format!(r#"{{"x":1,"id":"{:032x}","rule":"r"}}"#, first[0].id);
    assert_eq!(String::from_utf8(first[0].payload.clone()).unwrap(), expected);
}

#[test]
fn payloads_that_cannot_be_read_are_dead_letters_and_empty_ones_are_nothing() {
    let mut bench = Bench::new(
        "[rule.j]\nfrom=\"t\"\nto=\"o\"\n[rule.n]\nfrom=\"t\"\ndecode=\"number\"\nto=\"p\"\n\
         [rule.b]\nfrom=\"t\"\ndecode=\"bool\"\nto=\"q\"",
    );
    bench.send(0, "t", "");
    assert!(bench.out.is_empty());
    bench.send(0, "t", "off");
    assert_eq!(bench.sent(), ["$rules/j/errors off", "$rules/n/errors off", "q off"]);
    let event = Event {
        topic: "t",
        payload: b"\xff",
        qos: 0,
        retain: false,
        client: "",
        arrived: Timestamp(START),
    };
    bench.engine.handle(Timestamp(START), &event, &mut bench.out);
    assert_eq!(bench.out.len(), 3);
    assert!(bench.out.iter().all(|one| one.payload == b"\xff"));
}

#[test]
fn disabled_rules_are_checked_but_do_not_run() {
    let plan = compile(&[Source::new(
        "r.toml",
        "[rule.r]\nfrom=\"t/{x}\"\nto={ topic=\"o\", upstream=\"cloud\" }\nenabled=false\n\
         [rule.s]\nfrom=[\"a/{y}/#\", \"b/{y}/c\"]\nto={ topic=\"p\", upstream=\"up\" }",
    )])
    .unwrap();
    assert_eq!(plan.filters().collect::<Vec<_>>(), ["a/+/#", "b/+/c"]);
    assert_eq!(plan.upstreams().collect::<Vec<_>>(), ["up"]);
    let rules: Vec<_> = plan.rules().map(|rule| (rule.name.as_str(), rule.enabled)).collect();
    assert_eq!(rules, [("r", false), ("s", true)]);
}
