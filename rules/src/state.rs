//! State as bytes: deltas, snapshots and the way back.
//!
//! A blob is `W R`, the kind (`S` or `D`), the version of the format, sections, and a checksum of
//! everything before. A section belongs to one rule: its length (u32), the name of the rule, the
//! hash of what its state depends on (16 bytes), its sequence, removed keys, then records of keys
//! and of rows of tables. Numbers are variable-length unless a width is given, signed ones zigzag;
//! widths are little-endian.
//!
//! A section with a hash of zeros says by its sequence whether the rule is paused (1) or not (0), and
//! holds for whatever rule has the name.
//!
//! Records hold absolute values, so applying a blob twice changes nothing. Only values
//! that are kept one by one (quantiles, points, lists) are written from some position on, which stands
//! in the record.

mod alert_record;
mod bytes;
mod change_record;
mod key_record;
mod row_record;
mod side_record;

use bytes::{Reader, push_bytes, push_number};
use key_record::{apply_key, write_key};
use row_record::{apply_row, write_row};

use crate::hash::hash_bytes;
use crate::plan::Plan;
use crate::rule::Rule;
use crate::running::Running;
use crate::table::{Table, TableId};

/// Stored state that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The checksum does not match: the blob was damaged.
    #[error("checksum of the {kind} blob does not match: it was damaged")]
    Checksum {
        /// `snapshot` or `delta`.
        kind: &'static str,
    },
    /// The blob contradicts itself, or the blobs before it.
    #[error("{kind} blob is malformed at byte {at}: {reason}")]
    Malformed {
        /// `snapshot` or `delta`.
        kind: &'static str,
        /// Position in the blob.
        at: usize,
        /// What was expected there.
        reason: &'static str,
    },
    /// The blob was written by another version of the format.
    #[error("{kind} blob has format version {found}, this program reads version {known}")]
    Version {
        /// `snapshot` or `delta`.
        kind: &'static str,
        /// Version in the blob.
        found: u8,
        /// Version of this program.
        known: u8,
    },
}

/// The kinds of blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Delta,
    Snapshot,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Delta => "delta",
            Kind::Snapshot => "snapshot",
        }
    }

    fn letter(self) -> u8 {
        match self {
            Kind::Delta => b'D',
            Kind::Snapshot => b'S',
        }
    }
}

/// Appends a delta blob of everything that changed, and forgets that it changed.
pub(crate) fn write_delta(plan: &Plan, running: &mut [Running], out: &mut Vec<u8>) -> bool {
    if !running.iter().any(|running| running.changed) {
        return false;
    }
    let start = begin(Kind::Delta, out);
    for (rule, running) in plan.rules.iter().zip(running) {
        if !running.changed {
            continue;
        }
        if std::mem::take(&mut running.pause_changed) {
            write_pause(rule, running.paused, out);
        }
        let section = begin_section(rule, running.sequence, out);
        push_number(running.removed_keys.len() as u64, out);
        for id in &running.removed_keys {
            push_number(u64::from(*id), out);
        }
        for id in std::mem::take(&mut running.changed_keys) {
            let Some(key) = running.keys.get_mut(id).filter(|key| key.changed) else { continue };
            let from = if key.fresh { i64::MIN } else { key.changed_from };
            write_key(id, key, &rule.layout, (key.fresh, from), out);
            key.panes.mark_saved(&rule.layout, from);
            key.changed = false;
            key.fresh = false;
            key.changed_from = i64::MAX;
        }
        for id in TableId::ALL {
            for (key, row) in running.tables[id as usize].take_changed() {
                write_row(id, &key, row, out);
            }
        }
        running.removed_keys.clear();
        running.changed = false;
        end_section(section, out);
    }
    finish(start, out);
    true
}

/// Gives the whole state as blobs.
pub(crate) fn write_snapshot(
    plan: &Plan,
    running: &[Running],
    shard_bytes_max: usize,
    shard: &mut dyn FnMut(&[u8]),
) {
    let (mut blob, mut record) = (Vec::new(), Vec::new());
    begin(Kind::Snapshot, &mut blob);
    for (rule, running) in plan.rules.iter().zip(running) {
        if running.paused {
            write_pause(rule, true, &mut blob);
        }
        let rows: usize = running.tables.iter().map(Table::len).sum();
        if running.sequence == 0 && running.keys.len() == 0 && rows == 0 {
            continue;
        }
        let mut section = begin_section(rule, running.sequence, &mut blob);
        push_number(0, &mut blob);
        let mut written = 0;
        let mut append = |record: &mut Vec<u8>| {
            if written > 0 && blob.len() + record.len() + CHECKSUM_BYTES > shard_bytes_max {
                end_section(section, &mut blob);
                flush(&mut blob, shard);
                section = begin_section(rule, running.sequence, &mut blob);
                push_number(0, &mut blob);
                written = 0;
            }
            blob.append(record);
            written += 1;
        };
        for (id, key) in running.keys.iter() {
            write_key(id, key, &rule.layout, (true, i64::MIN), &mut record);
            append(&mut record);
        }
        for id in TableId::ALL {
            for (key, row) in running.table(id).iter() {
                write_row(id, key, Some(row), &mut record);
                append(&mut record);
            }
        }
        end_section(section, &mut blob);
        if blob.len() + CHECKSUM_BYTES > shard_bytes_max / 2 {
            flush(&mut blob, shard);
        }
    }
    if blob.len() > HEADER_BYTES {
        flush(&mut blob, shard);
    }
}

