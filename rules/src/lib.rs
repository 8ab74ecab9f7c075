//! Stream rules: windows and aggregates over MQTT topics.
//!
//! A rule file is compiled to a [`Plan`]; an [`Engine`] made from it is fed with messages and the
//! time, and answers with emissions. Nothing here does IO, reads a clock or draws randomness: the
//! same inputs always give the same outputs, byte for byte, also across a restart.

// A module uses only modules that stand below it.
mod case;

mod observe;

mod engine;

mod explain;

mod state;

mod running;

mod compile;

mod plan;

mod emit;

mod rule;

mod form;

mod spec;

mod watermark;

mod lookup;

mod key;

mod join;

mod alert;

mod change;

mod held;

mod sources;

mod window;

mod table;

mod aggregate;

mod expression;

mod payload;

mod topic;

mod boxed;

mod value;

mod trace;

mod shown;

mod message;

mod metrics;

mod timer;

mod schema;

mod source;

mod calendar;

mod quantity;

mod zone;

mod json;

mod hash;

mod code;

mod limits;

pub use case::{CaseReport, CaseResult, run_cases, trace_cases};
pub use compile::compile;
pub use engine::{Engine, PeekError, RuleChange, RuleChangeKind, RuleStatus};
pub use message::{DeadLetter, Emission, Event, Guarantee, Timestamp};
pub use observe::{Observer, unseen_fields};
pub use plan::{Plan, RuleSummary};
pub use schema::SCHEMA;
pub use source::{Source, TABLE_BYTES_MAX, TableFile};
pub use state::StateError;
pub use trace::{Fate, Filtered, Late, Outcome, Place, ResultWindow, Step, Withheld};
pub use weir_config::{Diagnostic, Severity};
