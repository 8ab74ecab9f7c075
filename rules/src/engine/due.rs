//! What the clock brings to the alert of a key, and when.

use crate::alert::Alert;
use crate::key::{KeyState, TIME_MIN};
use crate::rule::Rule;
use crate::watermark::Time;

/// When the alert of a key next needs the clock.
pub(super) fn alert_deadline(rule: &Rule, key: &KeyState) -> Option<i64> {
    let alert = rule.alert.as_ref()?;
    next_due(rule, alert, key).map(|(deadline, _)| deadline)
}

/// What is due for an alert.
#[derive(Clone, Copy, Debug)]
pub(super) enum Due {
    /// A condition has held long enough at this time.
    Condition(i64),
    Reminder,
    Silence,
}

/// What is due next, and when by the clock. Conditions come before silence, which comes before
/// reminders.
pub(super) fn next_due(rule: &Rule, alert: &Alert, key: &KeyState) -> Option<(i64, Due)> {
    let state = key.alert.as_deref();
    let condition = state.and_then(|state| state.due(alert));
    let condition = condition.map(|time| (clock_of(rule, key, time), Due::Condition(time)));
    let is_silent = state.is_some_and(|state| state.is_silent);
    // A group of which `where` has let nothing pass yet cannot fall silent.
    let silence = alert.silent.filter(|_| !is_silent && key.newest > TIME_MIN);
    let silence = silence.map(|silent| (heard(rule, key).saturating_add(silent), Due::Silence));
    let reminder = state.and_then(|state| state.reminder(alert)).map(|at| (at, Due::Reminder));
    // The first of equal ones.
    [condition, silence, reminder].into_iter().flatten().min_by_key(|(deadline, _)| *deadline)
}

/// When the clock brings a time of the conditions: from the last message on, time goes on as the
/// clock does. Results of windows come when their lateness is over.
fn clock_of(rule: &Rule, key: &KeyState, time: i64) -> i64 {
    let late = match (&rule.time, &rule.window) {
        (Time::Arrival, _) => return time,
        (Time::Field(field), Some(_)) => field.late,
        (Time::Field(_), None) => 0,
    };
    heard(rule, key).saturating_add(time.saturating_add(late).saturating_sub(key.newest))
}

/// Arrival of the last message that the alert of a key has looked at. With a window it is that of
/// the last one in a window; without, messages that `where` has held back do not count.
pub(super) fn heard(rule: &Rule, key: &KeyState) -> i64 {
    match (&rule.window, &key.alert) {
        (None, Some(state)) => state.heard,
        _ => key.arrived,
    }
}
