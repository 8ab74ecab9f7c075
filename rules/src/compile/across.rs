//! What can only be seen when all rules are there: rules that feed themselves, and rules that
//! write one retained topic.

use weir_config::Diagnostic;

use super::Compiled;
use super::chain::rule_name;
use crate::code;
use crate::spec::Report;
use crate::topic::{Level, Template, overlap};

/// Checks the enabled rules together.
pub(super) fn check(compiled: &[Compiled], report: &mut Report<'_>) {
    let enabled: Vec<&Compiled> = compiled.iter().filter(|one| one.spec.enabled).collect();
    check_loops(&enabled, report);
    check_retained(&enabled, report);
}

/// The topics that a destination can make, as levels of a filter.
fn levels(one: &Compiled, destination: usize) -> Vec<Level> {
    let rests: Vec<&str> = one.rests.iter().map(String::as_str).collect();
    one.templates.get(destination).map_or(Vec::new(), |template| template.levels(&rests))
}

/// How what a rule sends comes to another.
enum Way {
    /// By a destination.
    Destination(usize),
    /// By the topic of errors or of late messages.
    Letters,
    /// The other one reads the rule itself.
    Rule,
}

/// How a rule feeds another, if it does.
fn feeds(from: &Compiled, to: &Compiled) -> Option<Way> {
    if to.rule.sources.contains(&from.spec.name) {
        return Some(Way::Rule);
    }
    let reads =
        |written: &[Level]| to.rule.filters.iter().any(|filter| overlap(written, &filter.levels));
    let destination = (0..from.templates.len()).find(|destination| {
        let local = from.spec.to.get(*destination).is_some_and(|to| to.upstream.is_none());
        local && reads(&levels(from, *destination))
    });
    if let Some(destination) = destination {
        return Some(Way::Destination(destination));
    }
    let letters = std::iter::once(&from.rule.errors).chain(&from.rule.late_topic);
    let mut letters = letters.filter_map(|topic| Template::parse(topic).ok());
    letters.any(|topic| reads(&topic.levels(&[]))).then_some(Way::Letters)
}

fn check_loops(rules: &[&Compiled], report: &mut Report<'_>) {
    let next: Vec<Vec<usize>> = rules
        .iter()
        .map(|from| (0..rules.len()).filter(|to| feeds(from, rules[*to]).is_some()).collect())
        .collect();
    // A rule that was looked at is in no loop that is not reported yet.
    let mut done = vec![false; rules.len()];
    for start in 0..rules.len() {
        if !done[start]
            && let Some(cycle) = find_cycle(start, &next, &mut done)
        {
            report_loop(&cycle, rules, report);
        }
    }
}

/// Walks all rules that can be reached; gives the first way that comes back to itself.
fn find_cycle(start: usize, next: &[Vec<usize>], done: &mut [bool]) -> Option<Vec<usize>> {
    let mut way = vec![(start, 0)];
    let mut found = None;
    while let Some((rule, position)) = way.last_mut() {
        let Some(to) = next.get(*rule).and_then(|list| list.get(*position)).copied() else {
            done[*rule] = true;
            way.pop();
            continue;
        };
        *position += 1;
        if let Some(at) = way.iter().position(|(known, _)| *known == to) {
            found.get_or_insert_with(|| way[at..].iter().map(|(rule, _)| *rule).collect());
        } else if !done[to] {
            way.push((to, 0));
        }
    }
    found
}

fn report_loop(cycle: &[usize], rules: &[&Compiled], report: &mut Report<'_>) {
    let (Some(first), Some(last)) = (cycle.first(), cycle.last()) else { return };
    let names = cycle.iter().chain([first]).map(|at| format!("`{}`", rules[*at].spec.name));
    let way = names.collect::<Vec<_>>().join(" -> ");
    let from = rules[*last];
    let Some(way_back) = feeds(from, rules[*first]) else { return };
    let message = match cycle.len() {
        1 => format!("rule `{}` feeds itself", from.spec.name),
        _ => "these rules feed each other without end".to_owned(),
    };
    let reader = &rules[*first].spec;
    let (place, label, advice) = match way_back {
        Way::Destination(position) => {
            let Some(destination) = from.spec.to.get(position) else { return };
            let label = format!("is read by `{}`", reader.name);
            (&destination.topic.place, label, "write to a topic that none of them reads")
        }
        Way::Letters => {
            let label = format!("reads what `{}` could not use", from.spec.name);
            let place = reader.from.first().map_or(&reader.place, |from| &from.place);
            (place, label, "give `errors` a topic that none of them reads")
        }
        Way::Rule => {
            let mut read = reader.from.iter();
            let read = read.find(|text| rule_name(text) == Some(from.spec.name.as_str()));
            let place = read.map_or(&reader.place, |from| &from.place);
            (place, format!("reads `{}`", from.spec.name), "a rule cannot wait for itself")
        }
    };
    let help = format!("the loop is {way}; {advice}");
    report.error_with_help(code::LOOP, message, place, label, help);
}

fn check_retained(rules: &[&Compiled], report: &mut Report<'_>) {
    let mut written: Vec<(&Compiled, usize, Vec<Level>)> = Vec::new();
    for one in rules {
        for (position, to) in one.spec.to.iter().enumerate() {
            if !to.retain || to.upstream.is_some() {
                continue;
            }
            let new = levels(one, position);
            let other = written
                .iter()
                .find(|(other, _, known)| other.spec.name != one.spec.name && overlap(known, &new));
            if let Some((other, _, known)) = other {
                let same = *known == new;
                let name = &other.spec.name;
                let message = match same {
                    true => format!("rule `{name}` writes this retained topic, too"),
                    false => format!("rule `{name}` may write the same retained topic"),
                };
                let diagnostic = match same {
                    true => Diagnostic::error(code::OVERLAP, message),
                    false => Diagnostic::warning(code::OVERLAP, message),
                };
                let label = "each would overwrite the value of the other";
                let diagnostic = report.at(&to.topic.place, diagnostic).label(label);
                report.diagnostics.push(diagnostic.help("give each rule a topic of its own"));
            }
            written.push((one, position, new));
        }
    }
}
