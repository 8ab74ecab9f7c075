//! The thread that runs the rules.
//!
//! It first reads from the log what was not handled before the last end of the process, then
//! what shards hand over, in order. What waits for it is bounded: shards stop reading their
//! sockets while it has no room. So is what it has sent and is not durable: past that the rules
//! stand still until the store has caught up.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use weir_core::{ReaderId, Records, Sequence, ShardId};
use weir_rules::{Plan, RuleChange, RuleStatus};

use super::commit_lag::CommitLag;
use super::{Listener, Pipeline, RecentlySent, RuleCommand, TraceError, UnknownRule};
use crate::clock::unix_ms;
use crate::fill_level::FillLevel;
use crate::mailbox::{Mail, Mailboxes, RetainedQuestion};
use crate::record_sink::RecordSink;
use crate::store::{Store, StoreError};
use crate::times::Times;
use crate::worker::Worker;

/// Bytes of messages that wait for the rules before sockets are left unread.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// Messages of one turn; more wait for the next.
const TURN_BYTES_MAX: usize = 1 << 20;
const UNSETTLED_TURNS_MAX: usize = Pipeline::UNSETTLED_TURNS_MAX;
/// Longest sleep; the calendar may be set while the thread waits.
const SLEEP_MAX: Duration = Duration::from_secs(3600);
/// How long a turn may take before whoever asks for the status does without.
const STATUS_PATIENCE: Duration = Duration::from_secs(2);
/// Bytes read from the log at a time.
const CATCH_UP_BYTES: usize = 1 << 20;

enum Work {
    Command(Command),
    /// Somebody watches what these rules send.
    Recent {
        rules: Vec<String>,
        answer: mpsc::SyncSender<Vec<RecentlySent>>,
    },
    Records(Records),
    /// Turns that it waited for are durable.
    Settled,
    Stop,
    /// What would change with other rules.
    Compare {
        plan: Box<Plan>,
        answer: mpsc::SyncSender<Vec<RuleChange>>,
    },
    /// Other rules, or the same with other tables.
    Rules {
        plan: Box<Plan>,
        answer: mpsc::SyncSender<Vec<RuleChange>>,
    },
    /// The retained messages of topics that the rules join.
    Retained(Records),
    /// The clock of the machine is set, since then.
    ClockSet(u64),
    Trace(Listener, TraceAnswer),
    /// Rules can send to these readers too.
    Upstreams(Vec<(Arc<str>, ReaderId)>),
    /// Somebody wants to know how the rules are.
    Status(mpsc::SyncSender<()>),
}

/// Told what became of a command, once that is durable.
pub(crate) type CommandAnswer = Box<dyn FnOnce(Result<String, UnknownRule>) + Send>;

/// Told whether somebody can listen.
pub(crate) type TraceAnswer = Box<dyn FnOnce(Result<(), TraceError>) + Send>;

/// How a rule is, and how long it takes: half of the times are no longer, and 99 of 100.
#[derive(Clone, Debug)]
pub(crate) struct RuleFigures {
    pub(crate) status: RuleStatus,
    /// With a message, nanoseconds.
    pub(crate) handling_ns: [Option<u64>; 2],
    /// All that was measured of it.
    pub(crate) handling: Times,
    /// Until what it has sent is durable, milliseconds.
    pub(crate) commit_lag_ms: [Option<u64>; 2],
    /// All that was measured of it.
    pub(crate) commit_lag: Times,
}

struct Command {
    rule: String,
    command: RuleCommand,
    answer: CommandAnswer,
}

/// Hands messages to the thread and asks it for its counters.
#[derive(Clone)]
pub(crate) struct PipelineHandle {
    sender: mpsc::Sender<Work>,
    fill_level: FillLevel,
    unsettled_turns: Arc<AtomicUsize>,
    /// As of when somebody asked last.
    status: Arc<Mutex<Vec<RuleFigures>>>,
    commit_lag: CommitLag,
}

/// The running thread. When it is dropped it handles what it has, writes its state and ends.
pub(crate) type PipelineThread = Worker<PipelineHandle>;

