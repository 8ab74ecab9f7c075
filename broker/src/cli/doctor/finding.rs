//! One thing that was looked at, and what came of it.

use std::path::Path;

use serde::{Serialize, Serializer};
use weir_rules::{Diagnostic, Severity};

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Ok,
    /// It works, and somebody should look at it.
    Warning,
    /// It does not work, or somebody can get at what is not theirs.
    Problem,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    /// What was looked at, in one word.
    pub(super) check: &'static str,
    pub(super) what: String,
    #[serde(rename = "where", serialize_with = "or_empty")]
    pub(super) place: Option<String>,
    #[serde(serialize_with = "or_empty")]
    pub(super) help: Option<String>,
}

impl Verdict {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

impl Finding {
    pub(super) fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, check, what: what.into(), place: None, help: None }
    }

    pub(super) fn warning(check: &'static str, what: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, ..Self::ok(check, what) }
    }

    pub(super) fn problem(check: &'static str, what: impl Into<String>) -> Self {
        Self { verdict: Verdict::Problem, ..Self::ok(check, what) }
    }

    /// What the check of the configuration says, with all its lines.
    pub(super) fn of_file(problem: &Diagnostic) -> Self {
        let check = match problem.code() {
            "C007" => "files",
            "C010" => "exposure",
            code if code.starts_with('R') => "rules",
            _ => "config",
        };
        let found = match problem.severity() {
            Severity::Error => Self::problem(check, problem.message()),
            _ => Self::warning(check, problem.message()),
        };
        let place = match problem.position() {
            Some((line, column)) => format!("{}:{line}:{column}", problem.path()),
            None => problem.path().to_owned(),
        };
        let found = if place.is_empty() { found } else { found.at(place) };
        let help = "`weir check` shows the line, and what to do";
        found.help(problem.advice().unwrap_or(help))
    }

    pub(super) fn at(self, place: impl Into<String>) -> Self {
        Self { place: Some(place.into()), ..self }
    }

    pub(super) fn at_path(self, path: &Path) -> Self {
        self.at(path.display().to_string())
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// A script that reads a text need not look whether there is one.
fn or_empty<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text.as_deref().unwrap_or_default())
}
