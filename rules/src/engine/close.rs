//! Closes windows: merges panes, computes outputs, sends results and corrections.

use super::alert::observation;
use super::change::News;
use super::count::{count_range, counted};
use super::life::{Turn, next_end};
use super::run::has_open_run;
use crate::aggregate::{late_messages, messages, result, span};
use crate::code;
use crate::emit::{body, identity, send};
use crate::expression::{Fault, Inputs, evaluate};
use crate::form::WindowLabel;
use crate::key::KeyState;
use crate::limits::EMPTY_WINDOWS_MAX;
use crate::rule::Rule;
use crate::running::{Running, key_bytes};
use crate::trace::Withheld;
use crate::value::{Texts, Value};
use crate::window::{Window, waiting_time};

impl Running {
    /// Sends the results of all windows of a key that end at `watermark` or before, and drops the
    /// panes that are of no more use.
    pub(super) fn close(&mut self, turn: &mut Turn<'_>, id: u32, watermark: i64) {
        let rule = turn.rule;
        let Some(window) = &rule.window else { return };
        match window {
            Window::Count { .. } => {}
            Window::Session(session) => self.close_sessions(turn, session, id, watermark),
            Window::While => self.step_runs(turn, id, watermark),
            _ => self.close_ends(turn, window, id, watermark),
        }
        let Some(key) = self.keys.get_mut(id) else { return };
        key.watermark = watermark.max(key.watermark);
        if !window.needs_span() {
            let freed = drop_panes(rule, window, key);
            self.state_bytes -= freed.min(self.state_bytes);
        }
        self.mark_changed(id, i64::MAX);
    }

    /// Sends everything that a key still holds, because it is forgotten. The messages of a count
    /// window that is not full give no result.
    pub(super) fn close_all(&mut self, turn: &mut Turn<'_>, id: u32) {
        let rule = turn.rule;
        let layout = &rule.layout;
        let (Some(window), Some(key)) = (&rule.window, self.keys.get(id)) else { return };
        let Some(last) = key.panes.last_id(layout) else { return };
        let end = match window {
            Window::Count { .. } => return,
            Window::Session(session) => {
                session.end_at(layout, &key.panes, key.panes.len(layout) - 1).unwrap_or(last)
            }
            Window::While => waiting_time(last),
            _ => window.last_end(last),
        };
        self.close(turn, id, end.max(key.watermark));
        if *window == Window::While && self.keys.get(id).is_some_and(|key| has_open_run(rule, key))
        {
            self.send_run(turn, id, None);
        }
    }

    /// Sends the results of windows whose ends follow from their panes.
    fn close_ends(&mut self, turn: &mut Turn<'_>, window: &Window, id: u32, watermark: i64) {
        let rule = turn.rule;
        let mut empty = 0;
        while let Some(key) = self.keys.get_mut(id) {
            let Some(end) = next_end(rule, window, key).filter(|end| *end <= watermark) else {
                break;
            };
            key.watermark = end;
            if self.send_window(turn, window, id, (end, 0)) == 0 {
                empty += 1;
                if empty >= EMPTY_WINDOWS_MAX {
                    self.skip_empty(rule, window, id, watermark);
                }
            }
        }
    }

    /// Sends a closed window again, because of a late message.
    pub(super) fn send_correction(&mut self, turn: &mut Turn<'_>, id: u32, end: i64) {
        let (Some(window), Some(key)) = (&turn.rule.window, self.keys.get_mut(id)) else { return };
        let before = key.more_bytes();
        let revisions = &mut key.more.get_or_insert_default().revisions;
        let at = match revisions.binary_search_by_key(&end, |(known, _)| *known) {
            Ok(at) => at,
            Err(at) => {
                revisions.insert(at, (end, 0));
                at
            }
        };
        revisions[at].1 = revisions[at].1.saturating_add(1);
        let revision = revisions[at].1;
        self.state_bytes += key.more_bytes() - before;
        self.send_window(turn, window, id, (end, revision));
    }

    /// Sends the result of a window whose panes follow from its end; gives the number of panes.
    pub(super) fn send_window(
        &mut self,
        turn: &mut Turn<'_>,
        window: &Window,
        id: u32,
        (end, revision): (i64, u32),
    ) -> usize {
        let label = WindowLabel { revision, ..WindowLabel::of(window.start(end), end) };
        self.send_panes(turn, id, window.range(end), label)
    }

