//! One file to the rules it holds.

use toml::de::{DeTable, DeValue};
use weir_config::Diagnostic;

use super::alert::read_alert;
use super::case::read_case;
use super::change::read_change;
use super::decode::read_decode;
use super::dedupe::read_dedupe;
use super::form::read_form;
use super::join::read_joins;
use super::lookup::read_lookups;
use super::quantity::format_duration;
use super::section::{Entry, Section};
use super::window::read_window;
use super::{
    DestinationSpec, EmitSpec, FormSpec, Late, Located, Named, Place, Report, RuleSpec, TimeSpec,
};
use crate::code;
use crate::limits::{ENTRIES_MAX, KEYS_MAX, MEMORY_BYTES_MAX, SOURCE_BYTES_MAX};
use crate::message::Guarantee;
use crate::watermark::Unit;
use crate::window::Window;

/// Reads all rules of a file, in the order in which they are written.
pub(crate) fn read_source(file: usize, report: &mut Report<'_>) -> Vec<RuleSpec> {
    let Some(source) = report.sources.get(file) else { return Vec::new() };
    if source.text.len() > SOURCE_BYTES_MAX {
        let message = format!("the file has more than {SOURCE_BYTES_MAX} bytes");
        report.error(code::LIMIT, message, &Place { file, span: 0..0 }, "too large");
        return Vec::new();
    }
    let (document, errors) = DeTable::parse_recoverable(&source.text);
    if !errors.is_empty() {
        for error in errors {
            let place = Place { file, span: error.span().unwrap_or(0..0) };
            let message = format!("not TOML: {}", error.message());
            report.error(code::TOML, message, &place, "here");
        }
        return Vec::new();
    }
    let mut root = Section::new(document.get_ref(), file, "a file of rules");
    let rules = root.take("rule");
    root.finish(report);
    let Some(rules) = rules else { return Vec::new() };
    let Some(entries) = rules.entries() else {
        rules.wrong("a table for each rule: [rule.NAME]", report);
        return Vec::new();
    };
    entries.iter().filter_map(|entry| read_rule(entry, report)).collect()
}

fn read_rule(entry: &Entry<'_, '_>, report: &mut Report<'_>) -> Option<RuleSpec> {
    let mut section = entry.table("a rule", report)?;
    check_name(entry, report);
    let about = section.text("about", report).map_or(String::new(), |text| text.value);
    let enabled = section.bool("enabled", report).unwrap_or(true);
    let from = read_from(&mut section, entry, report);
    let decode = read_decode(&mut section, report);
    let joins = section.take("join").map_or(Vec::new(), |entry| read_joins(&entry, report));
    let time = section.take("time").and_then(|entry| read_time(&entry, report));
    let filter = section.expression("where", report);
    let lookups = section.take("lookup").map_or(Vec::new(), |entry| read_lookups(&entry, report));
    let lets = section.take("let").map_or(Vec::new(), |entry| entry.named(report));
    let by = section.take("by").map_or(Vec::new(), |entry| read_by(&entry, report));
    // A window that cannot be read still is one: its aggregates are not wrong as well.
    let window = section.text("window", report).map(|text| {
        let window = read_window(&text, report).unwrap_or(Window::Each { size: 1 });
        (text, window)
    });
    let select = section.take("select").map(|entry| entry.named(report));
    let having = section.expression("having", report);
    let alert = section.take("alert").and_then(|entry| read_alert(&entry, report));
    let emit = section.take("emit").map_or(EmitSpec::default(), |entry| read_emit(&entry, report));
    let change = section.take("change").and_then(|entry| read_change(&entry, report));
    let dedupe = section.take("dedupe").and_then(|entry| read_dedupe(&entry, report));
    let guarantee = read_guarantee(&mut section, report);
    let (to, without_to) = read_to(&mut section, report);
    let errors = section.text("errors", report);
    let limits = section.take("limits").and_then(|entry| entry.table("`limits`", report));
    let (keys, memory, expire) =
        limits.map_or((None, None, None), |limits| read_limits(limits, report));
    let cases = section.take("test").map_or(Vec::new(), |entry| {
        entry.list().iter().filter_map(|case| read_case(case, report)).collect()
    });
    section.finish(report);
    Some(RuleSpec {
        name: entry.key.clone(),
        place: entry.key_place.clone(),
        about,
        enabled,
        from,
        decode,
        joins,
        time,
        filter,
        lookups,
        lets: at_most(lets, "let", report),
        by: at_most(by, "by", report),
        window,
        select: select.map(|select| at_most(select, "select", report)),
        having,
        alert,
        emit,
        change,
        dedupe,
        guarantee,
        to,
        without_to,
        errors,
        keys,
        memory,
        expire,
        cases,
    })
}

