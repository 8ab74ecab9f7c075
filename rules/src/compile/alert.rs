//! `[rule.NAME.alert]`: its conditions, the values that it keeps, and its message.

use std::ops::Range;

use super::names::{Names, Part, push};
use crate::alert::{Alert, Kept, MessagePart};
use crate::code;
use crate::expression::{Op, Program, Type};
use crate::limits::ENTRIES_MAX;
use crate::spec::{AlertSpec, Late, Located, Report, RuleSpec, format_duration};

/// Compiles the alert of a rule, after its outputs.
pub(super) fn compile_alert(
    spec: &RuleSpec,
    names: &mut Names<'_>,
    report: &mut Report<'_>,
) -> Option<Alert> {
    let written = spec.alert.as_ref()?;
    check_combinations(spec, written, report);
    let mut condition = |text: &Option<Located>, names: &mut Names<'_>| {
        text.as_ref().and_then(|text| names.compile(text, Type::Bool, Part::Result, report))
    };
    let when = condition(&written.when, names);
    let clear = condition(&written.clear, names);
    let mut kept = Vec::new();
    let program = match &written.value {
        Some(text) => names.compile(text, Type::Any, Part::Result, report),
        None => when.as_ref().and_then(|when| compared_value(when, names)),
    };
    let value = program.map(|program| keep(program, names, &mut kept));
    let message = written
        .message
        .as_ref()
        .map_or(Vec::new(), |text| compile_message(text, names, &mut kept, report));
    Some(Alert {
        when,
        clear,
        hold: written.hold,
        clear_hold: written.clear_hold,
        repeat: written.repeat,
        silent: written.silent.as_ref().map(|(ms, _)| *ms),
        kept,
        value,
        message,
    })
}

fn check_combinations(spec: &RuleSpec, written: &AlertSpec, report: &mut Report<'_>) {
    let update = match &spec.emit.late {
        Some((Late::Update, place)) => Some(place),
        _ => None,
    };
    let early = spec.emit.early.as_ref().map(|(_, place)| place);
    for (place, what) in [(update, "late = \"update\""), (early, "early")] {
        let Some(place) = place else { continue };
        let message = format!("`{what}` cannot be used with an `alert`");
        report.error(code::WINDOW, message, place, "an alert looks at each window once");
    }
    if let (Some((silent, place)), Some((expire, _))) = (&written.silent, &spec.expire)
        && expire < silent
    {
        let message = "a key expires before it counts as silent";
        let label = format!("longer than `limits.expire`, which is {}", format_duration(*expire));
        report.error(code::WRONG_VALUE, message, place, label);
    }
    if written.repeat.is_some() {
        for case in spec.cases.iter().filter(|case| case.until.is_none()) {
            let message = "a test of an alert with `repeat` needs `until`";
            let help = "say how far the clock goes, for example until = \"3h\"";
            let label = "reminders never end";
            report.error_with_help(code::MISSING_KEY, message, &case.name.place, label, help);
        }
    }
}

/// The first value of a condition that is not a key, a capture or a column: what is compared.
fn compared_value(when: &Program, names: &Names<'_>) -> Option<Program> {
    let groups = |slot: u16| {
        let mut known = names.result.iter().chain(&names.message);
        known.any(|name| name.slot == slot && matches!(name.role, "capture" | "column" | "key"))
    };
    let at = when.ops.iter().position(|op| match op {
        Op::Field(_) => true,
        Op::Local(slot) => !groups(*slot),
        _ => false,
    })?;
    let (op, span) = (*when.ops.get(at)?, when.spans.get(at)?.clone());
    let spans = std::iter::once(span).collect();
    let (source, result) = (when.source.clone(), Type::Any);
    Some(Program { ops: vec![op], spans, source, result, zones: Vec::new() })
}

/// The local of a value that is kept; equal ones are kept once.
fn keep(program: Program, names: &mut Names<'_>, kept: &mut Vec<Kept>) -> u16 {
    if let Some(known) = kept.iter().find(|known| known.program.ops == program.ops) {
        return known.slot;
    }
    let slot = names.local();
    kept.push(Kept { slot, program });
    slot
}

