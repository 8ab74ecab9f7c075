//! The will of a client, from CONNECT to the moment when it is due.

use super::{Client, SLACK_MS, WillState};
use crate::sim::surroundings::Surroundings;

impl Client {
    /// From now on the broker may publish the will.
    pub(super) fn will_is_due(&mut self, around: &mut Surroundings) {
        let Some(will) = &mut self.will else { return };
        if will.goodbye.is_none() && !std::mem::replace(&mut will.is_due, true) {
            let moment = around.model.moment();
            around.model.message_mut(will.message).first_sent = moment;
        }
    }

    /// The broker has taken the next CONNECT, which was sent at `asked`, so it is done with the
    /// last connection. `present` says that the session goes on.
    pub(super) fn settle_will(&mut self, around: &mut Surroundings, asked: u64, present: bool) {
        // An attempt that was not answered may have taken the session up for a while.
        let is_alone = std::mem::take(&mut self.attempts) == 1;
        if let Some(will) = self.will.take() {
            let is_over = is_alone && self.is_delay_over(around, &will, asked);
            if will.is_due && (will.is_promised || is_over) {
                around.model.acknowledged(will.message, around.now);
            }
            if will.is_cancelled && !will.is_due && will.goodbye == Some(around.model.crashes) {
                around.model.message_mut(will.message).is_cancelled = true;
            }
            if present && self.is_delay_under_way(around, &will) {
                let message = will.message;
                around.model.message_mut(message).is_cancelled = true;
                if around.model.has_come(message) {
                    let text = format!("is back, but its will {message} did not wait for that");
                    self.blame(around, text);
                }
            }
        }
        let delay_s = self.profile.will.map_or(0, |will| will.delay_s);
        let is_promised = self.keeps_session && delay_s == 0;
        let keeps_session = self.keeps_session;
        self.will = self.next_will.take().map(|message| WillState {
            message,
            is_promised,
            delay_s: (keeps_session && is_alone).then_some(delay_s).filter(|delay| *delay > 0),
            goodbye: None,
            is_cancelled: false,
            is_due: self.left.is_some(),
        });
        if let (Some(will), Some(left)) = (&self.will, self.left) {
            around.model.message_mut(will.message).first_sent = left;
        }
    }

    /// The delay of the will was over before the client came back.
    fn is_delay_over(&self, around: &Surroundings, will: &WillState, asked: u64) -> bool {
        let (Some(delay_s), Some(gone)) = (will.delay_s, self.presence.gone_max) else {
            return false;
        };
        let doubt_ms = around.doubt_ms() - self.presence.doubt_ms + SLACK_MS;
        asked.saturating_sub(gone) > u64::from(delay_s) * 1000 + doubt_ms
    }

    /// The delay of the will cannot be over yet.
    fn is_delay_under_way(&self, around: &Surroundings, will: &WillState) -> bool {
        let (Some(delay_s), Some(gone)) = (will.delay_s, self.presence.gone_min) else {
            return false;
        };
        let doubt_ms = around.doubt_ms() - self.presence.doubt_ms + SLACK_MS;
        around.now - gone + doubt_ms < u64::from(delay_s) * 1000
    }
}
