//! What a store file holds, and whether it is what was written.
//!
//! Every page is compared with its checksum, every row is decoded, and what rows say about each
//! other is looked at. Of the commits that a file still shows, the newest whole one counts, as it
//! does for the engine; where none is whole, the one that has lost the least. Nothing is changed,
//! so the answer of a check is the plan of a salvage.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{File, TryLockError};
use std::path::Path;

use serde::Serialize;
use weir_core::{Cursor, Destination, InflightState, Message, Sequence, ShardId, Target};

use super::beside::{self, JournalFindings, Named};
use super::pages::{self, ENGINE_FORMAT, Head, Pages, Root, Walk};
use super::row::{Row, Table, session_of};
use crate::store::error::{MalformedRecord, StoreError, io_error};
use crate::store::journal::JournalRecord;
use crate::store::schema::{self, SessionKey};
use crate::store::upgrade;

/// What was found in a store file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Examination {
    /// Length of the file, bytes.
    pub file_bytes: u64,
    /// Bytes of it that no row needs: free pages, and what the engine keeps for itself.
    pub spare_bytes: u64,
    /// Version of the format; none when it cannot be read.
    pub format_version: Option<u64>,
    /// How often the store was opened.
    pub starts: Option<u64>,
    /// The tables, in the order in which they are handled. What is in the journal only is not
    /// counted.
    pub tables: Vec<TableFindings>,
    /// The journal.
    pub journal: JournalFindings,
    /// What is wrong, one sentence each; empty when nothing is.
    pub problems: Vec<String>,
    /// The newest state cannot be read, and this is one before it.
    pub may_be_older: bool,
    /// Rows that speak of a session, a reader or a message that is not there. The broker passes
    /// over them.
    pub loose_rows: u64,
    /// When the oldest logged message was received, milliseconds since the Unix epoch.
    pub oldest_at_ms: Option<u64>,
    /// When the newest one was.
    pub newest_at_ms: Option<u64>,
    /// The sessions, by their number.
    pub sessions: Vec<SessionFindings>,
    /// The positions after the last ones that were seen, of all shards together.
    #[serde(skip)]
    furthest: u64,
    #[serde(skip)]
    named: Named,
}

/// What was found in one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TableFindings {
    /// Its name.
    pub table: &'static str,
    /// Rows that can be trusted.
    pub rows: u64,
    /// Keys and values of them, bytes.
    pub bytes: u64,
    /// Rows that were written and are gone.
    pub lost: u64,
    /// Rows that are as they were written and yet say nothing sensible. They are not in `rows`.
    pub malformed: u64,
    /// Pages that are not what was written.
    pub bad_pages: u64,
}

/// What was found of one session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SessionFindings {
    /// Its client identifier.
    pub client_id: String,
    /// When its connection ended, milliseconds since the Unix epoch; none while it is open.
    pub disconnected_at_ms: Option<u64>,
    /// Its subscriptions.
    pub subscriptions: u64,
    /// Messages that wait for it.
    pub queued: u64,
    /// Their bytes.
    pub queued_bytes: u64,
}

impl Examination {
    /// Whether all of it is what was written.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty()
    }

    /// Rows that are gone or say nothing sensible.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.tables.iter().map(|table| table.lost + table.malformed).sum()
    }

    /// The same of one table; none when the table itself cannot be found.
    pub(crate) fn lost_in(&self, table: &str) -> Option<u64> {
        let found = self.tables.iter().find(|found| found.table == table);
        found.map(|found| found.lost + found.malformed)
    }
}

/// A store file whose best state is known.
pub(crate) struct Source {
    pub(crate) pages: Pages,
    pub(crate) examination: Examination,
    /// What is in the journal and not in the tables, in the order in which it was committed.
    pub(crate) journal: Vec<JournalRecord>,
    tables: BTreeMap<Table, pages::Table>,
}

