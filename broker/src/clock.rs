//! The clocks of the machine, read once per turn.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use weir_core::Now;

/// 2020, before which a clock was never set; milliseconds since the Unix epoch.
pub(crate) const SET_FROM_MS: u64 = 1_577_836_800_000;

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

/// What the process has taken of processors since its start.
pub(crate) fn cpu_of_process() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Waits until the clock of the machine is right: one that does not go on without power is set by
/// the network some time after the start.
#[derive(Debug, Default)]
pub(crate) struct ClockWatch {
    /// Is there once the clock is set; none if it always is.
    file: Option<PathBuf>,
    /// What the clock said at the start, milliseconds since the Unix epoch.
    started_ms: u64,
    /// Since when it is set, milliseconds since the Unix epoch.
    set_at_ms: OnceLock<u64>,
}

impl ClockWatch {
    /// Looks for the first time.
    pub(crate) fn new(file: Option<PathBuf>) -> Self {
        let watch = Self { file, started_ms: unix_ms(), set_at_ms: OnceLock::new() };
        watch.look();
        watch
    }

    /// Whether the clock is set, as of the last look. It stays so.
    pub(crate) fn is_set(&self) -> bool {
        self.file.is_none() || self.set_at_ms.get().is_some()
    }

    /// Since when it is set, as of the last look, milliseconds since the Unix epoch: the time of
    /// the file, so that it is the same after a restart. None if it is not set, or always was.
    pub(crate) fn set_at_ms(&self) -> Option<u64> {
        self.set_at_ms.get().copied()
    }

    /// The times of this run at which the clock was not set, milliseconds since the Unix epoch.
    pub(crate) fn wrong_ms(&self) -> Range<u64> {
        match self.is_set() {
            false => self.started_ms..u64::MAX,
            true => self.started_ms..self.set_at_ms().unwrap_or(self.started_ms),
        }
    }

    /// Looks again; answers since when the clock is set, if it was not at the last look.
    pub(crate) fn look(&self) -> Option<u64> {
        let modified = self.file.as_ref()?.metadata().ok()?.modified().ok();
        // A file that is older than the epoch, or was made before the clock was set back.
        let at_ms = modified.map_or(0, since_epoch_ms).min(unix_ms());
        self.set_at_ms.set(at_ms).ok()?;
        Some(at_ms)
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn unix_ms() -> u64 {
    since_epoch_ms(SystemTime::now())
}

fn since_epoch_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_set_once_its_file_is_there() {
        let always = ClockWatch::new(None);
        assert!(always.is_set() && always.wrong_ms().is_empty());
        let file = std::env::temp_dir().join(format!("weir-clock-{}", std::process::id()));
        let watch = ClockWatch::new(Some(file.clone()));
        assert!(watch.look().is_none() && !watch.is_set());
        assert!(watch.wrong_ms().contains(&(unix_ms() + 1_000)));
        let made = std::fs::File::create(&file).expect("it can be made");
        made.set_modified(UNIX_EPOCH + Duration::from_secs(1_700_000_000)).expect("it is its file");
        assert_eq!(watch.look(), Some(1_700_000_000_000));
        let restarted = ClockWatch::new(Some(file.clone()));
        assert!(watch.wrong_ms().is_empty(), "it was set before the start");
        assert_eq!((restarted.is_set(), restarted.set_at_ms()), (true, watch.set_at_ms()));
        std::fs::remove_file(file).expect("it was there");
        assert!(watch.look().is_none() && watch.is_set(), "it stays so");
    }
}
