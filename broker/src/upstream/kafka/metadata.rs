//! Who the brokers are, and which of them has which partition (Metadata, version 4).

use std::collections::BTreeMap;

use super::wire::{Malformed, Reader, Writer};
use crate::config::HostPort;

/// What the brokers say about themselves.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Metadata {
    /// By the number of the broker.
    pub(super) brokers: BTreeMap<i32, HostPort>,
    pub(super) topics: Vec<TopicMetadata>,
}

/// What they say about a topic.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TopicMetadata {
    /// See [`meaning`](super::answer::meaning).
    pub(super) code: i16,
    pub(super) name: String,
    /// The broker that takes records of each partition; none while there is no such broker.
    pub(super) leaders: Vec<Option<i32>>,
}

pub(super) const API: i16 = 3;
pub(super) const VERSION: i16 = 4;

/// Asks for some topics, which may be made by that.
pub(super) fn request(topics: &[String]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.list(topics, |writer, topic| writer.text(topic));
    // A broker that is set up so makes a topic that is not there.
    writer.i8(1);
    writer.into_bytes()
}

/// Reads the answer.
pub(super) fn answer(reader: &mut Reader<'_>) -> Result<Metadata, Malformed> {
    // How long it holds back the next answer; brokers do that by themselves.
    reader.i32()?;
    let brokers = reader.list(broker)?.into_iter().collect();
    // The cluster and its controller.
    reader.optional_text()?;
    reader.i32()?;
    Ok(Metadata { brokers, topics: reader.list(topic)? })
}

fn broker(reader: &mut Reader<'_>) -> Result<(i32, HostPort), Malformed> {
    let (id, host, port) = (reader.i32()?, reader.text()?, reader.i32()?);
    // The rack.
    reader.optional_text()?;
    Ok((id, HostPort::new(host, u16::try_from(port).map_err(|_| Malformed)?)))
}

fn topic(reader: &mut Reader<'_>) -> Result<TopicMetadata, Malformed> {
    let (code, name) = (reader.i16()?, reader.text()?);
    // Whether it is one of the brokers' own.
    reader.flag()?;
    let partitions: BTreeMap<usize, Option<i32>> = reader.list(partition)?.into_iter().collect();
    let is_whole = partitions.keys().copied().eq(0..partitions.len());
    let leaders = partitions.into_values().collect();
    if is_whole { Ok(TopicMetadata { code, name, leaders }) } else { Err(Malformed) }
}

fn partition(reader: &mut Reader<'_>) -> Result<(usize, Option<i32>), Malformed> {
    // An error here is that there is no leader, or is about other replicas.
    reader.i16()?;
    let (number, leader) = (reader.i32()?, reader.i32()?);
    // The replicas, and those in step.
    reader.list(Reader::i32)?;
    reader.list(Reader::i32)?;
    let number = usize::try_from(number).map_err(|_| Malformed)?;
    Ok((number, (leader >= 0).then_some(leader)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer about a topic with these partitions and their leaders.
    fn answered(partitions: &[(i32, i32)]) -> Result<Metadata, Malformed> {
        let mut writer = Writer::default();
        writer.i32(0);
        writer.list(&[1], |writer, id| {
            writer.i32(*id);
            writer.text("kafka-1");
            writer.i32(9092);
            writer.no_text();
        });
        writer.text("cluster");
        writer.i32(1);
        writer.list(&["agg"], |writer, name| {
            writer.i16(0);
            writer.text(name);
            writer.i8(0);
            writer.list(partitions, |writer, (number, leader)| {
                writer.i16(if *leader < 0 { 5 } else { 0 });
                writer.i32(*number);
                writer.i32(*leader);
                writer.list(&[1, 2], |writer, id| writer.i32(*id));
                writer.list(&[1], |writer, id| writer.i32(*id));
            });
        });
        answer(&mut Reader::new(&writer.into_bytes()))
    }

    #[test]
    fn partitions_are_read_in_any_order() {
        let metadata = answered(&[(1, -1), (0, 1)]).unwrap();
        assert_eq!(metadata.brokers[&1], HostPort::new("kafka-1", 9092));
        let topic = &metadata.topics[0];
        assert_eq!((topic.name.as_str(), &topic.leaders[..]), ("agg", &[Some(1), None][..]));
    }

    /// Keys would go to other partitions than those of other producers.
    #[test]
    fn a_list_without_one_of_the_partitions_is_not_believed() {
        assert_eq!(answered(&[(0, 1), (2, 1)]), Err(Malformed));
        assert_eq!(answered(&[(-1, 1)]), Err(Malformed));
    }
}