    /// Sends one result; gives the number of panes it was made from.
    pub(super) fn send_panes(
        &mut self,
        turn: &mut Turn<'_>,
        id: u32,
        (from, to): (i64, i64),
        mut label: WindowLabel,
    ) -> usize {
        let rule = turn.rule;
        let Some(key) = self.keys.get_mut(id) else { return 0 };
        let merged = &mut turn.work.merged;
        let panes = key.panes.merge(&rule.layout, from, to, merged);
        if panes == 0 && !rule.empty {
            return 0;
        }
        if merged.only_counts() && key.panes.holds_values(&rule.layout, from, to) {
            let before = key_bytes(rule, key);
            key.panes.forget_values(&rule.layout, from, to);
            let after = key_bytes(rule, key);
            self.state_bytes = self.state_bytes + after - before;
            self.mark_changed(id, from);
        }
        if matches!(rule.window, Some(Window::Count { .. }))
            && let Some((first, last)) = span(&rule.layout, merged.parts().0)
        {
            (label.start, label.end) = (first, last);
        }
        let start = turn.out.len();
        match self.send_result(turn, id, label) {
            Ok(sent) => self.metrics.emitted += sent,
            Err((fault, body)) => self.report(turn, fault, "", body.as_bytes()),
        }
        if self.is_traced() {
            self.trace_result(turn, id, label, start);
        }
        panes
    }

    /// Sends what the open window of a key gives so far: the one that ends next.
    pub(super) fn send_early(&mut self, turn: &mut Turn<'_>, id: u32, clock: i64) {
        let rule = turn.rule;
        let layout = &rule.layout;
        let (Some(window), Some(key)) = (&rule.window, self.keys.get_mut(id)) else { return };
        let before = key.more_bytes();
        key.more.get_or_insert_default().early = clock;
        self.state_bytes = self.state_bytes + key.more_bytes() - before;
        self.mark_changed(id, i64::MAX);
        let Some(key) = self.keys.get(id).filter(|key| key.panes.len(layout) > 0) else { return };
        let first = key.panes.id(layout, 0);
        let times = span(layout, key.panes.row(layout, 0).0).unwrap_or_default();
        let (panes, label) = match window {
            Window::Count { size, every, width } => {
                let counted = counted(Some(key));
                let end = counted.max(*size).next_multiple_of(*every);
                if end == counted {
                    // It was sent with the last message.
                    return;
                }
                let label = WindowLabel { number: counted, ..WindowLabel::default() };
                (count_range(*size, *width, end), label)
            }
            Window::Session(session) => {
                ((first, first + 1), WindowLabel::of(times.0, session.end(times)))
            }
            Window::While if !has_open_run(rule, key) => return,
            Window::While => ((first, first + 1), WindowLabel::of(times.0, times.1)),
            _ => {
                let Some(end) = next_end(rule, window, key) else { return };
                (window.range(end), WindowLabel::of(window.start(end), end))
            }
        };
        self.send_panes(turn, id, panes, WindowLabel { early: Some(clock), ..label });
    }

    /// Drops the first pane of a key.
    pub(super) fn drop_first_pane(&mut self, rule: &Rule, id: u32) {
        let Some(key) = self.keys.get_mut(id) else { return };
        let freed = key.panes.pane_bytes(&rule.layout, 0);
        key.panes.drop_first(&rule.layout);
        self.state_bytes -= freed.min(self.state_bytes);
        self.mark_changed(id, i64::MAX);
    }

    /// Drops the panes of a key whose number is below `pane`.
    pub(super) fn drop_panes_before(&mut self, rule: &Rule, id: u32, pane: i64) {
        let layout = &rule.layout;
        while let Some(key) = self.keys.get(id)
            && key.panes.len(layout) > 0
            && key.panes.id(layout, 0) < pane
        {
            self.drop_first_pane(rule, id);
        }
    }

