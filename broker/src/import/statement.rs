//! The lines of a `mosquitto.conf`: a name, a space, and a value to the end of the line. A line
//! that begins with `#` is a comment; a `#` further on is part of the value.

use std::path::{Path, PathBuf};

/// One line that says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    file: PathBuf,
    line: usize,
    pub(crate) name: String,
    /// Without spaces around it; empty when there is none.
    pub(crate) value: String,
}

/// The statements of a text; `file` is its name in messages.
pub(crate) fn parse(file: &Path, text: &str) -> Vec<Statement> {
    let lines = (1..).zip(text.trim_start_matches('\u{feff}').lines());
    let lines = lines.map(|(number, line)| (number, line.trim()));
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(line, text)| {
            let (name, value) = text.split_once([' ', '\t']).unwrap_or((text, ""));
            Statement {
                file: file.to_owned(),
                line,
                name: name.to_owned(),
                value: value.trim().to_owned(),
            }
        })
        .collect()
}

impl Statement {
    /// Where it stands.
    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.file.display(), self.line)
    }

    /// Its value as mosquitto reads a switch.
    pub(crate) fn switch(&self) -> Option<bool> {
        match self.value.as_str() {
            "1" | "true" => Some(true),
            "0" | "false" => Some(false),
            _ => None,
        }
    }

    /// Its value as a whole number.
    pub(crate) fn number(&self) -> Option<i64> {
        self.value.parse().ok()
    }
}
