//! The time of the agent: one clock that never jumps, and one that may not be set yet.

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since the start of the machine; never goes backwards.
    pub uptime_ms: u64,
    /// Milliseconds since the Unix epoch; `None` = the clock of the machine is not set.
    pub wall_ms: Option<u64>,
}

impl Now {
    /// A moment of a machine whose clock may be anything: one that says it is before this program
    /// was written is not set.
    pub fn new(uptime_ms: u64, unix_ms: u64) -> Self {
        Self { uptime_ms, wall_ms: Some(unix_ms).filter(|unix_ms| *unix_ms >= WRITTEN_UNIX_MS) }
    }

    /// The time of day at an earlier or the same moment, if the clock is set by now.
    pub(crate) fn wall_ms_at(&self, uptime_ms: u64) -> Option<u64> {
        let age_ms = self.uptime_ms.saturating_sub(uptime_ms);
        self.wall_ms.map(|wall_ms| wall_ms.saturating_sub(age_ms))
    }
}

/// 2026-01-01.
const WRITTEN_UNIX_MS: u64 = 1_767_225_600_000;
