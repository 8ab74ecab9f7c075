//! Windows: which panes a message goes into and which panes a result is made from.
//!
//! Time is cut into panes whose width divides both the length of a window and its step. A message
//! changes one pane; a result merges the panes of its window. Windows are half open
//! (`start <= t < end`) and aligned to the Unix epoch. A window per message ends with that
//! message: `end - size < t <= end`, and its panes are one millisecond wide.

mod merged;
mod pane;

pub(crate) use merged::Merged;
pub(crate) use pane::{Found, Panes};

/// The window of a rule. All times are milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    /// `sliding D`: a window that ends with each message.
    Each { size: i64 },
    /// `sliding D every D`; a tumbling window is one whose step is its length.
    Sliding { size: i64, slide: i64, width: i64 },
}

impl Window {
    /// A sliding window; `slide` is positive and not longer than `size`.
    pub(crate) fn sliding(size: i64, slide: i64) -> Self {
        Window::Sliding { size, slide, width: greatest_common_divisor(size, slide) }
    }

    /// Length of a window.
    pub(crate) fn size(self) -> i64 {
        match self {
            Window::Each { size } | Window::Sliding { size, .. } => size,
        }
    }

    /// Time between two results, if that does not depend on the messages.
    pub(crate) fn slide(self) -> Option<i64> {
        match self {
            Window::Each { .. } => None,
            Window::Sliding { slide, .. } => Some(slide),
        }
    }

    /// The pane of a time.
    pub(crate) fn pane(self, time: i64) -> i64 {
        match self {
            Window::Each { .. } => time,
            Window::Sliding { width, .. } => time.div_euclid(width),
        }
    }

    /// End of the first window that holds `pane` and ends after `after`.
    pub(crate) fn next_end(self, pane: i64, after: i64) -> i64 {
        match self {
            Window::Each { .. } => pane.max(after + 1),
            Window::Sliding { slide, width, .. } => {
                let first = round_up((pane + 1) * width, slide);
                first.max(after.div_euclid(slide) * slide + slide)
            }
        }
    }

    /// End of the last window that holds `pane`.
    pub(crate) fn last_end(self, pane: i64) -> i64 {
        match self {
            Window::Each { .. } => pane,
            Window::Sliding { size, slide, width } => {
                (pane * width + size).div_euclid(slide) * slide
            }
        }
    }

    /// The panes of the window that ends at `end`: the first, and the one after the last.
    pub(crate) fn range(self, end: i64) -> (i64, i64) {
        match self {
            Window::Each { size } => (end - size + 1, end + 1),
            Window::Sliding { size, width, .. } => {
                ((end - size).div_euclid(width), end.div_euclid(width))
            }
        }
    }

    /// The watermark from which on a pane is of no more use; `keep` is how long windows can be
    /// corrected after their end.
    pub(crate) fn expiry(self, pane: i64, keep: i64) -> i64 {
        match self {
            Window::Each { size } => pane + size,
            Window::Sliding { .. } => self.last_end(pane) + keep,
        }
    }
}

/// The smallest multiple of `step` that is not below `value`.
fn round_up(value: i64, step: i64) -> i64 {
    -((-value).div_euclid(step)) * step
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn five_minutes_every_ten_seconds_are_thirty_panes() {
        let window = Window::sliding(300_000, 10_000);
        assert_eq!(window.pane(-1), -1);
        assert_eq!(window.next_end(0, i64::MIN / 4), 10_000);
        assert_eq!(window.last_end(0), 300_000);
        assert_eq!(window.range(300_000), (0, 30));
    }

    proptest! {
        #[test]
        fn windows_of_a_pane_are_those_whose_range_holds_it(
            size in 1i64..50, slide in 1i64..50, time in -500i64..500,
        ) {
            let window = Window::sliding(size, slide);
            let pane = window.pane(time);
            for end in (-20..20).map(|number| number * slide) {
                let (from, to) = window.range(end);
                let holds = end - size <= time && time < end;
                prop_assert_eq!(holds, (from..to).contains(&pane));
                if holds {
                    prop_assert!(window.last_end(pane) >= end);
                    prop_assert!(window.next_end(pane, end - 1) == end);
                } else if end > time {
                    prop_assert!(window.last_end(pane) < end);
                }
            }
        }
    }
}
