//! What names mean: the checker's view of a rule.

use std::ops::Range;

use super::aggregate::Call;
use super::program::{Program, Type};
use crate::payload::{FieldTree, Step};

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

/// A field of a payload that is known when the rule is loaded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KnownField {
    pub(crate) name: String,
    pub(crate) kind: Type,
}

/// A join, while expressions name its fields.
#[derive(Clone, Debug)]
pub(crate) struct JoinNames {
    pub(crate) name: String,
    /// The kind of the only value, `value`; `None` if the payload has fields.
    pub(crate) value: Option<Type>,
    /// Those that were named so far.
    pub(crate) fields: Vec<JoinField>,
}

/// A value of a joined topic.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JoinField {
    /// As it is written after the name of the join.
    pub(crate) path: String,
    /// Its slot among the fields of payloads; `None` is the payload itself.
    pub(crate) source: Option<u16>,
    /// The local that it goes to.
    pub(crate) local: u16,
}

/// A value that is remembered per key for `prev`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Prev {
    /// What to remember of the current message.
    pub(crate) program: Program,
    /// Where the value of the message before is read.
    pub(crate) slot: u16,
}

/// Something that is kept up per key with every message. Expressions see it as it was before the
/// message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fold {
    pub(crate) kind: FoldKind,
    /// What a message adds.
    pub(crate) program: Program,
    /// Where it is read: mean and deviation, or the time since when.
    pub(crate) slots: [u16; 2],
}

/// What is kept up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FoldKind {
    /// Mean and deviation by half-life in milliseconds.
    Decayed(i64),
    /// Since when a condition is true.
    Since,
}

impl FoldKind {
    /// Cells of 64 bits that it is kept in.
    pub(crate) fn cells(self) -> usize {
        match self {
            FoldKind::Decayed(_) => 5,
            FoldKind::Since => 1,
        }
    }

    /// How long it says something without a new message, in milliseconds.
    pub(crate) fn lasting(self) -> i64 {
        match self {
            FoldKind::Decayed(half_life) => half_life.saturating_mul(4),
            FoldKind::Since => 0,
        }
    }
}

/// What a rule keeps per key of the messages before.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Remembered {
    pub(crate) prev: Vec<Prev>,
    pub(crate) folds: Vec<Fold>,
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
    /// The fields that a payload can have, where the rule says so.
    pub(crate) known: Option<&'a [KnownField]>,
    /// The fields of results of rules, if nothing else is read.
    pub(crate) linked: Option<&'a [String]>,
    pub(crate) joins: &'a mut Vec<JoinNames>,
    pub(crate) constants: &'a mut String,
    /// Set where aggregates may stand.
    pub(crate) aggregates: Option<&'a mut Vec<Call>>,
    /// Why aggregates may not stand here.
    pub(crate) no_aggregates: &'static str,
    /// Takes the payload fields that are named, and where in the text.
    pub(crate) mentions: Option<&'a mut Vec<(Vec<Step>, Range<usize>)>>,
    /// Set where `prev` and folds may stand.
    pub(crate) prev: Option<&'a mut Remembered>,
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
