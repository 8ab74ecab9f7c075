//! Connections in one loop over non-blocking sockets. One large buffer is read into by all of
//! them; a connection keeps only a packet that is cut off.
//!
//! What a turn adds to the output of a connection is written once, at the end of the turn: a
//! generator that made a system call for each packet would measure itself.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    time::Duration,
};

use mio::{Events, Interest, Poll, Token, net::TcpStream};
use socket2::{Domain, Protocol, Socket, Type};
use weir_mqtt::{DecodeError, frame_len};

use super::{failure::BenchError, timer::Timer};

const READ_BYTES: usize = 256 * 1024;
const EVENTS: usize = 256;
/// Output that was written and is moved away only when there is so much of it.
const WRITTEN_BYTES_MAX: usize = 64 * 1024;

/// Takes what arrives.
pub(crate) trait Receiver {
    /// One whole packet.
    fn receive(&mut self, net: &mut Net, connection: usize, packet: &[u8]);
    /// The broker closed the connection, or it failed, or what it sent is not MQTT.
    fn closed(&mut self, net: &mut Net, connection: usize, reason: Closed);
}

/// Why a connection is at its end.
#[derive(Debug)]
pub(crate) enum Closed {
    /// The broker closed it, or the network failed.
    Gone,
    /// What the broker sent cannot be read.
    NotMqtt(DecodeError),
}

/// One connection.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    stream: Option<TcpStream>,
    pub(crate) out: Vec<u8>,
    written: usize,
    cut: Vec<u8>,
    is_dirty: bool,
    /// Nobody reads it.
    pub(crate) is_paused: bool,
}

impl Connection {
    pub(crate) fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// Bytes that the kernel has not taken yet.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.out.len() - self.written
    }
}

/// All connections.
#[derive(Debug)]
pub(crate) struct Net {
    poll: Poll,
    events: Option<Events>,
    timer: Timer,
    pub(crate) connections: Vec<Connection>,
    free: Vec<usize>,
    buffer: Vec<u8>,
    dirty: Vec<usize>,
    /// Those that may have more than was read.
    unread: Vec<usize>,
}

impl Net {
    pub(crate) fn new() -> Result<Self, BenchError> {
        let poll = Poll::new().map_err(BenchError::Network)?;
        let timer = Timer::new(poll.registry()).map_err(BenchError::Network)?;
        Ok(Self {
            poll,
            timer,
            events: Some(Events::with_capacity(EVENTS)),
            connections: Vec::new(),
            free: Vec::new(),
            buffer: Vec::new(),
            dirty: Vec::new(),
            unread: Vec::new(),
        })
    }

    /// Begins a connection. What is put into its output goes as soon as it stands.
    pub(crate) fn connect(
        &mut self,
        address: SocketAddr,
        receive_buffer_bytes: Option<usize>,
    ) -> Result<usize, BenchError> {
        let mut stream = open(address, receive_buffer_bytes).map_err(BenchError::Network)?;
        let number = self.free.pop().unwrap_or_else(|| {
            self.connections.push(Connection::default());
            self.connections.len() - 1
        });
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(&mut stream, Token(number), interest);
        registered.map_err(BenchError::Network)?;
        self.connections[number] = Connection { stream: Some(stream), ..Connection::default() };
        Ok(number)
    }

    pub(crate) fn close(&mut self, number: usize) {
        if self.connections[number].stream.take().is_some() {
            self.connections[number] = Connection::default();
            self.free.push(number);
        }
    }

    /// Has a connection written at the end of the turn.
    #[inline]
    pub(crate) fn mark(&mut self, number: usize) {
        if !std::mem::replace(&mut self.connections[number].is_dirty, true) {
            self.dirty.push(number);
        }
    }

