//! A socket with or without TLS, and the header of a load balancer in front of it: what the layers
//! above see of the way to the peer.

use std::error::Error;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::SocketAddr;

use super::proxy::{ProxyHeader, ProxyProtocol};
use super::socket::Socket;
use super::tls::Tls;

/// Bytes that are taken from the socket at a time when they do not stay where they are read.
const BACK_BYTES: usize = 16 * 1024;

/// The way to the peer.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) socket: Socket,
    pub(crate) tls: Option<Tls>,
    /// Until it is complete.
    pub(crate) proxy: Option<Box<ProxyHeader>>,
    /// The address of the client, when a load balancer has said it.
    source: Option<SocketAddr>,
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
    pub(crate) fn new(socket: Socket, tls: Option<Tls>, proxy: Option<ProxyProtocol>) -> Self {
        let proxy = proxy.map(|versions| Box::new(ProxyHeader::new(versions)));
        Self { socket, tls, proxy, source: None, more: false }
    }

    /// The address of the client.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.source.or_else(|| self.socket.peer())
    }

    /// One read of the socket into the front of the buffer. What is not understood is
    /// `InvalidData`.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        if self.tls.is_none() && self.proxy.is_none() {
            let count = self.socket.read(buffer)?;
            self.more = count == buffer.len();
            return Ok(Received { count, ended: count == 0 });
        }
        let (front, back) = buffer.split_at_mut(buffer.len() - BACK_BYTES);
        let count = self.socket.read(back)?;
        if count == 0 {
            return Ok(Received { count: 0, ended: true });
        }
        self.more = count == back.len();
        let mut bytes = &back[..count];
        if let Some(proxy) = &mut self.proxy {
            match proxy.receive(bytes).map_err(invalid)? {
                Some(header) => {
                    bytes = &bytes[header.used..];
                    self.source = header.source;
                    self.proxy = None;
                }
                None => return Ok(Received { count: 0, ended: false }),
            }
        }
        match &mut self.tls {
            Some(tls) => tls.receive(bytes, front).map_err(invalid),
            None => {
                front[..bytes.len()].copy_from_slice(bytes);
                Ok(Received { count: bytes.len(), ended: false })
            }
        }
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

fn invalid(error: impl Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}
