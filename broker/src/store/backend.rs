//! Counts what the database engine writes, because flash wears by what is written to it.
//!
//! Everything else passes through to the real backend: a file, or the simulated disk of a test.

use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::{BackendError, StorageBackend};

use crate::store::error::StoreError;

/// What went to the disk since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct DiskCounters {
    /// Bytes handed to the system.
    pub(crate) bytes_written: AtomicU64,
    /// Length of the file.
    pub(crate) file_bytes: AtomicU64,
    /// Flushes asked of the disk.
    pub(crate) syncs: AtomicU64,
}

/// The files of a store.
pub(crate) struct Files {
    pub(crate) database: Box<dyn StorageBackend>,
    pub(crate) journal: Box<dyn StorageBackend>,
}

/// Opens the files of a store that let go of them. They exist.
pub(crate) type OpenFiles = Box<dyn Fn() -> Result<Files, StoreError> + Send + Sync>;

/// A backend that counts.
#[derive(Debug)]
pub(crate) struct CountingBackend {
    backend: Box<dyn StorageBackend>,
    counters: Arc<DiskCounters>,
}

impl CountingBackend {
    pub(crate) fn new(backend: impl StorageBackend, counters: Arc<DiskCounters>) -> Self {
        Self::boxed(Box::new(backend), counters)
    }

    pub(crate) fn boxed(backend: Box<dyn StorageBackend>, counters: Arc<DiskCounters>) -> Self {
        Self { backend, counters }
    }
}

impl StorageBackend for CountingBackend {
    fn len(&self) -> Result<u64, io::Error> {
        let bytes = self.backend.len()?;
        self.counters.file_bytes.store(bytes, Ordering::Relaxed);
        Ok(bytes)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.backend.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.backend.set_len(len)?;
        self.counters.file_bytes.store(len, Ordering::Relaxed);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        self.backend.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.counters.bytes_written.fetch_add(data.len() as u64, Ordering::Relaxed);
        self.backend.write(offset, data)
    }

    fn close(&self) -> Result<(), io::Error> {
        self.backend.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.backend.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.query_lock_range(start, end)
    }
}
