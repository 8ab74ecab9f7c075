//! A piece of the log: a fixed number of positions, and what is known of the message at each.

use crate::identity::Sequence;
use crate::message::Message;

/// Positions of a chunk.
pub(super) const CHUNK: usize = 256;

/// The messages at the positions of a chunk.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) places: [Place; CHUNK],
    /// None when none of them is in memory.
    pub(super) messages: Option<Box<[Option<Message>; CHUNK]>>,
    pub(super) in_memory: usize,
    pub(super) waiting: usize,
    /// The steps in which messages expire, 0 = never; none while none of them does.
    pub(super) expiries: Option<Box<[u32; CHUNK]>>,
    /// The first of them that may still hold somebody up; 0 = none.
    pub(super) first_expiry: u32,
}

/// What is known of a message wherever it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// What it counts for.
    pub(super) bytes: u32,
    /// Sessions that wait for it, and in the first bit whether it may leave memory.
    holders: u32,
}

impl Chunk {
    pub(super) fn new() -> Box<Self> {
        let places = [Place::default(); CHUNK];
        Box::new(Self {
            places,
            messages: None,
            in_memory: 0,
            waiting: 0,
            expiries: None,
            first_expiry: 0,
        })
    }

    pub(super) fn put_message(&mut self, index: usize, message: Message) {
        let messages = self.messages.get_or_insert_with(|| Box::new([const { None }; CHUNK]));
        messages[index] = Some(message);
        self.in_memory += 1;
    }

    /// Forgets a message; true when it was there.
    pub(super) fn take_message(&mut self, index: usize) -> bool {
        let Some(messages) = &mut self.messages else { return false };
        let was_there = messages[index].take().is_some();
        self.in_memory -= usize::from(was_there);
        if self.in_memory == 0 && self.waiting > 0 {
            self.messages = None;
        }
        was_there
    }
}

impl Place {
    pub(super) fn holders(self) -> u32 {
        self.holders >> 1
    }

    pub(super) fn hold(&mut self) {
        self.holders += 2;
    }

    /// Answers how many are left.
    pub(super) fn release(&mut self) -> u32 {
        assert!(self.holders() > 0, "a released message was held");
        self.holders -= 2;
        self.holders()
    }

    pub(super) fn allow_absence(&mut self) {
        self.holders |= 1;
    }

    pub(super) fn may_be_absent(self) -> bool {
        self.holders & 1 == 1
    }
}

pub(super) fn chunk_number(sequence: Sequence) -> u64 {
    sequence.0 / CHUNK as u64
}

pub(super) fn index_of(sequence: Sequence) -> usize {
    (sequence.0 % CHUNK as u64) as usize
}
