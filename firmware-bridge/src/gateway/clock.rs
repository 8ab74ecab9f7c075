//! The time of the day, by the time that passes.

/// What the time that passes is for others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    /// When the time that passes was which time of the day.
    wall: Option<(u64, u64)>,
    /// When the time that passes was which time since the start of the machine.
    uptime: (u64, u64),
}

/// A moment, as it is told to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stamp {
    /// Milliseconds since the start of the machine, whose clock is not set; negative before it.
    Uptime(i64),
    /// Milliseconds of Unix time.
    Wall(u64),
}

impl Clock {
    pub(super) fn at(now: u64, unix_ms: Option<u64>, uptime_ms: u64) -> Self {
        Self { wall: unix_ms.map(|unix_ms| (now, unix_ms)), uptime: (now, uptime_ms) }
    }

    /// The moment that was so long before `now`.
    pub(super) fn before(self, now: u64, age_ms: u32) -> Stamp {
        let since = |(at, told): (u64, u64)| told.saturating_add(now.saturating_sub(at));
        match self.wall {
            Some(wall) => Stamp::Wall(since(wall).saturating_sub(age_ms.into())),
            None => Stamp::Uptime(since(self.uptime) as i64 - i64::from(age_ms)),
        }
    }
}
