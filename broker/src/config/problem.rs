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
        let problem = problem.at(&source.name.to_string_lossy(), &source.text, span).label(label);
        match help {
            Some(help) => problem.help(help),
            None => problem,
        }
    }
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
