//! Rules that take the place of others while the broker runs.

use std::fs;
use std::process::{Command, Output};

use weir_broker::config::{Overrides, load};
use weir_broker::{Broker, ReloadError};
use weir_rules::{RuleChange, RuleChangeKind, Source};

use crate::support::{Device, Folder, wait_until};

const COUNT: &str = "
[rule.count]
from   = \"in/{id}\"
by     = [\"id\"]
window = \"count 2 every 2\"
select = { sum = \"sum(v)\" }
to     = \"out/{id}\"
";

/// With a value of a topic that is retained.
const JOIN: &str = "
[rule.join]
from   = \"in/{id}\"
select = { v = \"v\", limit = \"limit.value\" }
to     = \"joined\"
[rule.join.join.limit]
topic  = \"limit/{id}\"
decode = \"number\"
";

fn reload(broker: &Broker, rules: &str) -> Vec<(String, RuleChangeKind)> {
    let changes = broker.reload_rules(vec![Source::new("rules.toml", rules)]).unwrap();
    let pair = |change: RuleChange| (change.rule.to_string(), change.kind);
    changes.into_iter().map(pair).collect()
}

fn message(topic: &str, payload: &str) -> (String, String) {
    (topic.to_owned(), payload.to_owned())
}

#[test]
fn rules_come_to_a_broker_without_rules_and_know_what_is_retained() {
    let folder = Folder::new("reload-first");
    let broker = folder.start("");
    let mut device = Device::connect(&broker, "device");
    device.subscribe("joined");
    device.publish_retained("limit/1", "7");
    device.publish("in/1", "{\"v\":1}");
    assert_eq!(reload(&broker, JOIN), [("join".to_owned(), RuleChangeKind::Added)]);
    device.publish("in/1", "{\"v\":2}");
    assert_eq!(device.text(), message("joined", "{\"v\":2,\"limit\":7}"));
    device.publish("limit/1", "8");
    device.publish("in/1", "{\"v\":3}");
    assert_eq!(device.text(), message("joined", "{\"v\":3,\"limit\":8}"));
    let gone = RuleChangeKind::Removed { groups: 0 };
    assert_eq!(reload(&broker, ""), [("join".to_owned(), gone)]);
    assert_eq!(broker.status().rules, []);
    broker.shutdown();
}

#[test]
fn a_rule_goes_on_with_its_state_also_after_a_restart() {
    let folder = Folder::new("reload-state");
    let broker = folder.start(COUNT);
    let mut device = Device::connect(&broker, "device");
    device.subscribe("#");
    device.publish("in/1", "{\"v\":1}");
    wait_until("the first message", || broker.status().rules[0].matched == 1);
    let moved = COUNT.replace("out/", "moved/");
    assert_eq!(reload(&broker, &moved), [("count".to_owned(), RuleChangeKind::Changed)]);
    assert_eq!(reload(&broker, &moved), [], "once more is no change");
    broker.shutdown();

    let broker = folder.start(&moved);
    let mut device = Device::connect(&broker, "device");
    device.subscribe("moved/1");
    device.publish("in/1", "{\"v\":10}");
    let (topic, payload) = device.text();
    assert!(topic == "moved/1" && payload.contains("\"sum\":11"), "{topic} {payload}");
    broker.shutdown();
}

/// There and back: the windows that were dropped on the way stay dropped.
#[test]
fn what_a_reload_has_dropped_does_not_come_back_with_a_restart() {
    let folder = Folder::new("reload-dropped");
    let broker = folder.start(COUNT);
    let mut device = Device::connect(&broker, "device");
    device.publish("in/1", "{\"v\":1}");
    wait_until("the first message", || broker.status().rules[0].matched == 1);
    let other = COUNT.replace("count 2 every 2", "count 3 every 3");
    let anew = |groups| [("count".to_owned(), RuleChangeKind::Restarted { groups })];
    assert_eq!(reload(&broker, &other), anew(1));
    assert_eq!(reload(&broker, COUNT), anew(0));
    broker.shutdown();

    let broker = folder.start(COUNT);
    let mut device = Device::connect(&broker, "device");
    device.subscribe("out/1");
    device.publish("in/1", "{\"v\":10}");
    device.publish("in/1", "{\"v\":100}");
    let (_, payload) = device.text();
    assert!(payload.contains("\"sum\":110"), "{payload}");
    broker.shutdown();
}

#[test]
fn wrong_rules_change_nothing() {
    let folder = Folder::new("reload-wrong");
    let broker = folder.start(COUNT);
    let wrong = format!("{JOIN}{}", COUNT.replace("sum(v)", "summ(v)"));
    match broker.reload_rules(vec![Source::new("rules.toml", wrong)]) {
        Err(ReloadError::Files(problems)) => assert_eq!(problems.len(), 1, "{problems:?}"),
        other => panic!("{other:?}"),
    }
    let names: Vec<String> = broker.status().rules.into_iter().map(|rule| rule.name).collect();
    assert_eq!(names, ["count"]);
    broker.shutdown();
}

/// A broker with the files of a folder.
fn start_with_files(folder: &Folder) -> Broker {
    let file = folder.0.join("weir.toml");
    let text = "data_dir = \"data\"\nrules = [\"*.rules\"]\n[[listener]]\naddress = \
                \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n[auth]\nallow_anonymous = true\n";
    fs::write(&file, text).unwrap();
    Broker::start(load(Some(&file), &Overrides::default()).unwrap().config).unwrap()
}

fn weir_reload(folder: &Folder, broker: &Broker) -> (Option<i32>, String, String) {
    weir_reload_with(folder, broker, &[])
}

fn weir_reload_with(
    folder: &Folder,
    broker: &Broker,
    more: &[&str],
) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command
        .arg("reload")
        .args(more)
        .args(["--admin", &broker.admin_address().unwrap().to_string()]);
    let Output { status, stdout, stderr } =
        command.arg("--data-dir").arg(folder.0.join("data")).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn the_command_reads_the_files_again_and_prints_what_has_changed() {
    let folder = Folder::new("reload-command");
    let rules = |name: &str, text: &str| fs::write(folder.0.join(name), text).unwrap();
    rules("a.rules", COUNT);
    rules("b.rules", &JOIN.replace("rule.join", "rule.other"));
    let broker = start_with_files(&folder);
    let mut device = Device::connect(&broker, "device");
    device.publish("in/1", "{\"v\":1}");
    wait_until("the first message", || broker.status().rules[0].matched == 1);
    let read = "passwords and permissions were read again\n";
    let same = format!("the rules are the same\n{read}");
    assert_eq!(weir_reload(&folder, &broker), (Some(0), same, String::new()));

    let file = folder.0.join("weir.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}[limits]\nmax_qos = 1\n")).unwrap();
    rules("a.rules", &COUNT.replace("count 2 every 2", "count 3"));
    fs::remove_file(folder.0.join("b.rules")).unwrap();
    rules("c.rules", JOIN);
    let said = format!(
        "~ count  changed, begins anew; groups forgotten: 1\n\
         + join   added\n\
         - other  removed; groups forgotten: 0\n{read}\
         ! limits.max_qos: 2 -> 1, restart weir to use it\n"
    );
    let would = said.replace("were read again", "can be read");
    let would = format!("nothing was changed; a reload would do this:\n{would}");
    let looked = weir_reload_with(&folder, &broker, &["--dry-run"]);
    assert_eq!(looked, (Some(0), would, String::new()));
    let names = |broker: &Broker| -> Vec<String> {
        broker.status().rules.into_iter().map(|rule| rule.name).collect()
    };
    assert_eq!(names(&broker), ["count", "other"], "it was a dry run");
    let (_, json, _) = weir_reload_with(&folder, &broker, &["--dry-run", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["dry_run"], true);
    assert_eq!(json["rules"][0]["change"], "restarted");
    assert_eq!(json["keys"][0]["key"], "limits.max_qos");
    assert_eq!((&json["keys"][0]["before"], &json["keys"][0]["after"]), (&"2".into(), &"1".into()));
    assert_eq!(json["keys"][0]["needs_restart"], true);
    assert_eq!(weir_reload(&folder, &broker), (Some(0), said, String::new()));

    rules("c.rules", &JOIN.replace("limit.value", "abss(limit.value)"));
    let (code, stdout, stderr) = weir_reload(&folder, &broker);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    for part in ["c.rules:4:", "did you mean `abs`?", "\nnothing was changed\n"] {
        assert!(stderr.contains(part), "`{part}` is missing in:\n{stderr}");
    }
    let (code, json, _) = weir_reload_with(&folder, &broker, &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["problems"][0]["line"]), (Some(1), &4.into()));
    assert_eq!(names(&broker), ["count", "join"]);
    broker.shutdown();
}
