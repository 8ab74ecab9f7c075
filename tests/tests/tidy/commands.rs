//! The commands and configurations that documents show, and the configurations beside them.

use std::path::Path;

use weir_tests::harness::folder::Folder;
use weir_tests::harness::weir::{weir, workspace};

use crate::{assert_none, files, read};

#[test]
fn every_configuration_is_right() {
    let mut problems = Vec::new();
    for name in files(&[".toml"]) {
        let path = workspace().join(&name).to_string_lossy().into_owned();
        let commands: &[&[&str]] = if name.starts_with("config/rules/") {
            &[&["rules", "check", &path], &["rules", "test", &path]]
        } else if name.ends_with("/bridge.toml") {
            // Of another program: the tests of weir-firmware-bridge and of the package read them.
            continue;
        } else if name.starts_with("config/package/rules/") {
            // Read with the configuration of the package, which names them.
            continue;
        } else if name.starts_with("config/") {
            &[&["check", "--config", &path]]
        } else {
            continue;
        };
        for command in commands {
            let ended = weir(command);
            if !ended.status.success() {
                problems.push(format!("{name}: {}{}", ended.stdout, ended.stderr));
            }
        }
    }
    assert_none(&problems);
}

/// What documents show of a configuration or of rules is one. The files that it names need not be there.
#[test]
fn configurations_in_documents_are_right() {
    let mut problems = Vec::new();
    let mut count = 0;
    // The tests of the rules have those of their own guide.
    for name in files(&[".md"]).iter().filter(|name| *name != "docs/rules.md") {
        for (number, block) in toml_blocks(&read(name)) {
            count += 1;
            if let Err(reason) = check_toml(&block) {
                problems.push(format!("{name}:{number}: {reason}"));
            }
        }
    }
    assert_none(&problems);
    assert!(count > 40, "only {count} blocks were found");
}

/// The code blocks that are marked as TOML, with the number of their first line.
fn toml_blocks(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut is_toml = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_toml = !is_toml && line.trim_start() == "```toml";
            if is_toml {
                found.push((number + 2, String::new()));
            }
        } else if let Some((_, block)) = found.last_mut().filter(|_| is_toml) {
            block.push_str(line);
            block.push('\n');
        }
    }
    found
}

fn check_toml(block: &str) -> Result<(), String> {
    let has = |start: &str| block.lines().any(|line| line.trim_start().starts_with(start));
    // Of other programs: the bridge, cargo.
    if ["[bridge]", "[[modbus", "[[link]]", "[[node]]", "[dependencies]"].iter().any(|one| has(one))
    {
        return Ok(());
    }
    let folder = Folder::new("document");
    let file = folder.write("file.toml", block).to_string_lossy().into_owned();
    let commands: &[&[&str]] = match has("[rule.") {
        true => &[&["rules", "check", &file], &["rules", "test", &file]],
        false => &[&["check", "--config", &file]],
    };
    for command in commands {
        let ended = weir(command);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        let mut errors = said.lines().filter(|line| line.starts_with("error")).peekable();
        let is_known = ended.status.success() || errors.peek().is_some();
        if !is_known || errors.any(|line| !line.contains("]: cannot read ")) {
            return Err(said);
        }
    }
    Ok(())
}

/// A user types them. What can be run without a trace is run; of the rest each word is looked for
/// in the help.
#[test]
fn commands_in_documents_exist() {
    let mut problems = Vec::new();
    for name in files(&[".md"]) {
        for (number, line) in shell_lines(&read(&name)) {
            if let Err(reason) = check(&line) {
                problems.push(format!("{name}:{number}: `{line}`: {reason}"));
            }
        }
    }
    assert_none(&problems);
}

/// The lines of the code blocks that are marked as shell, joined where they go on.
fn shell_lines(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let (mut is_shell, mut goes_on) = (false, false);
    for (number, line) in text.lines().enumerate() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            is_shell = !is_shell && matches!(language, "sh" | "shell" | "bash" | "console");
            continue;
        }
        let line = line.trim();
        if !is_shell || (!goes_on && (line.is_empty() || line.starts_with('#'))) {
            continue;
        }
        let (line, more) = match line.strip_suffix('\\') {
            Some(line) => (line, true),
            None => (line, false),
        };
        match found.last_mut() {
            Some((_, last)) if goes_on => last.push_str(line),
            _ => found.push((number + 1, line.trim_start_matches("$ ").to_owned())),
        }
        goes_on = more;
    }
    found
}

