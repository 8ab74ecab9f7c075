//! All histories of a broker together: which of them a message belongs to, and its number.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use weir_core::{FilterTable, MessageParts, Records, Sequence};

use super::active::Flush;
use super::entry::{Entry, Offered};
use super::record::message_checksum;
use crate::config::HistoryConfig;
use crate::status::HistoryStatus;

/// The directory of the histories in the data directory.
pub(crate) fn directory(data_dir: &Path) -> PathBuf {
    data_dir.join("history")
}

/// The directories of the histories of a configuration.
pub(crate) fn directories(data_dir: &Path, configs: &[HistoryConfig]) -> Vec<PathBuf> {
    let parent = directory(data_dir);
    configs.iter().map(|config| parent.join(config.directory())).collect()
}

/// Keeps messages.
#[derive(Debug)]
pub(crate) struct Recorder {
    entries: Vec<Entry>,
    /// The place of the history of a topic, if it has one.
    places: FilterTable<Option<usize>>,
    /// The number that the next message gets.
    next: u64,
    /// Messages that the log offers again and that were kept before the last end.
    known: BTreeSet<Sequence>,
    /// The last position that was offered.
    last: Option<Sequence>,
    system: System,
}

/// What the histories need of the system besides files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct System {
    /// Makes sure that a file is on the disk.
    pub(super) flush: Flush,
    /// Random numbers for the salt of files.
    pub(super) salt: fn() -> io::Result<u64>,
}

impl System {
    /// The real one, with a source of random numbers.
    pub(crate) fn new(salt: fn() -> io::Result<u64>) -> Self {
        Self { flush: File::sync_data, salt }
    }
}

impl Recorder {
    /// Opens the histories of a configuration below the data directory. The log offers what is
    /// `waiting`, all of it behind the position `done`.
    ///
    /// # Errors
    /// When a directory or a file of theirs cannot be made, read or mended.
    pub(crate) fn open(
        data_dir: &Path,
        configs: &[HistoryConfig],
        done: Sequence,
        waiting: &Records,
        system: System,
    ) -> io::Result<Self> {
        let parent = directory(data_dir);
        fs::create_dir_all(&parent)?;
        let offered = Offered { done, messages: checksums(waiting) };
        let (mut entries, mut next, mut known) = (Vec::new(), 1, BTreeSet::new());
        let mut dropped_to = Vec::new();
        for config in configs {
            let (entry, tail) = Entry::open(&parent, config, &offered, system.flush)?;
            next = next.max(tail.last + 1);
            known.extend(tail.held);
            dropped_to.push(tail.dropped_to);
            entries.push(entry);
        }
        File::open(&parent)?.sync_all()?;
        File::open(data_dir)?.sync_all()?;
        tell_of_others(&parent, configs)?;
        let filters = configs.iter().map(|config| config.filter.as_str());
        let filters = filters.zip((0..).map(Some));
        let mut places = FilterTable::new(filters, None, (system.salt)()?);
        let has_gone = |(sequence, message): (Option<Sequence>, MessageParts<'_>)| {
            let place = places.of(message.topic)?;
            sequence.filter(|sequence| *sequence <= dropped_to[place])
        };
        known.extend(waiting.iter().filter_map(has_gone));
        Ok(Self { entries, places, next, known, last: None, system })
    }

    /// Keeps a message; `sequence` is its position if it is in the log.
    pub(crate) fn record(&mut self, sequence: Option<Sequence>, message: &MessageParts<'_>) {
        if let Some(sequence) = sequence {
            // What was read from the log may be handed over again.
            if self.last.is_some_and(|last| sequence <= last) {
                return;
            }
            self.last = Some(sequence);
            if self.known.remove(&sequence) {
                return;
            }
        }
        let Some(place) = self.places.of(message.topic) else { return };
        self.append(place, sequence, message);
    }

    /// Keeps again what a flush has lost, from what the log holds. What is not there any more is
    /// counted.
    pub(crate) fn repeat(&mut self, records: &Records) {
        for place in 0..self.entries.len() {
            let mut lost = self.entries[place].take_lost();
            for (sequence, message) in records.iter() {
                if sequence.is_some_and(|sequence| lost.remove(&sequence)) {
                    self.append(place, sequence, &message);
                }
            }
            self.entries[place].miss(lost.len());
        }
    }

    /// Gives what was kept to the system.
    pub(crate) fn write(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.write());
    }

    /// Makes sure that what was logged is on the disk. False when it is not, and has to be
    /// [repeated](Self::repeat).
    pub(crate) fn sync(&mut self) -> bool {
        let mut is_all = true;
        for entry in &mut self.entries {
            is_all &= entry.sync();
        }
        is_all
    }

    /// Drops what is too old.
    pub(crate) fn expire(&mut self, unix_ms: u64) {
        self.entries.iter_mut().for_each(|entry| entry.expire(unix_ms));
    }

    /// The number that the next message gets.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// How the histories are.
    pub(crate) fn status(&self) -> Vec<HistoryStatus> {
        self.entries.iter().map(Entry::status).collect()
    }

    fn append(&mut self, place: usize, sequence: Option<Sequence>, message: &MessageParts<'_>) {
        let number = self.next;
        self.next += 1;
        // Without a random number a payload might pass for a record, but only behind damage.
        let salt = || (self.system.salt)().unwrap_or(number);
        self.entries[place].append(number, sequence, message, salt);
    }
}

/// The checksum of each message by its position.
fn checksums(records: &Records) -> BTreeMap<Sequence, u64> {
    let mut scratch = Vec::new();
    let checksum = |(sequence, message): (Option<Sequence>, MessageParts<'_>)| {
        scratch.clear();
        message.append_to(&mut scratch);
        Some((sequence?, message_checksum(&scratch)))
    };
    records.iter().filter_map(checksum).collect()
}

/// Directories that no history of the configuration has stay as they are.
fn tell_of_others(parent: &Path, configs: &[HistoryConfig]) -> io::Result<()> {
    let names: Vec<String> = configs.iter().map(HistoryConfig::directory).collect();
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if !names.iter().any(|name| **name == *entry.file_name()) {
            let directory = entry.path();
            let directory = directory.display();
            tracing::warn!(%directory, "no [[history]] has this directory any more: remove it");
        }
    }
    Ok(())
}
