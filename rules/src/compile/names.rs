//! The names of one rule while it is compiled, and expressions compiled with them.

use std::ops::Range;

use weir_config::Diagnostic;

use crate::code;
use crate::expression::{
    Call, JoinNames, KnownField, Name, Op, Problem, Program, RESERVED, Remembered, Scope, Stage,
    Type, compile_expression,
};
use crate::payload::{FieldTree, Step};
use crate::spec::{Located, Place, Report};

/// What the expressions of a rule share.
pub(super) struct Names<'a> {
    pub(super) message_stage: Stage,
    /// Captures, the value of the payload, lets.
    pub(super) message: Vec<Name>,
    /// Outputs and keys; in rules without window also everything of the message.
    pub(super) result: Vec<Name>,
    pub(super) prev: Remembered,
    pub(super) calls: Vec<Call>,
    pub(super) locals: u16,
    pub(super) has_window: bool,
    /// The fields of results of rules, if nothing else is read.
    pub(super) linked: Option<Vec<String>>,
    pub(super) joins: Vec<JoinNames>,
    pub(super) fields: &'a mut FieldTree,
    /// The fields that a payload can have, where the decoder says so.
    pub(super) known: Option<Vec<KnownField>>,
    pub(super) constants: &'a mut String,
    /// Payload fields of the expression that was compiled last, and where in its text.
    pub(super) named: Vec<(Vec<Step>, Range<usize>)>,
    /// Payload fields of all expressions, and where in the files.
    pub(super) mentions: Vec<(Vec<Step>, Place)>,
}

/// Which part of a rule an expression is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Computed for each message, before its key is known.
    Key,
    /// Computed for each message.
    Message,
    /// `select`, `having` and topics.
    Result,
}

impl Names<'_> {
    /// Compiles an expression, or reports all of its problems.
    pub(super) fn compile(
        &mut self,
        text: &Located,
        wanted: Type,
        part: Part,
        report: &mut Report<'_>,
    ) -> Option<Program> {
        let sources = report.sources;
        let place = |span| text.inside(sources, span);
        match self.try_compile(&text.value, wanted, part, &place) {
            Ok(program) => Some(program),
            Err(problems) => {
                for problem in problems {
                    push(problem.clone(), &place(problem.span), report);
                }
                None
            }
        }
    }

    /// Compiles an expression that is part of another text, or stands nowhere; `place` tells where
    /// in the files parts of it are.
    pub(super) fn try_compile(
        &mut self,
        text: &str,
        wanted: Type,
        part: Part,
        place: &dyn Fn(Range<usize>) -> Place,
    ) -> Result<Program, Vec<Problem>> {
        let windowed = part == Part::Result && self.has_window;
        let names: Vec<Name> = match part {
            Part::Key => self.message.iter().filter(|name| !name.after_key).cloned().collect(),
            Part::Message => self.message.clone(),
            Part::Result if windowed => Vec::new(),
            Part::Result => self.result.iter().chain(&self.message).cloned().collect(),
        };
        let message = if windowed { self.message.clone() } else { names };
        self.named.clear();
        let mut scope = Scope {
            stage: if windowed { Stage::Result } else { self.message_stage },
            message_stage: self.message_stage,
            message: &message,
            result: &self.result,
            fields: self.fields,
            known: self.known.as_deref(),
            linked: self.linked.as_deref(),
            joins: &mut self.joins,
            constants: self.constants,
            aggregates: windowed.then_some(&mut self.calls),
            no_aggregates: match (self.has_window, part) {
                (true, Part::Key | Part::Message) => {
                    "this is computed for each message; aggregates stand in `select` and `having`"
                }
                _ => "an aggregate needs a `window`",
            },
            mentions: Some(&mut self.named),
            prev: (part != Part::Key).then_some(&mut self.prev),
            locals: &mut self.locals,
        };
        let program = compile_expression(text, wanted, &mut scope)?;
        let mentions = self.named.drain(..).map(|(path, span)| (path, place(span)));
        self.mentions.extend(mentions);
        Ok(program)
    }

    /// Gives out a local.
    pub(super) fn local(&mut self) -> u16 {
        let slot = self.locals;
        self.locals = slot.saturating_add(1);
        slot
    }

    /// Whether a program needs something that is known only once the key is.
    pub(super) fn needs_key(&self, program: &Program) -> bool {
        program.ops.iter().any(|op| match op {
            Op::Local(slot) => {
                self.prev.prev.iter().any(|prev| prev.slot == *slot)
                    || self.prev.folds.iter().any(|fold| fold.slots.contains(slot))
                    || self.message.iter().any(|name| name.slot == *slot && name.after_key)
            }
            _ => false,
        })
    }

    /// Adds the name of a message, unless it is taken.
    pub(super) fn add_message(&mut self, name: Name, place: &Place, report: &mut Report<'_>) {
        self.check_taken((&name.text, place), report);
        self.message.push(name);
    }

    /// Reports a name that has a meaning already.
    pub(super) fn check_taken(&self, (name, place): (&str, &Place), report: &mut Report<'_>) {
        if RESERVED.contains(&name) {
            let message = format!("`{name}` already has a meaning");
            report.error(code::DUPLICATE, message, place, "choose another name");
        }
        let known = self.message.iter().find(|known| known.text == name).map(|known| known.role);
        let join = self.joins.iter().any(|join| join.name == name).then_some("join");
        if let Some(role) = known.or(join) {
            let message = format!("`{name}` is already the name of a {role}");
            report.error(code::DUPLICATE, message, place, "choose another name");
        }
    }
}

/// Names that are used in expressions must be one word.
pub(super) fn check_word(name: &str, place: &Place, report: &mut Report<'_>) {
    let mut characters = name.chars();
    let first = characters.next().is_some_and(|c| c == '_' || c.is_alphabetic());
    if !first || !characters.all(|c| c == '_' || c.is_alphanumeric()) {
        let message = format!("`{name}` cannot be used in expressions");
        report.error(code::WRONG_VALUE, message, place, "a name has letters, digits and _");
    }
}

/// Reports a problem of an expression at its place.
pub(super) fn push(problem: Problem, place: &Place, report: &mut Report<'_>) {
    let diagnostic = Diagnostic::error(problem.code, problem.message);
    let mut diagnostic = report.at(place, diagnostic).label(problem.label);
    if let Some(help) = problem.help {
        diagnostic = diagnostic.help(help);
    }
    report.diagnostics.push(diagnostic);
}
