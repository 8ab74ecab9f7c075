//! What a rule will take in memory, before a message has come.

use weir_config::Diagnostic;

use crate::alert::AlertState;
use crate::change::Change;
use crate::code;
use crate::key::{KeyState, More};
use crate::rule::Rule;
use crate::spec::{Report, RuleSpec, format_bytes};
use crate::table::Table;
use crate::window::Window;

/// Forecast of the bytes of a key, compared with the limit.
pub(super) fn forecast(spec: &RuleSpec, rule: &Rule, report: &mut Report<'_>) -> usize {
    if !rule.keeps_keys() && rule.joins.is_empty() {
        return 0;
    }
    let panes = match &rule.window {
        None => 0,
        Some(Window::Calendar(_)) => 1 + i64::from(rule.correct > 0),
        Some(Window::Count { size, width, .. }) => (size / width + 1) as i64,
        Some(Window::Each { .. }) => TYPICAL_MESSAGES,
        Some(Window::Session(_) | Window::While) => 1,
        Some(Window::Sliding { size, width, .. }) => (size + rule.correct) / width + 1,
    };
    let counts = matches!(rule.window, Some(Window::Count { .. } | Window::While));
    let more = usize::from(counts || rule.early.is_some()) * size_of::<More>();
    let prev = rule.prev.len() * 24 + rule.fold_cells() * size_of::<u64>();
    let outputs = rule.select.as_ref().map_or(0, Vec::len);
    let alert = rule.alert.as_ref();
    let alert = alert.map_or(0, |alert| AlertState::base_bytes(alert.kept.len() + outputs));
    let change = rule.change.as_ref().map_or(0, Change::typical_bytes);
    let key = KeyState::base_bytes(TYPICAL_KEY_BYTES)
        + more
        + prev
        + alert
        + change
        + usize::try_from(panes).unwrap_or(usize::MAX).saturating_mul(rule.layout.pane_bytes());
    let keys = if rule.by.is_empty() && !rule.by_topic { 1 } else { rule.keys_max };
    let rows = rule.joins.iter().map(|join| {
        let rows = if join.keys.is_empty() { 1 } else { rule.keys_max };
        let row = Table::row_bytes(TYPICAL_KEY_BYTES, join.fields.len() * size_of::<u64>());
        rows.saturating_mul(row)
    });
    let total = rows.fold(keys.saturating_mul(key), usize::saturating_add);
    if total <= rule.memory_max {
        return key;
    }
    let message = format!(
        "{keys} keys of about {} need {}, more than the limit of {}",
        format_bytes(key as u64),
        format_bytes(total as u64),
        format_bytes(rule.memory_max as u64),
    );
    let fit = rule.memory_max / key;
    let label = format!("about {fit} keys fit; then new ones are refused");
    let help = "set limits = { keys = ..., memory = \"...\" } to what this box can give";
    let (place, diagnostic) = match (&spec.keys, &spec.memory) {
        (Some((_, place)), _) => (place, Diagnostic::error(code::FORECAST, message)),
        (None, Some((_, place))) => (place, Diagnostic::warning(code::FORECAST, message)),
        (None, None) => (&spec.place, Diagnostic::warning(code::FORECAST, message)),
    };
    let diagnostic = report.at(place, diagnostic).label(label).help(help);
    report.diagnostics.push(diagnostic);
    key
}

/// What is forecast with: the bytes of a key, and the messages of a window that holds them.
const TYPICAL_KEY_BYTES: usize = 24;
const TYPICAL_MESSAGES: i64 = 64;
