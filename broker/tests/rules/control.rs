//! Rules that are paused, resumed and reset while the broker runs, on the command line.

use std::process::{Command, Output};

use weir_broker::Broker;
use weir_broker::status::RuleStatus;

use crate::support::{Device, Folder, wait_until};

const RULES: &str = "
[rule.step]
from   = \"in/{id}\"
by     = [\"id\"]
select = { was = \"prev.v\", is = \"v\" }
to     = \"out\"

[rule.copy]
from   = \"in/{id}\"
select = { copy = \"v\" }
to     = \"copies\"
";

/// `weir rules` with the key of the data directory.
fn rules(folder: &Folder, broker: &Broker, arguments: &[&str]) -> Output {
    let admin = broker.admin_address().unwrap().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.arg("rules").args(arguments).args(["--admin", &admin]);
    if arguments.first() != Some(&"status") {
        command.arg("--data-dir").arg(&folder.0);
    }
    command.output().unwrap()
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn yes(text: &str) -> (Option<i32>, String, String) {
    (Some(0), format!("{text}\n"), String::new())
}

fn step(broker: &Broker) -> RuleStatus {
    broker.status().rules.into_iter().find(|rule| rule.name == "step").unwrap()
}

fn is_and_was(payload: &str) -> (f64, Option<f64>) {
    let body: serde_json::Value = serde_json::from_str(payload).unwrap();
    (body["is"].as_f64().unwrap(), body["was"].as_f64())
}

#[test]
fn a_paused_rule_is_silent_until_it_is_resumed_also_after_a_restart() {
    let folder = Folder::new("pause");
    let broker = folder.start(RULES);
    let mut device = Device::connect(&broker, "device");
    device.subscribe("out");
    device.subscribe("copies");
    device.publish("in/1", "{\"v\":1}");
    let first = [device.text(), device.text()];
    assert!(first.iter().any(|(topic, _)| topic == "out"));
    let paused = rules(&folder, &broker, &["pause", "step"]);
    assert_eq!(said(&paused), yes("rule `step` is paused"));
    let paused = rules(&folder, &broker, &["pause", "step"]);
    assert_eq!(said(&paused), yes("rule `step` was paused already"));
    for value in ["2", "3"] {
        device.publish("in/1", &format!("{{\"v\":{value}}}"));
        assert_eq!(device.text(), ("copies".to_owned(), format!("{{\"copy\":{value}}}")));
    }
    assert_eq!((step(&broker).matched, step(&broker).paused), (1, true));
    broker.shutdown();

    let broker = folder.start(RULES);
    let mut device = Device::connect(&broker, "device");
    device.subscribe("out");
    device.subscribe("copies");
    device.publish("in/1", "{\"v\":4}");
    assert_eq!(device.text(), ("copies".to_owned(), "{\"copy\":4}".to_owned()));
    assert!(step(&broker).paused);
    let resumed = rules(&folder, &broker, &["resume", "step"]);
    assert_eq!(said(&resumed), yes("rule `step` goes on"));
    device.publish("in/1", "{\"v\":5}");
    let results = [device.text(), device.text()];
    let (_, result) = results.iter().find(|(topic, _)| topic == "out").unwrap();
    // What came while it was paused was not computed, also not later.
    assert_eq!(is_and_was(result), (5.0, Some(1.0)));
    broker.shutdown();
}

#[test]
fn a_reset_rule_has_forgotten_everything_also_after_a_restart() {
    let folder = Folder::new("reset");
    let broker = folder.start(RULES);
    let mut device = Device::connect(&broker, "device");
    device.subscribe("out");
    device.publish("in/1", "{\"v\":1}");
    device.publish("in/2", "{\"v\":1}");
    assert_eq!([device.text(), device.text()].map(|(_, text)| is_and_was(&text).1), [None, None]);
    wait_until("the state", || step(&broker).keys == 2);
    let reset = rules(&folder, &broker, &["reset", "step"]);
    assert_eq!(said(&reset), yes("rule `step` begins anew; 2 groups forgotten"));
    broker.shutdown();
    let broker = folder.start(RULES);
    assert_eq!(step(&broker).keys, 0);
    let mut device = Device::connect(&broker, "device");
    device.subscribe("out");
    device.publish("in/1", "{\"v\":2}");
    assert_eq!(is_and_was(&device.text().1), (2.0, None));
    broker.shutdown();
}

#[test]
fn the_status_of_rules_is_a_table() {
    let folder = Folder::new("status");
    let broker = folder.start(RULES);
    let mut device = Device::connect(&broker, "device");
    device.subscribe("copies");
    for _ in 0..40 {
        device.publish("in/1", "{\"v\":1}");
        device.text();
    }
    wait_until("the figures", || step(&broker).matched == 40);
    let (code, table, errors) = said(&rules(&folder, &broker, &["status"]));
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let lines: Vec<Vec<&str>> =
        table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert_eq!(lines[0][..4], ["rule", "matched", "filtered", "late"]);
    assert_eq!(lines[1][..8], ["step", "40", "0", "0", "0", "0", "40", "1"]);
    let status = step(&broker);
    assert_eq!(status.bytes_in, 40 * 7);
    assert!(status.bytes_out > 0 && status.last_sent_at_ms.is_some() && status.state_bytes > 0);
    assert!(status.handling_p50_ns > Some(0) && status.handling_p50_ns <= status.handling_p99_ns);
    let (code, table, errors) = said(&rules(&folder, &broker, &["status", "copy", "cpoy"]));
    assert_eq!((code, errors.as_str()), (Some(1), "no rule `cpoy` runs there\n"));
    assert_eq!(table.lines().count(), 2, "{table}");
    broker.shutdown();
}

#[test]
fn rules_are_in_the_sys_tree_with_the_figures_of_their_status() {
    let folder = Folder::new("sys");
    let mut config = folder.config(RULES);
    config.sys_interval = Some(std::time::Duration::from_millis(20));
    let broker = Broker::start(config).unwrap();
    let mut device = Device::connect(&broker, "device");
    device.subscribe("copies");
    device.publish("in/1", "{\"v\":1}");
    device.publish("in/1", "no JSON");
    assert_eq!(device.text().0, "copies");
    wait_until("the commit", || step(&broker).commit_lag_p99_ms.is_some());
    device.subscribe("$SYS/rules/step/#");
    let mut wanted = vec![
        ("matched", "2"),
        ("errors", "1"),
        ("errors_by_code/R101", "1"),
        ("emitted", "1"),
        ("paused", "false"),
        ("bytes_in", "14"),
    ];
    let mut lag = None;
    while !wanted.is_empty() || lag.is_none() {
        let (topic, value) = device.text();
        match topic.strip_prefix("$SYS/rules/step/") {
            Some("commit_lag_p99_ms") => lag = Some(value.parse::<u64>().unwrap()),
            figure => wanted.retain(|one| Some(one.0) != figure || one.1 != value),
        }
    }
    assert!(lag < Some(20_000), "{lag:?}");
    broker.shutdown();
}

#[test]
fn who_cannot_read_the_data_directory_and_wrong_names_are_told_so() {
    let folder = Folder::new("refused");
    let broker = folder.start(RULES);
    let (code, _, errors) = said(&rules(&folder, &broker, &["pause", "setp"]));
    assert_eq!(
        (code, errors.as_str()),
        (Some(1), "no rule `setp` runs here; did you mean `step`?\n")
    );
    let (code, _, errors) = said(&rules(&folder, &broker, &["pause", "../step"]));
    assert_eq!(code, Some(2));
    assert!(errors.contains("cannot be the name of a rule"), "{errors}");
    let other = Folder::new("refused-other");
    std::fs::write(other.0.join("admin.key"), [7; 32]).unwrap();
    let (code, _, errors) = said(&rules(&other, &broker, &["pause", "step"]));
    assert_eq!(code, Some(2));
    assert!(errors.contains("401") && errors.contains("admin.key"), "{errors}");
    assert!(!step(&broker).paused);
    broker.shutdown();
}

#[test]
fn a_rule_is_explained_from_its_file_and_from_the_running_broker() {
    let folder = Folder::new("explain");
    let broker = folder.start(RULES);
    let mut device = Device::connect(&broker, "device");
    device.subscribe("out");
    device.publish("in/1", "{\"v\":1}");
    device.text();
    let (code, live, errors) = said(&rules(&folder, &broker, &["explain", "step"]));
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(
        live.starts_with("rule step (rules.toml:2)\n  reads      in/+, decoded as json\n"),
        "{live}"
    );
    assert!(live.contains("  shares     the reading of the payload with copy\n"), "{live}");
    assert!(live.contains("  now        1 groups, "), "{live}");
    broker.shutdown();

    let file = folder.0.join("rules.toml");
    std::fs::write(&file, RULES).unwrap();
    let explain = |rule: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        said(&command.args(["rules", "explain", rule]).arg(&file).output().unwrap())
    };
    let (code, text, errors) = explain("step");
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let (told, _) = live.split_once("  now ").unwrap();
    assert_eq!(text, told.replace("(rules.toml:", &format!("({}:", file.display())));
    let (code, text, errors) = explain("stpe");
    assert_eq!((code, text.as_str()), (Some(1), ""));
    assert_eq!(errors, "no rule `stpe` in these files; did you mean `step`?\n");
}
