//! Takes a message through one rule: values, key, `where`, then a result or a pane.

use super::change::News;
use super::life::Turn;
use super::records::fault;
use super::work::Message;
use crate::boxed;
use crate::code;
use crate::emit::{body, identity, send};
use crate::expression::{Fault, Program, evaluate};
use crate::key::push_part;
use crate::limits::KEY_BYTES_MAX;
use crate::rule::Rule;
use crate::running::Running;
use crate::topic::{Capture, Route};
use crate::trace::{Fate, Filtered};
use crate::value::{Place, Text, Value, whole};
use crate::watermark::Time;

impl Running {
    /// Computes one message. `decoded` is the fault of decoding it, if any.
    pub(super) fn handle(
        &mut self,
        turn: &mut Turn<'_>,
        message: &mut Message<'_>,
        filter: u16,
        decoded: Result<(), Fault>,
    ) {
        if let Some(join) = (Route { rule: turn.index, filter }).joined() {
            self.keep_joined(turn, message, join, decoded);
            return;
        }
        self.metrics.matched += 1;
        let start = turn.out.len();
        let outcome = decoded.and_then(|()| self.compute(turn, message, filter));
        if let Err(fault) = outcome {
            if fault.code == code::KEYS_FAULT || fault.code == code::MEMORY_FAULT {
                self.metrics.dropped += 1;
            }
            if self.is_traced() {
                self.trace_fault(turn.rule, message, (filter, &fault));
            }
            let event = message.event;
            self.report(turn, message.name(fault), event.topic, event.payload);
        }
        if self.is_traced() {
            self.trace_message(turn, message, start);
        }
    }

    fn compute(
        &mut self,
        turn: &mut Turn<'_>,
        message: &mut Message<'_>,
        filter: u16,
    ) -> Result<(), Fault> {
        let rule = turn.rule;
        message.start(rule, filter)?;
        self.load_joins(rule, message)?;
        if !message.look_up(rule)? {
            self.pass_by(Filtered::Lookup);
            return Ok(());
        }
        message.lets(rule, false)?;
        message.key(rule)?;
        if self.is_traced() {
            self.trace_key(rule, message);
        }
        if self.is_repeat(turn, message)? {
            return Ok(());
        }
        if !rule.remembers() {
            return self.judge(turn, message);
        }
        let id = match self.keys.find(&message.scratch.key) {
            Some(id) => id,
            None => self.add_key(turn, &message.scratch.key, 0)?,
        };
        self.load_prev(rule, message, id);
        self.load_folds(rule, message, id);
        let lets = message.lets(rule, true);
        let time = match rule.folds.is_empty() {
            true => Ok(message.event.arrived.0),
            false => message.time(rule),
        };
        let outcome = match (lets, &time) {
            (Ok(()), Ok(_)) => self.judge(turn, message),
            (Err(fault), _) => Err(fault),
            (_, Err(fault)) => Err(fault.clone()),
        };
        // The message is the one before the next, whatever came of it.
        let stored = self.store_prev(turn, message, id);
        // Without its time it belongs nowhere in the history.
        let folded = time.map_or(Ok(()), |time| self.store_folds(turn, message, id, time));
        outcome.and(stored).and(folded)
    }

    /// Asks `where` and uses the message if it passes.
    fn judge(&mut self, turn: &mut Turn<'_>, message: &mut Message<'_>) -> Result<(), Fault> {
        let rule = turn.rule;
        let passes = match &rule.filter {
            None => true,
            Some(program) => message.is_true(program, "where")?,
        };
        if !passes {
            self.pass_by(Filtered::Where);
            return Ok(());
        }
        match &rule.window {
            None => self.pass(turn, message),
            Some(window) => self.collect(turn, message, window),
        }
    }

