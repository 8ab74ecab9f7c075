//! CONNECT (5.4.4).

use super::error::{DecodeError, EncodeError};
use super::flags::{CLEAN_SESSION, Flags, WILL};
use super::reader::Reader;
use super::writer::Writer;

/// A client sets up its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// Whether the session begins empty, without subscriptions and without a will.
    pub clean_session: bool,
    /// Whether the gateway asks for a will.
    pub will: bool,
    /// Keep-alive time in seconds.
    pub duration_s: u16,
    /// 1 to 23 characters in the standard. Any length is read, so that a gateway can answer.
    pub client_id: &'a str,
}

impl<'a> Connect<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Self {
        let flags = Flags(reader.u8());
        let protocol_id = reader.u8();
        if protocol_id != PROTOCOL_ID {
            reader.fail(DecodeError::ProtocolIdUnknown(protocol_id));
        }
        Self {
            clean_session: flags.has(CLEAN_SESSION),
            will: flags.has(WILL),
            duration_s: reader.u16(),
            client_id: reader.text(),
        }
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        let flags = Flags::default().with(CLEAN_SESSION, self.clean_session).with(WILL, self.will);
        writer.u8(flags.0);
        writer.u8(PROTOCOL_ID);
        writer.u16(self.duration_s);
        writer.text(self.client_id)
    }
}

const PROTOCOL_ID: u8 = 0x01;
