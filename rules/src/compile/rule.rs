//! One rule as it is written to one that runs.

use std::sync::Arc;

use weir_config::Diagnostic;

use super::Compiled;
use super::alert::compile_alert;
use super::chain::{rule_name, sources};
use super::change::{compile_change, is_by_topic};
use super::decode::known_fields;
use super::dedupe::compile_dedupe;
use super::destination::{compile_destinations, rest_names};
use super::forecast::forecast;
use super::identity::{definition_hash, state_hash};
use super::join::{finish_joins, start_joins};
use super::lookup::{Tables, compile_lookups};
use super::names::{Names, Part, check_word};
use super::sparkplug::compile_births;
use crate::aggregate::Layout;
use crate::code;
use crate::expression::{Fold, Name, Program, Remembered, Stage, Type};
use crate::json::write_text;
use crate::payload::{Decode, FieldTree};
use crate::rule::{Key, Let, Output, Rule};
use crate::spec::{Late, Located, Named, Report, RuleSpec, format_duration};
use crate::topic::{Capture, Filter, Piece, Template};
use crate::watermark::{EventTime, Time, Unit};
use crate::window::Window;

/// Compiles a rule; `None` if there was an error, which is reported.
pub(super) fn compile_rule(
    spec: RuleSpec,
    linked: Option<Vec<String>>,
    fields: &mut FieldTree,
    constants: &mut String,
    tables: &mut Tables,
    report: &mut Report<'_>,
) -> Option<Compiled> {
    let problems = count_errors(report);
    let filters = compile_filters(&spec, report);
    let mut names = Names {
        message_stage: if spec.decode.is_scalar() { Stage::Scalar } else { Stage::Json },
        message: Vec::new(),
        result: Vec::new(),
        prev: Remembered::default(),
        calls: Vec::new(),
        locals: 0,
        has_window: spec.window.is_some(),
        linked,
        joins: Vec::new(),
        fields,
        known: known_fields(&spec.decode),
        constants,
        named: Vec::new(),
        mentions: Vec::new(),
    };
    let births = compile_births(&spec, &filters, report);
    let captures = add_captures(&spec, &filters, &mut names, report);
    let value = add_value(&spec, &mut names, report);
    let started = start_joins(&spec, &mut names, report);
    let lookups = compile_lookups(&spec, &mut names, tables, report);
    let lets = compile_lets(&spec, &mut names, report);
    let by = compile_keys(&spec, &mut names, report);
    let dedupe = compile_dedupe(&spec, &mut names, report);
    let filter = spec
        .filter
        .as_ref()
        .and_then(|text| names.compile(text, Type::Bool, Part::Message, report));
    let time = compile_time(&spec, &mut names, report);
    let select = compile_outputs(&spec, &mut names, report);
    let having =
        spec.having.as_ref().and_then(|text| names.compile(text, Type::Bool, Part::Result, report));
    let alert = compile_alert(&spec, &mut names, report);
    let change = compile_change(&spec, &mut names, report);
    let rests = rest_names(&filters, &by, &captures);
    let (to, templates) = compile_destinations(&spec, &mut names, &rests, report);
    let during = compile_during(&spec, &mut names, report);
    let errors = compile_plain_topic(&spec, spec.errors.as_ref(), "errors", report);
    let late_topic = compile_late_topic(&spec, report);
    let is_correct = count_errors(report) == problems;
    let joins = finish_joins(&spec, started, &mut names, is_correct, report);
    check_combinations(&spec, report);
    warn_of_unused_time(&spec, &names.prev.folds, report);
    let window = spec.window.as_ref().map(|(_, window)| window.clone());
    let correct = match (&spec.emit.late, &window) {
        (Some((Late::Update, _)), Some(window)) => window.size().unwrap_or(0),
        _ => 0,
    };
    let layout = Layout::new(names.calls, matches!(time, Time::Arrival));
    let layout = match &window {
        Some(window) if window.needs_span() => layout.with_span(),
        _ => layout,
    };
    let (expire, keys_max) =
        (expire(&spec, &names.prev.folds, report), spec.keys.as_ref().map_or(KEYS, |keys| keys.0));
    let memory_max = spec.memory.as_ref().map_or(MEMORY_BYTES, |memory| memory.0) as usize;
    let rule = Rule {
        name: Arc::from(spec.name.as_str()),
        definition: definition_hash(&spec),
        state: 0,
        sources: sources(&spec),
        is_read: false,
        rank: 0,
        filters,
        captures,
        decode: spec.decode.clone(),
        joins,
        births,
        value,
        time,
        lookups,
        lets,
        filter,
        by,
        by_topic: is_by_topic(&spec),
        prev: names.prev.prev,
        folds: names.prev.folds,
        window,
        during,
        layout,
        select,
        having,
        alert,
        correct,
        late_topic,
        early: spec.emit.early.as_ref().map(|(early, _)| *early),
        empty: spec.emit.empty.is_some(),
        change,
        dedupe,
        guarantee: spec.guarantee,
        to,
        errors,
        keys_max,
        memory_max,
        expire,
        locals: usize::from(names.locals),
    };
    let rule = Rule { state: state_hash(&spec, &rule), ..rule };
    if count_errors(report) > problems {
        return None;
    }
    let key_bytes = forecast(&spec, &rule, report);
    let mentions = names.mentions;
    Some(Compiled { spec, rule, templates, rests, key_bytes, mentions })
}

