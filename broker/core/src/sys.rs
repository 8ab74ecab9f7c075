//! The `$SYS` tree goes out: the shell says from time to time how it stands around the core, and
//! whatever has changed in the tree since is published.

use crate::clock::Now;
use crate::core::Core;
use crate::durability::Durability;
use crate::router::{Origin, ToAll};
use crate::surroundings::Surroundings;

impl Core {
    pub(crate) fn handle_surroundings(&mut self, now: Now, surroundings: &Surroundings) {
        let metrics = self.metrics().plus(&surroundings.elsewhere);
        for message in self.sys.update(now, &metrics, surroundings) {
            let to_all = self.peers.any().then_some(ToAll::Sys);
            let origin = Origin { to_all, ..Origin::default() };
            let level = match self.is_store_full() {
                true => Durability::None,
                false => self.level_inside(message.topic()),
            };
            self.route(now, level, &message.parts(), origin, Some(message.clone()));
        }
    }
}
