//! The store of a broker: how it is opened, and who is told what becomes of it.

use std::cell::Cell;
use std::sync::Arc;

use weir_core::{ShardId, StoreRoom};

use crate::clock::unix_ms;
use crate::config::Config;
use crate::fleet::FleetHandle;
use crate::history::HistoryHandle;
use crate::mailbox::{Mail, Mailboxes};
use crate::store::{
    RoomLimits, RoomWatch, Salvage, SalvagedTable, Store, StoreError, StoreOptions, WriterOptions,
    free_disk,
};
use crate::upstream::Roster;

/// Opens the store, or makes one; a damaged one is salvaged if that is allowed.
pub(super) fn open_store(config: &Config) -> Result<Store, StoreError> {
    let options = StoreOptions {
        cache_bytes: usize::try_from(config.store.cache_bytes).unwrap_or(usize::MAX),
        ..StoreOptions::default()
    };
    if !config.persistence {
        return Store::in_memory(options);
    }
    let now_s = unix_ms() / 1000;
    let (store, salvage) = Store::start(&config.data_dir, options, config.store.on_damage, now_s)?;
    if let Some(salvage) = salvage {
        tell(&salvage);
    }
    Ok(store)
}

/// Somebody has to know what is gone.
fn tell(salvage: &Salvage) {
    for problem in &salvage.problems {
        tracing::error!(%problem, "the store was damaged");
    }
    for table in salvage.tables.iter().filter(|table| table.lost != Some(0) || table.removed > 0) {
        let SalvagedTable { table, kept, lost, removed, .. } = table;
        let lost = lost.map_or_else(|| "all".to_owned(), |lost| lost.to_string());
        tracing::error!(table, kept, lost, removed, "rows of a damaged store are lost");
    }
    let (quarantined, report) = (salvage.quarantined.display(), salvage.report.display());
    tracing::error!(%quarantined, %report, "the store was salvaged; the damaged one is kept");
}

/// Tells whoever waits for it what the writer has done.
pub(super) fn tell_of_commits(
    mailboxes: Mailboxes,
    upstreams: Arc<Roster>,
    fleet: Option<FleetHandle>,
    history: Option<HistoryHandle>,
    room: Arc<RoomWatch>,
) -> impl Fn(Result<&[(ShardId, u64)], &StoreError>) + Send {
    let is_failing = Cell::new(false);
    move |outcome| match outcome {
        Ok(batches) => {
            if is_failing.replace(false) {
                tracing::info!("the store is written again: what waited goes on");
            }
            mailboxes.tell_committed(batches);
            upstreams.log_grew();
            fleet.iter().for_each(FleetHandle::log_grew);
            history.iter().for_each(HistoryHandle::log_grew);
            room.written();
        }
        Err(error) => {
            is_failing.set(true);
            tracing::error!(%error, "nothing is acknowledged until the store is written");
            room.failed(matches!(error, StoreError::DiskFull { .. }));
        }
    }
}

/// What the configuration says about the thread that writes.
pub(super) fn writer_options(config: &Config) -> WriterOptions {
    WriterOptions {
        group_commit_max_delay: config.store.group_commit_max_delay,
        flush_interval: config.store.flush_interval,
        ..WriterOptions::default()
    }
}

/// Tells the shards whether there is room. A store in memory has no limits of its own.
pub(super) fn room_watch(config: &Config, store: Arc<Store>, mailboxes: Mailboxes) -> RoomWatch {
    let limits = RoomLimits {
        store_bytes_max: config.store.max_store_bytes.filter(|_| config.persistence),
        free_disk_min: config.store.min_free_disk.filter(|_| config.persistence),
    };
    if let Some(max) = limits.store_bytes_max {
        store.set_tight_at(RoomLimits::eased(max));
    }
    let data_dir = config.data_dir.clone();
    let (used, free) = (store.clone(), store.clone());
    RoomWatch::new(
        limits,
        move || used.used_bytes(),
        // A file does not become shorter when messages go, but it does not grow either.
        move || Some(free_disk(&data_dir)? + free.reusable_bytes()),
        move |room| {
            store.set_tight(room == StoreRoom::Full);
            mailboxes.send_all(|| Mail::StoreRoom(room));
        },
    )
}
