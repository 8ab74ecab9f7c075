//! Alerts of keys: what messages, results and timers do to them, and what they send.

use super::due::{Due, heard, next_due};
use super::life::Turn;
use super::work::Message;
use crate::alert::{Alert, AlertState, Held, MessagePart, Signal, Verdict};
use crate::boxed;
use crate::code;
use crate::emit::{AlertLabel, alert_body, identity, send};
use crate::expression::{Fault, Inputs, Program, evaluate};
use crate::json::write_number;
use crate::rule::Rule;
use crate::running::Running;
use crate::trace::Fate;
use crate::value::{Texts, Value};
use crate::watermark::Time;

/// What an alert sees of one message or result.
pub(super) struct Observation {
    verdict: Verdict,
    held: Held,
}

impl Running {
    /// Looks at a message of a rule without window, whose outputs are known.
    pub(super) fn watch(
        &mut self,
        turn: &mut Turn<'_>,
        message: &mut Message<'_>,
        alert: &Alert,
    ) -> Result<(), Fault> {
        let rule = turn.rule;
        let arrived = message.event.arrived.0;
        let time = match &rule.time {
            Time::Arrival => None,
            Time::Field(field) => {
                let value = message.evaluate(&field.program)?;
                Some(field.read(value, (arrived, message.clock_is_set), &message.texts)?)
            }
        };
        let verdict = verdict(alert, &mut |program| message.evaluate(program))?;
        if self.is_traced() {
            self.trace_fate(Fate::Alert { when: verdict.when, clear: verdict.clear });
        }
        let found = self.keys.find(&message.scratch.key);
        // The clock only goes on: what changes nothing need not be remembered. Stamps of messages
        // may go back, which is seen only if they are.
        if time.is_none() && self.is_idle(found, alert, verdict) {
            return Ok(());
        }
        let held = message.held(rule, alert)?;
        let id = match found {
            Some(id) => id,
            None => {
                let bytes = AlertState::base_bytes(held.len());
                self.add_key(turn, &message.scratch.key, bytes)?
            }
        };
        let Some(key) = self.keys.get_mut(id) else { return Ok(()) };
        let time = time.unwrap_or(arrived.max(key.newest));
        if time < key.newest {
            let newest = key.newest;
            if self.is_traced() {
                self.trace_older(rule, time, newest);
            }
            self.metrics.late += 1;
            self.metrics.dropped += 1;
            return Ok(());
        }
        key.newest = time;
        key.arrived = arrived;
        self.change_alert(id, |state| state.heard = arrived);
        self.observe(turn, id, time, Observation { verdict, held });
        self.set_timer(turn, id);
        Ok(())
    }

    /// Brings an alert to `time` and shows it what was found there.
    pub(super) fn observe(&mut self, turn: &mut Turn<'_>, id: u32, time: i64, seen: Observation) {
        let Some(alert) = &turn.rule.alert else { return };
        if self.is_idle(Some(id), alert, seen.verdict) || self.is_still_silent(turn, id, alert) {
            return;
        }
        let Observation { verdict, mut held } = seen;
        let bytes = AlertState::base_bytes(held.len()) + text_bytes(&held);
        if self.check_memory(turn.rule, bytes).is_err() {
            // An alert is not missed because a text has no room.
            held.iter_mut().filter(|(_, text)| text.is_some()).for_each(|held| *held = MISSING);
        }
        // A result tells of the time before its end: what is due then waits for it.
        let before = time - i64::from(turn.rule.window.is_some());
        let signal = self.change_alert(id, |state| state.elapse(alert, before));
        self.tell(turn, id, signal.flatten());
        let signal = self.change_alert(id, |state| {
            // What says nothing about the conditions does not change what is sent, either.
            if verdict.when.or(verdict.clear).is_some() || alert.when.is_none() {
                state.held = held;
            }
            state.observe(alert, verdict, time)
        });
        self.tell(turn, id, signal.flatten());
        self.set_timer(turn, id);
    }

