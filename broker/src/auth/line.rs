//! Problems of files that are read line by line, with the place in the file.

use std::io;
use std::ops::Range;
use std::path::Path;

use weir_rules::Diagnostic;

/// A line of a text and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    /// The text without white space around it.
    pub(crate) text: &'a str,
    start: usize,
}

/// The lines that say something: neither empty nor a comment.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut start = 0;
    text.split_inclusive('\n').filter_map(move |whole| {
        let line = Line::new(whole, start);
        start += whole.len();
        (!line.text.is_empty() && !line.text.starts_with('#')).then_some(line)
    })
}

impl<'a> Line<'a> {
    /// A text that is one line, whatever it begins with.
    pub(crate) fn whole(text: &'a str) -> Self {
        Self::new(text, 0)
    }

    fn new(whole: &'a str, start: usize) -> Self {
        let before = whole.len() - whole.trim_start().len();
        Self { text: whole.trim(), start: start + before }
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
}
