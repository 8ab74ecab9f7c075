//! From files to a plan: reads, checks, compiles, then looks at all rules together.
//!
//! Every problem of every file is reported; a rule with a problem is left out of the checks that
//! compare rules, so that one mistake gives one message.

mod across;
mod alert;
mod chain;
mod change;
mod decode;
mod dedupe;
mod destination;
mod forecast;
mod form;
mod identity;
mod join;
mod lookup;
mod names;
mod rule;
mod sparkplug;

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_config::{Diagnostic, Severity};

use crate::code;
use crate::limits::RULES_MAX;
use crate::payload::{Decode, FieldTree, Step};
use crate::plan::{Plan, RuleSummary, push_new};
use crate::rule::Rule;
use crate::source::Source;
use crate::spec::{Place, Report, RuleSpec, read_source};
use crate::topic::Template;

/// Checks and compiles rule files.
///
/// ```
/// use weir_rules::{Source, compile};
///
/// let text = "[rule.copy]\nfrom = \"a/{x}\"\nto = \"b/{y}\"\ndecode = \"text\"\n";
/// let problems = compile(&[Source::new("copy.toml", text)]).unwrap_err();
/// assert_eq!(
///     problems[0].to_string(),
///     "error[R008]: `{y}` has no value\n  --> copy.toml:3:9\n3 | to = \"b/{y}\"\n  |         \
///      ^^^ no capture, key or output has this name\n  = help: names here: x, value\n"
/// );
/// ```
///
/// # Errors
/// All problems of all files, with notes and warnings among them.
pub fn compile(sources: &[Source]) -> Result<Plan, Vec<Diagnostic>> {
    compile_with_specs(sources).map(|(plan, _)| plan)
}

/// A compiled rule and what it was made from.
pub(crate) struct Compiled {
    pub(crate) spec: RuleSpec,
    pub(crate) rule: Rule,
    /// Templates of the destinations, in order.
    pub(crate) templates: Vec<Template>,
    /// Names that can hold several levels of a topic.
    pub(crate) rests: Vec<String>,
    /// Forecast of the bytes of a key.
    pub(crate) key_bytes: usize,
    /// The payload fields that it names, and where.
    pub(crate) mentions: Vec<(Vec<Step>, Place)>,
}

/// A payload field that a rule names.
pub(crate) struct Mention {
    pub(crate) path: Vec<Step>,
    /// Where it is named.
    pub(crate) place: Place,
    /// The filters of the rule, as MQTT has them.
    pub(crate) filters: Arc<[String]>,
}

/// Everything of some files that have no problem.
struct Files {
    rules: Vec<Compiled>,
    fields: FieldTree,
    constants: String,
    warnings: Vec<Diagnostic>,
}

/// Also gives the specifications, for those who run the tests in them.
pub(crate) fn compile_with_specs(
    sources: &[Source],
) -> Result<(Plan, Vec<RuleSpec>), Vec<Diagnostic>> {
    let files = compile_files(sources)?;
    let specs = files.rules.iter().map(|one| one.spec.clone()).collect();
    Ok((build(sources, files), specs))
}

/// The payload fields that the enabled rules of some files name.
pub(crate) fn fields_named(sources: &[Source]) -> Result<Vec<Mention>, Vec<Diagnostic>> {
    let files = compile_files(sources)?;
    let enabled = files.rules.iter().filter(|one| one.spec.enabled);
    Ok(enabled.flat_map(mentions).collect())
}

fn compile_files(sources: &[Source]) -> Result<Files, Vec<Diagnostic>> {
    let mut report = Report { sources, diagnostics: Vec::new() };
    let mut specs = Vec::new();
    for file in 0..sources.len() {
        specs.extend(read_source(file, &mut report));
    }
    check_names(&specs, &mut report);
    chain::check(&specs, &mut report);
    let known: Vec<_> = specs.iter().map(|spec| chain::known_fields(spec, &specs)).collect();
    let mut fields = FieldTree::default();
    let mut constants = String::new();
    let mut tables = lookup::Tables::default();
    let mut compiled = Vec::new();
    for (spec, known) in specs.into_iter().zip(known) {
        compiled.extend(rule::compile_rule(
            spec,
            known,
            &mut fields,
            &mut constants,
            &mut tables,
            &mut report,
        ));
    }
    across::check(&compiled, &mut report);
    let failed = report.diagnostics.iter().any(|one| one.severity() == Severity::Error);
    if failed {
        return Err(report.diagnostics);
    }
    Ok(Files { rules: compiled, fields, constants, warnings: report.diagnostics })
}

fn check_names(specs: &[RuleSpec], report: &mut Report<'_>) {
    let mut known = BTreeMap::new();
    for spec in specs {
        if let Some(first) = known.insert(spec.name.as_str(), &spec.place) {
            let message = format!("rule `{}` is defined twice", spec.name);
            let path = report.sources.get(first.file).map_or("", |source| source.path.as_str());
            let help = format!("the other one is in {path}");
            report.error_with_help(code::DUPLICATE, message, &spec.place, "second time", help);
        }
    }
    if let Some(spec) = specs.get(RULES_MAX) {
        let message = format!("more than {RULES_MAX} rules");
        report.error(code::LIMIT, message, &spec.place, "one too many");
    }
}

fn build(sources: &[Source], files: Files) -> Plan {
    let Files { rules, fields, constants, warnings } = files;
    let mut plan = Plan { fields, constants, warnings, ..Plan::default() };
    for one in rules {
        plan.summaries.push(summary(sources, &one));
        if !one.spec.enabled {
            continue;
        }
        for upstream in one.rule.to.iter().filter_map(|to| to.upstream.as_ref()) {
            push_new(&mut plan.upstreams, upstream);
        }
        plan.rules.push(one.rule);
    }
    plan.with_new_router()
}

/// The fields that a rule looks for in the messages of topics, if it reads JSON and nothing else.
fn mentions(one: &Compiled) -> impl Iterator<Item = Mention> {
    let is_looked_at = matches!(one.rule.decode, Decode::Json) && one.rule.sources.is_empty();
    let filters: Arc<[String]> = one.rule.filters.iter().map(|filter| filter.mqtt()).collect();
    let mentions = one.mentions.iter().filter(move |_| is_looked_at);
    mentions.map(move |(path, place)| {
        let (path, place) = (path.clone(), place.clone());
        Mention { path, place, filters: filters.clone() }
    })
}

fn summary(sources: &[Source], one: &Compiled) -> RuleSummary {
    let (spec, rule) = (&one.spec, &one.rule);
    let source = sources.get(spec.place.file);
    let before = source.and_then(|source| source.text.get(..spec.place.span.start));
    RuleSummary {
        name: spec.name.clone(),
        path: source.map_or(String::new(), |source| source.path.clone()),
        line: before.unwrap_or_default().matches('\n').count() + 1,
        about: spec.about.clone(),
        enabled: spec.enabled,
        filters: rule.mqtt_filters().collect(),
        sources: rule.sources.clone(),
        topics: spec.to.iter().map(|to| to.topic.value.clone()).collect(),
        window: spec.window.as_ref().map(|(text, _)| text.value.clone()),
        keys_max: rule.keys_max,
        memory_bytes_max: rule.memory_max,
        key_bytes: one.key_bytes,
    }
}
