//! Windows: which panes a message goes into and which panes a result is made from.
//!
//! - Windows of the clock (`Sliding`, `Calendar`): time is cut into panes that divide both the
//!   length of a window and its step. A message changes one pane; a result merges the panes of its
//!   window. Windows are half open (`start <= t < end`); sliding ones are aligned to the Unix
//!   epoch. A pane of a calendar window is the whole window, and its number is its start.
//! - A window per message (`Each`) ends with that message: `end - size < t <= end`, and its panes
//!   are one millisecond wide.
//! - `Count`: panes hold so many messages that they divide the size and the step.
//! - `Session`: a pane is a session, numbered by the time of the message that opened it.
//! - `While`: the first pane is the run that is open; behind it each message waits in a pane of its
//!   own for the watermark, see `waiting`.

mod calendar;
mod merged;
mod pane;
mod session;
mod waiting;

pub(crate) use calendar::{Calendar, Unit};
pub(crate) use merged::Merged;
pub(crate) use pane::{Found, Panes};
pub(crate) use session::{Session, SessionPlace};
pub(crate) use waiting::{
    WAITING_ORDER_MAX, waiting_id, waiting_is_true, waiting_order, waiting_time,
};

/// The window of a rule. All times are milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Window {
    /// `tumbling 1d at 06:00 Europe/Berlin`.
    Calendar(Calendar),
    /// `count N every N`, in messages.
    Count { size: u64, every: u64, width: u64 },
    /// `sliding D`: a window that ends with each message.
    Each { size: i64 },
    /// `session D max D`.
    Session(Session),
    /// `sliding D every D`; a tumbling window is one whose step is its length.
    Sliding { size: i64, slide: i64, width: i64 },
    /// `while EXPRESSION`; the expression is part of the rule.
    While,
}

impl Window {
    /// A sliding window; `slide` is positive and not longer than `size`.
    pub(crate) fn sliding(size: i64, slide: i64) -> Self {
        let width = greatest_common_divisor(size as u64, slide as u64) as i64;
        Window::Sliding { size, slide, width }
    }

    /// A count window; `every` is positive and not larger than `size`.
    pub(crate) fn count(size: u64, every: u64) -> Self {
        Window::Count { size, every, width: greatest_common_divisor(size, every) }
    }

    /// How long a window is at most, if that is known; of a session, how long it waits.
    pub(crate) fn size(&self) -> Option<i64> {
        match self {
            Window::Calendar(calendar) => Some(calendar.longest()),
            Window::Count { .. } | Window::While => None,
            Window::Each { size } | Window::Sliding { size, .. } => Some(*size),
            Window::Session(session) => Some(session.gap),
        }
    }

    /// Whether its windows begin and end by the clock, whatever messages come.
    pub(crate) fn is_of_clock(&self) -> bool {
        matches!(self, Window::Calendar(_) | Window::Sliding { .. })
    }

    /// Whether its results name the times of their messages.
    pub(crate) fn needs_span(&self) -> bool {
        matches!(self, Window::Count { .. } | Window::Session(_) | Window::While)
    }

    /// The last time that is not after `time` at which a window of the clock can end.
    pub(crate) fn grid(&self, time: i64) -> i64 {
        match self {
            Window::Calendar(calendar) => calendar.start(time),
            Window::Sliding { slide, .. } => time.div_euclid(*slide) * slide,
            _ => time,
        }
    }

    /// The first time after `time` at which a window of the clock can end.
    pub(crate) fn end_after(&self, time: i64) -> i64 {
        match self {
            Window::Calendar(calendar) => calendar.end(time),
            Window::Sliding { slide, .. } => self.grid(time) + slide,
            _ => time + 1,
        }
    }

    /// The pane of a time.
    pub(crate) fn pane(&self, time: i64) -> i64 {
        match self {
            Window::Calendar(calendar) => calendar.start(time),
            Window::Sliding { width, .. } => time.div_euclid(*width),
            _ => time,
        }
    }

    /// End of the first window that holds `pane` and ends after `after`.
    pub(crate) fn next_end(&self, pane: i64, after: i64) -> i64 {
        match self {
            Window::Calendar(calendar) => calendar.end(pane.max(after)),
            Window::Sliding { slide, width, .. } => {
                let first = round_up((pane + 1) * width, *slide);
                first.max(self.end_after(after))
            }
            _ => pane.max(after + 1),
        }
    }

    /// End of the last window that holds `pane`.
    pub(crate) fn last_end(&self, pane: i64) -> i64 {
        match self {
            Window::Calendar(calendar) => calendar.end(pane),
            Window::Sliding { size, slide, width } => {
                (pane * width + size).div_euclid(*slide) * slide
            }
            _ => pane,
        }
    }

    /// Start of the window that ends at `end`.
    pub(crate) fn start(&self, end: i64) -> i64 {
        match self {
            Window::Calendar(calendar) => calendar.start(end - 1),
            Window::Each { size } | Window::Sliding { size, .. } => end - size,
            _ => end,
        }
    }

    /// The panes of the window that ends at `end`: the first, and the one after the last.
    pub(crate) fn range(&self, end: i64) -> (i64, i64) {
        match self {
            Window::Sliding { size, width, .. } => {
                ((end - size).div_euclid(*width), end.div_euclid(*width))
            }
            Window::Each { size } => (end - size + 1, end + 1),
            _ => (self.start(end), end),
        }
    }

    /// The watermark from which on a pane is of no more use; `keep` is how long windows can be
    /// corrected after their end.
    pub(crate) fn expiry(&self, pane: i64, keep: i64) -> i64 {
        match self {
            Window::Each { size } => pane + size,
            _ => self.last_end(pane) + keep,
        }
    }
}

/// The smallest multiple of `step` that is not below `value`.
fn round_up(value: i64, step: i64) -> i64 {
    -((-value).div_euclid(step)) * step
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
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
