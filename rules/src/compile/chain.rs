//! `from = "rule:NAME"`: which rules a rule reads, and what it finds in their results.

use weir_config::{Diagnostic, nearest};

use crate::code;
use crate::payload::Decode;
use crate::spec::{Located, Report, RuleSpec};

/// The name of the rule in `rule:NAME`.
pub(super) fn rule_name(from: &Located) -> Option<&str> {
    from.value.strip_prefix("rule:")
}

/// Names of the rules that a rule reads, each once.
pub(super) fn sources(spec: &RuleSpec) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in spec.from.iter().filter_map(rule_name) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// Checks what rules say about each other, before they are compiled.
pub(super) fn check(specs: &[RuleSpec], report: &mut Report<'_>) {
    for spec in specs {
        for from in &spec.from {
            if let Some(name) = rule_name(from) {
                check_source(spec, from, name, specs, report);
            }
        }
        let is_read = || specs.iter().any(|other| sources(other).contains(&spec.name));
        if spec.without_to && !is_read() {
            let message = format!("rule `{}` has no `to`", spec.name);
            let label = "where do results go?";
            report.error(code::MISSING_KEY, message, &spec.place, label);
        }
    }
}

fn check_source(
    spec: &RuleSpec,
    from: &Located,
    name: &str,
    specs: &[RuleSpec],
    report: &mut Report<'_>,
) {
    let Some(source) = specs.iter().find(|known| known.name == name) else {
        let message = format!("there is no rule `{name}`");
        let known = specs.iter().map(|known| known.name.as_str());
        let others = known.filter(|known| *known != spec.name);
        let help = match nearest(name, others.clone()) {
            Some(near) => format!("did you mean `rule:{near}`?"),
            None => format!("rules here: {}", others.collect::<Vec<_>>().join(", ")),
        };
        report.error_with_help(code::UNKNOWN_NAME, message, &from.place, "not a rule", help);
        return;
    };
    if spec.enabled && !source.enabled {
        let message = format!("rule `{name}` is not enabled");
        let warning = report.at(&from.place, Diagnostic::warning(code::UNKNOWN_NAME, message));
        report.diagnostics.push(warning.label("nothing comes from it"));
    }
    if spec.decode != Decode::Json && has_body(source) {
        let message = format!("results of rule `{name}` are JSON");
        let label = "leave out `decode`";
        report.error(code::WRONG_VALUE, message, &from.place, label);
    }
}

/// The fields that a rule finds in what it reads, if all of that comes from rules that make their
/// results themselves.
pub(super) fn known_fields(spec: &RuleSpec, specs: &[RuleSpec]) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    for from in &spec.from {
        let name = rule_name(from)?;
        let source = specs.iter().find(|known| known.name == name).filter(|one| has_body(one))?;
        fields.extend(source.by.iter().map(|one| one.name.clone()));
        fields.extend(source.select.iter().flatten().map(|one| one.name.clone()));
        let more: &[&str] = match (&source.alert, &source.window) {
            (Some(_), _) => &["state", "since", "value", "message", "repeat"],
            (None, Some(_)) => &["window"],
            (None, None) => &[],
        };
        fields.extend(more.iter().map(|name| (*name).to_owned()));
    }
    (!fields.is_empty()).then_some(fields)
}

/// Whether the results of a rule are objects that it makes itself.
fn has_body(spec: &RuleSpec) -> bool {
    spec.select.is_some() || spec.window.is_some() || spec.alert.is_some()
}
