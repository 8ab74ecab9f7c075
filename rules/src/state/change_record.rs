//! The part of a record of a key that `change` keeps: the values that were sent last, when, and
//! what is held back.

use super::bytes::{Reader, push_bytes, push_number, push_optional_text, push_signed};
use crate::boxed::Kept;
use crate::change::{Held, Sent};
use crate::held::HeldMessage;

pub(super) fn write_sent(sent: &Sent, out: &mut Vec<u8>) {
    write_values(&sent.values, out);
    push_signed(sent.at, out);
    out.push(u8::from(sent.held.is_some()));
    let Some(held) = &sent.held else { return };
    write_values(&held.values, out);
    push_number(held.messages.len() as u64, out);
    for message in &held.messages {
        out.extend_from_slice(&message.id.to_le_bytes());
        push_bytes(message.topic.as_bytes(), out);
        push_bytes(&message.payload, out);
    }
}

pub(super) fn read_sent(reader: &mut Reader<'_>) -> Option<Sent> {
    let values = read_values(reader)?;
    let at = reader.signed()?;
    let held = match reader.byte()? {
        0 => None,
        _ => {
            let values = read_values(reader)?;
            let messages =
                (0..reader.count()?).map(|_| read_message(reader)).collect::<Option<_>>()?;
            Some(Held { values, messages })
        }
    };
    Some(Sent { values, at, held })
}

fn read_message(reader: &mut Reader<'_>) -> Option<HeldMessage> {
    let id = u128::from_le_bytes(*reader.chunk::<16>()?);
    Some(HeldMessage { id, topic: reader.text()?.into(), payload: reader.bytes()?.into() })
}

fn write_values(values: &[Kept], out: &mut Vec<u8>) {
    push_number(values.len() as u64, out);
    for (bits, text) in values {
        out.extend_from_slice(&bits.to_le_bytes());
        push_optional_text(text.as_deref(), out);
    }
}

fn read_values(reader: &mut Reader<'_>) -> Option<Vec<Kept>> {
    (0..reader.count()?).map(|_| Some((reader.bits()?, reader.optional_text()?))).collect()
}
