//! `while` windows: runs of messages for which a condition holds.
//!
//! Messages wait for the watermark, so that those of one key are looked at in the order of their
//! times. The first pane of a key is the run that is open, if its time is not after the watermark.

use super::collect::Spot;
use super::life::Turn;
use super::work::Message;
use crate::aggregate::{merge_row, span};
use crate::code;
use crate::expression::Fault;
use crate::form::WindowLabel;
use crate::key::KeyState;
use crate::rule::Rule;
use crate::running::{Running, key_bytes};
use crate::window::{WAITING_ORDER_MAX, waiting_id, waiting_is_true, waiting_order, waiting_time};

impl Running {
    /// Lets a message wait for the watermark.
    pub(super) fn wait(
        &mut self,
        rule: &Rule,
        message: &Message<'_>,
        id: u32,
        (time, during): (i64, bool),
    ) -> Result<bool, Fault> {
        let layout = &rule.layout;
        let Some(key) = self.keys.get(id) else { return Ok(false) };
        let next = key.panes.position(layout, waiting_id(time + 1, 0, false));
        let before = next.checked_sub(1).map(|at| key.panes.id(layout, at));
        let order = match before {
            Some(pane) if waiting_time(pane) == time => waiting_order(pane) + 1,
            _ => 0,
        };
        if order > WAITING_ORDER_MAX {
            let message = "too many messages of one millisecond wait".to_owned();
            return Err(Fault { code: code::SIZE_FAULT, message });
        }
        let pane = waiting_id(time, order, during);
        self.add_to_pane(rule, message, id, Spot { pane, time, late: false })
    }

    /// Looks at the messages up to `watermark`; sends the runs that end.
    pub(super) fn step_runs(&mut self, turn: &mut Turn<'_>, id: u32, watermark: i64) {
        let rule = turn.rule;
        loop {
            let Some(key) = self.keys.get(id) else { return };
            let open = usize::from(has_open_run(rule, key));
            if open >= key.panes.len(&rule.layout) {
                return;
            }
            let pane = key.panes.id(&rule.layout, open);
            let time = waiting_time(pane);
            if time > watermark {
                return;
            }
            match (open == 1, waiting_is_true(pane)) {
                (false, false) => self.drop_first_pane(rule, id),
                // It becomes the open run by the watermark.
                (false, true) => {}
                (true, true) => self.lengthen_run(rule, id),
                (true, false) => {
                    self.send_run(turn, id, Some(time));
                    self.drop_first_pane(rule, id);
                    self.drop_first_pane(rule, id);
                }
            }
            let Some(key) = self.keys.get_mut(id) else { return };
            key.watermark = key.watermark.max(time);
        }
    }

    /// Adds the second pane to the first.
    fn lengthen_run(&mut self, rule: &Rule, id: u32) {
        let layout = &rule.layout;
        let Some(key) = self.keys.get_mut(id) else { return };
        let before = key_bytes(rule, key);
        let (row, sides) = key.panes.take(layout, 1);
        merge_row(layout, key.panes.row_mut(layout, 0), (&row, &sides));
        self.state_bytes = self.state_bytes + key_bytes(rule, key) - before;
        let first = self.keys.get(id).map_or(i64::MIN, |key| key.panes.id(layout, 0));
        self.mark_changed(id, first);
    }

    /// Sends the open run; `end` is the time of the message that ended it, if one did.
    pub(super) fn send_run(&mut self, turn: &mut Turn<'_>, id: u32, end: Option<i64>) {
        let layout = &turn.rule.layout;
        let number = self.count_one(id);
        let Some(key) = self.keys.get(id) else { return };
        let (first, last) = span(layout, key.panes.row(layout, 0).0).unwrap_or_default();
        let pane = key.panes.id(layout, 0);
        let label = WindowLabel { number, ..WindowLabel::of(first, end.unwrap_or(last)) };
        self.send_panes(turn, id, (pane, pane + 1), label);
    }
}

/// Whether the first pane of a key is an open run.
pub(super) fn has_open_run(rule: &Rule, key: &KeyState) -> bool {
    let layout = &rule.layout;
    key.panes.len(layout) > 0 && {
        let first = key.panes.id(layout, 0);
        waiting_is_true(first) && waiting_time(first) <= key.watermark
    }
}
