//! A node that speaks with the codec over UDP: one request at a time, sent again until answered.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use weir_node::mqtt_sn_1_2::{
    Connect, Delivery, MessageId, Packet, Puback, Publish, QoS, Regack, Register, ReturnCode,
    Subscribe, SubscribeTopic, TopicId, TopicRef,
};

use crate::LIMIT;

pub(crate) struct Node {
    socket: UdpSocket,
    pub(crate) retry: Duration,
    last_message_id: u16,
    /// Messages that came, with the ids of their topics.
    pub(crate) messages: Vec<(u16, String)>,
    /// Message identifiers of QoS 2 that were seen, the newest last.
    seen: Vec<u16>,
    /// What the gateway has named: id and topic.
    pub(crate) topics: Vec<(u16, String)>,
}

impl Node {
    pub(crate) fn new(gateway: SocketAddr) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.connect(gateway).unwrap();
        let retry = Duration::from_millis(500);
        let (messages, seen, topics) = (Vec::new(), Vec::new(), Vec::new());
        Self { socket, retry, last_message_id: 0, messages, seen, topics }
    }

    pub(crate) fn connected(gateway: SocketAddr, client_id: &str, clean_session: bool) -> Self {
        let mut node = Self::new(gateway);
        node.connect(client_id, clean_session, 60);
        node
    }

    /// Until it is accepted: the gateway may not have found its broker yet.
    pub(crate) fn connect(&mut self, client_id: &str, clean_session: bool, duration_s: u16) {
        let end = Instant::now() + LIMIT;
        let connect =
            Packet::Connect(Connect { clean_session, will: false, duration_s, client_id });
        while self.ask(connect, |packet| match packet {
            Packet::Connack(code) => Some(*code),
            _ => None,
        }) != ReturnCode::Accepted
        {
            assert!(Instant::now() < end, "never accepted");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn register(&mut self, topic: &str) -> u16 {
        let message_id = self.message_id();
        let register = Packet::Register(Register { topic_id: TopicId(0), message_id, topic });
        self.ask(register, |packet| match packet {
            Packet::Regack(regack) if regack.message_id == message_id => Some(regack.topic_id.0),
            _ => None,
        })
    }

    /// The topic id of SUBACK.
    pub(crate) fn subscribe(&mut self, filter: &str, qos: QoS) -> u16 {
        let message_id = self.message_id();
        let topic = SubscribeTopic::Name(filter);
        let subscribe = Packet::Subscribe(Subscribe { dup: false, qos, message_id, topic });
        self.ask(subscribe, |packet| match packet {
            Packet::Suback(suback) if suback.message_id == message_id => Some(suback.topic_id.0),
            _ => None,
        })
    }

    pub(crate) fn publish(&mut self, qos: QoS, topic_id: u16, payload: &[u8]) -> ReturnCode {
        let message_id = self.message_id();
        let dup = false;
        let delivery = match qos {
            QoS::AtMostOnce => Delivery::AtMostOnce,
            QoS::AtLeastOnce => Delivery::AtLeastOnce { message_id, dup },
            QoS::ExactlyOnce => Delivery::ExactlyOnce { message_id, dup },
        };
        let topic = TopicRef::Normal(TopicId(topic_id));
        let publish = Packet::Publish(Publish { delivery, retain: false, topic, payload });
        if qos == QoS::AtMostOnce {
            self.send(publish);
            return ReturnCode::Accepted;
        }
        let answer = self.ask(publish, |packet| match packet {
            Packet::Puback(puback) if puback.message_id == message_id => Some(puback.return_code),
            Packet::Pubrec(id) if *id == message_id => Some(ReturnCode::Accepted),
            _ => None,
        });
        if qos == QoS::ExactlyOnce && answer == ReturnCode::Accepted {
            self.ask(Packet::Pubrel(message_id), |packet| {
                (*packet == Packet::Pubcomp(message_id)).then_some(())
            });
        }
        answer
    }

    pub(crate) fn sleep(&mut self, duration_s: u16) {
        self.ask(Packet::Disconnect(Some(duration_s)), |packet| {
            (*packet == Packet::Disconnect(None)).then_some(())
        });
    }

    /// Collects messages until the gateway says that there are no more.
    pub(crate) fn wake(&mut self, client_id: &str) {
        self.ask(Packet::Pingreq(Some(client_id)), |packet| {
            (*packet == Packet::Pingresp).then_some(())
        });
    }

    /// Takes messages until there are as many.
    pub(crate) fn take_messages(&mut self, count: usize) {
        let end = Instant::now() + LIMIT;
        while self.messages.len() < count {
            assert!(Instant::now() < end, "only {} messages came", self.messages.len());
            self.receive(Duration::from_millis(100), |_| None::<()>);
        }
    }

    pub(crate) fn send(&self, packet: Packet<'_>) {
        let mut bytes = [0; 2_048];
        let length = packet.encode(&mut bytes).unwrap();
        // Nobody may be listening yet.
        let _ = self.socket.send(&bytes[..length]);
    }

    /// Sends until the answer comes; takes what else comes meanwhile.
    pub(crate) fn ask<T>(
        &mut self,
        packet: Packet<'_>,
        answer: impl Fn(&Packet<'_>) -> Option<T>,
    ) -> T {
        let end = Instant::now() + LIMIT;
        loop {
            assert!(Instant::now() < end, "never answered: {packet:?}");
            self.send(packet);
            let retry_at = Instant::now() + self.retry;
            while let Some(left) = retry_at.checked_duration_since(Instant::now()) {
                let left = left.max(Duration::from_millis(1));
                if let Some(answer) = self.receive(left, &answer) {
                    return answer;
                }
            }
        }
    }

    /// Waits for one packet, and takes it if it is not the answer.
    pub(crate) fn receive<T>(
        &mut self,
        time: Duration,
        answer: impl Fn(&Packet<'_>) -> Option<T>,
    ) -> Option<T> {
        self.socket.set_read_timeout(Some(time)).unwrap();
        let mut bytes = [0; 2_048];
        let length = self.socket.recv(&mut bytes).ok()?;
        let packet = Packet::decode(&bytes[..length]).unwrap();
        let answered = answer(&packet);
        if answered.is_none() {
            self.take(packet);
        }
        answered
    }

    fn take(&mut self, packet: Packet<'_>) {
        match packet {
            Packet::Publish(publish) => {
                let TopicRef::Normal(topic_id) = publish.topic else { panic!("{publish:?}") };
                let text = String::from_utf8(publish.payload.to_vec()).unwrap();
                match publish.delivery {
                    Delivery::ExactlyOnce { message_id, .. } => {
                        if !self.seen.contains(&message_id.0) {
                            self.seen.push(message_id.0);
                            self.messages.push((topic_id.0, text));
                        }
                        if self.seen.len() > 64 {
                            self.seen.remove(0);
                        }
                        self.send(Packet::Pubrec(message_id));
                    }
                    Delivery::AtLeastOnce { message_id, .. } => {
                        self.messages.push((topic_id.0, text));
                        let return_code = ReturnCode::Accepted;
                        self.send(Packet::Puback(Puback { topic_id, message_id, return_code }));
                    }
                    _ => self.messages.push((topic_id.0, text)),
                }
            }
            Packet::Pubrel(message_id) => self.send(Packet::Pubcomp(message_id)),
            Packet::Register(register) => {
                self.topics.push((register.topic_id.0, register.topic.to_owned()));
                let Register { topic_id, message_id, .. } = register;
                let return_code = ReturnCode::Accepted;
                self.send(Packet::Regack(Regack { topic_id, message_id, return_code }));
            }
            // Late answers to what was sent twice.
            _ => {}
        }
    }

    fn message_id(&mut self) -> MessageId {
        self.last_message_id = self.last_message_id.checked_add(1).unwrap_or(1);
        MessageId(self.last_message_id)
    }
}