/// Text with `{expression}` and `{expression:.1}` in it; `{{` and `}}` are braces.
fn compile_message(
    text: &Located,
    names: &mut Names<'_>,
    kept: &mut Vec<Kept>,
    report: &mut Report<'_>,
) -> Vec<MessagePart> {
    let pieces = match split_message(&text.value) {
        Ok(pieces) => pieces,
        Err((message, span)) => {
            let place = text.inside(report.sources, span);
            let label = "write {name}, or {{ for a brace";
            report.error(code::SYNTAX, message, &place, label);
            return Vec::new();
        }
    };
    if pieces.len() > 2 * ENTRIES_MAX {
        let message = format!("a message has at most {ENTRIES_MAX} values");
        report.error(code::LIMIT, message, &text.place, "too many");
    }
    let (mut parts, sources) = (Vec::new(), report.sources);
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => parts.push(MessagePart::Literal(literal)),
            Piece::Value { span, digits } => {
                let source = text.value.get(span.clone()).unwrap_or_default();
                let place = |part: Range<usize>| {
                    text.inside(sources, part.start + span.start..part.end + span.start)
                };
                match names.try_compile(source, Type::Any, Part::Result, &place) {
                    Ok(program) => {
                        let slot = keep(program, names, kept);
                        parts.push(MessagePart::Value { slot, digits });
                    }
                    Err(problems) => {
                        for problem in problems {
                            push(problem.clone(), &place(problem.span), report);
                        }
                    }
                }
            }
        }
    }
    parts
}

#[derive(Debug, PartialEq)]
enum Piece {
    Literal(String),
    Value { span: Range<usize>, digits: Option<u8> },
}

/// Splits a message; an error says what is wrong and where.
fn split_message(text: &str) -> Result<Vec<Piece>, (&'static str, Range<usize>)> {
    let (mut pieces, mut literal) = (Vec::new(), String::new());
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let plain = rest.find(['{', '}']).unwrap_or(rest.len());
        literal.push_str(rest.get(..plain).unwrap_or_default());
        at += plain;
        let rest = rest.get(plain..).unwrap_or_default();
        if rest.is_empty() {
            break;
        }
        if rest.starts_with("{{") || rest.starts_with("}}") {
            literal.push_str(rest.get(..1).unwrap_or_default());
            at += 2;
            continue;
        }
        let close = rest.find('}');
        let (true, Some(close)) = (rest.starts_with('{'), close) else {
            return Err(("a single brace", at..at + 1));
        };
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
        }
        let (length, digits) = split_digits(rest.get(1..close).unwrap_or_default());
        pieces.push(Piece::Value { span: at + 1..at + 1 + length, digits });
        at += close + 1;
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

/// The length of an expression before `:.2`, and that number.
fn split_digits(inner: &str) -> (usize, Option<u8>) {
    let found = inner.rsplit_once(":.").and_then(|(expression, digits)| {
        let digits: u8 = digits.trim_end().parse().ok()?;
        (digits <= DIGITS_MAX).then_some((expression.len(), Some(digits)))
    });
    found.unwrap_or((inner.len(), None))
}

/// More digits than a number has say nothing.
const DIGITS_MAX: u8 = 17;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_split_at_braces() {
        let literal = |text: &str| Piece::Literal(text.to_owned());
        let value = |span, digits| Piece::Value { span, digits };
        assert_eq!(
            split_message("at {t:.1} C, {{{room}}}"),
            Ok(vec![
                literal("at "),
                value(4..5, Some(1)),
                literal(" C, {"),
                value(16..20, None),
                literal("}"),
            ])
        );
        assert_eq!(split_message("{ok ? 1 : 2}"), Ok(vec![value(1..11, None)]));
        assert_eq!(split_message("a } b"), Err(("a single brace", 2..3)));
        assert_eq!(split_message("a {b"), Err(("a single brace", 2..3)));
        assert_eq!(split_message(""), Ok(vec![]));
    }
}
