//! The running rules.
//!
//! [`Engine::handle`] takes a message through all rules that read its topic; [`Engine::advance`]
//! fires timers. What comes out depends only on the messages, their arrival stamps and the times
//! given to `advance`, never on how often it is called. A timer that is due at a time fires before
//! a message that arrived at that time.

mod alert;
mod births;
mod change;
mod close;
mod collect;
mod control;
mod count;
mod dedupe;
mod due;
mod exchange;
mod fold;
mod intake;
mod join;
mod life;
mod lookup;
mod peek;
mod records;
mod run;
mod session;
mod source;
mod trace;
mod work;

use std::collections::VecDeque;
use std::sync::Arc;

pub use exchange::{RuleChange, RuleChangeKind};
pub use peek::PeekError;

use life::Turn;
use records::Payload;
use work::{Link, Message, Seed, Work};

use crate::message::{Emission, Event, Guarantee, Timestamp};
use crate::plan::Plan;
use crate::rule::Rule;
use crate::running::Running;
use crate::state::{self, StateError};
use crate::timer::Timers;
use crate::value::Texts;
use crate::watermark::CLOCK_TRUSTED_FROM;

/// The rules of a plan and their state.
///
/// ```
/// use weir_rules::{Engine, Event, Source, Timestamp, compile};
///
/// let file = Source::new(
///     "climate.toml",
///     r#"
///     [rule.room]
///     from   = "site/{room}/climate"
///     by     = ["room"]
///     window = "tumbling 1m"
///     select = { temp = "avg(t)" }
///     to     = "agg/{room}"
///     "#,
/// );
/// let mut engine = Engine::new(compile(&[file]).expect("the rule is correct"));
/// let mut out = Vec::new();
/// for (ms, payload) in [(0, r#"{"t":20}"#), (30_000, r#"{"t":22}"#)] {
///     let event = Event {
///         topic: "site/hall/climate",
///         payload: payload.as_bytes(),
///         qos: 0,
///         retain: false,
///         client: "sensor",
///         arrived: Timestamp(ms),
///     };
///     engine.handle(Timestamp(ms), &event, &mut out);
/// }
/// assert_eq!(engine.poll_timeout(), Some(Timestamp(60_000)));
/// engine.advance(Timestamp(60_000), &mut out);
/// assert_eq!(out[0].topic, "agg/hall");
/// assert!(out[0].payload.starts_with(br#"{"room":"hall","temp":21,"window":"#));
/// ```
#[derive(Debug)]
pub struct Engine {
    plan: Plan,
    /// One for each rule of the plan.
    running: Vec<Running>,
    timers: Timers,
    work: Work,
    /// Whether a rule that is not stored only now and then has used a message.
    is_urgent: bool,
    /// When the clock of the box was set, in milliseconds.
    clock_set_at: i64,
}

impl Engine {
    /// An engine without state.
    pub fn new(plan: Plan) -> Self {
        let running = plan.rules.iter().map(|_| Running::default()).collect();
        let work = Work::new(&plan);
        let timers = Timers::default();
        Self { plan, running, timers, work, is_urgent: false, clock_set_at: CLOCK_TRUSTED_FROM }
    }

    /// An engine that goes on where another one stopped.
    ///
    /// `snapshot` are all blobs of the newest snapshot, `deltas` all blobs taken since, in order.
    /// The state of a rule that is gone, or that now keeps something else, is dropped.
    ///
    /// # Errors
    /// A blob is damaged or of another version.
    pub fn restore<S: AsRef<[u8]>, D: AsRef<[u8]>>(
        plan: Plan,
        snapshot: impl Iterator<Item = S>,
        deltas: impl Iterator<Item = D>,
    ) -> Result<Self, StateError> {
        let mut engine = Self::new(plan);
        for blob in snapshot {
            state::apply(blob.as_ref(), state::Kind::Snapshot, &engine.plan, &mut engine.running)?;
        }
        for blob in deltas {
            state::apply(blob.as_ref(), state::Kind::Delta, &engine.plan, &mut engine.running)?;
        }
        engine.set_all_timers();
        Ok(engine)
    }

    /// Sets the timers of an engine that has none yet.
    fn set_all_timers(&mut self) {
        let Self { plan, running, timers, .. } = self;
        for (index, (rule, running)) in plan.rules.iter().zip(running).enumerate() {
            running.finish_restore(rule, index as u32, timers);
            if running.paused {
                running.stop_timers(index as u32, timers);
            }
        }
    }

