//! Which session belongs to a client identifier.
//!
//! The identifiers stand in the sessions alone: the table has nothing but their places, a fifth of
//! what it would take with the identifiers in it.

use core::hash::BuildHasher as _;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use slab::Slab;

use crate::key::SessionKey;
use crate::session::Session;

/// The sessions by client identifier.
#[derive(Debug)]
pub(crate) struct Clients {
    keys: HashTable<SessionKey>,
    hasher: FixedState,
}

impl Clients {
    /// None yet.
    pub(crate) fn new(hasher: FixedState) -> Self {
        Self { keys: HashTable::new(), hasher }
    }

    /// Notes a session that has just been put among the others.
    pub(crate) fn insert(&mut self, key: SessionKey, sessions: &Slab<Session>) {
        let hash = |key: &SessionKey| self.hasher.hash_one(&*sessions[*key as usize].client_id);
        self.keys.insert_unique(hash(&key), key, hash);
    }

    /// Forgets a session, which may be gone already.
    pub(crate) fn remove(&mut self, key: SessionKey, client_id: &str) {
        let hash = self.hasher.hash_one(client_id);
        if let Ok(entry) = self.keys.find_entry(hash, |known| *known == key) {
            entry.remove();
        }
    }

    /// The session of a client.
    pub(crate) fn find(&self, client_id: &str, sessions: &Slab<Session>) -> Option<SessionKey> {
        let hash = self.hasher.hash_one(client_id);
        let is_theirs = |key: &SessionKey| *sessions[*key as usize].client_id == *client_id;
        self.keys.find(hash, is_theirs).copied()
    }

    /// Number of clients.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use weir_mqtt::Version;

    use super::*;
    use crate::identity::SessionId;

    #[test]
    fn a_client_is_found_by_its_identifier_alone() {
        let mut sessions = Slab::new();
        let mut clients = Clients::new(FixedState::with_seed(1));
        for number in 0..1000 {
            let client_id: Arc<str> = format!("client-{number}").into();
            let session = Session::new(SessionId(number), client_id, Version::V311);
            clients.insert(sessions.insert(session) as SessionKey, &sessions);
        }
        for number in (0..1000).step_by(2) {
            sessions.remove(number);
            clients.remove(number as SessionKey, &format!("client-{number}"));
        }
        for number in 0..1000 {
            let expected = (number % 2 == 1).then_some(number as SessionKey);
            assert_eq!(clients.find(&format!("client-{number}"), &sessions), expected);
        }
        assert_eq!(clients.len(), 500);
    }
}
