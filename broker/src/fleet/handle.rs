//! How the rest of the broker reaches the fleet: it is woken, given messages, told what is wanted
//! here, and asked for its state. Everything here returns at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_core::{InterestChange, Records};

use crate::record_sink::RecordSink;
use crate::status::{FleetStatus, UpstreamState, UpstreamStatus};
use crate::upstream::UpstreamHandle;

/// The fleet, from outside. Clones are the same fleet.
#[derive(Clone, Debug)]
pub(crate) struct FleetHandle {
    /// The log, live messages and figures, as those of an upstream.
    pub(super) upstream: UpstreamHandle,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// How often each filter is wanted in all shards together.
    interest: Mutex<BTreeMap<Arc<str>, usize>>,
    has_changed: AtomicBool,
    /// What is not a figure of an upstream.
    status: Mutex<FleetStatus>,
}

impl FleetHandle {
    pub(super) fn new(name: &str) -> Self {
        let status = FleetStatus { name: name.to_owned(), ..FleetStatus::default() };
        let shared = Shared { status: Mutex::new(status), ..Shared::default() };
        Self { upstream: UpstreamHandle::new("fleet"), shared: Arc::new(shared) }
    }

    /// The store has committed something.
    pub(crate) fn log_grew(&self) {
        self.upstream.log_grew();
    }

    /// The sessions and readers of a shard want other topics.
    pub(crate) fn note_interest(&self, changes: Vec<InterestChange>) {
        let mut interest = lock(&self.shared.interest);
        for InterestChange { filter, is_wanted } in changes {
            if is_wanted {
                *interest.entry(filter).or_default() += 1;
            } else if let Some(count) = interest.get_mut(&filter) {
                *count -= 1;
                if *count == 0 {
                    interest.remove(&filter);
                }
            }
        }
        drop(interest);
        self.shared.has_changed.store(true, Ordering::Release);
        self.upstream.wake();
    }

    /// How it is now.
    pub(crate) fn status(&self) -> FleetStatus {
        let UpstreamStatus {
            state,
            depth,
            depth_bytes,
            oldest_at_ms,
            sent,
            acknowledged,
            received,
            dropped,
            last_error,
            ..
        } = self.upstream.status();
        FleetStatus {
            is_connected: state == UpstreamState::Connected,
            depth,
            depth_bytes,
            oldest_at_ms,
            sent,
            acknowledged,
            received,
            dropped,
            last_error,
            ..lock(&self.shared.status).clone()
        }
    }

    /// Whether something else is wanted here than when it was asked last.
    pub(super) fn take_interest_changed(&self) -> bool {
        self.shared.has_changed.swap(false, Ordering::AcqRel)
    }

    /// The filters that are wanted here.
    pub(super) fn interest(&self) -> Vec<Arc<str>> {
        lock(&self.shared.interest).keys().cloned().collect()
    }

    /// Changes what is said of the fleet.
    pub(super) fn change_status(&self, change: impl FnOnce(&mut FleetStatus)) {
        change(&mut lock(&self.shared.status));
    }
}

impl RecordSink for FleetHandle {
    fn give(&self, records: Records) {
        self.upstream.give(records);
    }

    fn has_room(&self) -> bool {
        self.upstream.has_room()
    }
}

/// The values behind these locks are whole at any moment, also after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(filter: &str, is_wanted: bool) -> InterestChange {
        InterestChange { filter: filter.into(), is_wanted }
    }

    #[test]
    fn a_filter_is_wanted_while_anybody_wants_it() {
        let handle = FleetHandle::new("a");
        handle.note_interest(vec![change("t", true), change("u", true), change("t", true)]);
        assert!(handle.take_interest_changed() && !handle.take_interest_changed());
        handle.note_interest(vec![change("t", false), change("u", false)]);
        assert_eq!(handle.interest(), [Arc::from("t")]);
        handle.note_interest(vec![change("t", false)]);
        assert!(handle.interest().is_empty() && handle.take_interest_changed());
    }
}
