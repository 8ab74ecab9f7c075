//! Puts a message into its window: which time it has, whether it is late, which pane it changes.

use super::life::Turn;
use super::work::Message;
use crate::aggregate::{Side, count_message, update_row};
use crate::code;
use crate::expression::Fault;
use crate::key::{KeyState, TIME_MIN};
use crate::limits::PANES_MAX;
use crate::rule::Rule;
use crate::running::Running;
use crate::trace::{Fate, Filtered};
use crate::watermark::Time;
use crate::window::{Calendar, Found, Window};

/// Where a message goes within its key.
#[derive(Clone, Copy)]
pub(super) struct Spot {
    /// Number of the pane.
    pub(super) pane: i64,
    pub(super) time: i64,
    /// Whether it is older than the watermark.
    pub(super) late: bool,
}

impl Running {
    /// Puts a message into its window.
    pub(super) fn collect(
        &mut self,
        turn: &mut Turn<'_>,
        message: &mut Message<'_>,
        window: &Window,
    ) -> Result<(), Fault> {
        let rule = turn.rule;
        let time = message.time(rule)?;
        message.columns(rule)?;
        let during = match &rule.during {
            None => true,
            Some(program) => message.is_true(program, "while")?,
        };
        let id = match self.keys.find(&message.scratch.key) {
            Some(id) => id,
            // A run begins with a message for which the condition holds; others only tell the time.
            None if !during && matches!(rule.time, Time::Arrival) => {
                if self.is_traced() {
                    self.trace_fate(Fate::Filtered(Filtered::While));
                }
                return Ok(());
            }
            None => self.add_key(turn, &message.scratch.key, rule.layout.pane_start_bytes())?,
        };
        match window {
            Window::Count { .. } => self.count(turn, message, window, id, time),
            _ => self.place(turn, message, window, id, (time, during)),
        }
    }

    /// Puts a message into a window of time.
    fn place(
        &mut self,
        turn: &mut Turn<'_>,
        message: &mut Message<'_>,
        window: &Window,
        id: u32,
        (time, during): (i64, bool),
    ) -> Result<(), Fault> {
        let rule = turn.rule;
        let client = message.event.client;
        let shared = match &rule.time {
            Time::Field(field) if field.per_source => Some(field),
            _ => None,
        };
        if let Some(field) = shared {
            self.follow(turn, field, id, client);
        }
        let newest = shared.and_then(|_| self.sources.newest(client));
        let Some(key) = self.keys.get_mut(id) else { return Ok(()) };
        let (time, watermark) = match &rule.time {
            // The clock of a key does not go back: a message that seems to be older than a closed
            // window goes into the next one.
            Time::Arrival if window.is_of_clock() => (time.max(key.watermark), key.watermark),
            Time::Arrival => (time.max(key.watermark), time.max(key.watermark)),
            Time::Field(field) => {
                let newest = newest.unwrap_or(key.newest).max(time);
                (time, field.watermark(newest).max(key.watermark))
            }
        };
        if matches!(rule.time, Time::Field(_)) {
            self.metrics.lag_ms = Some(message.event.arrived.0.saturating_sub(watermark));
        }
        let before = key.watermark;
        let late = time < before;
        if late {
            self.metrics.late += 1;
            if is_lost(rule, window, key, time) {
                if self.is_traced() {
                    self.trace_late(rule, time, before);
                }
                return self.lose(turn, message, id);
            }
        }
        // Windows that end before this message leave first: their panes make room.
        match window {
            Window::Each { .. } | Window::While => {}
            Window::Session(_) => self.close(turn, id, watermark),
            _ => {
                let from = key.watermark;
                if self.end_after(window, from) <= watermark {
                    self.close(turn, id, watermark);
                } else if let Some(key) = self.keys.get_mut(id) {
                    key.watermark = watermark;
                }
            }
        }
        let added = match window {
            Window::Session(session) => self.join_session(rule, session, message, id, (time, late)),
            Window::While => self.wait(rule, message, id, (time, during)),
            _ => {
                let spot = Spot { pane: self.pane(window, time), time, late };
                self.add_to_pane(rule, message, id, spot)
            }
        }?;
        if self.is_traced() {
            self.trace_taken(rule, id, (time, before), during);
        }
        match window {
            Window::Session(_) => {}
            Window::Each { .. } => match self.keys.get(id) {
                Some(key) if time <= key.watermark => self.send_correction(turn, id, time),
                _ => self.close(turn, id, watermark),
            },
            Window::While => self.close(turn, id, watermark),
            _ if late => {
                let pane = self.pane(window, time);
                self.correct(turn, window, id, pane);
            }
            _ => {}
        }
        let idle = matches!(&rule.time, Time::Field(field) if field.idle.is_some());
        if added || idle || rule.early.is_some() || rule.alert.is_some() {
            self.set_timer(turn, id);
        }
        if shared.is_some() {
            self.note_standing(rule, id);
            self.close_followers(turn, client, watermark);
        }
        Ok(())
    }

