//! Buffers that are reused from message to message, so that computing allocates nothing.

use crate::expression::Inputs;
use crate::message::Event;
use crate::payload::Decode;
use crate::plan::Plan;
use crate::topic::Route;
use crate::value::{Texts, Value};
use crate::window::Merged;

/// All buffers of the engine.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(super) arena: String,
    pub(super) fields: Vec<Value>,
    pub(super) levels: Vec<u32>,
    pub(super) routes: Vec<Route>,
    pub(super) message: Scratch,
    pub(super) result: ResultWork,
}

/// Buffers for the values of a message.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(super) locals: Vec<Value>,
    pub(super) columns: Vec<Value>,
    pub(super) stack: Vec<Value>,
    pub(super) key: Vec<u8>,
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

/// A message while it goes through the rules.
pub(crate) struct Message<'m> {
    pub(super) event: &'m Event<'m>,
    pub(super) fields: &'m [Value],
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

    /// Whether one of the rules that were found reads JSON.
    pub(super) fn wants_json(&self, plan: &Plan) -> bool {
        self.routes.iter().any(|route| {
            plan.rules.get(route.rule as usize).is_some_and(|rule| rule.decode == Decode::Json)
        })
    }
}
