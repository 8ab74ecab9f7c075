//! A socket with layers between it and MQTT.
//!
//! Bytes come up through the layers in the one buffer of the shard and go down without being kept,
//! so that an idle connection holds what its layers must remember and nothing else. Until the
//! handshakes are over nothing comes up and nothing goes down; the core counts the time for them
//! and closes a connection that has not sent CONNECT by then.

use std::error::Error;
use std::io::{self, ErrorKind, IoSlice, Read};
use std::net::SocketAddr;

use mio::event::Source;
use rustls::pki_types::CertificateDer;

use super::proxy::ProxyProtocol;
use super::socket::Socket;
use super::tls::Tls;
use super::websocket::WebSocket;
use super::wire::{Received, Wire};

/// What is between the socket and MQTT, from the socket up.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    pub(crate) proxy: Option<ProxyProtocol>,
    pub(crate) tls: Option<Tls>,
    pub(crate) websocket: bool,
}

/// A kind of layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    Proxy,
    Tls,
    WebSocket,
}

/// A connection through layers.
#[derive(Debug)]
pub(crate) struct Layered {
    wire: Wire,
    websocket: Option<Box<WebSocket>>,
    /// The handshakes are over.
    open: bool,
    /// The peer has said goodbye; what it said before may have to be handed up first.
    ended: bool,
    /// The user name that a certificate stands for.
    user_name: Option<Box<str>>,
}

impl Layered {
    pub(crate) fn new(socket: Socket, layers: Layers) -> Self {
        let websocket = layers.websocket.then(Box::default);
        let wire = Wire::new(socket, layers.tls, layers.proxy);
        Self { wire, websocket, open: false, ended: false, user_name: None }
    }

    /// One read of the socket, and what comes of it; `Interrupted` when that is nothing yet.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        let Received { count, ended } = self.receive(buffer)?;
        self.ended = ended;
        if !self.open && self.unfinished().is_none() {
            self.finish();
        }
        match self.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        match count {
            0 if !ended => Err(ErrorKind::Interrupted.into()),
            count => Ok(count),
        }
    }

    /// Writes a part of the bytes and says how many; what waits from before goes first.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wire.flush()?;
        if !self.open {
            self.flush()?;
            return Err(ErrorKind::WouldBlock.into());
        }
        if let Some(websocket) = &mut self.websocket {
            return websocket.write(&mut self.wire, bytes);
        }
        let mut written = 0;
        while written < bytes.len() {
            match self.wire.send(&[IoSlice::new(&bytes[written..])]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock && written > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    /// Says goodbye in every layer, as far as the kernel takes it at once.
    pub(crate) fn close(&mut self) {
        if let Some(websocket) = &mut self.websocket {
            websocket.close(&mut self.wire);
        }
        self.wire.close();
    }

    /// Reads what no layer wants to see any more.
    pub(crate) fn discard(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wire.socket.read(buffer)
    }

    pub(crate) fn source(&mut self) -> &mut dyn Source {
        self.wire.socket.source()
    }

    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.wire.peer()
    }

    pub(crate) fn user_name(&self) -> Option<&str> {
        self.user_name.as_deref()
    }

    pub(crate) fn certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.wire.tls.as_ref()?.certificates()
    }

    pub(crate) fn wants_write(&self) -> bool {
        self.wire.wants_write() || self.websocket.as_ref().is_some_and(|above| above.wants_write())
    }

    pub(crate) fn needs_read_again(&self) -> bool {
        self.wire.more || self.ended
    }

    /// The lowest layer whose handshake is not over.
    pub(crate) fn unfinished(&self) -> Option<Layer> {
        if self.wire.proxy.is_some() {
            return Some(Layer::Proxy);
        }
        if self.wire.tls.as_ref().is_some_and(Tls::is_handshaking) {
            return Some(Layer::Tls);
        }
        let websocket = self.websocket.as_ref().filter(|websocket| !websocket.is_open());
        websocket.map(|_| Layer::WebSocket)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        let received = match self.wire.receive(buffer) {
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                return Err(self.refuse(error));
            }
            received => received?,
        };
        let Some(websocket) = &mut self.websocket else { return Ok(received) };
        let below_ended = received.ended;
        match websocket.receive(&mut buffer[..received.count]) {
            Ok(Received { count, ended }) => Ok(Received { count, ended: ended || below_ended }),
            Err(error) => Err(self.refuse(io::Error::new(ErrorKind::InvalidData, error))),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.wire.flush()?;
        match &mut self.websocket {
            Some(websocket) => websocket.write(&mut self.wire, &[]).map(drop),
            None => Ok(()),
        }
    }

    /// The handshakes are over.
    fn finish(&mut self) {
        self.open = true;
        let tls = self.wire.tls.as_ref();
        self.user_name = tls.and_then(Tls::user_name).map(String::into_boxed_str);
        let (version, user_name) = (tls.and_then(Tls::version), self.user_name.as_deref());
        tracing::debug!(peer = ?self.wire.peer(), tls = version, user_name, "a handshake is finished");
    }

    /// The peer is told what it did wrong, if it still listens.
    fn refuse(&mut self, error: io::Error) -> io::Error {
        let reason = error.get_ref().map(|reason| reason as &dyn Error);
        tracing::debug!(peer = ?self.wire.peer(), reason, "a client is not understood");
        let _ = self.flush();
        error
    }
}
