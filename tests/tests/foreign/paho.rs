//! paho-mqtt for Python, in its old and its new form. The checks are in the scripts: they end with
//! an error when something is not as it should be.

use std::process::Command;
use std::time::Duration;

use weir_tests::harness::foreign::python;
use weir_tests::harness::process::Process;
use weir_tests::harness::weir::workspace;

use crate::broker;

/// The messages are many.
const LIMIT: Duration = Duration::from_secs(180);

fn run(test: &str, environment: &str, script: &str) {
    let Some(python) = python(test, environment) else { return };
    let (_folder, weir) = broker(environment);
    let script = workspace().join("tests/foreign").join(script);
    let port = weir.address().port().to_string();
    let mut command = Command::new(python);
    // Nothing is left behind beside the scripts.
    let ended = Process::spawn(command.arg("-B").arg(script).arg(port)).wait(LIMIT);
    assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
    weir.stop();
}

#[test]
fn the_new_paho_finds_every_feature_of_5_0() {
    run("paho-mqtt 2, MQTT 5.0", "paho2", "paho_v5.py");
}

#[test]
fn the_new_paho_moves_ten_thousand_messages() {
    run("paho-mqtt 2, ten thousand messages", "paho2", "paho_many.py");
}

#[test]
fn the_old_paho_finds_what_it_knows_of_3_1_1() {
    run("paho-mqtt 1, MQTT 3.1.1", "paho1", "paho_v311.py");
}
