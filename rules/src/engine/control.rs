//! Rules that are stopped for a while, and rules that begin anew.
//!
//! A paused rule takes no message, sends nothing and counts nothing; only the last values of joined
//! topics go on. What it has gathered stays: it goes on from there, and windows whose ends have
//! passed meanwhile are sent then.

use super::Engine;
use crate::key::TIMER_NONE;
use crate::quantity::format_bytes;
use crate::running::Running;
use crate::table::TableId;
use crate::timer::Timers;

impl Engine {
    /// Stops a rule, or lets it go on. Answers whether that is a change; `None` if no rule that
    /// runs has this name.
    ///
    /// It is part of the state, and holds for a rule of this name whatever it computes.
    pub fn set_paused(&mut self, rule: &str, paused: bool) -> Option<bool> {
        let index = self.index_of(rule)?;
        let (rule, running) = (self.plan.rules.get(index)?, self.running.get_mut(index)?);
        if running.paused == paused {
            return Some(false);
        }
        running.paused = paused;
        running.pause_changed = true;
        running.changed = true;
        if paused {
            running.stop_timers(index as u32, &mut self.timers);
        } else {
            running.finish_restore(rule, index as u32, &mut self.timers);
        }
        Some(true)
    }

    /// Makes a rule forget everything but whether it is paused. Answers how many groups it knew;
    /// `None` if no rule that runs has this name.
    ///
    /// Nothing is sent: what is in windows that are open is gone.
    pub fn reset(&mut self, rule: &str) -> Option<usize> {
        let index = self.index_of(rule)?;
        let running = self.running.get_mut(index)?;
        running.stop_timers(index as u32, &mut self.timers);
        let known = running.keys.len();
        running.forget_all();
        Some(known)
    }

    /// What a rule does and how it is now, as lines for people; `None` if there is no such rule.
    pub fn explain(&self, rule: &str) -> Option<String> {
        let mut text = self.plan.explain(rule)?;
        if let Some(running) = self.index_of(rule).and_then(|index| self.running.get(index)) {
            let (groups, bytes) = (running.keys.len(), format_bytes(running.state_bytes as u64));
            let each = running.state_bytes.checked_div(groups).unwrap_or(0);
            let each = format_bytes(each as u64);
            text.push_str(&format!("  now        {groups} groups, {bytes}, {each} each"));
            text.push_str(if running.paused { "; paused\n" } else { "\n" });
        }
        Some(text)
    }

    pub(super) fn index_of(&self, rule: &str) -> Option<usize> {
        self.plan.rules.iter().position(|known| *known.name == *rule)
    }
}

impl Running {
    /// Takes out all timers of the rule.
    pub(super) fn stop_timers(&mut self, index: u32, timers: &mut Timers) {
        timers.remove_rule(index);
        let ids: Vec<u32> = self.keys.iter().map(|(id, _)| id).collect();
        for id in ids {
            if let Some(key) = self.keys.get_mut(id) {
                key.timer = TIMER_NONE;
            }
        }
    }

    /// Forgets keys and rows. The sequence goes on, so that what is sent from now on is told apart
    /// from what was sent before.
    fn forget_all(&mut self) {
        let before = std::mem::take(self);
        self.removed_keys = before.removed_keys;
        self.removed_keys.extend(before.keys.iter().map(|(id, _)| id));
        self.tables = before.tables;
        for id in TableId::ALL {
            self.tables[id as usize].clear();
        }
        self.sequence = before.sequence;
        self.metrics = before.metrics;
        self.tracer = before.tracer;
        self.paused = before.paused;
        self.pause_changed = before.pause_changed;
        self.changed = true;
    }
}
