//! Sockets of clients that were told why they lose their connection, until they have read that.
//!
//! When a socket is closed with bytes in it that nobody has read, the system resets the
//! connection, and the last word can be lost on the way. So what still comes is read and thrown
//! away: for a short time, a bounded number of bytes, and a bounded number of sockets. MQTT is
//! over for them.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use mio::{Interest, Registry, Token};

use crate::stream::Stream;

/// The sockets by token.
#[derive(Debug, Default)]
pub(crate) struct Lingering {
    sockets: BTreeMap<usize, Parting>,
    /// The tokens are given out in turn, so that the oldest socket makes room for the next.
    next_token: usize,
}

#[derive(Debug)]
struct Parting {
    stream: Stream,
    until: Instant,
    bytes_left: usize,
}

impl Lingering {
    /// Takes a socket whose last word was written, and that is not watched any more.
    pub(crate) fn take(&mut self, registry: &Registry, stream: Stream, now: Instant) {
        let mut parting = Parting { stream, until: now + PATIENCE, bytes_left: BYTES_MAX };
        let token = FIRST_TOKEN + self.next_token;
        if registry.register(&mut parting.stream, Token(token), Interest::READABLE).is_err() {
            return;
        }
        // What came before it was watched is not told again.
        if !parting.is_over() {
            self.next_token = (self.next_token + 1) % SOCKETS_MAX;
            self.sockets.insert(token, parting);
        }
    }

    /// Whether a token is of one of them.
    pub(crate) fn has(token: usize) -> bool {
        token >= FIRST_TOKEN
    }

    /// There is something to read.
    pub(crate) fn read(&mut self, token: usize) {
        if self.sockets.get_mut(&token).is_some_and(Parting::is_over) {
            self.sockets.remove(&token);
        }
    }

    /// When the first one has lingered long enough.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.sockets.values().map(|parting| parting.until).min()
    }

    /// Closes those that have lingered long enough.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.sockets.retain(|_, parting| parting.until > now);
    }
}

impl Parting {
    /// Throws away what has come; true when nothing more will, or enough has.
    fn is_over(&mut self) -> bool {
        let mut buffer = [0; BUFFER_BYTES];
        loop {
            match self.stream.discard(&mut buffer) {
                Ok(0) => return true,
                Ok(count) => match self.bytes_left.checked_sub(count) {
                    Some(left) => self.bytes_left = left,
                    None => return true,
                },
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return true,
            }
        }
    }
}

/// What a client may take to read its last word and close.
const PATIENCE: Duration = Duration::from_secs(1);
/// Thrown away for one client.
const BYTES_MAX: usize = 1024 * 1024;
/// Past it the oldest is closed.
const SOCKETS_MAX: usize = 256;
const BUFFER_BYTES: usize = 16 * 1024;
/// No slot of a connection has as large a token.
const FIRST_TOKEN: usize = usize::MAX - SOCKETS_MAX;