impl PipelineThread {
    /// Starts the thread.
    pub(crate) fn run(
        pipeline: Pipeline,
        waiting: Waiting,
        mailboxes: Mailboxes,
    ) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let status = Arc::new(Mutex::new(figures(&pipeline)));
        let handle = PipelineHandle {
            sender,
            fill_level: FillLevel::new(WAITING_BYTES_MAX),
            unsettled_turns: Arc::new(AtomicUsize::new(0)),
            status,
            commit_lag: CommitLag::default(),
        };
        let mut runner = Runner {
            pipeline,
            mailboxes,
            handle: handle.clone(),
            waiting: VecDeque::new(),
            done: Vec::new(),
            asked: Vec::new(),
        };
        // When the thread is gone already there is nobody to tell.
        let stop = |handle: &PipelineHandle| drop(handle.sender.send(Work::Stop));
        Self::start("weir-rules", handle, stop, move || {
            runner.start(waiting);
            runner.run(&receiver);
        })
    }
}

impl PipelineHandle {
    /// Does something to a rule between two turns. Without an answer the thread has ended, or what
    /// was done could not be made durable.
    pub(crate) fn command(&self, rule: String, command: RuleCommand, answer: CommandAnswer) {
        // A thread that has ended drops the answer.
        let _ = self.sender.send(Work::Command(Command { rule, command, answer }));
    }

    /// Runs the rules of another plan from the next message on; waits until they do, and answers
    /// what has changed. None when the thread has ended.
    pub(crate) fn exchange(&self, plan: Plan) -> Option<Vec<RuleChange>> {
        let (answer, changes) = mpsc::sync_channel(1);
        self.sender.send(Work::Rules { plan: Box::new(plan), answer }).ok()?;
        changes.recv().ok()
    }

    /// What [`PipelineHandle::exchange`] would answer; nothing changes.
    pub(crate) fn compare(&self, plan: Plan) -> Option<Vec<RuleChange>> {
        let (answer, changes) = mpsc::sync_channel(1);
        self.sender.send(Work::Compare { plan: Box::new(plan), answer }).ok()?;
        changes.recv().ok()
    }

    /// Rules that come from now on can send to these readers too, by the names of their upstreams.
    pub(crate) fn add_upstreams(&self, upstreams: Vec<(Arc<str>, ReaderId)>) {
        // A thread that has ended sends nothing.
        let _ = self.sender.send(Work::Upstreams(upstreams));
    }

    /// The clock of the machine is right since then.
    pub(crate) fn set_clock(&self, since_ms: u64) {
        // A thread that has ended needs no clock.
        let _ = self.sender.send(Work::ClockSet(since_ms));
    }

    /// Lets somebody listen to what becomes of the messages of a rule. Without an answer the thread
    /// has ended.
    pub(crate) fn trace(&self, listener: Listener, answer: TraceAnswer) {
        // A thread that has ended drops the answer.
        let _ = self.sender.send(Work::Trace(listener, answer));
    }

    /// Whether the thread says something within this time.
    pub(crate) fn answers(&self, patience: Duration) -> bool {
        let (told, answer) = mpsc::sync_channel(1);
        self.sender.send(Work::Status(told)).is_ok() && answer.recv_timeout(patience).is_ok()
    }

    /// What these rules have sent since this was asked last, and from now on; nothing from a thread
    /// that is busy for long.
    pub(crate) fn recently_sent(&self, rules: Vec<String>) -> Vec<RecentlySent> {
        let (answer, recent) = mpsc::sync_channel(1);
        if self.sender.send(Work::Recent { rules, answer }).is_err() {
            return Vec::new();
        }
        recent.recv_timeout(STATUS_PATIENCE).unwrap_or_default()
    }

    /// Counters and sizes of the rules. Waits until the thread says them; if it is busy for long, as
    /// at the start with what waits in the log, they are those of the last time.
    pub(crate) fn status(&self) -> Vec<RuleFigures> {
        let (told, answer) = mpsc::sync_channel(1);
        if self.sender.send(Work::Status(told)).is_ok() {
            // A thread that has ended says nothing more.
            let _ = answer.recv_timeout(STATUS_PATIENCE);
        }
        let mut rules = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for rule in &mut rules {
            rule.commit_lag_ms = self.commit_lag.usual(&rule.status.name);
            rule.commit_lag = self.commit_lag.times(&rule.status.name);
        }
        rules
    }
}