impl Source {
    /// Looks for a state of the store in a file.
    ///
    /// # Errors
    /// When the file is not ours, is newer than this program, or cannot be read at all.
    pub(crate) fn read(file: File, path: &Path) -> Result<Self, StoreError> {
        let pages = Pages::new(file).map_err(|error| io_error(path.to_path_buf(), error))?;
        let head = pages.head().map_err(|error| io_error(path.to_path_buf(), error))?;
        let not_ours = || StoreError::NotAStore { path: path.to_path_buf() };
        if head.has_magic && head.versions[0] == head.versions[1] {
            let [found, _] = head.versions;
            if found != ENGINE_FORMAT && found != 0 {
                return Err(StoreError::UnknownEngineFormat { path: path.to_path_buf(), found });
            }
        }
        let mut best: Option<Look> = None;
        for (age, root) in head.commits.iter().enumerate() {
            let look = Look::at(&pages, root.as_ref(), path)?;
            let look = Look { is_newest: age == 0, ..look };
            let is_whole = look.examination.is_whole();
            // A commit that was under way when the process ended is not whole, and no damage: the
            // one before it counts. What is better comes later only in that case.
            let is_better = best.as_ref().is_none_or(|best| look.loss() < best.loss());
            if is_better {
                best = Some(look);
            }
            if is_whole {
                break;
            }
        }
        if best.as_ref().is_some_and(|best| best.is_another) {
            return Err(not_ours());
        }
        let is_older = best.as_ref().is_some_and(|best| best.is_ours && !best.is_newest);
        let is_searched = best.as_ref().is_none_or(|best| !best.is_ours);
        if is_searched {
            let lists = pages.lists_of_tables(&LANDMARKS);
            let looks = lists.iter().map(|root| Look::at(&pages, Some(root), path));
            let looks = looks.collect::<Result<Vec<Look>, StoreError>>()?;
            let found = looks.into_iter().filter(|look| look.is_ours).min_by_key(|look| {
                let Examination { starts, furthest, .. } = look.examination;
                (look.loss(), Reverse(starts), Reverse(furthest))
            });
            // Without one, what is wrong with the commits is all that can be said.
            best = found.or(best);
        }
        let mut look = match best {
            Some(best) => best,
            // Nothing of anybody can be seen in there.
            None if pages.bytes() == 0 || head.is_zero || head.has_magic => Look::default(),
            None => return Err(not_ours()),
        };
        if is_older && !head.is_interrupted && look.examination.is_whole() {
            look.problem(
                "the last commit is damaged; the one before it is whole, but older".to_owned(),
            );
        }
        if is_searched && look.is_ours {
            // What it lacks of the newest state, nobody knows.
            look.problem("the list of the tables was searched for and may be older".to_owned());
        }
        look.examination.may_be_older = is_older || is_searched;
        look.examination.file_bytes = pages.bytes();
        look.examination.spare_bytes = pages.bytes().saturating_sub(look.used_bytes);
        look.examination.problems.splice(0..0, head_problems(&head, pages.bytes()));
        let mut examination = look.examination;
        let (found, journal) = beside::read(path, examination.named)?;
        examination.journal = found;
        if found.is_damaged {
            let whole = found.records;
            examination.problems.push(format!(
                "the journal: groups are missing; {whole} can be read that are not in the tables"
            ));
        }
        Ok(Self { pages, examination, journal, tables: look.tables })
    }

    /// Hands out the rows of a table that are as they were written and can be decoded.
    pub(crate) fn rows(&self, table: Table, mut visit: impl FnMut(&[u8], &[u8], Row<'_>)) {
        let Some(described) = self.tables.get(&table) else { return };
        let is_older = described.form != Table::form();
        self.pages.rows(described, |key, value| {
            let key =
                if is_older { upgrade::key_now(table.name(), key) } else { Cow::Borrowed(key) };
            if let Ok(row) = table.decode(&key, value) {
                visit(&key, value, row);
            }
        });
    }
}

/// Examines a store file that no process has open.
///
/// # Errors
/// When the file cannot be read, is in use, is not a store of weir, or is newer than this
/// program. What is damaged is no error: it stands in the answer.
///
/// ```
/// use weir_broker::store::{Store, StoreOptions, examine};
///
/// # let directory = std::env::temp_dir().join(format!("weir-examine-{}", std::process::id()));
/// drop(Store::open(&directory, StoreOptions::default())?);
/// let found = examine(&directory.join("weir.redb"))?;
/// assert!(found.is_whole());
/// assert_eq!(found.starts, Some(1));
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn examine(path: &Path) -> Result<Examination, StoreError> {
    Ok(Source::read(open_shared(path)?, path)?.examination)
}

/// Opens a file for reading, in a way that no process can open it as a store meanwhile.
pub(crate) fn open_shared(path: &Path) -> Result<File, StoreError> {
    open_locked(path, File::try_lock_shared)
}

/// Opens a file for reading, in a way that no process can open it at all meanwhile.
pub(crate) fn open_alone(path: &Path) -> Result<File, StoreError> {
    open_locked(path, File::try_lock)
}

fn open_locked(
    path: &Path,
    lock: impl FnOnce(&File) -> Result<(), TryLockError>,
) -> Result<File, StoreError> {
    let file = File::open(path).map_err(|error| io_error(path.to_path_buf(), error))?;
    match lock(&file) {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: path.to_path_buf() }),
        Err(TryLockError::Error(error)) => Err(io_error(path.to_path_buf(), error)),
    }
}

