//! What can be set about the store. The configuration fills it in; the defaults are for tests.

/// In what condition a file was found when it was opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Condition {
    /// It was closed by its last user, and passed the checks if there were any.
    Clean,
    /// It failed the checks and was repaired. What it holds is whole, but may be older than what
    /// was acknowledged: an operator has to know.
    Damaged,
    /// Its last user was killed or lost power. It was checked and holds all that was
    /// acknowledged.
    Interrupted,
    /// It was damaged. What could be read is in a new file, and the old one was put aside.
    Salvaged,
}

/// How a store is opened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoreOptions {
    /// Memory for pages of the file, bytes. Four to sixteen MiB are right for a gateway: the
    /// log is written once and read again only by those who were away.
    pub cache_bytes: usize,
    /// Whether the whole file is checked while it is opened, also after a clean stop. After a
    /// crash it always is. Without the check a bit that flipped on the disk is noticed late or
    /// never; with it opening takes about a millisecond more per megabyte on a PC.
    pub verify: bool,
    /// How long the journal may become before it goes to the database, bytes. What is in it is in
    /// memory as well, and takes at most twice as much there.
    pub journal_bytes_max: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { cache_bytes: 8 * 1024 * 1024, verify: true, journal_bytes_max: 4 * 1024 * 1024 }
    }
}
