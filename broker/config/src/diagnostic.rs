//! What the operator reads when a file is wrong.
//!
//! A [`Diagnostic`] says what is wrong, where (file, line, column, the line itself with the place
//! underlined), why, and what to do next. It knows nothing about what the file is for, so that rules
//! and all configurations speak with the same voice. Positions are byte spans of the source text;
//! columns count characters from 1.

use std::fmt;
use std::ops::Range;

mod nearest;
mod position;

pub use nearest::nearest;
use position::Excerpt;

/// How grave a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// For information: a choice made for the user.
    Note,
    /// It works, but probably not as meant.
    Warning,
    /// The file cannot be used.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Severity::Error => "error",
            Severity::Note => "note",
            Severity::Warning => "warning",
        })
    }
}

/// One problem of one file.
///
/// ```
/// use weir_config::Diagnostic;
///
/// let text = "listen = \"tcp://0.0.0.0\"\nretian = true\n";
/// let problem = Diagnostic::error("C002", "unknown key `retian`")
///     .at("weir.toml", text, 25..31)
///     .label("not a key of the broker")
///     .help("did you mean `retain`?");
/// assert_eq!(
///     problem.to_string(),
///     "error[C002]: unknown key `retian`\n  --> weir.toml:2:1\n2 | retian = true\n  | \
///      ^^^^^^ not a key of the broker\n  = help: did you mean `retain`?\n"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    severity: Severity,
    code: &'static str,
    message: String,
    path: String,
    excerpt: Option<Excerpt>,
    label: String,
    help: Vec<String>,
}

impl Diagnostic {
    /// A problem of the given severity; `code` is a short stable name such as `R012`.
    pub fn new(severity: Severity, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity,
            code,
            message: message.into(),
            path: String::new(),
            excerpt: None,
            label: String::new(),
            help: Vec::new(),
        }
    }

    /// A problem that makes the file unusable.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    /// A problem the file can be used with.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message)
    }

    /// Something the user should know.
    pub fn note(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Note, code, message)
    }

    /// Places the problem at a byte span of `text`, the whole content of the file `path`.
    ///
    /// A span that is out of range or cuts a character is moved to the nearest one that fits.
    #[must_use]
    pub fn at(mut self, path: &str, text: &str, span: Range<usize>) -> Self {
        path.clone_into(&mut self.path);
        self.excerpt = Some(Excerpt::new(text, span));
        self
    }

    /// The reason, written next to the underlined place.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// What to do next. May be called several times.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// How grave the problem is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// The stable name of the kind of problem.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// What is wrong, in one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The file, or an empty text if the problem has no place.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The first advice, if there is one.
    pub fn advice(&self) -> Option<&str> {
        self.help.first().map(String::as_str)
    }

    /// Line and column, both from 1; columns count characters.
    pub fn position(&self) -> Option<(usize, usize)> {
        self.excerpt.as_ref().map(|excerpt| (excerpt.line, excerpt.column))
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}[{}]: {}", self.severity, self.code, self.message)?;
        let mut gutter = 1;
        if let Some(excerpt) = &self.excerpt {
            gutter = excerpt.line.to_string().len();
            let (line, column) = (excerpt.line, excerpt.column);
            writeln!(formatter, "{:gutter$} --> {}:{line}:{column}", "", self.path)?;
            writeln!(formatter, "{line} | {}", excerpt.source)?;
            let marks = "^".repeat(excerpt.width);
            let marked = format!("{}{marks} {}", excerpt.padding, self.label);
            writeln!(formatter, "{:gutter$} | {}", "", marked.trim_end())?;
        }
        for help in &self.help {
            writeln!(formatter, "{:gutter$} = help: {help}", "")?;
        }
        Ok(())
    }
}