fn count_errors(report: &Report<'_>) -> usize {
    let errors = report.diagnostics.iter();
    errors.filter(|one| one.severity() == weir_config::Severity::Error).count()
}

fn compile_filters(spec: &RuleSpec, report: &mut Report<'_>) -> Vec<Filter> {
    let mut filters: Vec<Filter> = Vec::new();
    for text in spec.from.iter().filter(|text| rule_name(text).is_none()) {
        match Filter::parse(&text.value) {
            Ok(filter) => filters.push(filter),
            Err(problem) => {
                let place = text.inside(report.sources, problem.span);
                report.error(code::TOPIC, problem.message, &place, problem.label);
                continue;
            }
        }
        let (Some(first), Some(last)) = (filters.first(), filters.last()) else { continue };
        let names = |filter: &Filter| {
            let mut names: Vec<String> =
                filter.captures.iter().map(|(name, _)| format!("{{{name}}}")).collect();
            names.sort();
            names.join(", ")
        };
        if names(first) != names(last) {
            let message = "all filters of a rule must capture the same names";
            let label = match names(last).as_str() {
                "" => "captures nothing".to_owned(),
                names => format!("captures {names}"),
            };
            let help = match names(first).as_str() {
                "" => "the first filter captures nothing".to_owned(),
                names => format!("the first filter captures {names}"),
            };
            report.error_with_help(code::UNBOUND, message, &text.place, label, help);
        }
    }
    filters
}

/// Names the captures; they have the first locals.
fn add_captures(
    spec: &RuleSpec,
    filters: &[Filter],
    names: &mut Names<'_>,
    report: &mut Report<'_>,
) -> Vec<Vec<Capture>> {
    let Some(first) = filters.first() else { return Vec::new() };
    let chained = spec.from.iter().find(|from| rule_name(from).is_some());
    if let (Some(from), Some((name, _))) = (chained, first.captures.first()) {
        let message = format!("`{{{name}}}` has no value in results of a rule");
        let label = "all of `from` must capture the same names";
        let help = "read them in two rules, or write + instead of the name";
        report.error_with_help(code::UNBOUND, message, &from.place, label, help);
    }
    for (text, _) in &first.captures {
        let slot = names.local();
        let name =
            Name { text: text.clone(), slot, kind: Type::Text, after_key: false, role: "capture" };
        let place = spec.from.first().map(|from| from.place.clone()).unwrap_or_default();
        names.add_message(name, &place, report);
    }
    let places = |filter: &Filter| {
        let wanted = first.captures.iter();
        let found = wanted.filter_map(|(name, _)| {
            filter.captures.iter().find(|(known, _)| known == name).map(|(_, capture)| *capture)
        });
        found.collect()
    };
    filters.iter().map(places).collect()
}