    /// The pane of a time.
    fn pane(&mut self, window: &Window, time: i64) -> i64 {
        match window {
            Window::Calendar(calendar) => self.calendar_window(calendar, time).0,
            _ => window.pane(time),
        }
    }

    /// The first time after `time` at which a window of the clock can end.
    fn end_after(&mut self, window: &Window, time: i64) -> i64 {
        match window {
            Window::Calendar(calendar) => self.calendar_window(calendar, time).1,
            _ => window.end_after(time),
        }
    }

    fn calendar_window(&mut self, calendar: &Calendar, time: i64) -> (i64, i64) {
        let (start, end) = self.calendar_window;
        if !(start..end).contains(&time) {
            self.calendar_window = calendar.around(time);
        }
        self.calendar_window
    }

    /// A message that came when all of its windows were closed.
    fn lose(&mut self, turn: &mut Turn<'_>, message: &Message<'_>, id: u32) -> Result<(), Fault> {
        self.metrics.dropped += 1;
        if self.keys.get(id).is_some_and(|key| key.arrived == TIME_MIN) {
            // It was made for this message.
            self.remove_key(turn, id);
        }
        if let Some(topic) = &turn.rule.late_topic {
            let event = message.event;
            let fault = Fault {
                code: code::LATE,
                message: "the windows of this message are closed".to_owned(),
            };
            self.send_letter(turn, topic, fault, event.topic, event.payload);
        }
        Ok(())
    }

    /// Sends again every closed window that a late message belongs to.
    fn correct(&mut self, turn: &mut Turn<'_>, window: &Window, id: u32, pane: i64) {
        let correct = turn.rule.correct;
        let Some(watermark) = self.keys.get(id).map(|key| key.watermark) else { return };
        let mut end = window.next_end(pane, watermark - correct);
        while correct > 0 && end <= watermark.min(window.last_end(pane)) {
            self.send_correction(turn, id, end);
            end = window.end_after(end);
        }
    }

    /// Changes the pane; gives whether it is a new one.
    pub(super) fn add_to_pane(
        &mut self,
        rule: &Rule,
        message: &Message<'_>,
        id: u32,
        spot: Spot,
    ) -> Result<bool, Fault> {
        let layout = &rule.layout;
        let Some(key) = self.keys.get(id) else { return Ok(false) };
        let found = key.panes.find(layout, spot.pane);
        let added = matches!(found, Found::Before(_));
        let needed = match found {
            Found::At(_) => layout.sides.len() * size_of::<u64>(),
            Found::Before(_) => layout.pane_start_bytes(),
        };
        self.check_memory(rule, needed)?;
        if added && key.panes.len(layout) >= 2 * PANES_MAX {
            return Err(too_full(rule));
        }
        let Some(key) = self.keys.get_mut(id) else { return Ok(false) };
        let at = match found {
            Found::At(at) => at,
            Found::Before(at) => {
                key.panes.insert(layout, at, spot.pane);
                at
            }
        };
        let (row, sides) = key.panes.row_mut(layout, at);
        let bytes = |sides: &[Side]| sides.iter().map(Side::bytes).sum::<usize>();
        let before = if added { 0 } else { bytes(sides) };
        count_message(row, spot.late);
        update_row(layout, row, sides, &message.scratch.columns, spot.time, &message.texts);
        let row_bytes = if added { size_of_val(row) } else { 0 };
        self.state_bytes = self.state_bytes + bytes(sides) + row_bytes - before;
        key.arrived = message.event.arrived.0;
        key.newest = key.newest.max(spot.time);
        if rule.empty {
            let before = key.more_bytes();
            key.more.get_or_insert_default().since.get_or_insert(spot.time);
            self.state_bytes += key.more_bytes() - before;
        }
        self.mark_changed(id, spot.pane);
        Ok(added)
    }
}

/// Whether all windows of a late message are closed.
fn is_lost(rule: &Rule, window: &Window, key: &KeyState, time: i64) -> bool {
    match window {
        Window::Each { .. } | Window::While => true,
        Window::Session(session) => {
            session.end_with(&rule.layout, &key.panes, time) <= key.watermark
        }
        _ => window.expiry(window.pane(time), rule.correct) <= key.watermark,
    }
}

fn too_full(rule: &Rule) -> Fault {
    let what = match rule.window {
        Some(Window::Each { .. }) => "a window per message holds at most",
        _ => "a group keeps at most",
    };
    let message = format!("{what} {} panes; a window with a step needs fewer", 2 * PANES_MAX);
    Fault { code: code::SIZE_FAULT, message }
}