fn check_name(entry: &Entry<'_, '_>, report: &mut Report<'_>) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if entry.key.is_empty() || entry.key.len() > NAME_BYTES_MAX || !entry.key.chars().all(allowed) {
        let message = format!("`{}` cannot be the name of a rule", entry.key);
        let label = "a name has up to 64 letters, digits, - and _";
        report.error(code::WRONG_VALUE, message, &entry.key_place, label);
    }
}

/// Keeps a list within its limit.
fn at_most(mut list: Vec<Named>, what: &str, report: &mut Report<'_>) -> Vec<Named> {
    if let Some(first) = list.get(ENTRIES_MAX) {
        let message = format!("`{what}` has more than {ENTRIES_MAX} entries");
        report.error(code::LIMIT, message, &first.name_place, "one too many");
        list.truncate(ENTRIES_MAX);
    }
    list
}

fn read_from(
    section: &mut Section<'_, '_>,
    rule: &Entry<'_, '_>,
    report: &mut Report<'_>,
) -> Vec<Located> {
    let Some(entry) = section.take("from") else {
        missing("from", "which topics does it read?", rule, report);
        return Vec::new();
    };
    let list = entry.list();
    if list.is_empty() || list.len() > ENTRIES_MAX {
        let wanted = format!("a filter or a list of 1 to {ENTRIES_MAX} filters");
        entry.wrong(&wanted, report);
    }
    list.iter().filter_map(|item| item.text(report)).collect()
}

fn read_time(entry: &Entry<'_, '_>, report: &mut Report<'_>) -> Option<TimeSpec> {
    if entry.value.is_str() {
        let field = entry.text(report)?;
        let unit = Unit::Guess;
        return Some(TimeSpec { field, unit, late: 0, idle: None, ahead: None, per_source: false });
    }
    if !entry.value.is_table() {
        entry.wrong("the name of a field, or a table", report);
        return None;
    }
    let mut section = entry.table("`time`", report)?;
    let field = section.text("field", report);
    if field.is_none() {
        let message = "`time` needs a field";
        let help = "for example time = { field = \"ts\", late = \"2s\" }";
        report.error_with_help(code::MISSING_KEY, message, &entry.key_place, "no `field`", help);
    }
    let units = [
        ("s", Unit::Seconds),
        ("ms", Unit::Milliseconds),
        ("us", Unit::Microseconds),
        ("ns", Unit::Nanoseconds),
        ("rfc3339", Unit::Rfc3339),
    ];
    let unit = section.choice("unit", &units, report).map_or(Unit::Guess, |(unit, _)| unit);
    let late = section.duration("late", report).unwrap_or(0);
    let idle = section.duration("idle", report);
    let ahead = section.duration("ahead", report);
    let per = section.choice("per", &[("key", false), ("source", true)], report);
    section.finish(report);
    let per_source = per.is_some_and(|(source, _)| source);
    Some(TimeSpec { field: field?, unit, late, idle, ahead, per_source })
}

/// A list of expressions, each named by itself, or a table of names and expressions.
fn read_by(entry: &Entry<'_, '_>, report: &mut Report<'_>) -> Vec<Named> {
    if entry.value.is_table() {
        return entry.named(report);
    }
    let list = entry.list().into_iter();
    let read = list.filter_map(|item| {
        let expression = item.expression(report)?;
        let (name, name_place) = (expression.value.trim().to_owned(), item.place);
        Some(Named { name, name_place, expression })
    });
    read.collect()
}

fn read_emit(entry: &Entry<'_, '_>, report: &mut Report<'_>) -> EmitSpec {
    let Some(mut section) = entry.table("`emit`", report) else { return EmitSpec::default() };
    let choices =
        [("drop", LateChoice::Drop), ("topic", LateChoice::Topic), ("update", LateChoice::Update)];
    let late = section.choice("late", &choices, report);
    let late_topic = section.text("late_topic", report);
    let early_place = section.take("early").map(|entry| entry.place);
    let early = section.duration("early", report).zip(early_place);
    let empty_place = section.take("empty").map(|entry| entry.place);
    let empty = section.bool("empty", report).unwrap_or(false);
    section.finish(report);
    if let Some((ms, place)) = &early
        && *ms < EARLY_MS_MIN
    {
        let label = format!("at least {}", format_duration(EARLY_MS_MIN));
        report.error(code::QUANTITY, "`early` is too short", place, label);
    }
    let sends = matches!(late, Some((LateChoice::Topic, _)));
    if let (Some(text), false) = (&late_topic, sends) {
        let message = "`late_topic` needs `late = \"topic\"`";
        report.error(code::MISSING_KEY, message, &text.place, "nothing is sent there");
    }
    let late = late.and_then(|(choice, place)| match choice {
        LateChoice::Drop => None,
        LateChoice::Topic => Some((Late::Topic(late_topic), place)),
        LateChoice::Update => Some((Late::Update, place)),
    });
    EmitSpec { late, empty: empty_place.filter(|_| empty), early }
}

