//! Somebody who has a queue at a server of AMQP 0.9.1 and takes what is in it, without a library:
//! what is checked is what the server has, not what the client of the broker makes of it.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::wait::LIMIT;

/// A connection with one channel.
#[derive(Debug)]
pub struct AmqpClient {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The last delivery that was not acknowledged yet.
    unacknowledged: Option<u64>,
}

/// A message from a queue.
#[derive(Debug, Default)]
pub struct Delivered {
    /// `message-id`, if it has one.
    pub id: String,
    /// What it says.
    pub payload: Vec<u8>,
}

/// A piece of what is sent over a connection.
struct Frame {
    kind: u8,
    payload: Vec<u8>,
}

/// Reads values from a frame.
struct Reader<'a>(&'a [u8]);

impl AmqpClient {
    /// Logs in as `guest`.
    ///
    /// # Errors
    /// Nobody is there, or the login is refused.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream, buffer: Vec::new(), unacknowledged: None };
        client.stream.write_all(b"AMQP\0\0\x09\x01")?;
        client.expect(START)?;
        let mut login = table(&[]);
        short(&mut login, "PLAIN");
        long(&mut login, b"\0guest\0guest");
        short(&mut login, "en_US");
        client.send(0, START_OK, &login)?;
        let tune = client.expect(TUNE)?;
        // The same limits, but no signs of life.
        client.send(0, TUNE_OK, &[&tune[..6], &[0, 0]].concat())?;
        let mut host = Vec::new();
        short(&mut host, "/");
        client.call((0, OPEN), &[&host[..], &[0, 0]].concat(), OPEN_OK)?;
        client.call((1, CHANNEL_OPEN), &[0], CHANNEL_OPEN_OK)?;
        Ok(client)
    }

    /// Makes a durable queue that gets what is published at `amq.topic` with such a routing key.
    ///
    /// # Errors
    /// The connection is gone, or the server refuses it.
    pub fn queue(&mut self, name: &str, key: &str) -> io::Result<()> {
        self.declare(name, key, &table(&[]))
    }

    /// The same for one that refuses every message.
    ///
    /// # Errors
    /// The connection is gone, or the server refuses it.
    pub fn full_queue(&mut self, name: &str, key: &str) -> io::Result<()> {
        let mut overflow = vec![b'S'];
        long(&mut overflow, b"reject-publish");
        let arguments = table(&[("x-max-length", b"I\0\0\0\0"), ("x-overflow", &overflow)]);
        self.declare(name, key, &arguments)
    }

    /// Removes a queue.
    ///
    /// # Errors
    /// The connection is gone, or the server refuses it.
    pub fn delete(&mut self, name: &str) -> io::Result<()> {
        let mut arguments = vec![0, 0];
        short(&mut arguments, name);
        arguments.push(0);
        self.call((1, QUEUE_DELETE), &arguments, QUEUE_DELETE_OK)
    }

    /// Takes what is in a queue from now on: [`receive`](Self::receive).
    ///
    /// # Errors
    /// The connection is gone, or the server refuses it.
    pub fn consume(&mut self, queue: &str) -> io::Result<()> {
        // No more than this under way, so that a kill repeats little.
        self.call((1, QOS), &[0, 0, 0, 0, 0x04, 0, 0], QOS_OK)?;
        let mut arguments = vec![0, 0];
        short(&mut arguments, queue);
        short(&mut arguments, "tests");
        arguments.push(0);
        arguments.extend(table(&[]));
        self.call((1, CONSUME), &arguments, CONSUME_OK)
    }

    /// The next message; none within the limit. What was received before is acknowledged when
    /// nothing more has come, so a kill may repeat it.
    ///
    /// # Errors
    /// The connection is gone, or the server ends it.
    pub fn receive(&mut self, limit: Duration) -> io::Result<Option<Delivered>> {
        if !self.has_frame() && !self.fill(limit)? {
            self.acknowledge()?;
            return Ok(None);
        }
        let deliver = self.expect(DELIVER)?;
        let mut deliver = Reader(&deliver);
        deliver.short()?;
        let tag = u64::from_be_bytes(deliver.array()?);
        let header = self.frame()?;
        let mut header = Reader(&header.payload);
        header.take(4)?;
        let length = u64::from_be_bytes(header.array()?);
        let mut delivered = Delivered { id: header.message_id()?, payload: Vec::new() };
        while (delivered.payload.len() as u64) < length {
            delivered.payload.extend(self.frame()?.payload);
        }
        self.unacknowledged = Some(tag);
        if tag.is_multiple_of(ACKNOWLEDGED_AT_ONCE) {
            self.acknowledge()?;
        }
        Ok(Some(delivered))
    }

    fn acknowledge(&mut self) -> io::Result<()> {
        let Some(tag) = self.unacknowledged.take() else { return Ok(()) };
        // All up to it.
        self.send(1, ACK, &[&tag.to_be_bytes()[..], &[1]].concat())
    }

    fn declare(&mut self, name: &str, key: &str, arguments: &[u8]) -> io::Result<()> {
        const DURABLE: u8 = 2;
        let mut queue = vec![0, 0];
        short(&mut queue, name);
        queue.push(DURABLE);
        queue.extend(arguments);
        self.call((1, QUEUE_DECLARE), &queue, QUEUE_DECLARE_OK)?;
        let mut binding = vec![0, 0];
        short(&mut binding, name);
        short(&mut binding, "amq.topic");
        short(&mut binding, key);
        binding.push(0);
        binding.extend(table(&[]));
        self.call((1, QUEUE_BIND), &binding, QUEUE_BIND_OK)
    }

    fn call(
        &mut self,
        (channel, method): (u16, Method),
        sent: &[u8],
        ok: Method,
    ) -> io::Result<()> {
        self.send(channel, method, sent)?;
        self.expect(ok).map(drop)
    }

    fn send(&mut self, channel: u16, method: Method, arguments: &[u8]) -> io::Result<()> {
        let mut frame = vec![METHOD];
        frame.extend(channel.to_be_bytes());
        frame.extend((arguments.len() as u32 + 4).to_be_bytes());
        frame.extend(method.0.to_be_bytes());
        frame.extend(method.1.to_be_bytes());
        frame.extend(arguments);
        frame.push(FRAME_END);
        self.stream.write_all(&frame)
    }

    /// The arguments of the next method, which has to be this one.
    fn expect(&mut self, method: Method) -> io::Result<Vec<u8>> {
        let mut frame = self.frame()?;
        let is_it = frame.kind == METHOD
            && frame.payload.get(..4)
                == Some(&[method.0.to_be_bytes(), method.1.to_be_bytes()].concat()[..]);
        if !is_it {
            let text = String::from_utf8_lossy(&frame.payload);
            return Err(io::Error::other(format!("not {method:?} but {text:?}")));
        }
        Ok(frame.payload.split_off(4))
    }

    fn frame(&mut self) -> io::Result<Frame> {
        while !self.has_frame() {
            if !self.fill(LIMIT)? {
                return Err(ErrorKind::TimedOut.into());
            }
        }
        let length = self.frame_len().expect("it is there");
        let frame: Vec<u8> = self.buffer.drain(..length).collect();
        assert_eq!(frame[length - 1], FRAME_END);
        Ok(Frame { kind: frame[0], payload: frame[7..length - 1].to_vec() })
    }

    fn has_frame(&self) -> bool {
        self.frame_len().is_some_and(|length| self.buffer.len() >= length)
    }

    fn frame_len(&self) -> Option<usize> {
        let length = self.buffer.get(3..7)?.try_into().ok().map(u32::from_be_bytes)?;
        Some(length as usize + 8)
    }

    /// Reads what has come; false when nothing came within the limit.
    fn fill(&mut self, limit: Duration) -> io::Result<bool> {
        self.stream.set_read_timeout(Some(limit))?;
        let mut chunk = [0; 65_536];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(ErrorKind::UnexpectedEof)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("as many"))
    }

    fn short(&mut self) -> io::Result<String> {
        let length = self.take(1)?[0];
        Ok(String::from_utf8_lossy(self.take(length.into())?).into_owned())
    }

    /// `message-id` among the properties, of which those that stand before it are left out.
    fn message_id(&mut self) -> io::Result<String> {
        let flags = u16::from_be_bytes(self.array()?);
        for bit in (8..16).rev().filter(|bit| flags & 1 << bit != 0) {
            match bit {
                HEADERS => {
                    let length = u32::from_be_bytes(self.array()?);
                    self.take(length as usize)?;
                }
                DELIVERY_MODE | PRIORITY => drop(self.take(1)?),
                _ => drop(self.short()?),
            }
        }
        if flags & MESSAGE_ID == 0 { Ok(String::new()) } else { self.short() }
    }
}

