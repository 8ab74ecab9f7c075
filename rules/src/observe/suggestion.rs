//! What was seen, as a rule to begin with.

use super::{Observer, Seen, Time};
use crate::json::write_number;
use crate::quantity::format_duration;
use crate::watermark::Unit;

/// Writes the rule.
pub(super) fn write(observer: &Observer) -> String {
    let decode = decode(observer);
    let (from, names) = from(&observer.filter);
    let time = observer.fields.iter().find_map(|(path, seen)| Some((path, seen.time?)));
    let time = time.filter(|_| decode == "json");
    let outputs = outputs(observer, decode, &names, time.map(|(path, _)| path.as_str()));
    let mut out = heading(observer);
    out.push_str(&format!("[rule.{}]\n", rule_name(&observer.filter)));
    let mut line = |key: &str, value: String| out.push_str(&format!("{key:<6} = {value}\n"));
    line("from", quoted(&from));
    if decode != "json" {
        line("decode", quoted(decode));
    }
    if let Some((path, time)) = time {
        line("time", time_entry(&reached(path, &names), time));
    }
    if !names.is_empty() {
        let list: Vec<String> = names.iter().map(|name| quoted(name)).collect();
        line("by", format!("[{}]", list.join(", ")));
    }
    line("window", quoted(&format!("tumbling {}", window(observer))));
    let list: Vec<String> =
        outputs.iter().map(|(name, text)| format!("{name} = {}", quoted(text))).collect();
    line("select", format!("{{ {} }}", list.join(", ")));
    let levels: String = names.iter().map(|name| format!("/{{{name}}}")).collect();
    let (first, name) = (free_level(&observer.filter), rule_name(&observer.filter));
    line("to", quoted(&format!("{first}/{name}{levels}")));
    out
}

/// A first level that the filter does not match: the rule must not read what it writes.
fn free_level(filter: &str) -> &'static str {
    match filter.split('/').next() {
        // Wildcards do not match topics that begin with `$`.
        Some("+" | "#") => "$agg",
        Some("agg") => "results",
        _ => "agg",
    }
}

/// What was seen, as comments.
fn heading(observer: &Observer) -> String {
    let seconds = observer.first.map_or(0, |first| (observer.last - first) / 1000);
    let (messages, topics) = (observer.messages, observer.topics.len());
    let mut out = format!(
        "# Seen on {}: {messages} messages on {topics} topics in {seconds} s.\n",
        observer.filter
    );
    let width = observer.fields.keys().map(String::len).max().unwrap_or(0);
    for (path, seen) in &observer.fields {
        let rare = match messages.checked_sub(seen.count) {
            Some(missing) if missing > 0 => format!(", in {} of {messages}", seen.count),
            _ => String::new(),
        };
        out.push_str(&format!("#   {path:<width$}  {}{rare}\n", describe(seen)));
    }
    if observer.forms.other > 0 {
        let other = observer.forms.other;
        out.push_str(&format!("#   {other} payloads are binary: see `decode`\n"));
    }
    out
}

fn describe(seen: &Seen) -> String {
    if let Some(time) = seen.time {
        return format!("a time in {}", unit_name(time.unit));
    }
    match seen.count {
        count if count == seen.numbers => {
            let mut text = "a number from ".to_owned();
            write_number(seen.least, &mut text);
            text.push_str(" to ");
            write_number(seen.most, &mut text);
            if counts(seen) {
                text.push_str(", never falling");
            }
            text
        }
        count if count == seen.switches => "true or false".to_owned(),
        count if count == seen.objects => "an object without fields".to_owned(),
        _ if seen.numbers + seen.switches + seen.objects + seen.other == 0 => {
            let texts: Vec<String> = seen.texts.iter().map(|text| format!("{text:?}")).collect();
            format!("a text: {}", texts.join(", "))
        }
        _ => "values of several kinds".to_owned(),
    }
}

fn decode(observer: &Observer) -> &'static str {
    let forms = &observer.forms;
    let most = forms.objects.max(forms.numbers).max(forms.switches).max(forms.texts);
    match most {
        0 => "json",
        _ if most == forms.objects => "json",
        _ if most == forms.numbers => "number",
        _ if most == forms.switches => "bool",
        _ => "text",
    }
}

