//! Records, and batches of them as they are sent and kept (format 2, since Kafka 0.11).

use std::io::{self, Write};

use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};

use super::wire::{Writer, length};
use crate::clock;
use crate::config::{KafkaCompression, KafkaKey};
use crate::upstream::outgoing::Outgoing;

/// A message as Kafka keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Milliseconds since the Unix epoch; none when the clock was not set.
    pub(super) timestamp_ms: Option<i64>,
    pub(super) key: Option<String>,
    pub(super) value: Vec<u8>,
    pub(super) headers: Vec<(String, String)>,
}

impl Record {
    /// Takes the payload and the properties out of a message.
    pub(super) fn of(outgoing: &mut Outgoing, key: KafkaKey) -> Self {
        let mut headers = std::mem::take(&mut outgoing.user_properties);
        headers.push((TOPIC.to_owned(), outgoing.topic.clone()));
        headers.extend(outgoing.content_type.take().map(|text| (CONTENT_TYPE.to_owned(), text)));
        let is_set = outgoing.received_at_ms >= clock::SET_FROM_MS;
        Self {
            timestamp_ms: i64::try_from(outgoing.received_at_ms).ok().filter(|_| is_set),
            key: (key == KafkaKey::Topic).then(|| outgoing.topic.clone()),
            value: std::mem::take(&mut outgoing.payload),
            headers,
        }
    }

    /// Bytes that it takes in a batch, and some more.
    pub(super) fn bytes(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len() + 10);
        self.key.as_ref().map_or(0, String::len) + self.value.len() + headers.sum::<usize>() + 40
    }

    fn write(&self, writer: &mut Writer, offset: i64, first_ms: i64) {
        let mut body = Writer::default();
        // Attributes, of which there are none.
        body.i8(0);
        body.varint(self.timestamp() - first_ms);
        body.varint(offset);
        match &self.key {
            Some(key) => write_sized(&mut body, key.as_bytes()),
            None => body.varint(-1),
        }
        write_sized(&mut body, &self.value);
        body.varint(length(self.headers.len()).into());
        for (name, value) in &self.headers {
            write_sized(&mut body, name.as_bytes());
            write_sized(&mut body, value.as_bytes());
        }
        write_sized(writer, &body.into_bytes());
    }

    fn timestamp(&self) -> i64 {
        self.timestamp_ms.unwrap_or(NO_TIMESTAMP)
    }
}

/// A batch of at least one record.
///
/// # Errors
/// It cannot be compressed: there is no memory for it.
pub(super) fn batch<'a>(
    records: impl ExactSizeIterator<Item = &'a Record> + Clone,
    compression: KafkaCompression,
) -> io::Result<Vec<u8>> {
    let timestamps = records.clone().map(Record::timestamp);
    let first_ms = timestamps.clone().next().unwrap_or(NO_TIMESTAMP);
    let last_ms = timestamps.max().unwrap_or(NO_TIMESTAMP);
    let count = length(records.len());
    let mut inner = Writer::default();
    for (offset, record) in (0..).zip(records) {
        record.write(&mut inner, offset, first_ms);
    }
    // What the checksum is of.
    let mut checked = Writer::default();
    checked.i16(number(compression));
    checked.i32(count - 1);
    checked.i64(first_ms);
    checked.i64(last_ms);
    // No producer that numbers its batches: identifier, epoch and number.
    checked.i64(-1);
    checked.i16(-1);
    checked.i32(-1);
    checked.i32(count);
    checked.raw(&compressed(inner.into_bytes(), compression)?);
    let checked = checked.into_bytes();
    let mut batch = Writer::default();
    // The offset, which the broker gives.
    batch.i64(0);
    batch.i32(length(checked.len() + BETWEEN_LENGTH_AND_CHECKED));
    // The epoch of the leader, which the broker knows.
    batch.i32(-1);
    batch.i8(FORMAT);
    batch.raw(&crc32c::crc32c(&checked).to_be_bytes());
    batch.raw(&checked);
    Ok(batch.into_bytes())
}

fn write_sized(writer: &mut Writer, bytes: &[u8]) {
    writer.varint(length(bytes.len()).into());
    writer.raw(bytes);
}

fn compressed(bytes: Vec<u8>, compression: KafkaCompression) -> io::Result<Vec<u8>> {
    match compression {
        KafkaCompression::None => Ok(bytes),
        KafkaCompression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&bytes)?;
            encoder.finish()
        }
        KafkaCompression::Lz4 => {
            // The producers of Java write blocks of this size too.
            let frame = FrameInfo::new().block_size(BlockSize::Max64KB);
            let mut encoder = FrameEncoder::with_frame_info(frame, Vec::new());
            encoder.write_all(&bytes)?;
            encoder.finish().map_err(io::Error::from)
        }
        KafkaCompression::Snappy => {
            snap::raw::Encoder::new().compress_vec(&bytes).map_err(io::Error::from)
        }
    }
}

