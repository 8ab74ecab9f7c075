//! From files to a plan.

use crate::diagnostic::Diagnostic;
use crate::plan::Plan;
use crate::source::Source;

/// Checks and compiles rule files.
///
/// # Errors
/// All problems of all files.
pub fn compile(_sources: &[Source]) -> Result<Plan, Vec<Diagnostic>> {
    Ok(Plan::default())
}
