//! Where sessions come in that are opened inside the process: a listener without an address.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use weir_core::ShardId;

use crate::listener::Entrance;
use crate::mailbox::{Mail, Mailboxes};
use crate::stream::Stream;

/// Opens connections to the first shard. Clones are the same door.
#[derive(Clone)]
pub(crate) struct Door {
    mailboxes: Mailboxes,
    entrance: Arc<Entrance>,
    /// Its number among the listeners.
    listener: u16,
}

impl Door {
    /// For the listener of this number, which is the last one.
    pub(crate) fn new(mailboxes: Mailboxes, entrance: Arc<Entrance>, listener: u16) -> Self {
        Self { mailboxes, entrance, listener }
    }

    /// A connection of this user; none is anonymous.
    ///
    /// # Errors
    /// The system has no more sockets, or as many connections are open as may be.
    pub(crate) fn open(&self, user: Option<&str>) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        if !self.entrance.admit() {
            return Err(io::Error::other("as many connections are open as may be"));
        }
        let stream = Stream::inside(theirs, user);
        self.mailboxes.of(ShardId::FIRST).send(Mail::Opened { stream, listener: self.listener });
        Ok(ours)
    }
}
