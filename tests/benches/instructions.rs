//! Instructions that the hot paths take, counted by callgrind: the same on a busy machine as on an
//! idle one.
//!
//! `cargo bench --package weir-tests --bench instructions` runs each path twice, with a different
//! number of repetitions, divides the difference, and compares it with what
//! `tests/benches/instructions.txt` says; it fails when a path takes more than it may.
//! `-- --write` writes that file. Needs valgrind.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark speaks, or stops")]

mod paths;

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

use paths::PATHS;

/// A path may take so many hundredths more than the file says. Less than 2 come from what the C
/// library chooses for a processor.
const TOLERANCE_PERCENT: u64 = 5;
/// Repetitions of the two runs.
const TIMES: [u64; 2] = [1_000, 3_000];

fn main() {
    let arguments: Vec<String> = env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "--path", name, times] => run_path(name, times.parse().unwrap()),
        _ => compare(arguments.iter().any(|argument| argument == "--write")),
    }
}

fn run_path(name: &str, times: u64) {
    let path = PATHS.iter().find(|path| path.name == name).expect("a known path");
    (path.run)(times);
}

fn compare(writes: bool) {
    let known = read();
    let mut text = String::from("# Instructions of one repetition: see instructions.rs.\n");
    let mut grown = Vec::new();
    println!("{:<44} {:>12} {:>12}", "instructions", "now", "before");
    for path in &PATHS {
        let [few, many] = TIMES.map(|times| count(path.name, times));
        let now = (many - few) / (TIMES[1] - TIMES[0]);
        writeln!(text, "{} {now}", path.name).unwrap();
        let before = known.get(path.name).copied();
        let told = before.map_or("-".to_owned(), |before| before.to_string());
        println!("{:<44} {now:>12} {told:>12}", path.says);
        let most = before.map(|before| before + before * TOLERANCE_PERCENT / 100);
        if most.is_none_or(|most| now > most) {
            grown.push(path.name);
        }
    }
    if writes {
        return fs::write(file(), text).unwrap();
    }
    if !grown.is_empty() {
        println!(
            "more than {TOLERANCE_PERCENT} of 100 above {}: {grown:?}; if that is meant, write it \
             with `-- --write` and say why in the commit",
            file().display()
        );
        exit(1);
    }
}

/// Instructions of a run of its own, from its first to its last.
fn count(name: &str, times: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe().unwrap())
        .args(["--path", name, &times.to_string()])
        .output()
        .unwrap_or_else(|error| panic!("valgrind cannot be started ({error}): install it"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {text}");
    let collected = text.lines().find_map(|line| line.split("Collected : ").nth(1));
    collected.expect("callgrind counts").trim().parse().unwrap()
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.txt")
}

fn read() -> BTreeMap<String, u64> {
    let text = fs::read_to_string(file()).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once(' '));
    pairs.map(|(name, count)| (name.to_owned(), count.parse().unwrap())).collect()
}
