//! Plays the messages of a test, with a store that survives power cuts.

use std::collections::BTreeMap;

use crate::engine::Engine;
use crate::hash::mix;
use crate::json::write_number;
use crate::limits::CASE_STEPS_MAX;
use crate::message::{Emission, Event, Timestamp};
use crate::plan::Plan;
use crate::spec::{Action, CaseSpec, PayloadSpec, StepMessage};
use crate::state::StateError;
use crate::trace::{Fate, Step};

/// An engine, its store and what is to be played.
pub(super) struct Player<'c> {
    plan: Plan,
    case: &'c CaseSpec,
    engine: Engine,
    store: Store,
    /// Messages since the last commit: a power cut plays them again.
    pending: Vec<Played>,
    /// The rules that are traced.
    traced: Vec<String>,
    steps: Vec<Step>,
    steps_missed: u64,
}

/// What came of playing everything.
pub(super) struct Outcome {
    /// What was sent, unless the state could not be read back.
    pub(super) sent: Result<Vec<Emission>, StateError>,
    pub(super) steps: Vec<Step>,
    /// Steps that there was no room for, after those.
    pub(super) steps_missed: u64,
}

/// What a broker keeps on disk.
#[derive(Default)]
struct Store {
    snapshot: Vec<Vec<u8>>,
    deltas: Vec<Vec<u8>>,
    /// What was sent, in order; a replay finds the same identifiers.
    sent: Vec<Emission>,
    known: BTreeMap<u128, usize>,
}

/// A message at its time.
#[derive(Clone)]
struct Played {
    at: i64,
    topic: String,
    payload: Vec<u8>,
    qos: u8,
    retain: bool,
    client: String,
}

/// A step in time: a message or a power cut.
enum Move {
    Message(Played),
    PowerCut(i64),
}

impl<'c> Player<'c> {
    pub(super) fn new(plan: Plan, case: &'c CaseSpec) -> Self {
        let engine = Engine::new(plan.clone());
        Self {
            plan,
            case,
            engine,
            store: Store::default(),
            pending: Vec::new(),
            traced: Vec::new(),
            steps: Vec::new(),
            steps_missed: 0,
        }
    }

    /// Writes down what these rules do; the one that is tested comes first.
    pub(super) fn trace(&mut self, rules: Vec<&str>) {
        self.traced = rules.into_iter().map(str::to_owned).collect();
        self.start_trace();
    }

    /// Plays everything.
    pub(super) fn run(mut self) -> Outcome {
        let played = self.play_all();
        let Self { store, steps, steps_missed, .. } = self;
        Outcome { sent: played.map(|()| store.sent), steps, steps_missed }
    }

    fn play_all(&mut self) -> Result<(), StateError> {
        for (position, next) in self.moves().into_iter().enumerate() {
            match next {
                Move::Message(message) => {
                    self.play(&message);
                    self.pending.push(message);
                    if position % COMMIT_EVERY == COMMIT_EVERY - 1 {
                        self.commit();
                    }
                }
                Move::PowerCut(at) => self.power_cut(at)?,
            }
        }
        self.finish();
        self.commit();
        Ok(())
    }

    fn start_trace(&mut self) {
        for rule in &self.traced {
            // A rule that is not enabled does not run in its tests either.
            let _ = self.engine.set_traced(rule, CASE_STEPS_MAX);
        }
    }

    fn take_steps(&mut self) {
        if !self.traced.is_empty() {
            self.steps_missed += self.engine.take_steps(&mut self.steps);
            self.steps_missed += self.steps.len().saturating_sub(CASE_STEPS_MAX) as u64;
            self.steps.truncate(CASE_STEPS_MAX);
        }
    }

    fn trace_power_cut(&mut self, at: i64) {
        let Some(rule) = self.traced.first() else { return };
        self.steps.push(Step {
            rule: rule.as_str().into(),
            at: Timestamp(at),
            topic: None,
            part: None,
            key: None,
            time: None,
            fate: Fate::PowerCut,
            outcomes: Vec::new(),
            mark: None,
        });
        self.start_trace();
    }

