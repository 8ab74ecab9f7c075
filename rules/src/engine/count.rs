//! Count windows: results after so many messages, in the order in which they come.

use super::collect::Spot;
use super::life::Turn;
use super::work::Message;
use crate::expression::Fault;
use crate::form::WindowLabel;
use crate::key::KeyState;
use crate::running::Running;
use crate::window::Window;

impl Running {
    /// Counts a message; sends a result with every so-manieth.
    pub(super) fn count(
        &mut self,
        turn: &mut Turn<'_>,
        message: &Message<'_>,
        window: &Window,
        id: u32,
        time: i64,
    ) -> Result<(), Fault> {
        let (rule, Window::Count { size, every, width }) = (turn.rule, window) else {
            return Ok(());
        };
        let pane = (counted(self.keys.get(id)) / width) as i64;
        self.add_to_pane(rule, message, id, Spot { pane, time, late: false })?;
        let counted = self.count_one(id);
        if self.is_traced() {
            self.trace_taken(rule, id, (time, time), true);
        }
        if counted.is_multiple_of(*every) {
            if counted >= *size {
                let label = WindowLabel { number: counted, ..WindowLabel::default() };
                self.send_panes(turn, id, count_range(*size, *width, counted), label);
            }
            let first_needed = count_range(*size, *width, counted + every).0;
            self.drop_panes_before(rule, id, first_needed);
        }
        self.set_timer(turn, id);
        Ok(())
    }

    /// The next number of a key, from 1.
    pub(super) fn count_one(&mut self, id: u32) -> u64 {
        let Some(key) = self.keys.get_mut(id) else { return 0 };
        let before = key.more_bytes();
        let more = key.more.get_or_insert_default();
        more.counted += 1;
        let counted = more.counted;
        self.state_bytes = self.state_bytes + key.more_bytes() - before;
        counted
    }
}

/// The panes of the window that ends with message `counted`; the first have fewer messages.
pub(super) fn count_range(size: u64, width: u64, counted: u64) -> (i64, i64) {
    ((counted.saturating_sub(size) / width) as i64, counted.div_ceil(width) as i64)
}

pub(super) fn counted(key: Option<&KeyState>) -> u64 {
    key.and_then(|key| key.more.as_ref()).map_or(0, |more| more.counted)
}