impl RecordSink for PipelineHandle {
    fn give(&self, records: Records) {
        self.fill_level.add(records.bytes());
        // A thread that has ended wants nothing; what is in the log waits there.
        let _ = self.sender.send(Work::Records(records));
    }

    fn has_room(&self) -> bool {
        self.fill_level.has_room()
    }
}

struct Runner {
    pipeline: Pipeline,
    mailboxes: Mailboxes,
    handle: PipelineHandle,
    /// Messages that were handed over and not handled.
    waiting: VecDeque<Records>,
    /// What was done for commands, and is not with a turn yet.
    done: Vec<(CommandAnswer, String)>,
    /// Those who want to know how the rules are.
    asked: Vec<mpsc::SyncSender<()>>,
}

impl Runner {
    fn start(&mut self, waiting: Waiting) {
        self.pipeline.start(unix_ms(), &waiting.retained, &waiting.records);
        drop(waiting);
        self.finish_turn();
    }

    fn run(&mut self, receiver: &mpsc::Receiver<Work>) {
        loop {
            let first = match receiver.recv_timeout(self.patience()) {
                Ok(work) => Some(work),
                Err(mpsc::RecvTimeoutError::Timeout) => None,
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            };
            for work in first.into_iter().chain(receiver.try_iter()) {
                match work {
                    Work::Command(command) => self.obey(command),
                    Work::Recent { rules, answer } => {
                        // Whoever asked may have waited long enough.
                        let _ = answer.try_send(self.pipeline.recently_sent(&rules));
                    }
                    Work::Records(records) => self.waiting.push_back(records),
                    Work::ClockSet(since_ms) => self.pipeline.set_clock(since_ms),
                    Work::Settled => {}
                    Work::Stop => return self.finish(),
                    Work::Compare { plan, answer } => {
                        // Whoever asked may be gone.
                        let _ = answer.try_send(self.pipeline.compare(&plan));
                    }
                    Work::Rules { plan, answer } => {
                        // Whoever asked may be gone.
                        let _ = answer.try_send(self.exchange(*plan));
                    }
                    Work::Retained(retained) => {
                        self.pipeline.learn(unix_ms(), &retained);
                    }
                    Work::Upstreams(upstreams) => self.pipeline.add_upstreams(upstreams),
                    Work::Trace(listener, answer) => answer(self.pipeline.listen(listener)),
                    Work::Status(told) => self.asked.push(told),
                }
            }
            if !self.is_held_up() {
                self.handle_waiting(TURN_BYTES_MAX);
                self.finish_turn();
            }
            self.tell_status();
        }
    }

    fn obey(&mut self, Command { rule, command, answer }: Command) {
        match self.pipeline.command(&rule, command) {
            Ok(text) => self.done.push((answer, text)),
            Err(unknown) => answer(Err(unknown)),
        }
    }

    /// The end. What is held up is in the log, or was QoS 0.
    fn finish(&mut self) {
        if !self.is_held_up() {
            self.handle_waiting(usize::MAX);
            self.finish_turn();
            self.pipeline.finish();
            self.send_turns();
        }
    }

    fn handle_waiting(&mut self, bytes_max: usize) {
        let mut bytes = 0;
        while bytes < bytes_max
            && let Some(records) = self.waiting.pop_front()
        {
            bytes += records.bytes();
            self.handle(&records);
            self.handle.fill_level.remove(records.bytes(), &self.mailboxes);
        }
    }

    /// How long nothing has to be done unless something comes.
    fn patience(&self) -> Duration {
        match (self.is_held_up(), self.waiting.is_empty()) {
            (true, _) => SLEEP_MAX,
            (false, true) => self.sleep(),
            (false, false) => Duration::ZERO,
        }
    }

    /// Whether so much is not durable that the rules have to wait.
    fn is_held_up(&self) -> bool {
        self.handle.unsettled_turns.load(Ordering::Acquire) >= UNSETTLED_TURNS_MAX
    }

    fn sleep(&self) -> Duration {
        match self.pipeline.poll_timeout() {
            Some(at) => Duration::from_millis(at.saturating_sub(unix_ms())).min(SLEEP_MAX),
            None => SLEEP_MAX,
        }
    }

