//! The rules on their way through the broker.
//!
//! A [`Pipeline`] feeds messages to the rule engine and turns what comes of it into one
//! [`InnerTurn`]: emissions, the state they came from, and the position of the input. A shard
//! publishes it as a whole, so after a crash the engine stands exactly where its last durable
//! output left it and reads the log on from there.
//!
//! State that only QoS 0 messages have changed is written with the next turn that is durable
//! anyway: such messages promise nothing and cost no write of their own. A rule may promise less
//! than that ([`Guarantee`]): what it sends goes in a turn before the state, and the position of
//! messages that only rules of best effort read is written a second later at the latest.

use std::collections::BTreeSet;
use std::sync::Arc;

use weir_core::{
    Change, MessageParts, ReaderConfig, ReaderId, ReaderKind, Records, Route, Sequence,
};
use weir_mqtt::{PublishProperties, QoS, UserProperties};
use weir_rules::{Emission, Engine, Event, Guarantee, Plan, RuleChange, RuleStatus, Timestamp};

use crate::inner_turn::{InnerTurn, Made, OwnedPublication};
use crate::times::Times;

use handling::Handling;

mod command;
mod commit_lag;
mod handling;
mod histogram;
mod question;
mod recent;
mod thread;
mod trace;

pub use command::{RuleCommand, UnknownRule};
pub(crate) use recent::{RULES_WATCHED_MAX, RecentlySent, Sent};
pub(crate) use thread::{PipelineHandle, PipelineThread, RuleFigures, Waiting, not_handled};
pub(crate) use trace::{Listener, TraceError, Traced};

/// Deltas are replaced by a snapshot when they come to so many bytes, or to more than the
/// snapshot itself, whichever is more.
const DELTA_BYTES_MAX: usize = 1 << 20;
/// A snapshot is stored in pieces of this size.
const SNAPSHOT_SHARD_BYTES: usize = 64 * 1024;

/// How long the state of rules of best effort may not be written.
const LAZY_MS: u64 = 1000;

/// Places in [`Pipeline::made`].
const WAITING: usize = 0;
const EAGER: usize = 1;

/// The rule engine between the log and the broker.
#[derive(Debug)]
pub struct Pipeline {
    engine: Engine,
    reader: ReaderId,
    /// The readers that rules can send to, by the name of the upstream.
    upstreams: Vec<(Arc<str>, ReaderId)>,
    emissions: Vec<Emission>,
    publications: Vec<OwnedPublication>,
    /// What does not wait for the state that it came from.
    eager: Vec<OwnedPublication>,
    /// Who has made the publications, and those that do not wait.
    made: [Made; 2],
    /// The last position of the log that was handled.
    done: Option<Sequence>,
    /// The state must be written with this turn.
    is_durable: bool,
    /// Since when something is handled that is written only now and then.
    lazy_since_ms: Option<u64>,
    delta_bytes: usize,
    snapshot_bytes: usize,
    /// The next state that is written must be a snapshot.
    is_new_plan: bool,
    clock_is_set: bool,
    handling: Handling,
    /// Those who want to know what becomes of messages.
    listeners: Vec<Listener>,
    /// What the rules that somebody watches have sent.
    recent: Vec<RecentlySent>,
}

impl Pipeline {
    /// Turns that are not durable, until whoever runs the rules lets them wait.
    pub const UNSETTLED_TURNS_MAX: usize = 64;

    /// A pipeline for an engine that was restored from the store. `reader` is the number under
    /// which the engine reads the log.
    #[must_use]
    pub fn new(engine: Engine, reader: ReaderId, upstreams: Vec<(Arc<str>, ReaderId)>) -> Self {
        Self {
            engine,
            reader,
            upstreams,
            emissions: Vec::new(),
            publications: Vec::new(),
            eager: Vec::new(),
            made: Default::default(),
            done: None,
            is_durable: false,
            lazy_since_ms: None,
            // The first turn writes a snapshot, which drops the deltas of the last run.
            delta_bytes: usize::MAX,
            snapshot_bytes: 0,
            is_new_plan: false,
            clock_is_set: true,
            handling: Handling::default(),
            listeners: Vec::new(),
            recent: Vec::new(),
        }
    }

