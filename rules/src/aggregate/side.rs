//! What a pane keeps outside of its row: sets, values and texts.

use super::distinct::Distinct;
use super::layout::Part;
use super::mode::Mode;
use super::quantile::Quantile;
use super::series::Series;

/// A part that does not fit into cells.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Side {
    /// Values as in `boxed`.
    Collected(Series<(u64, Option<Box<str>>)>),
    Distinct(Distinct),
    Mode(Mode),
    Points(Series<f64>),
    Quantile(Quantile),
    Text(Option<Box<str>>),
}

/// The kinds of sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SideKind {
    /// At most this many values.
    Collected(u16),
    Distinct,
    Mode,
    Points,
    Quantile,
    Text,
}

impl SideKind {
    /// A side without any value.
    pub(crate) fn start(self) -> Side {
        match self {
            SideKind::Collected(_) => Side::Collected(Series::default()),
            SideKind::Distinct => Side::Distinct(Distinct::default()),
            SideKind::Mode => Side::Mode(Mode::default()),
            SideKind::Points => Side::Points(Series::default()),
            SideKind::Quantile => Side::Quantile(Quantile::default()),
            SideKind::Text => Side::Text(None),
        }
    }

    /// For the forecast: 32 values a pane, if there can be so many.
    pub(crate) fn typical_bytes(self) -> usize {
        let (count, value) = match self {
            SideKind::Collected(max) => (usize::from(max).min(TYPICAL_VALUES), 4),
            SideKind::Distinct | SideKind::Quantile => (TYPICAL_VALUES, 1),
            SideKind::Mode => (TYPICAL_VALUES, 4),
            SideKind::Points => (TYPICAL_VALUES, 2),
            SideKind::Text => (0, 0),
        };
        size_of::<Side>() + count * value * size_of::<u64>()
    }
}

impl Side {
    /// Adds everything of a side of the same kind.
    pub(crate) fn merge(&mut self, other: &Side) {
        match (self, other) {
            (Side::Distinct(left), Side::Distinct(right)) => left.merge(right),
            (Side::Quantile(left), Side::Quantile(right)) => left.merge(right),
            (Side::Mode(left), Side::Mode(right)) => left.merge(right),
            _ => debug_assert!(false, "texts follow their cells; others are of one kind"),
        }
    }

    /// Notes that a delta holds all of its values.
    pub(crate) fn mark_saved(&mut self) {
        match self {
            Side::Collected(values) => values.mark_saved(),
            Side::Points(points) => points.mark_saved(),
            Side::Quantile(values) => values.mark_saved(),
            Side::Distinct(_) | Side::Mode(_) | Side::Text(_) => {}
        }
    }

    /// Estimate of the memory it uses, the same before and after a restart.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Side>()
            + match self {
                Side::Collected(values) => {
                    let texts = values.iter().filter_map(|(_, (_, text))| text.as_ref());
                    values.bytes() + texts.map(|text| text.len()).sum::<usize>()
                }
                Side::Distinct(set) => set.bytes(),
                Side::Mode(counts) => counts.bytes(),
                Side::Points(points) => points.bytes(),
                Side::Quantile(values) => values.bytes(),
                Side::Text(text) => text.as_ref().map_or(0, |text| text.len()),
            }
    }
}

/// The side of a part.
pub(super) fn side_at<'a>(sides: &'a mut [Side], part: &Part) -> Option<&'a mut Side> {
    sides.get_mut(usize::from(part.side))
}

/// Values of a pane, for forecasts.
const TYPICAL_VALUES: usize = 32;
