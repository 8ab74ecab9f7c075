//! Frames of RFC 6455: the decoder of what a client sends, and the headers of what is sent to it.
//!
//! The decoder keeps a cut-off header or control frame and nothing of the payload of data frames.

/// The longest payload of a control frame (section 5.5).
const CONTROL_BYTES_MAX: usize = 125;
/// Two bytes, eight more of length, four of the mask.
const HEADER_BYTES_MAX: usize = 14;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Binary,
    Close,
    Continuation,
    Ping,
    Pong,
}

/// Why a frame cannot be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    #[error("a close frame has a status or a reason that cannot be")]
    Close,
    #[error("a control frame is longer than 125 bytes or in parts")]
    Control,
    #[error("a frame of another message comes between the parts of one, or a part of none")]
    Fragments,
    #[error("the length of a frame is not written in the shortest form")]
    Length,
    #[error("an opcode or a bit is used that means nothing")]
    Reserved,
    #[error("a text frame, and MQTT needs binary ones")]
    Text,
    #[error("the frame of a client is not masked")]
    Unmasked,
}

/// What a step of decoding came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// The peer ends the connection; this status answers it.
    Close(u16),
    /// The bytes from here to the end of what was used are payload.
    Data { from: usize },
    /// More bytes are needed, or a frame without effect has ended.
    Nothing,
    /// To be answered with the same payload.
    Ping(Vec<u8>),
}

/// Takes frames apart.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    header: [u8; HEADER_BYTES_MAX],
    header_bytes: u8,
    /// The frame under way, once its header is complete.
    frame: Option<Frame>,
    /// A message has begun and its last frame has not come.
    in_message: bool,
    /// The payload of a control frame so far.
    control: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: Opcode,
    mask: [u8; 4],
    left: u64,
}

impl Violation {
    /// The status that it is answered with (section 7.4.1).
    pub(crate) fn code(self) -> u16 {
        match self {
            Self::Text => 1003,
            _ => 1002,
        }
    }
}

impl Decoder {
    /// Uses some of the bytes, at least one, and says how many.
    pub(crate) fn decode(&mut self, bytes: &mut [u8]) -> Result<(usize, Piece), Violation> {
        let from = match self.frame {
            Some(_) => 0,
            None => self.read_header(bytes)?,
        };
        let Some(frame) = &mut self.frame else { return Ok((from, Piece::Nothing)) };
        let rest = bytes.len() - from;
        let here = usize::try_from(frame.left).map_or(rest, |left| left.min(rest));
        let payload = &mut bytes[from..from + here];
        unmask(payload, frame.mask);
        frame.mask.rotate_left(here % 4);
        frame.left -= here as u64;
        let is_complete = frame.left == 0;
        let opcode = frame.opcode;
        if is_complete {
            self.frame = None;
            self.header_bytes = 0;
        }
        let piece = match opcode {
            Opcode::Binary | Opcode::Continuation => Piece::Data { from },
            Opcode::Close | Opcode::Ping | Opcode::Pong => {
                self.control.extend_from_slice(payload);
                if is_complete { self.end_control(opcode)? } else { Piece::Nothing }
            }
        };
        Ok((from + here, piece))
    }

    /// Takes what there is of the header, and says how many bytes that were.
    fn read_header(&mut self, bytes: &[u8]) -> Result<usize, Violation> {
        let mut used = 0;
        loop {
            let have = usize::from(self.header_bytes);
            let wanted = match have {
                0 | 1 => 2,
                _ => 2 + length_bytes(self.header[1]) + 4,
            };
            if have == wanted {
                self.begin_frame(have)?;
                return Ok(used);
            }
            let take = (wanted - have).min(bytes.len() - used);
            if take == 0 {
                return Ok(used);
            }
            self.header[have..have + take].copy_from_slice(&bytes[used..used + take]);
            self.header_bytes += take as u8;
            used += take;
            if self.header_bytes == 2 {
                self.check_start()?;
            }
        }
    }

