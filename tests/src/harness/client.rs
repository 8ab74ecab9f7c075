//! A blocking connection that sends exactly the packets and bytes it is told to. It acknowledges
//! nothing by itself and knows no session.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::SockRef;
use weir_mqtt::{Connect, Packet, ReasonCode, Version, frame_len};

use super::wait::LIMIT;

/// A connection to a broker.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    version: Version,
    /// What was read; the front of it has been handed out already.
    buffer: Vec<u8>,
    handed_out: usize,
    out: Vec<u8>,
}

/// What came.
#[allow(clippy::large_enum_variant, reason = "it is looked at and forgotten")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// The other side has closed the connection, or it broke.
    Closed,
    /// Nothing within the limit.
    Nothing,
    /// A packet.
    Packet(Packet<'a>),
}

/// What the broker has said to CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Whether it goes on with an earlier session.
    pub session_present: bool,
    /// Success or why not.
    pub reason: ReasonCode,
    /// The identifier that it has given.
    pub assigned_client_id: Option<String>,
    /// How many messages it takes at a time.
    pub receive_maximum: u16,
}

impl Client {
    /// Opens a connection and sends nothing.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn open(address: SocketAddr, version: Version) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, version, buffer: Vec::new(), handed_out: 0, out: Vec::new() })
    }

    /// Lets the system take in so many bytes that were not received yet, not as many as it likes:
    /// what is beyond waits at the sender.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn limit_receive_buffer(&self, bytes: usize) -> io::Result<()> {
        SockRef::from(&self.stream).set_recv_buffer_size(bytes)
    }

    /// Opens a connection, sends CONNECT and waits for CONNACK.
    ///
    /// # Errors
    /// The connection ends before CONNACK.
    ///
    /// # Panics
    /// The first packet is another one.
    pub fn connect(address: SocketAddr, connect: Connect<'_>) -> io::Result<(Self, Accepted)> {
        let mut client = Self::open(address, connect.version)?;
        client.send(&Packet::Connect(connect))?;
        let accepted = match client.receive(LIMIT) {
            Received::Packet(Packet::Connack(connack)) => Accepted {
                session_present: connack.session_present,
                reason: connack.reason,
                assigned_client_id: connack
                    .properties
                    .assigned_client_identifier
                    .map(str::to_owned),
                receive_maximum: connack.properties.receive_maximum.map_or(u16::MAX, Into::into),
            },
            Received::Closed => return Err(ErrorKind::ConnectionReset.into()),
            other => panic!("CONNACK has to come first, not {other:?}"),
        };
        Ok((client, accepted))
    }

    /// Puts a packet behind those that wait, without sending it.
    ///
    /// # Panics
    /// No client may send such a packet.
    pub fn put(&mut self, packet: &Packet<'_>) {
        packet.encode(self.version, &mut self.out).expect("a packet of a test can be encoded");
    }

    /// Sends what waits, in one write.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn flush(&mut self) -> io::Result<()> {
        let written = self.stream.write_all(&self.out);
        self.out.clear();
        written
    }

    /// Sends a packet.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        self.put(packet);
        self.flush()
    }

    /// Sends bytes that need not be a packet.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Waits for a packet.
    ///
    /// # Panics
    /// The broker sends what is not MQTT.
    pub fn receive(&mut self, limit: Duration) -> Received<'_> {
        self.buffer.drain(..self.handed_out);
        self.handed_out = 0;
        let end = Instant::now() + limit;
        let length = loop {
            if let Some(length) = frame_len(&self.buffer).expect("the broker sends MQTT")
                && length <= self.buffer.len()
            {
                break length;
            }
            match self.read(end.saturating_duration_since(Instant::now())) {
                Ok(0) => return Received::Closed,
                Ok(_) => {}
                Err(error) if is_timeout(&error) => return Received::Nothing,
                Err(_) => return Received::Closed,
            }
        };
        self.handed_out = length;
        let packet = Packet::decode(&self.buffer[..length], self.version);
        Received::Packet(packet.expect("the broker sends right packets"))
    }

    /// Whether a whole packet has been read that was not handed out.
    ///
    /// # Panics
    /// As [`receive`](Self::receive).
    #[must_use]
    pub fn has_more(&self) -> bool {
        let rest = &self.buffer[self.handed_out..];
        let length = frame_len(rest).expect("the broker sends MQTT");
        length.is_some_and(|length| length <= rest.len())
    }

    /// Which version it speaks.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    fn read(&mut self, limit: Duration) -> io::Result<usize> {
        if limit.is_zero() {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.stream.set_read_timeout(Some(limit))?;
        let start = self.buffer.len();
        self.buffer.resize(start + READ_BYTES, 0);
        let read = self.stream.read(&mut self.buffer[start..]);
        self.buffer.truncate(start + read.as_ref().map_or(0, |length| *length));
        read
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

const READ_BYTES: usize = 16 * 1024;
