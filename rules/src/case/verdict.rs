//! Compares what was sent with what was expected.

use weir_config::Diagnostic;

use crate::code;
use crate::expression::{Inputs, Program, Scope, Stage, Type, compile_expression, evaluate};
use crate::message::Emission;
use crate::payload::{FieldTree, read_json};
use crate::shown::sent_line;
use crate::spec::{CaseSpec, Expectation, PayloadSpec, Report};
use crate::state::StateError;
use crate::topic::{Filter, Route, Router};
use crate::value::{Texts, Value};

/// An expectation that is ready to be compared.
pub(super) struct Check<'c> {
    expectation: &'c Expectation,
    topic: Option<Router>,
    filter: Option<Program>,
    fields: FieldTree,
    constants: String,
}

/// Compiles the filters and expressions of a test; reports what is wrong with them.
pub(super) fn prepare<'c>(case: &'c CaseSpec, report: &mut Report<'_>) -> Vec<Check<'c>> {
    case.expect.iter().map(|expectation| prepare_one(expectation, report)).collect()
}

fn prepare_one<'c>(expectation: &'c Expectation, report: &mut Report<'_>) -> Check<'c> {
    let mut check = Check {
        expectation,
        topic: None,
        filter: None,
        fields: FieldTree::default(),
        constants: String::new(),
    };
    if let Some(text) = &expectation.topic {
        match Filter::parse(&text.value) {
            Ok(filter) => {
                let mut router = Router::default();
                router.insert(&filter.levels, Route { rule: 0, filter: 0 });
                check.topic = Some(router);
            }
            Err(problem) => {
                let place = text.inside(report.sources, problem.span);
                report.error(code::TOPIC, problem.message, &place, problem.label);
            }
        }
    }
    if let Some(text) = &expectation.filter {
        let mut scope = Scope {
            stage: Stage::Json,
            message_stage: Stage::Json,
            message: &[],
            result: &[],
            fields: &mut check.fields,
            known: None,
            linked: None,
            joins: &mut Vec::new(),
            constants: &mut check.constants,
            aggregates: None,
            no_aggregates: "an expectation looks at one message",
            mentions: None,
            prev: None,
            locals: &mut 0,
        };
        match compile_expression(&text.value, Type::Bool, &mut scope) {
            Ok(program) => check.filter = Some(program),
            Err(problems) => {
                for problem in problems {
                    let place = text.inside(report.sources, problem.span);
                    report.error(problem.code, problem.message, &place, problem.label);
                }
            }
        }
    }
    check
}

/// Says which expectations were not met.
pub(super) fn judge(
    checks: &[Check<'_>],
    sent: &[Emission],
    report: &Report<'_>,
) -> Vec<Diagnostic> {
    let judged = checks.iter().filter_map(|check| {
        let met = sent.iter().filter(|emission| check.meets(emission)).count() as u64;
        let wanted = match check.expectation.times {
            Some(times) if times == met => return None,
            None if met > 0 => return None,
            Some(times) => times_text(times),
            None => "at least once".to_owned(),
        };
        let message = format!("expected {wanted}, was sent {}", times_text(met));
        let failure = Diagnostic::error(code::CASE, message);
        let failure = report.at(&check.expectation.place, failure).label("not met");
        Some(describe(sent, failure))
    });
    judged.collect()
}

/// The state could not be read back: a mistake of the engine, not of the test.
pub(super) fn state_failure(
    case: &CaseSpec,
    error: &StateError,
    report: &Report<'_>,
) -> Diagnostic {
    let failure = Diagnostic::error(code::CASE, format!("state was lost: {error}"));
    report.at(&case.name.place, failure).label("at a power cut of this test")
}

impl Check<'_> {
    fn meets(&self, emission: &Emission) -> bool {
        if let Some(router) = &self.topic {
            let (mut levels, mut found) = (Vec::new(), Vec::new());
            router.find(&emission.topic, &mut levels, &mut found);
            if found.is_empty() {
                return false;
            }
        }
        let same = match &self.expectation.payload {
            None => true,
            Some(PayloadSpec::Bytes(bytes)) => emission.payload == *bytes,
            Some(PayloadSpec::Text(text)) => emission.payload == text.as_bytes(),
        };
        if !same {
            return false;
        }
        self.filter.as_ref().is_none_or(|program| self.is_true(program, emission))
    }

    fn is_true(&self, program: &Program, emission: &Emission) -> bool {
        let Ok(payload) = std::str::from_utf8(&emission.payload) else { return false };
        let mut slots = vec![Value::Null; self.fields.len()];
        let mut arena = String::new();
        if read_json(payload, &self.fields, &mut slots, &mut arena).is_err() {
            return false;
        }
        let (constants, topic) = (self.constants.as_str(), emission.topic.as_str());
        let mut texts = Texts { arena, client: "", constants, payload, topic };
        let Emission { qos, retain, .. } = *emission;
        let inputs = Inputs { fields: &slots, locals: &[], qos, retain, now: 0 };
        let value = evaluate(program, &inputs, &mut texts, &mut Vec::new());
        value == Ok(Value::Bool(true))
    }
}

/// Adds what was sent to a failure.
fn describe(sent: &[Emission], mut failure: Diagnostic) -> Diagnostic {
    if sent.is_empty() {
        return failure.help("nothing was sent");
    }
    for emission in sent.iter().take(SHOWN_MAX) {
        let line = sent_line(emission, emission.payload.len(), usize::MAX);
        failure = failure.help(format!("was sent: {line}"));
    }
    match sent.len().checked_sub(SHOWN_MAX) {
        None | Some(0) => failure,
        Some(more) => failure.help(format!("and {more} more")),
    }
}

fn times_text(times: u64) -> String {
    match times {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        times => format!("{times} times"),
    }
}

const SHOWN_MAX: usize = 8;
