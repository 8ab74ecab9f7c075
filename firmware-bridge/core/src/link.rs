//! From a client to a wire: a serial line, or UDP.
//!
//! Responsible for carrying datagrams, and for the one loop that every firmware needs: send what
//! the client wants sent, give it what has arrived, and say when to come back. Not for clocks: the
//! time is an argument.
//!
//! [`SerialLink`] needs a serial port with the traits of `embedded-io`. With the feature `async`
//! there is [`AsyncSerialLink`] for those of `embedded-io-async`, with the feature `nal`
//! `UdpLink` for the network stacks of `embedded-nal`, and with both `AsyncUdpLink`.
//!
//! ```
//! use weir_node::client::{Client, Config, Event, Topic};
//! use weir_node::link::{Link, SerialLink, Turn};
//! # use embedded_io::{ErrorType, Read, ReadReady, Write};
//! # struct Port;
//! # impl ErrorType for Port { type Error = core::convert::Infallible; }
//! # impl ReadReady for Port { fn read_ready(&mut self) -> Result<bool, Self::Error> { Ok(false) } }
//! # impl Read for Port { fn read(&mut self, _: &mut [u8]) -> Result<usize, Self::Error> { Ok(0) } }
//! # impl Write for Port {
//! #     fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> { Ok(bytes.len()) }
//! #     fn flush(&mut self) -> Result<(), Self::Error> { Ok(()) }
//! # }
//! # let port = Port;
//! # let millis = || 7;
//! const TOPICS: [Topic<'_>; 1] = [Topic::Name("site/boiler/state")];
//! const CONFIG: Config<'_> = Config::new("boiler-7");
//!
//! let mut ring = [0; 512];
//! let mut client = Client::<128, 1>::new(&CONFIG, &TOPICS, &mut ring)?;
//! // The longest frame is a datagram and two bytes of checksum.
//! let mut link = SerialLink::<_, 130>::new(port);
//! client.connect(millis());
//! loop {
//!     match link.turn(&mut client, millis())? {
//!         Turn::Again => {}
//!         Turn::Event(Event::Message(message)) => { /* do what it says */ }
//!         Turn::Event(_) => {}
//!         Turn::Idle(_until_ms) => {
//!             // Sample the sensor if it is time, then wait for a byte or a tick.
//! #           break;
//!         }
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// A module uses modules listed below it, never above.
#[cfg(feature = "async")]
mod asynchronous;
mod serial;
#[cfg(feature = "nal")]
mod udp;

#[cfg(all(feature = "async", feature = "nal"))]
pub use self::asynchronous::AsyncUdpLink;
#[cfg(feature = "async")]
pub use self::asynchronous::{AsyncLink, AsyncSerialLink};
pub use self::serial::{SerialCounters, SerialLink};
#[cfg(feature = "nal")]
pub use self::udp::UdpLink;
use crate::client::{Client, Event, Output};

/// A way to the gateway on which nothing waits but sending.
pub trait Link {
    /// What the port or the network stack reports.
    type Error;

    /// Sends a datagram to the gateway.
    ///
    /// # Errors
    /// The datagram may be lost. The client sends again what needs an answer.
    fn send(&mut self, datagram: &[u8]) -> Result<(), Self::Error>;

    /// A datagram that has arrived; `None` if there is none yet.
    ///
    /// # Errors
    /// What was arriving may be lost.
    fn receive(&mut self) -> Result<Option<&[u8]>, Self::Error>;

    /// Does the next thing for a client: sends, or gives an event, or says that there is nothing to
    /// do. A search for gateways goes the same way as everything else.
    ///
    /// # Errors
    /// The port or the network stack failed. Turning on is all it takes to go on; to give up is
    /// the caller's decision.
    fn turn<'d, const MTU: usize, const TOPICS: usize>(
        &'d mut self,
        client: &mut Client<'_, MTU, TOPICS>,
        now_ms: u32,
    ) -> Result<Turn<'d>, Self::Error> {
        let until_ms = match client.poll(now_ms) {
            Output::Broadcast(datagram) | Output::Send(datagram) => {
                self.send(datagram)?;
                return Ok(Turn::Again);
            }
            Output::Event(event) => return Ok(Turn::Event(event)),
            Output::Idle => None,
            Output::WaitUntil(until_ms) => Some(until_ms),
        };
        Ok(match self.receive()? {
            None => Turn::Idle(until_ms),
            Some(datagram) => Turn::after(client.handle_datagram(datagram, now_ms)),
        })
    }
}

/// What came of one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Turn<'a> {
    /// There may be more to do.
    Again,
    /// Something happened, and there may be more to do.
    Event(Event<'a>),
    /// Nothing to do until a datagram arrives, the application wants something, or this time, if
    /// any, has come.
    Idle(Option<u32>),
}

impl<'a> Turn<'a> {
    fn after(event: Option<Event<'a>>) -> Self {
        event.map_or(Self::Again, Self::Event)
    }
}

#[cfg(test)]
mod tests;
