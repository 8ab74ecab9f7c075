//! Things that happen again and again are told once for each episode, so that a flood of messages
//! is not one of log lines.

use crate::clock::Instant;

/// Something that may go on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Episode {
    last: Option<Instant>,
}

/// An episode is over when nothing has happened for so long.
const ENDS_MS: u64 = 60_000;

impl Episode {
    /// It has happened; true when that begins an episode.
    pub(crate) fn begins(&mut self, now: Instant) -> bool {
        let last = self.last.replace(now);
        last.is_none_or(|last| now.0.saturating_sub(last.0) >= ENDS_MS)
    }
}
