//! The threads of a process that write to the store and read from it, with a disk that fails.

use weir_broker::store::{LastGroup, Store, StoreError, ready};
use weir_core::{Batch, Sequence, ShardId};

use super::{Mail, Process};
use crate::sim::misbehaviour::Misbehaviour;
use crate::sim::surroundings::{Event, Surroundings};
use crate::sim::trace::About;

/// Batches that are on their way to the disk.
pub(super) struct Group {
    pub(super) batches: Vec<Batch>,
    pub(super) is_written: bool,
}

impl Process {
    pub(super) fn submit(&mut self, around: &mut Surroundings, mut batch: Batch) {
        self.saboteur.spoil(&mut batch);
        self.unsure.submitted(&batch);
        around.note(
            About::ALL,
            format_args!(
                "batch {} of shard {} with {} changes",
                batch.number,
                batch.shard.0,
                batch.changes.len()
            ),
        );
        if self.waiting.is_empty() {
            self.waiting_since = around.now;
        }
        self.waiting.push(batch);
    }

    /// While one group is on its way, the next one gathers. One that nobody waits for may take its
    /// time.
    pub(super) fn begin_commit(&mut self, around: &mut Surroundings) {
        if self.group.is_some() || self.waiting.is_empty() || self.has_failed {
            return;
        }
        let due = self.waiting_since + FLUSH_INTERVAL_MS;
        if around.now < due && !self.waiting.iter().any(|batch| batch.is_awaited) {
            return around.schedule(due, Event::Turn);
        }
        let is_ready = ready(self.waiting.iter(), &self.taken);
        if !is_ready.contains(&true) {
            return;
        }
        let (mut batches, mut waiting) = (Vec::new(), Vec::new());
        for (batch, is_ready) in std::mem::take(&mut self.waiting).into_iter().zip(is_ready) {
            let place = if is_ready { &mut batches } else { &mut waiting };
            place.push(batch);
        }
        self.waiting = waiting;
        batches.iter().for_each(|batch| self.taken.note(batch));
        let mut group = Group { batches, is_written: false };
        let is_early = self.saboteur.does(Misbehaviour::CommittedTooEarly);
        if is_early {
            self.tell_committed(&group);
            around.schedule(around.now, Event::Turn);
        } else if around.random.chance(50) && !self.write(around, &mut group) {
            self.group = Some(group);
            return;
        }
        self.group = Some(group);
        let at = around.within(around.conduct.commit_ms_max);
        around.schedule(at, Event::Committed(self.number));
    }

    /// The commit that was under way has ended.
    pub(crate) fn end_commit(&mut self, around: &mut Surroundings) {
        let Some(mut group) = self.group.take() else { return };
        if !group.is_written && !self.write(around, &mut group) {
            self.group = Some(group);
            return;
        }
        self.tell_committed(&group);
        let at = around.within(1);
        around.schedule(at, Event::Turn);
        self.begin_commit(around);
    }

    /// Tells each shard the last of its batches.
    fn tell_committed(&mut self, group: &Group) {
        for (shard, mail) in (0..).map(ShardId).zip(&mut self.mail) {
            if let Some(last) = group.batches.iter().rfind(|batch| batch.shard == shard) {
                mail.push_back(Mail::Committed(last.number));
            }
        }
    }

    /// Writes a group; false when the store has failed.
    fn write(&mut self, around: &mut Surroundings, group: &mut Group) -> bool {
        let permille = around.conduct.failing_sync_permille;
        if around.happens(permille) {
            self.disks.fail_sync_after(0);
        }
        if let Err(error) = self.store.commit(&group.batches) {
            self.has_failed = true;
            self.fail(around, &error);
            return false;
        }
        self.written(around, group);
        true
    }

    /// The store does not work: it is opened anew after a while, or somebody restarts the broker.
    fn fail(&mut self, around: &mut Surroundings, error: &StoreError) {
        around.note(About::ALL, format_args!("the store fails: {error}"));
        if self.disks.have_no_power() {
            around.schedule(around.now, Event::Crash(self.number));
        } else if around.random.chance(70) {
            around.schedule(around.now + REOPEN_AFTER_MS, Event::Reopen(self.number));
        } else {
            let at = around.within(3_000);
            around.schedule(at, Event::Crash(self.number));
        }
    }

    /// Opens the store anew and goes on with the group whose commit has failed.
    pub(crate) fn reopen(&mut self, around: &mut Surroundings) {
        let Some(mut group) = self.group.take() else { return };
        match commit_again(&self.store, &group.batches) {
            Ok(()) => {
                around.note(About::ALL, format_args!("the store works again"));
                self.has_failed = false;
                self.written(around, &mut group);
                self.group = Some(group);
                self.end_commit(around);
            }
            Err(error) => {
                self.group = Some(group);
                self.fail(around, &error);
            }
        }
    }

    fn written(&mut self, around: &mut Surroundings, group: &mut Group) {
        group.batches.iter().for_each(|batch| self.unsure.committed(batch));
        group.is_written = true;
        for batch in &group.batches {
            let (number, shard) = (batch.number, batch.shard.0);
            around.note(About::ALL, format_args!("batch {number} of shard {shard} is durable"));
        }
        self.upstream.log_grew();
        around.schedule(around.now, Event::Upstream(self.number));
    }

    /// Reading goes on also when nothing can be written any more.
    pub(super) fn load(
        &mut self,
        around: &mut Surroundings,
        shard: ShardId,
        sequences: Vec<Sequence>,
    ) {
        if around.happens(around.conduct.failing_read_permille) {
            self.disks.database.fail_read_after(0);
        }
        match self.store.read_messages(shard, &sequences) {
            Ok(messages) => {
                self.mail[usize::from(shard.0)].push_back(Mail::Loaded(messages));
                let at = around.within(2);
                around.schedule(at, Event::Turn);
            }
            Err(error) => {
                around.note(About::ALL, format_args!("messages cannot be read: {error}"));
                self.unread.push((shard, sequences));
                around.schedule(around.now + READ_AGAIN_MS, Event::Reload(self.number));
            }
        }
    }

    /// Reads again what could not be read.
    pub(crate) fn reload(&mut self, around: &mut Surroundings) {
        for (shard, sequences) in std::mem::take(&mut self.unread) {
            self.load(around, shard, sequences);
        }
    }
}

pub(super) fn commit_again(store: &Store, batches: &[Batch]) -> Result<(), StoreError> {
    match store.reopen()? {
        LastGroup::IsMissing => store.commit(batches).map(|_| ()),
        LastGroup::IsThere => Ok(()),
    }
}

/// How long a batch waits that nobody waits for.
const FLUSH_INTERVAL_MS: u64 = 1_000;
/// As the thread that commits does.
const REOPEN_AFTER_MS: u64 = 1_000;
/// As the thread that reads the queues does.
const READ_AGAIN_MS: u64 = 1_000;