    /// Does what the clock brings to the alert of a key.
    pub(super) fn fire_alert(&mut self, turn: &mut Turn<'_>, id: u32, clock: i64) {
        let Some(alert) = &turn.rule.alert else { return };
        while let Some(key) = self.keys.get(id) {
            let Some((deadline, due)) = next_due(turn.rule, alert, key) else { return };
            if deadline > clock {
                return;
            }
            let newest = key.newest;
            match due {
                Due::Condition(time) => {
                    let signal = self.change_alert(id, |state| state.elapse(alert, time)).flatten();
                    debug_assert!(signal.is_some(), "what is due gives a signal");
                    self.tell(turn, id, signal);
                }
                Due::Reminder => {
                    let signal = self.change_alert(id, |state| state.remind(newest));
                    self.send_signal(turn, id, signal);
                }
                Due::Silence => {
                    let signal = self.change_alert(id, |state| state.fall_silent(newest));
                    self.tell(turn, id, signal);
                }
            }
        }
    }

    /// Whether a key has an alert that must not be forgotten.
    pub(super) fn is_alerting(&self, id: u32) -> bool {
        self.keys.get(id).and_then(|key| key.alert.as_ref()).is_some_and(|state| state.is_active())
    }

    /// Whether a key that counts as silent has sent nothing since then: then a result is one of
    /// older messages, or of none.
    fn is_still_silent(&self, turn: &Turn<'_>, id: u32, alert: &Alert) -> bool {
        let (Some(key), Some(silent)) = (self.keys.get(id), alert.silent) else { return false };
        let is_silent = key.alert.as_ref().is_some_and(|state| state.is_silent);
        is_silent && heard(turn.rule, key).saturating_add(silent) <= turn.clock
    }

    /// Whether what was found neither starts an alert nor changes one.
    fn is_idle(&self, id: Option<u32>, alert: &Alert, verdict: Verdict) -> bool {
        verdict.when != Some(true)
            && alert.silent.is_none()
            && !id.is_some_and(|id| self.is_alerting(id))
    }

    /// Changes the alert of a key and counts its memory.
    fn change_alert<T>(&mut self, id: u32, change: impl FnOnce(&mut AlertState) -> T) -> Option<T> {
        let key = self.keys.get_mut(id)?;
        let before = key.alert_bytes();
        let outcome = change(key.alert.get_or_insert_default());
        self.state_bytes = self.state_bytes + key.alert_bytes() - before;
        self.mark_changed(id, i64::MAX);
        Some(outcome)
    }

    /// Sends a signal that is no reminder.
    fn tell(&mut self, turn: &mut Turn<'_>, id: u32, signal: Option<Signal>) {
        if signal.is_some() {
            self.change_alert(id, |state| state.repeats = 0);
        }
        self.send_signal(turn, id, signal);
    }

    fn send_signal(&mut self, turn: &mut Turn<'_>, id: u32, signal: Option<Signal>) {
        let Some(signal) = signal else { return };
        let clock = turn.clock;
        self.change_alert(id, |state| state.told = clock);
        match self.send_alert(turn, id, signal) {
            Ok(sent) => self.metrics.emitted += sent,
            Err((fault, body)) => self.report(turn, fault, "", body.as_bytes()),
        }
    }

    fn send_alert(
        &mut self,
        turn: &mut Turn<'_>,
        id: u32,
        signal: Signal,
    ) -> Result<u64, (Fault, String)> {
        let sequence = self.next_sequence(turn.clock);
        let (rule, work) = (turn.rule, &mut *turn.work);
        let Some(key) = self.keys.get(id) else { return Ok(0) };
        let (Some(alert), Some(state)) = (&rule.alert, &key.alert) else { return Ok(0) };
        let mut arena = std::mem::take(&mut work.arena);
        arena.clear();
        let mut texts = Texts { arena, constants: turn.constants, ..Texts::default() };
        work.start(rule, key, &mut texts);
        for (slot, (bits, text)) in held_slots(rule, alert).zip(&state.held) {
            let value = boxed::value(*bits, text.as_deref().unwrap_or_default(), &mut texts);
            work.locals[usize::from(slot)] = value;
        }
        let locals = &work.locals;
        let local = |slot: u16| locals.get(usize::from(slot)).copied().unwrap_or(Value::Null);
        let message = write_message(&alert.message, &local, &texts);
        let label = AlertLabel {
            state: signal.kind.name(),
            since: signal.since,
            value: alert.value.map_or(Value::Null, local),
            message: message.as_deref(),
            repeat: state.repeats,
        };
        let body = alert_body(rule, &label, locals, &texts);
        let identity = identity(rule).text("alert").bytes(&key.bytes).number(sequence);
        let inputs = Inputs { fields: &[], locals, qos: 0, retain: false, now: 0 };
        let stack = &mut work.stack;
        let content = (body.as_bytes(), None);
        let sent = send(rule, content, identity, &inputs, &mut texts, stack, turn.out);
        work.arena = texts.arena;
        sent.map_err(|fault| (fault, body))
    }
}

