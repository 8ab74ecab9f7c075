//! Decoders at work in rules: what is shared, what is refused, and payloads of several messages.

mod common;

use common::plan;
use weir_rules::{Emission, Engine, Event, RuleStatus, Timestamp};

fn event<'a>(at: i64, topic: &'a str, payload: &'a [u8]) -> Event<'a> {
    let arrived = Timestamp(common::START + at);
    Event { topic, payload, qos: 1, retain: false, client: "c", arrived }
}

/// What a rule makes of some payloads, and what it has counted then.
fn run(rules: &str, payloads: &[&[u8]]) -> (Vec<Emission>, Vec<RuleStatus>) {
    let mut engine = Engine::new(plan(rules));
    let mut out = Vec::new();
    for (at, payload) in payloads.iter().enumerate() {
        let event = event(at as i64, "in/a", payload);
        engine.handle(event.arrived, &event, &mut out);
    }
    (out, engine.status())
}

/// Topic and payload, or the reason of a dead letter and its payload.
fn texts(out: &[Emission]) -> Vec<String> {
    let text = |emission: &Emission| {
        let payload = String::from_utf8_lossy(&emission.payload).into_owned();
        match &emission.error {
            None => format!("{} {payload}", emission.topic),
            Some(error) => format!("{}: {} [{payload}]", error.code, error.message),
        }
    };
    out.iter().map(text).collect()
}

