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

/// The sockets, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Lingering {
    sockets: BTreeMap<usize, Parting>,
    /// How many there were.
    count: usize,
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
        if parting.is_over() {
            return;
        }
        let token = FIRST_TOKEN + self.count % TOKENS;
        self.count += 1;
        if registry.register(&mut parting.stream, Token(token), Interest::READABLE).is_err() {
            return;
        }
        // What came before it was watched.
        if parting.is_over() {
            return;
        }
        if self.sockets.len() >= SOCKETS_MAX {
            self.sockets.pop_first();
        }
        self.sockets.insert(token, parting);
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
        self.sockets.first_key_value().map(|(_, parting)| parting.until)
    }

    /// Closes those that have lingered long enough.
    pub(crate) fn expire(&mut self, now: Instant) {
        while self.next().is_some_and(|until| until <= now) {
            self.sockets.pop_first();
        }
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
const BUFFER_BYTES: usize = 4096;
/// No slot of a connection has as large a token.
const FIRST_TOKEN: usize = usize::MAX / 2 + 1;
const TOKENS: usize = usize::MAX / 4;
