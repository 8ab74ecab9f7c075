//! The clocks of the machine, read once per turn.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
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

/// Waits until the clock of the machine is right: one that does not go on without power is set by
/// the network some time after the start.
#[derive(Debug, Default)]
pub(crate) struct ClockWatch {
    /// Is there once the clock is set; none if it always is.
    file: Option<PathBuf>,
    is_set: AtomicBool,
}

impl ClockWatch {
    /// Looks for the first time.
    pub(crate) fn new(file: Option<PathBuf>) -> Self {
        let watch = Self { is_set: AtomicBool::new(file.is_none()), file };
        watch.look();
        watch
    }

    /// Whether the clock is set, as of the last look. It stays so.
    pub(crate) fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }

    /// Looks again; true when the clock has been set since the last look.
    pub(crate) fn look(&self) -> bool {
        let is_there = self.file.as_ref().is_some_and(|file| file.exists());
        is_there && !self.is_set.swap(true, Ordering::AcqRel)
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_set_once_its_file_is_there() {
        assert!(ClockWatch::new(None).is_set());
        let file = std::env::temp_dir().join(format!("weir-clock-{}", std::process::id()));
        let watch = ClockWatch::new(Some(file.clone()));
        assert!(!watch.look() && !watch.is_set());
        std::fs::write(&file, "").expect("it can be written");
        assert!(watch.look() && watch.is_set());
        assert!(ClockWatch::new(Some(file.clone())).is_set());
        std::fs::remove_file(file).expect("it was there");
        assert!(!watch.look() && watch.is_set(), "it stays so");
    }
}
