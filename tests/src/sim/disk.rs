//! Disks in memory that can lose their write cache.
//!
//! They take the place of the files under the real store. What was written since the last sync
//! may at a power cut be kept, lost or torn at the boundaries of sectors, and one write may
//! survive another that came before it. Reads, writes and syncs can be made to fail, the disks can
//! be full for a while, and syncs can lie: they say that all is well and keep nothing. The two
//! disks of a store lose power at the same moment and keep what they keep independently. All chance
//! comes from one seeded generator, so a run is repeated by its seed.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_broker::store::{Store, StoreError, StoreOptions};

use super::random::Random;

/// What the two files of a store hold.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Image {
    /// The database.
    pub database: Vec<u8>,
    /// The journal.
    pub journal: Vec<u8>,
}

/// The two files of a store, each on a disk of its own; clones are the same disks.
#[derive(Clone, Debug)]
pub struct SimulatedDisks {
    /// Under the database.
    pub database: SimulatedDisk,
    /// Under the journal.
    pub journal: SimulatedDisk,
}

impl SimulatedDisks {
    /// Two empty disks.
    #[must_use]
    pub fn new() -> Self {
        Self::from_image(Image::default())
    }

    /// Disks that hold `image`, as after a reboot.
    #[must_use]
    pub fn from_image(image: Image) -> Self {
        let database = SimulatedDisk::from_image(image.database);
        let journal = SimulatedDisk::beside(&database, image.journal);
        Self { database, journal }
    }

    /// Opens the store on them.
    ///
    /// # Errors
    /// Those of the store.
    pub fn open(&self, options: StoreOptions) -> Result<Store, StoreError> {
        Store::with_backends(self.database.clone(), self.journal.clone(), options)
    }

    /// The operation after `operations` more, on whichever disk, and everything after it, fails.
    pub fn crash_after(&self, operations: u64) {
        self.database.crash_after(operations);
    }

    /// The first sync of either disk after `operations` more operations fails; later ones work
    /// again.
    pub fn fail_sync_after(&self, operations: u64) {
        self.database.fail_sync_after(operations);
    }

    /// The same, and what it should have made durable is lost although it still looks as if it
    /// were there: so Linux does it.
    pub fn lose_sync_after(&self, operations: u64) {
        self.database.lose_sync_after(operations);
    }

    /// After so many operations nothing can be written to either disk.
    pub fn refuse_after(&self, operations: u64, kind: io::ErrorKind) {
        self.database.refuse_after(operations, kind);
    }

    /// From now on what is written is written.
    pub fn heal(&self) {
        self.database.heal();
    }

    /// Opens the store on them, so that it can open them anew after a failure. What a system
    /// would remember of them is dropped each time.
    ///
    /// # Errors
    /// Those of the store.
    pub fn open_for_good(&self, options: StoreOptions) -> Result<Store, StoreError> {
        let disks = self.clone();
        let open = move || {
            disks.database.forget();
            disks.journal.forget();
            Ok((disks.database.clone(), disks.journal.clone()))
        };
        Store::with_disks(open, options)
    }

    /// From now on no block of either can be written that was never written before.
    pub fn fill(&self) {
        self.database.fill();
        self.journal.fill();
    }

    /// Both have room again.
    pub fn give_room(&self) {
        self.database.set_capacity(None);
        self.journal.set_capacity(None);
    }

    /// The power is gone: everything fails.
    #[must_use]
    pub fn have_no_power(&self) -> bool {
        self.database.power().check_alive().is_err()
    }

    /// How many operations there were on both.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.database.operations()
    }

    /// A number made of every operation of both in their order, and of its bytes.
    #[must_use]
    pub fn trace(&self) -> u64 {
        self.database.power().trace
    }

    /// What the files hold when nothing goes wrong.
    #[must_use]
    pub fn image(&self) -> Image {
        Image { database: self.database.image(), journal: self.journal.image() }
    }

    /// What a reboot would find if the power failed now. The disks themselves are not changed.
    #[must_use]
    pub fn power_cut(&self, random: &mut Random) -> Image {
        let database = self.database.power_cut(random);
        Image { database, journal: self.journal.power_cut(random) }
    }
}

impl Default for SimulatedDisks {
    fn default() -> Self {
        Self::new()
    }
}

/// The disk; clones are the same disk, so a test keeps one while the store owns the other.
#[derive(Clone, Debug)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
    power: Arc<Mutex<Power>>,
}

/// What disks on one supply share.
#[derive(Debug, Default)]
struct Power {
    /// Writes, syncs and changes of the length, counted.
    operations: u64,
    /// From this operation on everything fails.
    crash_at: Option<u64>,
    /// The first sync from this operation on fails.
    failing_sync_at: Option<u64>,
    /// What a failing sync should have made durable is lost, and still looks as if it were there;
    /// otherwise it stays in the cache.
    failing_sync_loses: bool,
    /// From this operation on whatever changes the disk fails like this. A write may have reached
    /// the cache all the same.
    refusing: Option<(u64, io::ErrorKind)>,
    trace: u64,
}

