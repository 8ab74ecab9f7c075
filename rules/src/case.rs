//! The tests that stand in rule files, on a virtual clock.
//!
//! A test runs one rule alone, with those whose results it reads. What the rule sends and what it
//! would store are kept as a broker would keep them, in one step; a `power-cut` throws the engine
//! away together with what was not stored, makes a new one, and plays again what was lost.

mod play;
mod verdict;

use std::fmt;

use play::{Outcome, Player};
use weir_config::Diagnostic;

use crate::compile::compile_with_specs;
use crate::plan::Plan;
use crate::source::Source;
use crate::spec::Report;
use crate::trace::Step;

/// Runs every `[[rule.NAME.test]]` of the files.
///
/// ```
/// use weir_rules::{Source, run_cases};
///
/// let file = Source::new(
///     "double.toml",
///     r#"
///     [rule.double]
///     from   = "in/{x}"
///     decode = "number"
///     select = { twice = "2 * value" }
///     to     = "out/{x}"
///     [[rule.double.test]]
///     name   = "a number is doubled"
///     play   = [{ at = "0s", topic = "in/a", payload = "21" }]
///     expect = [{ topic = "out/a", where = "twice == 42", times = 1 }]
///     "#,
/// );
/// let report = run_cases(&[file]).expect("the file is correct");
/// assert!(report.passed(), "{report}");
/// ```
///
/// # Errors
/// The files do not compile.
pub fn run_cases(sources: &[Source]) -> Result<CaseReport, Vec<Diagnostic>> {
    run(sources, false)
}

/// The same as [`run_cases`], and tells for each test what became of every message.
///
/// # Errors
/// The files do not compile.
pub fn trace_cases(sources: &[Source]) -> Result<CaseReport, Vec<Diagnostic>> {
    run(sources, true)
}

fn run(sources: &[Source], traced: bool) -> Result<CaseReport, Vec<Diagnostic>> {
    let (plan, specs) = compile_with_specs(sources)?;
    let mut report = Report { sources, diagnostics: Vec::new() };
    let mut prepared = Vec::new();
    for spec in &specs {
        for case in &spec.cases {
            prepared.push((spec, case, verdict::prepare(case, &mut report)));
        }
    }
    if !report.diagnostics.is_empty() {
        return Err(report.diagnostics);
    }
    let mut cases = Vec::new();
    for (spec, case, checks) in prepared {
        let chain = plan.chain_of(&spec.name);
        let rules =
            plan.rules.iter().filter(|rule| chain.contains(&&*rule.name)).cloned().collect();
        let alone = Plan { rules, ..plan.clone() }.with_new_router();
        let mut player = Player::new(alone, case);
        if traced {
            player.trace(chain);
        }
        let Outcome { sent, steps, steps_missed } = player.run();
        let failures = match sent {
            Ok(mut sent) => {
                sent.retain(|emission| *emission.rule == *spec.name);
                verdict::judge(&checks, &sent, &report)
            }
            Err(error) => vec![verdict::state_failure(case, &error, &report)],
        };
        let (rule, name) = (spec.name.clone(), case.name.value.clone());
        cases.push(CaseResult { rule, name, failures, steps, steps_missed });
    }
    Ok(CaseReport { cases })
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
            case.fmt_steps(formatter)?;
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
    /// What became of each message, in order, if the test was traced: in its rule, and in those
    /// that this one reads.
    pub steps: Vec<Step>,
    /// Steps that there was no room for, after those.
    pub steps_missed: u64,
}

impl CaseResult {
    fn fmt_steps(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            let rule = if *step.rule == *self.rule { "" } else { &*step.rule };
            let rule = if rule.is_empty() { String::new() } else { format!("rule {rule} ") };
            writeln!(formatter, "  {rule}{}", step.to_string().replace('\n', "\n  "))?;
        }
        match self.steps_missed {
            0 => Ok(()),
            missed => writeln!(formatter, "  and {missed} more"),
        }
    }
}

#[cfg(test)]
mod tests;
