//! The life of a key: added, woken by its timer, forgotten; and dead letters.

use super::RuleStatus;
use super::change::held_until;
use super::dedupe::rows_due;
use super::due::alert_deadline;
use super::run::has_open_run;
use super::work::{ResultWork, Seed};
use crate::code;
use crate::emit::{identity, identity_of};
use crate::expression::Fault;
use crate::key::{KeyState, TIMER_NONE};
use crate::message::{DeadLetter, Emission, Timestamp};
use crate::metrics::Metrics;
use crate::rule::Rule;
use crate::running::{Running, key_bytes};
use crate::table::Table;
use crate::timer::{ROWS, Timer, Timers};
use crate::watermark::Time;
use crate::window::{Window, waiting_time};

/// What a rule needs from the engine to take a step.
pub(crate) struct Turn<'t> {
    pub(super) rule: &'t Rule,
    pub(super) index: u32,
    /// Arrival of the message, or the deadline of the timer.
    pub(super) clock: i64,
    /// Which values joins take; all of what is published now.
    pub(super) seed: Option<Seed>,
    pub(super) constants: &'t str,
    pub(super) timers: &'t mut Timers,
    pub(super) work: &'t mut ResultWork,
    pub(super) out: &'t mut Vec<Emission>,
}

impl Running {
    /// Fires the timer of a key, or that of the rows.
    pub(super) fn fire(&mut self, turn: &mut Turn<'_>, id: u32) {
        let sent_before = turn.out.len();
        if self.is_traced() {
            self.trace_timer(turn.rule, id);
        }
        self.wake(turn, id);
        self.count_sent(turn, sent_before);
        if self.is_traced() {
            self.trace_clock(turn, sent_before);
        }
    }

    fn wake(&mut self, turn: &mut Turn<'_>, id: u32) {
        let (rule, clock) = (turn.rule, turn.clock);
        if id == ROWS {
            return self.fire_rows(turn, clock);
        }
        let Some(key) = self.keys.get_mut(id) else { return };
        debug_assert_eq!(key.timer, clock, "a key has one timer");
        key.timer = TIMER_NONE;
        if deadline(rule, key) > clock {
            // The key was used since the timer was set.
            self.set_timer(turn, id);
            return;
        }
        if held_until(rule, key).is_some_and(|at| at <= clock) {
            self.send_held(turn, id, clock);
        }
        let Some(key) = self.keys.get(id) else { return };
        let watermark = match &rule.time {
            Time::Arrival => clock,
            Time::Field(time) => match time.idle {
                Some(idle) if clock - key.arrived >= idle => time.idle_watermark(key, clock),
                _ => key.watermark,
            },
        };
        if rule.window.is_some() && watermark > key.watermark {
            self.close(turn, id, watermark);
            self.note_standing(rule, id);
        }
        let is_early = |key: &KeyState| early_deadline(rule, key).is_some_and(|due| due <= clock);
        if self.keys.get(id).is_some_and(is_early) {
            self.send_early(turn, id, clock);
        }
        self.fire_alert(turn, id, clock);
        let Some(key) = self.keys.get(id) else { return };
        if key.arrived.saturating_add(rule.expire) > clock {
            self.set_timer(turn, id);
            return;
        }
        self.close_all(turn, id);
        self.send_held(turn, id, clock);
        if self.is_alerting(id) {
            self.outlast(turn, id);
            return;
        }
        self.remove_key(turn, id);
    }

    /// Keeps a key that would be forgotten for its alert; its windows have been sent.
    fn outlast(&mut self, turn: &mut Turn<'_>, id: u32) {
        let rule = turn.rule;
        if self.keys.get(id).is_some_and(|key| has_windows(rule, key)) {
            self.drop_panes_before(rule, id, i64::MAX);
        }
        self.note_standing(rule, id);
        self.set_timer(turn, id);
    }

    /// Sets the timer of a key if it is due earlier than it is set for.
    pub(super) fn set_timer(&mut self, turn: &mut Turn<'_>, id: u32) {
        let Some(key) = self.keys.get_mut(id) else { return };
        let due = deadline(turn.rule, key);
        if due >= key.timer {
            return;
        }
        if key.timer != TIMER_NONE {
            turn.timers.remove(Timer {
                deadline: key.timer,
                rank: turn.rule.rank,
                rule: turn.index,
                key: id,
            });
        }
        key.timer = due;
        turn.timers.insert(Timer {
            deadline: due,
            rank: turn.rule.rank,
            rule: turn.index,
            key: id,
        });
    }

