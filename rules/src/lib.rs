//! Stream rules: windows and aggregates over MQTT topics.
//!
//! A rule file is compiled to a [`Plan`]; an [`Engine`] made from it is fed with messages and the
//! time, and answers with emissions. Nothing here does IO, reads a clock or draws randomness: the
//! same inputs always give the same outputs, byte for byte, also across a restart.

mod case;
mod compile;
mod diagnostic;
mod engine;
mod message;
mod plan;
mod source;
mod state;

pub use case::{CaseReport, CaseResult, run_cases};
pub use compile::compile;
pub use diagnostic::{Diagnostic, Severity, nearest};
pub use engine::{Engine, RuleStatus};
pub use message::{DeadLetter, Emission, Event, Timestamp};
pub use plan::{Plan, RuleSummary};
pub use source::Source;
pub use state::StateError;
