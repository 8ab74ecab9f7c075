//! Where damaged files go, and how a new store takes their place.
//!
//! Nothing is deleted and nothing overwritten. The new store is made in a directory of its own,
//! which gets its final name when it is complete; only then do the old files step aside. A
//! process that ends in between leaves behind what the next start needs to go on.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::store::error::{StoreError, io_error};

/// The files of a store.
const FILES: [&str; 2] = [DATABASE, "weir.journal"];
/// The one without which there is no store: it leaves first and comes last.
const DATABASE: &str = "weir.redb";
/// A new store that is not complete; it is thrown away.
const UNFINISHED: &str = "weir.salvage";
/// A new store that is complete.
const FINISHED: &str = "weir.salvaged";
/// What the names of damaged files end with, before the time.
const MARK: &str = ".corrupt-";
/// The report that comes with them.
const REPORT: &str = "weir.report";

/// A place for damaged files of one moment that nothing has yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quarantine {
    data_dir: PathBuf,
    /// What follows the mark: the time, and a number if there are others of the same second.
    stamp: String,
}

impl Quarantine {
    pub(crate) fn new(data_dir: &Path, unix_s: u64) -> Self {
        let at = |stamp: String| Self { data_dir: data_dir.to_path_buf(), stamp };
        let first = at(unix_s.to_string());
        let later = (2_u32..).map(|number| at(format!("{unix_s}-{number}")));
        std::iter::once(first)
            .chain(later)
            .find(Self::is_free)
            .expect("a directory has fewer files than there are numbers")
    }

    /// Where the report goes.
    pub(crate) fn report(&self) -> PathBuf {
        self.place(REPORT)
    }

    /// Where the file with the tables goes.
    pub(crate) fn database(&self) -> PathBuf {
        self.place(DATABASE)
    }

    /// Makes the directory for the new store, without what was left there.
    pub(crate) fn begin(&self) -> Result<PathBuf, StoreError> {
        let path = self.data_dir.join(UNFINISHED);
        remove_directory(&path)?;
        fs::create_dir(&path).map_err(|error| io_error(self.data_dir.clone(), error))?;
        Ok(path)
    }

    /// Throws away a store that did not become complete.
    pub(crate) fn give_up(&self) {
        // It is thrown away at the next start if it cannot be now.
        let _ = remove_directory(&self.data_dir.join(UNFINISHED));
    }

    /// Writes the report beside the complete store, and puts both in their place.
    pub(crate) fn install(&self, report: &str) -> Result<(), StoreError> {
        let unfinished = self.data_dir.join(UNFINISHED);
        let name = self.report();
        let name = name.file_name().expect("the report has a name");
        let written = unfinished.join(name);
        fs::write(&written, report)
            .and_then(|()| File::open(&written)?.sync_all())
            .map_err(|error| io_error(written.clone(), error))?;
        sync_directory(&unfinished)?;
        rename(&unfinished, &self.data_dir.join(FINISHED))?;
        sync_directory(&self.data_dir)?;
        finish(&self.data_dir)
    }

    fn place(&self, name: &str) -> PathBuf {
        self.data_dir.join(format!("{name}{MARK}{}", self.stamp))
    }

    fn is_free(&self) -> bool {
        let names = FILES.into_iter().chain([REPORT]);
        names.map(|name| self.place(name)).all(|path| fs::symlink_metadata(path).is_err())
    }
}

/// Puts a complete new store in its place, or goes on with that. Does nothing when there is none.
pub(crate) fn finish(data_dir: &Path) -> Result<(), StoreError> {
    let finished = data_dir.join(FINISHED);
    let entries = match fs::read_dir(&finished) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(()),
        Err(error) => return Err(io_error(finished, error)),
    };
    let names: Result<Vec<String>, io::Error> = entries
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect();
    let names = names.map_err(|error| io_error(finished.clone(), error))?;
    let report = names.iter().find_map(|name| name.strip_prefix(REPORT)?.strip_prefix(MARK));
    // The report goes last, because it names the quarantine.
    let Some(stamp) = report else { return remove_directory(&finished) };
    let quarantine = Quarantine { data_dir: data_dir.to_path_buf(), stamp: stamp.to_owned() };
    // A file steps aside as long as its successor is not in its place.
    for name in FILES {
        let (old, new) = (data_dir.join(name), finished.join(name));
        if exists(&new) && exists(&old) {
            rename(&old, &quarantine.place(name))?;
        }
    }
    sync_directory(data_dir)?;
    for name in FILES.into_iter().rev() {
        let new = finished.join(name);
        if exists(&new) {
            rename(&new, &data_dir.join(name))?;
            sync_directory(data_dir)?;
        }
    }
    let report = quarantine.report();
    let name = report.file_name().expect("the report has a name");
    rename(&finished.join(name), &report)?;
    remove_directory(&finished)?;
    sync_directory(data_dir)
}

/// Damaged files that were put aside, oldest first.
pub(crate) fn kept(data_dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(data_dir) else { return Vec::new() };
    let names = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut kept: Vec<PathBuf> = names
        .filter(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            name.is_some_and(|name| {
                FILES.iter().any(|file| name.starts_with(&[file, MARK].concat()))
            })
        })
        .collect();
    kept.sort();
    kept
}

/// Never onto something: a name that is taken is a mistake of this module.
fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    if exists(to) {
        let taken = io::Error::from(io::ErrorKind::AlreadyExists);
        return Err(io_error(to.to_path_buf(), taken));
    }
    fs::rename(from, to).map_err(|error| io_error(from.to_path_buf(), error))
}

/// Whether there is nothing, be it because the directory is none.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::NotFound)
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn remove_directory(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error(path.to_path_buf(), error))
        }
        _ => Ok(()),
    }
}

/// A new name in a directory is durable only after this.
fn sync_directory(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| io_error(path.to_path_buf(), error))
}
