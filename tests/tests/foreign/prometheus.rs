//! What Prometheus makes of the metrics and of the alerts.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use weir_tests::harness::folder::Folder;
use weir_tests::harness::foreign::program;
use weir_tests::harness::process::{Ended, Process};
use weir_tests::harness::weir::{Weir, workspace};

const LIMIT: Duration = Duration::from_secs(60);

fn promtool(arguments: &[&str]) -> Option<Ended> {
    let promtool = program("promtool", "promtool")?;
    let mut command = Command::new(promtool);
    Some(Process::spawn(command.args(arguments).current_dir(workspace())).wait(LIMIT))
}

#[test]
fn promtool_has_nothing_to_say_against_the_metrics() {
    let Some(promtool) = program("promtool check metrics", "promtool") else { return };
    let folder = Folder::new("promtool");
    let rules = workspace().join("config/rules/room-average.toml");
    let config = format!(
        "data_dir = \"data\"\nrules = [\"{}\"]\n[[listener]]\naddress = \"127.0.0.1:0\"\n[auth]\n\
         allow_anonymous = true\n[admin]\naddress = \"127.0.0.1:0\"\n[upstream.cloud]\n\
         address = [\"127.0.0.1:1\"]\nforward = [{{ from = \"agg/#\" }}]\n[[history]]\n\
         filter = \"room/#\"\n",
        rules.display()
    );
    let weir = Weir::start(&folder.write("weir.toml", config));
    let mut stream = TcpStream::connect(weir.admin_address()).unwrap();
    write!(stream, "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, metrics) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200"), "{head}");
    for part in ["rule=\"room-average\"", "upstream=\"cloud\"", "history=\"room/#\"", "_bucket{"] {
        assert!(metrics.contains(part), "{part}");
    }
    let file = folder.write("metrics", metrics);
    let script = format!("'{}' check metrics < '{}'", promtool.display(), file.display());
    let ended = Process::spawn(Command::new("sh").args(["-c", &script])).wait(LIMIT);
    assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.stderr.trim(), "", "no advice either");
    weir.stop();
}

#[test]
fn the_alerts_are_right_and_come_when_they_should() {
    let Some(checked) = promtool(&["check", "config", "config/prometheus/prometheus.yml"]) else {
        return;
    };
    assert!(checked.status.success(), "{}{}", checked.stdout, checked.stderr);
    let Some(ended) = promtool(&["test", "rules", "tests/foreign/prometheus-alerts.yml"]) else {
        return;
    };
    assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
    let rules = fs::read_to_string(workspace().join("config/prometheus/alerts.yml")).unwrap();
    let tests =
        fs::read_to_string(workspace().join("tests/foreign/prometheus-alerts.yml")).unwrap();
    for name in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(tests.contains(&format!("alertname: {name}\n")), "{name} has no test");
    }
}
