//! Reading binary payloads from the front. Nothing is trusted: a length is compared with what is
//! there before anything is taken.

use super::DecodeError;

/// What is left of a payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Binary<'p> {
    payload: &'p [u8],
    at: usize,
    /// For messages.
    format: &'static str,
}

impl<'p> Binary<'p> {
    pub(super) fn new(payload: &'p [u8], format: &'static str) -> Self {
        Self { payload, at: 0, format }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at >= self.payload.len()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.payload.get(self.at).copied()
    }

    pub(super) fn byte(&mut self) -> Result<u8, DecodeError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let rest = self.payload.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        let taken = rest.ok_or_else(|| self.malformed("ends too early"))?;
        self.at += N;
        Ok(*taken)
    }

    pub(super) fn take(&mut self, count: u64) -> Result<&'p [u8], DecodeError> {
        let end = usize::try_from(count).ok().and_then(|count| self.at.checked_add(count));
        let taken = end.and_then(|end| self.payload.get(self.at..end));
        let taken = taken.ok_or_else(|| self.malformed("ends too early"))?;
        self.at += taken.len();
        Ok(taken)
    }

    pub(super) fn text(&mut self, count: u64) -> Result<&'p str, DecodeError> {
        let start = *self;
        std::str::from_utf8(self.take(count)?).map_err(|_| start.malformed("a text is not UTF-8"))
    }

    /// What is wrong here.
    pub(super) fn malformed(&self, reason: &'static str) -> DecodeError {
        DecodeError::Malformed { format: self.format, reason, at: self.at }
    }

    /// Nothing may follow the value of a payload.
    pub(super) fn finish(&self) -> Result<(), DecodeError> {
        if self.is_empty() { Ok(()) } else { Err(self.malformed("more after the end")) }
    }
}