    /// The start: `waiting` is what the log holds beyond what was handled, `retained` what is
    /// retained on topics that rules join.
    ///
    /// What was published before the last end is computed with what the rules knew then. After it
    /// they learn what was retained since, at QoS 0 without a place in the log. A rule that is new
    /// knows nothing, and begins with what is retained, unless that waits in the log: then
    /// messages before it came first.
    pub fn start(&mut self, unix_ms: u64, retained: &Records, waiting: &Records) {
        let later: BTreeSet<&str> = waiting.iter().map(|(_, parts)| parts.topic).collect();
        self.seed(unix_ms, retained, Some(&later));
        self.handle(unix_ms, waiting);
        self.seed(unix_ms, retained, None);
    }

    /// Gives retained messages to the rules that join their topics and know no value: rules that
    /// are new.
    pub fn learn(&mut self, unix_ms: u64, retained: &Records) {
        self.seed(unix_ms, retained, Some(&BTreeSet::new()));
    }

    /// Feeds messages to the rules.
    pub fn handle(&mut self, unix_ms: u64, records: &Records) {
        for (sequence, parts) in records.iter() {
            self.handle_message(unix_ms, sequence, &parts);
        }
    }

    /// Feeds one message to the rules; `sequence` is its position if it is in the log.
    pub fn handle_message(
        &mut self,
        unix_ms: u64,
        sequence: Option<Sequence>,
        parts: &MessageParts<'_>,
    ) {
        if let Some(sequence) = sequence {
            // What was handled before a crash may be offered again.
            if self.done.is_some_and(|done| sequence <= done) {
                return;
            }
            self.done = Some(sequence);
        }
        if self.answer(unix_ms, parts) {
            self.is_durable |= sequence.is_some();
            return;
        }
        let event = event_of(parts);
        // Somebody may have set the calendar back since then.
        let now = timestamp(unix_ms.max(parts.received_at_ms));
        match self.handling.next() {
            None => self.engine.handle(now, &event, &mut self.emissions),
            Some(mut watch) => {
                let lap = |rule| watch.lap(rule);
                self.engine.handle_watched(now, &event, &mut self.emissions, lap);
            }
        }
        match (sequence, self.engine.take_urgent()) {
            (Some(_), true) => self.is_durable = true,
            (Some(_), false) => self.lazy_since_ms = self.lazy_since_ms.or(Some(unix_ms)),
            (None, _) => {}
        }
        self.tell_listeners();
        self.publish_emissions(unix_ms, parts.received_at_ms);
    }

    /// Lets windows close whose time has come.
    pub fn advance(&mut self, unix_ms: u64) {
        self.engine.advance(timestamp(unix_ms), &mut self.emissions);
        self.tell_listeners();
        self.publish_emissions(unix_ms, unix_ms);
        // Somebody may have set the calendar back since then.
        let is_over = |since: u64| unix_ms.abs_diff(since) >= LAZY_MS;
        self.is_durable |= self.lazy_since_ms.is_some_and(is_over);
    }

