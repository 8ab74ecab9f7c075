//! The will of a client, from CONNECT to the moment when it is due.

use super::{Client, WillState};
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

    /// The broker has taken the next CONNECT, so it is done with the last connection.
    pub(super) fn settle_will(&mut self, around: &mut Surroundings) {
        if let Some(will) = self.will.take() {
            if will.is_due && will.is_promised {
                around.model.acknowledged(will.message);
            }
            if will.is_cancelled && !will.is_due && will.goodbye == Some(around.model.crashes) {
                around.model.message_mut(will.message).is_cancelled = true;
            }
        }
        let has_delay = self.profile.will.is_some_and(|will| will.delay_s > 0);
        let is_promised = self.keeps_session && !has_delay;
        self.will = self.next_will.take().map(|message| WillState {
            message,
            is_promised,
            goodbye: None,
            is_cancelled: false,
            is_due: false,
        });
    }
}