    /// Messages that the shards match from now on come after the rules that read them. What was
    /// retained before is given to joins that know nothing, like at the start.
    fn exchange(&mut self, plan: Plan) -> Vec<RuleChange> {
        let wish = self.pipeline.wish(&plan);
        let joined: Vec<String> = plan.joined_filters().map(str::to_owned).collect();
        let changes = self.pipeline.exchange(plan);
        for (number, mailbox) in self.mailboxes.all().iter().enumerate() {
            let sender = self.handle.sender.clone();
            let is_asked = number == 0 && !changes.is_empty() && !joined.is_empty();
            let retained = is_asked.then(|| RetainedQuestion {
                filters: joined.clone(),
                // A thread that has ended joins nothing.
                answer: Box::new(move |found| drop(sender.send(Work::Retained(found)))),
            });
            mailbox.send(Mail::ReaderWants { wish: wish.clone(), retained });
        }
        let running = self.pipeline.status();
        self.handle.commit_lag.keep(|rule| running.iter().any(|one| *one.name == *rule));
        changes
    }

    fn handle(&mut self, records: &Records) {
        self.pipeline.handle(unix_ms(), records);
    }

    fn finish_turn(&mut self) {
        self.pipeline.advance(unix_ms());
        self.pipeline.drop_listeners();
        self.send_turns();
    }

    /// Only to those who have asked: with many rules it takes longer than a message does.
    fn tell_status(&mut self) {
        if self.asked.is_empty() {
            return;
        }
        let status = figures(&self.pipeline);
        *self.handle.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
        for told in self.asked.drain(..) {
            // Whoever asked may have waited long enough.
            let _ = told.try_send(());
        }
    }

    /// Sends what there is; commands are answered when the last of it is durable.
    fn send_turns(&mut self) {
        let done = std::mem::take(&mut self.done);
        let mut tell = Some(move || done.into_iter().for_each(|(answer, text)| answer(Ok(text))));
        let mut next = self.pipeline.take_turn();
        while let Some(mut turn) = next {
            next = self.pipeline.take_turn();
            let tell = if next.is_none() { tell.take() } else { None };
            self.handle.unsettled_turns.fetch_add(1, Ordering::AcqRel);
            let made = std::mem::take(&mut turn.made);
            let PipelineHandle { sender, unsettled_turns, commit_lag, .. } = &self.handle;
            let (sender, unsettled) = (sender.clone(), unsettled_turns.clone());
            let commit_lag = commit_lag.clone();
            turn.committed = Some(Box::new(move || {
                commit_lag.record(made, unix_ms());
                if let Some(tell) = tell {
                    tell();
                }
                if unsettled.fetch_sub(1, Ordering::AcqRel) == UNSETTLED_TURNS_MAX {
                    // A thread that has ended waits for nothing.
                    let _ = sender.send(Work::Settled);
                }
            }));
            self.mailboxes.first().send(Mail::Turn(turn));
        }
        if let Some(tell) = tell {
            tell();
        }
    }
}

/// What waits for the rules when the broker starts.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// Given by [`not_handled`].
    pub(crate) records: Records,
    /// Those of topics that rules join, as of before any shard runs.
    pub(crate) retained: Records,
}

fn figures(pipeline: &Pipeline) -> Vec<RuleFigures> {
    let rules = pipeline.status().into_iter().zip(pipeline.handling_times());
    rules
        .map(|(status, (handling_ns, handling))| RuleFigures {
            status,
            handling_ns,
            handling,
            commit_lag_ms: [None; 2],
            commit_lag: Times::default(),
        })
        .collect()
}

/// What the log holds for the rules beyond `done`, before any shard runs.
pub(crate) fn not_handled(
    store: &Store,
    shard: ShardId,
    reader: ReaderId,
    done: Sequence,
) -> Result<Records, StoreError> {
    let mut records = Records::default();
    let mut after = done;
    loop {
        let mut found = Vec::new();
        let scanned = store.read_log(shard, after, reader, CATCH_UP_BYTES, &mut found)?;
        for record in &found {
            records.push(Some(record.sequence), &record.message.parts());
        }
        if scanned == after {
            return Ok(records);
        }
        after = scanned;
    }
}

#[cfg(test)]
mod tests;
