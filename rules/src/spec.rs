//! Rule files as they are written: TOML tables to values with places, before anything is compiled.
//!
//! Reading reports everything that is wrong with the form of a file and goes on; what a text means
//! (a filter, an expression) is checked by `compile`.

mod alert;
mod calendar;
mod case;
mod change;
mod decode;
mod dedupe;
mod form;
mod join;
mod lookup;
mod read;
mod section;
mod window;

pub(crate) use alert::AlertSpec;
pub(crate) use case::{Action, CaseSpec, Expectation, PayloadSpec, StepMessage};
pub(crate) use change::ChangeSpec;
pub(crate) use dedupe::DedupeSpec;
pub(crate) use form::{FormSpec, FormatWord};
pub(crate) use join::JoinSpec;
pub(crate) use lookup::LookupSpec;
pub(crate) use read::read_source;

pub(crate) use crate::quantity::{format_bytes, format_duration};

use std::ops::Range;

use weir_config::Diagnostic;

use crate::message::Guarantee;
use crate::payload::Decode;
use crate::quantity;
use crate::source::Source;
use crate::watermark::Unit;
use crate::window::Window;

/// A place in one of the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Position of the file in the list of sources.
    pub(crate) file: usize,
    pub(crate) span: Range<usize>,
}

/// A text of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) value: String,
    /// With its quotes.
    pub(crate) place: Place,
}

impl Located {
    /// The place of a part of the value; quotes and escapes are taken into account.
    pub(crate) fn inside(&self, sources: &[Source], part: Range<usize>) -> Place {
        let text = sources.get(self.place.file).map_or("", |source| source.text.as_str());
        let literal = text.get(self.place.span.clone()).unwrap_or_default();
        let start = self.place.span.start;
        let from = start + section::offset_in_literal(literal, part.start);
        let to = start + section::offset_in_literal(literal, part.end);
        Place { file: self.place.file, span: from..to.max(from) }
    }
}

/// A name with an expression.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) name_place: Place,
    pub(crate) expression: Located,
}

/// One rule as it is written.
#[derive(Clone, Debug)]
pub(crate) struct RuleSpec {
    pub(crate) name: String,
    /// The name in the header of its table.
    pub(crate) place: Place,
    pub(crate) about: String,
    pub(crate) enabled: bool,
    pub(crate) from: Vec<Located>,
    pub(crate) decode: Decode,
    pub(crate) joins: Vec<JoinSpec>,
    pub(crate) time: Option<TimeSpec>,
    /// Named `where` in files.
    pub(crate) filter: Option<Located>,
    pub(crate) lookups: Vec<LookupSpec>,
    pub(crate) lets: Vec<Named>,
    pub(crate) by: Vec<Named>,
    pub(crate) window: Option<(Located, Window)>,
    pub(crate) select: Option<Vec<Named>>,
    pub(crate) having: Option<Located>,
    pub(crate) alert: Option<AlertSpec>,
    pub(crate) emit: EmitSpec,
    pub(crate) change: Option<ChangeSpec>,
    pub(crate) dedupe: Option<DedupeSpec>,
    pub(crate) guarantee: Guarantee,
    pub(crate) to: Vec<DestinationSpec>,
    /// Whether there is no `to`, which only rules that others read may leave out.
    pub(crate) without_to: bool,
    pub(crate) errors: Option<Located>,
    pub(crate) keys: Option<(usize, Place)>,
    pub(crate) memory: Option<(u64, Place)>,
    pub(crate) expire: Option<(i64, Place)>,
    pub(crate) cases: Vec<CaseSpec>,
}

/// `time` as it is written.
#[derive(Clone, Debug)]
pub(crate) struct TimeSpec {
    pub(crate) field: Located,
    pub(crate) unit: Unit,
    pub(crate) late: i64,
    pub(crate) idle: Option<i64>,
    pub(crate) ahead: Option<i64>,
    pub(crate) per_source: bool,
}

/// `emit` as it is written.
#[derive(Clone, Debug, Default)]
pub(crate) struct EmitSpec {
    /// What becomes of messages whose windows are closed, if not `drop`.
    pub(crate) late: Option<(Late, Place)>,
    /// Results of windows without messages.
    pub(crate) empty: Option<Place>,
    /// How often results of open windows are sent, in milliseconds.
    pub(crate) early: Option<(i64, Place)>,
}

/// What becomes of messages whose windows are closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    /// They are sent to this topic as they came; the usual one if it is not given.
    Topic(Option<Located>),
    Update,
}

/// An entry of `to`.
#[derive(Clone, Debug)]
pub(crate) struct DestinationSpec {
    pub(crate) topic: Located,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) upstream: Option<Located>,
    pub(crate) expire_s: Option<u32>,
    pub(crate) meta: Option<Place>,
    pub(crate) form: FormSpec,
}

/// Collects what is wrong.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) sources: &'a [Source],
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Report<'_> {
    /// A diagnostic with its place, to be completed and pushed.
    pub(crate) fn at(&self, place: &Place, diagnostic: Diagnostic) -> Diagnostic {
        match self.sources.get(place.file) {
            Some(source) => diagnostic.at(&source.path, &source.text, place.span.clone()),
            None => diagnostic,
        }
    }

    /// Reports an error with a label.
    pub(crate) fn error(
        &mut self,
        code: &'static str,
        message: impl Into<String>,
        place: &Place,
        label: impl Into<String>,
    ) {
        let diagnostic = self.at(place, Diagnostic::error(code, message)).label(label);
        self.diagnostics.push(diagnostic);
    }

    /// Reports an error with a label and a help.
    pub(crate) fn error_with_help(
        &mut self,
        code: &'static str,
        message: impl Into<String>,
        place: &Place,
        label: impl Into<String>,
        help: impl Into<String>,
    ) {
        let diagnostic = self.at(place, Diagnostic::error(code, message)).label(label).help(help);
        self.diagnostics.push(diagnostic);
    }
}