    /// Adds a key; `extra` are the bytes that will follow at once.
    pub(super) fn add_key(
        &mut self,
        turn: &mut Turn<'_>,
        bytes: &[u8],
        extra: usize,
    ) -> Result<u32, Fault> {
        let rule = turn.rule;
        if self.keys.len() >= rule.keys_max {
            let (groups, max) = (rule.groups(), rule.keys_max);
            let message = format!("rule `{}` has {max} {groups}, limits.keys", rule.name);
            return Err(Fault { code: code::KEYS_FAULT, message });
        }
        let needed = KeyState::base_bytes(bytes.len());
        self.check_memory(rule, needed + extra)?;
        self.state_bytes += needed;
        let birth = self.next_sequence(turn.clock);
        let id = self.keys.insert(KeyState::new(bytes, birth));
        self.mark_changed(id, i64::MAX);
        Ok(id)
    }

    /// Counts a fault and sends the dead letter.
    pub(super) fn report(
        &mut self,
        turn: &mut Turn<'_>,
        fault: Fault,
        topic: &str,
        payload: &[u8],
    ) {
        self.metrics.count_error(fault.code);
        self.send_letter(turn, &turn.rule.errors, fault, topic, payload);
    }

    /// Sends a message that the rule could not use, as it came, with the reason.
    pub(super) fn send_letter(
        &mut self,
        turn: &mut Turn<'_>,
        to: &str,
        fault: Fault,
        topic: &str,
        payload: &[u8],
    ) {
        let rule = turn.rule;
        let identity = identity(rule).text("error").number(self.next_sequence(turn.clock));
        let id = identity_of(rule, identity, payload).finish();
        let letter =
            DeadLetter { code: fault.code, message: fault.message, topic: topic.to_owned() };
        turn.out.push(Emission {
            rule: rule.name.clone(),
            id,
            topic: to.to_owned(),
            payload: payload.to_vec(),
            qos: 1,
            retain: false,
            upstream: None,
            expire_s: None,
            error: Some(letter),
            meta: false,
            guarantee: rule.guarantee,
            is_link: false,
        });
    }

    /// Computes the size of the state and sets all timers.
    pub(super) fn finish_restore(&mut self, rule: &Rule, index: u32, timers: &mut Timers) {
        self.keys.finish_restore();
        let ids: Vec<u32> = self.keys.iter().map(|(id, _)| id).collect();
        let keys = self.keys.iter().map(|(_, key)| key_bytes(rule, key));
        self.state_bytes = keys.chain(self.tables.iter().map(Table::bytes)).sum();
        self.row_timer = rows_due(rule, self);
        let row_timer = |deadline| Timer { deadline, rank: rule.rank, rule: index, key: ROWS };
        let rows = self.row_timer.map(row_timer);
        rows.into_iter().for_each(|timer| timers.insert(timer));
        for id in ids {
            if let Some(key) = self.keys.get_mut(id) {
                key.timer = deadline(rule, key);
                if key.timer != TIMER_NONE {
                    timers.insert(Timer {
                        deadline: key.timer,
                        rank: rule.rank,
                        rule: index,
                        key: id,
                    });
                }
            }
            self.note_standing(rule, id);
        }
    }

    /// Counts the bytes of what was sent since `before`, and notes when that was.
    pub(super) fn count_sent(&mut self, turn: &Turn<'_>, before: usize) {
        for emission in turn.out.iter().skip(before).filter(|one| one.error.is_none()) {
            self.metrics.bytes_out += emission.payload.len() as u64;
            self.metrics.last_sent = Some(turn.clock);
        }
    }

