//! `weir rules try`: rules over live messages, without publishing.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};

use weir_broker::Broker;

use crate::support::{Device, Folder};

const RULES: &str = "
[rule.step]
from   = \"in/{id}\"
by     = [\"id\"]
let    = { step = \"v - prev.v\" }
where  = \"step > 1\"
select = { step = \"step\" }
to     = [\"out/{id}\", { topic = \"up/{id}\", upstream = \"cloud\" }]

[rule.total]
from   = \"in/{id}\"
window = \"tumbling 1s\"
select = { sum = \"sum(v)\" }
to     = \"totals\"
";

struct Trial {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Trial {
    /// Starts one and waits until it listens.
    fn start(folder: &Folder, broker: &Broker, arguments: &[&str]) -> Self {
        Self::start_with(RULES, folder, broker, arguments)
    }

    fn start_with(rules: &str, folder: &Folder, broker: &Broker, arguments: &[&str]) -> Self {
        let file = folder.0.join("rules.toml");
        std::fs::write(&file, rules).unwrap();
        let address = broker.addresses()[0];
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args(["rules", "try"]).arg(&file).args(arguments);
        command.args(["-h", "127.0.0.1", "-p", &address.port().to_string()]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while line != "reads in/+\n" {
            line.clear();
            stderr.read_line(&mut line).unwrap();
            assert!(line.starts_with("reads "), "{line}");
        }
        Self { child, stderr }
    }

    /// Waits for the end: its exit code, and what it has said.
    fn end(mut self) -> (Option<i32>, String, String) {
        let (mut out, mut errors) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        self.stderr.read_to_string(&mut errors).unwrap();
        (self.child.wait().unwrap().code(), out, errors)
    }
}

#[test]
fn a_rule_is_tried_with_live_messages_and_nothing_is_published() {
    let folder = Folder::new("try");
    let broker = folder.start("");
    let mut device = Device::connect(&broker, "device");
    device.subscribe("#");
    let trial = Trial::start(&folder, &broker, &["step", "--count", "4", "--for", "20s"]);
    for payload in ["{\"v\":1}", "{\"v\":5}", "{\"v\":\"x\"}", "{\"v\":7}", "{\"v\":9}"] {
        device.publish("in/a", payload);
        assert_eq!(device.text(), ("in/a".to_owned(), payload.to_owned()));
    }
    let (code, out, errors) = trial.end();
    assert_eq!(code, Some(0), "{errors}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "out/a {\"id\":\"a\",\"step\":4}");
    assert_eq!(lines[1], "cloud: up/a {\"id\":\"a\",\"step\":4}");
    assert!(lines[2].starts_with("error R102 in step: "), "{out}");
    assert!(lines[2].ends_with("(in/a {\"v\":\"x\"})"), "{out}");
    assert!(errors.contains(", 4 results, "), "{errors}");
    assert!(errors.contains("\n  step: "), "{errors}");
    // Nothing but this comes: what was tried was published nowhere.
    device.publish("end", "");
    assert_eq!(device.text().0, "end");
    broker.shutdown();
}

/// With MQTT 5 a subscriber is told the retain flag, and what was retained before is no news.
#[test]
fn the_retain_flag_of_new_messages_is_known() {
    let folder = Folder::new("try-retain");
    let broker = folder.start("");
    let mut device = Device::connect(&broker, "device");
    device.publish_retained("in/a", "{\"v\":1}");
    device.publish_retained("set/a", "{\"v\":7}");
    let rules = "[rule.step]\nfrom = \"in/{id}\"\nto = \"out\"\n\
                 select = { v = \"v\", retain = \"retain\", set = \"set.v\" }\n\
                 [rule.step.join.set]\ntopic = \"set/{id}\"\n";
    let arguments = ["--count", "3", "--for", "20s"];
    let trial = Trial::start_with(rules, &folder, &broker, &arguments);
    device.publish_retained("in/a", "{\"v\":2}");
    device.publish("in/a", "{\"v\":3}");
    device.publish_retained("set/a", "{\"v\":8}");
    device.publish("in/a", "{\"v\":4}");
    let (code, out, errors) = trial.end();
    assert_eq!(code, Some(0), "{errors}");
    let expected = "out {\"v\":2,\"retain\":true,\"set\":7}\n\
                    out {\"v\":3,\"retain\":false,\"set\":7}\n\
                    out {\"v\":4,\"retain\":false,\"set\":8}\n";
    assert_eq!(out, expected);
    broker.shutdown();
}

#[test]
fn windows_close_by_the_clock_while_nothing_comes() {
    let folder = Folder::new("try-window");
    let broker = folder.start("");
    let mut device = Device::connect(&broker, "device");
    let trial = Trial::start(&folder, &broker, &["total", "--count", "1", "--for", "20s"]);
    device.publish("in/a", "{\"v\":2}");
    let (code, out, errors) = trial.end();
    assert_eq!(code, Some(0), "{errors}");
    assert!(out.starts_with("totals {\"sum\":2,\"window\":"), "{out}");
    broker.shutdown();
}

#[test]
fn a_trial_ends_after_its_time_and_says_when_a_rule_is_not_there() {
    let folder = Folder::new("try-end");
    let broker = folder.start("");
    let trial = Trial::start(&folder, &broker, &["--count", "1", "--for", "50ms"]);
    let (code, out, errors) = trial.end();
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(errors.starts_with("0 messages read, 0 results, 0 errors\n"), "{errors}");
    broker.shutdown();
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    let file = folder.0.join("rules.toml");
    let output = command.args(["rules", "try", "setp"]).arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(errors, "no rule `setp` that runs in these files; did you mean `step`?\n");
}
