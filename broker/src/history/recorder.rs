//! All histories of a broker together: which of them a message belongs to, and its number.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use weir_core::{FilterTable, MessageParts, Sequence};

use super::entry::Entry;
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
    /// Messages that were kept before the last end and may be offered again: by position, with the
    /// checksum.
    known: BTreeMap<Sequence, u64>,
    /// The last position that was offered.
    last: Option<Sequence>,
    /// Random numbers for the salt of files.
    salts: fn() -> io::Result<u64>,
    scratch: Vec<u8>,
}

impl Recorder {
    /// Opens the histories of a configuration below the data directory. `done` is the position up
    /// to which the log will not offer messages again.
    ///
    /// # Errors
    /// When a directory or a file of theirs cannot be made, read or mended.
    pub(crate) fn open(
        data_dir: &Path,
        configs: &[HistoryConfig],
        done: Sequence,
        salts: fn() -> io::Result<u64>,
    ) -> io::Result<Self> {
        let parent = directory(data_dir);
        fs::create_dir_all(&parent)?;
        let (mut entries, mut next, mut known) = (Vec::new(), 1, BTreeMap::new());
        for config in configs {
            let (entry, tail) = Entry::open(&parent, config, done)?;
            next = next.max(tail.last + 1);
            known.extend(tail.logged);
            entries.push(entry);
        }
        File::open(&parent)?.sync_all()?;
        File::open(data_dir)?.sync_all()?;
        tell_of_others(&parent, configs)?;
        let filters = configs.iter().map(|config| config.filter.as_str());
        let filters = filters.zip((0..).map(Some));
        let places = FilterTable::new(filters, None, salts()?);
        Ok(Self { entries, places, next, known, last: None, salts, scratch: Vec::new() })
    }

    /// Keeps a message; `sequence` is its position if it is in the log.
    pub(crate) fn record(&mut self, sequence: Option<Sequence>, message: &MessageParts<'_>) {
        if let Some(sequence) = sequence {
            // What was read from the log may be handed over again.
            if self.last.is_some_and(|last| sequence <= last) {
                return;
            }
            self.last = Some(sequence);
            if self.is_known(sequence, message) {
                return;
            }
        }
        let Some(place) = self.places.of(message.topic) else { return };
        let number = self.next;
        self.next += 1;
        // Without a random number a payload might pass for a record, but only behind damage.
        let salt = || (self.salts)().unwrap_or(number);
        self.entries[place].append(number, sequence, message, salt);
    }

    /// Gives what was kept to the system.
    pub(crate) fn write(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.write());
    }

    /// Makes sure that what was logged is on the disk.
    pub(crate) fn sync(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.sync());
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

    /// Whether the message was kept before the last end. The store may have been replaced since,
    /// so the position alone does not say it.
    fn is_known(&mut self, sequence: Sequence, message: &MessageParts<'_>) -> bool {
        let Some(checksum) = self.known.remove(&sequence) else { return false };
        self.scratch.clear();
        message.append_to(&mut self.scratch);
        message_checksum(&self.scratch) == checksum
    }
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
