//! `to`: topics with names in them, and what the names stand for.

use std::sync::Arc;

use weir_config::{Diagnostic, nearest};

use super::form::compile_form;
use super::names::{Names, Part};
use crate::code;
use crate::expression::{Op, Program, Type};
use crate::rule::{Destination, Key, TopicPart};
use crate::spec::{DestinationSpec, Place, Report, RuleSpec};
use crate::topic::{Capture, Filter, Piece, Template};

/// Names whose value can have slashes, because it was captured from several levels.
pub(super) fn rest_names(filters: &[Filter], by: &[Key], captures: &[Vec<Capture>]) -> Vec<String> {
    let is_rest = |slot: usize| {
        let mut places = captures.iter().filter_map(|places| places.get(slot));
        places.any(|place| matches!(place, Capture::Rest(_)))
    };
    let mut names = Vec::new();
    for (slot, (name, _)) in filters.iter().take(1).flat_map(|first| &first.captures).enumerate() {
        if is_rest(slot) {
            names.push(name.clone());
        }
    }
    for key in by {
        if matches!(key.program.ops[..], [Op::Local(slot)] if is_rest(usize::from(slot))) {
            names.push(key.program.source.trim().to_owned());
        }
    }
    names
}

pub(super) fn compile_destinations(
    spec: &RuleSpec,
    names: &mut Names<'_>,
    rests: &[String],
    report: &mut Report<'_>,
) -> (Vec<Destination>, Vec<Template>) {
    let (mut to, mut templates) = (Vec::new(), Vec::new());
    for one in &spec.to {
        let template = match Template::parse(&one.topic.value) {
            Ok(template) => template,
            Err(problem) => {
                let place = one.topic.inside(report.sources, problem.span);
                report.error(code::TOPIC, problem.message, &place, problem.label);
                continue;
            }
        };
        if let (Some(place), None, None) = (&one.meta, &spec.select, &spec.alert) {
            let message = "`meta` needs a `select`";
            let label = "the payload is sent as it came";
            report.error(code::MISSING_KEY, message, place, label);
        }
        let topic = compile_topic(spec, one, &template, names, rests, report);
        let form = compile_form(spec, one, names, report);
        to.push(Destination {
            topic,
            qos: one.qos,
            retain: one.retain,
            upstream: one.upstream.as_ref().map(|text| Arc::from(text.value.as_str())),
            expire_s: one.expire_s,
            meta: one.meta.is_some(),
            form,
            is_link: false,
        });
        templates.push(template);
    }
    (to, templates)
}

fn compile_topic(
    spec: &RuleSpec,
    one: &DestinationSpec,
    template: &Template,
    names: &mut Names<'_>,
    rests: &[String],
    report: &mut Report<'_>,
) -> Vec<TopicPart> {
    let mut parts = Vec::new();
    for piece in &template.pieces {
        match piece {
            Piece::Literal(text) => parts.push(TopicPart::Literal(text.clone())),
            Piece::Name(name, span) => {
                let place = one.topic.inside(report.sources, span.clone());
                match compile_name(spec, (name, &place), names) {
                    Some(program) => {
                        warn_of_field(&program, (name, &place), names, report);
                        parts.push(TopicPart::Value { program, rest: rests.contains(name) });
                    }
                    None => unbound(spec, (name, &place), names, report),
                }
            }
        }
    }
    parts
}

/// The value of a name in a topic: any name that is known, or a field.
fn compile_name(
    spec: &RuleSpec,
    (name, place): (&str, &Place),
    names: &mut Names<'_>,
) -> Option<Program> {
    let known = names.result.iter().filter(|known| spec.alert.is_none() || known.role == "key");
    let known = known.chain(if lasts(spec) { &[] } else { &names.message[..] });
    if let Some(found) = known.into_iter().find(|known| known.text == name) {
        let (ops, result) = (vec![Op::Local(found.slot)], found.kind);
        let span = std::iter::once(0..name.len()).collect();
        return Some(Program { ops, spans: span, source: name.into(), result, zones: Vec::new() });
    }
    if lasts(spec) || name.contains('-') {
        return None;
    }
    names.try_compile(name, Type::Any, Part::Result, &|_| place.clone()).ok()
}

/// A field in a topic is allowed, but it may be a mistyped capture.
fn warn_of_field(
    program: &Program,
    (name, place): (&str, &Place),
    names: &Names<'_>,
    report: &mut Report<'_>,
) {
    if !matches!(program.ops[..], [Op::Field(_)]) {
        return;
    }
    let captures = names.message.iter().filter(|known| known.role == "capture");
    let Some(near) = nearest(name, captures.map(|known| known.text.as_str())) else { return };
    let message = format!("`{{{name}}}` is not a capture, it is read from the payload");
    let warning = report.at(place, Diagnostic::warning(code::UNBOUND, message));
    let warning = warning.label("a payload field").help(format!("did you mean `{{{near}}}`?"));
    report.diagnostics.push(warning);
}

/// Whether results come when the message that a name would belong to is gone.
fn lasts(spec: &RuleSpec) -> bool {
    spec.window.is_some() || spec.alert.is_some()
}

fn unbound(
    spec: &RuleSpec,
    (name, place): (&str, &Place),
    names: &Names<'_>,
    report: &mut Report<'_>,
) {
    let message = format!("`{{{name}}}` has no value");
    let captured = names.message.iter().any(|known| known.text == name);
    if lasts(spec) && captured {
        let (label, what) = match &spec.alert {
            Some(_) => ("an alert outlasts its messages", "alert"),
            None => ("a result is made from many messages", "window"),
        };
        let help = format!("add \"{name}\" to `by`: then there is one {what} for each {name}");
        report.error_with_help(code::UNBOUND, message, place, label, help);
        return;
    }
    let result = names.result.iter().filter(|known| spec.alert.is_none() || known.role == "key");
    let mut known: Vec<&str> = result.map(|known| known.text.as_str()).collect();
    if !lasts(spec) {
        known.extend(names.message.iter().map(|known| known.text.as_str()));
    }
    let label = match &spec.alert {
        Some(_) => "the topic of an alert is made from what is in `by`",
        None => "no capture, key or output has this name",
    };
    let list = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let help = match nearest(name, known.iter().copied()) {
        Some(near) if near.len() > 1 => format!("did you mean `{{{near}}}`? names here: {list}"),
        _ => format!("names here: {list}"),
    };
    report.error_with_help(code::UNBOUND, message, place, label, help);
}
