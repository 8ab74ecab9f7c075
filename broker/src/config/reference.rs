//! The files that are generated from the declarations: the sample configuration and the page of
//! the reference. A test holds both up to date; run it with `WEIR_WRITE_REFERENCE=1` to write
//! them.

use super::{
    declared::{SECTIONS, UPSTREAM},
    key::{Form, Initial, Key, Kind, Section},
};

/// The name that the generated files give to an upstream.
const UPSTREAM_NAME: &str = "cloud";

/// `config/weir.toml`: every key, commented out, with its default.
pub fn sample_file() -> String {
    let mut text = String::from(
        "# Configuration of Weir. Every key is here, commented out, with its default or an\n\
         # example. Durations are \"5s\", \"2m\", \"14d\"; sizes are \"64KB\", \"2MB\".\n\
         # `weir check --config weir.toml` says whether a file is right; docs/configuration.md is\n\
         # the same as a page.\n",
    );
    for section in SECTIONS {
        text.push('\n');
        push_comment(&mut text, section.text);
        match section.form {
            Form::List | Form::Named | Form::Within => {
                text.push_str(&format!("#{}\n", header(section)))
            }
            Form::Table => text.push_str(&format!("{}\n", header(section))),
            Form::Top => {}
        }
        let keys = section.keys.iter();
        for key in keys.filter(|key| !matches!(key.kind, Kind::Table(_))) {
            text.push('\n');
            push_comment(&mut text, &format!("{} {}", key.text, note(key)));
            text.push_str(&format!("#{} = {}\n", key.name, shown(key)));
        }
    }
    text
}

/// `docs/configuration.md`: the same as a page.
pub fn reference_page() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         One file in TOML, `weir.toml`, and the rule files that it names. Every key has a default; \
         [config/weir.toml](../config/weir.toml) is a file with all of them to start from. \
         `weir check --config FILE` shows every problem of all files at once, with its place and \
         what to do.\n\n\
         - Durations are one number and one unit: `\"250ms\"`, `\"5s\"`, `\"2m\"`, `\"1h\"`, \
         `\"14d\"`, `\"2w\"`.\n\
         - Sizes are a number of bytes or one number and one unit: `65536`, `\"64KB\"`, `\"2MB\"`, \
         `\"1GB\"`. One KB is 1024 bytes.\n\
         - A relative path starts at the directory of the file.\n\
         - `--set section.key=value` on the command line goes before the environment variable \
         `WEIR_SECTION__KEY=value`, and both go before the file: `--set log.level=debug`, \
         `WEIR_LOG__LEVEL=debug`, `WEIR_DATA_DIR=/data`.\n",
    );
    for section in SECTIONS {
        let title = match section.form {
            Form::Top => "Before the first section".to_owned(),
            _ => format!("`{}`", header(section)),
        };
        text.push_str(&format!("\n## {title}\n\n{}\n\n", section.text));
        text.push_str("| key | default | range | meaning |\n|---|---|---|---|\n");
        for key in section.keys {
            text.push_str(&row(key));
        }
    }
    text
}

fn header(section: &Section) -> String {
    match section.form {
        Form::List => format!("[[{}]]", section.name),
        Form::Named => format!("[{}.{UPSTREAM_NAME}]", section.name),
        Form::Within if section.name.starts_with(UPSTREAM.name) => {
            section.name.replace(UPSTREAM.name, &format!("[{}.{UPSTREAM_NAME}", UPSTREAM.name))
                + "]"
        }
        Form::Table | Form::Within => format!("[{}]", section.name),
        Form::Top => String::new(),
    }
}

fn shown(key: &Key) -> &'static str {
    match key.initial {
        Initial::Default(text) => text,
        Initial::Required { example } | Initial::Unset { example, .. } => example,
    }
}

/// The range and what holds without the key, as sentences.
fn note(key: &Key) -> String {
    let range = match key.kind {
        Kind::Choice(_)
        | Kind::Choices(_)
        | Kind::Duration { .. }
        | Kind::Mode
        | Kind::Size { .. }
        | Kind::Whole { .. } => {
            format!("Possible: {}.", key.kind.range())
        }
        _ => String::new(),
    };
    let unset = match key.initial {
        Initial::Default(_) => String::new(),
        Initial::Required { .. } => "Must be given.".to_owned(),
        Initial::Unset { meaning, .. } => format!("Without it: {meaning}."),
    };
    format!("{range} {unset}").trim().to_owned()
}

