//! The forms of what is sent, from a rule to the bytes.

mod common;

use common::{START, plan};
use weir_rules::{Emission, Engine, Event, Source, Timestamp, compile};

/// What a rule sends for one message.
fn send(rule: &str, payload: &str) -> Vec<Emission> {
    let mut engine = Engine::new(plan(&format!("[rule.r]\nfrom = \"in/{{room}}\"\n{rule}")));
    let mut out = Vec::new();
    let event = Event {
        topic: "in/hall",
        payload: payload.as_bytes(),
        qos: 1,
        retain: false,
        client: "c",
        arrived: Timestamp(START),
    };
    engine.handle(Timestamp(START), &event, &mut out);
    common::finish(&mut engine, &mut out);
    out
}

fn sent(rule: &str, payload: &str) -> String {
    let out = send(rule, payload);
    let text = |emission: &Emission| {
        let payload = String::from_utf8_lossy(&emission.payload).into_owned();
        match &emission.error {
            None => payload,
            Some(error) => format!("{}: {}", error.code, error.message),
        }
    };
    out.iter().map(text).collect::<Vec<_>>().join(" | ")
}

#[test]
fn one_value_is_sent_bare() {
    let json = r#"{"t":21.5,"w":"a \"b\"","ok":true}"#;
    let rule = |to: &str| format!("to = {{ topic = \"o\", {to} }}");
    assert_eq!(sent(&rule(r#"format = "number", value = "t * 2""#), json), "43");
    assert_eq!(sent(&rule(r#"format = "text", value = "w""#), json), "a \"b\"");
    assert_eq!(sent(&rule(r#"format = "text", value = "ok""#), json), "true");
    assert_eq!(sent(&rule(r#"value = "w""#), json), r#""a \"b\"""#);
    assert_eq!(sent(&rule(r#"format = "json", value = "nothing""#), json), "null");
    assert_eq!(sent(&rule(r#"format = "csv", value = "w""#), json), r#""a ""b""""#);
    assert_eq!(sent(&rule(r#"format = "cbor", value = "room""#), json), "dhall");
}

#[test]
fn the_only_output_or_the_payload_needs_no_name() {
    let to = "to = { topic = \"o\", format = \"number\" }\n";
    assert_eq!(sent(&format!("{to}decode = \"number\""), " 21.50 "), "21.5");
    assert_eq!(sent(to, "21.50"), "21.5");
    assert_eq!(sent(&format!("{to}select = {{ f = \"t * 1.8 + 32\" }}"), r#"{"t":10}"#), "50");
    let window = "window = \"tumbling 1m\"\nselect = { n = \"count()\" }";
    assert_eq!(sent(&format!("{to}{window}"), "1"), "1");
}

#[test]
fn a_value_of_another_kind_is_a_dead_letter() {
    let to = "to = { topic = \"o\", format = \"number\", value = \"t\" }\n";
    assert_eq!(sent(to, r#"{"t":"x"}"#), "R120: `t` is a text, a number is to be sent");
    assert_eq!(sent(to, "{}"), "R120: `t` is null, a number is to be sent");
    assert_eq!(sent(to, r#"{"t":[1]}"#), "R120: `t` is an object or array, a number is to be sent");
    let to = "to = [\"first\", { topic = \"o\", format = \"text\", value = \"t\" }]\n";
    assert_eq!(sent(to, "{}"), "R120: `t` is null, one value is to be sent");
}

#[test]
fn each_destination_has_its_form() {
    let rule = r#"
        by = ["room"]
        window = "tumbling 1m"
        select = { temp = "avg(t)", word = "last(w)" }
        to = [
            "o",
            { topic = "o", format = "influx", measurement = "climate" },
            { topic = "o", format = "csv" },
            { topic = "o", format = "cbor" },
            { topic = "o", format = "number", value = "temp + 1" },
        ]"#;
    let out = send(rule, r#"{"t":21,"w":"x y"}"#);
    let payloads: Vec<&[u8]> = out.iter().map(|emission| &*emission.payload).collect();
    let window = r#""window":{"start":"2026-01-10T00:00:00.000Z","end":"2026-01-10T00:01:00.000Z","late":0,"rev":0}"#;
    let body = format!(r#"{{"room":"hall","temp":21,"word":"x y",{window}}}"#);
    assert_eq!(payloads[0], body.as_bytes());
    assert_eq!(payloads[1], br#"climate,room=hall temp=21,word="x y" 1768003260000000000"#);
    assert_eq!(payloads[2], b"hall,21,x y,2026-01-10T00:00:00.000Z,2026-01-10T00:01:00.000Z");
    assert!(payloads[3].starts_with(b"\xa4\x64room\x64hall\x64temp\x15\x64word\x63x y\x66window"));
    assert_eq!(payloads[4], b"22");
}

#[test]
fn identifier_does_not_depend_on_how_often_it_is_computed() {
    let rule = "select = { t = \"t\" }\nto = { topic = \"o\", format = \"csv\" }";
    assert_eq!(send(rule, r#"{"t":1}"#), send(rule, r#"{"t":1}"#));
}

#[test]
fn what_does_not_fit_a_form_is_said_at_load() {
    let problems = |rule: &str| -> Vec<String> {
        let text = format!("[rule.r]\nfrom = \"in/{{room}}\"\n{rule}");
        let list = compile(&[Source::new("r.toml", text)]).expect_err("it is wrong");
        list.iter().map(|one| format!("{} {}", one.code(), one.message())).collect()
    };
    let select = "select = { a = \"t\", b = \"w\" }\n";
    assert_eq!(
        problems(&format!("{select}to = {{ topic = \"o\", format = \"number\" }}")),
        ["R003 one value is to be sent, but `select` has several"]
    );
    assert_eq!(
        problems("to = { topic = \"o\", format = \"influx\" }"),
        ["R003 this format needs a `select`"]
    );
    assert_eq!(
        problems("to = { topic = \"o\", format = \"number\", value = \"room\" }"),
        ["R013 expected a number, found a text"]
    );
    assert_eq!(
        problems("decode = \"text\"\nto = { topic = \"o\", format = \"number\" }"),
        ["R013 `value` is a text, not a number"]
    );
    assert_eq!(
        problems(&format!("{select}to = {{ topic = \"o\", format = \"csv\", meta = true }}")),
        ["R004 `meta` needs the JSON object of a result"]
    );
    assert_eq!(
        problems(&format!("{select}to = {{ topic = \"o\", format = \"influx\", value = \"a\" }}")),
        ["R004 a line of InfluxDB has a name for each value"]
    );
    assert_eq!(
        problems(&format!("{select}to = {{ topic = \"o\", measurement = \"m\" }}")),
        ["R004 `measurement` belongs to format = \"influx\""]
    );
    assert_eq!(
        problems(&format!("{select}to = {{ topic = \"o\", format = \"inflx\" }}")),
        ["R004 unknown format `inflx`"]
    );
}
