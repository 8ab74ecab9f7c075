//! The open sockets of a shard by slot.
//!
//! A slot is used again under a new generation, so an effect that comes late for a closed
//! connection finds nothing. Sockets stand in the table itself: a plain one takes at most 32 bytes there
//! and nothing elsewhere.

use weir_core::ConnectionId;

use crate::stream::Stream;

/// One open socket.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) stream: Stream,
    /// Number of the listener that it came in by.
    pub(crate) listener: u16,
    /// The kernel takes no more until it says so.
    pub(crate) blocked: bool,
    /// The core does not want to hear more for now.
    pub(crate) paused: bool,
    /// The peer has ended its half: read until the end to see it.
    pub(crate) read_closed: bool,
    /// It stands in the list of sockets to read.
    pub(crate) to_read: bool,
}

/// Sockets by slot.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    socket: Option<Socket>,
}

impl Sockets {
    /// Takes a socket in and names it.
    pub(crate) fn insert(&mut self, stream: Stream, listener: u16) -> ConnectionId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).expect("descriptors end before slots do")
        });
        let entry = &mut self.slots[slot as usize];
        entry.generation = entry.generation.wrapping_add(1);
        entry.socket = Some(Socket {
            stream,
            listener,
            blocked: false,
            paused: false,
            read_closed: false,
            to_read: false,
        });
        ConnectionId { slot, generation: entry.generation }
    }

    /// Whoever has this slot now.
    pub(crate) fn at(&mut self, slot: u32) -> Option<(ConnectionId, &mut Socket)> {
        let Slot { generation, socket } = self.slots.get_mut(slot as usize)?;
        Some((ConnectionId { slot, generation: *generation }, socket.as_mut()?))
    }

    /// The names of all.
    pub(crate) fn ids(&self) -> impl Iterator<Item = ConnectionId> {
        let slots = (0..).zip(&self.slots).filter(|(_, slot)| slot.socket.is_some());
        slots.map(|(slot, Slot { generation, .. })| ConnectionId { slot, generation: *generation })
    }

    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Socket> {
        let Slot { generation, socket } = self.slots.get(id.slot as usize)?;
        socket.as_ref().filter(|_| *generation == id.generation)
    }

    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Socket> {
        self.at(id.slot).filter(|(current, _)| *current == id).map(|(_, socket)| socket)
    }

    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<Socket> {
        self.get_mut(id)?;
        self.free.push(id.slot);
        self.slots[id.slot as usize].socket.take()
    }
}

#[cfg(test)]
mod tests {
    use mio::net::UnixStream;

    use super::*;
    use crate::stream::Socket as Plain;

    #[test]
    fn a_plain_connection_takes_at_most_32_bytes() {
        // mio keeps one word more for its own checks in a debug build.
        let checks = if cfg!(debug_assertions) { size_of::<usize>() } else { 0 };
        assert!(size_of::<Slot>() <= 32 + checks, "{}", size_of::<Slot>());
    }

    #[test]
    fn a_slot_that_is_used_again_has_another_name() {
        let mut sockets = Sockets::default();
        let stream = || Stream::Plain(Plain::Unix(UnixStream::pair().unwrap().0));
        let first = sockets.insert(stream(), 0);
        assert!(sockets.remove(first).is_some());
        let second = sockets.insert(stream(), 3);
        assert_eq!(second.slot, first.slot);
        assert!(sockets.get_mut(first).is_none() && sockets.remove(first).is_none());
        assert_eq!(sockets.get_mut(second).unwrap().listener, 3);
    }
}
