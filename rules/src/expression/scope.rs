//! What names mean: the checker's view of a rule.

use super::aggregate::Call;
use super::program::{Program, Type};
use crate::payload::FieldTree;

/// Which part of a rule an expression belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Runs for each message; unknown names are payload fields.
    Json,
    /// Runs for each result of a window; sees keys, outputs and aggregates.
    Result,
    /// Runs for each message; the payload is one value named `value`.
    Scalar,
}

/// A name that stands for a local.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) slot: u16,
    pub(crate) kind: Type,
    /// Whether its value is known only once the key is: it depends on `prev`.
    pub(crate) after_key: bool,
    /// In messages: "capture", "let", "key" or "output".
    pub(crate) role: &'static str,
}

/// A value that is remembered per key for `prev`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Prev {
    /// What to remember of the current message.
    pub(crate) program: Program,
    /// Where the value of the message before is read.
    pub(crate) slot: u16,
}

/// Names and tables that expressions of one rule share.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) stage: Stage,
    /// What an aggregate computes its argument from.
    pub(crate) message_stage: Stage,
    /// Names of the message: captures and lets.
    pub(crate) message: &'a [Name],
    /// Names of the result: keys and outputs.
    pub(crate) result: &'a [Name],
    pub(crate) fields: &'a mut FieldTree,
    pub(crate) constants: &'a mut String,
    /// Set where aggregates may stand.
    pub(crate) aggregates: Option<&'a mut Vec<Call>>,
    /// Why aggregates may not stand here.
    pub(crate) no_aggregates: &'static str,
    /// Set where `prev` may stand.
    pub(crate) prev: Option<&'a mut Vec<Prev>>,
    /// Number of locals given out so far.
    pub(crate) locals: &'a mut u16,
}

impl Scope<'_> {
    /// The names that can be used at the current stage.
    pub(crate) fn names(&self) -> &[Name] {
        if self.stage == Stage::Result { self.result } else { self.message }
    }

    /// Gives out a local.
    pub(crate) fn local(&mut self) -> u16 {
        let slot = *self.locals;
        *self.locals = slot.saturating_add(1);
        slot
    }

    /// A constant text, stored once.
    pub(crate) fn constant(&mut self, text: &str) -> (u32, u32) {
        let start = self.constants.find(text).unwrap_or_else(|| {
            let end = self.constants.len();
            self.constants.push_str(text);
            end
        });
        (start as u32, text.len() as u32)
    }
}