/// Brings the state that a blob holds into the rules.
pub(crate) fn apply(
    blob: &[u8],
    kind: Kind,
    plan: &Plan,
    running: &mut [Running],
) -> Result<(), StateError> {
    let name = kind.name();
    let malformed = |at, reason| StateError::Malformed { kind: name, at, reason };
    let Some((body, checksum)) = blob.split_last_chunk::<CHECKSUM_BYTES>() else {
        return Err(malformed(blob.len(), "too short"));
    };
    match body.get(..HEADER_BYTES) {
        Some([b'W', b'R', letter, version]) if *letter == kind.letter() => {
            if *version != VERSION {
                return Err(StateError::Version { kind: name, found: *version, known: VERSION });
            }
        }
        _ => return Err(malformed(0, "not a blob of this kind")),
    }
    if u64::from_le_bytes(*checksum) != hash_bytes(body) {
        return Err(StateError::Checksum { kind: name });
    }
    let mut reader = Reader::new(body, HEADER_BYTES);
    while !reader.is_empty() {
        let start = reader.position();
        let section = reader.section().ok_or_else(|| malformed(start, "expected a section"))?;
        apply_section(section, plan, running).map_err(|(at, reason)| malformed(at, reason))?;
    }
    Ok(())
}

/// Applies one section; an error says where and why.
fn apply_section(
    mut section: Reader<'_>,
    plan: &Plan,
    running: &mut [Running],
) -> Result<(), (usize, &'static str)> {
    let start = section.position();
    let head = (|| {
        let name = section.text()?;
        let state = u128::from_le_bytes(*section.chunk::<16>()?);
        Some((name, state, section.number()?))
    })();
    let Some((name, state, sequence)) = head else { return Err((start, "expected a rule")) };
    let found = plan.rules.iter().zip(running).find(|(rule, _)| *rule.name == *name);
    if state == PAUSE {
        if let Some((_, running)) = found {
            running.paused = sequence != 0;
        }
        return Ok(());
    }
    let Some((rule, running)) = found else { return Ok(()) };
    // It goes on in a rule that begins anew: what that sends is told apart from what was sent before.
    running.sequence = sequence;
    if rule.state != state {
        return Ok(());
    }
    let removed = section.number().ok_or((section.position(), "expected removed keys"))?;
    for _ in 0..removed {
        let id = section.number().and_then(|id| u32::try_from(id).ok());
        running.keys.remove(id.ok_or((section.position(), "expected a removed key"))?);
    }
    while !section.is_empty() {
        let at = section.position();
        let applied = match row_record::table_at(section) {
            Some(id) => apply_row(&mut section, &mut running.tables[id as usize]),
            None => apply_key(&mut section, &rule.layout, &mut running.keys),
        };
        applied.map_err(|reason| (at, reason))?;
    }
    Ok(())
}

fn begin(kind: Kind, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[b'W', b'R', kind.letter(), VERSION]);
    start
}

fn finish(start: usize, out: &mut Vec<u8>) {
    let checksum = hash_bytes(&out[start..]);
    out.extend_from_slice(&checksum.to_le_bytes());
}

fn flush(blob: &mut Vec<u8>, shard: &mut dyn FnMut(&[u8])) {
    finish(0, blob);
    shard(blob);
    blob.clear();
    begin(Kind::Snapshot, blob);
}

fn begin_section(rule: &Rule, sequence: u64, out: &mut Vec<u8>) -> usize {
    begin_section_of(rule, rule.state, sequence, out)
}

fn begin_section_of(rule: &Rule, state: u128, sequence: u64, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    push_bytes(rule.name.as_bytes(), out);
    out.extend_from_slice(&state.to_le_bytes());
    push_number(sequence, out);
    start
}

/// Whether a rule is paused.
fn write_pause(rule: &Rule, paused: bool, out: &mut Vec<u8>) {
    let section = begin_section_of(rule, PAUSE, u64::from(paused), out);
    end_section(section, out);
}

fn end_section(start: usize, out: &mut [u8]) {
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

const VERSION: u8 = 1;
/// In the place of the hash of a state.
const PAUSE: u128 = 0;
const HEADER_BYTES: usize = 4;
const CHECKSUM_BYTES: usize = 8;
