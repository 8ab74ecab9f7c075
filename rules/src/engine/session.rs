//! Session windows: a message joins the session that it follows closely, or begins one.

use super::collect::Spot;
use super::life::Turn;
use super::work::Message;
use crate::aggregate::{merge_row, span};
use crate::expression::Fault;
use crate::form::WindowLabel;
use crate::rule::Rule;
use crate::running::{Running, key_bytes};
use crate::window::{Session, SessionPlace};

impl Running {
    /// Puts a message into its session; gives whether some session may end earlier than before.
    pub(super) fn join_session(
        &mut self,
        rule: &Rule,
        session: &Session,
        message: &Message<'_>,
        id: u32,
        (time, late): (i64, bool),
    ) -> Result<bool, Fault> {
        let layout = &rule.layout;
        let Some(key) = self.keys.get(id) else { return Ok(false) };
        let place = session.place(layout, &key.panes, time);
        let pane = match place {
            SessionPlace::Bridge(at) | SessionPlace::Inside(at) => key.panes.id(layout, at),
            SessionPlace::New(_) => time,
        };
        self.add_to_pane(rule, message, id, Spot { pane, time, late })?;
        if let SessionPlace::Bridge(at) = place {
            self.bridge(rule, id, at);
        }
        Ok(true)
    }

    /// Joins a session with the one after it.
    fn bridge(&mut self, rule: &Rule, id: u32, at: usize) {
        let layout = &rule.layout;
        let Some(key) = self.keys.get_mut(id) else { return };
        let before = key_bytes(rule, key);
        let (row, sides) = key.panes.take(layout, at + 1);
        merge_row(layout, key.panes.row_mut(layout, at), (&row, &sides));
        self.state_bytes = self.state_bytes + key_bytes(rule, key) - before;
    }

    /// Sends the sessions that end at `watermark` or before.
    pub(super) fn close_sessions(
        &mut self,
        turn: &mut Turn<'_>,
        session: &Session,
        id: u32,
        watermark: i64,
    ) {
        let rule = turn.rule;
        let layout = &rule.layout;
        while let Some(key) = self.keys.get_mut(id) {
            let end = session.end_at(layout, &key.panes, 0).filter(|end| *end <= watermark);
            let Some(end) = end else { break };
            key.watermark = key.watermark.max(end);
            self.send_session(turn, id, end);
            self.drop_first_pane(rule, id);
        }
    }

    fn send_session(&mut self, turn: &mut Turn<'_>, id: u32, end: i64) {
        let layout = &turn.rule.layout;
        let Some(key) = self.keys.get(id) else { return };
        let start = span(layout, key.panes.row(layout, 0).0).map_or(end, |(first, _)| first);
        let pane = key.panes.id(layout, 0);
        self.send_panes(turn, id, (pane, pane + 1), WindowLabel::of(start, end));
    }
}
