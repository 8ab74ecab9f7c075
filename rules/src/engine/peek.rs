//! What the open window of a group gives so far, for those who ask. Nothing changes by that.

use super::Engine;
use super::life::Turn;
use super::work::ResultWork;
use crate::key::{KeyState, Keys, push_part};
use crate::message::Timestamp;
use crate::rule::{Destination, Rule};
use crate::running::Running;
use crate::timer::Timers;
use crate::value::{Texts, Value};
use crate::watermark::Time;
use crate::window::Window;

/// Why there is no current value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeekError {
    /// The window of the group holds no message.
    #[error("the window of this group is empty")]
    Empty,
    /// The rule computes each message by itself.
    #[error("this rule has no window")]
    NoWindow,
    /// No group has these values.
    #[error("the rule knows no such group")]
    UnknownGroup,
    /// No rule that runs has the name.
    #[error("no such rule runs here")]
    UnknownRule,
}

impl Engine {
    /// The body that the open window of a group would give now, whatever `having` says: the window
    /// that ends next. `group` are the values of `by`, joined with slashes; the last one may have
    /// slashes itself.
    ///
    /// # Errors
    /// When there is no such rule, window or group.
    pub fn peek(&self, now: Timestamp, rule: &str, group: &str) -> Result<Vec<u8>, PeekError> {
        let index = self.index_of(rule).ok_or(PeekError::UnknownRule)?;
        let (Some(rule), Some(running)) = (self.plan.rules.get(index), self.running.get(index))
        else {
            return Err(PeekError::UnknownRule);
        };
        let window = rule.window.as_ref().ok_or(PeekError::NoWindow)?;
        let id = find_group(rule, &running.keys, group).ok_or(PeekError::UnknownGroup)?;
        let key = running.keys.get(id).ok_or(PeekError::UnknownGroup)?;
        let plain = plain(rule);
        // A copy of the group, which may be changed.
        let mut alone = Running { state_bytes: running.state_bytes, ..Running::default() };
        let end = end_of_each(&plain, key, now.0);
        let copy = alone.keys.insert(key.clone());
        let (mut timers, mut work, mut out) =
            (Timers::default(), ResultWork::default(), Vec::new());
        let mut turn = Turn {
            rule: &plain,
            index: 0,
            clock: now.0,
            seed: None,
            constants: &self.plan.constants,
            timers: &mut timers,
            work: &mut work,
            out: &mut out,
        };
        if matches!(window, Window::Each { .. }) {
            alone.send_window(&mut turn, window, copy, (end, 0));
        } else {
            alone.send_early(&mut turn, copy, now.0);
        }
        let result = out.into_iter().find(|one| one.error.is_none());
        result.map(|one| one.payload).ok_or(PeekError::Empty)
    }
}

/// The rule with one result that nothing holds back.
fn plain(rule: &Rule) -> Rule {
    let mut plain = rule.clone();
    plain.having = None;
    plain.change = None;
    plain.empty = false;
    plain.alert = None;
    plain.to = vec![Destination::link(&rule.name)];
    plain
}

/// Where a window per message would end.
fn end_of_each(rule: &Rule, key: &KeyState, now: i64) -> i64 {
    match rule.time {
        Time::Arrival => now.max(key.newest),
        Time::Field(_) => key.newest,
    }
}

/// The group whose values are written like this. A number may also be a text.
fn find_group(rule: &Rule, keys: &Keys, group: &str) -> Option<u32> {
    let parts: Vec<&str> = match rule.by.len() {
        0 if group.is_empty() => Vec::new(),
        0 => return None,
        count => group.splitn(count, '/').collect(),
    };
    if parts.len() != rule.by.len() {
        return None;
    }
    let mut texts = Texts::default();
    let values: Vec<Vec<Value>> = parts.iter().map(|part| values(part, &mut texts)).collect();
    search(&values, &texts, keys, &mut Vec::new(), &mut TRIES_MAX.clone())
}

fn values(part: &str, texts: &mut Texts<'_>) -> Vec<Value> {
    let mut values = vec![texts.store(part)];
    match part {
        "null" => values.push(Value::Null),
        "true" => values.push(Value::Bool(true)),
        "false" => values.push(Value::Bool(false)),
        _ => {
            let number = part.parse::<f64>().ok().filter(|number| number.is_finite());
            values.extend(number.map(Value::Number));
        }
    }
    values
}

fn search(
    values: &[Vec<Value>],
    texts: &Texts<'_>,
    keys: &Keys,
    key: &mut Vec<u8>,
    tries: &mut u32,
) -> Option<u32> {
    let Some((first, rest)) = values.split_first() else {
        *tries = tries.checked_sub(1)?;
        return keys.find(key);
    };
    let length = key.len();
    for value in first {
        if *tries == 0 {
            return None;
        }
        key.truncate(length);
        push_part(*value, texts, key);
        if let Some(id) = search(rest, texts, keys, key, tries) {
            return Some(id);
        }
    }
    None
}

/// So many ways to read the values are tried.
const TRIES_MAX: u32 = 256;
