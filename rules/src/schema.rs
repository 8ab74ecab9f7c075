//! The JSON Schema of rule files.

/// JSON Schema (draft 7) of a rule file, with a sentence for each key.
///
/// Editors complete and check rule files with it. It knows the form of a file; whether a filter or
/// an expression is right is only known to [`compile`](crate::compile).
pub const SCHEMA: &str = include_str!("rules.schema.json");

#[cfg(test)]
mod tests;