    pub(super) fn status(&self, rule: &Rule) -> RuleStatus {
        let Metrics { matched, filtered, late, dropped, emitted, ref errors, .. } = self.metrics;
        let Metrics { bytes_in, bytes_out, last_sent, lag_ms, .. } = self.metrics;
        RuleStatus {
            name: rule.name.clone(),
            paused: self.paused,
            bytes_in,
            bytes_out,
            last_sent: last_sent.map(Timestamp),
            lag_ms,
            matched,
            filtered,
            late,
            dropped,
            errors: errors.iter().map(|(code, count)| (*code, *count)).collect(),
            emitted,
            keys: self.keys.len(),
            state_bytes: self.state_bytes,
        }
    }

    /// Forgets a key.
    pub(super) fn remove_key(&mut self, turn: &mut Turn<'_>, id: u32) {
        self.leave(id);
        let Some(key) = self.keys.remove(id) else { return };
        self.state_bytes -= key_bytes(turn.rule, &key).min(self.state_bytes);
        if key.timer != TIMER_NONE {
            turn.timers.remove(Timer {
                deadline: key.timer,
                rank: turn.rule.rank,
                rule: turn.index,
                key: id,
            });
        }
        self.removed_keys.insert(id);
        self.changed = true;
    }
}

/// When a key next needs the clock.
fn deadline(rule: &Rule, key: &KeyState) -> i64 {
    let lasting = window_deadline(rule, key);
    alert_deadline(rule, key).map_or(lasting, |alert| alert.min(lasting))
}

/// When a window of a key ends by the clock, a message is held back no longer, or the key is to
/// be forgotten.
fn window_deadline(rule: &Rule, key: &KeyState) -> i64 {
    // An alert is not forgotten, but windows that nothing else closes end with the key.
    let stays = key.alert.as_ref().is_some_and(|alert| alert.is_active());
    let expiry = match stays && !has_windows(rule, key) {
        true => TIMER_NONE,
        false => key.arrived.saturating_add(rule.expire),
    };
    let expiry = held_until(rule, key).map_or(expiry, |held| expiry.min(held));
    let expiry = early_deadline(rule, key).map_or(expiry, |early| expiry.min(early));
    let end = match &rule.window {
        // By arrival no message waits.
        Some(Window::Each { .. } | Window::While) if matches!(rule.time, Time::Arrival) => None,
        Some(window) => next_end(rule, window, key),
        None => None,
    };
    let Some(end) = end else { return expiry };
    match &rule.time {
        Time::Arrival => expiry.min(end),
        Time::Field(time) => expiry.min(time.idle_deadline(key, end).unwrap_or(expiry)),
    }
}

/// Whether a key holds windows that end with it. A count window only ends with its last message.
fn has_windows(rule: &Rule, key: &KeyState) -> bool {
    let counts = matches!(rule.window, Some(Window::Count { .. }));
    !counts && key.panes.len(&rule.layout) > 0
}

/// When the results of the open windows of a key are sent next: not again before a message came.
fn early_deadline(rule: &Rule, key: &KeyState) -> Option<i64> {
    let period = rule.early?;
    let due = (key.arrived.div_euclid(period) + 1) * period;
    let sent = key.more.as_ref().map_or(0, |more| more.early);
    (key.panes.len(&rule.layout) > 0 && due > sent).then_some(due)
}

/// When the watermark next does something for a key: end of the next window that gives a result,
/// or time of the next message that waits.
pub(super) fn next_end(rule: &Rule, window: &Window, key: &KeyState) -> Option<i64> {
    let layout = &rule.layout;
    match window {
        Window::Count { .. } => return None,
        Window::Session(session) => return session.end_at(layout, &key.panes, 0),
        Window::While => {
            let next = usize::from(has_open_run(rule, key));
            let waits = next < key.panes.len(layout);
            return waits.then(|| waiting_time(key.panes.id(layout, next)));
        }
        _ => {}
    }
    let grid = window.next_end(window.pane(key.watermark), key.watermark);
    let since = key.more.as_ref().and_then(|more| more.since);
    if let (true, Some(since)) = (rule.empty, since)
        && key.watermark >= since
    {
        return Some(grid);
    }
    // Panes before this one lie only in windows that are closed.
    let first = match window {
        Window::Each { .. } => grid,
        _ => window.range(grid).0,
    };
    let at = key.panes.position(layout, first);
    (at < key.panes.len(layout)).then(|| window.next_end(key.panes.id(layout, at), key.watermark))
}