fn check(line: &str) -> Result<(), String> {
    // What follows goes to other programs or says something to the reader.
    let command = line.split(['|', '>', '&', ';']).next().unwrap_or_default();
    let command = command.split(" #").next().unwrap_or_default();
    let words: Vec<&str> = command.split_whitespace().collect();
    let words: Vec<&str> = words.into_iter().skip_while(|word| is_assignment(word)).collect();
    let Some((first, rest)) = words.split_first() else { return Ok(()) };
    match *first {
        "sudo" => check(&rest.join(" ")),
        "cargo" => check_cargo(rest),
        "weir" => check_weir(rest),
        _ if first.ends_with("/weir") => check_weir(rest),
        _ if first.contains('/') => is_there(first),
        // Programs of others.
        _ => Ok(()),
    }
}

fn is_assignment(word: &str) -> bool {
    let name = word.split_once('=').map(|(name, _)| name);
    name.is_some_and(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
}

fn is_there(path: &str) -> Result<(), String> {
    let is_ours = path.split('/').next().is_some_and(|first| workspace().join(first).exists());
    let is_there = Path::new(path).is_absolute() || !is_ours || workspace().join(path).exists();
    is_there.then_some(()).ok_or_else(|| format!("{path} is not there"))
}

fn check_cargo(words: &[&str]) -> Result<(), String> {
    let mut split = words.split(|word| *word == "--");
    let own = split.next().unwrap_or_default();
    let known =
        ["bench", "build", "clippy", "deny", "doc", "fmt", "fuzz", "install", "run", "test"];
    let command = own.iter().find(|word| !word.starts_with('+')).copied().unwrap_or_default();
    if !known.contains(&command) {
        return Err(format!("cargo {command} is not a command that this test knows"));
    }
    for pair in own.windows(2) {
        let is_there = match pair[0] {
            "-p" | "--package" => files(&["/Cargo.toml"])
                .iter()
                .any(|manifest| read(manifest).contains(&format!("name = \"{}\"", pair[1]))),
            "--test" => {
                let name = pair[1];
                let named =
                    files(&[&format!("/tests/{name}.rs"), &format!("/tests/{name}/main.rs")]);
                // Unit tests have folders of the same name.
                named.iter().filter(|name| !name.contains("/src/")).count() == 1
            }
            "--example" => files(&[&format!("/examples/{}.rs", pair[1])]).len() == 1,
            _ => true,
        };
        if !is_there {
            return Err(format!("{} {} is not there", pair[0], pair[1]));
        }
    }
    match (command, split.next()) {
        ("run", Some(words)) if !own.contains(&"--example") => check_weir(words),
        _ => Ok(()),
    }
}

fn check_weir(words: &[&str]) -> Result<(), String> {
    // Up to two words name the command.
    let is_name = |word: &&&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let is_group = words
        .first()
        .is_some_and(|word| ["bench", "explain", "rules", "store", "token"].contains(word));
    let depth = if is_group { 2 } else { 1 };
    let name: Vec<&str> = words.iter().take(depth).take_while(is_name).copied().collect();
    let name: Vec<&str> = name.into_iter().filter(|word| !word.starts_with('-')).collect();
    let ended = weir(&[&name[..], &["--help"]].concat());
    if !ended.status.success() {
        return Err(ended.stderr);
    }
    let help = ended.stdout;
    for word in words.iter().filter(|word| word.starts_with("--")) {
        let option = word.split('=').next().unwrap_or_default();
        if !help.contains(option) {
            return Err(format!("{option} is not in the help of `weir {}`", name.join(" ")));
        }
    }
    let given = words.iter().filter(|word| word.starts_with("config/") && !word.contains('*'));
    given.copied().try_for_each(is_there)
}
