use std::collections::BTreeSet;

use serde_json::Value;

use super::SCHEMA;
use crate::compile::compile;
use crate::source::Source;

fn schema() -> Value {
    serde_json::from_str(SCHEMA).expect("the schema is JSON")
}

/// The keys of a table, as the schema has them.
fn keys(path: &str) -> BTreeSet<String> {
    let schema = schema();
    let table = schema.pointer(path).unwrap_or_else(|| panic!("no {path}"));
    let properties =
        table["properties"].as_object().unwrap_or_else(|| panic!("{path} is no table"));
    assert_eq!(table["additionalProperties"], false, "{path}");
    properties.keys().cloned().collect()
}

/// The keys of a table, as an error about an unknown one lists them.
fn known(lines: &str) -> BTreeSet<String> {
    let text = format!("[rule.r]\nfrom = \"a\"\nto = \"b\"\n{lines}\n");
    let problems = compile(&[Source::new("r.toml", text)]).expect_err("there is an unknown key");
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let list = texts.iter().find_map(|text| text.split_once("= help: keys of "));
    let (_, list) = list.unwrap_or_else(|| panic!("{}", texts.join("\n")));
    let (_, list) = list.split_once(": ").expect("the keys follow");
    list.trim().split(", ").map(str::to_owned).collect()
}

#[test]
fn every_key_of_a_rule_file_is_in_the_schema_and_no_other() {
    const UNKNOWN: &str = "xxxxxxxxxxxx = 1";
    let tables = [
        ("/definitions/rule", UNKNOWN.to_owned()),
        (
            "/definitions/rule/properties/time/anyOf/1",
            format!("time = {{ field = \"t\", {UNKNOWN} }}"),
        ),
        ("/definitions/rule/properties/emit", format!("emit = {{ {UNKNOWN} }}")),
        ("/definitions/rule/properties/limits", format!("limits = {{ {UNKNOWN} }}")),
        (
            "/definitions/rule/properties/alert",
            format!("alert = {{ when = \"x > 1\", {UNKNOWN} }}"),
        ),
        ("/definitions/rule/properties/change", format!("change = {{ {UNKNOWN} }}")),
        (
            "/definitions/rule/properties/dedupe",
            format!("dedupe = {{ key = \"x\", within = \"1s\", {UNKNOWN} }}"),
        ),
        (
            "/definitions/rule/properties/join/additionalProperties",
            format!("join.x = {{ topic = \"x\", {UNKNOWN} }}"),
        ),
        (
            "/definitions/rule/properties/lookup/additionalProperties",
            format!("lookup.x = {{ file = \"x.csv\", key = \"x\", {UNKNOWN} }}"),
        ),
        ("/definitions/rule/properties/test/items", format!("test = [{{ {UNKNOWN} }}]")),
        (
            "/definitions/rule/properties/test/items/properties/play/items/anyOf/1",
            format!(
                "test = [{{ name = \"n\", play = [{{ at = \"0s\", {UNKNOWN} }}], expect = [{{}}] }}]"
            ),
        ),
        (
            "/definitions/rule/properties/test/items/properties/expect/items",
            format!(
                "test = [{{ name = \"n\", play = [{{ at = \"0s\" }}], expect = [{{ {UNKNOWN} }}] }}]"
            ),
        ),
    ];
    for (path, lines) in tables {
        let mut known = known(&lines);
        // A step is a message or an action; the schema tells them apart.
        if path.ends_with("/play/items/anyOf/1") {
            known.remove("action");
        }
        assert_eq!(keys(path), known, "{path}");
    }
}

#[test]
fn every_key_is_explained() {
    fn look(value: &Value, path: &str) {
        let Some(table) = value.as_object() else { return };
        for (name, entry) in
            table.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            let explained = entry.get("description").and_then(Value::as_str);
            let referred = entry.get("$ref").is_some();
            assert!(explained.is_some_and(|text| text.len() > 5) || referred, "{path}.{name}");
        }
        table.iter().for_each(|(name, value)| look(value, &format!("{path}.{name}")));
    }
    look(&schema(), "");
}
