//! A damaged store becomes one that the broker can start with.
//!
//! What can be trusted goes into a new store, which is mended and takes the place of the old
//! one; the old one is put aside with a report. What was lost is counted, table by table, and
//! told with what follows from it for clients. A disk that is full or cannot be written leaves
//! everything as it was.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::examine::{Examination, Source, open_alone};
use super::mend::{Gaps, Mended, mend};
use super::quarantine::{self, Quarantine};
use super::rebuild::rebuild;
use super::row::Table;
use crate::config::OnDamage;
use crate::store::error::{StoreError, io_error};
use crate::store::files::FILE_NAME;
use crate::store::{Condition, Store, StoreOptions};

/// What became of a damaged store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Salvage {
    /// Where the damaged file is now.
    pub quarantined: PathBuf,
    /// Where all of this stands for somebody to read.
    pub report: PathBuf,
    /// What was wrong.
    pub problems: Vec<String>,
    /// The tables of which rows were kept, lost or removed.
    pub tables: Vec<SalvagedTable>,
    /// What follows for clients, one sentence each.
    pub consequences: Vec<String>,
}

/// What became of one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SalvagedTable {
    /// Its name.
    pub table: &'static str,
    /// Rows that are in the new store.
    pub kept: u64,
    /// Rows that could not be read, or said nothing sensible; none when nobody knows how many
    /// there were.
    pub lost: Option<u64>,
    /// Rows that spoke of something that is gone.
    pub removed: u64,
}

impl Salvage {
    /// Rows that could not be read; none when nobody knows how many there were.
    #[must_use]
    pub fn lost(&self) -> Option<u64> {
        self.tables.iter().map(|table| table.lost).sum()
    }

    /// Rows that are in the new store.
    #[must_use]
    pub fn kept(&self) -> u64 {
        self.tables.iter().map(|table| table.kept).sum()
    }

    fn text(&self, unix_s: u64) -> String {
        let mut text = String::from("A store failed its checks and was salvaged.\n\n");
        let mut line = |words: String| {
            writeln!(text, "{words}").expect("a String takes everything");
        };
        line(format!("time, seconds since 1970   {unix_s}"));
        line(format!("damaged store              {}", self.quarantined.display()));
        line("\nWhat was wrong:".to_owned());
        self.problems.iter().for_each(|problem| line(format!("- {problem}")));
        line(format!("\n{:<14} {:>10} {:>10} {:>10}", "table", "kept", "lost", "removed"));
        for SalvagedTable { table, kept, lost, removed } in &self.tables {
            let lost = lost.map_or_else(|| "all".to_owned(), |lost| lost.to_string());
            line(format!("{table:<14} {kept:>10} {lost:>10} {removed:>10}"));
        }
        line("\nWhat follows:".to_owned());
        self.consequences.iter().for_each(|consequence| line(format!("- {consequence}")));
        text
    }
}

impl Store {
    /// Opens the store in `data_dir`, or makes both, as [`Store::open`] does; a damaged one is
    /// salvaged if `on_damage` says so. `unix_s` is the time, for names.
    ///
    /// # Errors
    /// As [`Store::open`]. A file of another program, or of a newer version, is never touched.
    ///
    /// ```
    /// use weir_broker::config::OnDamage;
    /// use weir_broker::store::{Condition, Store, StoreOptions};
    ///
    /// # let directory = std::env::temp_dir().join(format!("weir-start-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory)?;
    /// std::fs::write(directory.join("weir.redb"), [])?; // as some file systems leave it
    /// let now = 1_764_370_800;
    /// let (store, salvage) =
    ///     Store::start(&directory, StoreOptions::default(), OnDamage::Salvage, now)?;
    /// assert_eq!(store.condition(), Condition::Salvaged);
    /// assert_eq!(salvage.expect("it was damaged").problems, ["the file is empty"]);
    /// assert!(directory.join("weir.redb.corrupt-1764370800").exists());
    /// # drop(store);
    /// # std::fs::remove_dir_all(&directory)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start(
        data_dir: &Path,
        options: StoreOptions,
        on_damage: OnDamage,
        unix_s: u64,
    ) -> Result<(Self, Option<Salvage>), StoreError> {
        quarantine::finish(data_dir)?;
        let path = data_dir.join(FILE_NAME);
        let damaged = match fs::symlink_metadata(&path) {
            Err(error) if quarantine::is_absent(&error) => None,
            Err(error) => return Err(io_error(path, error)),
            Ok(_) if options.verify => damaged(&path)?,
            Ok(_) => None,
        };
        let source = match damaged {
            Some(source) => source,
            None => match Self::open(data_dir, options.clone()) {
                // The engine knows more about its file than its pages say.
                Err(error) if error.is_damage() && on_damage == OnDamage::Salvage => {
                    let mut source = Source::read(open_alone(&path)?, &path)?;
                    source.examination.problems.push(error.to_string());
                    source
                }
                opened => return Ok((opened?, None)),
            },
        };
        if on_damage == OnDamage::Refuse {
            let detail = source.examination.problems.join("; ");
            return Err(StoreError::Corrupt { path, detail });
        }
        let salvage = salvage(&source, data_dir, unix_s).map_err(|source| {
            StoreError::NotSalvaged { path: path.clone(), source: Box::new(source) }
        })?;
        drop(source);
        let mut store = Self::open(data_dir, options)?;
        store.condition = Condition::Salvaged;
        Ok((store, Some(salvage)))
    }
}

