//! What a conversion has to say about a line.

use std::fmt;

use serde_json::{Value, json};

use super::statement::Statement;

/// About one statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) weight: Weight,
    /// File and line.
    place: String,
    /// The statement, without what may be a secret.
    option: String,
    why: String,
}

/// What a note means for whoever moves in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// Weir will not do what the line asks for.
    Lost,
    /// Weir does it anyway, or has no need for it.
    Needless,
}

impl Note {
    pub(crate) fn lost(statement: &Statement, why: impl Into<String>) -> Self {
        Self::new(Weight::Lost, statement, why.into())
    }

    pub(crate) fn needless(statement: &Statement, why: impl Into<String>) -> Self {
        Self::new(Weight::Needless, statement, why.into())
    }

    fn new(weight: Weight, statement: &Statement, why: String) -> Self {
        let Statement { name, value, .. } = statement;
        let is_secret = name.contains("password") && !name.ends_with("_file");
        let value = if is_secret { "…" } else { value };
        let option = format!("{name} {value}").trim_end().to_owned();
        Self { weight, place: statement.place(), option, why }
    }
}

impl Note {
    /// The same for a script.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "place": self.place,
            "option": self.option,
            "converted": false,
            "needed": self.weight == Weight::Lost,
            "why": self.why,
        })
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.weight {
            Weight::Lost => "not converted",
            Weight::Needless => "not needed",
        };
        writeln!(f, "{}: {word}: {}\n  why: {}", self.place, self.option, self.why)
    }
}
