//! The record of one key: its number, its times, and its panes from some pane on.

use super::alert_record::{read_alert, write_alert};
use super::bytes::{Reader, push_bytes, push_number, push_optional_text, push_signed};
use super::change_record::{read_sent, write_sent};
use super::side_record::{read_side, write_side};
use crate::aggregate::Layout;
use crate::key::{KeyState, Keys, More};
use crate::limits::{KEY_BYTES_MAX, KEYS_MAX, PANES_MAX};
use crate::window::Found;

/// Appends the record of a key. A full one starts the key anew; others change it.
pub(super) fn write_key(
    id: u32,
    key: &KeyState,
    layout: &Layout,
    (full, from): (bool, i64),
    out: &mut Vec<u8>,
) {
    push_number(u64::from(id), out);
    let panes = key.panes.len(layout);
    let folds = key.more.as_ref().map_or(&[][..], |more| &more.folds);
    let sent = key.more.as_ref().and_then(|more| more.sent.as_deref());
    let flags = (if full { FULL } else { 0 })
        | (if key.more.is_some() { MORE } else { 0 })
        | (if panes > 0 { PANES } else { 0 })
        | (if key.more.as_ref().is_some_and(|more| more.counts()) { COUNTS } else { 0 })
        | (if key.alert.is_some() { ALERT } else { 0 })
        | (if sent.is_some() { CHANGE } else { 0 })
        | (if folds.is_empty() { 0 } else { FOLDS });
    out.push(flags);
    if full {
        push_bytes(&key.bytes, out);
        push_number(key.birth, out);
    }
    for time in [key.watermark, key.newest, key.arrived] {
        push_signed(time, out);
    }
    if let Some(more) = &key.more {
        write_more(more, out);
    }
    if let (true, Some(more)) = (flags & COUNTS != 0, &key.more) {
        push_number(more.counted, out);
        push_signed(more.early, out);
    }
    if let Some(alert) = &key.alert {
        write_alert(alert, out);
    }
    if let Some(sent) = sent {
        write_sent(sent, out);
    }
    if !folds.is_empty() {
        push_number(folds.len() as u64, out);
        folds.iter().for_each(|cell| out.extend_from_slice(&cell.to_le_bytes()));
    }
    if panes == 0 {
        return;
    }
    let start = if full { 0 } else { key.panes.position(layout, from) };
    let mut before = key.panes.id(layout, 0);
    push_signed(before, out);
    push_number((panes - start) as u64, out);
    for at in start..panes {
        let (row, sides) = key.panes.row(layout, at);
        push_signed((row[0] as i64).wrapping_sub(before), out);
        before = row[0] as i64;
        for cell in &row[1..] {
            out.extend_from_slice(&cell.to_le_bytes());
        }
        for side in sides {
            write_side(side, full, out);
        }
    }
}

/// Reads a record and changes the keys accordingly; an error says what was expected.
pub(super) fn apply_key(
    reader: &mut Reader<'_>,
    layout: &Layout,
    keys: &mut Keys,
) -> Result<(), &'static str> {
    let id = reader.number().and_then(|id| u32::try_from(id).ok());
    let id = id.filter(|id| (*id as usize) < KEYS_MAX).ok_or("expected the number of a key")?;
    let flags = reader.byte().ok_or("expected flags")?;
    if flags & FULL != 0 {
        let bytes = reader.bytes().filter(|bytes| bytes.len() <= KEY_BYTES_MAX);
        let bytes = bytes.ok_or("expected the values of a key")?;
        let birth = reader.number().ok_or("expected the birth of a key")?;
        keys.remove(id);
        if !keys.restore(id, KeyState::new(bytes, birth)) {
            return Err("two keys have the same values");
        }
    }
    let key = keys.get_mut(id).ok_or("the key is not known")?;
    key.fresh = false;
    let mut time = || reader.signed().ok_or("expected a time");
    (key.watermark, key.newest, key.arrived) = (time()?, time()?, time()?);
    key.more = match flags & MORE {
        0 => None,
        _ => Some(Box::new(read_more(reader).ok_or("expected the values of a message")?)),
    };
    if flags & COUNTS != 0 {
        let more = key.more.get_or_insert_default();
        more.counted = reader.number().ok_or("expected a number of messages")?;
        more.early = reader.signed().ok_or("expected a time")?;
    }
    key.alert = match flags & ALERT {
        0 => None,
        _ => Some(Box::new(read_alert(reader).ok_or("expected an alert")?)),
    };
    if flags & CHANGE != 0 {
        let sent = read_sent(reader).ok_or("expected what was sent last")?;
        key.more.get_or_insert_default().sent = Some(Box::new(sent));
    }
    if flags & FOLDS != 0 {
        let count = reader.count().ok_or("expected the number of folds")?;
        let cells = (0..count).map(|_| reader.bits()).collect::<Option<Vec<u64>>>();
        key.more.get_or_insert_default().folds = cells.ok_or("expected a fold")?;
    }
    if flags & PANES == 0 {
        key.panes.clear();
        return Ok(());
    }
    read_panes(reader, layout, key)
}