    /// When [`Pipeline::advance`] has something to do, milliseconds since the Unix epoch.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        let timer = self.engine.poll_timeout().map(|at| u64::try_from(at.0).unwrap_or(0));
        let lazy = self.lazy_since_ms.map(|since| since + LAZY_MS);
        timer.into_iter().chain(lazy).min()
    }

    /// What the broker has to publish and to remember; none when there is nothing. To be called
    /// until then: what does not wait for the state comes in a turn of its own, the first.
    pub fn take_turn(&mut self) -> Option<InnerTurn> {
        if !self.eager.is_empty() {
            let publications = std::mem::take(&mut self.eager);
            let made = std::mem::take(&mut self.made[EAGER]);
            return Some(InnerTurn { publications, made, ..InnerTurn::default() });
        }
        let mut turn = InnerTurn {
            publications: std::mem::take(&mut self.publications),
            made: std::mem::take(&mut self.made[WAITING]),
            ..InnerTurn::default()
        };
        if std::mem::take(&mut self.is_durable) {
            self.lazy_since_ms = None;
            turn.done = self.done.map(|done| (self.reader, done));
            turn.changes.extend(self.state_change());
        }
        let is_empty =
            turn.publications.is_empty() && turn.changes.is_empty() && turn.done.is_none();
        (!is_empty).then_some(turn)
    }

    /// Lets the next turns hold all that is not written, also what only QoS 0 messages have changed:
    /// the broker ends.
    pub fn finish(&mut self) {
        self.is_durable = true;
    }

    /// The clock of the machine is not right until [`Pipeline::set_clock`]: stamps of messages are not
    /// held against it, and what rules send says so.
    pub fn unset_clock(&mut self) {
        self.engine.set_clock_at(Timestamp(i64::MAX));
        self.clock_is_set = false;
    }

    /// The clock of the machine is right since then.
    pub fn set_clock(&mut self, since_ms: u64) {
        self.engine.set_clock_at(timestamp(since_ms));
        self.clock_is_set = true;
    }

    /// Runs the rules of another plan from the next message on; answers what has changed. The
    /// upstreams that they send to must be known here.
    pub fn exchange(&mut self, plan: Plan) -> Vec<RuleChange> {
        let names = |engine: &Engine| {
            let status = engine.status().into_iter();
            status.map(|rule| rule.name).collect::<Vec<_>>()
        };
        let before = names(&self.engine);
        let changes = self.engine.exchange(plan);
        // Times are kept by the places of the rules.
        if !changes.is_empty() || names(&self.engine) != before {
            self.handling = Handling::default();
        }
        if !changes.is_empty() {
            self.keep_listeners();
            self.is_new_plan = true;
            self.is_durable = true;
        }
        changes
    }

    /// What [`Pipeline::exchange`] would answer; nothing changes.
    pub(crate) fn compare(&self, plan: &Plan) -> Vec<RuleChange> {
        self.engine.compare(plan)
    }

    /// Rules can send to these readers too, by the names of their upstreams.
    pub(crate) fn add_upstreams(&mut self, upstreams: Vec<(Arc<str>, ReaderId)>) {
        self.upstreams.retain(|(known, _)| upstreams.iter().all(|(name, _)| name != known));
        self.upstreams.extend(upstreams);
    }

    /// What the rules of a plan want to read, as this reader of the log.
    #[must_use]
    pub fn wish(&self, plan: &Plan) -> ReaderConfig {
        ReaderConfig {
            reader: self.reader,
            kind: ReaderKind::Rules,
            filters: plan.filters().map(str::to_owned).collect(),
            names_publishers: plan.reads_client(),
        }
    }

    /// Counters and sizes of the rules.
    #[must_use]
    pub fn status(&self) -> Vec<RuleStatus> {
        self.engine.status()
    }

    /// How long half of the messages of each rule took, and 99 of 100, and all that were measured,
    /// in nanoseconds.
    pub(crate) fn handling_times(&self) -> Vec<([Option<u64>; 2], Times)> {
        let times = |rule| (self.handling.usual(rule), self.handling.times(rule));
        (0..self.engine.rules()).map(times).collect()
    }

    /// Gives retained messages to the rules that join their topics; with `later`, without those of
    /// these topics, and only to rules that know no value.
    fn seed(&mut self, unix_ms: u64, retained: &Records, later: Option<&BTreeSet<&str>>) {
        for (_, parts) in retained.iter() {
            let is_expired = parts.expires_at_ms.is_some_and(|at| at <= unix_ms);
            if is_expired || later.is_some_and(|later| later.contains(parts.topic)) {
                continue;
            }
            let event = event_of(&parts);
            self.engine.seed(&event, later.is_some(), &mut self.emissions);
        }
        self.publish_emissions(unix_ms, unix_ms);
    }

    /// `since_ms` is when the message came that they were made from.
    fn publish_emissions(&mut self, unix_ms: u64, since_ms: u64) {
        for emission in self.emissions.drain(..) {
            self.recent.iter_mut().for_each(|watched| watched.note(&emission, unix_ms));
            let route = match &emission.upstream {
                None => Route::Subscribers { origin: None },
                Some(name) => {
                    let known = self.upstreams.iter().find(|(known, _)| known == name);
                    let Some((_, reader)) = known else {
                        // The configuration is checked for this before it gets here.
                        tracing::error!(upstream = %name, "a rule names an unknown upstream");
                        continue;
                    };
                    Route::Reader(*reader)
                }
            };
            let promises = emission.qos > 0 || emission.retain;
            match emission.guarantee {
                Guarantee::BestEffort if promises => {
                    self.lazy_since_ms = self.lazy_since_ms.or(Some(unix_ms));
                }
                Guarantee::BestEffort => {}
                _ => self.is_durable |= promises,
            }
            let record = record_of(&emission, unix_ms, self.clock_is_set);
            let (publications, made) = match emission.guarantee {
                Guarantee::ExactlyOnce => (&mut self.publications, &mut self.made[WAITING]),
                _ => (&mut self.eager, &mut self.made[EAGER]),
            };
            if promises {
                made.add(&emission.rule, since_ms);
            }
            publications.push(OwnedPublication { record, route });
        }
    }

    /// The delta since the last turn, or the whole state when the deltas have grown too long.
    fn state_change(&mut self) -> Option<Change> {
        let mut delta = Vec::new();
        let is_changed = self.engine.take_delta(&mut delta);
        let is_new_plan = std::mem::take(&mut self.is_new_plan);
        if !is_changed && !is_new_plan {
            return None;
        }
        self.delta_bytes = self.delta_bytes.saturating_add(delta.len());
        if self.delta_bytes <= DELTA_BYTES_MAX.max(self.snapshot_bytes) && !is_new_plan {
            return Some(Change::RuleDelta { delta });
        }
        let mut shards: Vec<Vec<u8>> = Vec::new();
        self.engine.snapshot(SNAPSHOT_SHARD_BYTES, &mut |shard| shards.push(shard.to_vec()));
        self.snapshot_bytes = shards.iter().map(Vec::len).sum();
        self.delta_bytes = 0;
        Some(Change::RuleSnapshot { shards })
    }
}

