//! What is wrong with files, as JSON for scripts.

use serde_json::{Value, json};
use weir_rules::{Diagnostic, Severity};

/// All problems, in their order. A problem without a place has an empty path, and line and column 0.
pub(crate) fn all(problems: &[Diagnostic]) -> Value {
    problems.iter().map(one).collect()
}

fn one(problem: &Diagnostic) -> Value {
    let (line, column) = problem.position().unwrap_or((0, 0));
    let severity = match problem.severity() {
        Severity::Error => "error",
        Severity::Warning => "warning",
        _ => "note",
    };
    json!({
        "severity": severity,
        "code": problem.code(),
        "message": problem.message(),
        "path": problem.path(),
        "line": line,
        "column": column,
        "help": problem.advice().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problem_has_its_place_and_what_to_do() {
        let found = Diagnostic::error("C002", "unknown key `x`").at("weir.toml", "\n x = 1", 2..3);
        let found = [found.help("did you mean `y`?"), Diagnostic::warning("R001", "odd")];
        let expected = json!([
            {
                "severity": "error", "code": "C002", "message": "unknown key `x`",
                "path": "weir.toml", "line": 2, "column": 2, "help": "did you mean `y`?",
            },
            {
                "severity": "warning", "code": "R001", "message": "odd",
                "path": "", "line": 0, "column": 0, "help": "",
            },
        ]);
        assert_eq!(all(&found), expected);
    }
}
