//! Binding to a TCP port.

use std::io;
use std::net::ToSocketAddrs;

use mio::net::TcpListener;

/// Binds to the first address that `name` stands for and that can be bound.
pub(crate) fn bind(name: &str) -> io::Result<TcpListener> {
    let mut last = None;
    for address in name.to_socket_addrs()? {
        match TcpListener::bind(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable)))
}
