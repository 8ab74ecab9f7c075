//! The sockets of a process: what is read from them goes to a core, and what a core has for them is
//! written and compared with what the disk knows.

use weir_core::{ConnectionId, Effect, Input, ListenerId, Now, ShardId};
use weir_mqtt::frame_len;

use super::Process;
use crate::sim::client::Client;
use crate::sim::misbehaviour::Misbehaviour;
use crate::sim::network::LinkId;
use crate::sim::surroundings::Surroundings;
use crate::sim::trace::About;

/// A connection as the process has it.
pub(super) struct Socket {
    pub(super) link: LinkId,
    pub(super) listener: ListenerId,
    /// None on the way from one to another.
    pub(super) shard: Option<ShardId>,
    pub(super) is_paused: bool,
    pub(super) is_blocked: bool,
    /// Something waits since an earlier turn.
    pub(super) was_blocked: bool,
    /// The last bytes that were written, from the beginning of a frame.
    pub(super) written: Vec<u8>,
    /// Bytes that were read and not handed on yet, from the beginning of a frame; only while a
    /// fault looks at frames.
    pub(super) heard: Vec<u8>,
}

impl Process {
    pub(super) fn open(&mut self, now: Now, link: LinkId, listener: ListenerId) {
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.generations.push(0);
            u32::try_from(self.generations.len() - 1).expect("few connections")
        });
        let connection = ConnectionId { slot, generation: self.generations[slot as usize] };
        let (written, heard) = (Vec::new(), Vec::new());
        let socket = Socket {
            link,
            listener,
            shard: Some(ShardId::FIRST),
            is_paused: false,
            is_blocked: false,
            was_blocked: false,
            written,
            heard,
        };
        self.sockets.insert(connection, socket);
        self.core(ShardId::FIRST).handle(now, Input::Opened { connection, listener });
    }

    /// Reads every socket that has something; true when there is more.
    pub(super) fn read(&mut self, around: &mut Surroundings, now: Now, shard: ShardId) -> bool {
        let open: Vec<(ConnectionId, LinkId)> = self
            .sockets
            .iter()
            .filter(|(_, socket)| !socket.is_paused && socket.shard == Some(shard))
            .map(|(connection, socket)| (*connection, socket.link))
            .filter(|(_, link)| around.network.is_readable(around.now, *link))
            .collect();
        let mut is_behind = false;
        for (connection, link) in open {
            let (bytes, is_end) = around.network.broker_read(around.now, link, READ_BYTES);
            if !bytes.is_empty() {
                let bytes = self.heard(connection, bytes);
                self.core(shard).handle(now, Input::Received { connection, bytes: &bytes });
                is_behind = true;
            } else if is_end {
                self.close(around, now, connection);
            }
        }
        is_behind
    }

    /// What the core gets of the bytes that were read: all, unless a fault swallows a packet.
    pub(super) fn heard(&mut self, connection: ConnectionId, bytes: Vec<u8>) -> Vec<u8> {
        let socket = self.sockets.get_mut(&connection).expect("it was just read");
        if !self.saboteur.does(Misbehaviour::ReleasesIgnored) {
            return bytes;
        }
        socket.heard.extend_from_slice(&bytes);
        let mut given = Vec::new();
        while let Ok(Some(length)) = frame_len(&socket.heard)
            && length <= socket.heard.len()
        {
            let frame: Vec<u8> = socket.heard.drain(..length).collect();
            if !self.saboteur.ignores(&frame) {
                given.extend_from_slice(&frame);
            }
        }
        given
    }

    /// A socket whose client has read can be written again.
    pub(super) fn unblock(&mut self, shard: ShardId) {
        for (connection, socket) in &mut self.sockets {
            if socket.shard == Some(shard) && std::mem::take(&mut socket.is_blocked) {
                self.effects[usize::from(shard.0)].push(Effect::Flush { connection: *connection });
            }
        }
    }

    pub(super) fn flush(
        &mut self,
        around: &mut Surroundings,
        clients: &[Client],
        now: Now,
        connection: ConnectionId,
    ) {
        let Some(socket) = self.sockets.get_mut(&connection) else { return };
        let Some(shard) = socket.shard else { return };
        let core = &mut self.cores[usize::from(shard.0)];
        let Some(outbound) = core.outbound(connection) else { return };
        if socket.is_blocked || outbound.is_empty() {
            return;
        }
        let bytes = outbound.bytes();
        let link = socket.link;
        if socket.written.is_empty()
            && let Some(length) = self.saboteur.withholds(bytes)
        {
            core.handle(now, Input::Sent { connection, bytes: length });
            return self.flush(around, clients, now, connection);
        }
        // What waits here was made in this turn.
        let is_fresh = !std::mem::take(&mut socket.was_blocked);
        match around.network.broker_write(around.now, link, bytes, &around.conduct) {
            Ok(written) => {
                socket.is_blocked = written < bytes.len();
                socket.was_blocked = socket.is_blocked;
                socket.written.extend_from_slice(&bytes[..written]);
                core.handle(now, Input::Sent { connection, bytes: written });
                let client = &clients[around.network.client_of(link)];
                if client.link == Some(link) {
                    self.check_written(around, client, connection, is_fresh);
                }
            }
            Err(_) => self.close(around, now, connection),
        }
    }

    pub(super) fn close(&mut self, around: &mut Surroundings, now: Now, connection: ConnectionId) {
        let Some(socket) = self.sockets.remove(&connection) else { return };
        around.network.broker_close(around.now, socket.link);
        around.closed.push(socket.link);
        around.note(
            About::client(around.network.client_of(socket.link)),
            format_args!("the broker closes link {}", socket.link),
        );
        self.generations[connection.slot as usize] += 1;
        self.free_slots.push(connection.slot);
        if let Some(shard) = socket.shard {
            self.core(shard).handle(now, Input::Closed { connection });
        }
    }
}

const READ_BYTES: usize = 64 * 1024;