    /// Sends the result of a rule without window.
    fn pass(&mut self, turn: &mut Turn<'_>, message: &mut Message<'_>) -> Result<(), Fault> {
        let rule = turn.rule;
        for output in rule.select.as_deref().unwrap_or_default() {
            let value = message.evaluate(&output.program)?;
            if value == Value::Composite {
                let name = &output.program.source;
                let message = format!("`{name}` is an object or array: select its fields");
                return Err(Fault { code: code::TYPE_FAULT, message });
            }
            message.scratch.locals[usize::from(output.slot)] = value;
        }
        if let Some(having) = &rule.having
            && !message.is_true(having, "having")?
        {
            self.pass_by(Filtered::Having);
            return Ok(());
        }
        if let Some(alert) = &rule.alert {
            return self.watch(turn, message, alert);
        }
        let news = self.find_news(turn, message)?;
        if matches!(news, News::Same) {
            if self.is_traced() {
                self.trace_fate(Fate::Filtered(Filtered::Change));
            }
            return Ok(());
        }
        let made = rule
            .select
            .as_ref()
            .map(|outputs| body(&rule.by, outputs, None, &message.scratch.locals, &message.texts));
        let payload = made.as_ref().map_or(message.event.payload, |body| body.as_bytes());
        let identity =
            identity(rule).bytes(&message.scratch.key).number(self.next_sequence(turn.clock));
        let (inputs, texts, stack) = message.split();
        let start = turn.out.len();
        send(rule, (payload, None), identity, &inputs, texts, stack, turn.out)?;
        let holder = news.holder();
        self.keep_news(rule, news, turn.out, start)?;
        self.metrics.emitted += self.keep_last(turn, message, start)?;
        if let Some(id) = holder {
            if self.is_traced() {
                self.trace_fate(Fate::Held);
            }
            self.set_timer(turn, id);
        }
        Ok(())
    }

    /// Counts a message that goes no further.
    pub(super) fn pass_by(&mut self, why: Filtered) {
        self.metrics.filtered += 1;
        if self.is_traced() {
            self.trace_fate(Fate::Filtered(why));
        }
    }

    fn load_prev(&self, rule: &Rule, message: &mut Message<'_>, id: u32) {
        let more = self.keys.get(id).and_then(|key| key.more.as_ref());
        for (position, prev) in rule.prev.iter().enumerate() {
            let stored = more.and_then(|more| more.prev.get(position));
            let value = stored.map_or(Value::Null, |(bits, text)| {
                boxed::value(*bits, text.as_deref().unwrap_or_default(), &mut message.texts)
            });
            message.scratch.locals[usize::from(prev.slot)] = value;
        }
    }

    fn store_prev(
        &mut self,
        turn: &mut Turn<'_>,
        message: &mut Message<'_>,
        id: u32,
    ) -> Result<(), Fault> {
        let rule = turn.rule;
        if rule.prev.is_empty() {
            return Ok(());
        }
        let mut texts = 0;
        message.scratch.columns.clear();
        for prev in &rule.prev {
            let value = message.evaluate(&prev.program)?;
            if let Value::Text(text) = value {
                texts += text.len as usize;
            }
            message.scratch.columns.push(value);
        }
        let outcome = self.check_memory(rule, texts);
        let Some(key) = self.keys.get_mut(id) else { return Ok(()) };
        let before = key.more_bytes();
        let kept = &mut key.more.get_or_insert_default().prev;
        kept.resize(rule.prev.len(), (boxed::NULL, None));
        for (place, value) in kept.iter_mut().zip(&message.scratch.columns) {
            // Without room for the new value, the old one must not stand for it.
            let value = if outcome.is_ok() { *value } else { Value::Null };
            *place = (boxed::bits(value), boxed::text(value, &message.texts));
        }
        key.arrived = message.event.arrived.0;
        self.state_bytes = self.state_bytes + key.more_bytes() - before;
        self.mark_changed(id, i64::MAX);
        self.set_timer(turn, id);
        outcome
    }
}

