//! Fields that rules name and no message has had.

use weir_rules::{Observer, Severity, Source, Timestamp, unseen_fields};

/// The warnings for a file, after messages on `site/+/+/climate`.
fn warnings(file: &str, payloads: &[&str]) -> Vec<String> {
    let sources = [Source::new("rules/climate.toml", file)];
    let mut observer = Observer::new("site/+/+/climate");
    for payload in payloads {
        observer.observe("site/b1/a1/climate", payload.as_bytes(), Timestamp(0));
    }
    let warnings = unseen_fields(&sources, &[observer]).expect("a correct file");
    assert!(warnings.iter().all(|one| one.severity() == Severity::Warning));
    warnings.iter().map(ToString::to_string).collect()
}

fn rule(more: &str) -> String {
    format!("[rule.r]\nfrom = \"site/{{site}}/{{device}}/climate\"\nto = \"out\"\n{more}\n")
}

const PAYLOAD: &str = r#"{"humidity":40,"temperature":20.5,"ts":1,"unit":"C"}"#;

#[test]
fn a_misspelled_field_is_shown_with_those_that_were_seen() {
    let file = rule("window = \"tumbling 1m\"\nselect = { temp = \"avg(temprature)\" }");
    let expected = "\
warning[R012]: unknown field `temprature`
  --> rules/climate.toml:5:24
5 | select = { temp = \"avg(temprature)\" }
  |                        ^^^^^^^^^^ not in the 2 messages seen on site/+/+/climate
  = help: did you mean `temperature`? fields seen: humidity, temperature, ts, unit
";
    assert_eq!(warnings(&file, &[PAYLOAD, PAYLOAD]), [expected]);
}

/// Wherever a field stands it is looked for, also within `prev` and aggregates.
#[test]
fn every_part_of_a_rule_is_looked_at() {
    for part in [
        "where = \"t > 0\"",
        "let = { a = \"t\" }",
        "by = [\"t\"]",
        "select = { a = \"humidity - prev.t\" }",
        "select = { a = \"ewma(t, '1h')\" }",
        "dedupe = { key = [\"t\"], within = \"1m\" }",
        "window = \"tumbling 1m\"\nselect = { n = \"count()\" }\ntime = \"t\"",
        "window = \"tumbling 1m\"\nselect = { n = \"argmax(unit, t)\" }",
        "alert = { when = \"t > 1\" }",
        "change = { field = \"t\" }",
        "alert = { when = \"humidity > 1\", message = \"{t:.1} C\" }",
        "[rule.r.join.set]\ntopic = \"set/{t}\"",
    ] {
        let found = warnings(&rule(part), &[PAYLOAD]);
        assert_eq!(found.len(), 1, "{part}: {found:?}");
        assert!(found[0].contains("unknown field `t`\n"), "{part}: {found:?}");
    }
}

/// A name in a topic can be a field; and a value that is sent alone is one, if it is not an output.
#[test]
fn what_is_sent_and_where_to_is_looked_at() {
    let rule = |to: &str| format!("[rule.r]\nfrom = \"site/{{a}}/{{b}}/climate\"\nto = {to}\n");
    for (to, name, position) in [
        ("\"out/{devcie}\"", "devcie", (3, 11)),
        ("{ topic = \"out\", value = \"t\" }", "t", (3, 32)),
        ("{ topic = \"out\", format = \"number\" }", "value", (3, 32)),
    ] {
        let sources = [Source::new("r.toml", rule(to))];
        let mut observer = Observer::new("site/+/+/climate");
        observer.observe("site/b1/a1/climate", PAYLOAD.as_bytes(), Timestamp(0));
        let found = unseen_fields(&sources, &[observer]).expect("a correct file");
        assert_eq!(found.len(), 1, "{to}: {found:?}");
        assert_eq!(found[0].message(), format!("unknown field `{name}`"));
        assert_eq!(found[0].position(), Some(position), "{}", found[0]);
    }
}

/// An object without fields is a value that was seen, and says nothing of fields in it.
#[test]
fn an_object_without_fields_was_seen() {
    for payload in [r#"{"status":{}}"#, r#"{"status":{"a\"b":1}}"#] {
        assert_eq!(warnings(&rule("where = \"status != null\""), &[payload]), [""; 0]);
    }
    let inside = warnings(&rule("where = \"status.code != null\""), &[r#"{"status":{}}"#]);
    assert_eq!(inside.len(), 1, "{inside:?}");
    let mut observer = Observer::new("in");
    observer.observe("in", br#"{"status":{}}"#, Timestamp(0));
    let suggested = observer.suggest();
    assert!(suggested.contains("status  an object without fields\n"), "{suggested}");
    assert!(!suggested.contains("last(status)"), "{suggested}");
}

#[test]
fn what_was_seen_or_cannot_be_known_is_not_warned_of() {
    let payload = r#"{"deep":{"a":{"b":1}},"list":[{"x":1}],"none":null,"odd name":1,"topic":2}"#;
    for field in [
        "deep.a.b",
        "list[0].x",
        "list[3].y.z",
        "none",
        "none.inner",
        "payload[\\\"odd name\\\"]",
        "payload.topic",
    ] {
        let file = rule(&format!("where = \"{field} == 1\""));
        assert_eq!(warnings(&file, &[payload]), [""; 0], "{field}");
    }
    let wrong = warnings(&rule("where = \"deep.a.c == 1\""), &[payload]);
    assert!(wrong[0].contains("did you mean `deep.a.b`?"), "{wrong:?}");
    assert!(wrong[0].contains("not in the 1 message seen"), "{wrong:?}");
    // Nothing came, or it is not JSON that the rule reads.
    assert_eq!(warnings(&rule("where = \"t > 0\""), &[]), [""; 0]);
    let csv = rule("decode = { csv = [\"t\"] }\nselect = { t = \"t\" }");
    assert_eq!(warnings(&csv, &[PAYLOAD]), [""; 0]);
    // Bare values are the field `value`.
    for payload in ["1.5", "on", "some words"] {
        assert_eq!(warnings(&rule("select = { v = \"value\" }"), &[payload]), [""; 0]);
    }
}

/// One of several filters is enough, and those of other rules do not count.
#[test]
fn a_field_of_any_filter_of_the_rule_is_known() {
    let file = "[rule.r]\nfrom = [\"a/+\", \"b/+\"]\nselect = { t = \"t\" }\nto = \"out\"\n\
                [rule.other]\nfrom = \"c/+\"\nselect = { t = \"t\" }\nto = \"out\"\n";
    let sources = [Source::new("r.toml", file)];
    let observers = [("a/+", "{\"u\":1}"), ("b/+", "{\"t\":1}"), ("c/+", "{\"u\":1}")];
    let observers = observers.map(|(filter, payload)| {
        let mut observer = Observer::new(filter);
        observer.observe("x", payload.as_bytes(), Timestamp(0));
        observer
    });
    let found = unseen_fields(&sources, &observers).expect("a correct file");
    assert_eq!(found.iter().map(|one| one.position()).collect::<Vec<_>>(), [Some((7, 17))]);
    assert!(found[0].to_string().contains("not in the 1 message seen on c/+"), "{}", found[0]);
}
