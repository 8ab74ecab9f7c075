//! Messages in the files of a history, as bytes; the form stands in `docs/storage-format.md`.
//!
//! A record says by a mark where it may begin, and by two checksums that it is whole, so that
//! reading can go on behind bytes that are damaged. The checksum of its first bytes begins with the
//! salt of its file, which no client knows: what looks like a record in a payload is none, and
//! costs no more than these few bytes.

use weir_core::{MessageParts, Sequence};

use crate::checksum::Checksum;

/// What each record begins with.
pub(super) const MARK: [u8; 4] = *b"wrec";
/// Bytes of a record before its message.
pub(super) const RECORD_HEADER_BYTES: usize = 40;

/// A message of a history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored<'a> {
    /// What stands before it.
    pub(crate) header: RecordHeader,
    /// The message as a record.
    pub(crate) record: &'a [u8],
    /// The message.
    pub(crate) parts: MessageParts<'a>,
}

/// What stands before a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct RecordHeader {
    pub(super) message_bytes: usize,
    /// Its number in the order in which the messages of all histories came.
    pub(crate) number: u64,
    /// Its position in the log, if it was logged.
    pub(crate) sequence: Option<Sequence>,
    /// The [`message_checksum`].
    pub(crate) message_checksum: u64,
}

/// Bytes that a message takes in a file.
pub(super) fn bytes(message: &MessageParts<'_>) -> u64 {
    (RECORD_HEADER_BYTES + message.record_bytes()) as u64
}

/// Appends a message; answers its [`message_checksum`].
pub(crate) fn append(
    out: &mut Vec<u8>,
    salt: u64,
    number: u64,
    sequence: Option<Sequence>,
    message: &MessageParts<'_>,
) -> u64 {
    let start = out.len();
    out.extend_from_slice(&[0; RECORD_HEADER_BYTES]);
    message.append_to(out);
    let (header, record) = out[start..]
        .split_first_chunk_mut::<RECORD_HEADER_BYTES>()
        .expect("it begins with as many bytes");
    let message_checksum = message_checksum(record);
    let message_bytes = record.len();
    *header = RecordHeader { message_bytes, number, sequence, message_checksum }.encode(salt);
    message_checksum
}

/// The checksum of a message, whatever its number and its file.
pub(super) fn message_checksum(record: &[u8]) -> u64 {
    let mut sum = Checksum::default();
    sum.add(record);
    sum.value()
}

impl RecordHeader {
    fn encode(self, salt: u64) -> [u8; RECORD_HEADER_BYTES] {
        let length = u32::try_from(self.message_bytes).expect("a packet is shorter than 256 MiB");
        let sequence = self.sequence.map_or(0, |sequence| sequence.0);
        let mut bytes = [0; RECORD_HEADER_BYTES];
        bytes[..4].copy_from_slice(&MARK);
        bytes[4..8].copy_from_slice(&length.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&sequence.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.message_checksum.to_le_bytes());
        let mut sum = Checksum::default();
        sum.add(&salt.to_le_bytes());
        sum.add(&bytes[..32]);
        bytes[32..].copy_from_slice(&sum.value().to_le_bytes());
        bytes
    }

    /// Reads the first bytes of a record of a file with this salt; none when no record begins here.
    pub(super) fn decode(bytes: &[u8; RECORD_HEADER_BYTES], salt: u64) -> Option<Self> {
        let number = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk::<8>()?));
        let length = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?);
        let header = Self {
            message_bytes: usize::try_from(length).ok()?,
            number: number(8)?,
            sequence: number(16).filter(|sequence| *sequence != 0).map(Sequence),
            message_checksum: number(24)?,
        };
        (header.encode(salt) == *bytes).then_some(header)
    }
}
