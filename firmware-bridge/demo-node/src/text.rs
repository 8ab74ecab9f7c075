//! Text in a buffer of fixed size, without the formatting of `core`, which takes kilobytes.

/// Text that was put together. What does not fit is cut, which `is_cut` says.
pub(crate) struct Text<const SIZE: usize> {
    bytes: [u8; SIZE],
    length: usize,
    is_cut: bool,
}

impl<const SIZE: usize> Text<SIZE> {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; SIZE], length: 0, is_cut: false }
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        text.bytes().for_each(|byte| self.byte(byte));
        self
    }

    pub(crate) fn number(&mut self, number: u32) -> &mut Self {
        let mut digits = [0; 10];
        let mut rest = number;
        let mut used = 0;
        for digit in digits.iter_mut() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            used += 1;
            if rest == 0 {
                break;
            }
        }
        digits.iter().take(used).rev().for_each(|digit| self.byte(*digit));
        self
    }

    /// Thousandths, with two digits after the point.
    pub(crate) fn hundredths(&mut self, milli: i64) -> &mut Self {
        if milli < 0 {
            self.byte(b'-');
        }
        // What a sensor gives fits, and a division of 64 bits is a kilobyte of code.
        let hundredths = u32::try_from(milli.unsigned_abs()).unwrap_or(u32::MAX) / 10;
        self.number(hundredths / 100).byte(b'.');
        self.byte(b'0' + (hundredths / 10 % 10) as u8);
        self.byte(b'0' + (hundredths % 10) as u8);
        self
    }

    /// The text, unless it is cut.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        if self.is_cut { None } else { self.bytes.get(..self.length) }
    }

    fn byte(&mut self, byte: u8) {
        match self.bytes.get_mut(self.length) {
            Some(place) => {
                *place = byte;
                self.length += 1;
            }
            None => self.is_cut = true,
        }
    }
}
