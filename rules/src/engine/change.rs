//! Sends only results that have changed, and remembers what was sent.

use super::life::Turn;
use super::work::Message;
use crate::boxed::{self, Kept};
use crate::change::{Change, Held, Sent, Verdict};
use crate::code;
use crate::emit::emission;
use crate::expression::{Fault, Inputs, Program, evaluate};
use crate::held::HeldMessage;
use crate::key::{KeyState, More};
use crate::message::Emission;
use crate::rule::{Destination, Rule};
use crate::running::Running;
use crate::value::{Texts, Value};

/// What a result says beyond the one before.
pub(super) enum News {
    /// The rule has no `change`: every result is sent.
    Any,
    Changed(Changed),
    Same,
}

/// A result that is to be sent, now or later.
pub(super) struct Changed {
    id: u32,
    is_held: bool,
    values: Vec<Kept>,
    time: i64,
}

impl News {
    /// The key that holds the result back.
    pub(super) fn holder(&self) -> Option<u32> {
        match self {
            News::Changed(changed) if changed.is_held => Some(changed.id),
            _ => None,
        }
    }
}

impl Running {
    /// Looks whether the result of a message is to be sent.
    pub(super) fn find_news(
        &mut self,
        turn: &mut Turn<'_>,
        message: &mut Message<'_>,
    ) -> Result<News, Fault> {
        let Some(change) = &turn.rule.change else { return Ok(News::Any) };
        let id = match self.keys.find(&message.scratch.key) {
            Some(id) => id,
            None => self.add_key(turn, &message.scratch.key, 0)?,
        };
        let time = message.event.arrived.0;
        if let Some(key) = self.keys.get_mut(id) {
            key.arrived = time;
        }
        self.mark_changed(id, i64::MAX);
        self.set_timer(turn, id);
        let (inputs, texts, stack) = message.split();
        self.compare(change, (id, time), &inputs, texts, stack)
    }

    /// Looks whether the result of the window of a key is to be sent.
    pub(super) fn find_window_news(
        &mut self,
        rule: &Rule,
        (id, end): (u32, i64),
        inputs: &Inputs<'_>,
        texts: &mut Texts<'_>,
        stack: &mut Vec<Value>,
    ) -> Result<News, Fault> {
        let Some(change) = &rule.change else { return Ok(News::Any) };
        self.compare(change, (id, end), inputs, texts, stack)
    }

    /// Remembers a result whose messages are all that `out` has from `start` on, or holds them
    /// back; gives how many are sent.
    pub(super) fn keep_news(
        &mut self,
        rule: &Rule,
        news: News,
        out: &mut Vec<Emission>,
        start: usize,
    ) -> Result<u64, Fault> {
        let count = (out.len() - start) as u64;
        let News::Changed(Changed { id, is_held, values, time }) = news else { return Ok(count) };
        let Some(key) = self.keys.get_mut(id) else { return Ok(0) };
        let before = key.more.as_deref().and_then(|more| more.sent.as_deref());
        let mut sent = Sent { values, at: time, held: None };
        if let (true, Some(before)) = (is_held, before) {
            let messages = out.split_off(start).into_iter().map(hold).collect();
            let held = Some(Held { values: sent.values, messages });
            sent = Sent { values: before.values.clone(), at: before.at, held };
        }
        let first = if key.more.is_none() { size_of::<More>() } else { 0 };
        let growth = (first + sent.bytes()).saturating_sub(before.map_or(0, Sent::bytes));
        if let Err(fault) = self.check_memory(rule, growth) {
            out.truncate(start);
            return Err(fault);
        }
        self.drop_held(id);
        self.remember(id, sent);
        Ok(if is_held { 0 } else { count })
    }

    /// Sends what is held back, if its time has come or the key is to be forgotten.
    pub(super) fn send_held(&mut self, turn: &mut Turn<'_>, id: u32, clock: i64) {
        let Some(sent) = self.sent_mut(id) else { return };
        let before = sent.bytes();
        let Some(held) = sent.held.take() else { return };
        sent.values = held.values;
        sent.at = clock;
        let after = sent.bytes();
        self.state_bytes = self.state_bytes + after - before;
        for (destination, message) in turn.rule.to.iter().zip(held.messages) {
            turn.out.push(release(turn.rule, destination, message));
            self.metrics.emitted += 1;
        }
        self.mark_changed(id, i64::MAX);
    }

    fn compare(
        &mut self,
        change: &Change,
        (id, time): (u32, i64),
        inputs: &Inputs<'_>,
        texts: &mut Texts<'_>,
        stack: &mut Vec<Value>,
    ) -> Result<News, Fault> {
        let fields = change.fields.iter();
        let values: Result<Vec<Value>, Fault> =
            fields.map(|field| compared(field, inputs, texts, stack)).collect();
        let values = values?;
        let sent = self.keys.get(id).and_then(|key| key.more.as_deref()?.sent.as_deref());
        let is_held = match change.judge(sent, &values, time, texts) {
            Verdict::Same => {
                self.metrics.filtered += 1;
                self.drop_held(id);
                return Ok(News::Same);
            }
            Verdict::Hold => true,
            Verdict::Send => false,
        };
        let keep = |value: &Value| (boxed::bits(*value), boxed::text(*value, texts));
        let values = values.iter().map(keep).collect();
        Ok(News::Changed(Changed { id, is_held, values, time }))
    }

    /// Forgets what is held back: something newer takes its place, or it is not news any more.
    fn drop_held(&mut self, id: u32) {
        let Some(sent) = self.sent_mut(id) else { return };
        let before = sent.bytes();
        if sent.held.take().is_some() {
            let freed = before - sent.bytes();
            self.state_bytes -= freed.min(self.state_bytes);
            self.metrics.filtered += 1;
        }
    }

    fn remember(&mut self, id: u32, sent: Sent) {
        let Some(key) = self.keys.get_mut(id) else { return };
        let before = key.more_bytes();
        key.more.get_or_insert_default().sent = Some(Box::new(sent));
        self.state_bytes = self.state_bytes + key.more_bytes() - before;
        self.mark_changed(id, i64::MAX);
    }

    fn sent_mut(&mut self, id: u32) -> Option<&mut Sent> {
        self.keys.get_mut(id)?.more.as_deref_mut()?.sent.as_deref_mut()
    }
}

/// A value that decides.
fn compared(
    program: &Program,
    inputs: &Inputs<'_>,
    texts: &mut Texts<'_>,
    stack: &mut Vec<Value>,
) -> Result<Value, Fault> {
    let value = evaluate(program, inputs, texts, stack)?;
    if matches!(value, Value::Composite | Value::Json(_)) {
        let name = &program.source;
        let message = format!("`change` cannot compare `{name}`, it is {}", value.kind());
        return Err(Fault { code: code::TYPE_FAULT, message });
    }
    Ok(value)
}

/// When what a key holds back is to be sent.
pub(super) fn held_until(rule: &Rule, key: &KeyState) -> Option<i64> {
    let every = rule.change.as_ref()?.at_most_every?;
    let sent = key.more.as_deref()?.sent.as_deref()?;
    sent.held.as_ref().map(|_| sent.at.saturating_add(every))
}

/// Keeps of a message what its destination does not say.
pub(super) fn hold(emission: Emission) -> HeldMessage {
    HeldMessage { id: emission.id, topic: emission.topic.into(), payload: emission.payload.into() }
}

/// A message that has waited.
pub(super) fn release(rule: &Rule, destination: &Destination, message: HeldMessage) -> Emission {
    let HeldMessage { id, topic, payload } = message;
    emission(rule, destination, (id, topic.into(), payload.into()))
}
