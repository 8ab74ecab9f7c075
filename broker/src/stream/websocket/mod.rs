//! MQTT in WebSocket frames (RFC 6455), the server's side.
//!
//! The payloads of binary frames are one stream of bytes: where a frame begins or ends means
//! nothing [MQTT-6.0.0-2]. Received payloads are unmasked where they are; what is sent goes out
//! behind a header of its own without being copied. Kept are the head of the upgrade until it is
//! complete, a cut-off control frame, and the last ping that was not answered yet.

mod frame;
mod key;
mod upgrade;

use std::io::{self, ErrorKind, IoSlice};

use self::frame::{Decoder, Opcode, Piece};
use self::upgrade::Upgrade;
use super::wire::{Received, Wire};

/// Why a peer cannot be understood, or is not to be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebSocketError {
    #[error(transparent)]
    Frame(#[from] frame::Violation),
    #[error(transparent)]
    Upgrade(#[from] upgrade::UpgradeError),
}

/// One WebSocket connection.
#[derive(Debug)]
pub(crate) struct WebSocket {
    /// Until it is done.
    upgrade: Option<Upgrade>,
    decoder: Decoder,
    /// Bytes of our own on their way: the answer to the upgrade, a header, a control frame.
    own: Vec<u8>,
    /// How many of them have been sent.
    own_sent: usize,
    /// Payload bytes that the last header has announced and that have not been sent.
    announced: usize,
    /// Answers to the last ping and to the end.
    pong: Option<Vec<u8>>,
    close: Close,
}

/// How far the goodbye is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Close {
    No,
    Said,
    Wanted(u16),
}

impl Default for WebSocket {
    fn default() -> Self {
        Self {
            upgrade: Some(Upgrade::default()),
            decoder: Decoder::default(),
            own: Vec::new(),
            own_sent: 0,
            announced: 0,
            pong: None,
            close: Close::No,
        }
    }
}

impl WebSocket {
    /// Leaves the payloads of data frames at the front of `bytes`.
    pub(crate) fn receive(&mut self, bytes: &mut [u8]) -> Result<Received, WebSocketError> {
        let mut at = match &mut self.upgrade {
            None => 0,
            Some(upgrade) => match upgrade.receive(bytes) {
                Ok(None) => return Ok(Received { count: 0, ended: false }),
                Ok(Some((used, answer))) => {
                    self.own.extend_from_slice(answer.as_bytes());
                    self.upgrade = None;
                    used
                }
                Err(error) => {
                    self.own.extend_from_slice(error.answer().as_bytes());
                    return Err(error.into());
                }
            },
        };
        let mut count = 0;
        while at < bytes.len() {
            let decoded = self.decoder.decode(&mut bytes[at..]);
            let (used, piece) = decoded.inspect_err(|violation| {
                self.want_close(violation.code());
            })?;
            match piece {
                Piece::Close(code) => {
                    self.want_close(code);
                    return Ok(Received { count, ended: true });
                }
                Piece::Data { from } => {
                    bytes.copy_within(at + from..at + used, count);
                    count += used - from;
                }
                Piece::Nothing => {}
                // Only the last one needs an answer, so that pings cannot pile up.
                Piece::Ping(payload) => self.pong = Some(payload),
            }
            at += used;
        }
        Ok(Received { count, ended: false })
    }

    /// Sends a part of the bytes and says how many. With none, sends what waits of its own.
    pub(crate) fn write(&mut self, wire: &mut Wire, bytes: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        loop {
            let rest = &bytes[written..];
            if self.own.is_empty() && self.announced == 0 {
                self.begin_frame(rest.len());
            }
            let payload = &rest[..rest.len().min(self.announced)];
            let own = &self.own[self.own_sent..];
            if own.is_empty() && payload.is_empty() {
                return Ok(written);
            }
            match wire.send(&[IoSlice::new(own), IoSlice::new(payload)]) {
                Ok(count) => written += self.note_sent(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock && written > 0 => {
                    return Ok(written);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Says goodbye, if a frame can begin here and the kernel takes it at once.
    pub(crate) fn close(&mut self, wire: &mut Wire) {
        if self.is_open() {
            self.want_close(NORMAL);
        }
        // The peer may be gone already.
        let _ = self.write(wire, &[]);
    }

    /// Whether the upgrade is done.
    pub(crate) fn is_open(&self) -> bool {
        self.upgrade.is_none()
    }

    /// Whether something of its own waits.
    pub(crate) fn wants_write(&self) -> bool {
        !self.own.is_empty() || (self.announced == 0 && self.has_control())
    }

    fn has_control(&self) -> bool {
        self.pong.is_some() || matches!(self.close, Close::Wanted(_))
    }

    fn want_close(&mut self, code: u16) {
        if self.close == Close::No {
            self.close = Close::Wanted(code);
        }
    }

    /// Puts the next control frame or the header of a data frame in front.
    fn begin_frame(&mut self, payload: usize) {
        if let Some(pong) = self.pong.take() {
            frame::push_header(&mut self.own, Opcode::Pong, pong.len());
            self.own.extend_from_slice(&pong);
        } else if let Close::Wanted(code) = self.close {
            self.close = Close::Said;
            frame::push_header(&mut self.own, Opcode::Close, 2);
            self.own.extend_from_slice(&code.to_be_bytes());
        } else if payload > 0 && self.close == Close::No {
            frame::push_header(&mut self.own, Opcode::Binary, payload);
            self.announced = payload;
        }
    }

    /// Answers how much of what was sent was payload.
    fn note_sent(&mut self, count: usize) -> usize {
        let own = count.min(self.own.len() - self.own_sent);
        self.own_sent += own;
        if self.own_sent == self.own.len() {
            // An idle connection holds no buffer.
            self.own = Vec::new();
            self.own_sent = 0;
        }
        self.announced -= count - own;
        count - own
    }
}

/// The status of a connection that has served its purpose.
const NORMAL: u16 = 1000;

#[cfg(test)]
mod tests;