fn event_of<'m>(parts: &MessageParts<'m>) -> Event<'m> {
    Event {
        topic: parts.topic,
        payload: parts.payload,
        qos: parts.qos as u8,
        retain: parts.retain,
        client: parts.publisher,
        arrived: timestamp(parts.received_at_ms),
    }
}

fn timestamp(unix_ms: u64) -> Timestamp {
    Timestamp(i64::try_from(unix_ms).unwrap_or(i64::MAX))
}

/// An emission as a message. MQTT 5 receivers find its rule and its identifier in user
/// properties; the same identifier comes again when a window is computed again after a crash.
fn record_of(emission: &Emission, unix_ms: u64, clock_is_set: bool) -> Vec<u8> {
    let id = format!("{:032x}", emission.id);
    let mut user = vec![("rule", &*emission.rule), ("id", id.as_str())];
    user.extend((!clock_is_set).then_some(("clock", "unset")));
    if let Some(dead) = &emission.error {
        user.extend([
            ("error", dead.message.as_str()),
            ("code", dead.code),
            ("topic", dead.topic.as_str()),
        ]);
    }
    let properties = PublishProperties {
        user_properties: UserProperties::from(user.as_slice()),
        ..PublishProperties::default()
    };
    let mut encoded = Vec::new();
    if let Err(error) = properties.encode_end_to_end(&mut encoded) {
        tracing::warn!(%error, "an emission is sent without its properties");
        encoded.clear();
    }
    let parts = MessageParts {
        qos: QoS::try_from(emission.qos).unwrap_or(QoS::AtLeastOnce),
        retain: emission.retain,
        expires_at_ms: emission.expire_s.map(|seconds| unix_ms + u64::from(seconds) * 1000),
        received_at_ms: unix_ms,
        publisher: "",
        topic: &emission.topic,
        properties: &encoded,
        payload: &emission.payload,
    };
    let mut record = Vec::new();
    parts.append_to(&mut record);
    record
}

#[cfg(test)]
mod guarantee_tests;
#[cfg(test)]
mod tests;
