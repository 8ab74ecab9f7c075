//! The upstreams that there are, for everybody around them, and how others take their place while
//! the broker runs.
//!
//! An upstream that changes keeps its backlog and its counters, and one that does not is not
//! touched. Of one that goes nobody waits any more for what waited for it.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, mpsc};

use weir_core::{ReaderConfig, ReaderId, ReaderKind, Sequence};

use super::bridge::{Around, Beginning, Upstream};
use super::handle::UpstreamHandle;
use super::supervisor::{Order, Orders};
use crate::config::UpstreamConfig;
use crate::mailbox::Mail;
use crate::status::UpstreamStatus;
use crate::store::StoreError;

/// The upstreams that there are.
pub(crate) struct Roster {
    entries: RwLock<BTreeMap<String, Entry>>,
    around: Around,
    orders: Orders,
}

#[derive(Clone)]
struct Entry {
    config: UpstreamConfig,
    reader: ReaderId,
    handle: UpstreamHandle,
}

/// Upstreams that can take the place of those that run.
pub(crate) struct NextUpstreams {
    added: Vec<(UpstreamConfig, ReaderId)>,
    changed: Vec<UpstreamConfig>,
    removed: Vec<String>,
}

/// An upstream that is another one now.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct UpstreamChange {
    /// Its name.
    pub upstream: String,
    /// What has become of it.
    pub kind: UpstreamChangeKind,
}

/// What has become of an upstream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UpstreamChangeKind {
    /// It is new, and gets what is published from now on.
    Added,
    /// It goes on with its backlog, over a new connection.
    Changed,
    /// It is gone.
    Removed {
        /// Messages that waited for it, and that it does not get.
        waited: u64,
    },
}

/// The broker has ended.
#[derive(Debug)]
pub(crate) struct Ended;

impl Roster {
    /// Those of the configuration at the start; they begin to run with their supervisor.
    pub(crate) fn new(
        upstreams: impl Iterator<Item = (UpstreamConfig, ReaderId)>,
        around: Around,
        orders: Orders,
    ) -> Self {
        let roster = Self { entries: RwLock::default(), around, orders };
        for (config, reader) in upstreams {
            let done = roster.around.store.reader_cursor(roster.around.shard, reader);
            // From the beginning nothing is lost, but what the far end has already comes again.
            let done = done.unwrap_or_else(|error| {
                tracing::error!(upstream = config.name, %error, "the cursor cannot be read");
                Sequence(0)
            });
            let handle = UpstreamHandle::new(&config.name);
            roster.start(Entry { config, reader, handle }, done);
        }
        roster
    }

    /// The store has committed something. Call it after each commit.
    pub(crate) fn log_grew(&self) {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.values().for_each(|entry| entry.handle.log_grew());
    }

    /// How each is.
    pub(crate) fn status(&self) -> Vec<UpstreamStatus> {
        self.entries().values().map(|entry| entry.handle.status()).collect()
    }

    /// Where messages are handed over, for each.
    pub(crate) fn sinks(&self) -> Vec<(ReaderId, UpstreamHandle)> {
        self.entries().into_values().map(|entry| (entry.reader, entry.handle)).collect()
    }

