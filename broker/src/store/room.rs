//! Whether the store has room: what its records take, and what is free on its disk.
//!
//! Looked at after each commit, and now and then, because others fill disks too. What is done
//! about it is decided by the core; here it is measured, told once for each change, and said in
//! the log. Room comes back a little above where it was lost, so that it does not come and go
//! with every message.

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use weir_core::StoreRoom;

/// What holds for the room of the store.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RoomLimits {
    /// What the records may take, bytes; none = no limit.
    pub store_bytes_max: Option<u64>,
    /// What must stay free on the disk, bytes; none = no limit.
    pub free_disk_min: Option<u64>,
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shortage {
    /// The disk has refused a write for want of space.
    Disk,
    /// Too little is free on the disk.
    FreeDisk {
        /// Bytes that are free.
        free: u64,
        /// Bytes that must be.
        min: u64,
    },
    /// The records take too much.
    StoreBytes {
        /// Bytes that they take.
        bytes: u64,
        /// Bytes that they may.
        max: u64,
    },
}

/// Looks at the room of one store.
pub struct RoomWatch {
    limits: RoomLimits,
    used: Box<dyn Fn() -> u64 + Send + Sync>,
    free: Box<dyn Fn() -> Option<u64> + Send + Sync>,
    tell: Box<dyn Fn(StoreRoom) + Send + Sync>,
    /// Held while somebody is told, so that all hear the same order.
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    shortage: Option<Shortage>,
    /// The last write has failed.
    is_failing: bool,
    /// What was told last.
    told: StoreRoom,
}

impl RoomWatch {
    /// A watch that calls `tell` when something changes; until then there is room. `used` is
    /// what the records take and `free` what the disk has, where the system tells.
    pub fn new(
        limits: RoomLimits,
        used: impl Fn() -> u64 + Send + Sync + 'static,
        free: impl Fn() -> Option<u64> + Send + Sync + 'static,
        tell: impl Fn(StoreRoom) + Send + Sync + 'static,
    ) -> Self {
        let (used, free, tell) = (Box::new(used), Box::new(free), Box::new(tell));
        Self { limits, used, free, tell, state: Mutex::default() }
    }

    /// What the records may take, if there is a limit.
    pub(crate) fn store_bytes_max(&self) -> Option<u64> {
        self.limits.store_bytes_max
    }

    /// Measures. A disk that has refused a write stays refused until one has worked.
    pub fn look(&self) {
        let mut state = self.lock();
        if state.shortage != Some(Shortage::Disk) {
            self.measure(&mut state);
        }
    }

    /// A write has worked.
    pub fn written(&self) {
        let mut state = self.lock();
        state.is_failing = false;
        self.measure(&mut state);
    }

    /// A write has failed, for want of space or for another reason.
    pub fn failed(&self, is_for_space: bool) {
        let mut state = self.lock();
        state.is_failing = true;
        let shortage = is_for_space.then_some(Shortage::Disk).or(state.shortage);
        self.change(&mut state, shortage);
    }

    /// Why there is no room; none when there is.
    pub fn shortage(&self) -> Option<Shortage> {
        self.lock().shortage
    }

    fn measure(&self, state: &mut State) {
        let after = self.limits.after(state.shortage, (self.used)(), (self.free)());
        self.change(state, after);
    }

    fn change(&self, state: &mut State, shortage: Option<Shortage>) {
        let before = std::mem::replace(&mut state.shortage, shortage);
        match (before, shortage) {
            (None, Some(reason)) => {
                let help = reason.help();
                tracing::error!(
                    %reason,
                    help,
                    "the store has no room: what would have to be kept is refused"
                );
            }
            (Some(_), None) => tracing::info!("the store has room again"),
            _ => {}
        }
        let room = match (shortage, state.is_failing) {
            (Some(_), _) => StoreRoom::Full,
            (None, true) => StoreRoom::Failing,
            (None, false) => StoreRoom::Ample,
        };
        if std::mem::replace(&mut state.told, room) != room {
            (self.tell)(room);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RoomWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomWatch")
            .field("limits", &self.limits)
            .field("shortage", &self.shortage())
            .finish_non_exhaustive()
    }
}

impl RoomLimits {
    /// Part of a limit by which it must be kept before there is room again.
    const EASE: u64 = 20;

    /// Below what of a limit there is room again.
    pub(crate) fn eased(limit: u64) -> u64 {
        limit - limit / Self::EASE
    }

    fn after(self, before: Option<Shortage>, bytes: u64, free: Option<u64>) -> Option<Shortage> {
        let ease = |limit: u64| if before.is_some() { limit / Self::EASE } else { 0 };
        let too_much = |max: &u64| bytes >= max.saturating_sub(ease(*max)).max(1);
        if let Some(max) = self.store_bytes_max.filter(too_much) {
            return Some(Shortage::StoreBytes { bytes, max });
        }
        let (min, free) = self.free_disk_min.zip(free)?;
        (free < min.saturating_add(ease(min))).then_some(Shortage::FreeDisk { free, min })
    }
}

impl Shortage {
    /// What the operator can do about it.
    #[must_use]
    pub fn help(self) -> &'static str {
        match self {
            Self::Disk => "make room on the disk; weir tries again by itself",
            Self::FreeDisk { .. } => {
                "make room on the disk, or lower `min_free_disk`; weir goes on by itself when there \
                 is room"
            }
            Self::StoreBytes { .. } => {
                "let the clients that are away come back or end their sessions, or raise \
                 `max_store_bytes`; weir goes on by itself when there is room"
            }
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk => f.write_str("the disk is full"),
            Self::FreeDisk { free, min } => {
                write!(f, "the disk has {free} bytes free and `min_free_disk` is {min}")
            }
            Self::StoreBytes { bytes, max } => {
                write!(f, "the records take {bytes} bytes and `max_store_bytes` is {max}")
            }
        }
    }
}

