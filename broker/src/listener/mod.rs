//! Where clients come in.
//!
//! A listener turns a configured address into streams. It counts what is open, so that one
//! listener cannot take the places of another.

mod refused;
mod tcp;
mod unix;

pub(crate) use refused::Refused;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};

use crate::config::{ListenAddress, ListenerConfig, Protocol, ProxyProtocol};
use crate::stream::{Layer, Layered, Layers, Socket, Stream, TlsServer};

/// A bound listener.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Bound,
    name: Box<str>,
    tls: Option<Arc<TlsServer>>,
    websocket: bool,
    proxy: Option<ProxyProtocol>,
    knows_clients: bool,
    connections_max: Option<u32>,
    connections: u32,
    refused: Arc<Refused>,
}

#[derive(Debug)]
enum Bound {
    Tcp { inner: TcpListener, address: SocketAddr },
    Unix { inner: UnixListener, _file: unix::SocketFile },
}

impl Listener {
    /// Binds to what the configuration says.
    pub(crate) fn bind(
        config: &ListenerConfig,
        tls: Option<Arc<TlsServer>>,
        refused: Arc<Refused>,
    ) -> io::Result<Self> {
        let socket = match &config.address {
            ListenAddress::Tcp(name) => {
                let inner = tcp::bind(&name.to_string())?;
                let address = inner.local_addr()?;
                Bound::Tcp { inner, address }
            }
            ListenAddress::Unix(path) => {
                let (inner, file) = unix::bind(path, config.mode)?;
                Bound::Unix { inner, _file: file }
            }
        };
        let name = match &socket {
            Bound::Tcp { address, .. } => address.to_string(),
            Bound::Unix { .. } => config.address.to_string(),
        };
        Ok(Self {
            socket,
            name: name.into(),
            tls,
            websocket: config.protocol == Protocol::WebSocket,
            proxy: config.proxy_protocol,
            knows_clients: config.knows_clients(),
            connections_max: config.max_connections,
            connections: 0,
            refused,
        })
    }

    /// The address that it has, with the port that the system chose if none was given; a Unix
    /// socket has none.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Bound::Tcp { address, .. } => Some(*address),
            Bound::Unix { .. } => None,
        }
    }

    /// Whether the certificates of clients say who they are.
    pub(crate) fn knows_clients(&self) -> bool {
        self.knows_clients
    }

    /// Its address for the log.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether certificates of its clients can be revoked.
    pub(crate) fn has_revocations(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.has_revocations())
    }

    /// Whether the certificate of a client is revoked by now.
    pub(crate) fn is_revoked(&self, stream: &Stream) -> bool {
        let (tls, certificates) = (self.tls.as_ref(), stream.certificates());
        tls.zip(certificates).is_some_and(|(tls, certificates)| tls.is_revoked(certificates))
    }

    /// The next connection that waits; none when it was turned away. Answers are small, so they
    /// are never held back to be sent together.
    pub(crate) fn accept(&mut self) -> io::Result<Option<Stream>> {
        let socket = match &self.socket {
            Bound::Tcp { inner, .. } => {
                let (stream, _) = inner.accept()?;
                stream.set_nodelay(true)?;
                Socket::Tcp(stream)
            }
            Bound::Unix { inner, .. } => Socket::Unix(inner.accept()?.0),
        };
        if self.connections_max.is_some_and(|max| self.connections >= max) {
            self.refused.max_connections.fetch_add(1, Ordering::Relaxed);
            tracing::debug!("a connection is turned away: its listener has max_connections");
            return Ok(None);
        }
        self.connections += 1;
        if self.tls.is_none() && !self.websocket && self.proxy.is_none() {
            return Ok(Some(Stream::Plain(socket)));
        }
        let tls = match self.tls.as_ref().map(|tls| tls.accept()).transpose() {
            Ok(tls) => tls,
            Err(error) => {
                tracing::error!(%error, "no TLS session can be begun for a connection");
                self.note_closed(Some(Layer::Tls));
                return Ok(None);
            }
        };
        let layers = Layers { proxy: self.proxy, tls, websocket: self.websocket };
        Ok(Some(Stream::Layered(Box::new(Layered::new(socket, layers)))))
    }

    /// Hears that a connection of its own has ended, maybe before a layer was open.
    pub(crate) fn note_closed(&mut self, unfinished: Option<Layer>) {
        assert!(self.connections > 0, "a connection is closed once");
        self.connections -= 1;
        if let Some(layer) = unfinished {
            self.refused.count(layer);
        }
    }

    pub(crate) fn source(&mut self) -> &mut dyn Source {
        match &mut self.socket {
            Bound::Tcp { inner, .. } => inner,
            Bound::Unix { inner, .. } => inner,
        }
    }
}
