//! What a user reads when rules are wrong: exact texts.

mod alert;
mod chain;
mod decode;
mod rule;
mod window;

use weir_rules::{Source, compile};

/// All diagnostics of some files, as one text.
fn diagnose(files: &[(&str, &str)]) -> String {
    let sources: Vec<Source> = files.iter().map(|(path, text)| Source::new(*path, *text)).collect();
    let list = match compile(&sources) {
        Ok(plan) => plan.warnings().to_vec(),
        Err(list) => list,
    };
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The same of one file.
fn diagnose_one(text: &str) -> String {
    diagnose(&[("r.toml", text)])
}

/// A rule around the lines in question.
fn rule(lines: &str) -> String {
    diagnose_one(&format!("[rule.r]\nfrom = \"a/{{x}}\"\nto = \"b\"\n{lines}\n"))
}

fn check(found: &str, expected: &str) {
    assert_eq!(found.trim_end(), expected.trim(), "\n{found}");
}
