//! The clocks of the machine, read once per turn.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use weir_core::Now;

/// Counts from the start of the broker; all its threads share one origin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// The time as the core wants it.
    pub(crate) fn now(&self) -> Now {
        let monotonic = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { monotonic: weir_core::Instant(monotonic), unix_ms: unix_ms() }
    }

    /// How long to wait until `at`; rounded up, so that nobody wakes a little too early.
    pub(crate) fn until(&self, at: weir_core::Instant) -> Duration {
        Duration::from_millis(at.0.saturating_sub(self.now().monotonic.0))
    }

    /// Since the start.
    pub(crate) fn uptime(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
