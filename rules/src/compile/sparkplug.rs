//! Sparkplug: which births belong to the filters of a rule.

use crate::code;
use crate::payload::Decode;
use crate::rule::{Births, METRIC_TOPICS};
use crate::spec::{Located, Report, RuleSpec};
use crate::topic::{Filter, Level};

/// The births that tell what metrics are called, for rules that read metrics.
pub(super) fn compile_births(
    spec: &RuleSpec,
    filters: &[Filter],
    report: &mut Report<'_>,
) -> Births {
    if spec.decode != Decode::Sparkplug {
        return Births::default();
    }
    if spec.select.is_none() {
        let message = format!("rule `{}` reads metrics, but has no `select`", spec.name);
        let help = "for example select = { metric = \"metric\", value = \"value\" }";
        let label = "what is sent of each metric?";
        report.error_with_help(code::MISSING_KEY, message, &spec.place, label, help);
    }
    let mut births = Births::default();
    let texts = spec.from.iter().filter(|text| !text.value.starts_with("rule:"));
    let mut found = Vec::new();
    for (filter, text) in filters.iter().zip(texts) {
        let levels = &filter.levels;
        let kind = kind_level(levels);
        check(levels, kind, text, report);
        births.kind_levels.push(kind);
        found.extend(births_of(levels, kind).into_iter().map(|birth| (birth, kind)));
    }
    for (birth, kind) in found {
        if !births.filters.contains(&birth) {
            births.filters.push(birth);
            births.kind_levels.push(kind);
        }
    }
    births
}

/// Which level says the kind of message: DDATA in `spBv1.0/group/DDATA/node/device`.
fn kind_level(levels: &[Level]) -> usize {
    let literal = |wanted: &dyn Fn(&str) -> bool| {
        levels.iter().position(|level| matches!(level, Level::Literal(text) if wanted(text)))
    };
    let kind = literal(&|text| METRIC_TOPICS.contains(&text)).filter(|at| *at >= 2);
    kind.or_else(|| literal(&|text| text == NAME_SPACE).map(|at| at + 2)).unwrap_or(2)
}

fn check(levels: &[Level], kind: usize, text: &Located, report: &mut Report<'_>) {
    let rest = levels.last() == Some(&Level::Rest);
    let count = levels.len() - usize::from(rest);
    let (fits, least, most) = match levels.get(kind) {
        Some(Level::Literal(word)) if word.starts_with('N') => (true, kind + 2, kind + 2),
        Some(Level::Literal(word)) if word.starts_with('D') => (true, kind + 3, kind + 3),
        Some(Level::Literal(_)) => (false, 0, 0),
        _ => (true, kind + 2, kind + 3),
    };
    let known = match levels.get(kind) {
        Some(Level::Literal(word)) => METRIC_TOPICS.contains(&&**word),
        _ => true,
    };
    if fits && known && count <= most && (rest || count >= least) {
        return;
    }
    let message = format!("`{}` matches no topic of Sparkplug metrics", text.value);
    let label = "group, kind of message, node, and for D... the device";
    let help = "for example spBv1.0/{group}/DDATA/{node}/{device} or spBv1.0/{group}/NDATA/{node}";
    report.error_with_help(code::TOPIC, message, &text.place, label, help);
}

/// The births of all nodes and devices that a filter matches, unless it matches them itself.
fn births_of(levels: &[Level], kind: usize) -> Vec<Vec<Level>> {
    let Some(before) = levels.get(..kind) else { return Vec::new() };
    if before.contains(&Level::Rest) || matches!(levels.get(kind), None | Some(Level::Rest)) {
        return Vec::new();
    }
    let birth = |word: &str, rest: &[Level]| {
        let mut birth = before.to_vec();
        birth.push(Level::Literal(word.into()));
        birth.extend_from_slice(rest);
        birth
    };
    let single = |level: Option<&Level>| match level {
        Some(Level::Rest) | None => Level::Any,
        Some(level) => level.clone(),
    };
    let (node, device) = (levels.get(kind + 1), levels.get(kind + 2));
    let mut births = vec![birth("NBIRTH", &[single(node)])];
    let node_only = matches!(levels.get(kind), Some(Level::Literal(word)) if word.starts_with('N'));
    if !node_only && (device.is_some() || node == Some(&Level::Rest)) {
        births.push(birth("DBIRTH", &[single(node), single(device)]));
    }
    births
}

const NAME_SPACE: &str = "spBv1.0";