impl Message<'_> {
    /// What is kept of a message.
    fn held(&mut self, rule: &Rule, alert: &Alert) -> Result<Held, Fault> {
        let mut values = Vec::with_capacity(held_slots(rule, alert).count());
        for kept in &alert.kept {
            values.push(self.evaluate(&kept.program)?);
        }
        let outputs = rule.select.as_deref().unwrap_or_default();
        values.extend(outputs.iter().map(|one| self.scratch.locals[usize::from(one.slot)]));
        Ok(hold(&values, &self.texts))
    }
}

/// What an alert sees of a result whose outputs are known.
pub(super) fn observation(
    rule: &Rule,
    alert: &Alert,
    locals: &[Value],
    stack: &mut Vec<Value>,
    texts: &mut Texts<'_>,
) -> Result<Observation, Fault> {
    let inputs = Inputs { fields: &[], locals, qos: 0, retain: false, now: 0 };
    let mut compute = |program: &Program| evaluate(program, &inputs, texts, stack);
    let verdict = verdict(alert, &mut compute)?;
    let kept = alert.kept.iter().map(|kept| compute(&kept.program));
    let mut values = kept.collect::<Result<Vec<Value>, Fault>>()?;
    let outputs = rule.select.as_deref().unwrap_or_default();
    values.extend(outputs.iter().map(|one| locals[usize::from(one.slot)]));
    Ok(Observation { verdict, held: hold(&values, texts) })
}

/// What the conditions give.
fn verdict(
    alert: &Alert,
    compute: &mut dyn FnMut(&Program) -> Result<Value, Fault>,
) -> Result<Verdict, Fault> {
    let mut condition = |program: &Option<Program>, role: &str| match program {
        None => Ok(None),
        Some(program) => match compute(program)? {
            Value::Bool(yes) => Ok(Some(yes)),
            Value::Null => Ok(None),
            other => {
                let message = format!("`{role}` gave {}", other.kind());
                Err(Fault { code: code::TYPE_FAULT, message })
            }
        },
    };
    let when = condition(&alert.when, "when")?;
    let clear = match alert.clear {
        Some(_) => condition(&alert.clear, "clear")?,
        None => when.map(|when| !when),
    };
    Ok(Verdict { when, clear })
}

/// The locals of what is kept, in order.
fn held_slots<'r>(rule: &'r Rule, alert: &'r Alert) -> impl Iterator<Item = u16> + 'r {
    let outputs = rule.select.as_deref().unwrap_or_default();
    let kept = alert.kept.iter().map(|kept| kept.slot);
    kept.chain(outputs.iter().map(|output| output.slot))
}

fn hold(values: &[Value], texts: &Texts<'_>) -> Held {
    values.iter().map(|value| (boxed::bits(*value), boxed::text(*value, texts))).collect()
}

fn text_bytes(held: &Held) -> usize {
    held.iter().filter_map(|(_, text)| text.as_ref()).map(|text| text.len()).sum()
}

/// The message for people; `None` if the alert has none.
fn write_message(
    parts: &[MessagePart],
    local: &dyn Fn(u16) -> Value,
    texts: &Texts<'_>,
) -> Option<String> {
    let mut out = String::new();
    for part in parts {
        match part {
            MessagePart::Literal(text) => out.push_str(text),
            MessagePart::Value { slot, digits } => match (local(*slot), digits) {
                (Value::Bool(yes), _) => out.push_str(if yes { "true" } else { "false" }),
                (Value::Composite | Value::Null, _) => out.push_str("null"),
                (Value::Json(text), _) => out.push_str(texts.resolve(text)),
                (Value::Number(number), Some(digits)) => {
                    out.push_str(&format!("{number:.*}", usize::from(*digits)));
                }
                (Value::Number(number), None) => write_number(number, &mut out),
                (Value::Text(text), _) => out.push_str(texts.resolve(text)),
            },
        }
    }
    (!parts.is_empty()).then_some(out)
}

/// In the place of a text for which there is no room.
const MISSING: (u64, Option<Box<str>>) = (boxed::NULL, None);
