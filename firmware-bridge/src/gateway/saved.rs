//! The record of a kept session in the state file.
//!
//! What a node relies on and what the broker does not know: which id stands for which topic, the
//! will, how the node sleeps and where it is; and the subscriptions, in case the broker loses
//! them. Numbers are big-endian, a text is its length in two bytes and UTF-8.
//!
//! | field | bytes |
//! |---|---|
//! | version | 1, is 1 |
//! | phase | 1: 0 away, 1 active, 2 asleep |
//! | sleep and keep-alive time, seconds | 2 and 2 |
//! | name of the link | text |
//! | peer | text: empty for a line, or a socket address |
//! | forwarder | 1, and if it is 1 a text of bytes |
//! | will | 1, and if it is 1: QoS 1, retain 1, topic, payload as a text of bytes |
//! | topics | count in 2, texts, in the order of their ids |
//! | subscriptions | count in 2, each: QoS 1, text |

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use thiserror::Error;
use weir_node::mqtt_sn_1_2::QoS;

use super::address::{Address, LinkId, Peer};
use super::client::{Awake, Client, Phase, Subscription};
use super::topic_ids::TopicIds;
use crate::session::Will;

/// A record that was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    pub(super) id: Box<str>,
    pub(super) phase: SavedPhase,
    pub(super) keep_alive_s: u16,
    pub(super) link: Box<str>,
    /// On a link whose id is not known yet.
    pub(super) address: Address,
    pub(super) will: Option<Box<Will>>,
    pub(super) topics: TopicIds,
    pub(super) subscriptions: Vec<Subscription>,
    /// Of the record that it was read from.
    pub(super) fingerprint: u64,
}

/// Where the client was in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SavedPhase {
    Active,
    Asleep { duration_s: u16 },
    Away,
}

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SavedError {
    /// It holds what was never written.
    #[error("the record is damaged")]
    Damaged,
    /// It is of a newer program.
    #[error("the record has version {0}, which this program does not know")]
    Version(u8),
}

impl Saved {
    /// Reads the record of a client.
    ///
    /// # Errors
    /// It is not one.
    pub fn decode(id: &str, record: &[u8]) -> Result<Self, SavedError> {
        let reader = &mut Reader(record);
        let version = reader.u8()?;
        if version != VERSION {
            return Err(SavedError::Version(version));
        }
        let phase = reader.u8()?;
        let duration_s = reader.u16()?;
        let saved = Self {
            id: id.into(),
            phase: match phase {
                0 => SavedPhase::Away,
                1 => SavedPhase::Active,
                2 => SavedPhase::Asleep { duration_s },
                _ => return Err(SavedError::Damaged),
            },
            keep_alive_s: reader.u16()?,
            link: reader.text()?.into(),
            address: reader.address()?,
            will: reader.will()?,
            topics: reader.topics()?,
            subscriptions: reader.subscriptions()?,
            fingerprint: fingerprint(record),
        };
        if reader.0.is_empty() { Ok(saved) } else { Err(SavedError::Damaged) }
    }

    /// Whose it is.
    pub fn client_id(&self) -> &str {
        &self.id
    }
}

/// The record of a client on the link of this name.
pub(super) fn encode(client: &Client, link: &str) -> Vec<u8> {
    let (phase, duration_s) = match client.phase {
        Phase::Away | Phase::Connecting(_) => (0, 0),
        Phase::Active => (1, 0),
        Phase::Asleep { duration_s } | Phase::Awake(Awake { duration_s, .. }) => (2, duration_s),
    };
    let mut record = vec![VERSION, phase];
    record.extend(u16::to_be_bytes(duration_s));
    record.extend(client.keep_alive_s.to_be_bytes());
    write_bytes(&mut record, link.as_bytes());
    let peer = match client.address.peer {
        Peer::Line => String::new(),
        Peer::Udp(socket) => socket.to_string(),
    };
    write_bytes(&mut record, peer.as_bytes());
    record.push(client.address.node.is_some().into());
    if let Some(node) = &client.address.node {
        write_bytes(&mut record, node);
    }
    record.push(client.will.is_some().into());
    if let Some(will) = &client.will {
        record.extend([qos_code(will.qos), will.retain.into()]);
        write_bytes(&mut record, will.topic.as_bytes());
        write_bytes(&mut record, &will.payload);
    }
    record.extend((client.topics.names().len() as u16).to_be_bytes());
    client.topics.names().for_each(|name| write_bytes(&mut record, name.as_bytes()));
    record.extend((client.subscriptions.len() as u16).to_be_bytes());
    for subscription in &client.subscriptions {
        record.push(qos_code(subscription.qos));
        write_bytes(&mut record, subscription.filter.as_bytes());
    }
    record
}

/// Tells whether a record is the one that was written last. Not kept anywhere.
pub(super) fn fingerprint(record: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    record.hash(&mut hasher);
    hasher.finish()
}