/// The filter with a name for each wildcard: that of the level before, if it can be one.
fn from(filter: &str) -> (String, Vec<String>) {
    let mut names: Vec<String> = Vec::new();
    let mut levels: Vec<String> = Vec::new();
    for (position, level) in filter.split('/').enumerate() {
        let before = position.checked_sub(1).and_then(|at| filter.split('/').nth(at));
        let named = before.map(word).filter(|name| !name.is_empty() && !names.contains(name));
        let name = named.unwrap_or_else(|| format!("level{}", position + 1));
        match level {
            "+" => {
                levels.push(format!("{{{name}}}"));
                names.push(name);
            }
            "#" => {
                levels.push("{rest...}".to_owned());
                names.push("rest".to_owned());
            }
            literal => levels.push(literal.to_owned()),
        }
    }
    (levels.join("/"), names)
}

/// The last level that is a word.
fn rule_name(filter: &str) -> String {
    let name = filter.split('/').rev().map(word).find(|name| !name.is_empty());
    name.unwrap_or_else(|| "everything".to_owned())
}

/// A level as a name; empty if it cannot be one.
fn word(level: &str) -> String {
    let is_name = level.len() <= 32
        && level.starts_with(|c: char| c.is_ascii_alphabetic())
        && level.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
    let taken = ["rest", "value"].contains(&level) || crate::expression::RESERVED.contains(&level);
    if is_name && !taken { level.to_owned() } else { String::new() }
}

fn time_entry(path: &str, time: Time) -> String {
    let unit = unit_name(time.unit);
    let late = match time.behind {
        0 => String::new(),
        behind => format!(", late = {}", quoted(&format_duration((behind / 1000 + 1) * 1000))),
    };
    format!("{{ field = {}, unit = \"{unit}\"{late}, idle = \"1m\" }}", quoted(path))
}

fn unit_name(unit: Unit) -> &'static str {
    match unit {
        Unit::Guess | Unit::Milliseconds => "ms",
        Unit::Microseconds => "us",
        Unit::Nanoseconds => "ns",
        Unit::Rfc3339 => "rfc3339",
        Unit::Seconds => "s",
    }
}

/// Long enough for ten messages of a topic.
fn window(observer: &Observer) -> &'static str {
    let span = observer.first.map_or(0, |first| observer.last - first);
    let topics = observer.topics.len() as u64;
    let each = span as u64 * topics.max(1) / observer.messages.max(1);
    match each * 10 {
        0..=10_000 => "10s",
        10_001..=60_000 => "1m",
        60_001..=900_000 => "15m",
        _ => "1h",
    }
}

/// A field as expressions find it: a capture of the same name would win.
fn reached(path: &str, names: &[String]) -> String {
    let head = path.split(['.', '[']).next().unwrap_or(path);
    if names.iter().any(|name| name == head) { format!("payload.{path}") } else { path.to_owned() }
}

fn outputs(
    observer: &Observer,
    decode: &str,
    names: &[String],
    time: Option<&str>,
) -> Vec<(String, String)> {
    let mut outputs: Vec<(String, String)> = Vec::new();
    if decode == "bool" {
        outputs.push(("on_pct".to_owned(), "round(100 * avg(value ? 1 : 0))".to_owned()));
    }
    for (path, seen) in &observer.fields {
        let is_known = decode == "json" || path == "value";
        if !is_known || Some(path.as_str()) == time || outputs.len() >= OUTPUTS_MAX {
            continue;
        }
        let name = output_name(path, names);
        let path = if decode == "json" { &reached(path, names) } else { path };
        if outputs.iter().any(|(known, _)| *known == name) {
            continue;
        }
        match seen.count {
            count if count == seen.numbers && counts(seen) => {
                outputs.push((name, format!("last({path}) - first({path})")));
            }
            count if count == seen.numbers => outputs.push((name, format!("avg({path})"))),
            count if count == seen.switches => {
                outputs.push((name, format!("round(100 * avg({path} ? 1 : 0))")));
            }
            count if count == seen.objects + seen.other => {}
            _ => outputs.push((name, format!("last({path})"))),
        }
    }
    outputs.push(("messages".to_owned(), "count()".to_owned()));
    outputs
}

/// A counter: it has moved, and never back.
fn counts(seen: &Seen) -> bool {
    seen.rises && seen.numbers >= COUNTER_VALUES_MIN && seen.most > seen.least
}

/// The name of an output for a field: its last step as a bare key.
fn output_name(path: &str, names: &[String]) -> String {
    let last = path.rsplit(['.', '[']).next().unwrap_or(path);
    let name: String =
        last.chars().filter(|c| *c == '_' || c.is_ascii_alphanumeric()).take(48).collect();
    let taken = ["", "window", "messages"].contains(&name.as_str()) || names.contains(&name);
    if taken { format!("{name}_value") } else { name }
}

/// A TOML text.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

const OUTPUTS_MAX: usize = 12;
const COUNTER_VALUES_MIN: u64 = 10;
