//! Buffers that are reused from message to message, so that computing allocates nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::expression::Inputs;
use crate::key::{KeyState, take_part};
use crate::message::Event;
use crate::plan::Plan;
use crate::rule::Rule;
use crate::topic::Route;
use crate::value::{Texts, Value};
use crate::window::Merged;

/// Which values retained messages bring at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seed {
    /// Those of which none is known.
    Missing,
    /// Those that arrived after what is known, too.
    Newer,
}

/// All buffers of the engine.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(super) arena: String,
    pub(super) fields: Vec<Value>,
    pub(super) levels: Vec<u32>,
    pub(super) routes: Vec<Route>,
    pub(super) message: Scratch,
    /// Which values of retained messages joins take; see `Engine::seed`.
    pub(super) seed: Option<Seed>,
    /// Results that wait for the rules that read them; empty between messages.
    pub(super) links: VecDeque<Link>,
    pub(super) result: ResultWork,
}

/// A result on its way to the rules that read it.
#[derive(Debug)]
pub(super) struct Link {
    /// Name of the rule that made it.
    pub(super) rule: Arc<str>,
    pub(super) payload: Vec<u8>,
}

/// Buffers for the values of a message.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(super) locals: Vec<Value>,
    pub(super) columns: Vec<Value>,
    pub(super) stack: Vec<Value>,
    pub(super) key: Vec<u8>,
    /// What `dedupe` recognises the message by.
    pub(super) seen: Vec<u8>,
}

/// Buffers for the values of a result. Windows close while a message is computed, so they are
/// not the same as those of the message.
#[derive(Debug, Default)]
pub(crate) struct ResultWork {
    pub(super) arena: String,
    pub(super) locals: Vec<Value>,
    pub(super) stack: Vec<Value>,
    pub(super) merged: Merged,
}

impl ResultWork {
    /// Empties the locals, but for the values of a key.
    pub(super) fn start(&mut self, rule: &Rule, key: &KeyState, texts: &mut Texts<'_>) {
        self.locals.clear();
        self.locals.resize(rule.locals, Value::Null);
        let mut parts = &*key.bytes;
        for part in &rule.by {
            let value = take_part(&mut parts, texts);
            debug_assert!(value.is_some(), "a key has a part for each `by`");
            self.locals[usize::from(part.slot)] = value.unwrap_or(Value::Null);
        }
    }
}

/// A message while it goes through the rules.
pub(crate) struct Message<'m> {
    /// The message; if its payload is one of several, only that part of it.
    pub(super) event: Event<'m>,
    /// Whether the clock of the box was right when it came, as far as that is known.
    pub(super) clock_is_set: bool,
    /// Which part of the payload it is.
    pub(super) record: Option<(&'static str, u32)>,
    pub(super) fields: &'m mut Vec<Value>,
    /// Where the levels of the topic start.
    pub(super) levels: &'m [u32],
    pub(super) texts: Texts<'m>,
    pub(super) scratch: &'m mut Scratch,
}

impl<'m> Message<'m> {
    /// What programs read, and the buffers they write.
    pub(super) fn split(&mut self) -> (Inputs<'_>, &mut Texts<'m>, &mut Vec<Value>) {
        let inputs = Inputs {
            fields: self.fields,
            locals: &self.scratch.locals,
            qos: self.event.qos,
            retain: self.event.retain,
            now: self.event.arrived.0,
        };
        (inputs, &mut self.texts, &mut self.scratch.stack)
    }
}

impl Work {
    pub(super) fn new(plan: &Plan) -> Self {
        Self { fields: vec![Value::Null; plan.fields.len()], ..Self::default() }
    }
}
