//! The order of the repository: who may use what, and whether what is written is so.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use weir_tests::harness::weir::workspace;

mod tidy {
    //! One file for each kind of order.

    mod behaviours;
    mod commands;
    mod dependencies;
    mod documents;
    mod files;
}

/// The visible names at the top; everything else there starts with a dot or is built.
const TOP: [&str; 11] = [
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "broker",
    "config",
    "docs",
    "firmware-bridge",
    "rules",
    "tests",
];

/// Every file of the repository that ends so, with its path from the top.
fn files(endings: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for name in TOP {
        collect(&workspace().join(name), &mut found);
    }
    let mut names: Vec<String> = found.iter().map(|path| from_top(path)).collect();
    names.retain(|name| endings.iter().any(|ending| name.ends_with(ending)));
    names.sort();
    assert!(!names.is_empty(), "no files like {endings:?}");
    names
}

fn collect(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_file() {
        found.push(path.to_owned());
        return;
    }
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap().path();
        let name = entry.file_name().unwrap().to_string_lossy().into_owned();
        // Built, fetched or made by fuzzing, not written.
        let skipped = ["target", "corpus", "artifacts", "node_modules", "__pycache__"];
        if !skipped.contains(&name.as_str()) && !name.starts_with('.') {
            collect(&entry, found);
        }
    }
}

fn from_top(path: &Path) -> String {
    path.strip_prefix(workspace()).unwrap().to_string_lossy().into_owned()
}

fn read(name: &str) -> String {
    fs::read_to_string(workspace().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// All problems at once, one a line.
#[track_caller]
fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}