    /// All steps with their repetitions, in the order of their times.
    fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        let mut random = SEED;
        for step in &self.case.play {
            let start = self.case.start + step.at;
            match &step.action {
                Action::PowerCut => moves.push((start, Move::PowerCut(start))),
                Action::Message(message) => {
                    for number in 0..message.repeat {
                        let at = start + message.every * i64::from(number);
                        let payload = payload(message, at, number, &mut random);
                        let played = Played {
                            at,
                            topic: message.topic.clone(),
                            payload,
                            qos: message.qos,
                            retain: message.retain,
                            client: message.client.clone(),
                        };
                        moves.push((at, Move::Message(played)));
                    }
                }
            }
        }
        moves.sort_by_key(|(at, _)| *at);
        moves.into_iter().map(|(_, next)| next).collect()
    }

    fn play(&mut self, message: &Played) {
        let arrived = Timestamp(message.at);
        let event = Event {
            topic: &message.topic,
            payload: &message.payload,
            qos: message.qos,
            retain: message.retain,
            client: &message.client,
            arrived,
        };
        let mut out = Vec::new();
        self.engine.handle(arrived, &event, &mut out);
        self.take_steps();
        self.store.send(out);
    }

    /// Stores what changed, now and then as a whole.
    fn commit(&mut self) {
        self.pending.clear();
        let mut delta = Vec::new();
        if self.engine.take_delta(&mut delta) {
            self.store.deltas.push(delta);
        }
        if self.store.deltas.len() > DELTAS_MAX {
            let snapshot = &mut self.store.snapshot;
            snapshot.clear();
            self.engine.snapshot(SHARD_BYTES, &mut |shard| snapshot.push(shard.to_vec()));
            self.store.deltas.clear();
        }
    }

    /// A new engine from the store; what was not stored is played again.
    fn power_cut(&mut self, at: i64) -> Result<(), StateError> {
        let (snapshot, deltas) = (self.store.snapshot.iter(), self.store.deltas.iter());
        self.engine = Engine::restore(self.plan.clone(), snapshot, deltas)?;
        self.trace_power_cut(at);
        for message in std::mem::take(&mut self.pending) {
            self.play(&message);
        }
        self.commit();
        let mut out = Vec::new();
        self.engine.advance(Timestamp(at), &mut out);
        self.take_steps();
        self.store.send(out);
        Ok(())
    }

    /// Lets the clock run to the end of the test.
    fn finish(&mut self) {
        let until = self.case.until.map(|until| self.case.start + until);
        for _ in 0..TIMERS_MAX {
            let Some(next) = self.engine.poll_timeout() else { return };
            if until.is_some_and(|until| next.0 > until) {
                return;
            }
            let mut out = Vec::new();
            self.engine.advance(next, &mut out);
            self.take_steps();
            self.store.send(out);
        }
    }
}

impl Store {
    /// Keeps what is sent; the same identifier overwrites the same row.
    fn send(&mut self, out: Vec<Emission>) {
        for emission in out {
            match self.known.get(&emission.id).and_then(|at| self.sent.get_mut(*at)) {
                Some(row) => *row = emission,
                None => {
                    self.known.insert(emission.id, self.sent.len());
                    self.sent.push(emission);
                }
            }
        }
    }
}

/// The payload of one repetition.
fn payload(message: &StepMessage, at: i64, number: u32, random: &mut u64) -> Vec<u8> {
    let text = match &message.payload {
        PayloadSpec::Bytes(bytes) => return bytes.clone(),
        PayloadSpec::Text(text) => text,
    };
    let mut payload = text.replace("${at}", &at.to_string()).replace("${n}", &number.to_string());
    for (field, width) in &message.jitter {
        *random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let unit = (mix(*random) >> 11) as f64 / (1u64 << 53) as f64;
        let difference = width * (2.0 * unit - 1.0);
        payload = if field.is_empty() {
            shifted(payload.trim(), difference).unwrap_or(payload)
        } else {
            shift_field(&payload, field, difference).unwrap_or(payload)
        };
    }
    payload.into_bytes()
}

/// A number as text, with something added.
fn shifted(number: &str, difference: f64) -> Option<String> {
    let number: f64 = number.parse().ok()?;
    let mut out = String::new();
    write_number(number + difference, &mut out);
    Some(out)
}

/// An object in which one number is changed; everything else stays as it is written.
fn shift_field(payload: &str, field: &str, difference: f64) -> Option<String> {
    let label = format!("\"{field}\":");
    let start = payload.find(&label)? + label.len();
    let rest = payload.get(start..)?;
    let end = rest.find([',', '}']).unwrap_or(rest.len());
    let number = shifted(rest.get(..end)?.trim(), difference)?;
    Some(format!("{}{number}{}", payload.get(..start)?, rest.get(end..)?))
}

const SEED: u64 = 0x7765_6972;
/// Not 1, so that a power cut finds messages that were not stored.
const COMMIT_EVERY: usize = 3;
const DELTAS_MAX: usize = 16;
const SHARD_BYTES: usize = 64 << 10;
const TIMERS_MAX: usize = 10_000_000;
