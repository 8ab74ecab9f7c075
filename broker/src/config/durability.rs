//! The check of `[[durability]]`: filters that can match, each once and in an order in which it
//! counts, and of the pace of commits in `[store]`.

use weir_config::{Origin, Problems, Refusal, Tree, Values};
use weir_mqtt::TopicFilter;

use super::{
    DurabilityConfig, UpstreamConfig, code,
    declared::{DURABILITY, STORE},
    ordered::{Words, check_form},
    settings::DurabilityLevel,
};

/// The levels of topics in their order.
pub(crate) fn check(tree: &Tree, problems: &mut Problems) -> Vec<DurabilityConfig> {
    let mut levels: Vec<DurabilityConfig> = Vec::new();
    for values in tree.list(&DURABILITY) {
        let Some((level, at)) = level(values, problems) else { continue };
        let before = levels.iter().map(|level| level.filter.as_str());
        WORDS.check_place(before, &level.filter, &at, problems);
        levels.push(level);
        if levels.len() == LEVELS_MAX + 1 {
            let message = format!("more than {LEVELS_MAX} levels of durability");
            let refusal = Refusal::new(code::RANGE, at.span.clone(), message, "one too many");
            let help = "write fewer filters with wildcards, or change `durability` in [store]";
            problems.refuse(at.source, refusal.help(help));
        }
    }
    levels
}

/// What no upstream gets cannot wait for one.
pub(crate) fn check_upstreams(
    tree: &Tree,
    levels: &[DurabilityConfig],
    upstreams: &[UpstreamConfig],
    problems: &mut Problems,
) {
    let forwards = || upstreams.iter().flat_map(|upstream| &upstream.forward);
    let mut warn = |filter: &str, at: &Origin| {
        let message = format!("no upstream gets what `{filter}` matches");
        let label = "such messages have level \"commit\"";
        let refusal = Refusal::new(code::UPSTREAM, at.span.clone(), message, label);
        let help = "add the topics to `forward` of an upstream";
        problems.warn(at.source, refusal.help(help));
    };
    let store = tree.table(&STORE);
    if let Some(at) = store.origin("durability")
        && DurabilityLevel::from_name(store.choice("durability")) == DurabilityLevel::Upstream
        && forwards().next().is_none()
    {
        warn("#", at);
    }
    for values in tree.list(&DURABILITY) {
        let Some((filter, at)) =
            values.optional("filter", Values::text).zip(values.origin("filter"))
        else {
            continue;
        };
        let is_upstream = |level: &DurabilityConfig| {
            level.filter == filter && level.level == DurabilityLevel::Upstream
        };
        let overlaps = |from: &str| {
            let filters = TopicFilter::parse(from).ok().zip(TopicFilter::parse(&filter).ok());
            filters.is_some_and(|(one, other)| one.overlaps(other))
        };
        if levels.iter().any(is_upstream) && !forwards().any(|route| overlaps(&route.from)) {
            warn(&filter, at);
        }
    }
}

/// What is put off may not have to wait for longer than it says.
pub(crate) fn check_pace(store: &Values, problems: &mut Problems) {
    let (interval, delay) = ("flush_interval", "group_commit_max_delay");
    if store.duration(interval) >= store.duration(delay) {
        return;
    }
    let Some(at) = store.origin(interval).or_else(|| store.origin(delay)) else { return };
    let message = format!("`{interval}` is shorter than `{delay}`");
    let label = "nothing is written in less than the delay";
    let refusal = Refusal::new(code::CONFLICT, at.span.clone(), message, label);
    problems.refuse(at.source, refusal.help(format!("set {delay} to no more than {interval}")));
}

fn level(values: &Values, problems: &mut Problems) -> Option<(DurabilityConfig, Origin)> {
    let (filter, at) = (values.optional("filter", Values::text)?, values.origin("filter")?.clone());
    let form = check_form(&filter).and_then(|()| match filter.starts_with("$delayed/") {
        true => {
            let label = "a message with a delay has the level of its topic".to_owned();
            Err((label, Some("write the topic without `$delayed/<seconds>/`".to_owned())))
        }
        false => Ok(()),
    });
    if let Err(wrong) = form {
        WORDS.refuse(&filter, wrong, &at, problems);
        return None;
    }
    values.origin("level")?;
    let level = DurabilityLevel::from_name(values.choice("level"));
    Some((DurabilityConfig { filter, level }, at))
}

const WORDS: Words = Words {
    wrong: "is not a filter of topics",
    what: "a level of durability",
    never: |filter| format!("the level of `{filter}` never counts"),
};
/// Each message is looked up among them.
const LEVELS_MAX: usize = 1024;
