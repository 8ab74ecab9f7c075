//! Other rules in the place of those that run.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Engine;
use crate::plan::Plan;
use crate::rule::Rule;
use crate::running::Running;

/// What became of a rule when [`Engine::exchange`] was given other rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleChange {
    /// Name of the rule.
    pub rule: Arc<str>,
    /// What became of it.
    pub kind: RuleChangeKind,
}

/// See [`RuleChange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuleChangeKind {
    /// It runs from now on.
    Added,
    /// It is written differently, and goes on with what it knows.
    Changed,
    /// It is written so differently that what it knew means nothing to it: it begins anew, and its
    /// open windows are gone.
    Restarted {
        /// Groups that it knew.
        groups: usize,
    },
    /// It runs no more; its open windows are gone.
    Removed {
        /// Groups that it knew.
        groups: usize,
    },
}

impl Engine {
    /// Runs the rules of another plan from now on. Answers what has changed, in the order of the
    /// new plan and then by name; a rule that only has other tables is not named.
    ///
    /// A rule keeps its state where an engine that is restored with the new plan would
    /// ([`Engine::restore`]), and its counters wherever its name stays. Store a snapshot next:
    /// deltas of before and after do not fit together.
    pub fn exchange(&mut self, plan: Plan) -> Vec<RuleChange> {
        let changes = self.compare(&plan);
        let rules = std::mem::take(&mut self.plan.rules);
        let running = std::mem::take(&mut self.running);
        let mut before: BTreeMap<Arc<str>, (Rule, Running)> =
            rules.into_iter().zip(running).map(|old| (old.0.name.clone(), old)).collect();
        *self = Self { clock_set_at: self.clock_set_at, ..Self::new(plan) };
        for (rule, running) in self.plan.rules.iter().zip(&mut self.running) {
            if let Some((old, known)) = before.remove(&rule.name) {
                running.succeed(known, &old, rule);
            }
        }
        self.set_all_timers();
        changes
    }

    /// What [`Engine::exchange`] would answer for this plan; nothing changes.
    pub fn compare(&self, plan: &Plan) -> Vec<RuleChange> {
        let running = self.plan.rules.iter().zip(&self.running);
        let mut before: BTreeMap<&Arc<str>, (&Rule, &Running)> =
            running.map(|(rule, known)| (&rule.name, (rule, known))).collect();
        let mut changes = Vec::new();
        for rule in &plan.rules {
            let kind = match before.remove(&rule.name) {
                Some((old, known)) => change(old, known, rule),
                None => Some(RuleChangeKind::Added),
            };
            changes.extend(kind.map(|kind| RuleChange { rule: rule.name.clone(), kind }));
        }
        changes.extend(before.into_iter().map(|(rule, (_, known))| RuleChange {
            rule: rule.clone(),
            kind: RuleChangeKind::Removed { groups: known.keys.len() },
        }));
        changes
    }
}

impl Running {
    /// Goes on where the rule of the same name before it stood.
    fn succeed(&mut self, before: Running, old: &Rule, new: &Rule) {
        if old.state == new.state {
            *self = before;
            return;
        }
        self.sequence = before.sequence;
        self.paused = before.paused;
        self.metrics = before.metrics;
        self.tracer = before.tracer;
        self.changed = true;
    }
}

/// What becomes of a rule when another one of its name takes its place.
fn change(old: &Rule, known: &Running, new: &Rule) -> Option<RuleChangeKind> {
    if old.state != new.state {
        return Some(RuleChangeKind::Restarted { groups: known.keys.len() });
    }
    // A new definition may keep what the old one had no use for, and its limits may differ.
    (!is_same(old, new)).then_some(RuleChangeKind::Changed)
}

/// Whether two rules of one name do the same within the same limits.
fn is_same(old: &Rule, new: &Rule) -> bool {
    let limits = |rule: &Rule| (rule.keys_max, rule.memory_max, rule.expire);
    old.definition == new.definition && limits(old) == limits(new)
}
