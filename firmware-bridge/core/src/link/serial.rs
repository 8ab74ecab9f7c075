//! Datagrams over a serial port, in frames.

use embedded_io::{Read, ReadReady, Write};

use super::Link;
use crate::frame::{Deframer, Encoder};

/// A serial port, with the frames of [`crate::frame`].
///
/// `FRAME` is the longest datagram and two bytes of checksum.
#[derive(Debug)]
pub struct SerialLink<S, const FRAME: usize> {
    port: S,
    receiver: Receiver<FRAME>,
}

/// What became of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SerialCounters {
    /// Frames that were whole.
    pub frames: u32,
    /// Frames that were not, for example because of noise; the client notices what is missing.
    pub broken: u32,
}

impl<S, const FRAME: usize> SerialLink<S, FRAME> {
    /// A link that has seen nothing yet.
    pub const fn new(port: S) -> Self {
        Self { port, receiver: Receiver::new() }
    }

    /// What was counted since the start.
    pub fn counters(&self) -> SerialCounters {
        self.receiver.counters
    }
}

impl<S: Read + ReadReady + Write, const FRAME: usize> Link for SerialLink<S, FRAME> {
    type Error = S::Error;

    fn send(&mut self, datagram: &[u8]) -> Result<(), S::Error> {
        let mut frame = Encoder::new(datagram);
        let mut chunk = [0; CHUNK];
        loop {
            let bytes = next_chunk(&mut frame, &mut chunk);
            if bytes.is_empty() {
                return self.port.flush();
            }
            self.port.write_all(bytes)?;
        }
    }

    fn receive(&mut self) -> Result<Option<&[u8]>, S::Error> {
        while self.port.read_ready()? {
            let mut byte = [0];
            if self.port.read(&mut byte)? == 0 {
                break;
            }
            if let Some(length) = self.receiver.push(byte) {
                return Ok(Some(self.receiver.datagram(length)));
            }
        }
        Ok(None)
    }
}

/// Finds datagrams in the bytes of a line.
#[derive(Debug)]
pub(super) struct Receiver<const FRAME: usize> {
    deframer: Deframer<FRAME>,
    pub(super) counters: SerialCounters,
}

impl<const FRAME: usize> Receiver<FRAME> {
    pub(super) const fn new() -> Self {
        Self { deframer: Deframer::new(), counters: SerialCounters { frames: 0, broken: 0 } }
    }

    /// The length of a datagram that ends with this byte.
    pub(super) fn push(&mut self, [byte]: [u8; 1]) -> Option<usize> {
        let result = self.deframer.advance(byte)?;
        let counter =
            if result.is_ok() { &mut self.counters.frames } else { &mut self.counters.broken };
        *counter = counter.wrapping_add(1);
        result.ok()
    }

    pub(super) fn datagram(&self, length: usize) -> &[u8] {
        self.deframer.decoded(length)
    }
}

/// Some bytes at a time: a call of the port for each would take longer than the byte on the line.
pub(super) fn next_chunk<'c>(frame: &mut Encoder<'_>, chunk: &'c mut [u8; CHUNK]) -> &'c [u8] {
    let mut length = 0;
    for (place, byte) in chunk.iter_mut().zip(frame) {
        *place = byte;
        length += 1;
    }
    chunk.get(..length).unwrap_or_default()
}

pub(super) const CHUNK: usize = 16;