    /// Finds out what changes, and numbers what is new.
    ///
    /// # Errors
    /// When the store cannot be written; then nothing has changed.
    pub(crate) fn prepare(&self, next: &[UpstreamConfig]) -> Result<NextUpstreams, StoreError> {
        let mut before = self.entries();
        let (mut changed, mut added) = (Vec::new(), Vec::new());
        for config in next {
            match before.remove(&config.name) {
                Some(entry) if entry.config == *config => {}
                Some(_) => changed.push(config.clone()),
                None => added.push(config.clone()),
            }
        }
        let names: Vec<String> = added.iter().map(|config| reader_name(&config.name)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let readers = match names.is_empty() {
            true => Vec::new(),
            false => self.around.store.register_readers(&names)?,
        };
        let added = added.into_iter().zip(readers).collect();
        Ok(NextUpstreams { added, changed, removed: before.into_keys().collect() })
    }

    /// Starts those that are new: before the rules that send to them.
    pub(crate) fn start_added(&self, next: &NextUpstreams) -> Result<(), Ended> {
        for (config, reader) in &next.added {
            let handle = UpstreamHandle::new(&config.name);
            let (position, answer) = mpsc::sync_channel(1);
            for (number, mailbox) in self.around.mailboxes.all().iter().enumerate() {
                mailbox.send(Mail::ReaderJoins {
                    config: reader_config(config, *reader),
                    sink: Box::new(handle.clone()),
                    position: (number == 0).then(|| position.clone()),
                });
            }
            drop(position);
            let done = answer.recv().map_err(|_| Ended)?;
            self.start(Entry { config: config.clone(), reader: *reader, handle }, done);
        }
        Ok(())
    }

    /// Lets the changed ones go on as they are to be, and ends those that are gone: after the rules
    /// that have sent to them. Answers what has become of all.
    pub(crate) fn finish(&self, next: NextUpstreams) -> Result<Vec<UpstreamChange>, Ended> {
        let change = |upstream, kind| UpstreamChange { upstream, kind };
        let added = next.added.into_iter().map(|(config, _)| config.name);
        let mut changes: Vec<_> =
            added.map(|name| change(name, UpstreamChangeKind::Added)).collect();
        for config in next.changed {
            let name = config.name.clone();
            self.replace(config)?;
            changes.push(change(name, UpstreamChangeKind::Changed));
        }
        for name in next.removed {
            let waited = self.remove(&name)?;
            changes.push(change(name, UpstreamChangeKind::Removed { waited }));
        }
        Ok(changes)
    }

    fn replace(&self, config: UpstreamConfig) -> Result<(), Ended> {
        let Some(entry) = self.entries().remove(&config.name) else { return Ok(()) };
        let Entry { reader, handle, .. } = entry;
        let done = self.stop(&config.name)?;
        let (store, shard) = (&self.around.store, self.around.shard);
        let done = done.or_else(|| store.reader_cursor(shard, reader).ok()).unwrap_or_default();
        // The one before has no routes for what comes by these filters.
        let wish = reader_config(&config, reader);
        let wants = || Mail::ReaderWants { wish: wish.clone(), retained: None };
        self.around.mailboxes.send_all(wants);
        self.start(Entry { config, reader, handle }, done);
        Ok(())
    }

    /// Answers how many messages waited for it.
    fn remove(&self, name: &str) -> Result<u64, Ended> {
        let entry = self.entries.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        let Some(Entry { reader, handle, .. }) = entry else { return Ok(0) };
        self.stop(name)?;
        self.around.mailboxes.send_all(|| Mail::ReaderLeaves(reader));
        Ok(handle.status().depth)
    }

    fn start(&self, entry: Entry, done: Sequence) {
        let Entry { config, reader, handle } = entry.clone();
        let beginning = Beginning { reader, done, handle };
        let upstream = Upstream::new(config, beginning, self.around.clone());
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.insert(entry.config.name.clone(), entry);
        // When the broker ends nobody takes it.
        let _ = self.orders.send(Order::Start(Box::new(upstream)));
    }

    fn stop(&self, name: &str) -> Result<Option<Sequence>, Ended> {
        let (answer, done) = mpsc::sync_channel(1);
        let order = Order::Stop { name: name.to_owned(), answer };
        self.orders.send(order).map_err(|_| Ended)?;
        done.recv().map_err(|_| Ended)
    }

    fn entries(&self) -> BTreeMap<String, Entry> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl NextUpstreams {
    /// The numbers of those that are new, by their names.
    pub(crate) fn readers(&self) -> Vec<(Arc<str>, ReaderId)> {
        self.added.iter().map(|(config, reader)| (Arc::from(&*config.name), *reader)).collect()
    }
}

/// The name under which an upstream reads the log.
pub(crate) fn reader_name(upstream: &str) -> String {
    format!("upstream/{upstream}")
}

/// What an upstream reads.
pub(crate) fn reader_config(config: &UpstreamConfig, reader: ReaderId) -> ReaderConfig {
    ReaderConfig {
        reader,
        filters: config.forward.iter().map(|route| route.from.clone()).collect(),
        kind: ReaderKind::Upstream,
        names_publishers: false,
    }
}
