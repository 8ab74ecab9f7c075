//! SCRAM-SHA-256 of the Python package scramp, in the packets of MQTT 5. The checks are in the
//! script: it ends with an error when something is not as it should be.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use weir_tests::harness::folder::Folder;
use weir_tests::harness::foreign::python;
use weir_tests::harness::process::Process;
use weir_tests::harness::wait::LIMIT;
use weir_tests::harness::weir::{Weir, command, workspace};

const CONFIG: &str = "data_dir = \"data\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
                      [auth]\npassword_file = \"passwords\"\nmax_failures = 0\n";

/// `weir passwd` with a password.
fn add_user(file: &Path, user: &str, password: &str, more: &[&str]) {
    let mut command = command(&["passwd", "--password-stdin"]);
    command.args(more).arg(file).arg(user).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut program = command.spawn().unwrap();
    program.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    assert!(program.wait().unwrap().success());
}

/// [MQTT-4.12.0-1] to [MQTT-4.12.0-7] [MQTT-4.12.1-1] [MQTT-4.12.1-2]
#[test]
fn scramp_authenticates_and_does_so_again() {
    let Some(python) = python("scramp, SCRAM-SHA-256", "scram") else { return };
    let folder = Folder::new("scram");
    let passwords = folder.path().join("passwords");
    add_user(&passwords, "ann", "pencil", &["--scram"]);
    add_user(&passwords, "odd,=name", "pen cil", &["--scram", "--iterations", "4096"]);
    add_user(&passwords, "plain", "pencil", &[]);
    let weir = Weir::start(&folder.write("weir.toml", CONFIG));
    let script = workspace().join("tests/foreign/scram_v5.py");
    let port = weir.address().port().to_string();
    let mut command = Command::new(python);
    let ended = Process::spawn(command.arg("-B").arg(script).arg(port)).wait(LIMIT);
    assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
    weir.stop();
}
