//! Groups: the values of `by` as bytes, and a small number for each group that is known.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::alert::AlertState;
use crate::change::Sent;
use crate::sources::Standing;
use crate::value::{Texts, Value};
use crate::window::Panes;

/// Everything that is known about one group.
#[derive(Clone, Debug)]
pub(crate) struct KeyState {
    /// The values of `by`, see [`push_part`].
    pub(crate) bytes: Box<[u8]>,
    pub(crate) panes: Panes,
    /// Tells it apart from a key of the same values that was forgotten before.
    pub(crate) birth: u64,
    /// Latest time of a message.
    pub(crate) newest: i64,
    /// All windows that end here or before are closed.
    pub(crate) watermark: i64,
    /// Arrival of the last message that was used.
    pub(crate) arrived: i64,
    pub(crate) more: Option<Box<More>>,
    pub(crate) alert: Option<Box<AlertState>>,
    /// When its timer is set for. Not later than when it is due; not part of the state.
    pub(crate) timer: i64,
    /// The first pane that the next delta must hold; not part of the state.
    pub(crate) changed_from: i64,
    /// Whether it is in the list of changed keys; not part of the state.
    pub(crate) changed: bool,
    /// Whether no delta holds it yet; not part of the state.
    pub(crate) fresh: bool,
}

/// What only some rules keep per key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct More {
    /// Values of the message before: bits and text, see `boxed`.
    pub(crate) prev: Vec<(u64, Option<Box<str>>)>,
    /// Cells of the folds of the rule; none before the first message.
    pub(crate) folds: Vec<u64>,
    /// End and revision of windows that were corrected, sorted.
    pub(crate) revisions: Vec<(i64, u32)>,
    /// Time of the first message, for rules that give results of empty windows.
    pub(crate) since: Option<i64>,
    /// Messages that a count window has taken; of other windows those that are numbered.
    pub(crate) counted: u64,
    /// When results of open windows were sent last.
    pub(crate) early: i64,
    /// The client whose watermark it follows.
    pub(crate) source: Option<Box<str>>,
    /// What `change` compares with.
    pub(crate) sent: Option<Box<Sent>>,
    /// What `sources` notes about it; not part of the state.
    pub(crate) standing: Option<Standing>,
}

impl More {
    /// Whether it holds anything that only some windows need.
    pub(crate) fn counts(&self) -> bool {
        self.counted != 0 || self.early != 0
    }

    /// Estimate of the memory it uses.
    pub(crate) fn bytes(&self) -> usize {
        let texts = self.prev.iter().filter_map(|(_, text)| text.as_ref());
        size_of::<Self>()
            + self.prev.len() * size_of::<(u64, Option<Box<str>>)>()
            + texts.map(|text| text.len()).sum::<usize>()
            + self.folds.len() * size_of::<u64>()
            + self.revisions.len() * size_of::<(i64, u32)>()
            + self.sent.as_ref().map_or(0, |sent| sent.bytes())
            + self.source.as_ref().map_or(0, |client| client.len() + SOURCE_EXTRA_BYTES)
    }
}

impl KeyState {
    pub(crate) fn new(bytes: &[u8], birth: u64) -> Self {
        Self {
            bytes: bytes.into(),
            panes: Panes::default(),
            birth,
            newest: TIME_MIN,
            watermark: TIME_MIN,
            arrived: TIME_MIN,
            more: None,
            alert: None,
            timer: TIMER_NONE,
            changed_from: i64::MAX,
            changed: false,
            fresh: true,
        }
    }

    /// Estimate of the memory of a key without panes: itself, its places in the tables, its timer
    /// and the bytes that the allocator adds.
    pub(crate) fn base_bytes(key_len: usize) -> usize {
        size_of::<Self>() + key_len + KEY_EXTRA_BYTES
    }

    pub(crate) fn more_bytes(&self) -> usize {
        self.more.as_ref().map_or(0, |more| more.bytes())
    }

    pub(crate) fn alert_bytes(&self) -> usize {
        self.alert.as_ref().map_or(0, |alert| alert.bytes())
    }
}

/// All keys of a rule.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    table: HashTable<u32>,
    /// Pages, so that growing neither copies nor doubles what is there.
    pages: Vec<Vec<Option<KeyState>>>,
    /// Numbers below the highest that are free: the smallest is given out first, so that the
    /// numbers are the same after a restart.
    free: BinaryHeap<Reverse<u32>>,
    next: u32,
}