#[derive(Clone, Copy)]
enum LateChoice {
    Drop,
    Topic,
    Update,
}

fn read_guarantee(section: &mut Section<'_, '_>, report: &mut Report<'_>) -> Guarantee {
    let choices = [
        ("at-least-once", Guarantee::AtLeastOnce),
        ("best-effort", Guarantee::BestEffort),
        ("exactly-once", Guarantee::ExactlyOnce),
    ];
    let choice = section.choice("guarantee", &choices, report);
    choice.map_or(Guarantee::ExactlyOnce, |(guarantee, _)| guarantee)
}

/// The destinations, and whether none are given.
fn read_to(section: &mut Section<'_, '_>, report: &mut Report<'_>) -> (Vec<DestinationSpec>, bool) {
    let Some(entry) = section.take("to") else { return (Vec::new(), true) };
    let list = entry.list();
    if list.is_empty() || list.len() > ENTRIES_MAX {
        entry.wrong(&format!("a topic or a list of 1 to {ENTRIES_MAX} topics"), report);
    }
    (list.iter().filter_map(|item| read_destination(item, report)).collect(), false)
}

fn read_destination(entry: &Entry<'_, '_>, report: &mut Report<'_>) -> Option<DestinationSpec> {
    let plain = |topic| DestinationSpec {
        topic,
        qos: 1,
        retain: false,
        upstream: None,
        expire_s: None,
        meta: None,
        form: FormSpec::default(),
    };
    match entry.value {
        DeValue::String(_) => return entry.text(report).map(plain),
        DeValue::Table(_) => {}
        _ => {
            entry.wrong("a topic, or a table with a topic", report);
            return None;
        }
    }
    let mut section = entry.table("`to`", report)?;
    let topic = section.text("topic", report);
    if topic.is_none() {
        report.error(code::MISSING_KEY, "`to` needs a topic", &entry.place, "no `topic`");
    }
    let qos = section.integer("qos", 0..=2, report).map_or(1, |(qos, _)| qos as u8);
    let retain = section.bool("retain", report).unwrap_or(false);
    let upstream = section.text("upstream", report);
    let expire = section.duration("expire", report);
    let meta_place = section.take("meta").map(|entry| entry.place);
    let meta = section.bool("meta", report).unwrap_or(false);
    let form = read_form(&mut section, report);
    section.finish(report);
    let expire_s = expire.map(|ms| u32::try_from((ms + 999) / 1000).unwrap_or(u32::MAX));
    let meta = meta_place.filter(|_| meta);
    Some(DestinationSpec { topic: topic?, qos, retain, upstream, expire_s, meta, form })
}

type Limits = (Option<(usize, Place)>, Option<(u64, Place)>, Option<(i64, Place)>);

fn read_limits(mut section: Section<'_, '_>, report: &mut Report<'_>) -> Limits {
    let keys = section.integer("keys", 1..=KEYS_MAX as i64, report);
    let memory = section.bytes("memory", report);
    let expire_place = section.take("expire").map(|entry| entry.place);
    let expire = section.duration("expire", report);
    section.finish(report);
    if let Some((bytes, place)) = &memory
        && !(MEMORY_BYTES_MIN..=MEMORY_BYTES_MAX).contains(bytes)
    {
        let label = "from 4 KiB to 64 GiB";
        report.error(code::QUANTITY, "`memory` is out of range", place, label);
    }
    (keys.map(|(keys, place)| (keys as usize, place)), memory, expire.zip(expire_place))
}

fn missing(key: &str, question: &str, rule: &Entry<'_, '_>, report: &mut Report<'_>) {
    let message = format!("rule `{}` has no `{key}`", rule.key);
    let diagnostic = report.at(&rule.key_place, Diagnostic::error(code::MISSING_KEY, message));
    report.diagnostics.push(diagnostic.label(question));
}

/// Results of an open window are for people and screens.
const EARLY_MS_MIN: i64 = 100;
const NAME_BYTES_MAX: usize = 64;
const MEMORY_BYTES_MIN: u64 = 4096;
