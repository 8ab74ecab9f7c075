//! What every simulated bus has: chips at their places, and a time that only goes on.
//!
//! A [`Wire`] is a handle: clones are the same bus.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A handle of the chips of a bus and of its time.
pub(super) struct Wire<C>(Arc<Mutex<State<C>>>);

/// A bus while nobody else uses it.
pub(super) struct State<C> {
    now_ns: u128,
    /// By address, or by chip select.
    pub(super) chips: BTreeMap<u8, C>,
}

impl<C> Wire<C> {
    /// No chips, at a time in milliseconds.
    pub(super) fn new(now_ms: u64) -> Self {
        let now_ns = u128::from(now_ms) * NS_PER_MS;
        Self(Arc::new(Mutex::new(State { now_ns, chips: BTreeMap::new() })))
    }

    /// Moves the time on; it never goes back.
    pub(super) fn advance_to(&self, now_ms: u64) {
        let mut state = self.state();
        state.now_ns = state.now_ns.max(u128::from(now_ms) * NS_PER_MS);
    }

    /// The bus for as long as the answer is held. No model can leave it half changed in a way that
    /// matters after a panic: the next transfer starts anew.
    pub(super) fn state(&self) -> MutexGuard<'_, State<C>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C> State<C> {
    /// The time in microseconds.
    pub(super) fn now_us(&self) -> u64 {
        u64::try_from(self.now_ns / 1_000).unwrap_or(u64::MAX)
    }

    /// Somebody waits, and the time of the bus goes on.
    pub(super) fn wait_ns(&mut self, ns: u128) {
        self.now_ns += ns;
    }
}

impl<C> Clone for Wire<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C> fmt::Debug for Wire<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut wire = formatter.debug_struct("Wire");
        if let Ok(state) = self.0.try_lock() {
            wire.field("now_ns", &state.now_ns).field("places", &state.chips.keys());
        }
        wire.finish_non_exhaustive()
    }
}

const NS_PER_MS: u128 = 1_000_000;
