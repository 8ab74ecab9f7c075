//! The value of one column where another is largest or smallest.

use super::side::Side;
use crate::boxed;

/// Cells: the size, its time, and the bits of the value there. A text lies in the side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extreme<'s> {
    pub(super) size: f64,
    pub(super) time: i64,
    pub(super) bits: u64,
    pub(super) text: Option<&'s str>,
}

/// Cells without any value.
pub(super) const EMPTY: [u64; 3] = [0, 0, boxed::NULL];

impl<'s> Extreme<'s> {
    /// Reads what is stored; `None` if that is nothing.
    pub(super) fn load(cells: &[u64], side: Option<&'s Side>) -> Option<Self> {
        let [size, time, bits] = *cells else { return None };
        let text = match side {
            Some(Side::Text(text)) => text.as_deref(),
            _ => None,
        };
        let (size, time) = (f64::from_bits(size), time as i64);
        (bits != boxed::NULL).then_some(Self { size, time, bits, text })
    }

    /// Stores this one if it is further out than what is there, or as far and earlier.
    pub(super) fn offer(self, max: bool, cells: &mut [u64], side: Option<&mut Side>) {
        let known = Extreme::load(cells, None);
        let further = known.is_none_or(|known| {
            let beyond = if max { self.size > known.size } else { self.size < known.size };
            beyond || (self.size == known.size && self.time < known.time)
        });
        if !further {
            return;
        }
        cells.copy_from_slice(&[self.size.to_bits(), self.time as u64, self.bits]);
        if let Some(Side::Text(text)) = side {
            *text = self.text.map(Box::from);
        }
    }
}
