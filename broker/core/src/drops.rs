//! A message does not reach somebody: it is counted, in all and for the client, and the shell is
//! told once for each episode, so that a flood of messages is not one of log lines.

use std::sync::Arc;

use crate::clock::Now;
use crate::core::Core;
use crate::effect::{DropNotice, Effect};
use crate::key::SessionKey;
use crate::metrics::{DropReason, Drops};

impl Core {
    /// What a client has not got, or has published in vain, since its session began; none when
    /// there is no such session.
    #[must_use]
    pub fn drops_of(&self, client_id: &str) -> Option<Drops> {
        let session = &self.sessions[self.session_of(client_id)? as usize];
        Some(session.drops.as_ref().map(|drops| drops.counts()).unwrap_or_default())
    }

    /// Counts a message that a client does not get, or that it published in vain, and tells the
    /// shell if that begins an episode.
    pub(crate) fn count_drop(&mut self, now: Now, key: SessionKey, reason: DropReason) {
        self.metrics.drops.count(reason);
        let session = &mut self.sessions[key as usize];
        let drops = session.drops.get_or_insert_default();
        if drops.count(reason, now.monotonic) {
            let client_id = Arc::clone(&session.client_id);
            let notice = DropNotice { client_id, reason, dropped: drops.counts() };
            self.turn.effects.push(Effect::Dropping(Box::new(notice)));
        }
    }
}
