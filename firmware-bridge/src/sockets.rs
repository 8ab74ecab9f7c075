//! The open sockets of a shard by slot.
//!
//! A slot is used again under a new generation, so an effect that comes late for a closed
//! connection finds nothing.

use mio::net::TcpStream;
use weir_core::ConnectionId;

/// One open socket.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) id: ConnectionId,
    pub(crate) stream: TcpStream,
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
    slots: Vec<(u32, Option<Box<Socket>>)>,
    free: Vec<u32>,
}

impl Sockets {
    /// Takes a socket in and names it.
    pub(crate) fn insert(&mut self, stream: TcpStream) -> ConnectionId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, None));
            u32::try_from(self.slots.len() - 1).expect("descriptors end before slots do")
        });
        let entry = &mut self.slots[slot as usize];
        entry.0 = entry.0.wrapping_add(1);
        let id = ConnectionId { slot, generation: entry.0 };
        entry.1 = Some(Box::new(Socket {
            id,
            stream,
            blocked: false,
            paused: false,
            read_closed: false,
            to_read: false,
        }));
        id
    }

    /// Whoever has this slot now.
    pub(crate) fn at(&mut self, slot: u32) -> Option<&mut Socket> {
        self.slots.get_mut(slot as usize)?.1.as_deref_mut()
    }

    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Socket> {
        self.at(id.slot).filter(|socket| socket.id == id)
    }

    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<Box<Socket>> {
        self.get_mut(id)?;
        self.free.push(id.slot);
        self.slots[id.slot as usize].1.take()
    }
}
