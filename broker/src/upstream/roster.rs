//! The upstreams that there are, for everybody around them, and how others take their place while
//! the broker runs.
//!
//! An upstream that changes keeps its backlog and its counters, and one that does not is not
//! touched. Of one that goes nobody waits any more for what waited for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, mpsc};

use weir_core::{ReaderConfig, ReaderId, ReaderKind, Sequence};

use super::bridge::{Around, Beginning, Upstream};
use super::forwarder::Place;
use super::handle::UpstreamHandle;
use super::program::{Sink, SinkError};
use super::supervisor::{Order, Orders};
use crate::config::{Priority, UpstreamConfig, UpstreamKind};
use crate::mailbox::Mail;
use crate::status::UpstreamStatus;
use crate::store::{Store, StoreError};

/// The upstreams that there are.
pub(crate) struct Roster {
    entries: RwLock<BTreeMap<String, Entry>>,
    around: Around,
    orders: Orders,
}

#[derive(Clone)]
struct Entry {
    config: UpstreamConfig,
    readers: UpstreamReaders,
    handle: UpstreamHandle,
}

/// The readers of an upstream: one for each priority that is or was used, the normal one always.
pub(crate) type UpstreamReaders = BTreeMap<Priority, ReaderId>;

/// Upstreams that can take the place of those that run.
pub(crate) struct NextUpstreams {
    added: Vec<(UpstreamConfig, UpstreamReaders)>,
    changed: Vec<(UpstreamConfig, UpstreamReaders)>,
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
        upstreams: impl Iterator<Item = (UpstreamConfig, UpstreamReaders)>,
        around: Around,
        orders: Orders,
    ) -> Self {
        let roster = Self { entries: RwLock::default(), around, orders };
        for (config, readers) in upstreams {
            let places = roster.stored_places(&config.name, &readers);
            let handle = UpstreamHandle::new(&config.name);
            roster.start(Entry { config, readers, handle }, places);
        }
        roster
    }

    /// The sink of an upstream that is the program itself.
    pub(crate) fn sink(&self, name: &str) -> Result<Sink, SinkError> {
        self.around.outlets.sink(name)
    }

    /// No connection of any upstream comes any more.
    pub(crate) fn end(&self) {
        self.around.outlets.end();
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

    /// Lets one connect and send what waits now; false without such an upstream.
    pub(crate) fn drain(&self, name: &str) -> bool {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(name).map(|entry| entry.handle.drain()).is_some()
    }

    /// Where messages are handed over, for each.
    pub(crate) fn sinks(&self) -> Vec<(ReaderId, UpstreamHandle)> {
        let sinks = |Entry { readers, handle, .. }: Entry| {
            let of = move |(priority, reader)| (reader, handle.with_priority(priority));
            readers.into_iter().map(of)
        };
        self.entries().into_values().flat_map(sinks).collect()
    }

    /// What would change; nothing does.
    pub(crate) fn compare(&self, next: &[UpstreamConfig]) -> Vec<UpstreamChange> {
        let mut before = self.entries();
        let mut changes = Vec::new();
        let mut change = |upstream, kind| changes.push(UpstreamChange { upstream, kind });
        for config in next {
            match before.remove(&config.name) {
                Some(entry) if entry.config == *config => {}
                Some(_) => change(config.name.clone(), UpstreamChangeKind::Changed),
                None => change(config.name.clone(), UpstreamChangeKind::Added),
            }
        }
        for (name, entry) in before {
            let waited = entry.handle.status().depth;
            change(name, UpstreamChangeKind::Removed { waited });
        }
        changes
    }

    /// Finds out what changes, and numbers what is new.
    ///
    /// # Errors
    /// When the store cannot be written; then nothing has changed.
    pub(crate) fn prepare(&self, next: &[UpstreamConfig]) -> Result<NextUpstreams, StoreError> {
        let mut before = self.entries();
        // No file knows those that the program has made for itself.
        let of_program: BTreeSet<String> = before
            .extract_if(.., |_, entry| entry.config.kind == UpstreamKind::Program)
            .map(|(name, _)| name)
            .collect();
        let (mut changed, mut added) = (Vec::new(), Vec::new());
        for config in next {
            if of_program.contains(&config.name) {
                let upstream = config.name.as_str();
                tracing::error!(upstream, "the program has an upstream of this name: left out");
                continue;
            }
            match before.remove(&config.name) {
                Some(entry) if entry.config == *config => {}
                Some(_) => changed.push(config.clone()),
                None => added.push(config.clone()),
            }
        }
        let store = &self.around.store;
        let added = with_readers(store, added)?;
        let changed = with_readers(store, changed)?;
        Ok(NextUpstreams { added, changed, removed: before.into_keys().collect() })
    }

    /// Starts those that are new: before the rules that send to them.
    pub(crate) fn start_added(&self, next: &NextUpstreams) -> Result<(), Ended> {
        for (config, readers) in &next.added {
            let handle = UpstreamHandle::new(&config.name);
            let joins = readers.iter().map(|(priority, reader)| {
                self.join(config, *priority, *reader, handle.with_priority(*priority))
            });
            let places = joins.collect::<Result<_, _>>()?;
            let (config, readers) = (config.clone(), readers.clone());
            self.start(Entry { config, readers, handle }, places);
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
        for (config, readers) in next.changed {
            let name = config.name.clone();
            self.replace(config, readers)?;
            changes.push(change(name, UpstreamChangeKind::Changed));
        }
        for name in next.removed {
            let waited = self.remove(&name)?;
            changes.push(change(name, UpstreamChangeKind::Removed { waited }));
        }
        Ok(changes)
    }

    fn replace(&self, config: UpstreamConfig, readers: UpstreamReaders) -> Result<(), Ended> {
        let Some(entry) = self.entries().remove(&config.name) else { return Ok(()) };
        let Entry { readers: before, handle, .. } = entry;
        let places = self.stop(&config.name)?;
        let mut places = places.unwrap_or_else(|| self.stored_places(&config.name, &before));
        // A message whose priority changes has two readers for a moment, not none.
        for (priority, reader) in readers.iter().filter(|(of, _)| !before.contains_key(of)) {
            let sink = handle.with_priority(*priority);
            places.push(self.join(&config, *priority, *reader, sink)?);
        }
        // The one before has no routes for what comes by these filters.
        for (priority, reader) in &before {
            let wish = reader_config(&config, *priority, *reader);
            let wants = || Mail::ReaderWants { wish: wish.clone(), retained: None };
            self.around.mailboxes.send_all(wants);
        }
        self.start(Entry { config, readers, handle }, places);
        Ok(())
    }

    /// A reader that is new; answers where it begins.
    fn join(
        &self,
        config: &UpstreamConfig,
        priority: Priority,
        reader: ReaderId,
        sink: UpstreamHandle,
    ) -> Result<Place, Ended> {
        let (position, answer) = mpsc::sync_channel(1);
        for (number, mailbox) in self.around.mailboxes.all().iter().enumerate() {
            mailbox.send(Mail::ReaderJoins {
                config: reader_config(config, priority, reader),
                sink: Box::new(sink.clone()),
                position: (number == 0).then(|| position.clone()),
            });
        }
        drop(position);
        let done = answer.recv().map_err(|_| Ended)?;
        Ok(Place { priority, reader, done })
    }

    fn stored_places(&self, name: &str, readers: &UpstreamReaders) -> Vec<Place> {
        let place = |(priority, reader): (&Priority, &ReaderId)| {
            let done = self.around.store.reader_cursor(self.around.shard, *reader);
            // From the beginning nothing is lost, but what the far end has already comes again.
            let done = done.unwrap_or_else(|error| {
                tracing::error!(upstream = name, %error, "the cursor cannot be read");
                Sequence(0)
            });
            Place { priority: *priority, reader: *reader, done }
        };
        readers.iter().map(place).collect()
    }

    /// Answers how many messages waited for it.
    fn remove(&self, name: &str) -> Result<u64, Ended> {
        let entry = self.entries.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        let Some(Entry { readers, handle, .. }) = entry else { return Ok(0) };
        self.stop(name)?;
        for reader in readers.into_values() {
            self.around.mailboxes.send_all(|| Mail::ReaderLeaves(reader));
        }
        Ok(handle.status().depth)
    }

    fn start(&self, entry: Entry, places: Vec<Place>) {
        let Entry { config, handle, .. } = entry.clone();
        let beginning = Beginning { places, handle };
        let upstream = Upstream::new(config, beginning, self.around.clone());
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.insert(entry.config.name.clone(), entry);
        // When the broker ends nobody takes it.
        let _ = self.orders.send(Order::Start(Box::new(upstream)));
    }

    fn stop(&self, name: &str) -> Result<Option<Vec<Place>>, Ended> {
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
    /// The numbers under which rules send to those that are new, by their names.
    pub(crate) fn readers(&self) -> Vec<(Arc<str>, ReaderId)> {
        let added = self.added.iter();
        added.map(|(config, readers)| (Arc::from(&*config.name), normal(readers))).collect()
    }
}

/// Numbers the readers of these upstreams. A priority that was used once keeps its reader: something
/// may wait there.
///
/// # Errors
/// When the store cannot be read or written.
pub(crate) fn with_readers(
    store: &Store,
    upstreams: Vec<UpstreamConfig>,
) -> Result<Vec<(UpstreamConfig, UpstreamReaders)>, StoreError> {
    let mut names = Vec::new();
    for config in &upstreams {
        for priority in Priority::ALL {
            let name = reader_name(&config.name, priority);
            let is_used = config.forward.iter().any(|route| route.priority == priority);
            if is_used || priority == Priority::Normal || store.has_reader(&name)? {
                names.push((priority, name));
            }
        }
    }
    let texts: Vec<&str> = names.iter().map(|(_, name)| name.as_str()).collect();
    let ids = if texts.is_empty() { Vec::new() } else { store.register_readers(&texts)? };
    let mut ids = names.iter().zip(ids).peekable();
    let of = |config: UpstreamConfig| {
        let mut readers = UpstreamReaders::new();
        while let Some(((priority, _), id)) =
            ids.next_if(|((priority, name), _)| *name == reader_name(&config.name, *priority))
        {
            readers.insert(*priority, id);
        }
        (config, readers)
    };
    Ok(upstreams.into_iter().map(of).collect())
}

/// The reader for what has no other priority.
pub(crate) fn normal(readers: &UpstreamReaders) -> ReaderId {
    readers[&Priority::Normal]
}

/// What the readers of an upstream read.
pub(crate) fn reader_configs(
    config: &UpstreamConfig,
    readers: &UpstreamReaders,
) -> impl Iterator<Item = ReaderConfig> {
    readers.iter().map(|(priority, reader)| reader_config(config, *priority, *reader))
}

fn reader_config(config: &UpstreamConfig, of: Priority, reader: ReaderId) -> ReaderConfig {
    let routes = config.forward.iter().filter(|route| route.priority == of);
    ReaderConfig {
        reader,
        filters: routes.map(|route| route.from.clone()).collect(),
        kind: ReaderKind::Upstream,
        names_publishers: false,
    }
}

/// The name under which an upstream reads the log. The name of an upstream has no `/`.
fn reader_name(upstream: &str, priority: Priority) -> String {
    match priority {
        Priority::Normal => format!("upstream/{upstream}"),
        _ => format!("upstream/{upstream}/{}", priority.name()),
    }
}
