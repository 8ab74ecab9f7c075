//! `weir rules trace`: what becomes of messages in a running broker.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};

use serde_json::Value;
use weir_broker::Broker;

use crate::support::{Device, Folder};

const RULES: &str = "
[rule.step]
from   = \"in/{id}\"
by     = [\"id\"]
where  = \"v > 1\"
select = { is = \"v\" }
to     = \"out\"

[rule.copy]
from   = \"in/{id}\"
select = { copy = \"v\" }
to     = \"copies\"
";

fn command(folder: &Folder, broker: &Broker, arguments: &[&str]) -> Command {
    let admin = broker.admin_address().unwrap().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(["rules", "trace"]).args(arguments).args(["--admin", &admin]);
    command.arg("--data-dir").arg(&folder.0);
    command
}

fn output(folder: &Folder, broker: &Broker, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command(folder, broker, arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// One that runs until it is dropped.
struct Trace {
    child: Child,
    lines: BufReader<ChildStdout>,
    errors: BufReader<ChildStderr>,
}

impl Trace {
    /// Starts one and waits until it listens.
    fn start(folder: &Folder, broker: &Broker, arguments: &[&str]) -> Self {
        let mut command = command(folder, broker, arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        errors.read_line(&mut line).unwrap();
        assert_eq!(line, format!("traces rule {}\n", arguments[0]));
        Self { child, lines, errors }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The next line, without the time at its beginning.
    fn step(&mut self) -> String {
        let line = self.line();
        let (time, rest) = line.split_once(' ').unwrap();
        assert_eq!((time.len(), &time[10..11]), (24, "T"), "{line}");
        rest.to_owned()
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // It may have ended.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn each_message_of_a_running_rule_is_told_with_what_came_of_it() {
    let folder = Folder::new("trace");
    let broker = folder.start(RULES);
    let mut device = Device::connect(&broker, "device");
    device.publish("in/before", "{\"v\":9}");
    let mut all = Trace::start(&folder, &broker, &["step"]);
    let mut one = Trace::start(&folder, &broker, &["step", "--key", "b", "--json"]);
    device.publish("in/a", "{\"v\":1}");
    device.publish("in/b", "{\"v\":2}");
    device.publish("in/b", "{\"v\":");
    assert_eq!(all.step(), "in/a [a]: `where` is not true");
    assert_eq!(all.step(), "in/b [b]: passed");
    assert_eq!(all.line(), "  -> out {\"id\":\"b\",\"is\":2}");
    let error = all.step();
    assert!(error.starts_with("in/b [b]: error R101: "), "{error}");
    assert!(all.line().starts_with("  -> $rules/step/errors {\"v\": (R101: "));
    let object: Value = serde_json::from_str(&one.line()).unwrap();
    assert_eq!((&object["key"], &object["verdict"]), (&"b".into(), &"passed".into()));
    assert_eq!(object["outcomes"][0]["topic"], "out");
    let object: Value = serde_json::from_str(&one.line()).unwrap();
    assert_eq!((&object["key"], &object["code"]), (&"b".into(), &"R101".into()));

    // A broker that ends says so.
    drop(one);
    broker.shutdown();
    let mut errors = String::new();
    all.errors.read_to_string(&mut errors).unwrap();
    assert!(errors.contains("the broker has ended the trace"), "{errors}");
    assert_eq!(all.child.wait().unwrap().code(), Some(2));
}

#[test]
fn a_trace_ends_after_its_time_and_says_when_a_rule_is_not_there() {
    let folder = Folder::new("trace-end");
    let broker = folder.start(RULES);
    let ended = output(&folder, &broker, &["step", "--for", "50ms"]);
    assert_eq!(ended, (Some(0), String::new(), "traces rule step\n".to_owned()));
    let unknown = output(&folder, &broker, &["setp"]);
    let words = "no rule `setp` runs here; did you mean `step`?\n";
    assert_eq!(unknown, (Some(1), String::new(), words.to_owned()));
    let (code, _, errors) = output(&folder, &broker, &["a/b"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("cannot be the name of a rule"), "{errors}");
    let other = Folder::new("trace-other");
    std::fs::write(other.0.join("admin.key"), [7; 32]).unwrap();
    let (code, _, errors) = output(&other, &broker, &["step"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("401") && errors.contains("admin.key"), "{errors}");
    broker.shutdown();
}

/// Each trace costs the rules time, so they are few; one that has ended makes room.
#[test]
fn traces_are_few() {
    let folder = Folder::new("trace-few");
    let broker = folder.start(RULES);
    let mut device = Device::connect(&broker, "device");
    let running: Vec<Trace> = (0..4).map(|_| Trace::start(&folder, &broker, &["copy"])).collect();
    let (code, _, errors) = output(&folder, &broker, &["copy"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("4 traces run already; end one of them first"), "{errors}");
    drop(running);
    let end = std::time::Instant::now() + crate::support::PATIENCE;
    loop {
        // That they are gone is seen when something is sent to them, at the latest.
        device.publish("in/a", "{\"v\":1}");
        match output(&folder, &broker, &["copy", "--for", "1ms"]).0 {
            Some(0) => break,
            code => assert!(std::time::Instant::now() < end, "{code:?}"),
        }
    }
    broker.shutdown();
}

#[test]
fn a_test_of_a_rule_file_is_traced() {
    let folder = Folder::new("trace-test");
    let file = folder.0.join("rules.toml");
    let test = "[[rule.step.test]]\nname = \"one\"\nexpect = [{ times = 2 }]\nplay = [\
                { at = \"0s\", topic = \"in/a\", payload = { v = 1 } },\
                { at = \"1s\", topic = \"in/a\", payload = { v = 2 } }]\n";
    std::fs::write(&file, format!("{RULES}{test}")).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        let output = command.args(["rules", "test"]).arg(&file).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, traced) = run(&["--trace"]);
    let steps = "\
step: one ... FAILED
  2026-01-01T00:00:00.000Z in/a [a]: `where` is not true
  2026-01-01T00:00:01.000Z in/a [a]: passed
    -> out {\"id\":\"a\",\"is\":2}
error[R030]: ";
    assert!(traced.starts_with(steps), "{traced}");
    assert_eq!(code, Some(1));
    let (_, plain) = run(&[]);
    assert!(plain.starts_with("step: one ... FAILED\nerror[R030]: "), "{plain}");
}
