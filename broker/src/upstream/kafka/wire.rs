//! Numbers, texts and lists as the protocol of Kafka has them, in the form without tagged fields.
//!
//! What is read came from the network: no length in it is believed before that many bytes are there.

/// A message to a broker, or part of one.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

/// What is left of an answer.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

/// An answer is not what the protocol says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an answer of it cannot be read")]
pub(super) struct Malformed;

impl Writer {
    pub(super) fn i8(&mut self, number: i8) {
        self.0.extend(number.to_be_bytes());
    }

    pub(super) fn i16(&mut self, number: i16) {
        self.0.extend(number.to_be_bytes());
    }

    pub(super) fn i32(&mut self, number: i32) {
        self.0.extend(number.to_be_bytes());
    }

    pub(super) fn i64(&mut self, number: i64) {
        self.0.extend(number.to_be_bytes());
    }

    /// A number as a record has it: small ones are short, also below zero.
    pub(super) fn varint(&mut self, number: i64) {
        let mut rest = ((number << 1) ^ (number >> 63)) as u64;
        while rest >= 0x80 {
            self.0.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
    }

    /// # Panics
    /// With a text of more than 32,767 bytes: nothing that is named in a request is as long.
    pub(super) fn text(&mut self, text: &str) {
        self.i16(i16::try_from(text.len()).expect("names are short"));
        self.0.extend(text.as_bytes());
    }

    pub(super) fn no_text(&mut self) {
        self.i16(-1);
    }

    /// # Panics
    /// With more than 2 GiB: requests are bounded far below.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.i32(length(bytes.len()));
        self.raw(bytes);
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// # Panics
    /// With more than 2 GiB: requests are bounded far below.
    pub(super) fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.i32(length(items.len()));
        items.iter().for_each(|item| write(self, item));
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// A length in a message.
///
/// # Panics
/// With more than 2 GiB: requests are bounded far below.
pub(super) fn length(length: usize) -> i32 {
    i32::try_from(length).expect("requests are bounded")
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn i16(&mut self) -> Result<i16, Malformed> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }

    /// A number, and whether it says yes.
    pub(super) fn flag(&mut self) -> Result<bool, Malformed> {
        let [flag] = self.array()?;
        Ok(flag != 0)
    }

    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        self.optional_text()?.ok_or(Malformed)
    }

    pub(super) fn optional_text(&mut self) -> Result<Option<String>, Malformed> {
        let length = self.i16()?;
        if length < 0 {
            return Ok(None);
        }
        let bytes = self.take(usize::try_from(length).map_err(|_| Malformed)?)?;
        // What is only shown may be shown with a mark; a name that has one is known to nobody.
        Ok(Some(String::from_utf8_lossy(bytes).into_owned()))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.i32()?;
        self.take(usize::try_from(length).map_err(|_| Malformed)?)
    }

    /// A list; one that is not there is empty.
    pub(super) fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let length = self.i32()?.max(0);
        let mut items = Vec::new();
        for _ in 0..length {
            items.push(read(self)?);
        }
        Ok(items)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*array)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of Protocol Buffers, from which Kafka has this form.
    #[test]
    fn small_numbers_of_a_record_are_short() {
        for (number, bytes) in [
            (0, &[0][..]),
            (-1, &[1]),
            (1, &[2]),
            (-64, &[0x7f]),
            (64, &[0x80, 0x01]),
            (2_147_483_647, &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ] {
            let mut writer = Writer::default();
            writer.varint(number);
            assert_eq!(writer.into_bytes(), bytes, "{number}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut writer = Writer::default();
        writer.i16(-2);
        writer.text("ä");
        writer.no_text();
        writer.bytes(b"xyz");
        writer.list(&[1, 2], |writer, number| writer.i64(*number));
        let bytes = writer.into_bytes();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.i16(), Ok(-2));
        assert_eq!(reader.text().as_deref(), Ok("ä"));
        assert_eq!(reader.optional_text(), Ok(None));
        assert_eq!(reader.bytes(), Ok(&b"xyz"[..]));
        assert_eq!(reader.list(Reader::i64), Ok(vec![1, 2]));
        assert_eq!(reader.flag(), Err(Malformed));
    }

    #[test]
    fn a_length_beyond_the_end_is_not_believed() {
        assert_eq!(Reader::new(&[0x7f, 0xff, b'a']).text(), Err(Malformed));
        assert_eq!(Reader::new(&[0x7f, 0xff, 0xff, 0xff, 0]).bytes(), Err(Malformed));
        assert_eq!(Reader::new(&[0x7f, 0xff, 0xff, 0xff, 0]).list(Reader::i32), Err(Malformed));
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff]).bytes(), Err(Malformed));
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff]).list(Reader::i32), Ok(vec![]));
    }
}
