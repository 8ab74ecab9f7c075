//! Messages in the files of a history, as bytes; the form stands in `docs/storage-format.md`.
//!
//! A record says by a mark where it may begin and by a checksum that it is whole, so that reading
//! can go on behind bytes that are damaged. The checksum begins with the salt of its file, which no
//! client knows: what looks like a record in a payload is none.

use weir_core::{MessageParts, Sequence, parse_message};

use crate::checksum::Checksum;

/// What each record begins with.
pub(super) const MARK: [u8; 4] = *b"wrec";
/// Bytes of a record before its message.
pub(super) const RECORD_HEADER_BYTES: usize = 32;
/// No message is longer: a packet is shorter than 256 MiB, and its name and publisher are known
/// apart.
const MESSAGE_BYTES_MAX: usize = 257 << 20;

/// A message of a history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored<'a> {
    /// Its number in the order in which the messages of all histories came.
    pub(crate) number: u64,
    /// Its position in the log, if it was logged.
    pub(crate) sequence: Option<Sequence>,
    /// The message as a record.
    pub(crate) record: &'a [u8],
    /// The message.
    pub(crate) parts: MessageParts<'a>,
}

/// The first bytes of a record that can be one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) message_bytes: usize,
    number: u64,
    sequence: u64,
    checksum: u64,
}

/// Bytes that a message takes in a file.
pub(super) fn bytes(message: &MessageParts<'_>) -> u64 {
    (RECORD_HEADER_BYTES + message.record_bytes()) as u64
}

/// Appends a message.
pub(super) fn append(
    out: &mut Vec<u8>,
    salt: u64,
    number: u64,
    sequence: Option<Sequence>,
    message: &MessageParts<'_>,
) {
    let start = out.len();
    out.extend_from_slice(&MARK);
    out.extend_from_slice(&[0; RECORD_HEADER_BYTES - MARK.len()]);
    message.append_to(out);
    let record = &mut out[start..];
    let message_bytes = record.len() - RECORD_HEADER_BYTES;
    let message_bytes = u32::try_from(message_bytes).expect("a packet is shorter than 256 MiB");
    record[4..8].copy_from_slice(&message_bytes.to_le_bytes());
    record[8..16].copy_from_slice(&number.to_le_bytes());
    record[16..24].copy_from_slice(&sequence.map_or(0, |sequence| sequence.0).to_le_bytes());
    let checksum = checksum(salt, &record[4..24], &record[RECORD_HEADER_BYTES..]);
    record[24..32].copy_from_slice(&checksum.to_le_bytes());
}

/// The checksum of a message, whatever its number.
pub(super) fn message_checksum(record: &[u8]) -> u64 {
    checksum(0, &[], record)
}

impl Header {
    /// Reads the first bytes of a record; none when no record begins here.
    pub(super) fn read(bytes: &[u8; RECORD_HEADER_BYTES]) -> Option<Self> {
        let (mark, rest) = bytes.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let checksum = rest.first_chunk()?;
        let message_bytes = u32::from_le_bytes(*length) as usize;
        let header = Self {
            message_bytes,
            number: u64::from_le_bytes(*number),
            sequence: u64::from_le_bytes(*sequence),
            checksum: u64::from_le_bytes(*checksum),
        };
        (*mark == MARK && message_bytes <= MESSAGE_BYTES_MAX).then_some(header)
    }

    /// Whether what stands behind the header is what was written.
    pub(super) fn is_of(
        self,
        salt: u64,
        header: &[u8; RECORD_HEADER_BYTES],
        record: &[u8],
    ) -> bool {
        checksum(salt, &header[4..24], record) == self.checksum && parse_message(record).is_ok()
    }

    /// The message behind the header; none when it is no message.
    pub(super) fn message(self, record: &[u8]) -> Option<Stored<'_>> {
        Some(Stored {
            number: self.number,
            sequence: (self.sequence != 0).then_some(Sequence(self.sequence)),
            record,
            parts: parse_message(record).ok()?,
        })
    }
}

fn checksum(salt: u64, header: &[u8], message: &[u8]) -> u64 {
    let mut sum = Checksum::default();
    sum.add(&salt.to_le_bytes());
    sum.add(header);
    sum.add(message);
    sum.value()
}
