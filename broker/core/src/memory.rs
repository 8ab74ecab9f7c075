//! How much memory the core takes, and what it gives up when that is too much.
//!
//! Counted are the things that grow with what clients do, by their bytes or by what one of them
//! takes on a 64-bit machine. As memory fills up, first QoS 0 suffers, then speed, then new
//! clients; what waits on the disk for a kept session never does.

use crate::core::Core;
use crate::effect::Effect;
use crate::identity::ConnectionId;
use crate::pressure::MemoryPressure;

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
        // Less than 4 GB: it is bounded by packets and by what is sent at a time.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.buffer_bytes = self.buffer_bytes + bytes as usize - open.buffer_bytes as usize;
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
            + self.retained.expiring_count() * EXPIRING_BYTES
            + self.held.bytes()
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
const CONNECTION_BYTES: usize = 236;
const DELAYED_BYTES: usize = 140;
const EXPIRING_BYTES: usize = 45;
const QUEUED_BYTES: usize = 44;
const RETAINED_BYTES: usize = 55;
const SESSION_BYTES: usize = 500;
const SUBSCRIPTION_BYTES: usize = 340;
