//! Connections whose clients belong to another shard.

use weir_core::{ConnectionId, Input, ListenerId, Now, ShardId};

use super::Shard;
use crate::mailbox::Moved;

impl Shard {
    /// Hands a connection to the shard of its client, with what it has said so far.
    pub(super) fn hand_over(&mut self, id: ConnectionId, shard: ShardId, bytes: Vec<u8>) {
        // What closes meanwhile has been closed for the core too.
        let Some(mut socket) = self.sockets.remove(id) else { return };
        // It was registered when it came in.
        let _ = self.parts.poll.registry().deregister(&mut socket.stream);
        let moved = Moved { stream: socket.stream, listener: socket.listener, bytes };
        self.parts.ways.hand_over(shard, moved);
    }

    /// Takes a connection over. What has come meanwhile is read at once: the system tells anew of
    /// a socket that is watched anew.
    pub(super) fn take_moved(&mut self, now: Now, moved: Moved) {
        let Moved { stream, listener, bytes } = moved;
        if let Some(connection) = self.watch(stream, listener) {
            let listener = ListenerId(listener);
            self.parts.core.handle(now, Input::Moved { connection, listener, bytes: &bytes });
            if self.parts.core.takes_bytes(connection) {
                self.read_again(connection);
            }
        }
    }
}