    /// Computes the outputs of the merged window and sends them. On a fault, gives what is known
    /// of the result.
    fn send_result(
        &mut self,
        turn: &mut Turn<'_>,
        id: u32,
        mut label: WindowLabel,
    ) -> Result<u64, (Fault, String)> {
        let (rule, work) = (turn.rule, &mut *turn.work);
        let Some(key) = self.keys.get(id) else { return Ok(0) };
        let mut arena = std::mem::take(&mut work.arena);
        arena.clear();
        let mut texts = Texts { arena, constants: turn.constants, ..Texts::default() };
        work.start(rule, key, &mut texts);
        let (row, sides) = work.merged.parts();
        label.late = late_messages(row);
        debug_assert!(rule.empty || messages(row) > 0, "panes hold messages");
        // What is known so far says nothing about the time to come.
        let until = label.early.map_or(label.end, |clock| clock.min(label.end));
        for aggregate in &rule.layout.aggregates {
            let parts = (&*row, &mut *sides);
            let value = result(&rule.layout, aggregate, parts, until, &mut texts);
            work.locals[usize::from(aggregate.slot)] = value;
        }
        let outputs = rule.select.as_deref().unwrap_or_default();
        let computed = compute_outputs(rule, &mut work.locals, &mut work.stack, &mut texts);
        let mut seen = None;
        let sent = match (computed, &rule.alert) {
            (Ok(false), _) => {
                if self.is_traced() {
                    self.trace_withheld(Withheld::Having);
                }
                Ok(0)
            }
            (Ok(true), Some(alert)) => {
                let stack = &mut work.stack;
                match observation(rule, alert, &work.locals, stack, &mut texts) {
                    Ok(observation) => {
                        if self.is_traced() {
                            self.trace_withheld(Withheld::Alert);
                        }
                        seen = Some(observation);
                        Ok(0)
                    }
                    Err(fault) => {
                        Err((fault, body(&rule.by, &[], Some(label), &work.locals, &texts)))
                    }
                }
            }
            (Ok(true), None) => {
                let body = body(&rule.by, outputs, Some(label), &work.locals, &texts);
                let identity = identity(rule)
                    .bytes(&key.bytes)
                    .number(key.birth)
                    .number(label.number)
                    .number(u64::from(label.revision));
                let identity = match label.early {
                    Some(clock) => identity.text("early").number(clock as u64),
                    None => identity,
                };
                let inputs = inputs(&work.locals);
                let (stack, out) = (&mut work.stack, &mut *turn.out);
                let start = out.len();
                self.find_window_news(rule, (id, label.end), &inputs, &mut texts, stack)
                    .and_then(|news| {
                        if matches!(news, News::Same) {
                            if self.is_traced() {
                                self.trace_withheld(Withheld::Change);
                            }
                            return Ok(0);
                        }
                        let content = (body.as_bytes(), Some(label));
                        send(rule, content, identity, &inputs, &mut texts, stack, out)?;
                        self.keep_news(rule, news, out, start)
                    })
                    .map_err(|fault| (fault, body))
            }
            (Err(fault), _) => Err((fault, body(&rule.by, &[], Some(label), &work.locals, &texts))),
        };
        work.arena = texts.arena;
        if let Some(seen) = seen {
            self.observe(turn, id, label.end, seen);
        }
        sent
    }

    /// Goes on with the next window that holds messages.
    fn skip_empty(&mut self, rule: &Rule, window: &Window, id: u32, watermark: i64) {
        let Some(key) = self.keys.get_mut(id) else { return };
        let at = key.panes.position(&rule.layout, window.range(key.watermark).1);
        let next = if at < key.panes.len(&rule.layout) {
            window.next_end(key.panes.id(&rule.layout, at), key.watermark)
        } else {
            i64::MAX
        };
        key.watermark = key.watermark.max(window.grid(next - 1).min(window.grid(watermark)));
    }
}

/// Computes `select` and `having`; `false` if the result is not to be sent.
fn compute_outputs(
    rule: &Rule,
    locals: &mut [Value],
    stack: &mut Vec<Value>,
    texts: &mut Texts<'_>,
) -> Result<bool, Fault> {
    for output in rule.select.as_deref().unwrap_or_default() {
        let value = evaluate(&output.program, &inputs(locals), texts, stack)?;
        locals[usize::from(output.slot)] = value;
    }
    let Some(having) = &rule.having else { return Ok(true) };
    match evaluate(having, &inputs(locals), texts, stack)? {
        Value::Bool(yes) => Ok(yes),
        Value::Null => Ok(false),
        other => {
            let message = format!("`having` gave {}", other.kind());
            Err(Fault { code: code::TYPE_FAULT, message })
        }
    }
}

/// A result has no message: only locals.
fn inputs(locals: &[Value]) -> Inputs<'_> {
    Inputs { fields: &[], locals, qos: 0, retain: false, now: 0 }
}

/// Drops panes and revisions that no window needs any more; gives the bytes that are freed.
fn drop_panes(rule: &Rule, window: &Window, key: &mut KeyState) -> usize {
    let layout = &rule.layout;
    let mut freed = 0;
    while key.panes.len(layout) > 0 {
        let first = key.panes.id(layout, 0);
        if window.expiry(first, rule.correct) > key.watermark {
            break;
        }
        freed += key.panes.pane_bytes(layout, 0);
        key.panes.drop_first(layout);
    }
    let before = key.more_bytes();
    if let Some(more) = &mut key.more {
        let keep = if window.is_of_clock() { rule.correct } else { 1 };
        let watermark = key.watermark;
        let gone = more.revisions.partition_point(|(end, _)| end + keep <= watermark);
        more.revisions.drain(..gone);
    }
    freed + before - key.more_bytes()
}
