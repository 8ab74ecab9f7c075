//! What the program says without a broker.

use std::process::Command;

use crate::processes::{Folder, plant};

/// Behaviour 49.
#[test]
fn check_and_scan_work_without_hardware() {
    let folder = Folder::new();
    let program = env!("CARGO_BIN_EXE_weir-bridge");
    let right = folder.file("right.toml", &plant("").replace("\"sim\"", "7"));
    let right = Command::new(program).args(["check", "--config"]).arg(right).output().unwrap();
    assert_eq!(right.status.code(), Some(1), "a chip has a name");
    let text = plant("").replace("bus = \"sim\"", "bus = 7").replace("chip = \"sim\"", "");
    let right = folder.file("right.toml", &text);
    let right = Command::new(program).args(["check", "--config"]).arg(right).output().unwrap();
    assert!(right.status.success(), "{}", String::from_utf8_lossy(&right.stderr));
    let wrong = folder.file("wrong.toml", "[bridge]\nidd = \"x\"\n[[gpio]]\nname = \"a\"\n");
    let wrong = Command::new(program).args(["check", "--config"]).arg(wrong).output().unwrap();
    let told = String::from_utf8(wrong.stderr).unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    assert!(told.contains("wrong.toml:2:1") && told.contains("did you mean `id`?"), "{told}");
    assert!(told.contains("3 problems"), "{told}");
    let scan = Command::new(program).arg("scan").output().unwrap();
    assert!(scan.status.success(), "{}", String::from_utf8_lossy(&scan.stderr));
}

#[test]
fn without_a_file_it_says_what_to_do() {
    let ended = Command::new(env!("CARGO_BIN_EXE_weir-bridge")).arg("run").output().unwrap();
    assert_eq!(ended.status.code(), Some(2));
    let told = String::from_utf8(ended.stderr).unwrap();
    assert!(told.contains("--config") && told.contains("--simulate"), "{told}");
}
