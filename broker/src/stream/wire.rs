//! A socket with or without TLS: what the layers above see of the way to the peer.

use std::io::{self, ErrorKind, IoSlice, Read, Write};

use super::socket::Socket;
use super::tls::Tls;

/// Bytes that are taken from the socket at a time when they need another place to be decrypted.
const ENCRYPTED_BYTES: usize = 16 * 1024;

/// The way to the peer.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) socket: Socket,
    pub(crate) tls: Option<Tls>,
    /// The last read took all that it could: there may be more.
    pub(crate) more: bool,
}

/// What came of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// Bytes for the layer above.
    pub(crate) count: usize,
    /// The peer has said that nothing more comes.
    pub(crate) ended: bool,
}

impl Wire {
    pub(crate) fn new(socket: Socket, tls: Option<Tls>) -> Self {
        Self { socket, tls, more: false }
    }

    /// One read of the socket into the front of the buffer. An error of TLS is `InvalidData`.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        let Some(tls) = &mut self.tls else {
            let count = self.socket.read(buffer)?;
            self.more = count == buffer.len();
            return Ok(Received { count, ended: count == 0 });
        };
        let (decrypted, encrypted) = buffer.split_at_mut(buffer.len() - ENCRYPTED_BYTES);
        let count = self.socket.read(encrypted)?;
        if count == 0 {
            return Ok(Received { count: 0, ended: true });
        }
        self.more = count == encrypted.len();
        let received = tls.receive(&encrypted[..count], decrypted);
        received.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
    }

    /// Sends a part of the bytes and says how many; what TLS has encrypted counts as sent.
    pub(crate) fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.socket.write_vectored(slices) };
        let count = tls.encrypt(slices);
        match tls.flush(&mut self.socket) {
            Err(error) if error.kind() == ErrorKind::WouldBlock && count > 0 => Ok(count),
            flushed => flushed.map(|()| count),
        }
    }

    /// Writes what TLS has encrypted until nothing waits, or fails with `WouldBlock`.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => tls.flush(&mut self.socket),
            None => Ok(()),
        }
    }

    pub(crate) fn wants_write(&self) -> bool {
        self.tls.as_ref().is_some_and(Tls::wants_write)
    }

    /// Says goodbye, as far as the kernel takes it at once.
    pub(crate) fn close(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.end();
            // The peer may be gone already.
            let _ = tls.flush(&mut self.socket);
        }
        self.socket.shutdown();
    }
}
