//! Datagrams over UDP, on a network stack that is polled.

use core::net::SocketAddr;

use embedded_nal::{UdpClientStack, nb};

use super::Link;

/// A UDP socket of an `embedded-nal` stack that is connected to the gateway, so that the stack
/// drops what others send.
///
/// `MTU` is the longest datagram.
#[derive(Debug)]
pub struct UdpLink<N: UdpClientStack, const MTU: usize> {
    stack: N,
    pub(super) socket: N::UdpSocket,
    datagram: [u8; MTU],
}

impl<N: UdpClientStack, const MTU: usize> UdpLink<N, MTU> {
    /// Opens a socket to the gateway.
    ///
    /// # Errors
    /// The stack has no socket, or no way to the gateway.
    pub fn open(mut stack: N, gateway: SocketAddr) -> Result<Self, N::Error> {
        let mut socket = stack.socket()?;
        stack.connect(&mut socket, gateway)?;
        Ok(Self { stack, socket, datagram: [0; MTU] })
    }

    /// Closes the socket and gives the stack back.
    ///
    /// # Errors
    /// The stack could not close the socket.
    pub fn close(mut self) -> Result<N, N::Error> {
        self.stack.close(self.socket)?;
        Ok(self.stack)
    }
}

impl<N: UdpClientStack, const MTU: usize> Link for UdpLink<N, MTU> {
    type Error = N::Error;

    /// A datagram for which the stack has no room is given up, as the network would.
    fn send(&mut self, datagram: &[u8]) -> Result<(), N::Error> {
        match self.stack.send(&mut self.socket, datagram) {
            Ok(()) | Err(nb::Error::WouldBlock) => Ok(()),
            Err(nb::Error::Other(error)) => Err(error),
        }
    }

    fn receive(&mut self) -> Result<Option<&[u8]>, N::Error> {
        match self.stack.receive(&mut self.socket, &mut self.datagram) {
            Ok((length, _)) => Ok(self.datagram.get(..length)),
            Err(nb::Error::WouldBlock) => Ok(None),
            Err(nb::Error::Other(error)) => Err(error),
        }
    }
}