fn short(out: &mut Vec<u8>, text: &str) {
    out.push(u8::try_from(text.len()).expect("it is short"));
    out.extend(text.as_bytes());
}

fn long(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_be_bytes());
    out.extend(bytes);
}

/// Pairs of a name and a value with its type.
fn table(pairs: &[(&str, &[u8])]) -> Vec<u8> {
    let mut content = Vec::new();
    for (name, value) in pairs {
        short(&mut content, name);
        content.extend(*value);
    }
    let mut table = Vec::new();
    long(&mut table, &content);
    table
}

/// Class and number.
#[derive(Clone, Copy, Debug)]
struct Method(u16, u16);

const START: Method = Method(10, 10);
const START_OK: Method = Method(10, 11);
const TUNE: Method = Method(10, 30);
const TUNE_OK: Method = Method(10, 31);
const OPEN: Method = Method(10, 40);
const OPEN_OK: Method = Method(10, 41);
const CHANNEL_OPEN: Method = Method(20, 10);
const CHANNEL_OPEN_OK: Method = Method(20, 11);
const QUEUE_DECLARE: Method = Method(50, 10);
const QUEUE_DECLARE_OK: Method = Method(50, 11);
const QUEUE_BIND: Method = Method(50, 20);
const QUEUE_BIND_OK: Method = Method(50, 21);
const QUEUE_DELETE: Method = Method(50, 40);
const QUEUE_DELETE_OK: Method = Method(50, 41);
const QOS: Method = Method(60, 10);
const QOS_OK: Method = Method(60, 11);
const CONSUME: Method = Method(60, 20);
const CONSUME_OK: Method = Method(60, 21);
const DELIVER: Method = Method(60, 60);
const ACK: Method = Method(60, 80);

const METHOD: u8 = 1;
const FRAME_END: u8 = 0xce;
const HEADERS: u16 = 13;
const DELIVERY_MODE: u16 = 12;
const PRIORITY: u16 = 11;
const MESSAGE_ID: u16 = 1 << 7;

/// Less than is let under way.
const ACKNOWLEDGED_AT_ONCE: u64 = 256;