    /// What the first two bytes say can be judged before the rest comes.
    fn check_start(&mut self) -> Result<(), Violation> {
        let [first, second, ..] = self.header;
        let is_last = first & 0x80 != 0;
        if first & 0x70 != 0 {
            return Err(Violation::Reserved);
        }
        if second & 0x80 == 0 {
            return Err(Violation::Unmasked);
        }
        match opcode(first)? {
            Opcode::Close | Opcode::Ping | Opcode::Pong => {
                let is_short = usize::from(second & 0x7f) <= CONTROL_BYTES_MAX;
                return if is_last && is_short { Ok(()) } else { Err(Violation::Control) };
            }
            Opcode::Binary if self.in_message => return Err(Violation::Fragments),
            Opcode::Continuation if !self.in_message => return Err(Violation::Fragments),
            Opcode::Binary | Opcode::Continuation => self.in_message = !is_last,
        }
        Ok(())
    }

    fn begin_frame(&mut self, header_bytes: usize) -> Result<(), Violation> {
        let (head, mask) = self.header[..header_bytes].split_at(header_bytes - 4);
        let left = match head {
            [_, length] => u64::from(length & 0x7f),
            [_, _, length @ ..] => length.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
            _ => unreachable!("a header has two bytes"),
        };
        let least = match length_bytes(head[1]) {
            0 => 0,
            2 => 126,
            _ => 1 << 16,
        };
        if left < least || left >> 63 != 0 {
            return Err(Violation::Length);
        }
        let mask = mask.try_into().expect("a mask has four bytes");
        self.frame = Some(Frame { opcode: opcode(head[0])?, mask, left });
        Ok(())
    }

    fn end_control(&mut self, opcode: Opcode) -> Result<Piece, Violation> {
        let payload = std::mem::take(&mut self.control);
        match opcode {
            Opcode::Close => close_code(&payload).map(Piece::Close),
            Opcode::Ping => Ok(Piece::Ping(payload)),
            _ => Ok(Piece::Nothing),
        }
    }
}

/// Appends the header of a frame of the server, which is whole and not masked.
pub(crate) fn push_header(bytes: &mut Vec<u8>, opcode: Opcode, payload: usize) {
    bytes.push(0x80 | opcode_bits(opcode));
    match payload {
        0..=125 => bytes.push(payload as u8),
        126..=0xffff => {
            bytes.push(126);
            bytes.extend_from_slice(&(payload as u16).to_be_bytes());
        }
        _ => {
            bytes.push(127);
            bytes.extend_from_slice(&(payload as u64).to_be_bytes());
        }
    }
}

fn opcode(first: u8) -> Result<Opcode, Violation> {
    match first & 0x0f {
        0x0 => Ok(Opcode::Continuation),
        0x1 => Err(Violation::Text),
        0x2 => Ok(Opcode::Binary),
        0x8 => Ok(Opcode::Close),
        0x9 => Ok(Opcode::Ping),
        0xa => Ok(Opcode::Pong),
        _ => Err(Violation::Reserved),
    }
}

fn opcode_bits(opcode: Opcode) -> u8 {
    match opcode {
        Opcode::Continuation => 0x0,
        Opcode::Binary => 0x2,
        Opcode::Close => 0x8,
        Opcode::Ping => 0x9,
        Opcode::Pong => 0xa,
    }
}

/// Bytes of the longer forms of a length.
fn length_bytes(second: u8) -> usize {
    match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    }
}

/// The same status comes back (section 5.5.1); no status is answered as a normal end.
fn close_code(payload: &[u8]) -> Result<u16, Violation> {
    match payload {
        [] => Ok(super::NORMAL),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            let may_be_sent = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
            let is_text = std::str::from_utf8(reason).is_ok();
            if may_be_sent && is_text { Ok(code) } else { Err(Violation::Close) }
        }
        [_] => Err(Violation::Close),
    }
}

/// The mask stands at its first byte. Whole words first: the compiler makes wide ones of them.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let (words, rest) = payload.as_chunks_mut::<4>();
    let key = u32::from_ne_bytes(mask);
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ key).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask) {
        *byte ^= key;
    }
}
