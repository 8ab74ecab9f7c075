//! The alert of a key in its record: phase and whether it is silent, the times of the phase, the
//! arrival of the last message that was looked at, the clock of the last one that was sent and its
//! reminders, then what is kept.

use super::bytes::{Reader, push_number, push_optional_text, push_signed};
use crate::alert::{AlertState, Phase};

pub(super) fn write_alert(state: &AlertState, out: &mut Vec<u8>) {
    let (phase, times) = match state.phase {
        Phase::Normal => (NORMAL, [None, None]),
        Phase::Pending { since } => (PENDING, [Some(since), None]),
        Phase::Firing { since, clearing: None } => (FIRING, [Some(since), None]),
        Phase::Firing { since, clearing } => (CLEARING, [Some(since), clearing]),
    };
    out.push(phase | if state.is_silent { SILENT } else { 0 });
    times.into_iter().flatten().for_each(|time| push_signed(time, out));
    push_signed(state.heard, out);
    push_signed(state.told, out);
    push_number(u64::from(state.repeats), out);
    push_number(state.held.len() as u64, out);
    for (bits, text) in &state.held {
        out.extend_from_slice(&bits.to_le_bytes());
        push_optional_text(text.as_deref(), out);
    }
}

pub(super) fn read_alert(reader: &mut Reader<'_>) -> Option<AlertState> {
    let first = reader.byte()?;
    let phase = match first & !SILENT {
        NORMAL => Phase::Normal,
        PENDING => Phase::Pending { since: reader.signed()? },
        FIRING => Phase::Firing { since: reader.signed()?, clearing: None },
        CLEARING => Phase::Firing { since: reader.signed()?, clearing: Some(reader.signed()?) },
        _ => return None,
    };
    let heard = reader.signed()?;
    let told = reader.signed()?;
    let repeats = u32::try_from(reader.number()?).ok()?;
    let mut held = Vec::new();
    for _ in 0..reader.count()? {
        held.push((reader.bits()?, reader.optional_text()?));
    }
    Some(AlertState { phase, is_silent: first & SILENT != 0, heard, told, repeats, held })
}

const NORMAL: u8 = 0;
const PENDING: u8 = 1;
const FIRING: u8 = 2;
const CLEARING: u8 = 3;
/// Beside the phase.
const SILENT: u8 = 16;
