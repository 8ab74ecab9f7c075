//! The kinds of packets (5.2.2).

use core::fmt;

/// What kind of packet it is; the number is the byte of the standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names of the standard are all there is to say")]
pub enum PacketKind {
    Advertise = 0x00,
    SearchGw = 0x01,
    GwInfo = 0x02,
    Connect = 0x04,
    Connack = 0x05,
    WillTopicReq = 0x06,
    WillTopic = 0x07,
    WillMsgReq = 0x08,
    WillMsg = 0x09,
    Register = 0x0a,
    Regack = 0x0b,
    Publish = 0x0c,
    Puback = 0x0d,
    Pubcomp = 0x0e,
    Pubrec = 0x0f,
    Pubrel = 0x10,
    Subscribe = 0x12,
    Suback = 0x13,
    Unsubscribe = 0x14,
    Unsuback = 0x15,
    Pingreq = 0x16,
    Pingresp = 0x17,
    Disconnect = 0x18,
    WillTopicUpd = 0x1a,
    WillTopicResp = 0x1b,
    WillMsgUpd = 0x1c,
    WillMsgResp = 0x1d,
    Encapsulated = 0xfe,
}

impl PacketKind {
    /// All kinds, in the order of the standard.
    pub const ALL: [Self; 28] = [
        Self::Advertise,
        Self::SearchGw,
        Self::GwInfo,
        Self::Connect,
        Self::Connack,
        Self::WillTopicReq,
        Self::WillTopic,
        Self::WillMsgReq,
        Self::WillMsg,
        Self::Register,
        Self::Regack,
        Self::Publish,
        Self::Puback,
        Self::Pubcomp,
        Self::Pubrec,
        Self::Pubrel,
        Self::Subscribe,
        Self::Suback,
        Self::Unsubscribe,
        Self::Unsuback,
        Self::Pingreq,
        Self::Pingresp,
        Self::Disconnect,
        Self::WillTopicUpd,
        Self::WillTopicResp,
        Self::WillMsgUpd,
        Self::WillMsgResp,
        Self::Encapsulated,
    ];

    /// The byte of the standard.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The kind that a byte stands for, if it is not reserved.
    ///
    /// ```
    /// use weir_node::mqtt_sn_1_2::PacketKind;
    ///
    /// assert_eq!(PacketKind::from_code(0x10), Some(PacketKind::Pubrel));
    /// assert_eq!(PacketKind::from_code(0x11), None);
    /// ```
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The name in the standard.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Advertise => "ADVERTISE",
            Self::SearchGw => "SEARCHGW",
            Self::GwInfo => "GWINFO",
            Self::Connect => "CONNECT",
            Self::Connack => "CONNACK",
            Self::WillTopicReq => "WILLTOPICREQ",
            Self::WillTopic => "WILLTOPIC",
            Self::WillMsgReq => "WILLMSGREQ",
            Self::WillMsg => "WILLMSG",
            Self::Register => "REGISTER",
            Self::Regack => "REGACK",
            Self::Publish => "PUBLISH",
            Self::Puback => "PUBACK",
            Self::Pubcomp => "PUBCOMP",
            Self::Pubrec => "PUBREC",
            Self::Pubrel => "PUBREL",
            Self::Subscribe => "SUBSCRIBE",
            Self::Suback => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Unsuback => "UNSUBACK",
            Self::Pingreq => "PINGREQ",
            Self::Pingresp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::WillTopicUpd => "WILLTOPICUPD",
            Self::WillTopicResp => "WILLTOPICRESP",
            Self::WillMsgUpd => "WILLMSGUPD",
            Self::WillMsgResp => "WILLMSGRESP",
            Self::Encapsulated => "forwarder encapsulation",
        }
    }
}

impl fmt::Display for PacketKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
