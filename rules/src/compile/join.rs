//! `[rule.NAME.join.NAME]`: the joined topic, what it is joined by, and the names that it gives.

use weir_config::{Diagnostic, nearest};

use super::names::{Names, Part, check_word};
use crate::code;
use crate::expression::{JoinNames, Op, Type};
use crate::join::{Join, JoinKey};
use crate::payload::Decode;
use crate::spec::{JoinSpec, Report, RuleSpec};
use crate::topic::Filter;

/// A join whose fields are not known yet: expressions name them.
pub(super) struct Joining {
    filter: Filter,
    keys: Vec<JoinKey>,
}

/// Compiles what joins are found by, and makes their names known. Nothing else is named yet but
/// what the message itself gives.
pub(super) fn start_joins(
    spec: &RuleSpec,
    names: &mut Names<'_>,
    report: &mut Report<'_>,
) -> Vec<Joining> {
    let mut started = Vec::new();
    for one in &spec.joins {
        check_word(&one.name, &one.place, report);
        names.check_taken((&one.name, &one.place), report);
        if one.decode == Decode::Sparkplug {
            let message = "Sparkplug metrics cannot be joined";
            let help = "read them in a rule of its own, and join the topic that it writes";
            let label = "this join";
            report.error_with_help(code::WRONG_VALUE, message, &one.place, label, help);
        }
        let filter = match Filter::parse(&one.topic.value) {
            Ok(filter) => filter,
            Err(problem) => {
                let place = one.topic.inside(report.sources, problem.span);
                report.error(code::TOPIC, problem.message, &place, problem.label);
                continue;
            }
        };
        started.push(Joining { keys: compile_keys(one, &filter, names, report), filter });
    }
    for one in &spec.joins {
        let value = match one.decode {
            Decode::Bool => Some(Type::Bool),
            Decode::Number => Some(Type::Number),
            Decode::Text => Some(Type::Text),
            _ => None,
        };
        names.joins.push(JoinNames { name: one.name.clone(), value, fields: Vec::new() });
    }
    started
}

/// Puts together what `start_joins` began, once all expressions are compiled. What is not used is
/// told if they are correct.
pub(super) fn finish_joins(
    spec: &RuleSpec,
    started: Vec<Joining>,
    names: &mut Names<'_>,
    is_correct: bool,
    report: &mut Report<'_>,
) -> Vec<Join> {
    let mut joins = Vec::new();
    let known = std::mem::take(&mut names.joins);
    // A filter that cannot be read is an error, so the lists are equally long or of no use.
    for ((one, started), known) in spec.joins.iter().zip(started).zip(known) {
        if known.fields.is_empty() && is_correct {
            let message = format!("join `{}` is not used", one.name);
            let warning = report.at(&one.place, Diagnostic::warning(code::UNKNOWN_NAME, message));
            let help = match known.value {
                Some(_) => format!("its value is {}.value", one.name),
                None => format!("its fields are {}.NAME", one.name),
            };
            report.diagnostics.push(warning.label("nothing names it").help(help));
        }
        let Joining { filter, keys } = started;
        let (decode, max_age) = (one.decode.clone(), one.max_age);
        joins.push(Join { filter, decode, keys, max_age, fields: known.fields });
    }
    joins
}

/// Each name that the joined topic captures stands for the same value in a message of the rule.
fn compile_keys(
    one: &JoinSpec,
    filter: &Filter,
    names: &mut Names<'_>,
    report: &mut Report<'_>,
) -> Vec<JoinKey> {
    let mut keys = Vec::new();
    for (name, capture) in &filter.captures {
        let text = format!("{{{name}}}");
        let at = one.topic.value.find(&text).unwrap_or(0);
        let place = one.topic.inside(report.sources, at..at + text.len());
        let captures: Vec<String> = names.message.iter().map(|known| known.text.clone()).collect();
        let near = nearest(name, captures.iter().map(String::as_str));
        let Ok(program) = names.try_compile(name, Type::Any, Part::Key, &|_| place.clone()) else {
            let message = format!("`{text}` has no value in messages of this rule");
            let help = format!("names here: {}", captures.join(", "));
            let label = "captured by no filter of `from`";
            report.error_with_help(code::UNBOUND, message, &place, label, help);
            continue;
        };
        if let (Some(near), [Op::Field(_)]) = (near, &program.ops[..]) {
            let message =
                format!("`{text}` is not captured by `from`, it is read from the payload");
            let warning = report.at(&place, Diagnostic::warning(code::UNBOUND, message));
            let help = format!("did you mean `{{{near}}}`?");
            report.diagnostics.push(warning.label("a payload field").help(help));
        }
        keys.push(JoinKey { capture: *capture, program });
    }
    keys
}
