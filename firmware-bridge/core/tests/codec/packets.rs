//! Packets of every kind, made from a seed.

use weir_node::mqtt_sn_1_2::{
    Advertise, Connect, Delivery, Encapsulated, GwInfo, MessageId, Packet, PacketKind, Puback,
    Publish, QoS, Regack, Register, ReturnCode, Suback, Subscribe, SubscribeTopic, TopicId,
    TopicRef, Unsubscribe, WillTopic,
};

/// Calls back with so many packets of each kind. Their text is of letters, which every program
/// shows in the same way.
pub(crate) fn for_each_packet(of_each: u32, mut packet: impl FnMut(&Packet<'_>)) {
    let mut random = Random(7);
    for kind in PacketKind::ALL {
        for _ in 0..of_each {
            let (text, bytes) = (random.text(1), random.text(0));
            packet(&random.packet(kind, &text, bytes.as_bytes()));
        }
    }
}

pub(crate) fn encoded(packet: &Packet<'_>) -> Vec<u8> {
    let mut out = vec![0; packet.encoded_len().unwrap()];
    packet.encode(&mut out).unwrap();
    assert_eq!(Packet::decode(&out).as_ref(), Ok(packet));
    out
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    fn u16(&mut self) -> u16 {
        self.below(65_536) as u16
    }

    /// One text of eight is so long that the packet has three octets of length.
    fn text(&mut self, at_least: u64) -> String {
        let longest = if self.below(8) == 0 { 400 } else { 20 };
        let length = at_least + self.below(longest);
        (0..length).map(|_| char::from(b'a' + self.below(26) as u8)).collect()
    }

    fn pair(&mut self) -> [u8; 2] {
        [0; 2].map(|_| b'a' + self.below(26) as u8)
    }

    fn message_id(&mut self) -> MessageId {
        MessageId(self.u16().max(1))
    }

    fn qos(&mut self) -> QoS {
        [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][self.below(3) as usize]
    }

    fn return_code(&mut self) -> ReturnCode {
        use ReturnCode::{Accepted, Congestion, InvalidTopicId, NotSupported};
        [Accepted, Congestion, InvalidTopicId, NotSupported][self.below(4) as usize]
    }

    fn topic(&mut self) -> TopicRef {
        match self.below(3) {
            0 => TopicRef::Normal(TopicId(self.u16())),
            1 => TopicRef::Predefined(TopicId(self.u16())),
            _ => TopicRef::Short(self.pair()),
        }
    }

    fn subscribe_topic<'a>(&mut self, text: &'a str) -> SubscribeTopic<'a> {
        match self.below(3) {
            0 => SubscribeTopic::Name(text),
            // Letters, since Wireshark shows a text where the id is.
            1 => SubscribeTopic::Predefined(TopicId(u16::from_be_bytes(self.pair()))),
            _ => SubscribeTopic::Short(self.pair()),
        }
    }

    fn will<'a>(&mut self, topic: &'a str) -> Option<WillTopic<'a>> {
        let will = WillTopic { qos: self.qos(), retain: self.flag(), topic };
        (self.below(4) > 0).then_some(will)
    }

    fn delivery(&mut self, topic: TopicRef) -> Delivery {
        let (message_id, dup) = (self.message_id(), self.flag());
        match (self.below(4), topic) {
            (0, _) => Delivery::AtMostOnce,
            (1, _) => Delivery::AtLeastOnce { message_id, dup },
            (2, _) | (_, TopicRef::Normal(_)) => Delivery::ExactlyOnce { message_id, dup },
            _ => Delivery::MinusOne,
        }
    }

    fn packet<'a>(&mut self, kind: PacketKind, text: &'a str, bytes: &'a [u8]) -> Packet<'a> {
        let topic_id = TopicId(self.u16());
        let message_id = self.message_id();
        let return_code = self.return_code();
        let octet = self.below(256) as u8;
        let number = self.u16();
        match kind {
            PacketKind::Advertise => {
                Packet::Advertise(Advertise { gw_id: octet, duration_s: number })
            }
            PacketKind::SearchGw => Packet::SearchGw(octet),
            PacketKind::GwInfo => Packet::GwInfo(GwInfo { gw_id: octet, gw_address: bytes }),
            PacketKind::Connect => Packet::Connect(Connect {
                clean_session: self.flag(),
                will: self.flag(),
                duration_s: number,
                client_id: text,
            }),
            PacketKind::Connack => Packet::Connack(return_code),
            PacketKind::WillTopicReq => Packet::WillTopicReq,
            PacketKind::WillTopic => Packet::WillTopic(self.will(text)),
            PacketKind::WillMsgReq => Packet::WillMsgReq,
            PacketKind::WillMsg => Packet::WillMsg(bytes),
            PacketKind::Register => {
                Packet::Register(Register { topic_id, message_id, topic: text })
            }
            PacketKind::Regack => Packet::Regack(Regack { topic_id, message_id, return_code }),
            PacketKind::Publish => {
                let topic = self.topic();
                let (delivery, retain) = (self.delivery(topic), self.flag());
                Packet::Publish(Publish { delivery, retain, topic, payload: bytes })
            }
            PacketKind::Puback => Packet::Puback(Puback { topic_id, message_id, return_code }),
            PacketKind::Pubcomp => Packet::Pubcomp(message_id),
            PacketKind::Pubrec => Packet::Pubrec(message_id),
            PacketKind::Pubrel => Packet::Pubrel(message_id),
            PacketKind::Subscribe => {
                let (dup, qos, topic) = (self.flag(), self.qos(), self.subscribe_topic(text));
                Packet::Subscribe(Subscribe { dup, qos, message_id, topic })
            }
            PacketKind::Suback => {
                Packet::Suback(Suback { qos: self.qos(), topic_id, message_id, return_code })
            }
            PacketKind::Unsubscribe => {
                Packet::Unsubscribe(Unsubscribe { message_id, topic: self.subscribe_topic(text) })
            }
            PacketKind::Unsuback => Packet::Unsuback(message_id),
            PacketKind::Pingreq => Packet::Pingreq(self.flag().then_some(text)),
            PacketKind::Pingresp => Packet::Pingresp,
            PacketKind::Disconnect => Packet::Disconnect(self.flag().then_some(number)),
            PacketKind::WillTopicUpd => Packet::WillTopicUpd(self.will(text)),
            PacketKind::WillTopicResp => Packet::WillTopicResp(return_code),
            PacketKind::WillMsgUpd => Packet::WillMsgUpd(bytes),
            PacketKind::WillMsgResp => Packet::WillMsgResp(return_code),
            PacketKind::Encapsulated => Packet::Encapsulated(Encapsulated {
                radius: octet & 3,
                wireless_node_id: &text.as_bytes()[..text.len().min(2)],
                packet: &[0x02, 0x16],
            }),
        }
    }
}
