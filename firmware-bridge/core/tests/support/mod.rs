//! Scripts, and programs that are not ours.

// The same for both crates.
#[path = "../../../tests/support/foreign.rs"]
mod foreign;

use std::process::{Command, Stdio};

use foreign::left_out;
#[allow(unused_imports, reason = "not every test needs all of its support")]
pub(crate) use foreign::{program, python, top};

/// What a script of `tests/cross` prints; `None` when it says that it is skipped, which is told at
/// the end of a run: it may need a toolchain that rustup cannot fetch.
pub(crate) fn script(test: &str, name: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(top().join("tests/cross").join(name))
        .args(arguments)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(SKIPPED) {
        left_out(test, errors.trim());
        return None;
    }
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{name}: {}\n{printed}{errors}", output.status);
    Some(printed)
}

/// The code of the scripts in `tests/cross` for skipped.
const SKIPPED: i32 = 77;
