//! `change`: the values that decide whether a result is sent, and what it goes together with.

use super::names::{Names, Part};
use crate::change::{Change, Deadband};
use crate::code;
use crate::expression::{Op, Program, Type};
use crate::hash::StableHash;
use crate::spec::{ChangeSpec, Late, Report, RuleSpec};

/// Checks and compiles `change`.
pub(super) fn compile_change(
    spec: &RuleSpec,
    names: &mut Names<'_>,
    report: &mut Report<'_>,
) -> Option<Change> {
    let change = spec.change.as_ref()?;
    if spec.alert.is_some() {
        let message = "`change` and `alert` do not go together";
        let label = "an alert is sent when it begins and when it ends, not for each result";
        let help = "leave it out, or put the alert into a rule that reads this one";
        report.error_with_help(code::WRONG_VALUE, message, &change.place, label, help);
        return None;
    }
    check_times(spec, change, report);
    let numeric = change.by.is_some() || change.percent.is_some();
    let wanted = if numeric && change.fields.len() == 1 { Type::Number } else { Type::Any };
    let fields = match change.fields.as_slice() {
        [] => all_outputs(spec, change, names, report),
        fields => {
            let compiled = fields
                .iter()
                .filter_map(|field| names.compile(field, wanted, Part::Result, report));
            compiled.collect()
        }
    };
    Some(Change {
        fields,
        deadband: Deadband {
            by: change.by.as_ref().map(|(by, _)| *by),
            percent: change.percent.as_ref().map(|(percent, _)| *percent),
        },
        at_least_every: change.at_least_every.as_ref().map(|(ms, _)| *ms),
        at_most_every: change.at_most_every.as_ref().map(|(ms, _)| *ms),
    })
}

/// Whether each topic is compared with itself.
pub(super) fn is_by_topic(spec: &RuleSpec) -> bool {
    spec.change.is_some() && spec.by.is_empty() && spec.window.is_none()
}

/// Adds all that `change` says.
pub(super) fn change_hash(hash: StableHash, change: &ChangeSpec) -> StableHash {
    let mut hash = fields_hash(hash, change);
    for bound in [&change.by, &change.percent] {
        hash = hash.number(bound.as_ref().map_or(u64::MAX, |(bound, _)| bound.to_bits()));
    }
    for time in [&change.at_least_every, &change.at_most_every] {
        hash = hash.number(time.as_ref().map_or(-1, |(ms, _)| *ms) as u64);
    }
    hash
}

/// Adds what the state of `change` depends on.
pub(super) fn fields_hash(hash: StableHash, change: &ChangeSpec) -> StableHash {
    let fields = change.fields.iter();
    fields.fold(hash.text("change"), |hash, field| hash.text(field.value.trim()))
}

fn check_times(spec: &RuleSpec, change: &ChangeSpec, report: &mut Report<'_>) {
    if let (Some((_, place)), true) = (&change.at_most_every, spec.window.is_some()) {
        let message = "`at_most_every` is for rules without window";
        let help = "a window says itself how often: `sliding 5m every 10s`";
        let label = "this rule has a window";
        report.error_with_help(code::WINDOW, message, place, label, help);
    }
    if let Some((Late::Update, place)) = &spec.emit.late {
        let message = "`late = \"update\"` and `change` do not go together";
        let label = "a correction would be compared with a later window";
        report.error(code::WINDOW, message, place, label);
    }
    if let (Some((least, place)), Some((most, _))) = (&change.at_least_every, &change.at_most_every)
        && least < most
    {
        let message = "`at_least_every` is shorter than `at_most_every`";
        report.error(code::WRONG_VALUE, message, place, "both cannot be");
    }
}

/// All outputs, or the value of a payload that is one value.
fn all_outputs(
    spec: &RuleSpec,
    change: &ChangeSpec,
    names: &mut Names<'_>,
    report: &mut Report<'_>,
) -> Vec<Program> {
    if spec.select.is_none() && !spec.decode.is_scalar() {
        let message = "`change` needs a field";
        let help = "for example change = { field = \"temperature\", by = 0.5 }";
        let label = "which value decides?";
        report.error_with_help(code::MISSING_KEY, message, &change.place, label, help);
        return Vec::new();
    }
    if spec.select.is_none() {
        let place = |_| change.place.clone();
        let value = names.try_compile("value", Type::Any, Part::Result, &place);
        return value.into_iter().collect();
    }
    let outputs = names.result.iter().filter(|name| name.role == "output");
    let program = |text: &str, slot, result| {
        let span = std::iter::once(0..text.len()).collect();
        let (ops, zones) = (vec![Op::Local(slot)], Vec::new());
        Program { ops, spans: span, zones, source: text.into(), result }
    };
    outputs.map(|name| program(&name.text, name.slot, name.kind)).collect()
}