#[derive(Debug, Default)]
struct State {
    /// What the store sees.
    current: Vec<u8>,
    /// What is there for sure after a power cut.
    durable: Vec<u8>,
    /// What was done since the last sync, in order.
    cached: Vec<Operation>,
    /// How many bytes, in whole blocks, can ever be written.
    capacity: Option<u64>,
    blocks: BTreeSet<u64>,
    /// So many reads succeed before one fails.
    reads_until_failure: Option<u64>,
    /// Syncs answer that all is well, and keep nothing.
    has_lying_syncs: bool,
}

#[derive(Debug)]
enum Operation {
    Length(usize),
    Write { offset: usize, data: Vec<u8> },
}

impl Operation {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Length(length) => image.resize(*length, 0),
            Self::Write { offset, data } => {
                image[*offset..offset + data.len()].copy_from_slice(data);
            }
        }
    }
}

/// What the cache does to the writes in it at a power cut.
#[derive(Clone, Copy, Debug)]
enum Fate {
    AllKept,
    AllLost,
    /// Those up to some moment are kept.
    Prefix,
    /// Each write is kept or lost.
    Scattered,
    /// Each sector of this size of each write is kept or lost.
    Torn(usize),
}

impl SimulatedDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::from_image(Vec::new())
    }

    /// A disk that holds `image`, as after a reboot.
    #[must_use]
    pub fn from_image(image: Vec<u8>) -> Self {
        let blocks = (0..image.len().div_ceil(BLOCK) as u64).collect();
        let state = State { durable: image.clone(), current: image, blocks, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), power: Arc::default() }
    }

    /// A disk that holds `image` and loses power together with another.
    #[must_use]
    pub fn beside(other: &Self, image: Vec<u8>) -> Self {
        Self { power: Arc::clone(&other.power), ..Self::from_image(image) }
    }

    /// The operation after `operations` more, and everything after it, fails.
    pub fn crash_after(&self, operations: u64) {
        let mut power = self.power();
        power.crash_at = Some(power.operations + operations);
    }

    /// The first sync after `operations` more operations fails; later ones work again.
    pub fn fail_sync_after(&self, operations: u64) {
        let mut power = self.power();
        power.failing_sync_at = Some(power.operations + operations);
    }

    /// The first sync after `operations` more operations fails, and what it should have made
    /// durable is lost although it can still be read.
    pub fn lose_sync_after(&self, operations: u64) {
        self.fail_sync_after(operations);
        self.power().failing_sync_loses = true;
    }

    /// After `operations` more operations whatever changes the disk fails.
    pub fn refuse_after(&self, operations: u64, kind: io::ErrorKind) {
        let mut power = self.power();
        power.refusing = Some((power.operations + operations, kind));
    }

    /// Nothing fails any more, unless the power is gone.
    pub fn heal(&self) {
        let mut power = self.power();
        power.refusing = None;
        power.failing_sync_at = None;
        power.failing_sync_loses = false;
    }

    /// Drops what only looks as if it were there.
    pub fn forget(&self) {
        let mut state = self.state();
        let mut current = state.durable.clone();
        for operation in &state.cached {
            operation.apply(&mut current);
        }
        state.current = current;
    }

    /// The read after `reads` more fails; later ones work again.
    pub fn fail_read_after(&self, reads: u64) {
        self.state().reads_until_failure = Some(reads);
    }

    /// From now on syncs say that all is well, and keep nothing.
    pub fn let_syncs_lie(&self) {
        self.state().has_lying_syncs = true;
    }

    /// From now on no block can be written that was never written before.
    pub fn fill(&self) {
        let mut state = self.state();
        state.capacity = Some(state.blocks.len() as u64 * BLOCK as u64);
    }

    /// Writes fail with "no space" when they would make the written blocks come to more than
    /// this.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// How many operations there were.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.power().operations
    }

    /// What the file holds when nothing goes wrong.
    #[must_use]
    pub fn image(&self) -> Vec<u8> {
        self.state().current.clone()
    }

    /// What a reboot would find if the power failed now. The disk itself is not changed.
    #[must_use]
    pub fn power_cut(&self, random: &mut Random) -> Vec<u8> {
        let state = self.state();
        let fate = match random.below(8) {
            0 => Fate::AllLost,
            1 => Fate::AllKept,
            2 => Fate::Prefix,
            3 | 4 => Fate::Scattered,
            5 | 6 => Fate::Torn(SECTOR),
            _ => Fate::Torn(BLOCK),
        };
        let kept_operations = random.below(state.cached.len() as u64 + 1) as usize;
        let operations = match fate {
            Fate::AllLost => return state.durable.clone(),
            Fate::Prefix => state.cached.get(..kept_operations).unwrap_or_default(),
            _ => &state.cached[..],
        };
        let mut image = state.durable.clone();
        for operation in operations {
            match operation {
                // The system keeps lengths and data apart; a write past a lost length is lost.
                Operation::Length(length) => image.resize(*length, 0),
                Operation::Write { offset, data } => {
                    keep(&mut image, *offset, data, fate, random);
                }
            }
        }
        if let Some(Operation::Length(length)) = operations.iter().rev().find(|operation| {
            matches!(operation, Operation::Length(length) if *length > state.durable.len())
        }) && matches!(fate, Fate::Scattered | Fate::Torn(_))
            && random.chance(30)
        {
            let lost = random.below((length - state.durable.len()) as u64 + 1) as usize;
            image.truncate(length - lost);
        }
        image
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn power(&self) -> MutexGuard<'_, Power> {
        self.power.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for SimulatedDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl redb::StorageBackend for SimulatedDisk {
    fn len(&self) -> Result<u64, io::Error> {
        let state = self.state();
        self.power().check_alive()?;
        Ok(state.current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let mut state = self.state();
        self.power().check_alive()?;
        if let Some(reads) = &mut state.reads_until_failure {
            let is_last = *reads == 0;
            *reads = reads.saturating_sub(1);
            if is_last {
                state.reads_until_failure = None;
                return Err(io::Error::other("the disk cannot read a sector"));
            }
        }
        let start = offset as usize;
        let bytes = start.checked_add(out.len()).and_then(|end| state.current.get(start..end));
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let mut state = self.state();
        self.power().begin(&[&len.to_le_bytes()])?;
        state.current.resize(len as usize, 0);
        state.cached.push(Operation::Length(len as usize));
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let mut state = self.state();
        if let Err((error, loses)) = self.power().begin_sync() {
            if loses {
                // The length is kept by the file system, apart from what is in the file.
                state.cached.retain(|operation| matches!(operation, Operation::Length(_)));
            }
            return Err(error);
        }
        if state.has_lying_syncs {
            return Ok(());
        }
        for operation in std::mem::take(&mut state.cached) {
            operation.apply(&mut state.durable);
        }
        debug_assert_eq!(state.durable.len(), state.current.len());
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut state = self.state();
        let result = self.power().begin(&[&offset.to_le_bytes(), data]);
        let start = offset as usize;
        let end = start + data.len();
        if end > state.current.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if result.is_ok() {
            state.allocate(start, end)?;
        }
        // The write during which the power fails may have reached the cache.
        state.current[start..end].copy_from_slice(data);
        state.cached.push(Operation::Write { offset: start, data: data.to_vec() });
        result
    }
}

impl Power {
    fn check_alive(&self) -> Result<(), io::Error> {
        match self.crash_at {
            Some(at) if self.operations > at => Err(io::Error::other("the power is gone")),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, bytes: &[&[u8]]) -> Result<(), io::Error> {
        self.check_alive()?;
        self.operations += 1;
        for byte in bytes.iter().copied().flatten() {
            self.trace = (self.trace ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self.check_alive()?;
        match self.refusing {
            Some((at, kind)) if self.operations > at => Err(kind.into()),
            _ => Ok(()),
        }
    }

    /// An error, and whether what was to be flushed is lost.
    fn begin_sync(&mut self) -> Result<(), (io::Error, bool)> {
        self.begin(&[b"sync"]).map_err(|error| (error, false))?;
        if self.failing_sync_at.is_some_and(|at| self.operations > at) {
            self.failing_sync_at = None;
            let loses = std::mem::take(&mut self.failing_sync_loses);
            return Err((io::Error::other("the disk did not take a flush"), loses));
        }
        Ok(())
    }
}

impl State {
    fn allocate(&mut self, start: usize, end: usize) -> Result<(), io::Error> {
        let Some(capacity) = self.capacity else { return Ok(()) };
        for block in (start / BLOCK..end.div_ceil(BLOCK)).map(|block| block as u64) {
            if self.blocks.contains(&block) {
                continue;
            }
            if (self.blocks.len() as u64 + 1) * BLOCK as u64 > capacity {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.blocks.insert(block);
        }
        Ok(())
    }
}

/// Puts into `image` what survives of a write.
fn keep(image: &mut [u8], offset: usize, data: &[u8], fate: Fate, random: &mut Random) {
    // Sectors are those of the disk, not of the write.
    let (sector, kept_percent) = match fate {
        Fate::AllKept | Fate::Prefix => (usize::MAX, 100),
        Fate::AllLost => (usize::MAX, 0),
        Fate::Scattered => (usize::MAX, 50),
        Fate::Torn(sector) => (sector, 50),
    };
    let mut at = 0;
    while at < data.len() {
        let to_boundary = sector - (offset + at) % sector;
        let end = at.saturating_add(to_boundary).min(data.len());
        if random.chance(kept_percent)
            && let Some(place) = image.get_mut(offset + at..offset + end)
        {
            place.copy_from_slice(&data[at..end]);
        }
        at = end;
    }
}

/// What a disk writes as a whole.
const SECTOR: usize = 512;
/// What a file system writes as a whole.
const BLOCK: usize = 4096;