fn add_value(spec: &RuleSpec, names: &mut Names<'_>, report: &mut Report<'_>) -> Option<u16> {
    let kind = match spec.decode {
        Decode::Bool => Type::Bool,
        Decode::Number => Type::Number,
        Decode::Text => Type::Text,
        _ => return None,
    };
    let slot = names.local();
    let text = "value".to_owned();
    let name = Name { text, slot, kind, after_key: false, role: "value" };
    names.add_message(name, &spec.place, report);
    Some(slot)
}

fn compile_lets(spec: &RuleSpec, names: &mut Names<'_>, report: &mut Report<'_>) -> Vec<Let> {
    let mut lets = Vec::new();
    for one in &spec.lets {
        check_word(&one.name, &one.name_place, report);
        let program = names.compile(&one.expression, Type::Any, Part::Message, report);
        let kind = program.as_ref().map_or(Type::Any, |program| program.result);
        let after_key = program.as_ref().is_some_and(|program| names.needs_key(program));
        let slot = names.local();
        let name = Name { text: one.name.clone(), slot, kind, after_key, role: "let" };
        names.add_message(name, &one.name_place, report);
        lets.extend(program.map(|program| Let { slot, program, after_key }));
    }
    lets
}

fn compile_keys(spec: &RuleSpec, names: &mut Names<'_>, report: &mut Report<'_>) -> Vec<Key> {
    let mut keys = Vec::new();
    for one in &spec.by {
        let program = names.compile(&one.expression, Type::Any, Part::Key, report);
        check_output(spec, one, names, report);
        let slot = names.local();
        let kind = program.as_ref().map_or(Type::Any, |program| program.result);
        let text = one.name.clone();
        names.result.push(Name { text, slot, kind, after_key: false, role: "key" });
        keys.extend(program.map(|program| Key { label: label(&one.name), slot, program }));
    }
    keys
}

fn compile_outputs(
    spec: &RuleSpec,
    names: &mut Names<'_>,
    report: &mut Report<'_>,
) -> Option<Vec<Output>> {
    let Some(select) = &spec.select else {
        if spec.window.is_some() && spec.alert.is_none() {
            let message = format!("rule `{}` has a window, but no `select`", spec.name);
            let help = "for example select = { mean = \"avg(temperature)\", n = \"count()\" }";
            let label = "what is computed?";
            report.error_with_help(code::MISSING_KEY, message, &spec.place, label, help);
        }
        return None;
    };
    let mut outputs = Vec::new();
    // In rules without window an output is not seen by the next: its name is often that of the
    // field it is made from.
    let mut added = Vec::new();
    for one in select {
        let part = if names.has_window { Part::Result } else { Part::Message };
        let program = names.compile(&one.expression, Type::Any, part, report);
        check_output(spec, one, names, report);
        if added.iter().any(|known: &Name| known.text == one.name) {
            let message = format!("`{}` is selected twice", one.name);
            report.error(code::DUPLICATE, message, &one.name_place, "second time");
        }
        let slot = names.local();
        let kind = program.as_ref().map_or(Type::Any, |program| program.result);
        let name = Name { text: one.name.clone(), slot, kind, after_key: false, role: "output" };
        if names.has_window {
            names.result.push(name);
        } else {
            added.push(name);
        }
        outputs.extend(program.map(|program| Output { label: label(&one.name), slot, program }));
    }
    names.result.splice(0..0, added);
    Some(outputs)
}

