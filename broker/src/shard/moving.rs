//! Connections whose clients belong to another shard.

use weir_core::{ConnectionId, Input, ListenerId, Now, ShardId};

use super::Shard;
use crate::mailbox::Moved;
use crate::sockets::Socket;

impl Shard {
    /// Hands a connection to the shard of its client, with what it has said so far.
    pub(super) fn hand_over(&mut self, id: ConnectionId, shard: ShardId, bytes: Vec<u8>) {
        // What closes meanwhile has been closed for the core too.
        let Some(mut socket) = self.sockets.remove(id) else { return };
        // It was registered when it came in.
        let _ = self.parts.poll.registry().deregister(&mut socket.stream);
        // The change that it was to be looked at for is heard of there too, but maybe before it
        // comes.
        let is_in_doubt = self.to_verify.contains(&id);
        let believed_after = self.certificate_changes - u64::from(is_in_doubt);
        let Socket { stream, listener, .. } = socket;
        let moved = Moved { stream, listener, bytes, believed_after };
        self.parts.ways.hand_over(shard, moved);
    }

    /// Takes a connection over. What has come meanwhile is read at once: the system tells anew of
    /// a socket that is watched anew.
    pub(super) fn take_moved(&mut self, now: Now, moved: Moved) {
        let Moved { stream, listener, bytes, believed_after } = moved;
        if let Some(connection) = self.watch(stream, listener) {
            let listener = ListenerId(listener);
            self.parts.core.handle(now, Input::Moved { connection, listener, bytes: &bytes });
            if self.parts.core.takes_bytes(connection) {
                self.read_again(connection);
            }
            if believed_after < self.certificate_changes {
                self.to_verify.push(connection);
            }
        }
    }
}
