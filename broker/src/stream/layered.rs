//! A socket with layers between it and MQTT.
//!
//! Bytes come up through the layers in the one buffer of the shard and go down without being kept,
//! so that an idle connection holds what its layers must remember and nothing else. Until the
//! handshakes are over nothing comes up and nothing goes down; the core counts the time for them
//! and closes a connection that has not sent CONNECT by then.

use std::io::{self, ErrorKind, IoSlice, Read};
use std::net::SocketAddr;

use mio::event::Source;

use super::socket::Socket;
use super::tls::{Received, Tls};

/// Bytes that are taken from the socket at a time when they need another place to be decrypted.
const ENCRYPTED_BYTES: usize = 16 * 1024;

/// What is between the socket and MQTT, from the socket up.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    pub(crate) tls: Option<Tls>,
}

/// A kind of layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    Tls,
}

/// A connection through layers.
#[derive(Debug)]
pub(crate) struct Layered {
    socket: Socket,
    tls: Option<Tls>,
    /// The last read took all that it could: there may be more.
    more: bool,
    /// The handshakes are over.
    open: bool,
    /// The user name that a certificate stands for.
    user_name: Option<Box<str>>,
}

/// Why a peer cannot be understood.
#[derive(Debug, thiserror::Error)]
enum LayerError {
    /// It does not speak TLS, or not as it is configured.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

impl Layered {
    pub(crate) fn new(socket: Socket, layers: Layers) -> Self {
        Self { socket, tls: layers.tls, more: false, open: false, user_name: None }
    }

    /// One read of the socket, and what comes of it; `Interrupted` when that is nothing yet.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let received = self.receive(buffer)?;
        if !self.open && self.unfinished().is_none() {
            self.finish();
        }
        match self.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        match received {
            Received { count: 0, ended: false } => Err(ErrorKind::Interrupted.into()),
            Received { count, .. } => Ok(count),
        }
    }

    /// Writes a part of the bytes and says how many; what waits from before goes first.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        if !self.open {
            return Err(ErrorKind::WouldBlock.into());
        }
        let Some(tls) = &mut self.tls else { unreachable!("a layered stream has a layer") };
        let mut written = 0;
        while written < bytes.len() {
            written += tls.encrypt(&[IoSlice::new(&bytes[written..])]);
            match tls.flush(&mut self.socket) {
                // What was encrypted counts as written.
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                flushed => flushed?,
            }
        }
        Ok(written)
    }

    /// Says goodbye in every layer, as far as the kernel takes it at once.
    pub(crate) fn close(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.end();
            // The peer may be gone already.
            let _ = tls.flush(&mut self.socket);
        }
        self.socket.shutdown();
    }

    pub(crate) fn source(&mut self) -> &mut dyn Source {
        self.socket.source()
    }

    pub(crate) fn wants_write(&self) -> bool {
        self.tls.as_ref().is_some_and(Tls::wants_write)
    }

    pub(crate) fn needs_read_again(&self) -> bool {
        self.more
    }

    /// The layer whose handshake is not over.
    pub(crate) fn unfinished(&self) -> Option<Layer> {
        self.tls.as_ref().filter(|tls| tls.is_handshaking()).map(|_| Layer::Tls)
    }

    /// Who is at the other end.
    fn peer(&self) -> Option<SocketAddr> {
        self.socket.peer()
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        let Some(tls) = &mut self.tls else { unreachable!("a layered stream has a layer") };
        let (decrypted, encrypted) = buffer.split_at_mut(buffer.len() - ENCRYPTED_BYTES);
        let count = self.socket.read(encrypted)?;
        if count == 0 {
            return Ok(Received { count: 0, ended: true });
        }
        self.more = count == encrypted.len();
        let received = tls.receive(&encrypted[..count], decrypted);
        received.map_err(|error| self.refuse(error.into()))
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => tls.flush(&mut self.socket),
            None => Ok(()),
        }
    }

    /// The handshakes are over.
    fn finish(&mut self) {
        self.open = true;
        if let Some(tls) = &self.tls {
            self.user_name = tls.user_name().map(String::into_boxed_str);
            let user_name = self.user_name.as_deref();
            let (peer, version) = (self.peer(), tls.version());
            tracing::debug!(?peer, version, user_name, "a client has finished its handshake");
        }
    }

    fn refuse(&mut self, error: LayerError) -> io::Error {
        tracing::debug!(peer = ?self.peer(), %error, "a client is not understood");
        // It is told why, if it still listens.
        let _ = self.flush();
        io::Error::new(ErrorKind::InvalidData, error)
    }
}
