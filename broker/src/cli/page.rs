//! `docs/commands.md`: every command with its options, from what they declare. A test holds it up to
//! date; run it with `WEIR_WRITE_REFERENCE=1` to write it.

use std::fmt::Write as _;

use clap::builder::StyledStr;
use clap::{Arg, Command, CommandFactory as _};

/// The page.
pub fn commands_page() -> String {
    let mut whole = super::Arguments::command();
    whole.build();
    let mut text = String::from(
        "# Commands\n\n\
         What `weir --help` says, on one page; `weir man` writes the same as manual pages, and \
         `weir completions` what a shell completes. Every command ends with 0 when all is well, with \
         1 when the answer is no, and with 2 when it could not be done. With `--json`, where it is \
         there, it answers in JSON on the standard output: one object, or one on each line.\n",
    );
    push_commands(&mut text, &whole);
    text
}

fn push_commands(text: &mut String, command: &Command) {
    for one in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        match one.has_subcommands() {
            true => push_commands(text, one),
            false => push_command(text, one),
        }
    }
}

fn push_command(text: &mut String, command: &Command) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    write(text, format_args!("\n## `{name}`\n\n"));
    let about = command.get_long_about().or_else(|| command.get_about());
    write(text, format_args!("{}.\n\n", plain(about)));
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage);
    write(text, format_args!("```text\n{usage}\n```\n"));
    let arguments: Vec<&Arg> = command
        .get_arguments()
        .filter(|one| !one.is_hide_set() && one.get_id() != "help")
        .collect();
    if !arguments.is_empty() {
        write(text, format_args!("\n| argument | meaning |\n|---|---|\n"));
        arguments.iter().for_each(|one| push_argument(text, one));
    }
    if let Some(more) = command.get_after_help() {
        write(text, format_args!("\n```text\n{}\n```\n", more.to_string().trim()));
    }
}

fn push_argument(text: &mut String, argument: &Arg) {
    let help = argument.get_long_help().or_else(|| argument.get_help());
    let mut meaning = plain(help);
    let defaults: Vec<_> =
        argument.get_default_values().iter().map(|one| one.to_string_lossy()).collect();
    if !defaults.is_empty() && argument.get_action().takes_values() {
        meaning.push_str(&format!(" (`{}` if it is left out)", defaults.join(" ")));
    }
    let possible = argument.get_possible_values();
    if !possible.is_empty() && argument.get_action().takes_values() {
        let names: Vec<String> =
            possible.iter().map(|one| format!("`{}`", one.get_name())).collect();
        meaning.push_str(&format!(": {}", names.join(", ")));
    }
    let shown = argument.to_string().replace('|', "\\|");
    let short = argument.get_short().filter(|_| argument.get_long().is_some());
    let short = short.map_or(String::new(), |short| format!("`-{short}`, "));
    write(text, format_args!("| {short}`{shown}` | {} |\n", meaning.replace('|', "\\|")));
}

/// One line, without styles.
fn plain(text: Option<&StyledStr>) -> String {
    let text = text.map(ToString::to_string).unwrap_or_default();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").trim_end_matches('.').to_owned()
}

fn write(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn page_of_the_commands_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/commands.md");
        if std::env::var_os("WEIR_WRITE_REFERENCE").is_some() {
            fs::write(&path, commands_page()).unwrap();
        }
        let stored = fs::read_to_string(&path).unwrap_or_default();
        assert!(stored == commands_page(), "docs/commands.md is old: WEIR_WRITE_REFERENCE=1");
    }

    #[test]
    fn every_command_has_its_section() {
        let page = commands_page();
        for name in ["weir run", "weir rules try", "weir store backup", "weir doctor", "weir top"] {
            assert!(page.contains(&format!("\n## `{name}`\n")), "{name}");
        }
        assert!(!page.contains("\n## `weir rules`\n"), "a group is no command");
        assert!(!page.contains('\u{1b}'));
    }
}
