//! Where clients come in.
//!
//! A listener turns a configured address into streams. What is open is counted, so that one
//! listener cannot take the places of another.

mod entrance;
mod refused;
mod tcp;
mod unix;

pub(crate) use entrance::Entrance;
pub(crate) use refused::Refused;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};

use crate::config::{ListenAddress, ListenerConfig};
use crate::stream::{Layer, Layered, Layers, Socket, Stream, TlsServer};

/// A bound listener.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Bound,
    entrance: Arc<Entrance>,
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
        let entrance = Arc::new(Entrance::new(config, name.into(), tls, refused));
        Ok(Self { socket, entrance })
    }

    /// What all shards know of it.
    pub(crate) fn entrance(&self) -> &Arc<Entrance> {
        &self.entrance
    }

    /// The address that it has, with the port that the system chose if none was given; a Unix
    /// socket has none.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Bound::Tcp { address, .. } => Some(*address),
            Bound::Unix { .. } => None,
        }
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
        let entrance = &self.entrance;
        if !entrance.admit() {
            return Ok(None);
        }
        if entrance.tls.is_none() && !entrance.websocket && entrance.proxy.is_none() {
            return Ok(Some(Stream::Plain(socket)));
        }
        let tls = match entrance.tls.as_ref().map(|tls| tls.accept()).transpose() {
            Ok(tls) => tls,
            Err(error) => {
                tracing::error!(%error, "no TLS session can be begun for a connection");
                entrance.note_closed(Some(Layer::Tls));
                return Ok(None);
            }
        };
        let layers = Layers { proxy: entrance.proxy, tls, websocket: entrance.websocket };
        Ok(Some(Stream::Layered(Box::new(Layered::new(socket, layers)))))
    }

    pub(crate) fn source(&mut self) -> &mut dyn Source {
        match &mut self.socket {
            Bound::Tcp { inner, .. } => inner,
            Bound::Unix { inner, .. } => inner,
        }
    }
}