/// Everything written came in one packet, whose length has two bytes.
fn write_bytes(record: &mut Vec<u8>, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).expect("no field of a packet is longer");
    record.extend(length.to_be_bytes());
    record.extend(bytes);
}

fn qos_code(qos: QoS) -> u8 {
    match qos {
        QoS::AtMostOnce => 0,
        QoS::AtLeastOnce => 1,
        QoS::ExactlyOnce => 2,
    }
}

/// What is left of a record.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], SavedError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(SavedError::Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, SavedError> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Result<u16, SavedError> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn bytes(&mut self) -> Result<&'a [u8], SavedError> {
        let length = self.u16()?;
        self.take(length.into())
    }

    fn text(&mut self) -> Result<&'a str, SavedError> {
        str::from_utf8(self.bytes()?).map_err(|_| SavedError::Damaged)
    }

    fn bool(&mut self) -> Result<bool, SavedError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(SavedError::Damaged),
        }
    }

    fn qos(&mut self) -> Result<QoS, SavedError> {
        match self.u8()? {
            0 => Ok(QoS::AtMostOnce),
            1 => Ok(QoS::AtLeastOnce),
            2 => Ok(QoS::ExactlyOnce),
            _ => Err(SavedError::Damaged),
        }
    }

    fn address(&mut self) -> Result<Address, SavedError> {
        let peer = match self.text()? {
            "" => Peer::Line,
            socket => Peer::Udp(socket.parse().map_err(|_| SavedError::Damaged)?),
        };
        let node = if self.bool()? { Some(self.bytes()?.into()) } else { None };
        Ok(Address { link: LinkId(0), peer, node })
    }

    fn will(&mut self) -> Result<Option<Box<Will>>, SavedError> {
        if !self.bool()? {
            return Ok(None);
        }
        let (qos, retain) = (self.qos()?, self.bool()?);
        let topic = self.text()?.into();
        let payload = Bytes::copy_from_slice(self.bytes()?);
        Ok(Some(Box::new(Will { topic, payload, qos, retain })))
    }

    fn topics(&mut self) -> Result<TopicIds, SavedError> {
        let count = self.u16()?;
        let mut topics = TopicIds::default();
        for place in 0..count {
            let id = topics.assign(self.text()?, usize::MAX);
            // A name that is there twice would move all behind it.
            if id.is_none_or(|id| id.0 != place + 1) {
                return Err(SavedError::Damaged);
            }
        }
        Ok(topics)
    }

    fn subscriptions(&mut self) -> Result<Vec<Subscription>, SavedError> {
        let count = self.u16()?;
        let read = |_| Ok(Subscription { qos: self.qos()?, filter: self.text()?.into() });
        (0..count).map(read).collect()
    }
}

const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client() -> Client {
        let peer = Peer::Udp("[::1]:1884".parse().unwrap());
        let address = Address { link: LinkId(0), peer, node: Some(Box::new([1, 0])) };
        let mut client = Client::new("n".into(), address, 0);
        client.phase = Phase::Asleep { duration_s: 600 };
        client.keep_alive_s = 60;
        client.will = Some(super::super::client::will("w", QoS::ExactlyOnce, true, b"\xff"));
        client.topics.assign("a/b", 9);
        client.topics.assign("c", 9);
        let filter = "a/#".into();
        client.subscriptions.push(Subscription { filter, qos: QoS::AtLeastOnce });
        client
    }

    #[test]
    fn record_is_read_back() {
        let client = client();
        let saved = Saved::decode("n", &encode(&client, "udp0")).unwrap();
        assert_eq!(saved.phase, SavedPhase::Asleep { duration_s: 600 });
        assert_eq!((saved.keep_alive_s, &*saved.link), (60, "udp0"));
        assert_eq!(saved.address, client.address);
        assert_eq!((&saved.will, &saved.topics), (&client.will, &client.topics));
        assert_eq!(saved.subscriptions, client.subscriptions);
    }

    #[test]
    fn record_of_a_newer_program_is_refused() {
        let mut record = encode(&client(), "");
        record[0] = 2;
        assert_eq!(Saved::decode("n", &record), Err(SavedError::Version(2)));
    }

    #[test]
    fn record_cut_short_or_too_long_is_refused() {
        let mut record = encode(&client(), "udp0");
        for length in 0..record.len() {
            assert_eq!(Saved::decode("n", &record[..length]), Err(SavedError::Damaged));
        }
        record.push(0);
        assert_eq!(Saved::decode("n", &record), Err(SavedError::Damaged));
    }

    proptest! {
        #[test]
        fn no_record_makes_it_panic(mut record in prop::collection::vec(any::<u8>(), 0..80)) {
            record.insert(0, VERSION);
            let _ = Saved::decode("n", &record);
        }
    }
}
