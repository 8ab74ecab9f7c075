//! The problems that a load has found so far. They are collected, not returned one by one: the
//! operator shall see all of them at once, in the order of the files.

use std::path::PathBuf;

use weir_rules::{Diagnostic, nearest};

use super::{key::Refusal, values::Origin};

/// A text that values come from: a file, an argument or an environment variable.
#[derive(Debug)]
pub(crate) struct Source {
    /// Its name in messages.
    pub(crate) name: PathBuf,
    pub(crate) text: String,
    /// Where relative paths in it start.
    pub(crate) folder: PathBuf,
}

/// What was found so far, by source.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    found: Vec<(Origin, Problem)>,
}

#[derive(Debug)]
pub(crate) struct Problem {
    refusal: Refusal,
    warning: bool,
}

impl Problems {
    pub(crate) fn refuse(&mut self, source: usize, refusal: Refusal) {
        self.push(source, refusal, false);
    }

    pub(crate) fn warn(&mut self, source: usize, refusal: Refusal) {
        self.push(source, refusal, true);
    }

    /// Every problem as the operator reads it, in the order of the sources.
    pub(crate) fn into_diagnostics(mut self, sources: &[Source]) -> Vec<Diagnostic> {
        self.found.sort_by_key(|(origin, _)| (origin.source, origin.span.start));
        let found = self.found.into_iter();
        found.map(|(origin, problem)| problem.into_diagnostic(&sources[origin.source])).collect()
    }

    fn push(&mut self, source: usize, refusal: Refusal, warning: bool) {
        let origin = Origin { source, span: refusal.span.clone() };
        self.found.push((origin, Problem { refusal, warning }));
    }
}

impl Problem {
    fn into_diagnostic(self, source: &Source) -> Diagnostic {
        let Refusal { code, span, message, label, help } = self.refusal;
        let problem = match self.warning {
            true => Diagnostic::warning(code, message),
            false => Diagnostic::error(code, message),
        };
        let text = without_secrets(&source.text);
        let problem = problem.at(&source.name.to_string_lossy(), &text, span).label(label);
        match help {
            Some(help) => problem.help(help),
            None => problem,
        }
    }
}

/// The text with stars in the place of passwords, of the same length. A line of a file ends up in
/// the journal of the machine, where others can read it, and a misspelt `password` is one too.
fn without_secrets(text: &str) -> String {
    let hide = |line: &str| match line.split_once('=') {
        Some((name, value)) if is_password(name) => {
            let stars = value.chars().map(|c| match c.is_whitespace() {
                true => c.to_string(),
                false => "*".repeat(c.len_utf8()),
            });
            format!("{name}={}", stars.collect::<String>())
        }
        _ => line.to_owned(),
    };
    text.split_inclusive('\n').map(hide).collect()
}

fn is_password(name: &str) -> bool {
    let name = name.rsplit(['.', '{', ',']).next().unwrap_or_default();
    let name = name.rsplit("__").next().unwrap_or_default().trim().to_ascii_lowercase();
    nearest(&name, ["password"]).is_some() && !name.ends_with("file")
}

/// The sentence that goes with an unknown name.
pub(crate) fn did_you_mean<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> String {
    match nearest(name, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let names: Vec<_> = known.into_iter().map(|name| format!("`{name}`")).collect();
            format!("possible here: {}", names.join(", "))
        }
    }
}

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
}