/// One state of the store that a file shows.
#[derive(Default)]
struct Look {
    tables: BTreeMap<Table, pages::Table>,
    examination: Examination,
    used_bytes: u64,
    /// It has the mark of a store.
    is_ours: bool,
    /// It is whole and has not.
    is_another: bool,
    /// It is the last commit of the file.
    is_newest: bool,
}

impl Look {
    fn at(pages: &Pages, root: Option<&Root>, path: &Path) -> Result<Self, StoreError> {
        let Some(root) = root else {
            // A file of the engine without any table is a store that was never used.
            return Ok(Self { is_ours: true, ..Self::default() });
        };
        let (described, list) = pages.tables(root);
        let mut look = Self { used_bytes: list.bytes, ..Self::default() };
        if list.bad_pages > 0 {
            look.problem(format!("the list of the tables is damaged ({list})"));
        }
        for (name, described) in described {
            let Some(table) = Table::named(&name) else { continue };
            if described.form == Table::form() || described.form == table.older_form() {
                look.tables.insert(table, described);
            } else {
                look.problem(format!("table {name} has the columns of another program"));
            }
        }
        let has_mark = look.tables.contains_key(&Table::Meta);
        let has_others = look.tables.len() >= TABLES_MIN;
        look.is_ours = has_mark || list.bad_pages > 0 && has_others;
        look.is_another = !has_mark && list.bad_pages == 0;
        if !look.is_ours {
            return Ok(look);
        }
        look.examine(pages);
        match look.examination.format_version {
            Some(found) if !(1..=schema::FORMAT_VERSION).contains(&found) => {
                Err(StoreError::UnknownFormat {
                    path: path.to_path_buf(),
                    found,
                    known: schema::FORMAT_VERSION,
                })
            }
            None if look.table(Table::Meta).is_some_and(|meta| meta.bad_pages == 0) => {
                look.is_another = true;
                look.is_ours = false;
                Ok(look)
            }
            _ => Ok(look),
        }
    }

    /// What is missing weighs most; then a list of tables that is not whole.
    fn loss(&self) -> (bool, u64, usize) {
        (!self.is_ours, self.examination.lost(), self.examination.problems.len())
    }

    fn table(&self, table: Table) -> Option<TableFindings> {
        self.examination.tables.iter().find(|found| found.table == table.name()).copied()
    }

    fn examine(&mut self, pages: &Pages) {
        let mut references = References::default();
        for table in Table::ALL {
            let Some(described) = self.tables.get(&table) else {
                self.problem(format!("table {} is missing", table.name()));
                continue;
            };
            let mut found = TableFindings { table: table.name(), ..TableFindings::default() };
            let mut first_malformed = None;
            let walk = pages.rows(described, |key, value| match table.decode(key, value) {
                Ok(row) => {
                    found.rows += 1;
                    found.bytes += (key.len() + value.len()) as u64;
                    references.take(row, &mut self.examination);
                }
                Err(error) => {
                    found.malformed += 1;
                    first_malformed.get_or_insert_with(|| (key.to_vec(), error));
                }
            });
            found.bad_pages = walk.bad_pages;
            let expected = described.root.map_or(0, |root| root.rows);
            found.lost = expected.saturating_sub(walk.rows);
            self.used_bytes += walk.bytes;
            self.examination.tables.push(found);
            self.tell(found, first_malformed);
        }
        references.finish(&mut self.examination);
    }

    fn tell(&mut self, found: TableFindings, malformed: Option<(Vec<u8>, MalformedRecord)>) {
        let TableFindings { table, lost, bad_pages, .. } = found;
        if bad_pages > 0 || lost > 0 {
            self.problem(format!(
                "table {table}: {bad_pages} pages are not what was written, {lost} rows are lost"
            ));
        }
        if let Some((key, error)) = malformed {
            let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
            let rows = found.malformed;
            self.problem(format!("table {table}: {rows} bad rows; the first, {key}: {error}"));
        }
    }

    fn problem(&mut self, problem: String) {
        self.examination.problems.push(problem);
    }
}

impl fmt::Display for Walk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} pages", self.bad_pages, self.pages)
    }
}

/// What rows say about each other.
#[derive(Default)]
struct References {
    /// The place of each session in the findings.
    sessions: BTreeMap<SessionKey, usize>,
    cursors: BTreeMap<SessionKey, Cursor>,
    readers: BTreeSet<u16>,
    /// Deliveries under way, with the message each is of.
    sent: Vec<(SessionKey, Sequence)>,
    /// What the log has, in order.
    logged: Vec<schema::LogKey>,
    next: BTreeMap<u8, u64>,
}