    /// Stamps of messages that arrived before the clock of the box was set are not held against it.
    /// Without this, or with an earlier time, it counts as set from 2020 on.
    pub fn set_clock_at(&mut self, time: Timestamp) {
        self.clock_set_at = time.0.max(CLOCK_TRUSTED_FROM);
    }

    /// Computes one message. `now` is the time of the turn, not before `event.arrived`.
    pub fn handle(&mut self, now: Timestamp, event: &Event<'_>, out: &mut Vec<Emission>) {
        self.handle_watched(now, event, out, |_| {});
    }

    /// Computes one message, and tells how far it is, for those who measure how long that takes:
    /// without a number when the rules are found, with the number of a rule in
    /// [`Engine::status`] when that rule is done.
    pub fn handle_watched(
        &mut self,
        now: Timestamp,
        event: &Event<'_>,
        out: &mut Vec<Emission>,
        mut watch: impl FnMut(Option<usize>),
    ) {
        debug_assert!(event.arrived <= now, "a message arrives before it is handled");
        self.advance(event.arrived, out);
        let Self { plan, work, .. } = self;
        plan.router.find(event.topic, &mut work.levels, &mut work.routes);
        if work.routes.is_empty() {
            return;
        }
        self.run(event, out, &mut watch);
        self.run_links(event.arrived, out, &mut watch);
    }

    /// Takes a retained message to the joins that want it, at the start: what was published before
    /// there were rules. It changes nothing for a join that knows as much or more; with
    /// `only_missing`, for one that knows anything.
    pub fn seed(&mut self, event: &Event<'_>, only_missing: bool, out: &mut Vec<Emission>) {
        let Self { plan, work, .. } = self;
        plan.router.find(event.topic, &mut work.levels, &mut work.routes);
        work.routes.retain(|route| route.joined().is_some());
        work.seed = Some(if only_missing { Seed::Missing } else { Seed::Newer });
        self.run(event, out, &mut |_| {});
        self.work.seed = None;
    }

    /// Takes results of rules through the rules that read them, until none are left: rules do not
    /// read each other in a circle.
    fn run_links(
        &mut self,
        now: Timestamp,
        out: &mut Vec<Emission>,
        watch: &mut dyn FnMut(Option<usize>),
    ) {
        while let Some(link) = self.work.links.pop_front() {
            let Self { plan, work, .. } = self;
            work.levels.clear();
            work.routes.clear();
            work.routes.extend_from_slice(plan.readers.get(&link.rule).map_or(&[], Vec::as_slice));
            let topic = format!("rule:{}", link.rule);
            let event = Event {
                topic: &topic,
                payload: &link.payload,
                qos: 1,
                retain: false,
                client: "",
                arrived: now,
            };
            self.run(&event, out, watch);
        }
    }

    /// Takes a message through the rules that its routes name.
    fn run(
        &mut self,
        event: &Event<'_>,
        out: &mut Vec<Emission>,
        watch: &mut dyn FnMut(Option<usize>),
    ) {
        let Self { plan, running, timers, work, is_urgent, clock_set_at } = self;
        let mut arena = std::mem::take(&mut work.arena);
        arena.clear();
        let text = std::str::from_utf8(event.payload);
        let mut message = Message {
            event: *event,
            clock_is_set: event.arrived.0 >= *clock_set_at,
            record: None,
            fields: &mut work.fields,
            levels: &work.levels,
            texts: Texts {
                arena,
                client: event.client,
                constants: &plan.constants,
                payload: text.unwrap_or_default(),
                topic: event.topic,
            },
            scratch: &mut work.message,
        };
        let mut payload = Payload::new(text, &plan.fields);
        watch(None);
        for route in &work.routes {
            let index = route.rule as usize;
            let (Some(rule), Some(running)) = (plan.rules.get(index), running.get_mut(index))
            else {
                continue;
            };
            *is_urgent |= rule.guarantee != Guarantee::BestEffort;
            let constants = &plan.constants;
            let result = &mut work.result;
            let index = route.rule;
            // What it joins, and what devices announce, it keeps up with, so that it goes on with what
            // holds then.
            if running.paused && route.joined().is_none() {
                running.trace_paused(rule, event);
                running.overhear(rule, &mut message, route.filter);
                continue;
            }
            let sent_before = out.len();
            let mut turn = Turn {
                rule,
                index,
                clock: event.arrived.0,
                seed: work.seed,
                constants,
                timers,
                work: result,
                out,
            };
            let source = (rule.decode_of(*route), route.filter);
            if !running.paused {
                running.metrics.bytes_in += event.payload.len() as u64;
            }
            running.take(&mut turn, &mut message, &mut payload, source);
            running.count_sent(&turn, sent_before);
            take_links(rule, out, sent_before, &mut work.links);
            watch(Some(route.rule as usize));
        }
        work.arena = message.texts.arena;
    }