    /// Writes what the kernel takes. A failure shows when the connection is read.
    pub(crate) fn flush(&mut self, number: usize) {
        let connection = &mut self.connections[number];
        let Some(stream) = &mut connection.stream else { return };
        while connection.written < connection.out.len() {
            match stream.write(&connection.out[connection.written..]) {
                Ok(length) => connection.written += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    if connection.written > WRITTEN_BYTES_MAX {
                        connection.out.drain(..connection.written);
                        connection.written = 0;
                    }
                    return;
                }
            }
        }
        connection.out.clear();
        connection.written = 0;
    }

    /// Reads a connection again that was paused.
    pub(crate) fn resume(&mut self, number: usize) {
        self.connections[number].is_paused = false;
        self.unread.push(number);
    }

    /// One turn: waits until something happens, at most so long, and handles all of it.
    pub(crate) fn turn(
        &mut self,
        wait: Duration,
        receiver: &mut impl Receiver,
    ) -> Result<(), BenchError> {
        let mut events = self.events.take().expect("a turn is not taken within a turn");
        let wait = if self.unread.is_empty() { self.timer.set(wait) } else { Ok(Duration::ZERO) };
        match wait.and_then(|wait| self.poll.poll(&mut events, Some(wait))) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
            other => other.map_err(BenchError::Network)?,
        }
        for number in std::mem::take(&mut self.unread) {
            self.read(number, true, receiver);
        }
        for event in &events {
            let Token(number) = event.token();
            if number == Timer::TOKEN.0 {
                continue;
            }
            if event.is_writable() && self.connections[number].waiting_bytes() > 0 {
                self.flush(number);
            }
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                self.read(number, event.is_read_closed() || event.is_error(), receiver);
            }
        }
        self.events = Some(events);
        let mut dirty = std::mem::take(&mut self.dirty);
        for number in dirty.drain(..) {
            self.connections[number].is_dirty = false;
            self.flush(number);
        }
        self.dirty = dirty;
        Ok(())
    }

    /// Reads once. A socket reports only what is new, so one that may have more is read again in
    /// the next turn: the buffer is full, or what is reported now may be its end.
    fn read(&mut self, number: usize, ends: bool, receiver: &mut impl Receiver) {
        let connection = &mut self.connections[number];
        let Some(stream) = connection.stream.as_mut().filter(|_| !connection.is_paused) else {
            return;
        };
        let mut buffer = std::mem::take(&mut self.buffer);
        let cut = connection.cut.len();
        if buffer.len() < cut + READ_BYTES {
            buffer.resize(cut + READ_BYTES, 0);
        }
        match stream.read(&mut buffer[cut..]) {
            Ok(length @ 1..) => {
                if ends || cut + length == buffer.len() {
                    self.unread.push(number);
                }
                buffer[..cut].copy_from_slice(&connection.cut);
                connection.cut.clear();
                let rest = self.split(number, &buffer[..cut + length], receiver);
                self.connections[number].cut.extend_from_slice(rest);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.unread.push(number),
            Ok(_) | Err(_) => {
                self.close(number);
                receiver.closed(self, number, Closed::Gone);
            }
        }
        self.buffer = buffer;
    }

    /// Hands over the whole packets and answers the rest, nothing once the connection is closed.
    fn split<'a>(
        &mut self,
        number: usize,
        mut bytes: &'a [u8],
        receiver: &mut impl Receiver,
    ) -> &'a [u8] {
        loop {
            match frame_len(bytes) {
                Ok(Some(length)) if length <= bytes.len() => {
                    let (packet, rest) = bytes.split_at(length);
                    receiver.receive(self, number, packet);
                    bytes = rest;
                }
                Ok(_) => return bytes,
                Err(error) => {
                    self.close(number);
                    receiver.closed(self, number, Closed::NotMqtt(error));
                }
            }
            if self.connections[number].stream.is_none() {
                return &[];
            }
        }
    }
}

/// A socket that is about to connect.
fn open(address: SocketAddr, receive_buffer_bytes: Option<usize>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Before it connects, because the window is agreed then.
    receive_buffer_bytes.map_or(Ok(()), |bytes| socket.set_recv_buffer_size(bytes))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(IN_PROGRESS) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

/// `EINPROGRESS`.
const IN_PROGRESS: i32 = rustix::io::Errno::INPROGRESS.raw_os_error();
