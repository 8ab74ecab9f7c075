//! A small gateway at the other end of a serial line.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use weir_node::age;
use weir_node::frame::{Deframer, encode};
use weir_node::mqtt_sn_1_2::{
    Delivery, MessageId, Packet, Puback, Publish, Regack, ReturnCode, Suback, SubscribeTopic,
    TopicId, TopicRef,
};

/// What it knows of its one node.
pub(crate) struct Peer {
    line: TcpStream,
    deframer: Deframer<300>,
    started: Instant,
    topics: BTreeMap<u16, String>,
    /// Topic and message.
    pub(crate) will: Option<(String, Vec<u8>)>,
    pub(crate) connects: u32,
    /// Every info that the node has published.
    pub(crate) infos: Vec<String>,
}

/// A message of the node.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) topic: String,
    pub(crate) retain: bool,
    pub(crate) payload: Vec<u8>,
    /// Zero for a topic without.
    pub(crate) age_ms: u32,
    arrived_ms: u64,
}

impl Published {
    /// When it was sampled, on the clock of the peer.
    pub(crate) fn sampled_ms(&self) -> i64 {
        self.arrived_ms as i64 - i64::from(self.age_ms)
    }
}

impl Peer {
    pub(crate) fn new(line: TcpStream) -> Self {
        line.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        Self {
            line,
            deframer: Deframer::new(),
            started: Instant::now(),
            topics: BTreeMap::new(),
            will: None,
            connects: 0,
            infos: Vec::new(),
        }
    }

    /// Answers the node until it publishes something that is wanted.
    pub(crate) fn wait_for(&mut self, what: &str, is_it: impl Fn(&Published) -> bool) -> Published {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            assert!(Instant::now() < deadline, "no {what} within 30 s");
            let Some(datagram) = self.datagram() else { continue };
            if let Some(published) = self.handle(&datagram).filter(&is_it) {
                return published;
            }
        }
    }

    /// Takes what comes and answers nothing.
    pub(crate) fn stay_silent(&mut self, duration: Duration) {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            self.datagram();
        }
    }

    /// Publishes to a topic that the node subscribes to.
    pub(crate) fn command(&mut self, topic: &str, payload: &[u8]) {
        let id = self.topics.iter().find(|(_, name)| *name == topic).map(|(id, _)| *id);
        self.send(&Packet::Publish(Publish {
            delivery: Delivery::AtLeastOnce { message_id: MessageId(1), dup: false },
            retain: false,
            topic: TopicRef::Normal(TopicId(id.expect("the node subscribes"))),
            payload,
        }));
    }

    fn handle(&mut self, datagram: &[u8]) -> Option<Published> {
        let packet = Packet::decode(datagram).expect("the node sends packets");
        match packet {
            Packet::Connect(connect) => {
                assert_eq!(connect.client_id, "node-1");
                self.connects += 1;
                assert!(connect.will);
                self.send(&Packet::WillTopicReq);
            }
            Packet::WillTopic(will) => {
                let will = will.expect("the node has a will");
                self.will = Some((will.topic.to_owned(), Vec::new()));
                self.send(&Packet::WillMsgReq);
            }
            Packet::WillMsg(message) => {
                self.will.as_mut().expect("its topic came before").1 = message.to_vec();
                self.send(&Packet::Connack(ReturnCode::Accepted));
            }
            Packet::Register(register) => {
                let topic_id = self.id_of(register.topic);
                let (message_id, return_code) = (register.message_id, ReturnCode::Accepted);
                self.send(&Packet::Regack(Regack { topic_id, message_id, return_code }));
            }
            Packet::Subscribe(subscribe) => {
                let SubscribeTopic::Name(name) = subscribe.topic else { panic!("{subscribe:?}") };
                let topic_id = self.id_of(name);
                let (qos, message_id) = (subscribe.qos, subscribe.message_id);
                let return_code = ReturnCode::Accepted;
                self.send(&Packet::Suback(Suback { qos, topic_id, message_id, return_code }));
            }
            Packet::Pingreq(_) => self.send(&Packet::Pingresp),
            Packet::Publish(publish) => return Some(self.handle_publish(publish)),
            Packet::Puback(puback) => assert_eq!(puback.return_code, ReturnCode::Accepted),
            other => panic!("not expected of this node: {other:?}"),
        }
        None
    }

    fn handle_publish(&mut self, publish: Publish<'_>) -> Published {
        let TopicRef::Normal(topic_id) = publish.topic else { panic!("{publish:?}") };
        let Delivery::AtLeastOnce { message_id, .. } = publish.delivery else {
            panic!("{publish:?}")
        };
        let return_code = ReturnCode::Accepted;
        self.send(&Packet::Puback(Puback { topic_id, message_id, return_code }));
        let topic = self.topics.get(&topic_id.0).expect("the topic is registered").clone();
        let (age_ms, payload) = match age::topic(&topic) {
            Some(_) => age::split(publish.payload).expect("the message has an age"),
            None => (0, publish.payload),
        };
        if topic.ends_with("/info") {
            self.infos.push(String::from_utf8_lossy(payload).into_owned());
        }
        let arrived_ms = self.started.elapsed().as_millis() as u64;
        Published { topic, retain: publish.retain, payload: payload.to_vec(), age_ms, arrived_ms }
    }

    fn id_of(&mut self, name: &str) -> TopicId {
        if let Some((id, _)) = self.topics.iter().find(|(_, known)| *known == name) {
            return TopicId(*id);
        }
        let id = self.topics.len() as u16 + 1;
        self.topics.insert(id, name.to_owned());
        TopicId(id)
    }

    /// The next datagram, if one comes within a moment.
    fn datagram(&mut self) -> Option<Vec<u8>> {
        loop {
            let mut byte = [0];
            match self.line.read(&mut byte) {
                Ok(0) => panic!("the board has closed its line"),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) => panic!("{error}"),
            }
            if let Some(frame) = self.deframer.push(byte[0]) {
                return Some(frame.expect("the line has no noise").to_vec());
            }
        }
    }

    fn send(&mut self, packet: &Packet<'_>) {
        let mut datagram = [0; 256];
        let length = packet.encode(&mut datagram).unwrap();
        let mut frame = Vec::new();
        encode(&datagram[..length], |byte| frame.push(byte));
        self.line.write_all(&frame).unwrap();
    }
}