    /// Fires the timers that are due at `now`, in the order of their times.
    pub fn advance(&mut self, now: Timestamp, out: &mut Vec<Emission>) {
        while let Some(timer) = self.timers.take_due(now.0) {
            let Self { plan, running, timers, work, .. } = self;
            let index = timer.rule as usize;
            let (Some(rule), Some(running)) = (plan.rules.get(index), running.get_mut(index))
            else {
                continue;
            };
            let constants = &plan.constants;
            let result = &mut work.result;
            let (index, clock) = (timer.rule, timer.deadline);
            let sent_before = out.len();
            let mut turn =
                Turn { rule, index, clock, seed: None, constants, timers, work: result, out };
            running.fire(&mut turn, timer.key);
            take_links(rule, out, sent_before, &mut work.links);
            self.run_links(Timestamp(clock), out, &mut |_| {});
        }
    }

    /// When `advance` has work to do next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.timers.first().map(Timestamp)
    }

    /// Appends what changed since the last call as one blob; `false` if nothing did.
    ///
    /// It holds absolute values of the panes and keys that were touched, so that applying it twice
    /// does no harm. Store it in the transaction that stores the input position.
    pub fn take_delta(&mut self, out: &mut Vec<u8>) -> bool {
        state::write_delta(&self.plan, &mut self.running, out)
    }

    /// Gives the whole state as blobs of at most `shard_bytes_max` bytes, or of one key.
    ///
    /// What `take_delta` would give is in it, and stays due.
    pub fn snapshot(&mut self, shard_bytes_max: usize, shard: &mut dyn FnMut(&[u8])) {
        state::write_snapshot(&self.plan, &self.running, shard_bytes_max, shard);
    }

    /// Number of rules.
    pub fn rules(&self) -> usize {
        self.running.len()
    }

    /// Whether a message since the last call went to a rule with another guarantee than
    /// [`Guarantee::BestEffort`]: then its position is worth a commit.
    pub fn take_urgent(&mut self) -> bool {
        std::mem::take(&mut self.is_urgent)
    }

    /// Counters and sizes of each rule.
    pub fn status(&self) -> Vec<RuleStatus> {
        let rules = self.plan.rules.iter().zip(&self.running);
        rules.map(|(rule, running)| running.status(rule)).collect()
    }
}

/// Takes what a rule has sent to the rules that read it out of what goes to the broker.
fn take_links(rule: &Rule, out: &mut Vec<Emission>, start: usize, links: &mut VecDeque<Link>) {
    if rule.is_read {
        let sent = out.extract_if(start.., |one| one.is_link);
        links.extend(sent.map(|one| Link { rule: one.rule, payload: one.payload }));
    }
}

/// Counters and sizes of one rule. Counters start at zero with the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleStatus {
    /// Name of the rule.
    pub name: Arc<str>,
    /// Whether it takes no messages for now.
    pub paused: bool,
    /// Bytes of the payloads that matched.
    pub bytes_in: u64,
    /// Bytes of the payloads sent, without dead letters.
    pub bytes_out: u64,
    /// When it has sent a message last.
    pub last_sent: Option<Timestamp>,
    /// How far the watermark was behind the arrival of the last message, in milliseconds; only of
    /// rules with `time`.
    pub lag_ms: Option<i64>,
    /// Messages that matched `from`.
    pub matched: u64,
    /// Messages that `where` did not let pass, and empty payloads.
    pub filtered: u64,
    /// Messages older than the watermark.
    pub late: u64,
    /// Messages that went into no result: too late, or refused by a limit.
    pub dropped: u64,
    /// Errors by code.
    pub errors: Vec<(&'static str, u64)>,
    /// Messages sent, without dead letters; one for all rules that read its results.
    pub emitted: u64,
    /// Keys kept now.
    pub keys: usize,
    /// Estimate of the memory of the state.
    pub state_bytes: usize,
}

#[cfg(test)]
mod tests;
