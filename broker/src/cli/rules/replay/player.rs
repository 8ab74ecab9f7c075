//! A rule on a virtual clock that the messages of the history move.

use weir_core::MessageParts;
use weir_rules::{Emission, Engine, Event, Plan, Step, Timestamp};

use super::super::super::CliError;

/// What a rule has sent, and when.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) at: Timestamp,
    pub(super) emission: Emission,
}

/// What is to be done with it.
pub(super) type Take<'a> = dyn FnMut(Sent) -> Result<(), CliError> + 'a;

/// A rule with those that it reads.
pub(super) struct Player {
    engine: Engine,
    filters: Vec<String>,
    rule: String,
    out: Vec<Emission>,
}

impl Player {
    /// A rule without state.
    pub(super) fn new(plan: Plan, rule: &str) -> Self {
        let filters = plan.filters().map(str::to_owned).collect();
        Self { engine: Engine::new(plan), filters, rule: rule.to_owned(), out: Vec::new() }
    }

    /// Lets the rule write down what it does with each message.
    pub(super) fn trace(&mut self) {
        self.engine.set_traced(&self.rule, usize::MAX);
    }

    /// What it has written down since the last call: nothing is missing.
    pub(super) fn take_steps(&mut self, steps: &mut Vec<Step>) {
        let missed = self.engine.take_steps(steps);
        assert_eq!(missed, 0, "there is room for every step");
    }

    /// The topics that it reads.
    pub(super) fn filters(&self) -> Vec<String> {
        self.filters.clone()
    }

    /// Takes a message at the time at which it came.
    pub(super) fn handle(
        &mut self,
        message: &MessageParts<'_>,
        take: &mut Take<'_>,
    ) -> Result<(), CliError> {
        self.advance(message.received_at_ms, take)?;
        let arrived = timestamp(message.received_at_ms);
        let event = Event {
            topic: message.topic,
            payload: message.payload,
            qos: message.qos as u8,
            retain: message.retain,
            client: message.publisher,
            arrived,
        };
        self.engine.handle(arrived, &event, &mut self.out);
        self.give(arrived, take)
    }

    /// Lets the clock run on, from timer to timer.
    pub(super) fn advance(&mut self, unix_ms: u64, take: &mut Take<'_>) -> Result<(), CliError> {
        while self.advance_once(unix_ms, take)? {}
        Ok(())
    }

    /// Lets the clock run on to the next time at which a timer is due; `false` if there is none.
    pub(super) fn advance_once(
        &mut self,
        unix_ms: u64,
        take: &mut Take<'_>,
    ) -> Result<bool, CliError> {
        let next = self.engine.poll_timeout().filter(|next| *next <= timestamp(unix_ms));
        let Some(next) = next else { return Ok(false) };
        self.engine.advance(next, &mut self.out);
        self.give(next, take)?;
        Ok(true)
    }

    /// Gives results of the rule, and what rules that it reads could not use.
    fn give(&mut self, at: Timestamp, take: &mut Take<'_>) -> Result<(), CliError> {
        for emission in self.out.drain(..) {
            if emission.error.is_some() || *emission.rule == *self.rule {
                take(Sent { at, emission })?;
            }
        }
        Ok(())
    }
}

fn timestamp(unix_ms: u64) -> Timestamp {
    Timestamp(i64::try_from(unix_ms).unwrap_or(i64::MAX))
}