/// Entries of a body have different names.
fn check_output(spec: &RuleSpec, one: &Named, names: &Names<'_>, report: &mut Report<'_>) {
    let meta = spec.to.iter().any(|to| to.meta.is_some());
    let taken = match one.name.as_str() {
        "window" => spec.window.is_some() && spec.alert.is_none(),
        "state" | "since" | "value" | "message" | "repeat" => spec.alert.is_some(),
        "id" | "rule" => meta,
        _ => false,
    };
    if taken {
        let message = format!("`{}` is already an entry of the result", one.name);
        report.error(code::DUPLICATE, message, &one.name_place, "choose another name");
    }
    if let Some(known) = names.result.iter().find(|known| known.text == one.name) {
        let message = format!("`{}` is already the name of a {}", one.name, known.role);
        report.error(code::DUPLICATE, message, &one.name_place, "choose another name");
    }
}

fn warn_of_unused_time(spec: &RuleSpec, folds: &[Fold], report: &mut Report<'_>) {
    let is_used = spec.window.is_some() || spec.alert.is_some() || !folds.is_empty();
    let Some(time) = spec.time.as_ref().filter(|_| !is_used) else { return };
    let message = "`time` does nothing without a `window`";
    let warning = report.at(&time.field.place, Diagnostic::warning(code::WINDOW, message));
    report.diagnostics.push(warning.label("not used"));
}

fn compile_time(spec: &RuleSpec, names: &mut Names<'_>, report: &mut Report<'_>) -> Time {
    let Some(time) = &spec.time else { return Time::Arrival };
    if time.unit == Unit::Guess {
        let message = format!("the unit of `{}` is guessed for each message", time.field.value);
        let note = report.at(&time.field.place, Diagnostic::note(code::UNIT, message));
        let help = "say it with unit = \"s\", \"ms\", \"us\", \"ns\" or \"rfc3339\"";
        report.diagnostics.push(note.label("s, ms, us or ns by its size").help(help));
    }
    match names.compile(&time.field, Type::Any, Part::Message, report) {
        None => Time::Arrival,
        Some(program) => Time::Field(EventTime {
            program,
            unit: time.unit,
            late: time.late,
            idle: time.idle,
            ahead: time.ahead.unwrap_or(AHEAD_MS),
            per_source: time.per_source,
        }),
    }
}

/// The condition of a `while` window.
fn compile_during(
    spec: &RuleSpec,
    names: &mut Names<'_>,
    report: &mut Report<'_>,
) -> Option<Program> {
    let (text, Window::While) = spec.window.as_ref()? else { return None };
    // Blanks in the place of the word before it: the condition keeps its place.
    let value = text.value.replacen("while", "     ", 1);
    let condition = Located { value, place: text.place.clone() };
    names.compile(&condition, Type::Bool, Part::Message, report)
}

fn compile_late_topic(spec: &RuleSpec, report: &mut Report<'_>) -> Option<String> {
    let (Late::Topic(topic), _) = spec.emit.late.as_ref()? else { return None };
    Some(compile_plain_topic(spec, topic.as_ref(), "late", report))
}

/// A topic that is the same for all messages; if none is given, one that is named after the rule.
fn compile_plain_topic(
    spec: &RuleSpec,
    text: Option<&Located>,
    usual: &str,
    report: &mut Report<'_>,
) -> String {
    let Some(text) = text else { return format!("$rules/{}/{usual}", spec.name) };
    match Template::parse(&text.value) {
        Ok(template) if template.pieces.iter().all(|p| matches!(p, Piece::Literal(_))) => {}
        Ok(_) => {
            let message = "this topic is the same for all messages";
            report.error(code::TOPIC, message, &text.place, "leave out the names in braces");
        }
        Err(problem) => {
            let place = text.inside(report.sources, problem.span);
            report.error(code::TOPIC, problem.message, &place, problem.label);
        }
    }
    text.value.clone()
}

