//! Batches on their way to a broker (Produce, versions 3 to 8, which differ in the answer only).

use super::wire::{Malformed, Reader, Writer};

/// A batch for a partition.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) bytes: Vec<u8>,
}

/// What became of the batches of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Produced {
    pub(super) outcomes: Vec<Outcome>,
    /// How long the broker wants nothing more.
    pub(super) throttle_ms: u32,
}

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) topic: String,
    pub(super) partition: i32,
    /// See [`meaning`](super::answer::meaning).
    pub(super) code: i16,
    pub(super) text: Option<String>,
    /// Which records are at fault, by their place in the batch, if the broker says so.
    pub(super) wrong: Vec<(usize, Option<String>)>,
}

pub(super) const API: i16 = 0;
pub(super) const VERSION_MIN: i16 = 3;
pub(super) const VERSION_MAX: i16 = 8;

/// A request with batches, those of a topic one behind the other.
pub(super) fn request(batches: &[Batch<'_>]) -> Vec<u8> {
    let mut writer = Writer::default();
    // Without a transaction.
    writer.no_text();
    writer.i16(ACKS_ALL);
    writer.i32(STORE_TIMEOUT_MS);
    let topics: Vec<&[Batch<'_>]> = batches.chunk_by(|a, b| a.topic == b.topic).collect();
    writer.list(&topics, |writer, batches| {
        writer.text(batches[0].topic);
        writer.list(batches, |writer, batch| {
            writer.i32(batch.partition);
            writer.bytes(&batch.bytes);
        });
    });
    writer.into_bytes()
}

/// Reads the answer to a request of that version.
pub(super) fn answer(reader: &mut Reader<'_>, version: i16) -> Result<Produced, Malformed> {
    let topics = reader.list(|reader| {
        let topic = reader.text()?;
        reader.list(|reader| outcome(reader, version, &topic))
    })?;
    let throttle_ms = u32::try_from(reader.i32()?).unwrap_or_default();
    Ok(Produced { outcomes: topics.into_iter().flatten().collect(), throttle_ms })
}

fn outcome(reader: &mut Reader<'_>, version: i16, topic: &str) -> Result<Outcome, Malformed> {
    let (partition, code) = (reader.i32()?, reader.i16()?);
    // The offset of the first record, and its time.
    reader.i64()?;
    reader.i64()?;
    if version >= 5 {
        // Where the log of the partition begins.
        reader.i64()?;
    }
    let (mut wrong, mut text) = (Vec::new(), None);
    if version >= 8 {
        let places = reader.list(|reader| Ok((reader.i32()?, reader.optional_text()?)))?;
        let place = |(place, text)| Some((usize::try_from(place).ok()?, text));
        wrong = places.into_iter().filter_map(place).collect();
        text = reader.optional_text()?;
    }
    Ok(Outcome { topic: topic.to_owned(), partition, code, text, wrong })
}

/// All replicas that are in step have it.
const ACKS_ALL: i16 = -1;
/// How long a broker waits for them; less than the answer is waited for here.
const STORE_TIMEOUT_MS: i32 = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_of_a_topic_stand_together() {
        let batch = |topic, partition| Batch { topic, partition, bytes: vec![7] };
        let bytes = request(&[batch("a", 0), batch("a", 1), batch("b", 0)]);
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.optional_text(), Ok(None));
        assert_eq!((reader.i16(), reader.i32()), (Ok(-1), Ok(20_000)));
        let topics = reader.list(|reader| {
            let topic = reader.text()?;
            Ok((topic, reader.list(|reader| Ok((reader.i32()?, reader.bytes()?.to_vec())))?))
        });
        let expected = [
            ("a".to_owned(), vec![(0, vec![7]), (1, vec![7])]),
            ("b".to_owned(), vec![(0, vec![7])]),
        ];
        assert_eq!(topics.unwrap(), expected);
    }

    #[test]
    fn each_version_of_the_answer_is_read() {
        for version in VERSION_MIN..=VERSION_MAX {
            let mut writer = Writer::default();
            writer.list(&["a"], |writer, topic| {
                writer.text(topic);
                writer.list(&[2], |writer, partition| {
                    writer.i32(*partition);
                    writer.i16(87);
                    writer.i64(-1);
                    writer.i64(-1);
                    if version >= 5 {
                        writer.i64(0);
                    }
                    if version >= 8 {
                        writer.list(&[1], |writer, place| {
                            writer.i32(*place);
                            writer.text("no key");
                        });
                        writer.text("one is wrong");
                    }
                });
            });
            writer.i32(250);
            let produced = answer(&mut Reader::new(&writer.into_bytes()), version).unwrap();
            assert_eq!(produced.throttle_ms, 250);
            let outcome = &produced.outcomes[0];
            assert_eq!((outcome.partition, outcome.code), (2, 87));
            let is_told = version >= 8;
            assert_eq!(outcome.text.as_deref(), is_told.then_some("one is wrong"));
            let wrong = [(1, Some("no key".to_owned()))];
            assert_eq!(outcome.wrong, if is_told { &wrong[..] } else { &[] });
        }
    }
}
