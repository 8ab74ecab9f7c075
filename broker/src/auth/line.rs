//! Problems of files that are read line by line, with the place in the file.

use std::io;
use std::ops::Range;
use std::path::Path;

use weir_config::Diagnostic;

/// A line of a text and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    /// The text without white space around it.
    pub(crate) text: &'a str,
    /// Which line of the text it is, from 1.
    pub(crate) number: u32,
    start: usize,
}

/// The lines that say something: neither empty nor a comment.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut start = 0;
    text.split_inclusive('\n').zip(1..).filter_map(move |(whole, number)| {
        let line = Line::new(whole, number, start);
        start += whole.len();
        (!line.text.is_empty() && !line.text.starts_with('#')).then_some(line)
    })
}

impl<'a> Line<'a> {
    /// A text that is one line, whatever it begins with.
    pub(crate) fn whole(text: &'a str) -> Self {
        Self::new(text, 1, 0)
    }

    fn new(whole: &'a str, number: u32, start: usize) -> Self {
        let before = whole.len() - whole.trim_start().len();
        Self { text: whole.trim(), number, start: start + before }
    }

    /// Its place.
    pub(crate) fn span(&self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }

    /// The place of a part of its text.
    pub(crate) fn span_of(&self, part: &str) -> Range<usize> {
        let offset = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        self.start + offset..self.start + offset + part.len()
    }
}

/// The text of a file of `name:…` lines with another line for one name, or without one; every other
/// line stays as it is. The answer also tells whether there was a line of the name.
pub(crate) fn edit(text: &str, name: &str, new_line: Option<String>) -> (String, bool) {
    let mut edited = String::with_capacity(text.len() + 128);
    let mut found = false;
    for whole in text.split_inclusive('\n') {
        let line = whole.trim();
        let known = line.split_once(':').map(|(known, _)| known.trim());
        if line.starts_with('#') || known != Some(name) {
            edited.push_str(whole);
        } else if !std::mem::replace(&mut found, true) {
            edited.push_str(new_line.as_deref().unwrap_or_default());
        }
    }
    if let Some(line) = new_line.filter(|_| !found) {
        if !edited.is_empty() && !edited.ends_with('\n') {
            edited.push('\n');
        }
        edited.push_str(&line);
    }
    (edited, found)
}

/// The text of a file.
pub(crate) fn read(path: &Path, what: &str) -> Result<String, Box<Diagnostic>> {
    std::fs::read_to_string(path).map_err(|error| {
        let message = format!("cannot read the {what} `{}`: {error}", path.display());
        let help = match error.kind() {
            io::ErrorKind::NotFound => {
                "check the name; a relative one starts at the configuration file"
            }
            io::ErrorKind::InvalidData => "the file must be UTF-8 text",
            _ => "the user that runs weir must be able to read the file",
        };
        Box::new(Diagnostic::error(code::FILE, message).help(help))
    })
}

/// Stable names of the kinds of problems.
pub(crate) mod code {
    pub(crate) const FILE: &str = "A001";
    pub(crate) const LINE: &str = "A002";
    pub(crate) const HASH: &str = "A003";
    pub(crate) const TWICE: &str = "A004";
    pub(crate) const TOPIC: &str = "A005";
    pub(crate) const KEY: &str = "A006";
    pub(crate) const ROLE: &str = "A007";
}