fn read_panes(
    reader: &mut Reader<'_>,
    layout: &Layout,
    key: &mut KeyState,
) -> Result<(), &'static str> {
    let mut id = reader.signed().ok_or("expected the first pane")?;
    while key.panes.len(layout) > 0 && key.panes.id(layout, 0) < id {
        key.panes.drop_first(layout);
    }
    let count = reader.count().ok_or("expected the number of panes")?;
    let mut next = None;
    for _ in 0..count {
        id = id.wrapping_add(reader.signed().ok_or("expected a pane")?);
        // A pane that was there and is not listed has become part of another.
        while let Some(at) = next.filter(|at| *at < key.panes.len(layout))
            && key.panes.id(layout, at) < id
        {
            key.panes.take(layout, at);
        }
        let at = match key.panes.find(layout, id) {
            Found::At(at) => at,
            Found::Before(at) => {
                key.panes.insert(layout, at, id);
                at
            }
        };
        next = Some(at + 1);
        if key.panes.len(layout) > 4 * PANES_MAX {
            return Err("too many panes");
        }
        let (row, sides) = key.panes.row_mut(layout, at);
        for cell in row.iter_mut().skip(1) {
            *cell = reader.bits().ok_or("expected a cell")?;
        }
        for side in sides {
            read_side(reader, side).ok_or("expected the values of a pane")?;
        }
    }
    while let Some(at) = next.filter(|at| *at < key.panes.len(layout)) {
        key.panes.take(layout, at);
    }
    Ok(())
}

fn write_more(more: &More, out: &mut Vec<u8>) {
    push_number(more.prev.len() as u64, out);
    for (bits, text) in &more.prev {
        out.extend_from_slice(&bits.to_le_bytes());
        push_optional_text(text.as_deref(), out);
    }
    push_number(more.revisions.len() as u64, out);
    for (end, revision) in &more.revisions {
        push_signed(*end, out);
        push_number(u64::from(*revision), out);
    }
    out.push(u8::from(more.since.is_some()));
    if let Some(since) = more.since {
        push_signed(since, out);
    }
    push_optional_text(more.source.as_deref(), out);
}

fn read_more(reader: &mut Reader<'_>) -> Option<More> {
    let mut more = More::default();
    for _ in 0..reader.count()? {
        more.prev.push((reader.bits()?, reader.optional_text()?));
    }
    for _ in 0..reader.count()? {
        let end = reader.signed()?;
        more.revisions.push((end, u32::try_from(reader.number()?).ok()?));
    }
    more.since = match reader.byte()? {
        0 => None,
        _ => Some(reader.signed()?),
    };
    more.source = reader.optional_text()?;
    Some(more)
}

const FULL: u8 = 1;
const MORE: u8 = 2;
const PANES: u8 = 4;
const COUNTS: u8 = 8;
const ALERT: u8 = 16;
const CHANGE: u8 = 32;
const FOLDS: u8 = 64;
