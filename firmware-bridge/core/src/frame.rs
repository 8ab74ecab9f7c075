//! Frames on a serial line: COBS, a CRC-16, and zero bytes between them.
//!
//! A frame is `00`, the COBS encoding of the payload and of the inverse of its CRC-16/CCITT-FALSE
//! (high byte first), `00`. COBS removes the zeros from what is between, so that a receiver that lost its place finds
//! it at the next zero. Each frame has a zero at both ends: were there only one between two frames,
//! a flipped bit in it would cost both. The checksum is inverted because a plain one still matches
//! when zeros follow it, and a flipped bit that makes the last delimiter `01` adds just that.
//!
//! Invariant: a single flipped bit loses at most the frame it is in. The CRC finds every flipped
//! bit of the payload; a bit that moves the frame's zeros is found with all but one of 65536.

mod crc;

use thiserror::Error;

pub use self::crc::crc16;

/// Writes a frame, byte by byte.
///
/// Adds at most `4 + 2 + payload / 254` bytes, rounded up.
///
/// ```
/// use weir_node::frame::{Deframer, encode};
///
/// let mut deframer = Deframer::<8>::new();
/// let mut received = None;
/// encode(&[0x16, 0x00], |byte| {
///     if let Some(Ok(payload)) = deframer.push(byte) {
///         received = Some(payload.to_vec());
///     }
/// });
/// assert_eq!(received.as_deref(), Some(&[0x16, 0x00][..]));
/// ```
pub fn encode(payload: &[u8], emit: impl FnMut(u8)) {
    Encoder::new(payload).for_each(emit);
}

/// The bytes of a frame, one after the other.
#[derive(Clone, Debug)]
pub struct Encoder<'a> {
    payload: &'a [u8],
    checksum: [u8; CHECKSUM_LENGTH],
    /// Bytes of payload and checksum that are encoded.
    done: usize,
    /// Bytes until the next code.
    run_left: usize,
    next: Next,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    Start,
    /// The code of a run, which says how long it is.
    Code,
    /// The bytes of a run; `full` if no zero was left out after it.
    Run {
        full: bool,
    },
    Nothing,
}

impl<'a> Encoder<'a> {
    /// The frame of a payload.
    pub const fn new(payload: &'a [u8]) -> Self {
        let checksum = (!crc16(payload)).to_be_bytes();
        Self { payload, checksum, done: 0, run_left: 0, next: Next::Start }
    }

    /// A byte of payload and checksum.
    fn at(&self, index: usize) -> Option<u8> {
        let byte = self.payload.get(index);
        byte.or_else(|| self.checksum.get(index.wrapping_sub(self.payload.len()))).copied()
    }

    fn code(&mut self) -> u8 {
        let mut run = 0;
        while run < RUN_MAX && self.at(self.done + run).is_some_and(|byte| byte != DELIMITER) {
            run += 1;
        }
        let full = run == RUN_MAX;
        self.run_left = run;
        self.next = Next::Run { full };
        if full { CODE_WITHOUT_ZERO } else { run as u8 + 1 }
    }
}

impl Iterator for Encoder<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        match self.next {
            Next::Start => {
                self.next = Next::Code;
                Some(DELIMITER)
            }
            Next::Code => Some(self.code()),
            Next::Run { .. } if self.run_left > 0 => {
                let byte = self.at(self.done);
                self.run_left -= 1;
                self.done += 1;
                byte
            }
            Next::Run { .. } if self.at(self.done).is_none() => {
                self.next = Next::Nothing;
                Some(DELIMITER)
            }
            Next::Run { full } => {
                // The zero that ended the run is in its code; a run that was cut has none.
                self.done += usize::from(!full);
                Some(self.code())
            }
            Next::Nothing => None,
        }
    }
}

/// Finds frames in a stream of bytes and takes them apart.
///
/// `N` is the longest payload and its two bytes of checksum. What is longer is given up up to the
/// next zero, without a byte of it kept.
#[derive(Clone, Debug)]
pub struct Deframer<const N: usize> {
    buffer: [u8; N],
    /// Bytes decoded so far, also those that no longer fit.
    length: usize,
    /// Bytes until the next code.
    run_left: u8,
    /// Whether the last code stands for a zero after its run, unless the frame ends there.
    zero_due: bool,
    /// Whether anything came since the last delimiter.
    started: bool,
}

impl<const N: usize> Deframer<N> {
    /// A receiver that has seen nothing yet.
    pub const fn new() -> Self {
        const { assert!(N > CHECKSUM_LENGTH, "no room for a payload") };
        Self { buffer: [0; N], length: 0, run_left: 0, zero_due: false, started: false }
    }

    /// Takes the next byte of the stream; at the end of a frame, gives its payload or what is wrong
    /// with it.
    ///
    /// Nothing between two delimiters is not a frame.
    pub fn push(&mut self, byte: u8) -> Option<Result<&[u8], FrameError>> {
        let result = self.advance(byte)?;
        Some(result.map(|length| self.decoded(length)))
    }

    /// The same, with the length of the payload only.
    pub(crate) fn advance(&mut self, byte: u8) -> Option<Result<usize, FrameError>> {
        if byte != DELIMITER {
            self.take(byte);
            return None;
        }
        let (started, length, cut) = (self.started, self.length, self.run_left > 0);
        self.clear();
        started.then(|| self.check(length, cut))
    }

    /// The payload that has ended with the last byte.
    pub(crate) fn decoded(&self, length: usize) -> &[u8] {
        self.buffer.get(..length).unwrap_or_default()
    }

    /// Forgets the frame that has begun, for example after the line was closed.
    pub fn clear(&mut self) {
        self.length = 0;
        self.run_left = 0;
        self.zero_due = false;
        self.started = false;
    }

    fn take(&mut self, byte: u8) {
        self.started = true;
        if self.run_left > 0 {
            self.run_left -= 1;
            self.keep(byte);
            return;
        }
        if self.zero_due {
            self.keep(DELIMITER);
        }
        self.run_left = byte - 1;
        self.zero_due = byte != CODE_WITHOUT_ZERO;
    }

    fn keep(&mut self, byte: u8) {
        if let Some(place) = self.buffer.get_mut(self.length) {
            *place = byte;
        }
        self.length = self.length.saturating_add(1);
    }

    fn check(&self, length: usize, cut: bool) -> Result<usize, FrameError> {
        let frame = self.buffer.get(..length).ok_or(FrameError::TooLong)?;
        if cut {
            return Err(FrameError::Cut);
        }
        let (payload, checksum) =
            frame.split_last_chunk::<CHECKSUM_LENGTH>().ok_or(FrameError::TooShort)?;
        if payload.is_empty() {
            return Err(FrameError::TooShort);
        }
        if !crc16(payload) != u16::from_be_bytes(*checksum) {
            return Err(FrameError::Crc);
        }
        Ok(payload.len())
    }
}

impl<const N: usize> Default for Deframer<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Why what stood between two delimiters is not a frame.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FrameError {
    /// The checksum does not match.
    #[error("checksum does not match")]
    Crc,
    /// The frame ends inside a run.
    #[error("frame ends inside a run")]
    Cut,
    /// The frame does not fit the receiver.
    #[error("frame is longer than the receiver takes")]
    TooLong,
    /// The frame has no payload.
    #[error("frame has no payload")]
    TooShort,
}

const DELIMITER: u8 = 0x00;
const CHECKSUM_LENGTH: usize = 2;
const RUN_MAX: usize = 254;
/// The code of a full run, after which no zero was left out.
const CODE_WITHOUT_ZERO: u8 = 0xff;

#[cfg(test)]
mod tests;
