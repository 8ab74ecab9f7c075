//! The problems that were found so far. They are collected, not returned one by one: the operator
//! shall see all of them at once, in the order of the files.

use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, nearest};

/// A text that values come from: a file, an argument or a variable of the environment.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name in messages.
    pub name: PathBuf,
    /// What it says.
    pub text: String,
    /// Where relative paths in it start.
    pub folder: PathBuf,
}

/// A place in one of the sources, by its number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The number of the source, in the order in which they were laid.
    pub source: usize,
    /// The bytes of its text.
    pub span: Range<usize>,
}

/// Why something cannot stand where it stands. It knows its place in a text, and not in which one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Stable name of the kind of problem.
    pub code: &'static str,
    /// The bytes that are underlined.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// The reason, beside the underlined place.
    pub label: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// What was found so far, by source.
#[derive(Debug, Default)]
pub struct Problems {
    found: Vec<(Origin, Problem)>,
}

#[derive(Debug)]
struct Problem {
    refusal: Refusal,
    is_warning: bool,
}

impl Source {
    /// Reads a file. Its name stands in messages, and relative paths start at its directory.
    ///
    /// # Errors
    /// It cannot be read, is not text, or is larger than any configuration; or it has nothing in it, as a
    /// file has that is being written, or was when the power failed. Everything would have its default then.
    pub fn read(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let length = metadata.len();
        if length > FILE_BYTES_MAX {
            let reason = format!("it has {length} bytes, more than {FILE_BYTES_MAX}");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
        }
        let mut text = String::new();
        // A pipe has no length; one byte more than is allowed is seen as too many.
        File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            let reason = format!("it has more than {FILE_BYTES_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
        }
        if metadata.is_file() && text.trim().is_empty() {
            let reason = "there is nothing in it; a line with a comment says that it is meant";
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Self { name: path.to_owned(), text, folder })
    }
}

impl Refusal {
    /// A problem of the code at a place, without advice.
    pub fn new(
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Self {
        Self { code, span, message: message.into(), label: label.into(), help: None }
    }

    /// What to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Problems {
    /// What makes the configuration unusable.
    pub fn refuse(&mut self, source: usize, refusal: Refusal) {
        self.push(source, refusal, false);
    }

    /// What works, but should be looked at.
    pub fn warn(&mut self, source: usize, refusal: Refusal) {
        self.push(source, refusal, true);
    }

    /// Every problem as the operator reads it, in the order of the sources.
    pub fn into_diagnostics(mut self, sources: &[Source]) -> Vec<Diagnostic> {
        self.found.sort_by_key(|(origin, _)| (origin.source, origin.span.start));
        let texts: Vec<String> = match self.found.is_empty() {
            true => Vec::new(),
            false => sources.iter().map(|source| without_secrets(&source.text)).collect(),
        };
        let found = self.found.into_iter();
        let diagnostic = |(origin, problem): (Origin, Problem)| {
            let name = sources[origin.source].name.to_string_lossy();
            problem.into_diagnostic(&name, &texts[origin.source])
        };
        found.map(diagnostic).collect()
    }

    fn push(&mut self, source: usize, refusal: Refusal, is_warning: bool) {
        let origin = Origin { source, span: refusal.span.clone() };
        self.found.push((origin, Problem { refusal, is_warning }));
    }
}

impl Problem {
    fn into_diagnostic(self, name: &str, text: &str) -> Diagnostic {
        let Refusal { code, span, message, label, help } = self.refusal;
        let problem = match self.is_warning {
            true => Diagnostic::warning(code, message),
            false => Diagnostic::error(code, message),
        };
        let problem = problem.at(name, text, span).label(label);
        match help {
            Some(help) => problem.help(help),
            None => problem,
        }
    }
}

/// The sentence that goes with an unknown name.
///
/// ```
/// use weir_config::did_you_mean;
///
/// assert_eq!(did_you_mean("addres", ["address", "path"]), "did you mean `address`?");
/// assert_eq!(did_you_mean("zzz", ["address", "path"]), "possible here: `address`, `path`");
/// ```
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(name, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let names: Vec<_> = known.into_iter().map(|name| format!("`{name}`")).collect();
            format!("possible here: {}", names.join(", "))
        }
    }
}

