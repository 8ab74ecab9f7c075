//! The clocks of this machine.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use super::clock::Now;

/// The clocks of this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock;

impl Clock {
    /// This moment. The time since the start is that of `CLOCK_MONOTONIC`, in which the kernel
    /// stamps edges of pins.
    pub(crate) fn now(self) -> Now {
        let uptime = clock_gettime(ClockId::Monotonic);
        let uptime_ms = uptime.tv_sec as u64 * 1_000 + uptime.tv_nsec as u64 / 1_000_000;
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now::new(uptime_ms, unix.as_millis() as u64)
    }
}
