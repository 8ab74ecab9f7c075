//! New connections, as far as their listener lets them in.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use mio::{Interest, Token};
use weir_core::{ConnectionId, Input, ListenerId, Now};

use super::{FIRST_LISTENER, Shard};
use crate::stream::Stream;

/// Connections accepted from one listener in a turn.
const ACCEPTS_PER_TURN: usize = 128;
/// Between attempts to accept while there are no free descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

impl Shard {
    pub(super) fn accept(&mut self, now: Now) {
        if self.accept_again_at.is_some_and(|at| at <= Instant::now()) {
            self.accept_again_at = None;
            self.acceptable.extend(0..self.parts.listeners.len());
        }
        for index in std::mem::take(&mut self.acceptable) {
            for count in 0..=ACCEPTS_PER_TURN {
                if count == ACCEPTS_PER_TURN {
                    self.acceptable.push(index);
                    break;
                }
                let number = u16::try_from(index).expect("a file has fewer listeners");
                if !self.parts.core.takes_connections(ListenerId(number)) {
                    // An effect will say when it does again.
                    break;
                }
                match self.parts.listeners[index].accept() {
                    Ok(Some(stream)) => self.open(now, stream, number),
                    Ok(None) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) if is_about_one_connection(&error) => {}
                    Err(error) => {
                        tracing::warn!(%error, "no more connections can be accepted for now");
                        self.accept_again_at = Some(Instant::now() + ACCEPT_RETRY);
                        break;
                    }
                }
            }
        }
    }

    /// Takes a connection from inside the process, which tries again when it is turned away.
    pub(super) fn take_opened(&mut self, now: Now, stream: Stream, listener: u16) {
        if self.stop_by.is_none() && self.parts.core.takes_connections(ListenerId(listener)) {
            self.open(now, stream, listener);
        } else {
            self.parts.entrances[usize::from(listener)].note_closed(None);
        }
    }

    fn open(&mut self, now: Now, stream: Stream, listener: u16) {
        if let Some(connection) = self.watch(stream, listener) {
            let listener = ListenerId(listener);
            self.parts.core.handle(now, Input::Opened { connection, listener });
        }
    }

    /// Takes a socket in; none when the system does not watch it, which closes it.
    pub(super) fn watch(&mut self, stream: Stream, listener: u16) -> Option<ConnectionId> {
        let first_socket = FIRST_LISTENER + self.parts.listeners.len();
        let connection = self.sockets.insert(stream, listener);
        let socket = self.sockets.get_mut(connection)?;
        let token = Token(first_socket + connection.slot as usize);
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registry = self.parts.poll.registry();
        if let Err(error) = registry.register(&mut socket.stream, token, interest) {
            tracing::warn!(%error, "a connection cannot be watched and is closed");
            self.sockets.remove(connection);
            self.parts.entrances[usize::from(listener)].note_closed(None);
            return None;
        }
        Some(connection)
    }
}

/// The connection was gone before it was taken, which says nothing about the next one.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
    )
}
