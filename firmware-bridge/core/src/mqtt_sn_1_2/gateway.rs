//! How clients find gateways: ADVERTISE, SEARCHGW and GWINFO (5.4.1 to 5.4.3).

use super::reader::Reader;
use super::writer::Writer;

/// A gateway says to all that it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertise {
    /// The gateway.
    pub gw_id: u8,
    /// Seconds until it says so again.
    pub duration_s: u16,
}

impl Advertise {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Self {
        Self { gw_id: reader.u8(), duration_s: reader.u16() }
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) {
        writer.u8(self.gw_id);
        writer.u16(self.duration_s);
    }
}

/// The answer to a search for gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GwInfo<'a> {
    /// The gateway.
    pub gw_id: u8,
    /// Its address on the network. Empty if the gateway answers itself; a client that answers in
    /// its place gives it.
    pub gw_address: &'a [u8],
}

impl<'a> GwInfo<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Self {
        Self { gw_id: reader.u8(), gw_address: reader.rest() }
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) {
        writer.u8(self.gw_id);
        writer.bytes(self.gw_address);
    }
}
