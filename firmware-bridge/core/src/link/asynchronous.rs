//! The same links for firmware of tasks, such as that of Embassy.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;

use embedded_io_async::{Read, Write};

use super::Turn;
use super::serial::{CHUNK, Receiver, SerialCounters, next_chunk};
use crate::client::{Client, Output};
use crate::frame::Encoder;

/// A way to the gateway that is waited for.
#[expect(async_fn_in_trait, reason = "tasks of a microcontroller stay on their core")]
pub trait AsyncLink {
    /// What the port or the network stack reports.
    type Error;

    /// Sends a datagram to the gateway.
    ///
    /// # Errors
    /// The datagram may be lost. The client sends again what needs an answer.
    async fn send(&mut self, datagram: &[u8]) -> Result<(), Self::Error>;

    /// The next datagram. Nothing is lost if the future is dropped before it is ready and reading
    /// from the port can be dropped as well.
    ///
    /// # Errors
    /// What was arriving may be lost.
    async fn receive(&mut self) -> Result<&[u8], Self::Error>;

    /// Does the next thing for a client: sends, or gives an event, or waits for a datagram. `wait`
    /// is called before waiting, with the time at which there is something to do if there is one,
    /// and ends the waiting when it is ready: it knows the clock, and the wishes of the
    /// application. So this never gives [`Turn::Idle`].
    ///
    /// # Errors
    /// The port or the network stack failed. Turning on is all it takes to go on; to give up is
    /// the caller's decision.
    async fn turn<'d, W, const MTU: usize, const TOPICS: usize>(
        &'d mut self,
        client: &mut Client<'_, MTU, TOPICS>,
        now_ms: impl Fn() -> u32,
        wait: impl FnOnce(Option<u32>) -> W,
    ) -> Result<Turn<'d>, Self::Error>
    where
        W: Future<Output = ()>,
    {
        let until_ms = match client.poll(now_ms()) {
            Output::Broadcast(datagram) | Output::Send(datagram) => {
                self.send(datagram).await?;
                return Ok(Turn::Again);
            }
            Output::Event(event) => return Ok(Turn::Event(event)),
            Output::Idle => None,
            Output::WaitUntil(until_ms) => Some(until_ms),
        };
        let mut receive = pin!(self.receive());
        let mut wait = pin!(wait(until_ms));
        let received = poll_fn(|context| {
            if let Poll::Ready(received) = receive.as_mut().poll(context) {
                return Poll::Ready(Some(received));
            }
            wait.as_mut().poll(context).map(|()| None)
        });
        Ok(match received.await {
            None => Turn::Again,
            Some(datagram) => Turn::after(client.handle_datagram(datagram?, now_ms())),
        })
    }
}

/// A serial port, with the frames of [`crate::frame`].
///
/// `FRAME` is the longest datagram and two bytes of checksum. The port should have a buffer: bytes
/// that arrive while the application does something else are lost without one.
#[derive(Debug)]
pub struct AsyncSerialLink<S, const FRAME: usize> {
    port: S,
    receiver: Receiver<FRAME>,
}

impl<S, const FRAME: usize> AsyncSerialLink<S, FRAME> {
    /// A link that has seen nothing yet.
    pub const fn new(port: S) -> Self {
        Self { port, receiver: Receiver::new() }
    }

    /// What was counted since the start.
    pub fn counters(&self) -> SerialCounters {
        self.receiver.counters
    }
}

impl<S: Read + Write, const FRAME: usize> AsyncLink for AsyncSerialLink<S, FRAME> {
    type Error = S::Error;

    async fn send(&mut self, datagram: &[u8]) -> Result<(), S::Error> {
        let mut frame = Encoder::new(datagram);
        let mut chunk = [0; CHUNK];
        loop {
            let bytes = next_chunk(&mut frame, &mut chunk);
            if bytes.is_empty() {
                return self.port.flush().await;
            }
            self.port.write_all(bytes).await?;
        }
    }

    async fn receive(&mut self) -> Result<&[u8], S::Error> {
        loop {
            let mut byte = [0];
            // The end of the line: nothing comes any more, and nothing is an error.
            if self.port.read(&mut byte).await? == 0 {
                core::future::pending::<()>().await;
            }
            if let Some(length) = self.receiver.push(byte) {
                return Ok(self.receiver.datagram(length));
            }
        }
    }
}

/// A UDP socket of an `embedded-nal-async` stack that is connected to the gateway.
///
/// `MTU` is the longest datagram.
#[cfg(feature = "nal")]
#[derive(Debug)]
pub struct AsyncUdpLink<C, const MTU: usize> {
    socket: C,
    datagram: [u8; MTU],
}

#[cfg(feature = "nal")]
impl<C, const MTU: usize> AsyncUdpLink<C, MTU> {
    /// A link over a socket that `UdpStack::connect` has given.
    pub const fn new(socket: C) -> Self {
        Self { socket, datagram: [0; MTU] }
    }
}

#[cfg(feature = "nal")]
impl<C: embedded_nal_async::ConnectedUdp, const MTU: usize> AsyncLink for AsyncUdpLink<C, MTU> {
    type Error = C::Error;

    async fn send(&mut self, datagram: &[u8]) -> Result<(), C::Error> {
        self.socket.send(datagram).await
    }

    async fn receive(&mut self) -> Result<&[u8], C::Error> {
        let length = self.socket.receive_into(&mut self.datagram).await?;
        Ok(self.datagram.get(..length).unwrap_or_default())
    }
}
