//! What a client is connected through: the one type that a shard reads and writes.
//!
//! A plain socket costs one match and nothing else. A stream is read in portions until it says
//! `WouldBlock`, as edge-triggered polling demands, and takes as much of what is written as the
//! kernel takes. Handshakes happen below it: what is read and written here is MQTT.

mod certificates;
mod chain;
mod der;
mod layered;
mod proxy;
mod socket;
mod tls;
mod tls_server;
mod websocket;
mod wire;
mod x509;

pub(crate) use chain::{ServerChain, server_chain};
pub(crate) use layered::{Layer, Layered, Layers};
pub(crate) use socket::Socket;
pub(crate) use tls_server::{TlsServer, unix_s};

pub use certificates::{CertificateUsername, TlsConfig};
pub use proxy::ProxyProtocol;
pub use weir_tls::{TlsClientConfig, TlsError, TlsFile, TlsVersion};

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;

use mio::event::Source;
use mio::{Interest, Registry, Token};
use rustls::pki_types::CertificateDer;

use self::x509::Certificate;

/// An open connection.
#[derive(Debug)]
pub(crate) enum Stream {
    /// From inside the process.
    Inside(Box<Inside>),
    /// A socket with something between it and MQTT.
    Layered(Box<Layered>),
    Plain(Socket),
}

/// A connection from inside the process.
#[derive(Debug)]
pub(crate) struct Inside {
    socket: Socket,
    /// Who is at its other end; nobody else is let in under it.
    user: Option<Box<str>>,
}

impl Stream {
    /// One from inside the process, which vouches for its user.
    pub(crate) fn inside(socket: UnixStream, user: Option<&str>) -> Self {
        let socket = Socket::Unix(mio::net::UnixStream::from_std(socket));
        Self::Inside(Box::new(Inside { socket, user: user.map(Into::into) }))
    }

    /// The user that the process itself vouches for.
    pub(crate) fn vouched_user(&self) -> Option<&str> {
        match self {
            Self::Inside(inside) => inside.user.as_deref(),
            Self::Layered(_) | Self::Plain(_) => None,
        }
    }

    /// The bytes that are there; 0 at the end of the stream. `Interrupted` says that there were
    /// bytes, but none of MQTT.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Inside(inside) => inside.socket.read(buffer),
            Self::Layered(layered) => layered.read(buffer),
            Self::Plain(socket) => socket.read(buffer),
        }
    }

    /// Writes a part of the bytes and says how many.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Inside(inside) => inside.socket.write(bytes),
            Self::Layered(layered) => layered.write(bytes),
            Self::Plain(socket) => socket.write(bytes),
        }
    }

    /// Whether something waits below for the kernel to take it.
    pub(crate) fn wants_write(&self) -> bool {
        match self {
            Self::Layered(layered) => layered.wants_write(),
            Self::Inside(_) | Self::Plain(_) => false,
        }
    }

    /// Whether a short read does not mean that nothing is left.
    pub(crate) fn needs_read_again(&self) -> bool {
        match self {
            Self::Layered(layered) => layered.needs_read_again(),
            Self::Inside(_) | Self::Plain(_) => false,
        }
    }

    /// The layer whose handshake is not over, if one is not.
    pub(crate) fn unfinished(&self) -> Option<Layer> {
        match self {
            Self::Layered(layered) => layered.unfinished(),
            Self::Inside(_) | Self::Plain(_) => None,
        }
    }

    /// The address of the client: the one that a load balancer has said, if there is one. A Unix
    /// socket has none.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Inside(_) => None,
            Self::Layered(layered) => layered.peer(),
            Self::Plain(socket) => socket.peer(),
        }
    }

    /// The user name that the certificate of the client stands for.
    pub(crate) fn user_name(&self) -> Option<&str> {
        match self {
            Self::Layered(layered) => layered.user_name(),
            Self::Inside(_) | Self::Plain(_) => None,
        }
    }

    /// The subject of the certificate of the client.
    pub(crate) fn subject(&self) -> Option<String> {
        Certificate::parse(self.certificates()?.first()?)?.subject()
    }

    /// The certificates that the client has shown, its own first.
    pub(crate) fn certificates(&self) -> Option<&[CertificateDer<'static>]> {
        match self {
            Self::Layered(layered) => layered.certificates(),
            Self::Inside(_) | Self::Plain(_) => None,
        }
    }

    /// Tells the peer that nothing more comes, as far as it can be told without waiting.
    pub(crate) fn close(&mut self) {
        match self {
            Self::Inside(inside) => inside.socket.shutdown(),
            Self::Layered(layered) => layered.close(),
            Self::Plain(socket) => socket.shutdown(),
        }
    }

    /// Reads bytes of the socket itself that mean nothing any more; 0 at the end.
    pub(crate) fn discard(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Inside(inside) => inside.socket.read(buffer),
            Self::Layered(layered) => layered.discard(buffer),
            Self::Plain(socket) => socket.read(buffer),
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Inside(inside) => inside.socket.source(),
            Self::Layered(layered) => layered.source(),
            Self::Plain(socket) => socket.source(),
        }
    }
}

impl Source for Stream {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.source().register(registry, token, interests)
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.source().reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.source().deregister(registry)
    }
}
