//! How much memory the core takes, and what it gives up when that is too much.
//!
//! Counted are the things that grow with what clients do, by their bytes or by what one of them
//! takes on a 64-bit machine. As memory fills up, first QoS 0 suffers, then speed, then new
//! clients; what was acknowledged never does.

use crate::core::Core;
use crate::effect::Effect;
use crate::identity::ConnectionId;

/// What is given up; each includes those before it.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum MemoryPressure {
    /// Nothing.
    #[default]
    None,
    /// QoS 0 messages for clients that do not read at once are dropped.
    ShedsQos0,
    /// Messages stay on the disk until their client has read what came before. Topics that were
    /// not retained before are not retained (`retained_full`), and new subscriptions and delayed
    /// messages are refused with 0x97.
    LeavesOnDisk,
    /// CONNECT is refused with 0x97 (3.x: 0x03), and what would have to wait in memory is dropped
    /// (`queue_full`).
    RefusesClients,
}

impl MemoryPressure {
    /// Its name, as the operator reads it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ShedsQos0 => "sheds_qos0",
            Self::LeavesOnDisk => "leaves_on_disk",
            Self::RefusesClients => "refuses_clients",
        }
    }

    /// Each with the hundredths of the limit at which it begins.
    const STEPS: [(Self, usize); 3] =
        [(Self::RefusesClients, 100), (Self::LeavesOnDisk, 85), (Self::ShedsQos0, 70)];

    /// It ends so many hundredths below where it begins, so that it does not come and go with
    /// every message.
    const EASE: usize = 5;

    fn after(before: Self, bytes: usize, bytes_max: usize) -> Self {
        let hundredths = (bytes as u128 * 100 / bytes_max.max(1) as u128) as usize;
        let is_due = |(step, begins): &(Self, usize)| {
            hundredths >= begins - if before >= *step { Self::EASE } else { 0 }
        };
        Self::STEPS.into_iter().find(is_due).map_or(Self::None, |(step, _)| step)
    }
}

impl Core {
    /// Looks at memory at the end of a turn, and says so when something has changed.
    pub(crate) fn check_memory(&mut self) {
        let bytes = self.memory_bytes();
        let pressure = MemoryPressure::after(self.pressure, bytes, self.limits.memory_max);
        if pressure != self.pressure {
            self.pressure = pressure;
            self.turn.effects.push(Effect::MemoryPressure { pressure, bytes });
        }
    }

    /// Counts the buffers of a connection anew.
    pub(crate) fn count_buffers(&mut self, id: ConnectionId) {
        let Some(open) = self.connections.get_mut(id) else { return };
        let bytes = open.outbound.capacity() + open.unhandled.capacity();
        self.buffer_bytes = self.buffer_bytes + bytes - open.buffer_bytes;
        open.buffer_bytes = bytes;
    }

    /// Unsent bytes of a connection past which nothing more is given to it at a time.
    pub(crate) fn send_buffer_bytes_max(&self, acts_at: MemoryPressure) -> usize {
        let whole = self.limits.send_buffer_bytes_max;
        if self.pressure >= acts_at { whole.min(TIGHT_BUFFER_BYTES) } else { whole }
    }

    /// Bytes that the core takes, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        let subscriptions = self.subscriptions.count() + self.shares.member_count();
        self.buffer_bytes
            + self.connections.count() * CONNECTION_BYTES
            + self.log.bytes_in_memory()
            + self.log.count() * QUEUED_BYTES
            + self.retained.bytes()
            + self.retained.count() * RETAINED_BYTES
            + self.schedule.bytes()
            + self.schedule.count() * DELAYED_BYTES
            + self.sessions.len() * SESSION_BYTES
            + subscriptions * SUBSCRIPTION_BYTES
    }
}

/// What a connection may have unsent when memory is short.
const TIGHT_BUFFER_BYTES: usize = 16 * 1024;

// What one takes besides the bytes that are counted: its record and its places in maps. A test
// holds them against the allocator (tests/allocations.rs).
const CONNECTION_BYTES: usize = 250;
const DELAYED_BYTES: usize = 140;
const QUEUED_BYTES: usize = 44;
const RETAINED_BYTES: usize = 55;
const SESSION_BYTES: usize = 800;
const SUBSCRIPTION_BYTES: usize = 480;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_rises_by_steps_and_ends_a_little_below_where_it_began() {
        use MemoryPressure::{LeavesOnDisk, None, RefusesClients, ShedsQos0};
        let mut pressure = None;
        let course = [69, 70, 69, 65, 64, 84, 85, 81, 80, 79, 100, 95, 94, 120, 0];
        let seen = course.map(|bytes| {
            pressure = MemoryPressure::after(pressure, bytes, 100);
            pressure
        });
        let expected = [
            None,
            ShedsQos0,
            ShedsQos0,
            ShedsQos0,
            None,
            ShedsQos0,
            LeavesOnDisk,
            LeavesOnDisk,
            LeavesOnDisk,
            ShedsQos0,
            RefusesClients,
            RefusesClients,
            LeavesOnDisk,
            RefusesClients,
            None,
        ];
        assert_eq!(seen, expected);
        assert_eq!(MemoryPressure::after(None, usize::MAX, usize::MAX), RefusesClients);
        assert_eq!(MemoryPressure::after(None, 1 << 40, usize::MAX), None);
    }
}