/// The number of a compression in the attributes of a batch.
fn number(compression: KafkaCompression) -> i16 {
    match compression {
        KafkaCompression::None => 0,
        KafkaCompression::Gzip => 1,
        KafkaCompression::Snappy => 2,
        KafkaCompression::Lz4 => 3,
    }
}

/// Epoch, format and checksum.
const BETWEEN_LENGTH_AND_CHECKED: usize = 9;
const FORMAT: i8 = 2;
const NO_TIMESTAMP: i64 = -1;
/// The header with the topic of MQTT, which the name of the Kafka topic does not tell for certain.
const TOPIC: &str = "mqtt-topic";
const CONTENT_TYPE: &str = "content-type";

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing() -> Outgoing {
        let user = [("id", "gate-1"), ("unit", "celsius"), ("unit", "°C")];
        Outgoing {
            topic: "site/agg/a".to_owned(),
            payload: b"21.5".to_vec(),
            user_properties: user.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec(),
            content_type: Some("text/plain".to_owned()),
            received_at_ms: 1_700_000_000_500,
            ..Outgoing::default()
        }
    }

    #[test]
    fn everything_that_belongs_to_a_message_has_its_place() {
        let record = Record::of(&mut outgoing(), KafkaKey::Topic);
        assert_eq!(record.key.as_deref(), Some("site/agg/a"));
        assert_eq!(record.value, b"21.5");
        assert_eq!(record.timestamp_ms, Some(1_700_000_000_500));
        let headers = record.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let expected = [
            ("id", "gate-1"),
            ("unit", "celsius"),
            ("unit", "°C"),
            ("mqtt-topic", "site/agg/a"),
            ("content-type", "text/plain"),
        ];
        assert_eq!(headers.collect::<Vec<_>>(), expected);
        let mut unset = Outgoing { received_at_ms: 5_000, ..outgoing() };
        let record = Record::of(&mut unset, KafkaKey::None);
        assert_eq!((record.timestamp_ms, record.key), (None, None));
    }

    /// Each field at its place, and numbers by hand.
    #[test]
    fn a_batch_is_written_byte_by_byte_as_the_format_says() {
        let record = Record {
            timestamp_ms: Some(1_000),
            key: Some("k".to_owned()),
            value: b"v1".to_vec(),
            headers: vec![("h".to_owned(), "x".to_owned())],
        };
        let second = Record { timestamp_ms: Some(1_003), key: None, ..record.clone() };
        let batch = batch([record, second].iter(), KafkaCompression::None).unwrap();
        let (head, checked) = batch.split_at(21);
        assert_eq!(head[..8], [0; 8], "offset");
        assert_eq!(head[8..12], (batch.len() as u32 - 12).to_be_bytes(), "length");
        assert_eq!(head[12..17], [0xff, 0xff, 0xff, 0xff, 2], "epoch and format");
        assert_eq!(head[17..], crc32c::crc32c(checked).to_be_bytes(), "checksum");
        assert_eq!(checked[..6], [0, 0, 0, 0, 0, 1], "attributes and last offset");
        assert_eq!(checked[6..14], 1_000_i64.to_be_bytes());
        assert_eq!(checked[14..22], 1_003_i64.to_be_bytes());
        assert_eq!(checked[22..36], [0xff; 14], "no producer");
        assert_eq!(checked[36..40], [0, 0, 0, 2], "two records");
        let first = [26, 0, 0, 0, 2, b'k', 4, b'v', b'1', 2, 2, b'h', 2, b'x'];
        let second = [24, 0, 6, 2, 1, 4, b'v', b'1', 2, 2, b'h', 2, b'x'];
        assert_eq!(checked[40..], [&first[..], &second[..]].concat());
    }

    #[test]
    fn repeated_words_take_less_room_with_every_compression() {
        let value = "temperature,plant=works value=21.5\n".repeat(2_000).into_bytes();
        let record = Record { timestamp_ms: None, key: None, value, headers: Vec::new() };
        let plain = batch([&record].into_iter(), KafkaCompression::None).unwrap().len();
        for compression in [KafkaCompression::Gzip, KafkaCompression::Lz4, KafkaCompression::Snappy]
        {
            let small = batch([&record].into_iter(), compression).unwrap();
            assert!(small.len() * 10 < plain, "{compression:?}: {} of {plain}", small.len());
            assert_eq!(i16::from_be_bytes([small[21], small[22]]), number(compression));
        }
    }
}