/// The text with stars in the place of passwords, of the same length. A line of a file ends up in
/// the journal of the machine, where others can read it, and a misspelt `password` is one too.
fn without_secrets(text: &str) -> String {
    let hide = |line: &str| match line.split_once('=') {
        Some((name, value)) if is_password(name) => format!("{name}={}", stars(value)),
        _ => without_user(line),
    };
    text.split_inclusive('\n').map(hide).collect()
}

/// The text with stars in the place of who logs in at an address: `http://me:secret@host/`.
pub(crate) fn without_user(text: &str) -> String {
    let mut hidden = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + "://".len());
        hidden.push_str(before);
        // A password may have any character: rather a path with an `@` is hidden, too.
        let end = after.find(['"', '\'', ' ', '\n']).unwrap_or(after.len());
        let user = after[..end].rfind('@').unwrap_or(0);
        hidden.push_str(&stars(&after[..user]));
        rest = &after[user..];
    }
    hidden + rest
}

fn stars(text: &str) -> String {
    let hide = |c: char| match c.is_whitespace() {
        true => c.to_string(),
        false => "*".repeat(c.len_utf8()),
    };
    text.chars().map(hide).collect()
}

fn is_password(name: &str) -> bool {
    let name = name.rsplit(['.', '{', ',']).next().unwrap_or_default();
    let name = name.rsplit("__").next().unwrap_or_default().trim().to_ascii_lowercase();
    nearest(&name, ["password"]).is_some() && !name.ends_with("file")
}

/// A configuration of hundreds of devices, or of thousands of topics, is far below.
const FILE_BYTES_MAX: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_do_not_show() {
        let text = "a = 1\npassword = \"hünter2\" # x\npassword_file = \"cloud\"\n";
        let hidden = without_secrets(text);
        assert_eq!(hidden.len(), text.len());
        assert!(!hidden.contains("nter2") && hidden.contains("a = 1") && hidden.contains("cloud"));
        assert_eq!(without_secrets("upstream.cloud.pasword=x1"), "upstream.cloud.pasword=**");
        let variable = "WEIR_UPSTREAM__CLOUD__PASSWORD=x1";
        assert_eq!(without_secrets(variable), "WEIR_UPSTREAM__CLOUD__PASSWORD=**");
    }

    #[test]
    fn who_logs_in_at_an_address_does_not_show() {
        let text = "url = [\"http://me:pä/@host/x\", \"https://other/\"]\n";
        let hidden = without_secrets(text);
        assert_eq!(hidden, "url = [\"http://*******@host/x\", \"https://other/\"]\n");
        assert_eq!(hidden.len(), text.len());
        assert_eq!(without_user("me@host"), "me@host");
    }

    #[test]
    fn file_without_an_end_is_not_read_to_it() {
        let reason = Source::read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(reason.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn file_with_nothing_in_it_is_refused_and_one_with_a_comment_is_not() {
        let path = std::env::temp_dir().join(format!("weir-config-{}", std::process::id()));
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            Source::read(&path).map(|source| source.text).map_err(|error| error.kind())
        };
        assert_eq!(read(""), Err(io::ErrorKind::InvalidData));
        assert_eq!(read(" \n\n"), Err(io::ErrorKind::InvalidData));
        assert_eq!(read("# on purpose\n"), Ok("# on purpose\n".to_owned()));
        fs::remove_file(&path).unwrap();
        assert_eq!(
            Source::read(Path::new("/dev/null")).map(|source| source.text).ok(),
            Some(String::new())
        );
    }
}