fn row(key: &Key) -> String {
    let initial = match key.initial {
        Initial::Default(text) => format!("`{text}`"),
        Initial::Required { .. } => "must be given".to_owned(),
        Initial::Unset { meaning, .. } => meaning.to_owned(),
    };
    let example = match key.initial {
        Initial::Default(_) => String::new(),
        Initial::Required { example } | Initial::Unset { example, .. } => {
            format!(" Example: `{}`", example.replace('|', "\\|"))
        }
    };
    let range = key.kind.range().replace('|', "\\|");
    format!("| `{}` | {initial} | {range} | {}{example} |\n", key.name, key.text)
}

fn push_comment(text: &mut String, sentence: &str) {
    let mut column = 0;
    for word in sentence.split_whitespace() {
        if column == 0 || column + 1 + word.len() > COMMENT_COLUMNS {
            text.push_str(if column == 0 { "#" } else { "\n#" });
            column = 1;
        }
        text.push(' ');
        text.push_str(word);
        column += 1 + word.chars().count();
    }
    text.push('\n');
}

const COMMENT_COLUMNS: usize = 98;

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

    use super::*;
    use crate::config::{
        problem::{Problems, Source},
        tree::{Tree, lay_file},
    };

    fn uncommented(text: &str) -> String {
        let is_comment = |line: &&str| line.starts_with("# ") || *line == "#";
        let lines = text.lines().filter(|line| !is_comment(line));
        lines.map(|line| line.strip_prefix('#').unwrap_or(line)).collect::<Vec<_>>().join("\n")
    }

    fn assert_up_to_date(file: &str, generated: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
        if env::var_os("WEIR_WRITE_REFERENCE").is_some() {
            fs::write(&path, generated).unwrap();
        }
        let stored = fs::read_to_string(&path).unwrap_or_default();
        assert!(stored == generated, "{file} is old: run this test with WEIR_WRITE_REFERENCE=1");
    }

    #[test]
    fn generated_files_are_up_to_date() {
        assert_up_to_date("config/weir.toml", &sample_file());
        assert_up_to_date("docs/configuration.md", &reference_page());
    }

    #[test]
    fn every_key_of_the_sample_is_read_when_it_is_uncommented() {
        let source = Source {
            name: "weir.toml".into(),
            text: uncommented(&sample_file()),
            folder: "".into(),
        };
        let mut problems = Problems::default();
        let mut tree = Tree::new();
        lay_file(&mut tree, 0, &source, &mut problems);
        let found: Vec<_> = problems.into_diagnostics(&[source]);
        assert!(found.is_empty(), "{}", found[0]);
        for section in SECTIONS {
            let values = match section.form {
                Form::List if section.name == "durability" => &tree.durability[0],
                Form::List if section.name == "history" => &tree.history[0],
                Form::List => &tree.listeners.as_ref().unwrap()[0],
                Form::Named => &tree.upstreams[UPSTREAM_NAME],
                Form::Table | Form::Top => tree.table(section),
                Form::Within if section.name.starts_with(UPSTREAM.name) => {
                    let (_, name) = section.name.split_once('.').unwrap();
                    tree.upstreams[UPSTREAM_NAME].table(name).unwrap()
                }
                Form::Within => tree.listeners.as_ref().unwrap()[0].table("tls").unwrap(),
            };
            for key in section.keys {
                assert!(values.origin(key.name).is_some(), "{}.{}", section.name, key.name);
            }
        }
    }

    #[test]
    fn no_key_is_declared_twice() {
        for section in SECTIONS {
            let mut names: Vec<_> = section.keys.iter().map(|key| key.name).collect();
            names.sort_unstable();
            let all = names.len();
            names.dedup();
            assert_eq!(names.len(), all, "[{}]", section.name);
        }
    }
}
