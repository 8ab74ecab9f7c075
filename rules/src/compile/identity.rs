//! What makes a rule the same rule: hashes of its definition and of what its state depends on.

use super::change::{change_hash, fields_hash, is_by_topic};
use super::dedupe::{dedupe_hash, key_hash};
use super::lookup::lookups_hash;
use crate::aggregate::PartKind;
use crate::expression::FoldKind;
use crate::hash::StableHash;
use crate::message::Guarantee;
use crate::rule::Rule;
use crate::spec::{AlertSpec, Late, Located, Named, RuleSpec};
use crate::window::{Session, Window};

/// Hash of everything that a rule does. Names and order count, white space does not.
pub(super) fn definition_hash(spec: &RuleSpec) -> u128 {
    let mut hash = input_hash(spec);
    let option =
        |text: &Option<Located>| text.as_ref().map_or("", |text| text.value.trim()).to_owned();
    hash = hash.text(&option(&spec.filter)).text(&option(&spec.having)).text(&option(&spec.errors));
    hash = named_hash(hash, spec.select.as_deref().unwrap_or_default());
    if let Some(time) = &spec.time {
        hash = hash.number(time.late as u64).number(time.idle.unwrap_or(-1) as u64);
        hash = hash.number(time.ahead.unwrap_or(-1) as u64);
    }
    let late = match &spec.emit.late {
        None => 0,
        Some((Late::Update, _)) => 2,
        Some((Late::Topic(_), _)) => 4,
    };
    hash = hash.number(late + u64::from(spec.emit.empty.is_some()));
    if let Some((early, _)) = &spec.emit.early {
        hash = hash.text("early").number(*early as u64);
    }
    if let Some((Late::Topic(Some(topic)), _)) = &spec.emit.late {
        hash = hash.text(&topic.value);
    }
    if spec.guarantee != Guarantee::ExactlyOnce {
        hash = hash.text("guarantee").text(&format!("{:?}", spec.guarantee));
    }
    if let Some(change) = &spec.change {
        hash = change_hash(hash, change);
    }
    if let Some(dedupe) = &spec.dedupe {
        hash = dedupe_hash(hash, dedupe);
    }
    for to in &spec.to {
        hash = hash.text(&to.topic.value).number(u64::from(to.qos)).number(u64::from(to.retain));
        hash = hash.text(&option(&to.upstream)).number(u64::from(to.expire_s.unwrap_or(0)));
        hash = hash.number(u64::from(to.meta.is_some()));
        if let Some((format, _)) = &to.form.format {
            hash = hash.text("format").text(&format!("{format:?}"));
            hash = hash.text(&option(&to.form.measurement));
        }
        if let Some(value) = &to.form.value {
            hash = hash.text("value").text(value.value.trim());
        }
    }
    for join in &spec.joins {
        hash = hash.text("join").text(&join.name).text(&join.topic.value);
        hash = hash.text(&join.decode.identity()).number(join.max_age.unwrap_or(-1) as u64);
    }
    if let Some(alert) = &spec.alert {
        hash = alert_hash(hash, alert);
    }
    hash.finish()
}

