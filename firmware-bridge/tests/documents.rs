//! Commands and configurations of the documents are right.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use weir_firmware_bridge::{cli, config};

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn pages() -> [(String, String); 2] {
    ["docs/devices.md", "firmware-bridge/README.md"]
        .map(|name| (name.to_owned(), fs::read_to_string(top().join(name)).unwrap()))
}

/// The blocks of a language, with the number of their first line.
fn blocks(text: &str, languages: &[&str]) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut inside = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        match (line.strip_prefix("```"), inside) {
            (Some(language), None) => {
                inside = Some(languages.contains(&language));
                if inside == Some(true) {
                    found.push((number + 2, String::new()));
                }
            }
            (Some(_), Some(_)) => inside = None,
            (None, Some(true)) => {
                let (_, block) = found.last_mut().unwrap();
                block.push_str(line);
                block.push('\n');
            }
            _ => {}
        }
    }
    found
}

#[test]
fn configurations_can_be_read() {
    let mut count = 0;
    for (name, text) in pages() {
        for (number, block) in blocks(&text, &["toml"]) {
            // The file of the broker; `tests/tests/bridge.rs` starts one with this line.
            if block.starts_with("# weir.toml\n") {
                continue;
            }
            count += 1;
            if let Err(problems) = config::parse(&name, &block, Path::new("")) {
                panic!("{name}:{number}: {}", problems[0]);
            }
        }
    }
    assert!(count >= 3, "{count} blocks");
}

#[test]
fn commands_exist() {
    let mut count = 0;
    for (name, text) in pages() {
        for (number, block) in blocks(&text, &["sh"]) {
            for line in block.lines().filter(|line| line.starts_with("weir-bridge")) {
                count += 1;
                let own = line.split(['>', '|']).next().unwrap();
                if let Err(reason) = cli::command().try_get_matches_from(own.split_whitespace()) {
                    panic!("{name}:{number}: `{line}`: {reason}");
                }
            }
        }
    }
    assert!(count >= 6, "{count} commands");
    assert!(cli::command().try_get_matches_from(["weir-bridge", "rnu"]).is_err());
}

#[test]
fn every_key_that_the_page_names_is_one() {
    let reference = config::reference_page();
    let page = fs::read_to_string(top().join("docs/devices.md")).unwrap();
    for key in [
        "safe_state",
        "safe_pct",
        "safe_after_s",
        "queue_max_mb",
        "queue_max_age_s",
        "clock_wait_s",
        "metrics_s",
        "state_qos",
        "password_file",
        "data_dir",
        "range_mv",
        "word_order",
        "sources",
        "layout",
        "discovery",
        "bounds",
    ] {
        assert!(page.contains(key), "{key} is not on the page any more");
        assert!(reference.contains(&format!("| `{key}` |")), "{key} is no key");
    }
}
