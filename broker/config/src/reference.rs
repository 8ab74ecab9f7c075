//! What is generated from the declarations: the page of the reference, and a file with every key to
//! start from.

use crate::declared::{Declared, Form, Initial, Key, Kind, Section};
use crate::problem::{Problems, Source};
use crate::tree::Tree;

impl Declared {
    /// The reference as a page in Markdown, which begins with `head`.
    pub fn page(&self, head: &str) -> String {
        let mut text = head.to_owned();
        for section in self.sections {
            let title = match section.form {
                Form::Top => "Before the first section".to_owned(),
                _ => format!("`{}`", self.header(section, self.example_name(section))),
            };
            text.push_str(&format!("\n## {title}\n\n{}\n\n", section.text));
            text.push_str("| key | default | range | meaning |\n|---|---|---|---|\n");
            for key in section.keys {
                text.push_str(&self.row(key));
            }
        }
        text
    }

    /// A file with every key, commented out, with its default or an example. It begins with `head`.
    pub fn sample(&self, head: &str) -> String {
        let mut text = head.to_owned();
        for section in self.sections {
            text.push('\n');
            push_comment(&mut text, section.text);
            let header = self.header(section, self.example_name(section));
            match section.form {
                Form::Table => text.push_str(&format!("{header}\n")),
                Form::Top => {}
                _ => text.push_str(&format!("#{header}\n")),
            }
            for key in section.keys.iter().filter(|key| self.section_of(key).is_none()) {
                text.push('\n');
                push_comment(&mut text, &format!("{} {}", key.text, note(key)));
                text.push_str(&format!("#{} = {}\n", key.name, key.example()));
            }
        }
        text
    }

    /// What is wrong with the declarations themselves: names that are there twice, and defaults and
    /// examples that cannot be read. For a test of the program.
    pub fn faults(&'static self) -> Vec<String> {
        let keys = |section: &Section| section.keys.iter().map(|key| key.name).collect();
        let mut names = twice(self.sections.iter().map(|section| section.name).collect());
        names.extend(self.sections.iter().flat_map(|section| twice(keys(section))));
        let faults = names.into_iter().map(|name| format!("`{name}` is declared twice"));
        let mut faults: Vec<String> = faults.collect();
        let text = without_comments(&self.sample(""));
        let source = Source { name: "sample".into(), text, folder: "".into() };
        let (mut tree, mut problems) = (Tree::new(self), Problems::default());
        tree.lay(0, &source, &mut problems);
        tree.check_required(&mut problems);
        faults.extend(problems.into_diagnostics(&[source]).iter().map(ToString::to_string));
        faults
    }

    /// The table of a key that has a header of its own.
    fn section_of(&self, key: &Key) -> Option<&'static Section> {
        match key.kind {
            Kind::Table(section) | Kind::Tables(section) => self.section(section.name),
            _ => None,
        }
    }

    fn example_name(&self, section: &Section) -> &'static str {
        match self.named_around(section).map(|named| named.form) {
            Some(Form::Named { example, .. }) => example,
            _ => "",
        }
    }

    fn row(&self, key: &Key) -> String {
        let initial = match key.initial {
            Initial::Default(text) => format!("`{text}`"),
            Initial::Required { .. } => "must be given".to_owned(),
            Initial::Unset { meaning, .. } => meaning.to_owned(),
        };
        let example = match key.initial {
            Initial::Default(_) => String::new(),
            Initial::Required { example } | Initial::Unset { example, .. } => {
                format!(" Example: `{}`", in_cell(example))
            }
        };
        let range = match (key.kind, self.section_of(key)) {
            (Kind::Tables(_), Some(section)) => {
                format!("tables `{}`", self.header(section, self.example_name(section)))
            }
            _ => in_cell(&key.kind.range()),
        };
        format!("| `{}` | {initial} | {range} | {}{example} |\n", key.name, key.text)
    }
}

/// The range and what holds without the key, as sentences.
fn note(key: &Key) -> String {
    let says_range = match key.kind {
        Kind::List { of, .. } => !matches!(of, Kind::Glob),
        Kind::Choice(_)
        | Kind::Duration { .. }
        | Kind::Notation(_)
        | Kind::Number { .. }
        | Kind::Seconds { .. }
        | Kind::Size { .. }
        | Kind::Whole { .. } => true,
        _ => false,
    };
    let range = match says_range {
        true => format!("Possible: {}.", key.kind.range()),
        false => String::new(),
    };
    let unset = match key.initial {
        Initial::Default(_) => String::new(),
        Initial::Required { .. } => "Must be given.".to_owned(),
        Initial::Unset { meaning, .. } => format!("Without it: {meaning}."),
    };
    format!("{range} {unset}").trim().to_owned()
}

fn in_cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// What is commented out, without its comments.
fn without_comments(sample: &str) -> String {
    let is_comment = |line: &&str| line.starts_with("# ") || *line == "#";
    let lines = sample.lines().filter(|line| !is_comment(line));
    lines.map(|line| line.strip_prefix('#').unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

fn twice(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect()
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
