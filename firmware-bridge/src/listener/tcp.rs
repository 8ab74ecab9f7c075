//! MQTT over TCP.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use mio::net::{TcpListener, TcpStream};

/// A bound listener.
#[derive(Debug)]
pub(crate) struct Listener {
    inner: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds to the first address that `name` stands for and that can be bound.
    pub(crate) fn bind(name: &str) -> io::Result<Self> {
        let mut last = None;
        for address in name.to_socket_addrs()? {
            match TcpListener::bind(address) {
                Ok(inner) => {
                    let address = inner.local_addr()?;
                    return Ok(Self { inner, address });
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable)))
    }

    /// The address that it has, with the port that the system chose if none was given.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection that waits; answers are small, so they are never held back to be
    /// sent together.
    pub(crate) fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.inner.accept()?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    pub(crate) fn source(&mut self) -> &mut TcpListener {
        &mut self.inner
    }
}
