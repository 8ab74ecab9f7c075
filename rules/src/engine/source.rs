//! Watermarks that all keys of a client share.

use super::life::{Turn, next_end};
use crate::key::TIME_MIN;
use crate::rule::Rule;
use crate::running::Running;
use crate::sources::Standing;
use crate::watermark::{EventTime, Time};

impl Running {
    /// Makes a key follow a client; brings it to the watermark of that client.
    pub(super) fn follow(&mut self, turn: &mut Turn<'_>, time: &EventTime, id: u32, client: &str) {
        let Some(key) = self.keys.get_mut(id) else { return };
        let followed = key.more.as_ref().and_then(|more| more.source.as_deref());
        if followed != Some(client) {
            self.leave(id);
            let Some(key) = self.keys.get_mut(id) else { return };
            let before = key.more_bytes();
            key.more.get_or_insert_default().source = Some(client.into());
            self.state_bytes = self.state_bytes + key.more_bytes() - before;
            self.mark_changed(id, i64::MAX);
            self.note_standing(turn.rule, id);
        }
        let watermark = self.sources.newest(client).map_or(TIME_MIN, |at| time.watermark(at));
        if self.keys.get(id).is_some_and(|key| key.watermark < watermark) {
            self.close(turn, id, watermark);
            self.note_standing(turn.rule, id);
        }
    }

    /// Notes where a key stands now, if it follows a client.
    pub(super) fn note_standing(&mut self, rule: &Rule, id: u32) {
        if !matches!(&rule.time, Time::Field(time) if time.per_source) {
            return;
        }
        self.leave(id);
        let (Some(key), Some(window)) = (self.keys.get_mut(id), &rule.window) else { return };
        let standing = Standing { newest: key.newest, end: next_end(rule, window, key) };
        let Some(more) = &mut key.more else { return };
        more.standing = Some(standing);
        if let Some(client) = &more.source {
            self.sources.insert(client, id, standing);
        }
    }

    /// Closes the windows of all other keys of a client.
    pub(super) fn close_followers(&mut self, turn: &mut Turn<'_>, client: &str, watermark: i64) {
        while let Some(id) = self.sources.due(client, watermark) {
            self.close(turn, id, watermark);
            self.note_standing(turn.rule, id);
            self.set_timer(turn, id);
        }
    }

    /// Forgets where a key stood.
    pub(super) fn leave(&mut self, id: u32) {
        let Some(more) = self.keys.get_mut(id).and_then(|key| key.more.as_mut()) else { return };
        if let (Some(client), Some(standing)) = (&more.source, more.standing.take()) {
            self.sources.remove(client, id, standing);
        }
    }
}