impl References {
    fn take(&mut self, row: Row<'_>, found: &mut Examination) {
        match row {
            Row::Meta(schema::META_FORMAT_VERSION, version) => found.format_version = Some(version),
            Row::Meta(schema::META_BOOT_EPOCH, epoch) => found.starts = Some(epoch),
            Row::Meta(schema::META_JOURNAL_EPOCH, epoch) => found.named.epoch = Some(epoch),
            Row::Meta(schema::META_STORE_ID, id) => found.named.store_id = Some(id),
            Row::Session(key, session) => {
                self.sessions.insert(key, found.sessions.len());
                found.sessions.push(SessionFindings {
                    client_id: session.client_id.into(),
                    disconnected_at_ms: session.disconnected_at_ms,
                    ..SessionFindings::default()
                });
            }
            Row::Cursor(key, cursor) => {
                self.look_up(key, found);
                self.seen(key[0], cursor.start.0);
                self.cursors.insert(key, cursor);
            }
            Row::Subscription { session, .. } => {
                if let Some(session) = self.look_up(session, found) {
                    session.subscriptions += 1;
                }
            }
            Row::InflightOut(key, state) => {
                let key = session_of(&key);
                let is_known = self.look_up(key, found).is_some();
                if let (true, InflightState::Sent { sequence }) = (is_known, state) {
                    self.sent.push((key, sequence));
                }
            }
            Row::ReceivedQos2(key) => {
                self.look_up(session_of(&key), found);
            }
            Row::Reader(_, reader) => {
                self.readers.insert(reader.0);
            }
            Row::ReaderCursor(key, done) => {
                let (shard, reader) = schema::reader_key_parts(&key);
                found.loose_rows += u64::from(!self.readers.contains(&reader.0));
                self.seen(shard.0, done.0.saturating_add(1));
            }
            Row::Position(shard, next) => self.seen(shard.0, next.0),
            Row::Log { shard, sequence, targets, message } => {
                self.logged.push(schema::log_key(shard, sequence));
                self.seen(shard.0, sequence.0.saturating_add(1));
                let at = message.parts().received_at_ms;
                found.oldest_at_ms = Some(found.oldest_at_ms.map_or(at, |oldest| oldest.min(at)));
                found.newest_at_ms = Some(found.newest_at_ms.map_or(at, |newest| newest.max(at)));
                for target in &targets {
                    self.count(shard.0, sequence, target, &message, found);
                }
            }
            Row::Meta(..) | Row::Retained(_) | Row::RuleDelta | Row::RuleSnapshot => {}
        }
    }

    fn look_up<'f>(
        &self,
        key: SessionKey,
        found: &'f mut Examination,
    ) -> Option<&'f mut SessionFindings> {
        let place = self.sessions.get(&key);
        found.loose_rows += u64::from(place.is_none());
        found.sessions.get_mut(*place?)
    }

    fn count(
        &self,
        shard: u8,
        sequence: Sequence,
        target: &Target,
        message: &Message,
        found: &mut Examination,
    ) {
        let Destination::Session(session) = target.destination else { return };
        let key = schema::session_key(ShardId(shard), session);
        let waits = self.cursors.get(&key).is_none_or(|cursor| {
            sequence >= cursor.start || cursor.inflight.binary_search(&sequence).is_ok()
        });
        let place = self.sessions.get(&key).filter(|_| waits);
        if let Some(session) = place.and_then(|place| found.sessions.get_mut(*place)) {
            session.queued += 1;
            session.queued_bytes += message.len() as u64;
        }
    }

    fn seen(&mut self, shard: u8, next: u64) {
        let known = self.next.entry(shard).or_default();
        *known = next.max(*known);
    }

    fn finish(self, found: &mut Examination) {
        for (session, sequence) in &self.sent {
            let key = schema::log_key(ShardId(session[0]), *sequence);
            found.loose_rows += u64::from(self.logged.binary_search(&key).is_err());
        }
        found.furthest = self.next.values().fold(0, |sum, next| sum.saturating_add(*next));
    }
}

/// What the first page says about itself.
fn head_problems(head: &Head, bytes: u64) -> Vec<String> {
    let mut problems = Vec::new();
    if bytes == 0 {
        problems.push("the file is empty".to_owned());
    } else if !head.has_magic {
        problems.push("the beginning of the file is overwritten".to_owned());
    } else if head.versions != [ENGINE_FORMAT; 2] {
        problems.push("the head of the file is damaged".to_owned());
    } else if head.commits.is_empty() {
        problems.push("the head of the file names no commit that can be read".to_owned());
    }
    problems
}

/// A list of tables without the one that has the mark is ours when it has so many of ours.
const TABLES_MIN: usize = 3;
/// What a list of our tables has at least.
const LANDMARKS: [&str; 4] = ["log", "meta", "retained", "session"];
