//! The topic of a will: WILLTOPIC and WILLTOPICUPD (5.4.7, 5.4.22).

use super::error::EncodeError;
use super::flags::{Flags, RETAIN};
use super::qos::QoS;
use super::reader::Reader;
use super::writer::Writer;

/// Where a will is published and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct WillTopic<'a> {
    /// Quality of service.
    pub qos: QoS,
    /// Retain flag.
    pub retain: bool,
    /// Topic name.
    pub topic: &'a str,
}

impl<'a> WillTopic<'a> {
    /// `None` is the packet without any field, which deletes the will.
    pub(super) fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        if reader.is_empty() {
            return None;
        }
        let flags = Flags(reader.u8());
        Some(Self { qos: flags.qos(reader), retain: flags.has(RETAIN), topic: reader.topic() })
    }

    pub(super) fn encode(will: Option<&Self>, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        let Some(will) = will else { return Ok(()) };
        let flags = Flags::default().with_qos(will.qos).with(RETAIN, will.retain);
        writer.u8(flags.0);
        writer.topic(will.topic)
    }
}