/// The file, if it is damaged.
fn damaged(path: &Path) -> Result<Option<Source>, StoreError> {
    let source = Source::read(open_alone(path)?, path)?;
    Ok((!source.examination.is_whole()).then_some(source))
}

fn salvage(source: &Source, data_dir: &Path, unix_s: u64) -> Result<Salvage, StoreError> {
    let quarantine = Quarantine::new(data_dir, unix_s);
    let place = quarantine.begin()?;
    let made = make(source, &place, unix_s).and_then(|(mended, kept)| {
        let salvage = account(source, &quarantine, &mended, &kept);
        quarantine.install(&salvage.text(unix_s))?;
        Ok(salvage)
    });
    if made.is_err() {
        quarantine.give_up();
    }
    made
}

/// Makes the new store; answers what was mended, and how many rows each table has.
fn make(
    source: &Source,
    place: &Path,
    unix_s: u64,
) -> Result<(Mended, Vec<(Table, u64)>), StoreError> {
    let store = rebuild(source, place)?;
    let lost = |table: Table| source.examination.lost_in(table.name()) != Some(0);
    let gaps = Gaps {
        rules: lost(Table::RuleSnapshot)
            || lost(Table::RuleDelta)
            || source.examination.journal.is_damaged,
        reader_cursors: lost(Table::ReaderCursor),
        positions: source.examination.lost_in(Table::Log.name()).is_none(),
    };
    let mended = mend(&store, gaps, unix_s)?;
    drop(store);
    let path = place.join(FILE_NAME);
    let made = Source::read(open_alone(&path)?, &path)?.examination;
    if let Some(problem) = made.problems.into_iter().next() {
        return Err(StoreError::Corrupt { path, detail: problem });
    }
    let rows =
        made.tables.iter().filter_map(|found| Some((Table::named(found.table)?, found.rows)));
    Ok((mended, rows.collect()))
}

fn account(
    source: &Source,
    quarantine: &Quarantine,
    mended: &Mended,
    kept: &[(Table, u64)],
) -> Salvage {
    let tables = kept.iter().map(|(table, kept)| SalvagedTable {
        table: table.name(),
        kept: *kept,
        lost: source.examination.lost_in(table.name()),
        removed: mended.removed.get(table).copied().unwrap_or_default(),
    });
    // What the store knows about itself is not worth telling.
    let of_itself = [Table::Meta.name(), Table::Position.name()];
    let tables: Vec<SalvagedTable> =
        tables.filter(|table| !of_itself.contains(&table.table)).collect();
    Salvage {
        quarantined: quarantine.database(),
        report: quarantine.report(),
        problems: source.examination.problems.clone(),
        consequences: consequences(&tables, &source.examination, mended),
        tables,
    }
}

/// What whoever runs the broker has to know.
fn consequences(tables: &[SalvagedTable], found: &Examination, mended: &Mended) -> Vec<String> {
    let mut told = Vec::new();
    for (table, words) in CONSEQUENCES {
        let found = tables.iter().find(|found| found.table == table.name());
        match found.map(|found| found.lost) {
            Some(Some(0)) => {}
            Some(Some(lost)) => told.push(format!("{lost} {words}")),
            _ => told.push(format!("all {words}")),
        }
    }
    if found.may_be_older {
        told.push("what changed after the state that was found is gone, or comes again".to_owned());
    }
    if found.journal.is_damaged {
        told.push("part of what was acknowledged last is gone, or comes again".to_owned());
    }
    if mended.released > 0 {
        told.push(format!("{} deliveries under way end without their message", mended.released));
    }
    if mended.rules_begin_anew {
        told.push("the windows of the rules begin anew".to_owned());
    }
    if told.is_empty() {
        told.push("nothing: no row is lost".to_owned());
    }
    told
}

/// What it means that rows of a table are gone.
const CONSEQUENCES: [(Table, &str); 8] = [
    (Table::Session, "sessions are gone, with all that waited for them"),
    (Table::Subscription, "subscriptions are gone until their clients subscribe again"),
    (Table::Retained, "retained messages are gone until they are published again"),
    (Table::Log, "queued messages are gone"),
    (Table::Cursor, "sessions may get messages again that they have acknowledged"),
    (Table::ReceivedQos2, "identifiers of QoS 2 messages are gone: one may be published again"),
    (Table::Reader, "numbers of upstreams and rules are gone, with what waited for them"),
    (Table::ReaderCursor, "places of upstreams are gone: messages may go to them again"),
];
