//! Names and sizes of files, and what may not stand in them.

use std::fs;

use weir_tests::harness::weir::workspace;

use crate::{TOP, assert_none, files, read};

const LINES_MAX: usize = 600;

#[test]
fn only_known_names_are_visible_at_the_top() {
    let mut problems = Vec::new();
    for entry in fs::read_dir(workspace()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && name != "target" && !TOP.contains(&name.as_str()) {
            problems.push(name);
        }
    }
    assert_none(&problems);
}

#[test]
fn no_file_is_long() {
    let mut problems = Vec::new();
    for name in files(&[".rs", ".py", ".js"]) {
        let lines = read(&name).lines().count();
        if lines > LINES_MAX {
            problems.push(format!("{name} has {lines} lines"));
        }
    }
    assert_none(&problems);
}

#[test]
fn what_is_left_to_do_has_a_number() {
    // Put together, so that this file does not name itself.
    let words =
        ["TO", "FIX"].map(|start| format!("{start}{}", if start == "TO" { "DO" } else { "ME" }));
    let mut problems = Vec::new();
    for name in files(&[".rs", ".py", ".js", ".toml", ".md"]) {
        for (number, line) in read(&name).lines().enumerate() {
            for word in &words {
                let Some((_, after)) = line.split_once(word.as_str()) else { continue };
                let number_follows = after.strip_prefix("(#").is_some_and(|rest| {
                    rest.split(')').next().is_some_and(|digits| digits.parse::<u32>().is_ok())
                });
                if !number_follows {
                    problems.push(format!("{name}:{}: {}", number + 1, line.trim()));
                }
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn no_file_knows_where_this_checkout_is() {
    let here = workspace().to_string_lossy().into_owned();
    let endings = [".rs", ".py", ".js", ".toml", ".md", ".json", ".lock", "/run"];
    let mut problems = files(&endings);
    problems.retain(|name| read(name).contains(&here));
    assert_none(&problems);
}
