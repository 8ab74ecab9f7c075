//! The end of a connection: at once, or when its client has read why.

use std::io;
use std::time::Instant;

use weir_core::{ConnectionId, Input, Now};

use super::Shard;
use crate::auth;
use crate::stream::{Layer, Stream};

impl Shard {
    pub(super) fn close(&mut self, now: Now, id: ConnectionId) {
        // Dropped, and so closed.
        let _ = self.end(now, id);
    }

    /// Ends a connection whose client shall read what it was told last.
    pub(super) fn part(&mut self, now: Now, id: ConnectionId) {
        if let Some(stream) = self.end(now, id) {
            self.lingering.take(self.parts.poll.registry(), stream, Instant::now());
        }
    }

    /// Ends a connection whose client is not understood, below MQTT, and was told so.
    pub(super) fn refuse(&mut self, now: Now, id: ConnectionId, error: &io::Error) {
        if let Some(socket) = self.sockets.get_mut(id)
            && socket.stream.unfinished() == Some(Layer::Tls)
            && let Some(not_told) = self.refusals.admit(Instant::now())
        {
            let address = socket.stream.peer().map(|peer| peer.ip());
            let listener = self.parts.entrances[usize::from(socket.listener)].name();
            auth::handshake_refused(address, listener, &error.to_string(), not_told);
        }
        self.part(now, id);
    }

    /// Ends a connection; its socket is still open, and nothing more can be said on it.
    pub(super) fn end(&mut self, now: Now, id: ConnectionId) -> Option<Stream> {
        let mut socket = self.sockets.remove(id)?;
        // The peer may be gone already.
        let _ = self.parts.poll.registry().deregister(&mut socket.stream);
        let unfinished = socket.stream.unfinished();
        if let Some(layer) = unfinished {
            let peer = socket.stream.peer();
            tracing::debug!(?peer, ?layer, "a connection ends before its handshake");
        }
        socket.stream.close();
        self.parts.entrances[usize::from(socket.listener)].note_closed(unfinished);
        self.parts.core.handle(now, Input::Closed { connection: id });
        Some(socket.stream)
    }
}
