//! What a pane keeps outside of its row: sets, values and texts.

use super::distinct::Distinct;
use super::layout::Part;
use super::quantile::Quantile;

/// A part that does not fit into cells.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Side {
    Distinct(Distinct),
    Quantile(Quantile),
    Text(Option<Box<str>>),
}

/// The kinds of sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SideKind {
    Distinct,
    Quantile,
    Text,
}

impl SideKind {
    /// A side without any value.
    pub(crate) fn start(self) -> Side {
        match self {
            SideKind::Distinct => Side::Distinct(Distinct::default()),
            SideKind::Quantile => Side::Quantile(Quantile::default()),
            SideKind::Text => Side::Text(None),
        }
    }

    /// For the forecast: 32 values a pane.
    pub(crate) fn typical_bytes(self) -> usize {
        size_of::<Side>() + if self == SideKind::Text { 0 } else { 32 * size_of::<u64>() }
    }
}

impl Side {
    /// Adds everything of a side of the same kind.
    pub(crate) fn merge(&mut self, other: &Side) {
        match (self, other) {
            (Side::Distinct(left), Side::Distinct(right)) => left.merge(right),
            (Side::Quantile(left), Side::Quantile(right)) => left.merge(right),
            _ => debug_assert!(false, "texts follow their cells; others are of one kind"),
        }
    }

    /// Estimate of the memory it uses, the same before and after a restart.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Side>()
            + match self {
                Side::Distinct(set) => set.bytes(),
                Side::Quantile(values) => values.bytes(),
                Side::Text(text) => text.as_ref().map_or(0, |text| text.len()),
            }
    }
}

/// The side of a part.
pub(super) fn side_at<'a>(sides: &'a mut [Side], part: &Part) -> Option<&'a mut Side> {
    sides.get_mut(usize::from(part.side))
}