/// What an ordinary user may still write to the disk of a directory; none when the system does
/// not tell.
pub fn free_disk(directory: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(directory).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc::{self, Receiver};

    struct Disk {
        used: Arc<AtomicU64>,
        free: Arc<AtomicU64>,
        watch: RoomWatch,
        told: Receiver<StoreRoom>,
    }

    fn disk(limits: RoomLimits) -> Disk {
        let (used, free) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(10_000)));
        let (send, told) = mpsc::channel();
        let watch = RoomWatch::new(
            limits,
            {
                let used = used.clone();
                move || used.load(Ordering::Relaxed)
            },
            {
                let free = free.clone();
                move || Some(free.load(Ordering::Relaxed))
            },
            move |room| send.send(room).expect("the test listens"),
        );
        Disk { used, free, watch, told }
    }

    impl Disk {
        fn look(&self, used: u64, free: u64) -> Option<StoreRoom> {
            self.used.store(used, Ordering::Relaxed);
            self.free.store(free, Ordering::Relaxed);
            self.watch.look();
            self.told.try_recv().ok()
        }
    }

    const BOTH: RoomLimits = RoomLimits { store_bytes_max: Some(1000), free_disk_min: Some(100) };

    #[test]
    fn room_is_lost_at_a_limit_and_comes_back_five_percent_below_it() {
        let disk = disk(BOTH);
        assert_eq!(disk.look(999, 100), None);
        assert_eq!(disk.look(1000, 100), Some(StoreRoom::Full));
        assert_eq!(disk.look(999, 100), None);
        assert_eq!(disk.look(950, 200), None);
        assert_eq!(disk.look(949, 200), Some(StoreRoom::Ample));
        assert_eq!(disk.look(950, 99), Some(StoreRoom::Full));
        assert_eq!(disk.look(10, 104), None);
        assert_eq!(disk.look(10, 105), Some(StoreRoom::Ample));
    }

    /// Between two limits there is no moment with room.
    #[test]
    fn one_shortage_may_follow_another_unheard() {
        let disk = disk(BOTH);
        assert_eq!(disk.look(1000, 1000), Some(StoreRoom::Full));
        assert_eq!(disk.look(10, 50), None);
        assert_eq!(disk.watch.shortage(), Some(Shortage::FreeDisk { free: 50, min: 100 }));
        assert_eq!(disk.look(10, 500), Some(StoreRoom::Ample));
        assert_eq!(disk.watch.shortage(), None);
    }

    #[test]
    fn without_limits_there_is_always_room() {
        let disk = disk(RoomLimits::default());
        assert_eq!(disk.look(u64::MAX, 0), None);
        let disk = self::disk(RoomLimits { store_bytes_max: Some(u64::MAX), free_disk_min: None });
        assert_eq!(disk.look(u64::MAX - 1, 0), None);
    }

    /// However much seems to be free: some file systems keep something back.
    #[test]
    fn a_disk_that_has_refused_a_write_is_full_until_one_works() {
        let disk = disk(BOTH);
        disk.watch.failed(true);
        assert_eq!(disk.told.try_recv(), Ok(StoreRoom::Full));
        assert_eq!(disk.look(10, 10_000), None);
        assert_eq!(disk.watch.shortage(), Some(Shortage::Disk));
        disk.watch.written();
        assert_eq!(disk.told.try_recv(), Ok(StoreRoom::Ample));
        disk.watch.written();
        assert!(disk.told.try_recv().is_err());
    }

    #[test]
    fn a_disk_that_fails_otherwise_has_room_but_does_not_work() {
        let disk = disk(BOTH);
        disk.watch.failed(false);
        disk.watch.failed(false);
        assert_eq!(disk.told.try_recv(), Ok(StoreRoom::Failing));
        assert_eq!(disk.look(1000, 500), Some(StoreRoom::Full), "a limit goes before");
        assert_eq!(disk.look(10, 500), Some(StoreRoom::Failing));
        disk.watch.written();
        assert_eq!(disk.told.try_recv(), Ok(StoreRoom::Ample));
        assert!(disk.told.try_recv().is_err());
    }

    #[test]
    fn each_shortage_says_what_to_do() {
        let all = [
            Shortage::Disk,
            Shortage::FreeDisk { free: 1, min: 2 },
            Shortage::StoreBytes { bytes: 2, max: 1 },
        ];
        for shortage in all {
            assert!(shortage.help().contains("by itself"), "{shortage}");
        }
    }

    #[test]
    fn the_system_tells_what_is_free() {
        assert!(free_disk(Path::new("/")).is_some_and(|free| free > 0));
        assert_eq!(free_disk(Path::new("/no/such/directory")), None);
    }
}
