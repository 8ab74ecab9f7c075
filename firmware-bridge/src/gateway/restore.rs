//! What was kept across a restart of the gateway.
//!
//! Sessions of nodes that were connected are opened again at once: a node does not know that the
//! gateway was away, and goes on with the ids that it has. It has its whole keep-alive time or
//! sleep again, because nobody was there to hear it.

use std::sync::Arc;

use super::Gateway;
use super::address::LinkId;
use super::client::{Client, Phase};
use super::saved::{Saved, SavedPhase};

impl Gateway {
    /// Takes over the kept sessions of the gateway before, up to the limit of clients; to be
    /// called before the first input.
    pub fn restore(&mut self, now: u64, sessions: impl IntoIterator<Item = Saved>) {
        for saved in sessions.into_iter().take(self.options.clients_max) {
            self.restore_client(now, saved);
        }
    }

    fn restore_client(&mut self, now: u64, saved: Saved) {
        let link = self.options.links.iter().position(|link| link.name == saved.link);
        let mut address = saved.address;
        address.link = LinkId(link.unwrap_or(usize::from(u16::MAX)) as u16);
        // A link that is not configured any more leads nowhere, and two cannot be at one place.
        let is_here = link.is_some() && !self.by_address.contains_key(&address);
        let id: Arc<str> = saved.id.into();
        let mut client = Client::new(Arc::clone(&id), address.clone(), now);
        client.clean_session = false;
        client.keep_alive_s = saved.keep_alive_s;
        client.will = saved.will;
        client.topics = saved.topics;
        client.resubscribe_from = saved.subscriptions.len();
        client.subscriptions = saved.subscriptions;
        client.saved = Some(saved.fingerprint);
        client.phase = match saved.phase {
            SavedPhase::Active if is_here => Phase::Active,
            SavedPhase::Asleep { duration_s } if is_here => Phase::Asleep { duration_s },
            _ => Phase::Away,
        };
        let reopens = client.is_here();
        let key = self.clients.insert(client);
        if self.by_id.insert(id, key).is_some() {
            debug_assert!(false, "a state file has one record for each client");
        }
        self.announce(key);
        if reopens {
            self.by_address.insert(address, key);
            self.open_session(key);
            self.schedule(key);
        }
    }
}