#[test]
fn rules_that_decode_one_payload_in_different_ways_do_not_disturb_each_other() {
    let rule = |name: &str, decode: &str, select: &str| {
        format!(
            "[rule.{name}]\nfrom = \"in/+\"\nto = \"{name}\"\ndecode = {decode}\nselect = {{ {select} }}\n"
        )
    };
    let text = [
        rule("a", "\"json\"", "t = \"concat(t, '!')\""),
        rule("b", "{ csv = [\"t\"], separator = \";\" }", "t = \"len(t)\""),
        rule("c", "\"json\"", "t = \"concat('<', t)\", u = \"payload.u\""),
        rule("d", "\"text\"", "n = \"len(value)\""),
        rule("e", "\"bytes:u8@0\"", "first = \"value\""),
        rule("f", "\"json\"", "t = \"t\""),
    ];
    let payload = br#"{"t":"x\u0041","u":1}"#;
    let (out, _) = run(&text.concat(), &[payload]);
    let expected = [
        r#"a {"t":"xA!"}"#.to_owned(),
        format!(r#"b {{"t":{}}}"#, payload.len()),
        r#"c {"t":"<xA","u":1}"#.to_owned(),
        format!(r#"d {{"n":{}}}"#, payload.len()),
        r#"e {"first":123}"#.to_owned(),
        r#"f {"t":"xA"}"#.to_owned(),
    ];
    assert_eq!(texts(&out), expected);
}

#[test]
fn binary_payloads_need_not_be_text() {
    let rule = |decode: &str| {
        format!(
            "[rule.r]\nfrom = \"in/+\"\nto = \"o\"\ndecode = \"{decode}\"\nselect = {{ a = \"a\", b = \"list[1]\" }}\n"
        )
    };
    let cbor = b"\xa2\x61a\xf9\x3e\x00\x64list\x82\xf6\x42\xca\xfe";
    let (out, _) = run(&rule("cbor"), &[cbor, b"\xa1\x61a"]);
    assert_eq!(out[0].payload, br#"{"a":1.5,"b":"cafe"}"#);
    let error = out[1].error.as_ref().expect("a dead letter");
    assert_eq!((error.code, out[1].payload.as_slice()), ("R101", &b"\xa1\x61a"[..]));
    assert_eq!(error.message, "payload is not CBOR: ends too early at byte 3");
    let (out, _) =
        run(&rule("msgpack"), &[b"\x82\xa1a\xcb\x3f\xf8\0\0\0\0\0\0\xa4list\x92\xc0\xc4\x01\xca"]);
    assert_eq!(texts(&out), [r#"o {"a":1.5,"b":"ca"}"#]);
    let (out, _) = run(&rule("json"), &[b"\xff"]);
    assert_eq!(out[0].error.as_ref().unwrap().message, "payload is not UTF-8");
}

#[test]
fn a_bad_row_is_a_dead_letter_of_its_own_and_all_are_counted() {
    let rules = "[rule.r]\nfrom = \"in/{k}\"\ndecode = \"csv\"\nby = [\"k\"]\nlet = { d = \"t - prev.t\" }\n\
        where = \"t > 1\"\nselect = { t = \"t\", d = \"d\" }\nto = \"o/{k}\"\n";
    let payload = b"t,u\n1,a\n5,b\nx,c\n7\n6,d\n";
    let (out, status) = run(rules, &[payload, b"t,u\n", b"", b"\xff", b"\"t"]);
    let expected = [
        r#"o/a {"k":"a","t":5,"d":4}"#,
        "R102: row 4: `-` cannot take a text and a number in `t - prev.t` [x,c]",
        "R101: row 5: 1 cells, but 2 columns [7]",
        "R102: row 6: `-` cannot take a number and a text in `t - prev.t` [6,d]",
        "R101: payload is not UTF-8 [\u{fffd}]",
        "R101: a quote that is not closed at character 1 [\"t]",
    ];
    assert_eq!(texts(&out), expected);
    let status = &status[0];
    assert_eq!((status.matched, status.filtered, status.emitted), (9, 3, 1));
    assert_eq!(status.errors, [("R101", 3), ("R102", 2)]);
}

#[test]
fn each_line_is_sent_as_it_came_if_nothing_is_selected() {
    let rules = "[rule.r]\nfrom = \"in/+\"\ndecode = \"influx\"\nwhere = \"v > 1\"\nto = \"o/{measurement}/{tag}\"\n";
    let payload = b"# from here\nm,tag=a v=2 7\r\nm,tag=b v=1\nm v=3\n\nn,tag=c v=4i,w=\"x\ny\"\n n,tag=d v=\n";
    let (out, _) = run(rules, &[payload]);
    assert_eq!(
        texts(&out),
        [
            "o/m/a m,tag=a v=2 7",
            "R107: line 4: `{tag}` of the topic is null [m v=3]",
            "o/n/c n,tag=c v=4i,w=\"x\ny\"",
            "R101: line 8: a field has a value at character 11 [n,tag=d v=]",
        ]
    );
    let ids: std::collections::BTreeSet<u128> = out.iter().map(|emission| emission.id).collect();
    assert_eq!(ids.len(), out.len());
}

#[test]
fn rows_beyond_the_limit_are_one_dead_letter() {
    let rules = "[rule.r]\nfrom = \"in/+\"\ndecode = { csv = [\"t\"] }\nwindow = \"tumbling 1s\"\n\
        select = { n = \"count()\", last = \"last(t)\" }\nto = \"o\"\n";
    let rows = |count: usize| (0..count).map(|row| format!("{row}\n")).collect::<String>();
    let (out, status) = run(rules, &[rows(16_384).as_bytes(), b"\n\n"]);
    assert!(out.is_empty());
    assert_eq!((status[0].matched, status[0].filtered), (16_385, 1));
    let (out, status) = run(rules, &[rows(16_386).as_bytes()]);
    let expected = "R108: only the first 16384 rows of a payload are read [16384\n16385\n]";
    assert_eq!(texts(&out), [expected]);
    assert_eq!(status[0].matched, 16_385);
}

#[test]
fn rows_of_a_payload_lie_in_the_windows_of_their_own_times() {
    let rules = "[rule.r]\nfrom = \"in/+\"\ndecode = { csv = [\"ts\", \"v\"] }\nwindow = \"tumbling 1s\"\n\
        time = { field = \"ts\", unit = \"ms\" }\nselect = { n = \"count()\", sum = \"sum(v)\" }\nto = \"o\"\n";
    let start = common::START - 10_000;
    let payload: String = (0..35).map(|row| format!("{},{row}\n", start + row * 100)).collect();
    let (out, _) = run(rules, &[payload.as_bytes()]);
    let found: Vec<(u64, u64)> = out
        .iter()
        .map(common::body)
        .map(|body| (body["n"].as_u64().unwrap(), body["sum"].as_u64().unwrap()))
        .collect();
    assert_eq!(found, [(10, 45), (10, 145), (10, 245)]);
}
