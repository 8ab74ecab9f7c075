//! `weir rules suggest`: a rule from live messages, which the broker then runs. And the schema.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use crate::support::{Device, Folder};

/// What a run of `weir rules suggest` prints, with messages that come while it looks.
fn suggest(folder: &Folder, filter: &str, payloads: &[(&str, &str)]) -> String {
    let broker = folder.start("");
    let address = broker.addresses()[0];
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    let count = payloads.len().to_string();
    command.args(["rules", "suggest", filter, "--for", "20s", "--count", &count]);
    command.args(["-h", "127.0.0.1", "-p", &address.port().to_string()]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with(&format!("looks at {filter}")), "{line}");
    let mut device = Device::connect(&broker, "device");
    for (topic, payload) in payloads {
        device.publish(topic, payload);
    }
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert!(child.wait().unwrap().success());
    out
}

#[test]
fn a_suggested_rule_names_what_was_seen_and_can_be_checked() {
    let folder = Folder::new("suggest");
    let payloads = [
        ("site/b1/climate", r#"{"temperature":20.5}"#),
        ("site/b2/climate", r#"{"temperature":19}"#),
    ];
    let rule = suggest(&folder, "site/+/climate", &payloads);
    assert!(rule.contains("# Seen on site/+/climate: 2 messages on 2 topics"), "{rule}");
    assert!(rule.contains("from   = \"site/{site}/climate\""), "{rule}");
    assert!(rule.contains("temperature = \"avg(temperature)\""), "{rule}");
    let file = folder.0.join("suggested.toml");
    std::fs::write(&file, &rule).unwrap();
    let mut check = Command::new(env!("CARGO_BIN_EXE_weir"));
    let output = check.args(["rules", "check"]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_schema_is_printed_as_json() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    let output = command.args(["rules", "schema"]).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, weir_rules::SCHEMA);
    assert!(text.starts_with("{\n  \"$schema\": \"http://json-schema.org/draft-07/schema#\""));
}