/// Hash of what the state of a rule depends on: the same means that it can be kept.
pub(super) fn state_hash(spec: &RuleSpec, rule: &Rule) -> u128 {
    let mut hash = input_hash(spec).text("state").number(u64::from(rule.empty));
    if let Some(change) = &spec.change {
        hash = fields_hash(hash, change).number(u64::from(is_by_topic(spec)));
        // What is held back is made by all of the rule.
        if change.at_most_every.is_some() {
            hash = hash.bytes(&rule.definition.to_le_bytes());
        }
    }
    if let Some(dedupe) = &spec.dedupe {
        hash = key_hash(hash, dedupe);
        // What waits is made by all of the rule.
        if dedupe.last.is_some() {
            hash = hash.bytes(&rule.definition.to_le_bytes());
        }
    }
    for prev in &rule.prev {
        hash = hash.text(prev.program.source.trim());
        let span = prev.program.spans.first().cloned().unwrap_or_default();
        hash = hash.text(prev.program.source.get(span).unwrap_or_default());
    }
    for fold in &rule.folds {
        let argument = fold.program.source.get(fold.program.whole()).unwrap_or_default();
        hash = hash.text(&format!("{:?}", fold.kind)).text(argument.trim());
    }
    for column in &rule.layout.columns {
        let span = column.argument.whole();
        hash = hash.text(column.argument.source.get(span).unwrap_or_default().trim());
    }
    for part in &rule.layout.parts {
        hash = hash.text(&format!("{:?}", part.kind)).number(u64::from(part.column));
    }
    let decays = rule.folds.iter().any(|fold| matches!(fold.kind, FoldKind::Decayed(_)))
        || rule.layout.parts.iter().any(|part| matches!(part.kind, PartKind::Decayed(_)));
    if decays {
        // Earlier builds kept squares of weights in the same cell.
        hash = hash.text("pairs");
    }
    for (join, written) in rule.joins.iter().zip(&spec.joins) {
        hash = hash.text("join").text(&written.topic.value);
        hash = hash.text(&written.decode.identity()).number(join.fields.len() as u64);
        for field in &join.fields {
            hash = hash.text(&field.path);
        }
    }
    if let Some(alert) = &rule.alert {
        // What is kept goes out with what comes later; conditions and times can change.
        hash = hash.text("alert").number(alert.kept.len() as u64);
        for kept in &alert.kept {
            let span = kept.program.whole();
            hash = hash.text(kept.program.source.get(span).unwrap_or_default().trim());
        }
        hash = named_hash(hash, spec.select.as_deref().unwrap_or_default());
    }
    hash.finish()
}

/// Hash of how an alert goes on and what it sends.
fn alert_hash(hash: StableHash, alert: &AlertSpec) -> StableHash {
    let mut hash = hash.text("alert");
    for text in [&alert.when, &alert.clear, &alert.value, &alert.message] {
        hash = hash.text(text.as_ref().map_or("", |text| text.value.trim()));
    }
    let silent = alert.silent.as_ref().map(|(silent, _)| *silent);
    for ms in [Some(alert.hold), Some(alert.clear_hold), alert.repeat, silent] {
        hash = hash.number(ms.unwrap_or(-1) as u64);
    }
    hash
}

/// Hash of what goes into panes: topics, payload, time, names, keys and the window.
fn input_hash(spec: &RuleSpec) -> StableHash {
    let mut hash = StableHash::new().text(&spec.name).text(&spec.decode.identity());
    for from in &spec.from {
        hash = hash.text(&from.value);
    }
    if let Some(time) = &spec.time {
        hash = hash.text(time.field.value.trim()).text(&format!("{:?}", time.unit));
        hash = hash.number(u64::from(time.per_source));
    }
    hash = lookups_hash(hash, &spec.lookups);
    hash = named_hash(hash.text("let"), &spec.lets);
    hash = named_hash(hash.text("by"), &spec.by);
    let Some((text, window)) = &spec.window else { return hash.text("none") };
    match window {
        // The rules of a time zone may change, its name stays.
        Window::Calendar(_) | Window::While => hash.text(text.value.trim()),
        Window::Count { size, every, .. } => hash.text("count").number(*size).number(*every),
        Window::Each { size } => hash.text("each").number(*size as u64),
        Window::Session(Session { gap, max }) => {
            hash.text("session").number(*gap as u64).number(max.unwrap_or(0) as u64)
        }
        Window::Sliding { size, slide, .. } => {
            hash.text("sliding").number(*size as u64).number(*slide as u64)
        }
    }
}

fn named_hash(mut hash: StableHash, list: &[Named]) -> StableHash {
    for one in list {
        hash = hash.text(&one.name).text(one.expression.value.trim());
    }
    hash.number(list.len() as u64)
}