impl Message<'_> {
    /// Sets the locals that the message itself gives: captures and the value of the payload.
    fn start(&mut self, rule: &Rule, filter: u16) -> Result<(), Fault> {
        let locals = &mut self.scratch.locals;
        locals.clear();
        locals.resize(rule.locals, Value::Null);
        let captures = rule.captures.get(usize::from(filter)).map_or(&[][..], Vec::as_slice);
        for (slot, capture) in captures.iter().enumerate() {
            locals[slot] = capture_value(*capture, self.event.topic, self.levels);
        }
        let Some(slot) = rule.value else { return Ok(()) };
        let value = rule.decode.read_value(self.texts.payload).map_err(|error| fault(&error))?;
        self.scratch.locals[usize::from(slot)] = value;
        Ok(())
    }

    /// When it happened.
    pub(super) fn time(&mut self, rule: &Rule) -> Result<i64, Fault> {
        let arrived = self.event.arrived.0;
        match &rule.time {
            Time::Arrival => Ok(arrived),
            Time::Field(time) => {
                let value = self.evaluate(&time.program)?;
                time.read(value, (arrived, self.clock_is_set), &self.texts)
            }
        }
    }

    fn lets(&mut self, rule: &Rule, after_key: bool) -> Result<(), Fault> {
        for one in rule.lets.iter().filter(|one| one.after_key == after_key) {
            let value = self.evaluate(&one.program)?;
            self.scratch.locals[usize::from(one.slot)] = value;
        }
        Ok(())
    }

    fn key(&mut self, rule: &Rule) -> Result<(), Fault> {
        self.scratch.key.clear();
        if rule.by_topic {
            let topic = whole(Place::Topic, self.event.topic);
            push_part(topic, &self.texts, &mut self.scratch.key);
        }
        for part in &rule.by {
            let value = self.evaluate(&part.program)?;
            self.scratch.locals[usize::from(part.slot)] = value;
            if !push_part(value, &self.texts, &mut self.scratch.key) {
                let name = &part.program.source;
                let message = format!("`by` cannot group by `{name}`, it is {}", value.kind());
                return Err(Fault { code: code::TYPE_FAULT, message });
            }
        }
        let len = self.scratch.key.len();
        if len > KEY_BYTES_MAX {
            let message = format!("key of {len} bytes, at most {KEY_BYTES_MAX} are allowed");
            return Err(Fault { code: code::SIZE_FAULT, message });
        }
        Ok(())
    }

    /// Computes the arguments of all aggregates, before anything changes.
    pub(super) fn columns(&mut self, rule: &Rule) -> Result<(), Fault> {
        self.scratch.columns.clear();
        for column in &rule.layout.columns {
            let value = self.evaluate(&column.argument)?;
            let fits = match value {
                Value::Null | Value::Number(_) => true,
                Value::Composite | Value::Json(_) => false,
                _ => !column.numeric,
            };
            if !fits {
                let name = &column.argument.source;
                let message = format!("an aggregate cannot take {} in `{name}`", value.kind());
                return Err(Fault { code: code::TYPE_FAULT, message });
            }
            self.scratch.columns.push(value);
        }
        Ok(())
    }

    pub(super) fn is_true(&mut self, program: &Program, role: &str) -> Result<bool, Fault> {
        match self.evaluate(program)? {
            Value::Bool(yes) => Ok(yes),
            Value::Null => Ok(false),
            other => {
                let message = format!("`{role}` gave {}", other.kind());
                Err(Fault { code: code::TYPE_FAULT, message })
            }
        }
    }

    pub(super) fn evaluate(&mut self, program: &Program) -> Result<Value, Fault> {
        let (inputs, texts, stack) = self.split();
        evaluate(program, &inputs, texts, stack)
    }
}

/// The part of a topic that a capture takes; `levels` are the starts of its levels.
pub(super) fn capture_value(capture: Capture, topic: &str, levels: &[u32]) -> Value {
    let start_of = |level: u16| levels.get(usize::from(level)).copied();
    let end = topic.len() as u32;
    let (start, end) = match capture {
        Capture::Level(level) => {
            let next = start_of(level.saturating_add(1));
            (start_of(level), next.map_or(end, |next| next - 1))
        }
        // `a/#` also matches `a`: then the rest is empty.
        Capture::Rest(level) => (start_of(level), end),
    };
    let start = start.unwrap_or(end);
    Value::Text(Text { place: Place::Topic, start, len: end - start })
}
