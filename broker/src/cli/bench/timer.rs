//! Waits that are finer than the milliseconds of `epoll`: a message that is due in 300
//! microseconds must not wait for a whole one, and spinning would take the processor from the
//! broker.

use std::{io, os::fd::AsRawFd as _, os::fd::OwnedFd, time::Duration};

use mio::{Interest, Registry, Token, unix::SourceFd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// Waits from here on need no timer.
const COARSE: Duration = Duration::from_millis(20);

/// A timer among the sockets of a poll.
#[derive(Debug)]
pub(crate) struct Timer(OwnedFd);

impl Timer {
    pub(crate) const TOKEN: Token = Token(usize::MAX);

    pub(crate) fn new(registry: &Registry) -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let readable = Interest::READABLE;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), Self::TOKEN, readable)?;
        Ok(Self(timer))
    }

    /// Sees to it that a poll ends in time, and answers how long it may be told to wait.
    pub(crate) fn set(&self, wait: Duration) -> io::Result<Duration> {
        if wait.is_zero() || wait >= COARSE {
            return Ok(wait);
        }
        let nothing = Timespec { tv_sec: 0, tv_nsec: 0 };
        let once = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
        let times = Itimerspec { it_interval: nothing, it_value: once };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &times)?;
        Ok(COARSE)
    }
}