impl Keys {
    /// Number of keys.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn find(&self, bytes: &[u8]) -> Option<u32> {
        self.table.find(hash(bytes), |id| self.is(*id, bytes)).copied()
    }

    /// The state of a key that exists.
    pub(crate) fn get(&self, id: u32) -> Option<&KeyState> {
        self.pages.get(page(id))?.get(offset(id))?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut KeyState> {
        self.pages.get_mut(page(id))?.get_mut(offset(id))?.as_mut()
    }

    /// Adds a key that is not there yet.
    pub(crate) fn insert(&mut self, state: KeyState) -> u32 {
        let id = match self.free.pop() {
            Some(Reverse(id)) => id,
            None => {
                self.next += 1;
                self.next - 1
            }
        };
        self.place(id, state);
        id
    }

    /// Puts a key where it was before a restart; `false` if that number or key is taken.
    pub(crate) fn restore(&mut self, id: u32, state: KeyState) -> bool {
        if self.get(id).is_some() || self.find(&state.bytes).is_some() {
            return false;
        }
        self.next = self.next.max(id.saturating_add(1));
        self.place(id, state);
        true
    }

    /// Finds the free numbers after all keys are restored.
    pub(crate) fn finish_restore(&mut self) {
        self.free = (0..self.next).filter(|id| self.get(*id).is_none()).map(Reverse).collect();
    }

    pub(crate) fn remove(&mut self, id: u32) -> Option<KeyState> {
        let state = self.pages.get_mut(page(id))?.get_mut(offset(id))?.take()?;
        if let Ok(entry) = self.table.find_entry(hash(&state.bytes), |known| *known == id) {
            entry.remove();
        }
        self.free.push(Reverse(id));
        Some(state)
    }

    /// All keys by number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &KeyState)> {
        (0..self.next).filter_map(|id| Some((id, self.get(id)?)))
    }

    fn is(&self, id: u32, bytes: &[u8]) -> bool {
        self.get(id).is_some_and(|state| *state.bytes == *bytes)
    }

    fn place(&mut self, id: u32, state: KeyState) {
        let hashed = hash(&state.bytes);
        while self.pages.len() <= page(id) {
            self.pages.push(Vec::new());
        }
        let slots = &mut self.pages[page(id)];
        while slots.len() <= offset(id) {
            slots.push(None);
        }
        slots[offset(id)] = Some(state);
        let pages = &self.pages;
        self.table.insert_unique(hashed, id, |known| {
            let state = pages[page(*known)][offset(*known)].as_ref();
            hash(&state.expect("every key in the table has a state").bytes)
        });
    }
}

/// Appends one value of `by`; `false` for values that cannot group.
pub(crate) fn push_part(value: Value, texts: &Texts<'_>, key: &mut Vec<u8>) -> bool {
    match value {
        Value::Bool(yes) => key.push(if yes { TRUE } else { FALSE }),
        Value::Composite | Value::Json(_) => return false,
        Value::Null => key.push(NULL),
        Value::Number(number) => {
            key.push(NUMBER);
            // Both zeros are one group.
            key.extend_from_slice(&(number + 0.0).to_bits().to_le_bytes());
        }
        Value::Text(text) => {
            let text = texts.resolve(text);
            key.push(TEXT);
            key.extend_from_slice(&(text.len() as u32).to_le_bytes());
            key.extend_from_slice(text.as_bytes());
        }
    }
    true
}

/// Takes one value of `by` from the front of a key.
pub(crate) fn take_part(key: &mut &[u8], texts: &mut Texts<'_>) -> Option<Value> {
    let (tag, rest) = key.split_first()?;
    *key = rest;
    Some(match *tag {
        FALSE => Value::Bool(false),
        NULL => Value::Null,
        NUMBER => {
            let (bits, rest) = rest.split_first_chunk::<8>()?;
            *key = rest;
            Value::finite(f64::from_bits(u64::from_le_bytes(*bits)))
        }
        TEXT => {
            let (len, rest) = rest.split_first_chunk::<4>()?;
            let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
            *key = rest;
            texts.store(std::str::from_utf8(text).ok()?)
        }
        TRUE => Value::Bool(true),
        _ => return None,
    })
}

fn hash(bytes: &[u8]) -> u64 {
    FixedState::with_seed(SEED).hash_one(bytes)
}

fn page(id: u32) -> usize {
    (id / PAGE) as usize
}

fn offset(id: u32) -> usize {
    (id % PAGE) as usize
}

/// Far below every time stamp, and far enough from the end to be computed with.
pub(crate) const TIME_MIN: i64 = i64::MIN / 4;
/// The timer of a key that has none.
pub(crate) const TIMER_NONE: i64 = i64::MAX;

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const NUMBER: u8 = 3;
const TEXT: u8 = 4;

const PAGE: u32 = 1024;
const SEED: u64 = 0x7765_6972;
/// Entry of the table with its spare room, timer, and two headers of the allocator.
const KEY_EXTRA_BYTES: usize = 72;
/// Entries of the two ordered sets of a client.
const SOURCE_EXTRA_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_keys_are_reused_smallest_first() {
        let mut keys = Keys::default();
        let ids: Vec<u32> =
            [b"a", b"b", b"c"].map(|bytes| keys.insert(KeyState::new(bytes, 0))).into();
        assert_eq!(ids, [0, 1, 2]);
        keys.remove(1);
        keys.remove(0);
        assert_eq!(keys.find(b"a"), None);
        assert_eq!(keys.insert(KeyState::new(b"d", 0)), 0);
        assert_eq!(keys.find(b"d"), Some(0));
        assert_eq!(keys.find(b"c"), Some(2));
    }

    #[test]
    fn parts_of_a_key_come_back_as_they_went_in() {
        let mut texts = Texts::default();
        let name = texts.store("living room");
        let values = [Value::Null, Value::Bool(true), Value::Number(-1.5), name];
        let mut key = Vec::new();
        for value in values {
            assert!(push_part(value, &texts, &mut key));
        }
        let mut rest = key.as_slice();
        for value in &values[..3] {
            assert_eq!(take_part(&mut rest, &mut texts), Some(*value));
        }
        let Some(Value::Text(text)) = take_part(&mut rest, &mut texts) else { panic!() };
        assert_eq!(texts.resolve(text), "living room");
        assert_eq!(take_part(&mut rest, &mut texts), None);
    }
}