fn check_combinations(spec: &RuleSpec, report: &mut Report<'_>) {
    check_emit(spec, report);
    let window = spec.window.as_ref().map(|(_, window)| window);
    let (Some(time), Some(Window::Count { .. })) = (&spec.time, window) else { return };
    if time.late > 0 || time.idle.is_some() {
        let message = "a count window takes messages as they come";
        let label = "`late` and `idle` of this time do nothing";
        let place = &time.field.place;
        let help = "leave them out; the time of a message only names the result";
        report.error_with_help(code::WINDOW, message, place, label, help);
    }
}

/// What `emit` asks of a window.
fn check_emit(spec: &RuleSpec, report: &mut Report<'_>) {
    let window = spec.window.as_ref().map(|(_, window)| window);
    let emit = &spec.emit;
    let update = match &emit.late {
        Some((Late::Update, place)) => Some(place),
        _ => None,
    };
    for (place, what) in [(update, "late = \"update\""), (emit.empty.as_ref(), "empty = true")] {
        let Some(place) = place else { continue };
        if window.is_none_or(|window| !window.is_of_clock()) {
            let message = format!("`{what}` needs windows that begin and end by the clock");
            let label = match window {
                Some(_) => "messages decide when this window ends",
                None => "this rule has no window",
            };
            let help = "for example window = \"sliding 5m every 10s\"";
            report.error_with_help(code::WINDOW, message, place, label, help);
        }
    }
    if let (Some((late, place)), None) = (&emit.late, &spec.time) {
        let what = if *late == Late::Update { "update" } else { "topic" };
        let message = format!("`late = \"{what}\"` needs a `time` field");
        report.error(code::WINDOW, message, place, "by arrival, nothing is late");
    }
    if let (Some((_, place)), None | Some(Window::Each { .. })) = (&emit.early, window) {
        let message = "`early` needs a window that stays open for a while";
        let label = match window {
            Some(_) => "this one gives a result for each message anyway",
            None => "this rule has no window",
        };
        report.error(code::WINDOW, message, place, label);
    }
    if let (Some((Late::Topic(_), place)), None | Some(Window::Count { .. })) = (&emit.late, window)
    {
        let message = "`late = \"topic\"` needs windows of time";
        report.error(code::WINDOW, message, place, "nothing is late here");
    }
}

fn expire(spec: &RuleSpec, folds: &[Fold], report: &mut Report<'_>) -> i64 {
    let silent = spec.alert.as_ref().and_then(|alert| alert.silent.as_ref());
    let silent = silent.map_or(0, |(silent, _)| *silent);
    let size = spec.window.as_ref().and_then(|(_, window)| window.size());
    let known = folds.iter().map(|fold| fold.kind.lasting()).max().unwrap_or(0).max(silent);
    match (&spec.expire, size) {
        (None, None) => known.max(DAY_MS),
        // A device that stamps its own messages may be silent for a while and go on where it was;
        // its windows wait for it as long as that is likely.
        (None, Some(size)) if spec.time.is_some() => (2 * size).max(SILENCE_MS).max(known),
        (None, Some(size)) => (2 * size).max(known),
        (Some((expire, place)), size) => {
            let least = size.unwrap_or(1);
            if *expire < least {
                let message = "a key expires before its window is over";
                let label = format!("at least {}", format_duration(least));
                report.error(code::WRONG_VALUE, message, place, label);
            }
            *expire
        }
    }
}

/// How long the windows of a silent device stay open at least, by default.
const SILENCE_MS: i64 = 600_000;

/// The beginning of an entry of a JSON object.
fn label(name: &str) -> String {
    let mut label = String::new();
    write_text(name, &mut label);
    label.push(':');
    label
}

/// Keys of a rule, if it does not say.
const KEYS: usize = 10_000;
/// State of a rule, if it does not say.
const MEMORY_BYTES: u64 = 16 << 20;
/// How far ahead of its arrival a stamp may be, if the rule does not say.
const AHEAD_MS: i64 = 600_000;
const DAY_MS: i64 = 86_400_000;
