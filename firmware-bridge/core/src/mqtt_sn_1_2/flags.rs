//! The flags octet (5.3.4): DUP, QoS, Retain, Will, CleanSession, TopicIdType.

use super::error::DecodeError;
use super::qos::QoS;
use super::reader::Reader;

/// The octet itself; each packet asks for the flags it uses.
#[derive(Clone, Copy, Default)]
pub(super) struct Flags(pub(super) u8);

impl Flags {
    pub(super) const fn with(self, mask: u8, set: bool) -> Self {
        if set { Self(self.0 | mask) } else { self }
    }

    pub(super) const fn with_qos(self, qos: QoS) -> Self {
        Self(self.0 | (qos as u8) << QOS_SHIFT)
    }

    pub(super) const fn with_qos_minus_one(self) -> Self {
        Self(self.0 | QOS_MINUS_ONE << QOS_SHIFT)
    }

    pub(super) const fn has(self, mask: u8) -> bool {
        self.0 & mask != 0
    }

    /// `None` is QoS -1.
    pub(super) const fn publish_qos(self) -> Option<QoS> {
        match (self.0 >> QOS_SHIFT) & 0x03 {
            0 => Some(QoS::AtMostOnce),
            1 => Some(QoS::AtLeastOnce),
            2 => Some(QoS::ExactlyOnce),
            _ => None,
        }
    }

    pub(super) fn qos(self, reader: &mut Reader<'_>) -> QoS {
        self.publish_qos().unwrap_or_else(|| {
            reader.fail(DecodeError::QoSNotAllowed);
            QoS::AtMostOnce
        })
    }

    pub(super) const fn topic_id_type(self) -> u8 {
        self.0 & 0x03
    }
}

pub(super) const DUP: u8 = 0x80;
pub(super) const RETAIN: u8 = 0x10;
pub(super) const WILL: u8 = 0x08;
pub(super) const CLEAN_SESSION: u8 = 0x04;

const QOS_SHIFT: u8 = 5;
const QOS_MINUS_ONE: u8 = 3;
