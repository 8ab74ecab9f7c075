//! TLS on the client's side, and a broker to speak it with.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::Arc,
};

use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::{
    certificates::{Authority, Identity},
    gateway::{Folder, Gateway, PATIENCE},
};

/// An authority, and a folder with the files of a broker that it has signed.
pub(crate) struct Site {
    pub(crate) folder: Folder,
    pub(crate) authority: Authority,
}

impl Site {
    pub(crate) fn new() -> Self {
        let site = Self { folder: Folder::new(), authority: Authority::new("works") };
        site.install(&site.authority.server());
        site.folder.write("ca.pem", site.authority.pem());
        site
    }

    pub(crate) fn install(&self, server: &Identity) {
        self.folder.write("broker.pem", server.pem());
        self.folder.write("broker.key", server.key_pem());
    }

    /// A listener with TLS; `more` goes into its `tls` table.
    pub(crate) fn listener(more: &str) -> String {
        format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\n[listener.tls]\n\
             certfile = \"broker.pem\"\nkeyfile = \"broker.key\"\n{more}\n"
        )
    }

    pub(crate) fn start(&self, more: &str) -> Gateway {
        self.folder.start(&Self::listener(more)).unwrap()
    }

    pub(crate) fn connect(&self, gateway: &Gateway) -> StreamOwned<ClientConnection, TcpStream> {
        secure(tcp(gateway), self.authority.client_config(None))
    }
}

pub(crate) fn tcp(gateway: &Gateway) -> TcpStream {
    let stream = TcpStream::connect(gateway.address()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub(crate) fn secure<S: Read + Write>(
    stream: S,
    config: Arc<ClientConfig>,
) -> StreamOwned<ClientConnection, S> {
    let connection = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    StreamOwned::new(connection, stream)
}

/// Writes one byte at a time, and reads no more than so many.
pub(crate) struct Drip<S>(pub(crate) S, pub(crate) usize);

impl<S: Read> Read for Drip<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = buffer.len().min(self.1);
        self.0.read(&mut buffer[..end])
    }
}

impl<S: Write> Write for Drip<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(&bytes[..bytes.len().min(1)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
